//! Hooks around passes: each once, in order, and reported where it failed or nobody knows how it ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingest::broker::{Broker, Departure, EventKind, Job, JobId, JobState};
use ingest::core::{Event, EventHandler, HookError, JobHooks, JobPass, Subject};
use ingest::sync_task::JobOptions;
use support::Site;
use tokio::sync::Notify;

const BOTH: JobHooks = JobHooks {
    pre_job: true,
    post_job: true,
};

/// Records every call in order; fails, or never ends, where it is told to.
#[derive(Debug, Default)]
struct Recorder {
    seen: Mutex<Vec<String>>,
    called: Notify,
    fails: Option<&'static str>,
    hangs: Option<&'static str>,
}

impl Recorder {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn call(&self, hook: &'static str, pass: JobPass<'_>) -> Result<(), HookError> {
        let call = format!("{hook} {}", pass.job.pass);
        self.seen.lock().unwrap().push(call.clone());
        self.called.notify_one();
        if self.hangs == Some(hook) {
            std::future::pending::<()>().await;
        }
        match self.fails.is_some_and(|fails| call.starts_with(fails)) {
            true => Err(HookError {
                message: "the disk array is switched off".to_owned(),
                skip: false,
            }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl EventHandler for Recorder {
    fn has_hooks(&self, _: Event) -> bool {
        true
    }

    async fn pre(&self, event: Event, _: Subject<'_>) -> Result<(), HookError> {
        self.seen.lock().unwrap().push(event.name().to_owned());
        Ok(())
    }

    fn job_hooks(&self) -> JobHooks {
        BOTH
    }

    async fn pre_job(&self, pass: JobPass<'_>) -> Result<(), HookError> {
        self.call("pre_job", pass).await
    }

    async fn post_job(&self, pass: JobPass<'_>) -> Result<(), HookError> {
        assert_eq!(pass.job.pass_totals.failed, 0);
        assert_eq!(pass.job.outstanding.total(), 1, "this hook");
        self.call("post_job", pass).await
    }
}

async fn events(site: &Site, job: JobId) -> Vec<(EventKind, String)> {
    let events = site.broker.events(job).await.unwrap();
    let pairs = events.into_iter().map(|event| (event.kind, event.text));
    pairs.collect()
}

/// Runs the job to its end; how it ended.
async fn run(site: &Site, job: &Job, handler: &Arc<Recorder>) -> Job {
    let (worker, _told) = site.worker(job.id, 3, handler.clone());
    worker.run().await.unwrap();
    site.broker.job(job.id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn job_hooks_run_around_a_pass() {
    let site = Site::new().await;
    site.write("a", "1");
    let handler = Arc::new(Recorder::default());
    let job = site
        .start_with("j", JobOptions::default(), handler.job_hooks(), None)
        .await;
    let ended = run(&site, &job, &handler).await;
    assert_eq!((ended.state, ended.failures), (JobState::Finished, 0));
    let order = ["pre_job 1", "coll_create", "data_obj_create", "post_job 1"];
    assert_eq!(handler.seen(), order);
}

/// A job that is due again as soon as a pass has ended: no two passes overlap, whatever the interval is.
#[tokio::test(flavor = "multi_thread")]
async fn job_hooks_run_once_a_pass_and_passes_do_not_overlap() {
    let site = Site::new().await;
    for n in 0..30 {
        site.write(format!("d{}/f{n}", n % 3), "1");
    }
    let handler = Arc::new(Recorder::default());
    let interval = Some(Duration::from_millis(1));
    let job = site
        .start_with("j", JobOptions::default(), BOTH, interval)
        .await;
    let (worker, _told) = site.worker(job.id, 4, handler.clone());
    let running = tokio::spawn(worker.run());
    while site.broker.job(job.id).await.unwrap().pass < 4 {
        handler.called.notified().await;
    }
    site.broker.stop(job.id, false).await.unwrap();
    running.await.unwrap().unwrap();

    let ended = site.broker.job(job.id).await.unwrap();
    assert_eq!((ended.state, ended.failures), (JobState::Stopped, 0));
    assert_eq!(ended.totals.registered, 30);
    let seen = handler.seen();
    let hooks: Vec<&String> = seen.iter().filter(|call| call.contains("job")).collect();
    for (number, hook) in hooks.iter().enumerate() {
        let name = ["pre_job", "post_job"][number % 2];
        assert_eq!(**hook, format!("{name} {}", number / 2 + 1));
    }
    let log = events(&site, job.id).await;
    let count = |kind| log.iter().filter(|event| event.0 == kind).count();
    let ended_passes = count(EventKind::PassEnded);
    assert!(ended_passes >= 3, "{log:?}");
    assert!((2 * ended_passes..=2 * ended.pass as usize).contains(&hooks.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pre_job_nothing_is_begun() {
    let site = Site::new().await;
    site.write("a", "1");
    let handler = Arc::new(Recorder {
        fails: Some("pre_job 1"),
        ..Recorder::default()
    });
    let why = "pre_job: the disk array is switched off";
    let job = site
        .start_with("once", JobOptions::default(), BOTH, None)
        .await;
    let ended = run(&site, &job, &handler).await;
    assert_eq!(
        (ended.state, ended.failed.as_deref()),
        (JobState::Failed, Some(why))
    );
    assert_eq!(handler.seen(), ["pre_job 1"]);
    let log = events(&site, job.id).await;
    assert_eq!(log.last(), Some(&(EventKind::Failed, why.to_owned())));
    assert!(site.catalog().await.is_empty());

    // A periodic job tries the next pass.
    let interval = Some(Duration::from_millis(1));
    let job = site
        .start_with("again", JobOptions::default(), BOTH, interval)
        .await;
    let (worker, _told) = site.worker(job.id, 3, handler.clone());
    let running = tokio::spawn(worker.run());
    while !handler.seen().contains(&"post_job 2".to_owned()) {
        handler.called.notified().await;
    }
    site.broker.stop(job.id, false).await.unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(
        handler.seen()[1..4],
        ["pre_job 1", "pre_job 2", "coll_create"]
    );
    let log = events(&site, job.id).await;
    assert!(
        log.contains(&(EventKind::PassFailed, why.to_owned())),
        "{log:?}"
    );
    assert_eq!(site.catalog().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_job_that_fails_is_in_the_ledger() {
    let site = Site::new().await;
    site.write("a", "1");
    let handler = Arc::new(Recorder {
        fails: Some("post_job"),
        ..Recorder::default()
    });
    let job = site
        .start_with("j", JobOptions::default(), BOTH, None)
        .await;
    let ended = run(&site, &job, &handler).await;
    assert_eq!((ended.state, ended.failures), (JobState::Finished, 1));
    assert_eq!((ended.totals.registered, ended.totals.failed), (1, 0));
    let failure = &site.failures(&ended).await[0].failure;
    let of_hook = (failure.operation.as_str(), failure.code_name.as_str());
    assert_eq!(of_hook, ("post_job", "HOOK_FAILED"));
    assert!(failure.message.contains("switched off"), "{failure:?}");
}

/// A worker dies while this hook runs; then another takes the job.
async fn lost_in(site: &Site, hook: &'static str) -> (Job, Arc<Recorder>) {
    let handler = Arc::new(Recorder {
        hangs: Some(hook),
        ..Recorder::default()
    });
    let job = site
        .start_with(hook, JobOptions::default(), BOTH, None)
        .await;
    let (worker, _told) = site.worker(job.id, 3, handler.clone());
    let id = worker.id().clone();
    let running = tokio::spawn(worker.run());
    while !handler.seen().contains(&format!("{hook} 1")) {
        handler.called.notified().await;
    }
    running.abort();
    let _ = running.await;
    site.broker.worker_gone(&id, Departure::Died).await.unwrap();
    let other = Arc::new(Recorder::default());
    (run(site, &job, &other).await, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_job_hook_whose_worker_died_is_unknown() {
    let site = Site::new().await;
    site.write("a", "1");
    let (ended, other) = lost_in(&site, "pre_job").await;
    assert_eq!(ended.state, JobState::Failed);
    let why = ended.failed.unwrap();
    assert!(why.starts_with("pre_job: its outcome is unknown"), "{why}");
    assert!(other.seen().is_empty(), "it is not run twice");
    let log = events(&site, ended.id).await;
    assert_eq!(log.last(), Some(&(EventKind::Failed, why)));
    assert!(site.catalog().await.is_empty());

    let (ended, other) = lost_in(&site, "post_job").await;
    assert_eq!((ended.state, ended.failures), (JobState::Finished, 1));
    let failure = &site.failures(&ended).await[0].failure;
    assert_eq!(failure.code_name, "OUTCOME_UNKNOWN");
    assert!(other.seen().is_empty(), "it is not run twice");
    let log = events(&site, ended.id).await;
    assert!(
        log.contains(&(EventKind::Note, failure.message.clone())),
        "{log:?}"
    );
}
