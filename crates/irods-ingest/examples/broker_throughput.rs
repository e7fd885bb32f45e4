//! How many tasks a second a broker leases and completes on this machine:
//! `cargo run --release -p irods-ingest --example broker_throughput -- [DIRECTORIES] [WORKERS] [REDIS URL]`; without a URL it is an
//! SQLite file.
//!
//! Each directory spawns 20 chunks; each completion adds to the totals and appends a segment of 50 signatures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::broker::redis::{Address, RedisBroker};
use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{
    Append, Broker, Completion, Counts, JobFilter, LeaseRequest, NewJob, NewTask, Queues, Result,
    TaskClass, WorkerId,
};

const CHUNKS: u32 = 20;
const FILES: u64 = 50;

/// A task of so many bytes that knows the number of its directory.
fn task(class: TaskClass, depth: u32, size: usize, directory: u32) -> NewTask {
    let mut payload = vec![b'x'; size];
    payload[..4].copy_from_slice(&directory.to_be_bytes());
    NewTask {
        class,
        depth,
        payload,
        delay: None,
    }
}

async fn work(broker: Arc<dyn Broker>, name: String, directories: u32) -> Result<()> {
    let request = LeaseRequest {
        worker: WorkerId(name),
        max: 4,
        lease_for: Duration::from_secs(60),
        filter: JobFilter::default(),
    };
    loop {
        let leased = broker.lease(&request).await?;
        if leased.is_empty()
            && !broker
                .wait_for_work(&request.filter, Duration::from_millis(300))
                .await?
        {
            return Ok(());
        }
        for leased in leased {
            let mut completion = Completion::default();
            completion.counts.tasks = 1;
            if leased.class == TaskClass::Files {
                let key = leased.payload[..4].repeat(20);
                completion.counts = Counts {
                    registered: FILES,
                    tasks: 1,
                    ..Counts::default()
                };
                completion.signatures = vec![Append {
                    key,
                    bytes: vec![7; 24 * 50],
                }];
            } else {
                let (class, count) = if leased.depth == 0 {
                    (TaskClass::Directory, directories)
                } else {
                    (TaskClass::Files, CHUNKS)
                };
                let size = if class == TaskClass::Files { 2000 } else { 200 };
                for batch in (0..count).collect::<Vec<_>>().chunks(1000) {
                    let children = batch.iter().map(|&number| {
                        let mut child = task(class, leased.depth + 1, size, number);
                        if class == TaskClass::Files {
                            child.payload[..4].copy_from_slice(&leased.payload[..4]);
                        }
                        child
                    });
                    let children = children.collect();
                    broker
                        .spawn(leased.lease, children, vec![0; 50], vec![])
                        .await?;
                }
            }
            broker.complete(leased.lease, completion).await?;
        }
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directories = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let workers = arguments.next().map_or(Ok(4), |text| text.parse::<u32>())?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("broker");
    let broker: Arc<dyn Broker> = match arguments.next() {
        Some(url) => Arc::new(RedisBroker::open(Address::parse(&url)?).await?),
        None => Arc::new(SqliteBroker::open(&path).await?),
    };
    let new = NewJob {
        name: Some("job".to_owned()),
        spec: vec![b'{'; 500],
        identity: "job".to_owned(),
        first: task(TaskClass::Directory, 0, 100, 0),
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    };
    broker.create_job(new).await?;
    let start = Instant::now();
    let handles: Vec<_> = (0..workers)
        .map(|number| {
            tokio::spawn(work(
                Arc::clone(&broker),
                format!("worker {number}"),
                directories,
            ))
        })
        .collect();
    for handle in handles {
        handle.await??;
    }
    let seconds = start.elapsed().as_secs_f64() - 0.3;
    let Some(job) = broker.find_job("job").await? else {
        return Err("the job is gone".into());
    };
    let (tasks, files) = (job.totals.tasks, job.totals.registered);
    println!(
        "{} with {workers} workers: {tasks} tasks, {files} files in {seconds:.2} s",
        job.state.name()
    );
    println!(
        "{:.0} tasks/s, {:.0} files/s",
        tasks as f64 / seconds,
        files as f64 / seconds
    );
    if let Ok(file) = std::fs::metadata(&path) {
        println!("file: {} bytes a file", file.len() as f64 / files as f64);
    }
    Ok(())
}
