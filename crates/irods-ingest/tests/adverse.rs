//! What happens at the worst moment: a file becomes a directory, the source or the worker goes away in the middle of a chunk,
//! the target is gone while everything of it is remembered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ingest::broker::{Broker, Job, JobState, WorkerId, WorkerInfo};
use ingest::core::{Event, EventHandler, HookError, NoHandler, Subject};
use ingest::plan::Operation;
use ingest::shutdown::shutdown;
use ingest::sync_task::job::{self, start_synchronization};
use ingest::sync_task::{JobOptions, LogTasks};
use ingest::worker::{Worker, WorkerOptions};
use irods_client::collection::RemoveCollection;
use irods_client::data_object::Remove;
use irods_client::transfer::Put;
use support::{Site, TARGET, assert_registered, let_times_settle, request};

/// Does something when the file of this name is about to be created.
struct Before<F>(&'static str, F);

impl<F> fmt::Debug for Before<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[async_trait]
impl<F: Fn() -> bool + Send + Sync> EventHandler for Before<F> {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }

    async fn pre(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let here = Path::new(subject.target).file_name().unwrap() == self.0;
        if here && !(self.1)() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn finish(site: &Site, job: &Job) -> Job {
    let (worker, _told) = site.worker(job.id, 1, Arc::new(NoHandler));
    worker.run().await.unwrap();
    site.broker.job(job.id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_became_a_directory_is_not_registered_as_a_file() {
    let site = Site::new().await;
    site.write("a", "a");
    let b = site.write("b", "b");
    let c = site.write("c", "c");
    let change = move || {
        for path in [&b, &c] {
            std::fs::remove_file(path).unwrap();
        }
        std::fs::create_dir(&b).unwrap();
        std::fs::write(b.join("inner"), "inner").unwrap();
        std::os::unix::fs::symlink("a", &c).unwrap();
        true
    };
    let options = JobOptions {
        exclude_file_type: "link".into(),
        ..JobOptions::default()
    };
    let job = site
        .run_with(options.clone(), Arc::new(Before("a", change)))
        .await;
    let failures = site.failures(&job).await;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].failure.code_name, "SOURCE_CHANGED");
    assert_eq!((job.totals.registered, job.totals.excluded), (1, 1));
    let job = site.run(options).await;
    site.assert_no_failures(&job).await;
    std::fs::remove_file(site.source().join("c")).unwrap();
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_did_before_it_left_at_once_is_counted_as_done() {
    let site = Site::new().await;
    for name in ["a", "b", "c"] {
        site.write(name, name);
    }
    let job = site.start("cut", JobOptions::default()).await;
    let (sender, told) = shutdown();
    let leave = move || {
        sender.request();
        sender.request();
        false
    };
    let worker = worker(&site, &job, Arc::new(Before("b", leave)), told, 30_000);
    worker.run().await.unwrap();
    let job = finish(&site, &job).await;
    site.assert_no_failures(&job).await;
    assert_eq!(
        (job.totals.registered, job.totals.skipped_unchanged),
        (3, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_before_the_source_went_away_is_counted_as_done() {
    let site = Site::new().await;
    for name in ["a", "b", "c"] {
        site.write(name, name);
    }
    let (here, away) = (site.source(), site.dir.path().join("away"));
    let job = site.start("unmounted", JobOptions::default()).await;
    let unmount = {
        let (here, away) = (here.clone(), away.clone());
        move || std::fs::rename(&here, &away).is_ok()
    };
    let (first, _told) = site.worker(job.id, 1, Arc::new(Before("b", unmount)));
    let error = first.run().await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    assert_eq!(site.broker.job(job.id).await.unwrap().totals.registered, 2);
    std::fs::rename(&away, &here).unwrap();
    let job = finish(&site, &job).await;
    site.assert_no_failures(&job).await;
    assert_eq!(
        (job.totals.registered, job.totals.skipped_unchanged),
        (3, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_is_done_again() {
    let site = Site::new().await;
    site.write("a", "a");
    let job = site.start("panics", JobOptions::default()).await;
    let first = AtomicBool::new(true);
    let panics = move || match first.swap(false, Ordering::SeqCst) {
        true => panic!("this panic is a part of the test"),
        false => true,
    };
    let (_sender, told) = shutdown();
    let worker = worker(&site, &job, Arc::new(Before("a", panics)), told, 300);
    // Without an end it would be extended for ever.
    tokio::time::timeout(Duration::from_secs(60), worker.run())
        .await
        .unwrap()
        .unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!((job.state, job.totals.registered), (JobState::Finished, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_of_a_target_that_is_gone() {
    for operation in [Operation::RegisterSync, Operation::Put, Operation::PutSync] {
        let site = Site::new().await;
        let file = site.write("d/f", "content");
        let_times_settle(&file).await;
        let options = JobOptions {
            operation,
            ..JobOptions::default()
        };
        site.run(options.clone()).await;
        let how = RemoveCollection::Force;
        site.connection()
            .await
            .remove_collection(TARGET, how, &mut |_| {})
            .await
            .unwrap();
        let job = site.run(options).await;
        site.assert_no_failures(&job).await;
        assert_eq!(job.totals.registered + job.totals.uploaded, 1);
        assert_eq!(job.totals.collections_created, 2);
        assert_eq!(site.catalog().await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_below_a_data_object_is_refused_and_not_tried_for_ever() {
    let site = Site::new().await;
    site.write("d/f", "content");
    let mut zone = site.connection().await;
    let object = "/tempZone/home/rods/object";
    zone.put_bytes(object, b"x", &Put::default()).await.unwrap();
    drop(zone);
    let target = format!("{object}/below/it");
    let source = site.source();
    let request = || request(&source, &target, JobOptions::default());
    let refused = job::check(&site.pool, &request()).await.unwrap_err();
    assert!(
        refused.to_string().contains("is a data object"),
        "{refused}"
    );
    // It came there after the check.
    let mut zone = site.connection().await;
    zone.remove_data_object(object, Remove::Force)
        .await
        .unwrap();
    let broker: &dyn Broker = site.broker.as_ref();
    let queued = start_synchronization(broker, &site.pool, request())
        .await
        .unwrap();
    zone.put_bytes(object, b"x", &Put::default()).await.unwrap();
    drop(zone);
    let job = finish(&site, queued.job()).await;
    let failures = site.failures(&job).await;
    assert_eq!((job.state, failures.len()), (JobState::Finished, 1));
    assert!(
        failures[0].failure.message.contains("is not a collection"),
        "{failures:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_physical_path_that_a_server_would_cut_off_is_not_registered() {
    let site = Site::new().await;
    let deep = ["e".repeat(200).as_str(); 6].join("/");
    site.write(format!("{deep}/f"), "content");
    let source = site.source().join(deep);
    let request = request(&source, TARGET, JobOptions::default());
    let broker: &dyn Broker = site.broker.as_ref();
    let queued = start_synchronization(broker, &site.pool, request)
        .await
        .unwrap();
    let job = finish(&site, queued.job()).await;
    let failures = site.failures(&job).await;
    assert_eq!((job.totals.registered, failures.len()), (0, 1));
    assert!(
        failures[0].failure.message.contains("iRODS takes 1023"),
        "{failures:?}"
    );
}

fn worker(
    site: &Site,
    job: &Job,
    handler: Arc<dyn EventHandler>,
    told: ingest::shutdown::Shutdown,
    lease: u64,
) -> Worker {
    let info = WorkerInfo {
        id: WorkerId(format!("adverse-{}", job.id)),
        host: "here".into(),
        pid: std::process::id(),
        process: String::new(),
        version: String::new(),
        status: String::new(),
    };
    let mut options = WorkerOptions::new(info, 1);
    options.filter.only = Some(job.id);
    options.until_ended = Some(job.id);
    options.lease_for = Duration::from_millis(lease);
    Worker::new(
        site.broker.clone(),
        site.pool.clone(),
        handler,
        Arc::new(LogTasks),
        options,
        told,
    )
}
