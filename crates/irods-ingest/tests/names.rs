//! Names and kinds that make trouble: each is ingested as it should be, or in the ledger with its reason, whichever way it goes;
//! and each is followed when it changes or goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ingest::broker::{Broker, Job};
use ingest::core::NoHandler;
use ingest::naming;
use ingest::plan::{DeleteMode, Operation};
use ingest::sync_task::JobOptions;
use ingest::sync_task::job::start_synchronization;
use irods_client::metadata::{Avu, Entity};
use support::{Site, TARGET, let_times_settle, request};

fn with(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        files_per_task: 7,
        delete_mode: match operation {
            Operation::RegisterSync => DeleteMode::Unregister,
            _ => DeleteMode::NoTrash,
        },
        ..JobOptions::default()
    }
}

const WAYS: [Operation; 2] = [Operation::RegisterSync, Operation::PutSync];

/// Names with every byte that is neither letter nor digit (of those that are not ASCII, some), alone and in between; what XML, SQL,
/// JSON, shells and paths find special.
fn odd_names() -> BTreeSet<Vec<u8>> {
    let special = (1..128u8).filter(|byte| *byte != b'/' && !byte.is_ascii_alphanumeric());
    let bytes = special.chain((128..=255).step_by(5));
    let mut names: BTreeSet<Vec<u8>> = bytes
        .clone()
        .map(|byte| vec![byte])
        .filter(|name| name != b".")
        .collect();
    names.extend(bytes.map(|byte| [b"a", &[byte][..], b"z"].concat()));
    for name in [
        "...",
        ". ",
        " .",
        ".. ",
        "..a",
        "a..",
        "-rf",
        "--",
        "~",
        "&amp;",
        "&lt;",
        "&#10;",
        "<![CDATA[x]]>",
        "<!-- -->",
        "]]>",
        "%s%n",
        "%00",
        "\\0",
        "$HOME",
        "'; DROP TABLE r_data_main; --",
        "\u{85}\u{2028}",
        "\u{fffd}",
        "\u{feff}bom",
        "\u{202e}txt",
        "e\u{301}",
        "é",
        "\u{10ffff}",
        " ",
        "  ",
        "a ",
        "\r\n",
        "irods_UnicodeEncodeError_",
        "irods_UnicodeEncodeError_x y",
    ] {
        names.insert(name.as_bytes().to_vec());
    }
    names.insert(vec![b'n'; 255]);
    names.insert("é".repeat(127).into_bytes());
    names
}

fn path_of(site: &Site, relative: &[u8]) -> PathBuf {
    site.source().join(OsStr::from_bytes(relative))
}

/// Every odd name as a file in the root, as a directory, and as a file in one of these.
fn relatives() -> Vec<Vec<u8>> {
    let names = odd_names();
    let below = names
        .iter()
        .step_by(3)
        .map(|name| [b"d", name.as_slice(), b"/", name].concat())
        .filter(|path| {
            path.split(|byte| *byte == b'/')
                .all(|name| name.len() <= 255)
        });
    names.iter().cloned().chain(below).collect()
}

fn logical(site: &Site, relative: &[u8]) -> String {
    naming::logical_path(TARGET, site.source().as_os_str().as_bytes(), relative)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_a_file_system_takes_is_registered_changes_and_goes() {
    every_name_arrives_changes_and_goes(Operation::RegisterSync).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_a_file_system_takes_is_uploaded_changes_and_goes() {
    every_name_arrives_changes_and_goes(Operation::PutSync).await;
}

async fn every_name_arrives_changes_and_goes(operation: Operation) {
    let site = Site::new().await;
    let relatives = relatives();
    for relative in &relatives {
        site.write(relative, relative);
    }
    let_times_settle(&path_of(&site, relatives.last().unwrap())).await;
    // Uploaded under a name that is longer than a vault's file may be; registered it is no trouble.
    let fits = |relative: &&Vec<u8>| {
        let logical = logical(&site, relative);
        let longest = logical.split('/').map(str::len).max().unwrap();
        operation.registers() || longest <= naming::MAX_ELEMENT_BYTES
    };
    let there: Vec<&Vec<u8>> = relatives.iter().filter(fits).collect();
    assert!(relatives.len() - there.len() < 3, "{operation}");
    let job = site.run(with(operation)).await;
    let failed = site.failures(&job).await;
    assert_eq!(failed.len(), relatives.len() - there.len(), "{failed:#?}");
    for failure in &failed {
        let said = &failure.failure.message;
        assert!(said.contains("a vault takes 255"), "{said}");
    }
    let found = site.catalog().await;
    let found: BTreeSet<String> = found
        .iter()
        .filter(|(_, replicas)| !replicas.is_empty())
        .map(|(name, _)| format!("{TARGET}{name}"))
        .collect();
    let expected: BTreeSet<String> = there.iter().map(|name| logical(&site, name)).collect();
    let missing: Vec<_> = expected.symmetric_difference(&found).collect();
    assert!(missing.is_empty(), "{operation}: {missing:?}");
    // A sample of them, since each read takes several calls.
    // The path under which a name that is not text is registered does not exist: catalogs hold text.
    let readable =
        |relative: &&&Vec<u8>| operation.uploads() || std::str::from_utf8(relative).is_ok();
    for relative in there.iter().filter(readable).step_by(17) {
        let content = site.read(&logical(&site, relative)).await;
        assert_eq!(&content, *relative, "{operation}");
    }

    // Nothing of it is taken for gone, or for changed.
    let job = site.run(with(operation)).await;
    let t = job.totals;
    assert_eq!((t.deleted, t.registered + t.uploaded, t.updated), (0, 0, 0));
    // One half changes, the other goes.
    let mut gone = 0;
    for (number, relative) in relatives.iter().enumerate() {
        let path = path_of(&site, relative);
        match number % 2 {
            0 => std::fs::write(&path, [relative.as_slice(), b"+"].concat()).unwrap(),
            _ => {
                std::fs::remove_file(&path).unwrap();
                gone += u64::from(there.contains(&relative));
            }
        }
    }
    let changed = there.len() as u64 - gone;
    let_times_settle(&path_of(&site, &relatives[(relatives.len() - 1) & !1])).await;
    let job = site.run(with(operation)).await;
    let t = job.totals;
    assert_eq!(
        (t.deleted, t.uploaded + t.appended + t.updated),
        (gone, changed),
        "{operation} {t:?}"
    );

    // And all that is left goes with its directories.
    for entry in std::fs::read_dir(site.source()).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
    site.write("kept", "x");
    let job = site.run(with(operation)).await;
    site.assert_no_failures(&job).await;
    let left: Vec<String> = site.catalog().await.keys().map(|n| n.to_string()).collect();
    assert_eq!(left, ["/kept"], "{operation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_a_file_system_takes_is_appended_to_and_goes() {
    every_name_arrives_changes_and_goes(Operation::PutAppend).await;
}

/// Queues and runs a job of any source and target.
async fn run_from(site: &Site, source: &Path, target: &str, options: JobOptions) -> Job {
    let request = request(source, target, options);
    let broker: &dyn Broker = site.broker.as_ref();
    let created = start_synchronization(broker, &site.pool, request)
        .await
        .unwrap();
    let (worker, _told) = site.worker(created.job().id, 2, std::sync::Arc::new(NoHandler));
    worker.run().await.unwrap();
    broker.job(created.job().id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_path_arrives_and_a_longer_one_is_in_the_ledger() {
    for operation in WAYS {
        let site = Site::new().await;
        // Elements of the target such that `x` has a logical path of exactly 1023 bytes, and `xy` one more.
        let mut target = format!("{TARGET}/{}", "t".repeat(200));
        while target.len() + 202 < naming::MAX_PATH_BYTES {
            target = format!("{target}/{}", "t".repeat(200));
        }
        let rest = naming::MAX_PATH_BYTES - target.len() - "/".len() - "/x".len();
        target = format!("{target}/{}", "t".repeat(rest));
        site.write("x", "fits");
        site.write("xy", "does not");
        let options = JobOptions {
            operation,
            ..JobOptions::default()
        };
        let job = run_from(&site, &site.source(), &target, options).await;
        let t = job.totals;
        assert_eq!((t.registered + t.uploaded, t.failed), (1, 1));
        let failed = site.failures(&job).await;
        let said = &failed[0].failure.message;
        assert!(said.contains("1024 bytes long, iRODS takes 1023"), "{said}");
        assert!(site.stat(&format!("{target}/x")).await.is_some());
    }
}

async fn avus(site: &Site, name: &str) -> Vec<Avu> {
    site.avus(&format!("{TARGET}/{name}")).await
}

fn link_to(path: &Path, target: &str) {
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(path).unwrap();
    }
    symlink(target, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_link_is_replaced_and_never_doubled() {
    for operation in WAYS {
        let site = Site::new().await;
        site.write("one", "1");
        site.write("other", "22");
        let link = site.source().join("link");
        link_to(&link, "one");
        let_times_settle(&link).await;
        site.run_well(with(operation)).await;
        let said = |target: &str| {
            let value = format!("{}/{target}", site.source().display());
            Avu::new("link_target", value, "automated_ingest")
        };
        assert_eq!(avus(&site, "link").await, [said("one")], "{operation}");
        // Of somebody else, by other units or another name.
        let object = format!("{TARGET}/link");
        let theirs = [
            Avu::new("link_target", "mine", "me"),
            Avu::new("note", "mine", ""),
        ];
        for avu in &theirs {
            let entity = Entity::DataObject(&object);
            site.ask(async |zone| zone.add_avu(entity, avu).await).await;
        }
        link_to(&link, "other");
        let_times_settle(&link).await;
        site.run_well(with(operation)).await;
        let mut expected = vec![said("other")];
        expected.extend(theirs.clone());
        expected.sort();
        assert_eq!(avus(&site, "link").await, expected, "{operation}");

        // It is no link any more.
        std::fs::remove_file(&link).unwrap();
        site.write("link", "333");
        let_times_settle(&link).await;
        site.run_well(with(operation)).await;
        assert_eq!(avus(&site, "link").await, theirs, "{operation}");

        // And once more.
        link_to(&link, "one");
        let_times_settle(&link).await;
        site.run_well(with(operation)).await;
        let mut expected = vec![said("one")];
        expected.extend(theirs);
        expected.sort();
        assert_eq!(avus(&site, "link").await, expected, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_socket_or_a_name_is_there_once() {
    let site = Site::new().await;
    let socket = site.source().join("special");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let bad = site.write(b"bad\xff", "1");
    let_times_settle(&bad).await;
    site.run_well(with(Operation::RegisterSync)).await;
    let name = naming::element(b"bad\xff", || bad.as_os_str().as_bytes()).into_owned();
    let of_name = avus(&site, &name).await;
    assert_eq!(of_name.len(), 1);
    let of_socket = avus(&site, "special").await;
    assert_eq!(
        of_socket,
        [Avu::new("socket_target", "socket", "automated_ingest")]
    );

    drop(listener);
    std::fs::remove_file(&socket).unwrap();
    symlink("elsewhere", &socket).unwrap();
    site.write(b"bad\xff", "22");
    let_times_settle(&bad).await;
    let totals = site.run_well(with(Operation::RegisterSync)).await;
    assert_eq!(totals.updated, 2);
    assert_eq!(avus(&site, &name).await, of_name);
    let of_link = avus(&site, "special").await;
    assert_eq!(of_link.len(), 1);
    assert_eq!(of_link[0].attribute, "link_target");
}
