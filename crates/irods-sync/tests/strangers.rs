//! Other people's client, python-irodsclient, unmodified: it reads what was ingested, works by itself, and is read in turn.
//!
//! `IRODS_TEST_PYTHON` names an interpreter that has it; the scripts are in `tests-python`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use irods_client::metadata::{Avu, Entity};
use irods_client::transfer::OpenHow;
use support::Site;
use support::mirror::TARGET;

/// Names that have broken clients, a file of every size that is treated differently, and all kinds of entries.
fn odd_source(site: &Site) -> u64 {
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
        "new\nline/tab\there",
        "semicolon;/a=b,c|d*e?f[g]{h}$i",
    ];
    for name in names {
        site.file(name, name.as_bytes());
    }
    let size = |size: usize| -> Vec<u8> {
        (0..size)
            .map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8)
            .collect()
    };
    let sizes = [0, 1, 8192, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 40 << 20];
    for bytes in sizes {
        site.file(&format!("sizes/{bytes}"), &size(bytes));
    }
    std::fs::create_dir_all(site.path("src/empty/directories/all the way")).unwrap();
    symlink("sizes/8192", site.path("src/link")).unwrap();
    (names.len() + sizes.len() + 1) as u64
}

fn they_read_it(operation: &str, how: &str) {
    let site = Site::new();
    let files = odd_source(&site);
    let started = site
        .start(&format!("--synchronous --operation {operation}"))
        .expect(0);
    assert_eq!((started.number(how), started.number("failed")), (files, 0));
    let _zone = site.zone();
    let source = site.path("src");
    let Some(compared) = site.python("reads.py", &[source.to_str().unwrap(), TARGET, how]) else {
        return;
    };
    let said = format!("compared {files} files, ");
    assert!(compared.out.starts_with(&said), "{}", compared.out);
}

#[test]
fn they_read_what_is_registered() {
    they_read_it("REGISTER_SYNC", "registered");
}

#[test]
fn they_read_what_is_uploaded() {
    they_read_it("PUT_SYNC", "uploaded");
}

#[derive(serde::Deserialize)]
struct Left {
    size: u64,
    checksum: String,
    name: String,
    units: String,
}

#[test]
fn they_work_by_themselves_and_are_read() {
    let site = Site::new();
    let _zone = site.zone();
    let top = "/tempZone/home/rods/theirs";
    let Some(wrote) = site.python("writes.py", &[top]) else {
        return;
    };
    let left: BTreeMap<String, Left> = serde_json::from_str(&wrote.out).unwrap();
    assert!(left.len() > 5);

    site.ask(async |zone| {
        let names = zone
            .list_subcollections(&format!("{top}/left"))
            .await
            .unwrap();
        assert_eq!(names.len(), left.len());
        for (path, expected) in &left {
            let (collection, name) = path.rsplit_once('/').unwrap();
            let listed = zone.list_data_objects(collection).await.unwrap();
            let replica = &listed[name.as_bytes()][0];
            assert_eq!(
                (replica.size, &replica.checksum),
                (expected.size, &expected.checksum)
            );
            let avus = zone.list_avus(Entity::DataObject(path)).await.unwrap();
            let avu = Avu::new("name", expected.name.as_str(), expected.units.as_str());
            assert_eq!(avus, [avu], "{path}");
            let mut open = zone
                .open_data_object(path, OpenHow::Read, None)
                .await
                .unwrap();
            let mut content = Vec::new();
            loop {
                let block = open.read(1 << 20).await.unwrap();
                if block.is_empty() {
                    break;
                }
                content.extend_from_slice(&block);
            }
            open.close().await.unwrap();
            let number: usize = expected.units.parse().unwrap();
            assert_eq!(content, expected.name.repeat(number * 1000).as_bytes());
        }
    });

    // A source that is what they put: the engine finds nothing to do but one file of its own.
    for expected in left.values() {
        let number: usize = expected.units.parse().unwrap();
        let content = expected.name.repeat(number * 1000);
        let name = format!("{0}/{0}", expected.name);
        site.file(&name, content.as_bytes());
    }
    site.file("plain/our own", b"new");
    let compared = site
        .run(&format!("start src {top}/left --embedded_zone zone --synchronous --operation PUT_SYNC --compare_catalog"))
        .expect(0);
    assert_eq!(
        (
            compared.number("uploaded"),
            compared.number("skipped"),
            compared.number("updated")
        ),
        (1, left.len() as u64, 0),
        "{}",
        compared.out
    );
}
