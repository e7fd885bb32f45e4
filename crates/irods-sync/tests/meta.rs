//! What hooks of Python handlers change in `meta` in place: the hook after the action finds it, and the action follows it as far as that
//! is safe.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use support::Site;
use support::handler::{out, start};

#[test]
fn what_a_pre_hook_puts_into_meta_its_post_hook_finds() {
    let site = Site::new();
    site.files(5);
    let body = "
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        logger.info('begun', path=meta['path'], more={(1, 2): 3})
        meta['t0'] = (meta['target'], b'bytes', 1.5)
        meta['config']['log']['seen'] = meta['path']
        del meta['interval']

    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        assert meta['t0'] == (meta['target'], b'bytes', 1.5) and options['allow_redirect'] is False
        assert meta['config']['log']['seen'] == meta['path'] and 'interval' not in meta

    @staticmethod
    def pre_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        assert 't0' not in meta and 'seen' not in meta['config']['log'] and 'interval' in meta
        meta['path'] = '/another'

    @staticmethod
    def post_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        assert meta['path'] == '/another'
";
    let ran = start(&site, body, "").expect(0);
    assert_eq!(ran.number("registered"), 5);
}

#[test]
fn an_action_follows_what_its_pre_hook_made_of_meta() {
    let site = Site::new();
    for name in ["moved", "size", "path", "resource", "chunk"] {
        site.file(name, name.as_bytes());
    }
    std::fs::write(site.path("other"), "another file").unwrap();
    let body = "
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        name = os.path.basename(meta['path'])
        meta['resource'] = 'nowhere' if name == 'resource' else None
        if name == 'moved':
            meta['target'] = '/tempZone/home/rods/elsewhere/deep/moved'
        if name == 'size':
            meta['size'], meta['mtime'] = 77, 1000000000.5
        if name == 'path':
            meta['path'] = os.environ['HANDLER_OUT'][:-3] + 'other'
        facts = meta['chunk'][meta['path']] if name != 'path' else {'size': meta['size']}
        assert facts['size'] == meta['size'] or name == 'size'

    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        note(meta['target'][len('/tempZone/home/rods/'):], os.path.basename(meta['path']), meta['size'])

    @staticmethod
    def to_resource(session, meta, **options):
        return meta.get('resource')
";
    // What is registered has another size, time or path; one that is uploaded is read elsewhere.
    for (operation, size, other) in [("REGISTER_SYNC", 77, 4), ("PUT_SYNC", 4, 12)] {
        std::fs::write(site.path("out"), "").unwrap();
        start(&site, body, &format!("--operation {operation}")).expect(1);
        let ledger = site.run("failures j").expect(0).out;
        assert!(ledger.contains("nowhere"), "{ledger}");
        let lines = [
            "elsewhere/deep/moved moved 5".to_owned(),
            "t/chunk chunk 5".to_owned(),
            "t/path other 4".to_owned(),
            "t/size size 77".to_owned(),
        ];
        assert_eq!(out(&site), lines, "{operation}");
        let zone = site.zone();
        let objects = site.objects("/tempZone/home/rods");
        let sizes: Vec<_> = objects
            .iter()
            .map(|(name, size)| (&name[20..], *size))
            .collect();
        let expected = [
            ("elsewhere/deep/moved", 5),
            ("t/chunk", 5),
            ("t/path", other),
            ("t/size", size),
        ];
        assert_eq!(sizes, expected, "{operation}");
        drop(zone);
        std::fs::remove_dir_all(site.path("zone")).unwrap();
        site.run("forget j").expect(0);
    }
}

#[test]
fn a_target_that_a_hook_chose_is_never_another_files_object() {
    let site = Site::new();
    for name in ["a", "b", "c", "d"] {
        site.file(name, name.as_bytes());
    }
    // `a` and `c` are both meant for `b`, which has an object of its own; `d` goes where it went before.
    let body = "
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        name = os.path.basename(meta['path'])
        if name in 'ac':
            meta['target'] = meta['target'][:-1] + 'b'
        if name == 'd':
            meta['target'] += '.d'
";
    for operation in ["PUT_SYNC", "PUT", "REGISTER_SYNC"] {
        let more = format!("--operation {operation} --ignore_cache");
        start(&site, body, &more).expect(1);
        // Of the three one has it, whichever came first.
        assert_eq!(site.status("j")["totals"]["failed"], 2, "{operation}");
        site.file("d", b"longer than before");
        start(&site, body, &more).expect(1);
        assert_eq!(site.status("j")["totals"]["failed"], 2, "{operation}");
        let zone = site.zone();
        let objects = site.objects("/tempZone/home/rods/t");
        let sizes: Vec<_> = objects
            .iter()
            .map(|(name, size)| (&name[22..], *size))
            .collect();
        let kept = if operation == "PUT" { 1 } else { 18 };
        assert_eq!(sizes, [("b", 1), ("d.d", kept)], "{operation}");
        drop(zone);
        std::fs::remove_dir_all(site.path("zone")).unwrap();
        site.run("forget j").expect(0);
        site.file("d", b"d");
    }
}

#[test]
fn what_no_action_can_follow_fails_its_entry() {
    let site = Site::new();
    let cases = [
        ("outside", "is not in zone tempZone"),
        ("dots", "`..` is not a name"),
        ("number", "it makes meta['target'] 7"),
        (
            "hidden",
            "only an assignment to meta['target'] in the handler file itself",
        ),
        ("gone", "it takes out of meta what is needed: path"),
        ("size", "it makes meta['size'] 'large'"),
        ("path", "an absolute path is expected"),
        ("missing", "/no/such does not exist"),
        ("lock", "what cannot go to another process"),
        ("directory/x", "for files that are made or changed alone"),
    ];
    for (name, _) in cases {
        site.file(name, b"x");
    }
    let change = |plain: &str| {
        format!(
            "
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        name = os.path.basename(meta['path'])
        other = {{'outside': '/otherZone/x', 'dots': '/tempZone/home/rods/t/../x', 'number': 7}}.get(name)
        if other:
            {plain}
        if name == 'hidden':
            meta.update(target=meta['target'] + '.x')
        if name == 'gone':
            del meta['path']
        if name == 'size':
            meta['size'] = 'large'
        if name == 'path':
            meta['path'] = 'relative'
        if name == 'missing':
            meta['path'] = '/no/such/file'
        if name == 'lock':
            import threading
            meta['lock'] = threading.Lock()

    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        pass

    @staticmethod
    def pre_coll_create(hdlr_mod, logger, session, meta, *args, **options):
        if meta['path'].endswith('directory'):
            dict.update(meta, target='/tempZone/home/rods/x')
"
        )
    };
    for (plain, seen) in [
        ("meta['target'] = other", true),
        ("meta.__setitem__('target', other)", false),
    ] {
        start(&site, &change(plain), "--operation PUT").expect(1);
        let ledger = site.run("failures j --json").expect(0).out;
        for (name, message) in cases {
            let path = match name {
                // Of a directory whose collection cannot be made.
                "directory/x" => "/src/directory\"".to_owned(),
                name => format!("/src/{name}\""),
            };
            let line = ledger
                .lines()
                .find(|line| line.contains(&path))
                .unwrap_or("");
            let unseen = ["outside", "dots", "number"].contains(&name) && !seen;
            let plainly = !(name == "hidden" && seen);
            let message = if unseen { cases[3].1 } else { message };
            assert!(line.contains(message) || !plainly, "{name}: {line:?}");
        }
        site.run("forget j").expect(0);
        std::fs::remove_dir_all(site.path("zone")).unwrap();
    }
}

#[test]
fn an_event_that_a_handler_has_itself_is_done_with_the_meta_that_it_gives() {
    let site = Site::new();
    site.file("a", b"a");
    let body = "
    @classmethod
    def on_data_obj_create(cls, func, hdlr_mod, logger, session, meta, *args, **options):
        other = dict(meta)
        meta = other
        meta['target'] = meta['target'] + '.other'
        func(hdlr_mod, logger, session, meta, *args, **options)
";
    start(&site, body, "--operation PUT_SYNC").expect(0);
    let _zone = site.zone();
    let objects = site.objects("/tempZone/home/rods/t");
    assert!(
        objects.contains_key("/tempZone/home/rods/t/a.other"),
        "{objects:?}"
    );
}
