//! What becomes of tasks: who watches them is told in order, and one that is none does not go from worker to worker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingest::broker::{Broker, JobState, NewJob, NewTask, Queues, TaskClass};
use ingest::core::{Event, EventHandler, HookError, NoHandler, Subject};
use ingest::plan::DeleteMode;
use ingest::sync_task::job::JobRequest;
use ingest::sync_task::{IrodsTask, JobOptions, TaskReturn, job};
use support::{Site, TARGET};

/// Records what it is told, in order.
#[derive(Debug, Default)]
struct Watcher(Mutex<Vec<String>>);

impl Watcher {
    fn note(&self, call: &str, task: &TaskReturn<'_>) {
        let mut calls = self.0.lock().unwrap();
        calls.push(format!("{call} {}", task.task));
    }
}

impl IrodsTask for Watcher {
    fn on_failure(&self, task: &TaskReturn<'_>) {
        let message = task.message.unwrap();
        let known = ["not today", "would exceed --max_delete"];
        assert!(
            known.iter().any(|known| message.contains(known)),
            "{message}"
        );
        self.note("on_failure", task);
    }
    fn on_retry(&self, task: &TaskReturn<'_>) {
        assert_eq!((task.failures, task.retries), (0, 1));
        self.note("on_retry", task);
    }
    fn on_success(&self, task: &TaskReturn<'_>) {
        self.note("on_success", task);
    }
    fn after_return(&self, task: &TaskReturn<'_>) {
        assert_eq!(task.job_name, "watched");
        assert!(task.path.ends_with(b"/source"), "{task:?}");
        self.note("after_return", task);
    }
}

/// Objects of this name fail.
#[derive(Debug)]
struct Refuses(&'static str);

#[async_trait]
impl EventHandler for Refuses {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }
    async fn pre(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        match subject.target.ends_with(self.0) {
            true => Err(HookError {
                message: "not today".to_owned(),
                skip: false,
            }),
            false => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_tasks_is_told_in_order() {
    let site = Site::new().await;
    site.write("bad", "x");
    site.write("good", "x");
    let options = JobOptions {
        max_retries: 1,
        ..JobOptions::default()
    };
    let job = site.start("watched", options).await;
    let watcher = Arc::new(Watcher::default());
    site.run_watched(job.id, Arc::new(Refuses("/bad")), watcher.clone())
        .await;
    let ended = site.broker.job(job.id).await.unwrap();
    assert_eq!((ended.totals.failed, ended.totals.retried), (1, 1));
    let calls = [
        "on_success restart",
        "after_return restart",
        "on_success sync_path",
        "after_return sync_path",
        "on_retry sync_files",
        "after_return sync_files",
        "on_failure sync_files",
        "after_return sync_files",
    ];
    assert_eq!(*watcher.0.lock().unwrap(), calls);
}

/// What ends the job is a failure as well.
#[tokio::test(flavor = "multi_thread")]
async fn who_watches_tasks_is_told_what_ends_the_job() {
    let site = Site::new().await;
    let options = JobOptions {
        delete_mode: DeleteMode::Unregister,
        max_delete: Some(0),
        ..JobOptions::default()
    };
    let gone = site.write("gone", "x");
    site.write("kept", "x");
    site.run(options.clone()).await;
    std::fs::remove_file(gone).unwrap();
    let job = site.start("watched", options).await;
    let watcher = Arc::new(Watcher::default());
    site.run_watched(job.id, Arc::new(NoHandler), watcher.clone())
        .await;
    let ended = site.broker.job(job.id).await.unwrap();
    assert_eq!(ended.state, JobState::Failed);
    // Others may be under way.
    let mut calls = watcher.0.lock().unwrap().clone();
    calls.retain(|call| call.ends_with(" delete"));
    assert_eq!(calls, ["on_failure delete", "after_return delete"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_waits_for_its_delay_and_holds_nobody_up() {
    let site = Site::new().await;
    site.write("bad", "x");
    for n in 0..3 {
        site.write(format!("good{n}"), "x");
    }
    let options = JobOptions {
        max_retries: 5,
        delay: 3600,
        ..JobOptions::default()
    };
    let job = site.start("waits", options).await;
    let (worker, told) = site.worker(job.id, 2, Arc::new(Refuses("/bad")));
    let running = tokio::spawn(worker.run());
    let waiting = loop {
        let now = site.broker.job(job.id).await.unwrap();
        if now.outstanding.delayed == now.outstanding.total() && now.outstanding.delayed > 0 {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let totals = waiting.totals;
    assert_eq!((totals.registered, totals.retried), (3, 1));
    // Whoever does not want to wait for it stops the job; nothing of it remains.
    let stopped = site.broker.stop(job.id, false).await.unwrap();
    assert_eq!(stopped, JobState::Stopped);
    running.await.unwrap().unwrap();
    drop(told);
    let ended = site.broker.job(job.id).await.unwrap();
    assert_eq!(ended.outstanding.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_task_is_in_the_ledger() {
    let site = Site::new().await;
    let request = JobRequest {
        name: None,
        source: &site.source(),
        target: TARGET,
        options: JobOptions::default(),
        interval: None,
        owner: None,
        hooks: NoHandler.job_hooks(),
    };
    let spec = job::check(&site.pool, &request).await.unwrap();
    let poisoned = NewJob {
        name: None,
        identity: "poisoned".to_owned(),
        spec: serde_json::to_vec(&spec).unwrap(),
        first: NewTask {
            class: TaskClass::Other,
            depth: 0,
            payload: b"{\"sync_files\":[".to_vec(),
            delay: None,
        },
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    };
    let created = site.broker.create_job(poisoned).await.unwrap();
    let (worker, _told) = site.worker(created.job().id, 1, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let ended = site.broker.job(created.job().id).await.unwrap();
    assert_eq!((ended.state, ended.totals.failed), (JobState::Finished, 1));
    let failure = &site.failures(&ended).await[0].failure;
    assert_eq!(failure.code_name, "UNREADABLE_TASK");
}
