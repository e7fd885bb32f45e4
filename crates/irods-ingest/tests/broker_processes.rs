//! Several processes on one broker, a file or in Redis, some of them killed: nothing is lost, nothing counted twice.
//!
//! The workers are this test program started again; `worker` is what they run.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/redis.rs"]
mod server;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ingest::broker::redis::{Address, RedisBroker};
use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{
    Broker, Completion, Counts, Created, Departure, JobFilter, JobState, LeaseRequest, NewJob,
    NewTask, Queues, Spawned, TaskClass, WorkerId,
};

const PLACE: &str = "BROKER_TEST_PLACE";
const NAME: &str = "BROKER_TEST_WORKER";
const DIRECTORIES: u32 = 20;
const CHUNKS: u32 = 30;

fn task(class: TaskClass, depth: u32, payload: u32) -> NewTask {
    NewTask {
        class,
        depth,
        payload: payload.to_be_bytes().to_vec(),
        delay: None,
    }
}

/// Opens the broker in this file or at this address.
async fn open(place: &str) -> Arc<dyn Broker> {
    match Address::parse(place) {
        Ok(address) => Arc::new(RedisBroker::open(address).await.unwrap()),
        Err(_) => Arc::new(SqliteBroker::open(place).await.unwrap()),
    }
}

/// A process and the name under which it leases.
struct Worker {
    process: Child,
    id: WorkerId,
}

fn start(place: &str, name: usize) -> Worker {
    let name = format!("worker {name}");
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["worker", "--exact", "--nocapture"])
        .env(PLACE, place)
        .env(NAME, &name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Worker {
        process,
        id: WorkerId(name),
    }
}

/// Runs only as a child: spawns and completes until the job has ended.
#[tokio::test]
async fn worker() {
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    let broker = open(&place).await;
    let filter = JobFilter::default();
    let request = LeaseRequest {
        worker: WorkerId(std::env::var(NAME).unwrap()),
        max: 3,
        // Longer than the test: only the death of a worker returns its tasks.
        lease_for: Duration::from_secs(3600),
        filter: filter.clone(),
    };
    while !broker
        .find_job("job")
        .await
        .unwrap()
        .unwrap()
        .state
        .has_ended()
    {
        for leased in broker.lease(&request).await.unwrap() {
            let number = u32::from_be_bytes(leased.payload.try_into().unwrap());
            let mut completion = Completion {
                counts: Counts {
                    tasks: 1,
                    ..Counts::default()
                },
                ..Completion::default()
            };
            match (leased.class, leased.depth) {
                (TaskClass::Directory, depth) => {
                    let (class, count) = if depth == 0 {
                        (TaskClass::Directory, DIRECTORIES)
                    } else {
                        (TaskClass::Files, CHUNKS)
                    };
                    let done = leased.cursor.try_into().map_or(0, u32::from_be_bytes);
                    // In batches of seven, so that a kill falls between two.
                    for batch in (done..count).collect::<Vec<_>>().chunks(7) {
                        let children = batch.iter().map(|n| task(class, depth + 1, *n)).collect();
                        let cursor = (batch.last().unwrap() + 1).to_be_bytes().to_vec();
                        assert_eq!(
                            broker.spawn(leased.lease, children, cursor, vec![]).await,
                            Ok(Spawned::Queued)
                        );
                    }
                }
                _ => completion.counts.files_seen = u64::from(number),
            }
            broker.complete(leased.lease, completion).await.unwrap();
        }
        broker
            .wait_for_work(&filter, Duration::from_millis(200))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn killed_processes_lose_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker");
    lose_and_double_nothing(file.to_str().unwrap()).await;
}

#[tokio::test]
async fn killed_processes_lose_and_double_nothing_in_redis() {
    if let Some(server) = server::Server::start(&["--appendonly", "yes"]) {
        lose_and_double_nothing(&server.url("")).await;
    }
}

async fn lose_and_double_nothing(place: &str) {
    let broker = open(place).await;
    let new = NewJob {
        name: Some("job".to_owned()),
        spec: Vec::new(),
        identity: "job".to_owned(),
        first: task(TaskClass::Directory, 0, 0),
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    };
    let Created::New(job) = broker.create_job(new).await.unwrap() else {
        panic!("not new")
    };
    let expected = u64::from(1 + DIRECTORIES + DIRECTORIES * CHUNKS);

    let mut started = 3;
    let mut workers: Vec<Worker> = (0..started).map(|name| start(place, name)).collect();
    let mut dead = Vec::new();
    let mut killed = 0;
    let mut done = 0;
    let ended = loop {
        let job = broker.job(job.id).await.unwrap();
        if job.state.has_ended() {
            break job;
        }
        // After each further part of the work one worker dies, the next one in turn.
        if job.totals.tasks >= done + expected / 12 {
            done = job.totals.tasks;
            let at = killed % workers.len();
            workers[at].process.kill().unwrap();
            workers[at].process.wait().unwrap();
            killed += 1;
            let next = start(place, started);
            dead.push(std::mem::replace(&mut workers[at], next).id);
            started += 1;
        }
        // Again and again: what a process has sent before its death may lease tasks after the first time.
        for id in &dead {
            broker.worker_gone(id, Departure::Died).await.unwrap();
        }
        broker
            .wait_for_work(&JobFilter::default(), Duration::from_millis(5))
            .await
            .unwrap();
    };
    for worker in &mut workers {
        assert!(worker.process.wait().unwrap().success());
    }
    assert!(killed >= 5, "{killed}");
    assert_eq!(
        (ended.state, ended.totals.tasks),
        (JobState::Finished, expected)
    );
    assert_eq!(
        ended.totals.files_seen,
        u64::from(DIRECTORIES * (0..CHUNKS).sum::<u32>())
    );
}
