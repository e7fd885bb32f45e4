//! What a job's time is spent on: the calls that are told are those that the zone counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::broker::{Broker, Job};
use ingest::core::{JobHooks, NoHandler};
use ingest::plan::{DeleteMode, Operation};
use ingest::profile::{Profile, Stage};
use ingest::sync_task::JobOptions;
use irods_client::protocol::api;
use support::Site;

fn measured(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        files_per_task: 3,
        profile: true,
        ..JobOptions::default()
    }
}

/// Calls by name, since these counts.
fn calls(site: &Site, before: &BTreeMap<i32, u64>) -> BTreeMap<String, u64> {
    let now = site.zone.call_counts();
    now.into_iter()
        .map(|(number, count)| {
            let name = api::name_of(number).unwrap().to_owned();
            (name, count - before.get(&number).copied().unwrap_or(0))
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Runs a job with as many workers at the same time; its profile, and the calls that the zone counted meanwhile.
async fn run(
    site: &Site,
    options: JobOptions,
    workers: usize,
) -> (Job, Profile, BTreeMap<String, u64>) {
    let job = site.start(&format!("job of {workers}"), options).await;
    let before = site.zone.call_counts();
    let mut running = Vec::new();
    for _ in 0..workers {
        let (worker, told) = site.worker(job.id, 2, Arc::new(NoHandler));
        running.push((tokio::spawn(worker.run()), told));
    }
    for (worker, _told) in running {
        worker.await.unwrap().unwrap();
    }
    let calls = calls(site, &before);
    let job = site.broker.job(job.id).await.unwrap();
    let (_, bytes) = site.broker.profile(job.id).await.unwrap();
    (job, Profile::read(&bytes).unwrap(), calls)
}

fn told(profile: &Profile) -> BTreeMap<String, u64> {
    let rows = profile.last.rows(Stage::Irods);
    rows.map(|(name, row)| (name.to_owned(), row.count))
        .collect()
}

fn count(profile: &Profile, stage: Stage, name: &str) -> u64 {
    let mut rows = profile.last.rows(stage);
    rows.find(|(row, _)| *row == name)
        .map_or(0, |(_, row)| row.count)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_a_profile_are_those_that_the_zone_counted() {
    let site = Site::new().await;
    for n in 0..40 {
        site.write(format!("d{}/f{n}", n % 4), vec![b'x'; 100 * n]);
    }
    // Over several connections, which are calls of the job as well.
    site.write("large", vec![7; 40 << 20]);
    let options = JobOptions {
        transfer_streams: 3,
        ..measured(Operation::PutSync)
    };
    let (job, profile, zone) = run(&site, options, 2).await;
    site.assert_no_failures(&job).await;
    assert_eq!(told(&profile), zone);
    assert_eq!(profile.last.tasks, job.totals.tasks);
    assert_eq!(count(&profile, Stage::Transfer, "put"), 41);
    assert_eq!(count(&profile, Stage::Scan, "list"), 5);
    assert_eq!(count(&profile, Stage::Plan, "compare"), 5);
    assert!(count(&profile, Stage::Plan, "file") >= 41);
    for stage in [Stage::Queue, Stage::Task] {
        assert_eq!(
            profile.last.stage(stage).count,
            job.totals.tasks,
            "{stage:?}"
        );
    }
    let transfer = profile.last.stage(Stage::Transfer);
    assert_eq!(
        transfer.slowest,
        site.source().join("large").to_str().unwrap()
    );
    let (files, bytes) = profile
        .last
        .timeline()
        .columns()
        .fold((0, 0), |sum, (_, column)| {
            (sum.0 + column.files, sum.1 + column.bytes)
        });
    assert_eq!((files, bytes), (41, job.totals.bytes_uploaded));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fail_and_deletions_are_told_too() {
    let site = Site::new().await;
    for n in 0..10 {
        site.write(format!("d/f{n}"), "x");
    }
    let options = JobOptions {
        delete_mode: DeleteMode::Unregister,
        ..measured(Operation::RegisterSync)
    };
    let (_, profile, zone) = run(&site, options.clone(), 1).await;
    assert_eq!(told(&profile), zone);
    assert_eq!(profile.last.stage(Stage::Irods).errors, 0);
    // Of what is there already the zone says so.
    for n in 0..5 {
        std::fs::remove_file(site.source().join(format!("d/f{n}"))).unwrap();
    }
    let options = JobOptions {
        ignore_cache: true,
        ..options
    };
    let (job, profile, zone) = run(&site, options, 2).await;
    assert_eq!(job.totals.deleted, 5);
    assert_eq!(told(&profile), zone);
    let errors = profile.last.stage(Stage::Irods).errors;
    assert!(errors > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_a_job_that_is_not_measured() {
    let site = Site::new().await;
    site.write("f", "x");
    let options = JobOptions {
        profile: false,
        ..measured(Operation::PutSync)
    };
    let (job, profile, _) = run(&site, options, 1).await;
    assert_eq!(site.broker.profile(job.id).await, Ok((0, Vec::new())));
    assert_eq!(profile, Profile::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_gone_on_with_is_measured_from_then_on() {
    let site = Site::new().await;
    site.write("f", "x");
    let hooks = JobHooks::default();
    let plain = JobOptions {
        profile: false,
        ..measured(Operation::PutSync)
    };
    let first = site.start_with("j", plain, hooks, None).await;
    let again = site
        .start_with("j", measured(Operation::PutSync), hooks, None)
        .await;
    assert_eq!(first.id, again.id);
    let (worker, _told) = site.worker(first.id, 1, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let (_, bytes) = site.broker.profile(first.id).await.unwrap();
    let job = site.broker.job(first.id).await.unwrap();
    assert_eq!(Profile::read(&bytes).unwrap().last.tasks, job.totals.tasks);
}
