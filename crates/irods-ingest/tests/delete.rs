//! What is gone from the source goes from the zone, as far as it was asked for; and what is not certainly gone stays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ingest::broker::{Broker, FailureFilter, Job, JobState};
use ingest::core::{Event, EventHandler, HookError, NoHandler, Subject};
use ingest::plan::{DeleteMode, Operation};
use ingest::shutdown::{ShutdownSender, shutdown};
use ingest::sync_task::{JobOptions, LogTasks};
use support::{Site, TARGET, assert_registered};

const TRASH: &str = "/tempZone/trash/home/rods/landing";

fn with(operation: Operation, delete_mode: DeleteMode) -> JobOptions {
    JobOptions {
        operation,
        delete_mode,
        files_per_task: 2,
        ..JobOptions::default()
    }
}

/// A tree with something deep in it, ingested.
async fn site(operation: Operation, delete_mode: DeleteMode) -> Site {
    let site = Site::new().await;
    for name in [
        "keep",
        "drop",
        "dir/keep",
        "dir/drop",
        ".hidden/x",
        "hidden/x",
    ] {
        site.write(name, name);
    }
    for n in 0..7 {
        site.write(format!("gone/f{n}"), "x");
        site.write(format!("gone/deep/er/f{n}"), "x");
    }
    std::fs::create_dir_all(site.source().join("gone/empty/chain")).unwrap();
    let job = site.run(with(operation, delete_mode)).await;
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, 0);
    site
}

fn remove(site: &Site) {
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    std::fs::remove_file(site.source().join("drop")).unwrap();
    std::fs::remove_file(site.source().join("dir/drop")).unwrap();
}

/// 2 + 14 objects and gone, gone/deep, gone/deep/er, gone/empty, gone/empty/chain.
const GONE: u64 = 16 + 5;

async fn names(site: &Site) -> Vec<String> {
    site.catalog()
        .await
        .keys()
        .map(ToString::to_string)
        .collect()
}

async fn exists(site: &Site, path: &str) -> bool {
    site.stat(path).await.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn unregistering_follows_the_source_and_leaves_the_files() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    let before = names(&site).await.len();
    remove(&site);
    let t = site
        .run_well(with(Operation::RegisterSync, DeleteMode::Unregister))
        .await;
    assert_eq!(t.deleted, GONE);
    assert_registered(&site).await;
    assert_eq!(names(&site).await.len() as u64, before as u64 - GONE);
    assert!(!exists(&site, TRASH).await, "nothing goes to the trash");
    let job = site
        .run(with(Operation::RegisterSync, DeleteMode::Unregister))
        .await;
    assert_eq!((job.totals.deleted, job.totals.skipped_unchanged), (0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_to_the_trash_or_for_good() {
    for (mode, in_trash) in [(DeleteMode::Trash, true), (DeleteMode::NoTrash, false)] {
        let site = site(Operation::PutSync, mode).await;
        remove(&site);
        let t = site.run_well(with(Operation::PutSync, mode)).await;
        assert_eq!(t.deleted, GONE, "{mode}");
        assert!(!exists(&site, &format!("{TARGET}/gone")).await);
        assert!(exists(&site, &format!("{TARGET}/dir/keep")).await);
        let trashed = [format!("{TRASH}/drop"), format!("{TRASH}/gone/deep/er/f3")];
        for path in trashed {
            assert_eq!(exists(&site, &path).await, in_trash, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn do_not_delete_deletes_nothing() {
    let site = site(Operation::RegisterSync, DeleteMode::DoNotDelete).await;
    let before = names(&site).await;
    remove(&site);
    let job = site
        .run(with(Operation::RegisterSync, DeleteMode::DoNotDelete))
        .await;
    assert_eq!((job.totals.deleted, names(&site).await), (0, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_or_hidden_is_not_gone() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    let before = names(&site).await;
    let options = JobOptions {
        exclude_file_name: vec![".*/drop$".into()],
        exclude_directory_name: vec![".*/gone$".into()],
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let job = site.run(options).await;
    site.assert_no_failures(&job).await;
    assert_eq!((job.totals.deleted, names(&site).await), (0, before));
    std::fs::remove_dir_all(site.source().join(".hidden")).unwrap();
    let t = site
        .run_well(with(Operation::RegisterSync, DeleteMode::Unregister))
        .await;
    assert_eq!(
        t.deleted, 2,
        "the collection .hidden with its object, and nothing of hidden"
    );
    assert!(exists(&site, &format!("{TARGET}/hidden/x")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_root_deletes_nothing_and_says_so() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    let before = names(&site).await;
    for entry in std::fs::read_dir(site.source()).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
    let job = site
        .run(with(Operation::RegisterSync, DeleteMode::Unregister))
        .await;
    assert_eq!((job.totals.deleted, job.totals.failed), (0, 1));
    assert_eq!(names(&site).await, before);
    let failure = &site.failures(&job).await[0].failure;
    assert_eq!(failure.code_name, "DELETION_REFUSED");
    assert!(failure.message.contains("empty"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_ends_the_job() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    remove(&site);
    let options = JobOptions {
        max_delete: Some(1),
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let job: Job = site.run(options).await;
    assert_eq!(job.state, JobState::Failed);
    assert!(job.failed.unwrap().contains("--max_delete 1"));
    assert!(
        names(&site)
            .await
            .iter()
            .filter(|n| n.starts_with("/gone"))
            .count()
            > 10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_text_are_followed_too() {
    let site = Site::new().await;
    site.write(b"bad\xff", "x");
    site.write(b"worse\xfe/\xfd", "x");
    site.write("good", "x");
    let options = || with(Operation::RegisterSync, DeleteMode::Unregister);
    site.run(options()).await;
    let job = site.run(options()).await;
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, 0, "they are there");
    std::fs::remove_file(site.write(b"bad\xff", "")).unwrap();
    std::fs::remove_dir_all(site.write(b"worse\xfe/\xfd", "").parent().unwrap()).unwrap();
    assert_eq!(site.run_well(options()).await.deleted, 3);
    assert_eq!(names(&site).await, ["/good"]);
}

/// The first attempt at each deletion fails.
#[derive(Debug, Default)]
struct FirstFails {
    tried: Mutex<BTreeMap<(String, String), u32>>,
    always: bool,
}

#[async_trait]
impl EventHandler for FirstFails {
    fn has_hooks(&self, event: Event) -> bool {
        matches!(event, Event::DataObjDelete | Event::CollDelete)
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let mut tried = self.tried.lock().unwrap();
        let what = (event.name().to_owned(), subject.target.to_owned());
        let tries = tried.entry(what).or_default();
        *tries += 1;
        match self.always || *tries == 1 {
            true => Err(HookError {
                message: "not now".to_owned(),
                skip: false,
            }),
            false => Ok(()),
        }
    }

    async fn post(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_fails_is_tried_again_as_often_as_the_job_says() {
    let options = JobOptions {
        max_retries: 1,
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    if site.harsh.is_some() {
        // It counts attempts, to which a harsh zone adds.
        return;
    }
    remove(&site);
    let handler = Arc::new(FirstFails::default());
    let job = site.start("first fails", options.clone()).await;
    // One by one, so that no two tasks find the same collection empty.
    let watcher = Arc::new(LogTasks);
    site.run_watched(job.id, handler.clone(), watcher).await;
    let job = site.broker.job(job.id).await.unwrap();
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, GONE);
    assert_eq!(job.totals.retried, GONE, "each of them once");
    assert!(
        handler
            .tried
            .lock()
            .unwrap()
            .values()
            .all(|tries| *tries == 2)
    );
    assert_registered(&site).await;

    // What fails to the end is in the ledger by its own name, with its attempts, and can be tried again from there.
    for name in ["gone/a", "gone/b", "gone/c"] {
        site.write(name, "x");
    }
    site.run(options.clone()).await;
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    let handler = Arc::new(FirstFails {
        always: true,
        ..FirstFails::default()
    });
    let job = site.run_with(options, handler).await;
    assert_eq!((job.totals.failed, job.totals.retried), (3, 3));
    let failures = site.failures(&job).await;
    let paths: Vec<_> = failures
        .iter()
        .map(|f| String::from_utf8(f.failure.path.clone()).unwrap())
        .collect();
    assert_eq!(
        paths,
        ["a", "b", "c"].map(|name| format!("{TARGET}/gone/{name}"))
    );
    assert!(failures.iter().all(|f| f.failure.attempts == 2));
    site.broker
        .retry(job.id, &FailureFilter::default())
        .await
        .unwrap();
    let (worker, _told) = site.worker(job.id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!((job.failures, job.pass_totals.deleted), (0, 4));
    assert_registered(&site).await;
}

/// Asks its worker to leave as soon as something is deleted.
#[derive(Debug)]
struct LeavesAfterOne(ShutdownSender);

#[async_trait]
impl EventHandler for LeavesAfterOne {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjDelete
    }

    async fn pre(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        Ok(())
    }

    async fn post(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        self.0.request();
        Ok(())
    }
}

/// Never comes back from what is done after the first deletion of each.
#[derive(Debug, Default)]
struct StaysOnce(Mutex<BTreeSet<String>>);

#[async_trait]
impl EventHandler for StaysOnce {
    fn has_hooks(&self, event: Event) -> bool {
        matches!(event, Event::DataObjDelete | Event::CollDelete)
    }

    async fn pre(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        Ok(())
    }

    async fn post(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let first = self.0.lock().unwrap().insert(subject.target.to_owned());
        match first {
            true => std::future::pending().await,
            false => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_may_not_take_longer_than_its_time_out() {
    let options = JobOptions {
        timeout: 1,
        max_retries: 1,
        delay: 0,
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let site = Site::new().await;
    for name in ["keep", "drop", "gone/f"] {
        site.write(name, name);
    }
    site.run_well(options.clone()).await;
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    std::fs::remove_file(site.source().join("drop")).unwrap();
    let job = site.run_with(options, Arc::new(StaysOnce::default())).await;
    site.assert_no_failures(&job).await;
    // Each was gone already when its time was up, and is counted all the same.
    assert_eq!(job.totals.deleted, 3);
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leaving_worker_has_not_deleted_is_deleted_by_the_next() {
    let options = JobOptions {
        files_per_task: 50,
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let site = Site::new().await;
    if site.harsh.is_some() {
        // It counts tasks, to which a harsh zone adds.
        return;
    }
    for name in ["keep", "a", "b", "c", "d"] {
        site.write(name, "x");
    }
    site.run(options.clone()).await;
    for name in ["a", "b", "c", "d"] {
        std::fs::remove_file(site.source().join(name)).unwrap();
    }
    let job = site.start("left", options).await;
    let (sender, told) = shutdown();
    let leaves = Arc::new(LeavesAfterOne(sender));
    site.worker_with(job.id, 1, leaves, told)
        .run()
        .await
        .unwrap();
    let left = site.broker.job(job.id).await.unwrap();
    assert_eq!((left.totals.deleted, left.outstanding.total()), (1, 1));
    let (worker, _told) = site.worker(job.id, 1, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!((job.state, job.totals.deleted), (JobState::Finished, 4));
    site.assert_no_failures(&job).await;
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_emptied_keeps_its_collection() {
    for (operation, mode) in [
        (Operation::RegisterSync, DeleteMode::Unregister),
        (Operation::PutSync, DeleteMode::Trash),
        (Operation::PutAppend, DeleteMode::NoTrash),
    ] {
        let site = Site::new().await;
        site.write("d/a", "1");
        site.write("d/b", "1");
        site.run_well(with(operation, mode)).await;
        std::fs::remove_file(site.source().join("d/a")).unwrap();
        std::fs::remove_file(site.source().join("d/b")).unwrap();
        assert_eq!(site.run_well(with(operation, mode)).await.deleted, 2);
        assert_eq!(names(&site).await, ["/d"], "{operation}");
    }
}
