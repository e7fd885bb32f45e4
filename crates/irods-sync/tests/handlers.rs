//! Event handlers of the Python tool, as files of ours in its API: what they choose counts, their hooks run in order, what
//! goes wrong in them is said, and what is not possible is refused before anything happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irods_client::metadata::Avu;
use support::handler::{HEAD, command, file, noted, out, python, start, start_file};
use support::{Site, ran};

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
    let body = "    pass

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
";
    let ran = start(&site, body, "--operation PUT_SYNC --log_level INFO").expect(0);
    let logged = "pre_data_obj_create:[/tempZone/home/rods/t/link]";
    assert!(ran.err.contains(logged), "{ran:?}");
    let noted = noted(&site);
    for (at, line) in noted.iter().enumerate() {
        let pre = line.strip_prefix("post_").map(|what| format!("pre_{what}"));
        assert!(
            pre.is_none_or(|pre| noted[..at].contains(&pre)),
            "{noted:?}"
        );
    }
    assert_eq!((&*noted[0], &*noted[7]), ("pre_job j", "post_job j"));
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
    for words in [
        "SystemExit: 3",
        "the Python process of the handler ended",
        "took more than 8 s",
    ] {
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
    // A file for each operation, called like it.
    let operations = [
        "REGISTER_SYNC",
        "REGISTER_AS_REPLICA_SYNC",
        "PUT",
        "PUT_SYNC",
        "PUT_APPEND",
    ];
    for operation in operations {
        site.file(&format!("d/{operation}"), b"first");
    }
    let body = "
    @staticmethod
    def operation(session, meta, **options):
        return operation_of(meta)

    @staticmethod
    def to_resource(session, meta, **options):
        return 'demoResc' if operation_of(meta) == Operation.REGISTER_AS_REPLICA_SYNC else None

def operation_of(meta):
    name = os.path.basename(meta['path'])
    return getattr(Operation, name, Operation.REGISTER_SYNC)

def hook(name):
    def run(hdlr_mod, logger, session, meta, *args, **options):
        target = meta['target']
        if name == 'post_data_obj_create':
            mode = os.stat(meta['path']).st_mode
            session.data_objects.get(target).metadata.add('filesystem::mode', str(mode), '')
        on = target if 'coll_modify' in name else target.rsplit('/', 1)[0]
        session.collections.get(on).metadata.add(name, target, operation_of(meta).name)
    return staticmethod(run)

for event in ('data_obj_create', 'data_obj_modify', 'coll_create', 'coll_modify'):
    for when in ('pre_', 'post_'):
        setattr(event_handler, when + event, hook(when + event))
";
    let home = "/tempZone/home/rods";
    let target = "/tempZone/home/rods/a`b";
    let below = format!("{target}/d");
    let start = |more: &str| {
        let ran = support::ran(&mut command(&site, &file(body), target, more));
        let done = ran.expect(0);
        ["registered", "uploaded", "updated", "appended"].map(|what| done.number(what))
    };
    let mut expected = Vec::new();
    let mut are_there = |lines: Vec<String>| {
        expected.extend(lines);
        expected.sort();
        let _zone = site.zone();
        let said = [home, target, &below].map(|top| site.python("avus.py", &[top]).unwrap().out);
        let mut found: Vec<&str> = said.iter().flat_map(|said| said.lines()).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected);
    };
    let called = |on: &str, event: &str, target: &str, operation: &str| {
        ["pre", "post"].map(|when| format!("{on}\t{when}_{event}\t{target}\t{operation}"))
    };

    assert_eq!(start(""), [2, 3, 0, 0]);
    let mut created = Vec::new();
    created.extend(called(home, "coll_create", target, "REGISTER_SYNC"));
    created.extend(called(target, "coll_create", &below, "REGISTER_SYNC"));
    for operation in operations {
        let object = format!("{below}/{operation}");
        created.extend(called(&below, "data_obj_create", &object, operation));
        let stat = std::fs::metadata(site.path(&format!("src/d/{operation}"))).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&stat);
        created.push(format!("{object}\tfilesystem::mode\t{mode}\t"));
    }
    are_there(created);

    // The collections are there, and nothing is remembered of them.
    for operation in operations {
        site.file(&format!("d/{operation}"), b"first, and longer");
    }
    assert_eq!(start("--ignore_cache"), [0, 1, 2, 1]);
    let mut modified = Vec::new();
    modified.extend(called(target, "coll_modify", target, "REGISTER_SYNC"));
    modified.extend(called(&below, "coll_modify", &below, "REGISTER_SYNC"));
    for operation in operations.iter().filter(|name| **name != "PUT") {
        let object = format!("{below}/{operation}");
        modified.extend(called(&below, "data_obj_modify", &object, operation));
    }
    are_there(modified);
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
            "delay(hdlr_mod, logger, meta, retries):\n        return 'soon'",
            "delay returned 'soon'; int is expected",
        ),
        (
            "to_resource(session, meta, **options):\n        return 'nowhere'",
            "resource nowhere does not exist",
        ),
        (
            "operation(session, meta, **options):\n        return Operation.PUT if meta['size'] else None",
            "KeyError: 'size'",
        ),
        (
            "delete_mode(meta):\n        return meta['path']",
            "delete_mode returned '/",
        ),
        (
            "character_map():\n        return 7",
            "character_map() method must return a dict or iterable of key value tuples",
        ),
        (
            "character_map():\n        return {'ab': '_'}",
            "should denote only single-character substitutions",
        ),
        (
            "character_map():\n        return {c: '_' for c in '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'}",
            "leaves fewer than two letters or digits",
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

#[test]
fn settings_are_asked_for_each_entry() {
    let site = Site::new();
    for name in [
        "a.put",
        "b.reg",
        "c.no",
        "d.skip",
        "e.elsewhere",
        "sub/f.put",
    ] {
        site.file(name, name.as_bytes());
    }
    let body = "
    @staticmethod
    def operation(session, meta, **options):
        from irods_capability_automated_ingest.utils import SkipEntry
        assert meta['job_name'] in ('j', '') and meta['root_target_collection'] == '/tempZone/home/rods/t'
        if meta['path'].endswith('.skip'):
            raise SkipEntry('nobody wants it')
        if meta['path'].endswith('.no'):
            return Operation.NO_OP
        return Operation.PUT_SYNC if meta['path'].endswith('.put') else None if 'size' in meta else Operation.REGISTER_SYNC

    @staticmethod
    def to_resource(session, meta, **options):
        assert meta['size'] == os.stat(meta['path']).st_size and meta['target'].startswith('/tempZone/home/rods/t/')
        return 'demoResc' if meta['path'].endswith('.put') else None

    @staticmethod
    def target_path(session, meta, **options):
        return '/mnt/elsewhere' if meta['path'].endswith('.elsewhere') else None

    @staticmethod
    def as_user(meta, **options):
        return 'tempZone', 'rods'
";
    std::fs::write(
        site.path("handler.py"),
        format!("{HEAD}\nclass event_handler(Core):\n{body}\n"),
    )
    .unwrap();
    let plan = format!(
        "plan src /tempZone/home/rods/t --embedded_zone zone --event_handler handler.py --python {} --json",
        python()
    );
    let plan = site.run(&plan).expect(0).out;
    assert!(
        plan.contains("leave out (nobody wants it)") && plan.contains("handler.py"),
        "{plan}"
    );
    let planned: serde_json::Value = serde_json::from_str(plan.lines().last().unwrap()).unwrap();
    start(&site, body, "").expect(0);
    let totals = site.status("j")["totals"].clone();
    for (what, number) in [
        ("uploaded", 2),
        ("registered", 2),
        ("left_out", 1),
        ("failed", 0),
    ] {
        assert_eq!(totals[what], number, "{what} {totals}");
        assert_eq!(planned["totals"][what], number, "{what} {planned}");
    }
    let again = start(&site, body, "").expect(0);
    assert_eq!(
        (again.number("uploaded"), again.number("registered")),
        (0, 0)
    );
    let _zone = site.zone();
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 4);
}

#[test]
fn a_setting_that_goes_wrong_fails_its_entry_alone() {
    let site = Site::new();
    let messages = [
        (
            "operation",
            "operation returned 'PUT'; Operation is expected",
        ),
        ("to_resource", "to_resource returned 7; str is expected"),
        ("target_path", "target_path returned b'x'; str is expected"),
        (
            "as_user",
            "as_user returned 'alice'; a pair of zone and user is expected",
        ),
        (
            "max_retries",
            "max_retries returned -1; a number from 0 on is expected",
        ),
        ("delay", "delay returned 'soon'; int is expected"),
        ("timeout", "timeout returned None; int is expected"),
        ("nowhere", "nowhere"),
        ("nobody", "cannot act as nobody#tempZone"),
        ("raises", "ZeroDivisionError"),
        ("exits", "SystemExit: 3"),
        ("ends", "the Python process of the handler ended"),
        ("sleeps", "it took more than 6 s"),
        (
            "surrogate",
            "to_resource returned '\\\\udcff'; str is expected",
        ),
    ];
    for (name, _) in messages {
        site.file(name, b"x");
    }
    for name in ["good", "forks", "prints", "wrong_directory/x"] {
        site.file(name, b"x");
    }
    let body = "
    @staticmethod
    def operation(session, meta, **options):
        import sys, time
        if bad(meta, 'raises'):
            1 / 0
        if bad(meta, 'exits'):
            sys.exit(3)
        if bad(meta, 'ends'):
            os._exit(4)
        if bad(meta, 'forks'):
            os.fork()
        if bad(meta, 'prints'):
            sys.stdout.buffer.write(bytes(range(256)) * 100)
        if bad(meta, 'sleeps'):
            while True:
                time.sleep(1)
        return 'PUT' if bad(meta, 'operation') else Operation.REGISTER_SYNC

    @staticmethod
    def delete_mode(meta):
        return None if bad(meta, 'wrong_directory') else DeleteMode.DO_NOT_DELETE

    @staticmethod
    def to_resource(session, meta, **options):
        wrong = {'to_resource': 7, 'nowhere': 'nowhere', 'surrogate': chr(0xdcff)}
        return wrong.get(os.path.basename(meta['path']))

    @staticmethod
    def target_path(session, meta, **options):
        return b'x' if bad(meta, 'target_path') else None

    @staticmethod
    def as_user(meta, **options):
        return 'alice' if bad(meta, 'as_user') else ('tempZone', 'nobody' if bad(meta, 'nobody') else 'rods')

    @staticmethod
    def max_retries(hdlr_mod, logger, meta):
        assert hdlr_mod is event_handler and isinstance(logger, dict)
        return -1 if bad(meta, 'max_retries') else 1 if bad(meta, 'raises') else 0

    @staticmethod
    def delay(hdlr_mod, logger, meta, retries):
        return 'soon' if bad(meta, 'delay') else 0

    @staticmethod
    def timeout(hdlr_mod, logger, meta):
        return None if bad(meta, 'timeout') else 6

def bad(meta, name):
    return os.path.basename(meta['path']) == name
";
    start(&site, body, "--files_per_task 1").expect(1);
    let totals = site.status("j")["totals"].clone();
    assert_eq!(totals["registered"], 3, "{totals}");
    assert_eq!(totals["retried"], 1, "{totals}");
    assert_eq!(totals["failed"], messages.len() as u64 + 1, "{totals}");
    let ledger = site.run("failures j --json").expect(0).out;
    for (name, message) in messages {
        let path = format!("/src/{name}\"");
        let line = ledger.lines().find(|line| line.contains(&path));
        assert!(
            line.is_some_and(|line| line.contains(message)),
            "{name}: {line:?}"
        );
    }
    assert!(
        ledger.contains("delete_mode returned None; DeleteMode is expected"),
        "{ledger}"
    );
}

#[test]
fn a_setting_that_ends_its_process_fails_its_entry_alone() {
    let site = Site::new();
    site.files(3);
    site.file("d0/sub/deep", b"deep");
    let body = "
    @staticmethod
    def operation(session, meta, **options):
        import os
        if meta['path'].endswith('f1'):
            os._exit(7)
        return Operation.PUT
";
    let ran = start(&site, body, "").expect(1);
    assert_eq!((ran.number("uploaded"), ran.number("failed")), (3, 1));
}

#[test]
fn a_setting_that_hangs_costs_few_time_outs_and_the_others_pass() {
    let site = Site::new();
    for number in 10..40 {
        site.file(&format!("one/f{number}"), b"x");
        site.file(&format!("all/f{number}"), b"x");
    }
    let body = "
    @staticmethod
    def timeout(hdlr_mod, logger, meta):
        return 3

    @staticmethod
    def to_resource(session, meta, **options):
        import time
        if meta['path'].endswith('one/f23') or '/all/' in meta['path']:
            note('hangs', meta['path'].split('/')[-2])
            while True:
                time.sleep(1)
        if meta['path'].endswith('one/f11'):
            os._exit(1)
";
    start(&site, body, "").expect(1);
    let totals = site.status("j")["totals"].clone();
    assert_eq!(
        (&totals["registered"], &totals["failed"]),
        (&28.into(), &32.into()),
        "{totals}"
    );
    let ledger = site.run("failures j --json").expect(0).out;
    let told = |words: &str| ledger.matches(words).count();
    assert_eq!(told("it took more than 3 s"), 4, "{ledger}");
    assert_eq!(
        told("3 entries of its task took too long before it"),
        27,
        "{ledger}"
    );
    assert_eq!(out(&site).len(), 4);
}

#[test]
fn a_delay_is_asked_for_each_attempt_and_other_constants_once() {
    use ingest::core::python::{Python, Store, load};
    use ingest::sync_task::{JobOptions, JobSpec};
    let text = format!(
        "{HEAD}
class event_handler(Core):
    @staticmethod
    def delay(hdlr_mod, logger, meta, retries):
        return 3

    @staticmethod
    def max_retries(hdlr_mod, logger, meta):
        return 3
"
    );
    let python = Python {
        program: "python3".into(),
        environment: Vec::new(),
        store: Store::Redis(None),
    };
    let source = std::path::Path::new("/src");
    let options = JobOptions::default();
    let spec = JobSpec::new(
        source,
        "/z/t".to_owned(),
        "z".to_owned(),
        "u".to_owned(),
        options,
    );
    let loading = load(&python, "handler.py", &text, &spec);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (handler, settings) = runtime.block_on(loading).unwrap();
    assert_eq!(handler.chooses, ["delay".to_owned()].into());
    let mut options = JobOptions::default();
    settings.apply(&mut options);
    assert_eq!(
        (options.max_retries, options.delay),
        (3, JobOptions::default().delay)
    );
}

#[test]
fn names_are_mapped_below_the_target_and_deletions_know_it() {
    use std::os::unix::ffi::OsStrExt;
    let site = Site::new();
    for name in [
        "a.txt",
        "plain",
        "my dir/b.txt",
        "my dir/same",
        "gone.txt",
        "a_txt_S4",
    ] {
        site.file(name, name.as_bytes());
    }
    let odd = std::ffi::OsStr::from_bytes(b"bad.\xff");
    std::fs::write(site.path("src").join(odd), "x").unwrap();
    let body = "
    @staticmethod
    def character_map():
        import re
        return {re.compile('[^a-zA-Z0-9]'): '_'}

    @staticmethod
    def operation(session, meta, **options):
        return Operation.PUT_SYNC

    @staticmethod
    def delete_mode(meta):
        return DeleteMode.NO_TRASH

    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        import base64
        reason = meta.get('b64_reason')
        assert (reason is None) == meta['path'].endswith('plain')
        if reason == 'character_map':
            assert base64.b64decode(meta['b64_path_str_charmap']) == os.fsencode(meta['path'])
        elif reason:
            assert base64.b64decode(meta['b64_path_str']) == os.fsencode(meta['path'])
";
    // The literal `a_txt_S4` is what `a.txt` is called: the first by name has it.
    start(&site, body, "").expect(1);
    let ledger = site.run("failures j").expect(0).out;
    assert!(
        ledger
            .contains("target /tempZone/home/rods/t/a_txt_S4 of a_txt_S4 is that of a.txt as well"),
        "{ledger}"
    );
    std::fs::remove_file(site.path("src/a_txt_S4")).unwrap();
    std::fs::remove_file(site.path("src/gone.txt")).unwrap();
    let ran = start(&site, body, "").expect(0);
    assert_eq!(ran.number("removed"), 1);
    let ran = start(&site, body, "").expect(0);
    assert_eq!(ran.number("uploaded"), 0);
    let _zone = site.zone();
    let objects = site.objects("/tempZone/home/rods/t");
    let mut names: Vec<_> = objects.iter().map(|object| format!("{object:?}")).collect();
    names.sort();
    let all = names.join("\n");
    for name in [
        "a_txt_S4",
        "plain",
        "my_dir_M8",
        "b_txt_S4",
        "irods_UnicodeEncodeError_",
    ] {
        assert!(all.contains(name), "{name}: {all}");
    }
    assert_eq!(objects.len(), 5, "{all}");

    let body = "
    @staticmethod
    def character_map():
        import re
        return {re.compile('[^a-zA-Z0-9]'): '_'}
";
    let registered = "/tempZone/home/rods/registered";
    support::ran(&mut command(&site, &file(body), registered, "")).expect(0);
    let catalog = site.catalog_of(registered);
    let src = site.path("src").canonicalize().unwrap();
    for (name, mapped) in [
        ("a.txt", "a_txt_S4"),
        ("plain", "plain"),
        ("my dir/b.txt", "my_dir_M8/b_txt_S4"),
        ("my dir/same", "my_dir_M8/same"),
    ] {
        let path = src.join(name).to_str().unwrap().to_owned();
        assert_eq!(catalog[mapped][0].path, path);
        let avu = Avu::new(
            "irods::automated_ingest::character_map",
            STANDARD.encode(path),
            "python3.base64.b64encode(full_path_of_source_file)",
        );
        let expected: &[Avu] = if name == mapped { &[] } else { &[avu] };
        for top in [registered, "/tempZone/home/rods/t"] {
            assert_eq!(site.avus(&format!("{top}/{mapped}")), expected, "{name}");
        }
    }
}

#[test]
fn a_handler_that_has_an_event_itself_calls_back_to_have_it_done() {
    let site = Site::new();
    for name in ["done", "caught", "not_done", "raises", "skipped", "twice"] {
        site.file(name, b"x");
    }
    site.file("left_out/x", b"x");
    let body = "    pass

from irods_capability_automated_ingest.utils import SkipEntry

class event_handler(Core):
    @staticmethod
    def on_data_obj_create(func, hdlr_mod, logger, session, meta, *args, **options):
        name = os.path.basename(meta['path'])
        note('before', name, *[op.name for op in args], options['allow_redirect'])
        if name == 'not_done':
            return
        if name == 'raises':
            raise RuntimeError('of its own')
        if name == 'skipped':
            raise SkipEntry('not this one')
        try:
            func(hdlr_mod, logger, session, meta, *args, **options)
            if name == 'twice':
                func(hdlr_mod, logger, session, meta, *args, **options)
        except Exception as error:
            note('caught', name, 'SOURCE' in str(error) or 'already' in str(error))
        note('after', name)

    @classmethod
    def on_coll_create(cls, func, *args, **options):
        if args[3]['path'].endswith('left_out'):
            raise SkipEntry('not that one')
        super().on_coll_create(func, *args, **options)

    @staticmethod
    def post_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        note('post', meta['target'])
";
    start(&site, body, "--operation PUT_SYNC").expect(1);
    let totals = site.status("j")["totals"].clone();
    for (what, number) in [("uploaded", 3), ("left_out", 3), ("failed", 1)] {
        assert_eq!(totals[what], number, "{what} {totals}");
    }
    let ledger = site.run("failures j").expect(0).out;
    assert!(
        ledger.contains("on_data_obj_create: RuntimeError: of its own"),
        "{ledger}"
    );
    assert_eq!(
        out(&site),
        [
            "after caught",
            "after done",
            "after twice",
            "before caught PUT_SYNC False",
            "before done PUT_SYNC False",
            "before not_done PUT_SYNC False",
            "before raises PUT_SYNC False",
            "before skipped PUT_SYNC False",
            "before twice PUT_SYNC False",
            "caught twice True",
            "post /tempZone/home/rods/t",
        ]
    );
}

/// What the Python tool 0.7.0 made of these names, and a few that follow from its rules.
const MAPPED: &str = r#"
import re
others = re.compile('[^a-zA-Z0-9]')
vectors = [
    ({others: '_'}, {
        'a.txt': 'a_txt_S4', 'b.txt': 'b_txt_S4', 'a_txt': 'a_txt', '.x': '_x_K', 'my coll': 'my_coll_M8',
        'é.dat': '__dat_ENA9A3', 'naïve file.txt': 'na_ve_file_txt_yW6VZZWy3',
        'test-file~with@5!non.alphas': 'test_file_with_5_non_alphas_iQRy064Rz5Y66',
        'a.b.c.d.e.f.g.h.i.j.k.l.m.n': 'a_b_c_d_e_f_g_h_i_j_k_l_m_n_yQflwnF96NkZ9rN8zIrZXtqxMaLfc5Z9sd',
        'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o': 'a_b_c_d_e_f_g_h_i_j_k_l_m_n_o_cznW3M7Bjov8PJjtW8TnIhC3XxisScgk8JPuA7',
        '日本語データ.txt': '_______txt_OSW6DugVyYEYuUMkuFb8oLfdfzL2UFGTga', '': '',
    }),
    ({'-': '_'}, {'a-b': 'a_b~R4', 'a--b': 'a__b~HRLk1', 'a_b': 'a_b'}),
    ({'-': '_', '~': '_', '_': 'x'}, {'a-b': 'axbR4'}),
    ({'x': ''}, {'axb': 'ab-db', 'bx': 'b'}),
    ({re.compile('[a-z]+'): '_'}, {'abc1': '_1-6437536'}),
    ({(lambda c: ord(c) > 122): ':'}, {'a{b': 'a:b-76'}),
    ([('a', None), (('b', 'c'), 'd'), ('', 'x')], {'abc': 'add-ByqN1', 'a': 'a'}),
]
for rules, names in vectors:
    for name, expected in names.items():
        found = CharacterMap(rules).name(name)
        assert found == expected, (name, found, expected)
"#;

#[test]
fn mapped_names_are_those_of_the_python_tool_to_the_byte() {
    let algorithm = include_str!("../../irods-ingest/src/core/python/shim/charmap.py");
    let ran =
        ran(Command::new("python3").args(["-X", "utf8", "-c", &format!("{algorithm}{MAPPED}")]));
    ran.expect(0);
}

#[test]
fn rules_and_a_handler_choose_together_and_a_contradiction_is_refused() {
    let site = Site::new();
    for name in ["a.put", "b.put", "c.no", "d.other", "e.skip"] {
        site.file(name, b"x");
    }
    let body = "
    @staticmethod
    def operation(session, meta, **options):
        return Operation.NO_OP if meta['path'].endswith('b.put') else Operation.PUT

    @staticmethod
    def to_resource(session, meta, **options):
        return 'demoResc' if meta['path'].endswith('.other') else None
";
    let rules = "[[rule]]\nglob = \"*.put\"\noperation = \"PUT\"\nresource = \"demoResc\"\n\
        [[rule]]\nglob = \"*.skip\"\nskip = \"why not\"\n\
        [[rule]]\nglob = \"*\"\navus = [{ attribute = \"a\", value = \"{name}\" }]\n";
    std::fs::write(site.path("job.toml"), rules).unwrap();
    let more = "--job_file job.toml";
    start(&site, body, more).expect(1);
    let totals = site.status("j")["totals"].clone();
    for (what, number) in [("uploaded", 3), ("failed", 1), ("left_out", 1)] {
        assert_eq!(totals[what], number, "{what} {totals}");
    }
    let ledger = site.run("failures j").expect(0).out;
    assert!(
        ledger.contains("operation: the rules say Put, the handler NoOp"),
        "{ledger}"
    );
    let plan = format!(
        "plan src /tempZone/home/rods/u --embedded_zone zone --event_handler handler.py --python {} {more}",
        python()
    );
    let plan = site.run(&plan).expect(0).out;
    assert!(
        plan.contains("the rules say Put") && plan.contains("leave out (why not)"),
        "{plan}"
    );
    // What it says of all entries is known before any is done.
    let always = "
    @staticmethod
    def operation(session, meta, **options):
        return Operation.NO_OP
";
    let refused = start(&site, always, more).expect(2);
    let words = "job.toml: line 3: operation is PUT here, and NO_OP of event handler handler.py";
    assert!(refused.err.contains(words), "{refused:?}");
}
