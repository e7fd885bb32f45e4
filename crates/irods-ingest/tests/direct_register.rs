//! Registering by writing rows: the catalog is the same as otherwise, and what the zone does not check is not got round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use ingest::core::rules::Rules;
use ingest::plan::Operation;
use ingest::spec::ChecksumPolicy;
use ingest::sync_task::JobOptions;
use ingest::sync_task::job;
use irods_client::access::Grant;
use irods_client::data_object::ChecksumMode;
use irods_client::protocol::{api, path};
use irods_client::replica::{ReplicaRef, Replicate, Trim};
use irods_client::transfer::Put;
use support::{Site, TARGET, assert_registered, let_times_settle, request};

const RESOURCE: &str = "demoResc";

fn direct() -> JobOptions {
    JobOptions {
        operation: Operation::RegisterSync,
        resource: Some(RESOURCE.into()),
        direct_register: true,
        files_per_task: 20,
        ..JobOptions::default()
    }
}

/// How many calls of this kind were made.
fn calls(site: &Site, api: i32) -> u64 {
    site.pool.counts().of(api)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_registered_as_it_would_be_otherwise() {
    let site = Site::new().await;
    for n in 0..50 {
        site.write(format!("d{}/ü {n}", n % 2), vec![b'a'; n * 7]);
    }
    std::os::unix::fs::symlink("nowhere", site.source().join("d0/link")).unwrap();
    let_times_settle(&site.source().join("d1/ü 49")).await;
    let counts = site.run_well(direct()).await;
    assert_eq!((counts.registered, counts.failed), (51, 0));
    assert_registered(&site).await;
    // Of 25 files and a link, and of 25 files, in tasks of 20: the first of each goes the usual way. The link is one of them.
    let usual = calls(&site, api::PHY_PATH_REG);
    assert_eq!((calls(&site, api::REG_DATA_OBJ), usual), (51 - 4, 4));

    let grown = site.write("d0/ü 4", "rather longer than before");
    for n in 0..3 {
        site.write(format!("d0/new {n}"), "new");
    }
    let_times_settle(&grown).await;
    let counts = site.run_well(direct()).await;
    let done = (counts.registered, counts.updated, counts.skipped_unchanged);
    assert_eq!(done, (3, 1, 50));
    assert_registered(&site).await;
    let usual_now = calls(&site, api::PHY_PATH_REG) - usual;
    assert_eq!(
        (calls(&site, api::REG_DATA_OBJ), usual_now),
        (51 - 4 + 2, 1)
    );
    let counts = site.run_well(direct()).await;
    assert_eq!(counts.skipped_unchanged, 54);
}

/// The server would take the name for free: the object that has it has no replica of the number that is written.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_replica_0_does_not_become_two() {
    let site = Site::new().await;
    let vault = site.dir.path().join("other vault");
    std::fs::create_dir(&vault).unwrap();
    site.add_resource("otherResc", &vault).await;
    for n in 0..4 {
        site.write(format!("f{n}"), "content");
    }
    let_times_settle(&site.source().join("f3")).await;
    site.create_collection(TARGET).await;
    let taken = format!("{TARGET}/f2");
    let mut zone = site.connection().await;
    let content: &[u8] = b"content";
    zone.put(&taken, content, 7, &Put::default()).await.unwrap();
    let to_other = Replicate {
        to: Some("otherResc".into()),
        ..Replicate::default()
    };
    zone.replicate(&taken, &to_other).await.unwrap();
    let how = Trim {
        keep: 1,
        ..Trim::default()
    };
    let trimmed = zone.trim(&taken, &ReplicaRef::Number(0), &how).await;
    assert!(trimmed.unwrap());
    let before = zone.replicas(&taken).await.unwrap();
    assert_eq!(before.iter().map(|r| r.number).collect::<Vec<_>>(), [1]);
    drop(zone);

    site.run(direct()).await;
    assert_eq!(calls(&site, api::REG_DATA_OBJ), 2);
    let mut zone = site.connection().await;
    let after = zone.replicas(&taken).await.unwrap();
    assert_eq!(after.iter().map(|r| r.number).collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_zone_refuses_to_register_is_not_written_either() {
    let site = Site::new().await;
    for n in 0..3 {
        site.write(format!("f{n}"), "content");
    }
    let_times_settle(&site.source().join("f2")).await;
    site.add_user("alice").await;
    site.create_collection(TARGET).await;
    let grant = Grant::new("alice", "own");
    let mut zone = site.connection().await;
    let home = path::parent(TARGET).unwrap();
    for collection in [home, TARGET] {
        let granted = zone.apply_access(collection, std::slice::from_ref(&grant), false);
        granted.await.unwrap();
    }
    drop(zone);
    let job = site
        .run(JobOptions {
            rules: Rules::with_flags(None, None, Some("alice".into())),
            ..direct()
        })
        .await;
    assert_eq!(job.totals.failed, 3);
    for failure in site.failures(&job).await {
        let name = failure.failure.code_name;
        assert_eq!(name, "PATH_REG_NOT_ALLOWED");
    }
    assert_eq!(calls(&site, api::REG_DATA_OBJ), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_kept_as_otherwise() {
    let site = Site::new().await;
    for n in 0..3 {
        site.write(format!("f{n}"), "content");
    }
    let_times_settle(&site.source().join("f2")).await;
    site.run_well(JobOptions {
        checksum: ChecksumPolicy::Register,
        ..direct()
    })
    .await;
    assert_eq!(calls(&site, api::REG_DATA_OBJ), 2);
    for (name, replicas) in site.catalog().await {
        assert!(replicas[0].checksum.starts_with("sha2:"), "{name}");
    }
    let object = format!("{TARGET}/f2");
    let mut zone = site.connection().await;
    let stored = zone.checksum(&object, ChecksumMode::Stored).await.unwrap();
    let computed = zone.checksum(&object, ChecksumMode::Recompute).await;
    assert_eq!(computed.unwrap(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_directly_is_refused_before_anything_begins() {
    let site = Site::new().await;
    let refusals = [
        (
            JobOptions {
                operation: Operation::PutSync,
                ..direct()
            },
            "does not go with PUT_SYNC",
        ),
        (
            JobOptions {
                resource: None,
                ..direct()
            },
            "needs the name of the resource that holds the files",
        ),
    ];
    let source = site.source();
    for (options, why) in refusals {
        let request = request(&source, TARGET, options);
        let refused = job::check(&site.pool, &request).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert!(site.stat(TARGET).await.is_none());
}
