//! Workers that disappear: whatever they had in hand is done by others, once, and the totals are exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingest::broker::{Broker, Departure, JobState};
use ingest::core::{Event, EventHandler, HookError, NoHandler, Subject};
use ingest::plan::Operation;
use ingest::source::{FileSystem, Links, Listing, Look, MountFacts, Source, SourceError, Stat};
use ingest::sync_task::JobOptions;
use ingest::worker::WorkerError;
use support::{Site, assert_registered};
use tokio::sync::Notify;

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

/// A source in which one file cannot be opened for want of file descriptors, as long as another is in hand.
#[derive(Debug)]
struct Short {
    files: FileSystem,
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Source for Short {
    fn mount_facts(&self, directory: &Path) -> Result<MountFacts, SourceError> {
        self.files.mount_facts(directory)
    }

    fn list(&self, directory: &Path, links: Links) -> Result<Listing, SourceError> {
        self.files.list(directory, links)
    }

    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        links: Links,
    ) -> Result<Result<Stat, SourceError>, SourceError> {
        Source::stat(&self.files, directory, name, links)
    }

    fn look(&self, directory: &Path, name: &[u8], links: Links) -> Result<Look, SourceError> {
        if name == b"short" {
            let (held, changed) = &*self.held;
            drop(changed.wait_while(held.lock().unwrap(), |held| !*held));
            return Err(SourceError::Io {
                doing: "open",
                path: "short".into(),
                source: std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()),
            });
        }
        self.files.look(directory, name, links)
    }

    fn open(
        &self,
        directory: &Path,
        name: &[u8],
        from: u64,
    ) -> Result<(Box<dyn Read + Send>, Stat), SourceError> {
        Source::open(&self.files, directory, name, from)
    }
}

/// Keeps the first file that it meets in hand.
#[derive(Debug)]
struct Holding(Arc<(Mutex<bool>, Condvar)>);

#[async_trait]
impl EventHandler for Holding {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }

    async fn pre(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
        std::future::pending().await
    }
}

/// A start that lacks file descriptors ends in the middle of what it has in hand, which is not charged with that however often
/// it happens.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_hand_when_a_start_had_to_give_up_is_not_charged_with_it() {
    let site = Site::new().await;
    for name in ["held", "short"] {
        site.write(name, name);
    }
    let options = JobOptions {
        operation: Operation::PutSync,
        files_per_task: 1,
        ..JobOptions::default()
    };
    let job = site.start("short", options).await;
    for _ in 0..12 {
        let held = Arc::<(Mutex<bool>, Condvar)>::default();
        let source = Short {
            files: FileSystem::open(&site.source()).unwrap(),
            held: held.clone(),
        };
        let (worker, _told) = site.worker(job.id, 2, Arc::new(Holding(held)));
        let worker = worker.with_source(Arc::new(source));
        let why = worker.run().await.unwrap_err();
        assert!(matches!(why, WorkerError::CannotDo(_)), "{why}");
        let now = site.broker.job(job.id).await.unwrap();
        assert_eq!(now.outstanding.leased, 0);
    }
    let (worker, _told) = site.worker(job.id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.uploaded, 2);
}

/// Says that it has met the file of this name, and never comes back from it.
#[derive(Debug)]
struct Deadly(Arc<Notify>);

#[async_trait]
impl EventHandler for Deadly {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }

    async fn pre(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        if subject.target.ends_with("/deadly") {
            self.0.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_kills_its_workers_is_given_up_alone() {
    let site = Site::new().await;
    for name in ["a", "deadly", "z"] {
        site.write(name, name);
    }
    let job = site.start("deadly", JobOptions::default()).await;
    let mut deaths = 0;
    loop {
        let met = Arc::new(Notify::new());
        let (worker, _told) = site.worker(job.id, 1, Arc::new(Deadly(met.clone())));
        let id = worker.id().clone();
        let mut running = tokio::spawn(worker.run());
        tokio::select! {
            ended = &mut running => {
                ended.unwrap().unwrap();
                break;
            }
            () = met.notified() => {}
        }
        running.abort();
        let _ = running.await;
        site.broker.worker_gone(&id, Departure::Died).await.unwrap();
        deaths += 1;
    }
    // As often in its chunk as by itself.
    assert_eq!(deaths, 20);
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!(job.state, JobState::Finished);
    assert_eq!((job.totals.registered, job.totals.failed), (2, 1));
    let failures = site.failures(&job).await;
    assert!(failures[0].failure.path.ends_with(b"/deadly"));
}
