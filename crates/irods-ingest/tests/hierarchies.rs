//! Resources that are named as leaf, root or something between: what sites with the Python tool have come to expect of each operation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::os::unix::fs::MetadataExt;

use bstr::{BString, ByteSlice};
use ingest::plan::Operation;
use ingest::sync_task::JobOptions;
use ingest::sync_task::job;
use irods_client::collection::ReplicaStatus;
use irods_client::protocol::{api, message::GeneralAdminInp};
use irods_client::register::{Register, Target};
use support::{Site, TARGET, assert_registered, request};

const ROOT: &str = "root";
const MIDDLE: &str = "middle";
const LEAF: &str = "leaf_a";
const LEAVES: [&str; 2] = [LEAF, "leaf_b"];
const FILES: u64 = 4;

fn with(operation: Operation, resource: Option<&str>) -> JobOptions {
    JobOptions {
        operation,
        resource: resource.map(str::to_owned),
        files_per_task: 1,
        ..JobOptions::default()
    }
}

async fn admin(site: &Site, words: [&str; 5]) {
    let argument = |text: &str| Some(text.to_owned());
    let [verb, what, name, four, five] = words;
    let input = GeneralAdminInp {
        arg0: argument(verb),
        arg1: argument(what),
        arg2: argument(name),
        arg3: argument(four),
        arg4: argument(five),
        ..GeneralAdminInp::default()
    };
    let mut zone = site.connection().await;
    let request = irods_client::connection::Request::new(api::GENERAL_ADMIN, name);
    zone.call(request, Some(&input)).await.unwrap();
}

/// `root` (random) over `middle` (random) over two leaves.
async fn site() -> Site {
    let site = Site::new().await;
    for name in [ROOT, MIDDLE] {
        admin(&site, ["add", "resource", name, "random", ""]).await;
    }
    admin(&site, ["add", "childtoresc", ROOT, MIDDLE, ""]).await;
    for name in LEAVES {
        let vault = site.dir.path().join(name);
        std::fs::create_dir(&vault).unwrap();
        site.add_resource(name, &vault).await;
        admin(&site, ["add", "childtoresc", MIDDLE, name, ""]).await;
    }
    write(&site, "first");
    site
}

/// Files whose times tell them apart from any with other texts.
fn write(site: &Site, content: &str) {
    for n in 0..FILES {
        let time = 1_000_000_000 + 100 * content.len() as u64 + n;
        site.write_dated(format!("f{n}"), format!("{content} {n}"), time);
    }
}

/// The leaves that the replicas of this number and status are on.
async fn leaves(site: &Site, number: usize, status: ReplicaStatus) -> Vec<String> {
    let catalog = site.catalog().await;
    assert_eq!(catalog.len() as u64, FILES);
    catalog
        .values()
        .map(|replicas| {
            let replica = &replicas[number];
            assert_eq!(replica.status, status);
            let hierarchy = replica.hierarchy.clone();
            hierarchy.rsplit(';').next().unwrap().to_owned()
        })
        .collect()
}

fn assert_all_in(found: &[String], allowed: &[&str]) {
    assert!(
        found.iter().all(|leaf| allowed.contains(&leaf.as_str())),
        "{found:?}"
    );
}

/// Every file has failed, each with this, and nothing came of it.
async fn assert_all_failed(site: &Site, options: JobOptions, says: &str) {
    let job = site.run(options).await;
    assert_eq!(job.totals.failed, FILES, "{:?}", job.totals);
    let failures = site.failures(&job).await;
    assert_eq!(failures.len() as u64, FILES);
    for failure in failures {
        let message = failure.failure.message;
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_registered_on_a_leaf_and_below_a_root_and_followed_there() {
    for (named, allowed) in [(LEAF, &[LEAF][..]), (ROOT, &LEAVES)] {
        let site = site().await;
        let options = || with(Operation::RegisterSync, Some(named));
        assert_eq!(site.run_well(options()).await.registered, FILES);
        let before = leaves(&site, 0, ReplicaStatus::Good).await;
        assert_all_in(&before, allowed);
        assert_registered(&site).await;

        write(&site, "second, longer");
        assert_eq!(site.run_well(options()).await.updated, FILES);
        assert_eq!(leaves(&site, 0, ReplicaStatus::Good).await, before);
        assert_registered(&site).await;

        // Only their permissions change: the catalog stays, and nothing fails.
        for n in 0..FILES {
            let path = site.source().join(format!("f{n}"));
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(path, mode).unwrap();
        }
        let catalog = site.catalog().await;
        let t = site.run_well(options()).await;
        assert_eq!((t.metadata_only, t.updated), (FILES, 0));
        assert_eq!(site.catalog().await, catalog);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_on_a_leaf_alone() {
    let site = site().await;
    let direct = |resource| JobOptions {
        direct_register: true,
        files_per_task: 2,
        ..with(Operation::RegisterSync, Some(resource))
    };
    let source = site.source();
    let request = request(&source, TARGET, direct(MIDDLE));
    let refused = job::check(&site.pool, &request).await.unwrap_err();
    let why = "needs the name of a resource that holds files itself; middle is of type random";
    assert!(refused.to_string().contains(why), "{refused}");
    assert_eq!(site.run_well(direct(LEAF)).await.registered, FILES);
    assert_eq!(site.pool.counts().of(api::REG_DATA_OBJ), FILES / 2);
    for replicas in site.catalog().await.values() {
        assert_eq!(replicas[0].hierarchy, "root;middle;leaf_a");
    }
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_uploaded_below_a_root_and_follow_their_changes() {
    for operation in [Operation::Put, Operation::PutSync, Operation::PutAppend] {
        let site = site().await;
        let options = || with(operation, Some(ROOT));
        assert_eq!(site.run_well(options()).await.uploaded, FILES);
        let found = leaves(&site, 0, ReplicaStatus::Good).await;
        assert_all_in(&found, &LEAVES);
        let assert_uploaded = async |content: &dyn Fn(u64) -> String| {
            let catalog = site.catalog().await;
            for (n, leaf) in (0..).zip(&found) {
                let [replica] = &catalog[&BString::from(format!("/f{n}"))][..] else {
                    panic!("one replica of f{n} is expected: {catalog:?}");
                };
                let vault = site.dir.path().join(leaf);
                let place = vault.join(format!("home/rods/landing/f{n}"));
                assert_eq!(replica.path, place.to_str().unwrap());
                assert_eq!(replica.size, content(n).len() as u64);
                let read = site.read(&format!("{TARGET}/f{n}")).await;
                assert_eq!(read, content(n).as_bytes(), "{operation}");
            }
        };
        let first = |n: u64| format!("first {n}");
        assert_uploaded(&first).await;

        // What is appended to begins as it did; else some are longer, and some shorter.
        let second = |n: u64| match operation {
            Operation::PutAppend => format!("{} and {n}", first(n)),
            _ => "another ".repeat(n as usize),
        };
        for n in 0..FILES {
            site.write(format!("f{n}"), second(n));
        }
        let t = site.run_well(options()).await;
        let done = (t.skipped_unchanged, t.uploaded, t.appended);
        let (expected, content): (_, &dyn Fn(u64) -> String) = match operation {
            Operation::Put => ((FILES, 0, 0), &first),
            Operation::PutSync => ((0, FILES, 0), &second),
            _ => ((0, 0, FILES), &second),
        };
        assert_eq!(done, expected, "{operation}");
        assert_eq!(leaves(&site, 0, ReplicaStatus::Good).await, found);
        assert_uploaded(content).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_resource_does_not_take_fails_every_file_and_leaves_nothing() {
    for (operation, named, says) in [
        (Operation::RegisterSync, MIDDLE, "HIERARCHY_ERROR"),
        (Operation::Put, LEAF, "DIRECT_CHILD_ACCESS"),
        (Operation::Put, MIDDLE, "DIRECT_CHILD_ACCESS"),
        (Operation::PutSync, LEAF, "DIRECT_CHILD_ACCESS"),
        (Operation::PutSync, MIDDLE, "DIRECT_CHILD_ACCESS"),
        (Operation::PutAppend, LEAF, "DIRECT_CHILD_ACCESS"),
        (Operation::PutAppend, MIDDLE, "DIRECT_CHILD_ACCESS"),
    ] {
        let site = site().await;
        assert_all_failed(&site, with(operation, Some(named)), says).await;
        assert!(site.catalog().await.is_empty(), "{operation} {named}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_registered_on_a_leaf_and_below_a_root() {
    for (named, allowed) in [(LEAF, &[LEAF][..]), (ROOT, &LEAVES)] {
        let site = site().await;
        site.run_well(with(Operation::Put, None)).await;
        let uploaded = site.catalog().await;
        let options = || with(Operation::RegisterAsReplicaSync, Some(named));
        for content in ["second, longer", "and once more, still longer"] {
            write(&site, content);
            site.run_well(options()).await;
            assert_all_in(&leaves(&site, 1, ReplicaStatus::Good).await, allowed);
            leaves(&site, 0, ReplicaStatus::Stale).await;
            for (name, replicas) in site.catalog().await {
                assert_eq!(replicas.len(), 2);
                let file = site.source().join(name.to_string().trim_start_matches('/'));
                assert_eq!(replicas[1].path, file.to_str().unwrap());
                let meta = file.metadata().unwrap();
                let of_file = (meta.len(), MetadataExt::mtime(&meta));
                assert_eq!((replicas[1].size, replicas[1].mtime), of_file);
                // What was uploaded is what it was.
                let [old, before] = [&replicas[0], &uploaded[&name][0]];
                assert_eq!((&old.path, old.size), (&before.path, before.size));
                let vault = std::fs::read(old.path.to_path().unwrap()).unwrap();
                let first = name.to_string().replace("/f", "first ");
                assert_eq!(vault, first.as_bytes());
                let read = site.read(&format!("{TARGET}{name}")).await;
                assert_eq!(read, std::fs::read(&file).unwrap());
            }
        }
    }
    let site = site().await;
    site.run_well(with(Operation::Put, None)).await;
    let uploaded = site.catalog().await;
    let middle = with(Operation::RegisterAsReplicaSync, Some(MIDDLE));
    assert_all_failed(&site, middle, "HIERARCHY_ERROR").await;
    assert_eq!(site.catalog().await, uploaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_has_another_file_of_the_object_takes_no_second_one() {
    let site = site().await;
    // The same names from another directory.
    site.create_collection(TARGET).await;
    for n in 0..FILES {
        let file = site.dir.path().join(format!("other {n}"));
        std::fs::write(&file, "another").unwrap();
        let what = Register {
            file: file.to_str().unwrap().to_owned(),
            target: Some(Target::Resource(LEAF.to_owned())),
            ..Register::default()
        };
        let mut zone = site.connection().await;
        zone.register(&format!("{TARGET}/f{n}"), &what)
            .await
            .unwrap();
    }
    let before = site.catalog().await;
    let options = with(Operation::RegisterAsReplicaSync, Some(LEAF));
    assert_all_failed(&site, options, "already holds a replica").await;
    assert_eq!(site.catalog().await, before);
    assert!(before.contains_key(&BString::from("/f0")));
}
