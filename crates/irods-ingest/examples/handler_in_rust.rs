//! An event handler in Rust: files whose names end in `.tmp` are left out, large ones go to a resource of their own, and each
//! object that was made is told of.
//!
//! `handler_in_rust SOURCE COLLECTION` brings a directory into the zone that the environment names (`irods_environment.json`,
//! `IRODS_*`), with a queue that is gone with it.

use std::sync::Arc;

use async_trait::async_trait;
use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{Broker, WorkerId, WorkerInfo};
use ingest::core::choice::{Candidate, Choice, Chooses, Targets};
use ingest::core::{Event, EventHandler, HookError, JobHooks, Subject};
use ingest::plan::Operation;
use ingest::shutdown::shutdown;
use ingest::sync_task::job::{JobRequest, start_synchronization};
use ingest::sync_task::{JobOptions, LogTasks};
use ingest::worker::{Worker, WorkerOptions};
use irods_client::environment::Sources;
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};

/// Bytes from which on a file is large.
const LARGE: u64 = 1 << 30;

#[derive(Debug)]
struct Site;

#[async_trait]
impl EventHandler for Site {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }

    async fn post(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        println!("{} is there", subject.target);
        Ok(())
    }

    fn chooses(&self) -> Option<Chooses> {
        Some(Chooses {
            targets: Targets::Own,
            users: false,
            claims: true,
            // Another number with each change of `choose`, so that what was applied before is looked at again.
            digest: 1,
        })
    }

    async fn choose(&self, asked: &[Candidate<'_>]) -> Result<Vec<Choice>, HookError> {
        let choose = |entry: &Candidate<'_>| Choice {
            skip: entry
                .path
                .ends_with(b".tmp")
                .then(|| "temporary".to_owned()),
            resource: entry
                .stat
                .filter(|stat| stat.size >= LARGE)
                .map(|_| Some("archive".to_owned())),
            ..Choice::default()
        };
        Ok(asked.iter().map(choose).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [source, target] = words.as_slice() else {
        return Err("SOURCE COLLECTION are expected".into());
    };
    let environment = Environment::read(&Sources {
        variable: &|name| std::env::var(name).ok(),
        uid: rustix::process::getuid().as_raw(),
    })?;
    let zone = Pool::new(
        environment,
        ConnectOptions::default(),
        PoolOptions::default(),
    );
    let scratch = tempfile::tempdir()?;
    let broker = Arc::new(SqliteBroker::open(scratch.path().join("queue")).await?);
    let request = JobRequest {
        name: None,
        source: source.as_ref(),
        target,
        options: JobOptions {
            operation: Operation::PutSync,
            ..JobOptions::default()
        },
        interval: None,
        owner: None,
        hooks: JobHooks::default(),
    };
    let started = start_synchronization(broker.as_ref(), &zone, request).await?;
    let job = started.job().id;
    let info = WorkerInfo {
        id: WorkerId("example".into()),
        host: "localhost".into(),
        pid: std::process::id(),
        process: String::new(),
        version: String::new(),
        status: String::new(),
    };
    let mut options = WorkerOptions::new(info, 4);
    options.until_ended = Some(job);
    let (_stop, told) = shutdown();
    let handler = Arc::new(Site);
    let queue = broker.clone();
    let worker = Worker::new(queue, zone, handler, Arc::new(LogTasks), options, told);
    worker.run().await?;
    let ended = broker.job(job).await?;
    println!(
        "{} uploaded, {} left out, {} failed",
        ended.totals.uploaded, ended.totals.left_out, ended.totals.failed
    );
    Ok(())
}
