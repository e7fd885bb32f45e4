//! Hooks around real actions: each exactly once and in order; what happens when they fail or take too long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bstr::BStr;
use ingest::core::{Event, EventHandler, HookError, Subject};
use ingest::plan::{DeleteMode, Operation};
use ingest::sync_task::JobOptions;
use support::{Site, TARGET, assert_registered, let_times_settle};

/// Records every call; fails or dawdles where it is told to.
#[derive(Debug, Default)]
struct Recorder {
    seen: Mutex<Vec<String>>,
    calls: Mutex<HashMap<String, u32>>,
    /// `pre` of objects fails so often.
    fail_first: u32,
    dawdle: Option<Duration>,
}

impl Recorder {
    fn note(&self, when: &str, event: Event, subject: Subject<'_>) {
        let target = subject
            .target
            .strip_prefix(TARGET)
            .unwrap_or(subject.target);
        let line = format!("{when}_{} [{target}]", event.name());
        self.seen.lock().unwrap().push(line);
    }

    /// What was seen, sorted: files of one directory may be done in any order, but of each `pre` comes first. In a harsh zone,
    /// where attempts fail, `pre` may have run more than once; `post` never.
    fn sorted(&self, site: &Site) -> Vec<String> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        for (at, call) in seen.iter().enumerate() {
            let pre = call.strip_prefix("post_").map(|what| format!("pre_{what}"));
            assert!(pre.is_none_or(|pre| seen[..at].contains(&pre)), "{seen:?}");
        }
        seen.sort();
        if site.harsh.is_some() {
            seen.dedup_by(|one, other| one == other && one.starts_with("pre_"));
        }
        seen
    }
}

#[async_trait]
impl EventHandler for Recorder {
    fn has_hooks(&self, _: Event) -> bool {
        true
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.note("pre", event, subject);
        if event == Event::DataObjCreate {
            if let Some(dawdle) = self.dawdle {
                tokio::time::sleep(dawdle).await;
            }
            let mut calls = self.calls.lock().unwrap();
            let call = calls
                .entry(BStr::new(subject.path).to_string())
                .or_default();
            *call += 1;
            if *call <= self.fail_first {
                return Err(HookError {
                    message: format!("no {call}"),
                    skip: false,
                });
            }
        }
        Ok(())
    }

    async fn post(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.note("post", event, subject);
        Ok(())
    }
}

fn with(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        ..JobOptions::default()
    }
}

/// Each of these once before and once after it, sorted.
fn around<S: AsRef<str>>(events: &[S]) -> Vec<String> {
    let calls = ["post", "pre"].iter().flat_map(|when| {
        let call = move |event: &S| format!("{when}_{}", event.as_ref());
        events.iter().map(call)
    });
    let mut calls: Vec<String> = calls.collect();
    calls.sort();
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_has_one_pre_and_one_post() {
    for operation in Operation::ALL {
        let options = || JobOptions {
            // A replica is one on a resource.
            resource: (operation == Operation::RegisterAsReplicaSync)
                .then(|| "demoResc".to_owned()),
            ..with(operation)
        };
        let site = Site::new().await;
        site.write("d/a", "1");
        let b = site.write("d/b", "1");
        std::fs::create_dir_all(site.source().join("nothing/in/here")).unwrap();
        let_times_settle(&b).await;
        let recorder = Arc::new(Recorder::default());
        let job = site.run_with(options(), recorder.clone()).await;
        site.assert_no_failures(&job).await;
        let created = around(&[
            "coll_create []",
            "coll_create [/d]",
            "coll_create [/nothing]",
            "coll_create [/nothing/in]",
            "coll_create [/nothing/in/here]",
            "data_obj_create [/d/a]",
            "data_obj_create [/d/b]",
        ]);
        assert_eq!(recorder.sorted(&site), created, "{operation}");
        let there = match operation {
            Operation::NoOp => 0,
            _ => 6,
        };
        assert_eq!(site.catalog().await.len(), there, "{operation}");

        site.write("d/a", "1 and changed");
        let_times_settle(&site.source().join("d/a")).await;
        let job = site.run_with(options(), recorder.clone()).await;
        site.assert_no_failures(&job).await;
        // Overwriting a file in place does not touch its directory.
        let changed: &[&str] = match operation {
            Operation::Put => &[],
            // It is not there still.
            Operation::NoOp => &["data_obj_create [/d/a]"],
            _ => &["data_obj_modify [/d/a]"],
        };
        assert_eq!(recorder.sorted(&site), around(changed), "{operation}");
    }
}

/// Tasks that empty a collection together remove it once.
#[tokio::test(flavor = "multi_thread")]
async fn each_deletion_has_one_pre_and_one_post() {
    let site = Site::new().await;
    let mut gone = Vec::new();
    for n in 0..12 {
        gone.push(format!("coll_delete [/gone/d{n}]"));
        for m in 0..4 {
            site.write(format!("gone/d{n}/f{m}"), "1");
            gone.push(format!("data_obj_delete [/gone/d{n}/f{m}]"));
        }
    }
    gone.push("coll_delete [/gone]".to_owned());
    let last = site.write("kept", "1");
    let_times_settle(&last).await;
    let options = JobOptions {
        delete_mode: DeleteMode::Unregister,
        files_per_task: 1,
        ..with(Operation::RegisterSync)
    };
    site.run_well(options.clone()).await;
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    let recorder = Arc::new(Recorder::default());
    let job = site.run_with(options, recorder.clone()).await;
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, gone.len() as u64);
    let seen = recorder.sorted(&site);
    let deletions: Vec<_> = seen
        .iter()
        .filter(|call| call.contains("_delete"))
        .collect();
    assert_eq!(deletions, around(&gone).iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_directory_fires_modify_and_metadata_changes_fire_hooks_only() {
    let site = Site::new().await;
    let a = site.write("d/a", "1");
    let_times_settle(&a).await;
    let recorder = Arc::new(Recorder::default());
    site.run_with(with(Operation::RegisterSync), recorder.clone())
        .await;
    recorder.sorted(&site);
    let mut mode = std::fs::metadata(&a).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    std::fs::set_permissions(&a, mode).unwrap();
    std::fs::create_dir(site.source().join("d/e")).unwrap();
    let job = site
        .run_with(with(Operation::RegisterSync), recorder.clone())
        .await;
    site.assert_no_failures(&job).await;
    let expected = around(&[
        "coll_create [/d/e]",
        "coll_modify [/d]",
        "data_obj_modify [/d/a]",
    ]);
    assert_eq!(recorder.sorted(&site), expected);
    assert_eq!((job.totals.metadata_only, job.totals.updated), (1, 0));
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_hook_is_retried_as_often_as_the_job_says() {
    let site = Site::new().await;
    for n in 0..4 {
        site.write(format!("f{n}"), "x");
    }
    let recorder = Arc::new(Recorder {
        fail_first: 1,
        ..Recorder::default()
    });
    let retrying = JobOptions {
        max_retries: 3,
        ..with(Operation::RegisterSync)
    };
    let job = site.run_with(retrying, recorder).await;
    site.assert_no_failures(&job).await;
    assert_eq!((job.totals.registered, job.totals.retried), (4, 4));
    assert_registered(&site).await;

    let site = Site::new().await;
    site.write("f", "x");
    let recorder = Arc::new(Recorder {
        fail_first: 9,
        ..Recorder::default()
    });
    let job = site.run_with(with(Operation::RegisterSync), recorder).await;
    assert_eq!(
        (job.totals.failed, job.totals.retried, job.totals.registered),
        (1, 0, 0)
    );
    let failure = &site.failures(&job).await[0].failure;
    assert_eq!(
        (failure.code_name.as_str(), failure.attempts),
        ("HOOK_FAILED", 1)
    );
    assert!(
        failure.message.contains("pre_data_obj_create: no 1"),
        "{}",
        failure.message
    );
    assert_eq!(
        site.catalog().await.len(),
        0,
        "a failed pre hook keeps the action from happening"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_not_take_longer_than_its_time_out() {
    let site = Site::new().await;
    for n in 0..3 {
        site.write(format!("f{n}"), "x");
    }
    let slow = Arc::new(Recorder {
        dawdle: Some(Duration::from_secs(60)),
        ..Recorder::default()
    });
    let options = JobOptions {
        timeout: 1,
        files_per_task: 1,
        ..with(Operation::RegisterSync)
    };
    let job = site.run_with(options, slow).await;
    assert_eq!((job.totals.failed, job.totals.retried), (3, 0));
    assert!(site.catalog().await.is_empty());
    let failures = site.failures(&job).await;
    assert!(
        failures.iter().all(|f| f.failure.code_name == "TIMED_OUT"),
        "{failures:?}"
    );
}
