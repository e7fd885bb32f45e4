//! The Python ingest tool, unmodified, against the embedded zone, and beside ours.
//!
//! `IRODS_TEST_INGEST_TOOL` names an interpreter that has it; `REDIS_SERVER`, or the path, has a Redis.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod catalog;
mod differences;
mod handlers;
#[path = "../../../irods-ingest/tests/support/redis.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod tool;

use catalog::below;
use irods_client::data_object::ChecksumMode;
use support::Site;
use support::mirror::TARGET;
use tool::{Order, PythonTool};

const HOME: &str = "/tempZone/home/rods";

/// Names that have broken clients, and files of every size that is treated differently. How many files.
fn source(site: &Site) -> u64 {
    let names = [
        "größe/ñandú ✓.txt",
        "データ/結果 👍.tsv",
        "quotes/it's \"said\"/'",
        "back`tick`/`",
        "<xml>/a & b/&amp;<![CDATA[",
        "spaces/ leading and trailing ",
        "percent/100%_like/%2F",
        "back\\slash/\\",
        ".hidden/.x",
        "a'b\"c`d&e<f>g",
        "-dash/--force",
        "combining/e\u{301}",
        "semicolon;/a=b,c|d*e?f[g]{h}$i",
    ];
    for name in names {
        site.file(name, name.as_bytes());
    }
    let sizes = [0, 1, 8192, (4 << 20) + 1, 40 << 20];
    for size in sizes {
        let bytes: Vec<u8> = (0..size).map(|n: u32| (n ^ (n >> 8)) as u8).collect();
        site.file(&format!("sizes/{size}"), &bytes);
    }
    std::fs::create_dir_all(site.path("src/empty/directories/all the way")).unwrap();
    (names.len() + sizes.len()) as u64
}

#[test]
fn it_fills_the_zone_we_find_it_equal_and_the_other_way_round() {
    let site = Site::new();
    let files = source(&site);
    let _zone = site.zone();
    let Some(tool) = PythonTool::start(&site) else {
        return;
    };
    let source = site.path("src").canonicalize().unwrap();
    let registered = format!("{HOME}/registered");
    let order = |operation, target| Order {
        source: source.to_str().unwrap(),
        target,
        operation,
        delete_mode: "DO_NOT_DELETE",
        resource: None,
        text: None,
        flags: "",
    };
    let both = [
        order("REGISTER_SYNC", registered.as_str()),
        order("PUT_SYNC", TARGET),
    ];
    let all = || site.ask(async |zone| below(zone, HOME).await);

    assert_eq!(tool.run(&both), [0, 0], "{}", tool.log());
    site.assert_registered_in(&registered);
    site.assert_uploaded();

    // It finds its own work.
    let first = all();
    assert_eq!(tool.run(&both), [0, 0], "{}", tool.log());
    assert_eq!(all(), first);

    // We find it as well.
    let ours = |operation: &str, target: &str| {
        let words = format!("start src {target} --embedded_zone zone --synchronous");
        site.run(&format!("{words} --operation {operation}"))
            .expect(0)
    };
    for (operation, target) in [("REGISTER_SYNC", &*registered), ("PUT", TARGET)] {
        let ran = ours(operation, target);
        assert_eq!(ran.number("skipped"), files, "{}", ran.out);
    }
    assert_eq!(all(), first);

    // Bytes that were uploaded a moment ago may be others of the same length, unless there are checksums.
    site.ask(async |zone| {
        for entry in first.keys() {
            let object = entry
                .rsplit_once('#')
                .map(|(path, _)| format!("{HOME}{path}"));
            if let Some(object) = object.filter(|object| object.starts_with(TARGET)) {
                zone.checksum(&object, ChecksumMode::Stored).await.unwrap();
            }
        }
    });
    let summed = all();
    let ran = ours("PUT_SYNC", TARGET);
    assert_eq!(ran.number("skipped"), files, "{}", ran.out);
    assert_eq!(all(), summed);

    // And the other way round: what is ours stays as it is, though the tool does all of it once more.
    let (theirs, put) = (format!("{HOME}/ours"), format!("{HOME}/put"));
    assert_eq!(ours("REGISTER_SYNC", &theirs).number("registered"), files);
    assert_eq!(ours("PUT", &put).number("uploaded"), files);
    let before = all();
    let again = [("REGISTER_SYNC", &*theirs), ("PUT", &*put)].map(|(operation, target)| Order {
        flags: "--ignore_cache",
        ..order(operation, target)
    });
    assert_eq!(tool.run(&again), [0, 0], "{}", tool.log());
    assert_eq!(all(), before);
}
