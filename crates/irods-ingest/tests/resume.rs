//! Workers that disappear: whatever they had in hand is done by others, once, and the totals are exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use ingest::broker::{Broker, Departure, JobState};
use ingest::core::NoHandler;
use ingest::plan::Operation;
use ingest::sync_task::JobOptions;
use support::{Site, assert_registered};

/// 2,300 children of one directory go into the queue in three batches, so a worker may leave between two of them.
const FILES: u64 = 2300;

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_directory_survives_workers_that_vanish() {
    let site = Site::new().await;
    for n in 0..FILES {
        site.write(format!("f{n:04}"), "");
    }
    let options = JobOptions {
        files_per_task: 1,
        ..JobOptions::default()
    };
    let job = site.start("wide", options).await;
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut lost = 0;
    loop {
        let (worker, _told) = site.worker(job.id, 3, Arc::new(NoHandler));
        let id = worker.id().clone();
        let running = tokio::spawn(worker.run());
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let until = site.broker.job(job.id).await.unwrap().totals.tasks + (random >> 33) % 200;
        loop {
            let now = site.broker.job(job.id).await.unwrap();
            if now.state.has_ended() || now.totals.tasks > until {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ended = site.broker.job(job.id).await.unwrap().state.has_ended();
        running.abort();
        let _ = running.await;
        if ended {
            break;
        }
        lost += 1;
        site.broker.worker_gone(&id, Departure::Died).await.unwrap();
    }
    assert!(lost >= 5, "only {lost} workers were lost");
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!(job.state, JobState::Finished);
    site.assert_no_failures(&job).await;
    assert_eq!(
        (
            job.totals.files_seen,
            job.totals.registered,
            job.totals.skipped_unchanged
        ),
        (FILES, FILES, 0)
    );
    assert_eq!(
        (job.totals.dirs_seen, job.totals.collections_created),
        (1, 1)
    );
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_drains_gives_back_what_it_has_not_done() {
    let site = Site::new().await;
    for n in 0..300 {
        site.write(format!("d{}/f{n}", n % 10), vec![b'x'; n]);
    }
    let options = JobOptions {
        operation: Operation::PutSync,
        ..JobOptions::default()
    };
    let job = site.start("drained", options).await;
    let mut drains = 0;
    loop {
        let (worker, told) = site.worker(job.id, 2, Arc::new(NoHandler));
        let running = tokio::spawn(worker.run());
        let before = site.broker.job(job.id).await.unwrap().totals.tasks;
        loop {
            let now = site.broker.job(job.id).await.unwrap();
            if now.state.has_ended() || now.totals.tasks > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        told.request();
        running.await.unwrap().unwrap();
        let now = site.broker.job(job.id).await.unwrap();
        assert_eq!(now.outstanding.leased, 0, "a drained worker holds nothing");
        if now.state.has_ended() {
            break;
        }
        drains += 1;
    }
    assert!(drains > 0);
    let job = site.broker.job(job.id).await.unwrap();
    site.assert_no_failures(&job).await;
    assert_eq!(
        (
            job.totals.files_seen,
            job.totals.uploaded,
            job.totals.retried
        ),
        (300, 300, 0)
    );
}
