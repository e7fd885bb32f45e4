//! How many tasks a second the SQLite broker leases and completes on this machine:
//! `cargo run --release -p irods-ingest --example broker_throughput -- [DIRECTORIES] [WORKERS]`.
//!
//! Each directory spawns 20 chunks; each completion adds to the totals and appends a segment of 50 signatures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{
    Append, Broker, Completion, Counts, JobFilter, LeaseRequest, NewJob, NewTask, Result,
    TaskClass, WorkerId,
};

const CHUNKS: u32 = 20;
const FILES: u64 = 50;

fn task(class: TaskClass, depth: u32, size: usize) -> NewTask {
    NewTask {
        class,
        depth,
        payload: vec![b'x'; size],
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
                let key = u64::from(leased.depth).to_be_bytes().repeat(10);
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
                    let children = batch
                        .iter()
                        .map(|_| task(class, leased.depth + 1, size))
                        .collect();
                    broker.spawn(leased.lease, children, vec![0; 50]).await?;
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
    let broker: Arc<dyn Broker> = Arc::new(SqliteBroker::open(&path).await?);
    let new = NewJob {
        name: Some("job".to_owned()),
        spec: vec![b'{'; 500],
        identity: "job".to_owned(),
        first: task(TaskClass::Directory, 0, 100),
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
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
    println!(
        "file: {} bytes a file",
        std::fs::metadata(&path)?.len() as f64 / files as f64
    );
    Ok(())
}
