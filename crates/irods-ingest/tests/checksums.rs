//! Checksums on the way: who computes them, what is compared, and that bytes which arrive otherwise are no success.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::broker::Job;
use ingest::plan::Operation;
use ingest::sync_task::{ChecksumPolicy, JobOptions};
use irods_client::collection::ReplicaStatus;
use irods_client::{ConnectOptions, Pool, PoolOptions};
use sha2::{Digest, Sha256};
use support::{Site, let_times_settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the contents of these tests consist of; nothing else on the wire has five of them in a row.
const BYTE: u8 = 0xfa;

/// A way to the zone on which, whenever it is told to, one byte of a content is changed.
async fn noisy_way(zone_port: u16, change: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let zone = TcpStream::connect(("127.0.0.1", zone_port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_zone, mut to_zone) = zone.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_zone, &mut to_client).await });
            let change = change.clone();
            tokio::spawn(async move {
                let mut block = vec![0; 1 << 16];
                let mut run = 0;
                while let Ok(read @ 1..) = from_client.read(&mut block).await {
                    for byte in &mut block[..read] {
                        run = if *byte == BYTE { run + 1 } else { 0 };
                        if run == 5 && change.swap(false, Ordering::SeqCst) {
                            *byte = !BYTE;
                        }
                    }
                    if to_zone.write_all(&block[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

async fn noisy_site() -> (Site, Arc<AtomicBool>) {
    let mut site = Site::new().await;
    let change = Arc::new(AtomicBool::new(false));
    let mut environment = site.environment.clone();
    environment.port = noisy_way(environment.port, change.clone()).await;
    site.pool = Pool::new(
        environment,
        ConnectOptions::default(),
        PoolOptions::default(),
    );
    (site, change)
}

fn with(operation: Operation, checksum: ChecksumPolicy) -> JobOptions {
    JobOptions {
        operation,
        checksum,
        ..JobOptions::default()
    }
}

fn sha2(content: &[u8]) -> String {
    format!("sha2:{}", STANDARD.encode(Sha256::digest(content)))
}

/// Status and checksum of the newest replica of `/f`; nothing if there is none.
async fn newest(site: &Site) -> Option<(ReplicaStatus, String)> {
    let catalog = site.catalog().await;
    let replicas = catalog.get(&b"/f"[..])?;
    let replica = replicas.last()?;
    Some((replica.status, replica.checksum.to_string()))
}

/// Each size takes another way: one message, a stream.
const SIZES: [usize; 2] = [1000, 5 << 20];

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_arrives_otherwise_has_failed_and_is_done_again() {
    for size in SIZES {
        let (site, change) = noisy_site().await;
        let content = vec![BYTE; size];
        let_times_settle(&site.write("f", &content)).await;

        change.store(true, Ordering::SeqCst);
        let verify = || with(Operation::PutSync, ChecksumPolicy::Verify);
        let job = site.run(verify()).await;
        assert_eq!((job.totals.uploaded, job.totals.failed), (0, 1), "{size}");
        let message = site.failures(&job).await[0].failure.message.clone();
        assert!(
            message.to_lowercase().contains("checksum") || message.contains("CHKSUM"),
            "{message}"
        );
        assert_ne!(
            newest(&site).await.map(|(status, _)| status),
            Some(ReplicaStatus::Good)
        );

        change.store(true, Ordering::SeqCst);
        let options = JobOptions {
            max_retries: 1,
            ..verify()
        };
        let job = site.run(options).await;
        site.assert_no_failures(&job).await;
        assert_eq!((job.totals.uploaded, job.totals.retried), (1, 1), "{size}");
        let whole = Some((ReplicaStatus::Good, sha2(&content)));
        assert_eq!(newest(&site).await, whole, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_that_is_only_kept_is_that_of_what_arrived() {
    for size in SIZES {
        let (site, change) = noisy_site().await;
        let content = vec![BYTE; size];
        let_times_settle(&site.write("f", &content)).await;
        change.store(true, Ordering::SeqCst);
        let job = site
            .run(with(Operation::PutSync, ChecksumPolicy::Register))
            .await;
        site.assert_no_failures(&job).await;
        let (status, checksum) = newest(&site).await.unwrap();
        assert_eq!(status, ReplicaStatus::Good);
        assert!(checksum.starts_with("sha2:"), "{checksum}");
        assert_ne!(checksum, sha2(&content));
    }
}

/// The one replica that holds what the file holds has its checksum.
async fn assert_kept(site: &Site, job: &Job, content: &[u8]) {
    site.assert_no_failures(job).await;
    let expected = Some((ReplicaStatus::Good, sha2(content)));
    assert_eq!(newest(site).await, expected, "{:?}", job.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_follows_its_file_whatever_is_done() {
    use ChecksumPolicy::{None, Register, Verify};
    for (operation, first) in [
        (Operation::RegisterSync, Register),
        (Operation::RegisterSync, None),
        (Operation::PutSync, Verify),
        (Operation::PutAppend, Register),
        (Operation::PutAppend, None),
    ] {
        let site = Site::new().await;
        let file = site.write("f", "first");
        let_times_settle(&file).await;
        let job = site.run(with(operation, first)).await;
        match first {
            None => assert_eq!(newest(&site).await.unwrap().1, ""),
            _ => assert_kept(&site, &job, b"first").await,
        }
        site.write("f", "first and more");
        let_times_settle(&file).await;
        let job = site.run(with(operation, Verify)).await;
        assert_kept(&site, &job, b"first and more").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_replica_has_the_checksum_of_its_file() {
    let site = Site::new().await;
    let file = site.write("f", "uploaded");
    let_times_settle(&file).await;
    site.run(with(Operation::PutSync, ChecksumPolicy::Register))
        .await;
    let vault = site.dir.path().join("second");
    std::fs::create_dir(&vault).unwrap();
    site.add_resource("second", &vault).await;
    for content in ["registered now", "and once more"] {
        site.write("f", content);
        let_times_settle(&file).await;
        let job = site
            .run(JobOptions {
                resource: Some("second".into()),
                ..with(Operation::RegisterAsReplicaSync, ChecksumPolicy::Register)
            })
            .await;
        assert_kept(&site, &job, content.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_equal_gets_the_checksum_that_it_lacks() {
    let site = Site::new().await;
    let_times_settle(&site.write("f", "content")).await;
    site.run(with(Operation::RegisterSync, ChecksumPolicy::None))
        .await;
    assert_eq!(newest(&site).await.unwrap().1, "");
    let broker: &dyn ingest::broker::Broker = site.broker.as_ref();
    broker.clear_signatures(b"").await.unwrap();
    let job = site
        .run(with(Operation::RegisterSync, ChecksumPolicy::Register))
        .await;
    assert_eq!(job.totals.skipped_unchanged, 1, "{:?}", job.totals);
    assert_kept(&site, &job, b"content").await;
}
