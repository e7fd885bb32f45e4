//! Event handlers of the Python tool, as files of ours in its API: what they choose counts, their hooks run in order, what
//! goes wrong in them is said, and what is not possible is refused before anything happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::Command;

use support::{Ran, Site, ran};

const HEAD: &str = "\
from irods_capability_automated_ingest.core import Core
from irods_capability_automated_ingest.utils import DeleteMode, Operation
import os
";

/// A Python that has python-irodsclient, where the tests were given one.
fn python() -> String {
    std::env::var("IRODS_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// `start --synchronous` with a handler whose class has this body.
fn start(site: &Site, body: &str, more: &str) -> Ran {
    let class = format!("{HEAD}\nclass event_handler(Core):\n{body}\n");
    start_file(site, &class, more)
}

fn start_file(site: &Site, text: &str, more: &str) -> Ran {
    std::fs::write(site.path("handler.py"), text).unwrap();
    let words = format!(
        "start src /tempZone/home/rods/t --embedded_zone zone --synchronous --job_name j --event_handler handler.py --python {} {more}",
        python()
    );
    let mut command: Command = site.command(&words);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.env("HANDLER_OUT", site.path("out"));
    ran(&mut command)
}

fn out(site: &Site) -> Vec<String> {
    let text = std::fs::read_to_string(site.path("out")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

const NOTE: &str = r#"
def note(*words):
    line = " ".join(str(word) for word in words) + "\n"
    with open(os.environ["HANDLER_OUT"], "a") as out:
        out.write(line)
"#;

#[test]
fn what_a_handler_chooses_counts() {
    let site = Site::new();
    site.files(3);
    let body = "
    @staticmethod
    def operation(session, meta, **options):
        return Operation.PUT_SYNC

    @staticmethod
    def delete_mode(meta):
        return DeleteMode.NO_TRASH

    @staticmethod
    def to_resource(session, meta, **options):
        return 'demoResc'
";
    let ran = start(&site, body, "").expect(0);
    assert_eq!(ran.number("uploaded"), 3);
    std::fs::remove_file(site.path("src/d0/f1")).unwrap();
    let ran = start(&site, body, "").expect(0);
    assert_eq!(ran.number("removed"), 1);
    let _zone = site.zone();
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 2);
}

#[test]
fn hooks_run_around_each_entry_with_the_meta_of_the_python_tool() {
    let site = Site::new();
    site.file("a", b"four");
    std::os::unix::fs::symlink("a", site.path("src/link")).unwrap();
    let body = format!(
        "    pass
{NOTE}
def hook(name):
    def run(hdlr_mod, logger, session, meta, *args, **options):
        logger.info(name + ':[' + meta['target'] + ']')
        kind = meta['entry_type']
        more = (meta['size'], meta['is_link'], meta['is_socket'], meta['mtime'] <= meta['ctime']) if kind == 'file' else ()
        assert hdlr_mod.event_handler is event_handler and meta['job_name'] == 'j'
        note(name, os.path.basename(meta['path']), meta['target'], kind, *more, *[op.name for op in args])
    return staticmethod(run)

for event in ('data_obj_create', 'coll_create', 'data_obj_modify', 'coll_modify'):
    for when in ('pre_', 'post_'):
        setattr(event_handler, when + event, hook(when + event))

def job(name):
    return staticmethod(lambda hdlr, logger, meta: note(name, meta['job_name']))

event_handler.pre_job = job('pre_job')
event_handler.post_job = job('post_job')
"
    );
    let ran = start(&site, &body, "--operation PUT_SYNC --log_level INFO").expect(0);
    let logged = "pre_data_obj_create:[/tempZone/home/rods/t/link]";
    assert!(ran.err.contains(logged), "{ran:?}");
    assert_eq!(
        out(&site),
        [
            "post_coll_create src /tempZone/home/rods/t dir",
            "post_data_obj_create a /tempZone/home/rods/t/a file 4 False False True PUT_SYNC",
            "post_data_obj_create link /tempZone/home/rods/t/link file 4 True False True PUT_SYNC",
            "post_job j",
            "pre_coll_create src /tempZone/home/rods/t dir",
            "pre_data_obj_create a /tempZone/home/rods/t/a file 4 False False True PUT_SYNC",
            "pre_data_obj_create link /tempZone/home/rods/t/link file 4 True False True PUT_SYNC",
            "pre_job j",
        ]
    );
}

#[test]
fn a_hook_that_raises_fails_its_file_with_the_traceback_and_is_retried() {
    let site = Site::new();
    site.files(2);
    let body = "
    @staticmethod
    def max_retries(hdlr_mod, logger, meta):
        return 2

    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        from irods_capability_automated_ingest.redis_utils import get_redis
        r = get_redis(meta['config'])
        if r.incr('failures:' + meta['path']) < (3 if meta['path'].endswith('f0') else 9):
            raise RuntimeError('not yet')
";
    start(&site, body, "").expect(1);
    let status = site.status("j");
    assert_eq!(status["totals"]["registered"], 1);
    assert_eq!(status["totals"]["failed"], 1);
    assert_eq!(status["totals"]["retried"], 4);
    let ledger = site.run("failures j").expect(0);
    assert!(ledger.out.contains("RuntimeError: not yet"), "{ledger:?}");
    assert!(ledger.out.contains("in pre_data_obj_create"), "{ledger:?}");
    assert!(
        ledger.out.contains("raise RuntimeError('not yet')"),
        "{ledger:?}"
    );
}

#[test]
fn what_a_pre_hook_puts_into_meta_its_post_hook_finds() {
    let site = Site::new();
    site.files(5);
    let body = "
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        logger.info('begun', path=meta['path'], more={(1, 2): 3})
        meta['t0'] = meta['target']
        if meta['path'].endswith('f4'):
            meta['target'] += 'x'

    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        assert meta['t0'] == meta['target'] and options['allow_redirect'] is False
";
    start(&site, body, "").expect(1);
    assert_eq!(site.status("j")["totals"]["registered"], 4);
    let ledger = site.run("failures j").expect(0).out;
    assert!(ledger.contains("it changes meta['target']"), "{ledger}");
}

#[test]
fn whatever_an_exception_says_is_in_the_ledger() {
    use std::os::unix::ffi::OsStrExt;
    let site = Site::new();
    site.file("long", b"x");
    let odd = std::ffi::OsStr::from_bytes(b"bad\xffname");
    std::fs::write(site.path("src").join(odd), "x").unwrap();
    let body = "
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        raise RuntimeError('no: ' + meta['path'] + ('x' * 30000000 if meta['path'].endswith('long') else ''))
";
    start(&site, body, "").expect(1);
    let ledger = site.run("failures j --json").expect(0).out;
    assert!(ledger.contains(r"bad\\udcffname"), "{ledger}");
    assert_eq!(
        ledger.matches("RuntimeError: no: /").count(),
        3,
        "{}",
        ledger.len()
    );
}

#[test]
fn the_worst_that_hooks_do_fails_their_files_alone() {
    let site = Site::new();
    for name in [
        "ends", "exits", "forks", "good", "prints", "reads", "sleeps",
    ] {
        site.file(name, b"x");
    }
    let body = "
    @staticmethod
    def timeout(hdlr_mod, logger, meta):
        return 8

    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        import sys, time
        name = os.path.basename(meta['path'])
        if name == 'exits':
            sys.exit(3)
        if name == 'ends':
            os._exit(4)
        if name == 'sleeps':
            while True:
                time.sleep(1)
        if name == 'prints':
            sys.stdout.write('garbage' * 10000)
            sys.stdout.buffer.write(bytes(range(256)))
        if name == 'reads':
            assert sys.stdin.read() == ''
        if name == 'forks':
            os.fork()
";
    start(&site, body, "").expect(1);
    let status = site.status("j");
    assert_eq!(status["totals"]["registered"], 4, "{status}");
    assert_eq!(status["totals"]["failed"], 3, "{status}");
    let ledger = site.run("failures j").expect(0).out;
    for words in ["SystemExit: 3", "the Python process of the handler ended"] {
        assert!(ledger.contains(words), "{ledger}");
    }
}

#[test]
fn a_session_is_connected_when_it_is_used() {
    if std::env::var_os("IRODS_TEST_PYTHON").is_none() {
        eprintln!("SKIPPED: IRODS_TEST_PYTHON names no Python with python-irodsclient");
        return;
    }
    let site = Site::new();
    site.files(2);
    let body = "
    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, **options):
        mode = os.stat(meta['path']).st_mode
        session.data_objects.get(meta['target']).metadata.add('filesystem::mode', str(mode), '')

    @staticmethod
    def pre_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        parent = meta['target'].rsplit('/', 1)[0]
        session.collections.get(parent).metadata.add('pre_coll_create', meta['target'], 'REGISTER_SYNC')
";
    let ran = start(&site, body, "").expect(0);
    assert_eq!(ran.number("registered"), 2);
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_done() {
    let site = Site::new();
    site.files(1);
    let whole = [
        ("class event_handler(:\n", "SyntaxError"),
        (
            "import no_such_module\n",
            "No module named 'no_such_module'",
        ),
        (
            "class other:\n    pass\n",
            "it does not define event_handler",
        ),
        (
            "import os\nos._exit(1)\n",
            "the Python process of the handler ended",
        ),
        ("import sys\nsys.exit(1)\n", "SystemExit: 1"),
    ];
    let bodies = [
        (
            "operation(session, meta, **options):\n        return 'PUT'",
            "operation returned 'PUT'; Operation is expected",
        ),
        (
            "max_retries(hdlr_mod, logger, meta):\n        return -1",
            "max_retries returned -1",
        ),
        (
            "to_resource(session, meta, **options):\n        return 'nowhere'",
            "resource nowhere does not exist",
        ),
        (
            "operation(session, meta, **options):\n        return Operation.PUT if meta['path'] else None",
            "operation: it looks at meta['path']",
        ),
        (
            "to_resource(session, meta, **options):\n        return session.zone",
            "to_resource: it uses its session",
        ),
        (
            "as_user(meta, **options):\n        return 'tempZone', 'alice'",
            "it defines as_user, which is not possible yet",
        ),
        (
            "on_coll_create(func, *args, **options):\n        pass",
            "it defines on_coll_create, which is not possible yet",
        ),
        (
            "delete_mode(meta):\n        return DeleteMode.TRASH",
            "incompatible",
        ),
    ];
    let bodies = bodies.map(|(method, message)| {
        let class = "class event_handler(Core):\n    @staticmethod\n    def";
        (format!("{HEAD}{class} {method}\n"), message)
    });
    let whole = whole.map(|(text, message)| (text.to_owned(), message));
    for (text, message) in whole.into_iter().chain(bodies) {
        let ran = start_file(&site, &text, "").expect(2);
        assert!(ran.err.contains(message), "{message}: {}", ran.err);
        site.run("status j").expect(2);
    }
    let ran =
        site.run("start src /tempZone/home/rods/t --embedded_zone zone --event_handler none.py");
    assert!(
        ran.expect(2)
            .err
            .contains("cannot read event handler none.py")
    );
    let ran = site.run(
        "start src /tempZone/home/rods/t --embedded_zone zone --event_handler handler.py --python no-such-python",
    );
    let ran = ran.expect(2);
    assert!(ran.err.contains("cannot start no-such-python"), "{ran:?}");
}
