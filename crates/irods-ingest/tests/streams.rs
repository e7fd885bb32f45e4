//! Large files over several connections: whole and verified in the end, whatever breaks, and never good before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use ingest::plan::Operation;
use ingest::sync_task::{ChecksumPolicy, JobOptions};
use irods_client::collection::ReplicaStatus;
use irods_client::protocol::api;
use irods_client::protocol::version::Version;
use irods_client::transfer::PARALLEL_FROM;
use irods_zone::Harsh;
use support::{Site, TARGET, let_times_settle};

const SIZE: usize = PARALLEL_FROM as usize + 4321;

fn options(streams: usize) -> JobOptions {
    JobOptions {
        operation: Operation::PutSync,
        checksum: ChecksumPolicy::Verify,
        transfer_streams: streams,
        max_retries: 60,
        ..JobOptions::default()
    }
}

/// Bytes of which no two neighbouring pages are equal.
fn content(seed: usize) -> Vec<u8> {
    let mut content = vec![0; SIZE];
    for (n, page) in content.chunks_mut(4096).enumerate() {
        page.fill((n ^ (n >> 8) ^ seed) as u8);
    }
    content
}

/// The object has one replica, a good one with a checksum, and those bytes.
async fn assert_whole(site: &Site, expected: &[u8]) {
    let catalog = site.catalog().await;
    let [replica] = catalog[&b"/large"[..]].as_slice() else {
        panic!("{catalog:?}")
    };
    assert_eq!(replica.status, ReplicaStatus::Good);
    assert_eq!(replica.size, expected.len() as u64);
    assert!(replica.checksum.starts_with("sha2:"), "{replica:?}");
    assert!(site.read(&format!("{TARGET}/large")).await == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_over_as_many_connections_as_the_job_says() {
    for streams in [1, 3] {
        let site = Site::new().await;
        let file = site.write("large", content(1));
        site.write("small", "s");
        let_times_settle(&file).await;
        let job = site.run(options(streams)).await;
        site.assert_no_failures(&job).await;
        assert_eq!(job.totals.uploaded, 2);
        // It is asked for the token that others may join by, and only for the large one.
        let shared = site.pool.counts().of(api::GET_FILE_DESCRIPTOR_INFO);
        assert_eq!(shared, u64::from(streams > 1));
        assert_whole(&site, &content(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_replica_tokens_gets_one_connection() {
    let site = Site::new().await;
    let file = site.write("large", content(2));
    let_times_settle(&file).await;
    let old = Harsh {
        seed: 1,
        release: Version::new(4, 2, 8),
        delay: Duration::ZERO,
        locale_order: false,
        strict: false,
        locked: 0,
        lost: 0,
        cut: 0,
    };
    let site = site.reopened(Some(old)).await;
    let job = site.run(options(4)).await;
    site.assert_no_failures(&job).await;
    let shared = site.pool.counts().of(api::GET_FILE_DESCRIPTOR_INFO);
    assert_eq!((job.totals.uploaded, shared), (1, 0));
    assert_whole(&site, &content(2)).await;
}

/// One call in fifty loses its connection, before or after it was carried out; an upload is some twenty calls.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_in_the_middle_leave_nothing_good_but_the_whole() {
    for seed in [1, 2, 3] {
        let site = Site::new().await;
        let file = site.write("large", content(3));
        let_times_settle(&file).await;
        let harsh = Harsh {
            seed,
            release: Version::new(5, 0, 2),
            delay: Duration::ZERO,
            locale_order: false,
            strict: false,
            locked: 0,
            lost: 12,
            cut: 12,
        };
        let site = site.reopened(Some(harsh)).await;
        let upload = site.run(options(3));
        let watch = async {
            loop {
                let object = format!("{TARGET}/large");
                let replicas = site.ask(async |zone| zone.replicas(&object).await).await;
                for replica in replicas {
                    let good = replica.status == ReplicaStatus::Good;
                    assert!(!good || replica.size == SIZE as u64, "{replica:?}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let job = tokio::select! {
            job = upload => job,
            () = watch => unreachable!(),
        };
        site.assert_no_failures(&job).await;
        assert_eq!(job.totals.uploaded, 1, "seed {seed}: {:?}", job.totals);
        let site = site.reopened(None).await;
        assert_whole(&site, &content(3)).await;
    }
}
