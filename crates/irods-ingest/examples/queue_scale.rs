//! Feeds millions of files that do not exist through a broker, to a zone that does not exist: what is measured is the
//! queue and the accounting. `bench/queue_scale.py` runs it.
//!
//! `queue_scale start BROKER DIRECTORIES FILES` queues a job over that many directories of so many files each;
//! `queue_scale work BROKER CONCURRENCY` works at it until it has ended, and prints its totals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bstr::BString;
use ingest::broker::redis::{Address, RedisBroker};
use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{Broker, WorkerId, WorkerInfo};
use ingest::core::{EventHandler, NoHandler};
use ingest::shutdown::shutdown;
use ingest::source::{
    Entry, EntryKind, Links, Listing, Look, MountFacts, Source, SourceError, Stat, Timestamp,
};
use ingest::spec::{JobOptions, JobSpec};
use ingest::sync_task::LogTasks;
use ingest::sync_task::job::{JobRequest, init};
use ingest::worker::{Worker, WorkerOptions};
use ingest::zone::{Session, Zone};
use irods_client::Result;
use irods_client::access::Grant;
use irods_client::collection::Replica;
use irods_client::connection::Identity;
use irods_client::data_object::Remove;
use irods_client::metadata::{Avu, Entity};
use irods_client::register::{Leaf, NewRow, Register, Target};
use irods_client::replica::{Changes, Which};
use irods_client::transfer::Put;

const JOB: &str = "scale";
const TARGET: &str = "/tempZone/home/rods/scale";
/// Directories in each directory that has directories.
const WIDE: usize = 500;

/// Directories of two levels: `gN/dM`, the lower ones with files.
#[derive(Debug)]
struct Synthetic {
    directories: usize,
    /// What each of them holds, made once: a listing is a copy, which is the least that a source can do.
    files: Vec<Entry>,
}

fn fact(kind: EntryKind, size: u64) -> Stat {
    let time = Timestamp {
        seconds: 1_600_000_000 + (size % 1000) as i64,
        nanos: 123_456_789,
    };
    Stat {
        kind,
        size,
        mtime: time,
        ctime: time,
        mode: 0o644,
        dev: 1,
        version: 0,
        owner: None,
    }
}

fn numbered(kind: EntryKind, prefix: &str, count: usize) -> Vec<Entry> {
    (0..count)
        .map(|n| Entry {
            name: format!("{prefix}{n:06}").into(),
            stat: fact(kind, n as u64),
        })
        .collect()
}

fn number(digits: &[u8]) -> u64 {
    let digit = |sum, byte: &u8| sum * 10 + u64::from(byte - b'0');
    digits.iter().fold(0, digit)
}

impl Synthetic {
    fn entries(&self, directory: &Path) -> Vec<Entry> {
        let path = directory.as_os_str().as_bytes();
        let depth = match path {
            [] => 0,
            path => 1 + path.iter().filter(|byte| **byte == b'/').count(),
        };
        match depth {
            0 => numbered(EntryKind::Directory, "g", self.directories.div_ceil(WIDE)),
            1 => {
                let left = self.directories - number(&path[1..]) as usize * WIDE;
                numbered(EntryKind::Directory, "d", left.min(WIDE))
            }
            _ => self.files.clone(),
        }
    }
}

impl Source for Synthetic {
    fn mount_facts(&self, _: &Path) -> std::result::Result<MountFacts, SourceError> {
        Ok(MountFacts {
            dev: 1,
            is_mount_point: false,
        })
    }

    fn list(&self, directory: &Path, _: Links) -> std::result::Result<Listing, SourceError> {
        Ok(Listing {
            entries: self.entries(directory),
            vanished: Vec::new(),
            errors: Vec::new(),
            directory: fact(EntryKind::Directory, 0),
            seen_at: Timestamp::now(),
        })
    }

    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        links: Links,
    ) -> std::result::Result<std::result::Result<Stat, SourceError>, SourceError> {
        Ok(self.look(directory, name, links).map(|look| look.stat))
    }

    fn look(&self, _: &Path, name: &[u8], _: Links) -> std::result::Result<Look, SourceError> {
        Ok(Look {
            stat: fact(EntryKind::Regular, number(&name[name.len() - 6..])),
            link: None,
            readable: true,
        })
    }

    fn open(
        &self,
        _: &Path,
        _: &[u8],
        _: u64,
    ) -> std::result::Result<(Box<dyn Read + Send>, Stat), SourceError> {
        unreachable!("nothing is uploaded")
    }

    fn blocks(&self) -> bool {
        false
    }
}

/// Takes everything.
#[derive(Debug)]
struct Sink;

#[async_trait]
impl Zone for Sink {
    fn name(&self) -> &str {
        "tempZone"
    }

    async fn get(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(Sink))
    }

    async fn get_acting_for(&self, _: &Identity) -> Result<Box<dyn Session>> {
        Ok(Box::new(Sink))
    }
}

#[async_trait]
impl Session for Sink {
    async fn replicas(&mut self, _: &str) -> Result<Vec<Replica>> {
        Ok(Vec::new())
    }
    async fn collection_exists(&mut self, _: &str) -> Result<bool> {
        Ok(false)
    }
    async fn list_replicas(
        &mut self,
        _: &str,
        _: &mut (dyn FnMut(Vec<(BString, Replica)>) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        Ok(())
    }
    async fn list_subcollections(&mut self, _: &str) -> Result<Vec<BString>> {
        Ok(Vec::new())
    }
    async fn create_collection(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn list_avus(&mut self, _: Entity<'_>) -> Result<Vec<Avu>> {
        Ok(Vec::new())
    }
    async fn list_values(
        &mut self,
        _: &str,
        _: &str,
        _: &mut (dyn FnMut(Vec<(BString, String)>) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        Ok(())
    }
    async fn remove_avu(&mut self, _: Entity<'_>, _: &Avu) -> Result<bool> {
        Ok(false)
    }
    async fn remove_empty_collection(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn takes_requests_ahead(&self) -> bool {
        true
    }

    async fn leaf(&mut self, _: &str) -> Result<Leaf> {
        unreachable!("nothing is registered directly")
    }

    async fn register_row(&mut self, _: &NewRow, _: &Leaf, _: i64) -> Result<()> {
        unreachable!("nothing is registered directly")
    }

    async fn register(&mut self, _: &str, _: &Register) -> Result<()> {
        Ok(())
    }
    async fn modify_replica(&mut self, _: &str, _: &Which, _: &Changes) -> Result<()> {
        Ok(())
    }
    async fn put(&mut self, _: &str, _: Box<dyn Read + Send>, _: u64, _: &Put) -> Result<()> {
        Ok(())
    }
    async fn append(
        &mut self,
        _: &str,
        _: Box<dyn Read + Send>,
        _: u64,
        _: u64,
        _: Option<&Target>,
    ) -> Result<()> {
        Ok(())
    }
    async fn checksum(&mut self, _: &str) -> Result<String> {
        Ok(String::new())
    }
    async fn add_avu(&mut self, _: Entity<'_>, _: &Avu) -> Result<()> {
        Ok(())
    }
    async fn set_avu(&mut self, _: Entity<'_>, _: &Avu) -> Result<()> {
        Ok(())
    }
    async fn apply_access(&mut self, _: &str, _: &[Grant]) -> Result<()> {
        Ok(())
    }
    async fn remove_data_object(&mut self, _: &str, _: Remove) -> Result<()> {
        Ok(())
    }
}

async fn open(broker: &str) -> Arc<dyn Broker> {
    match broker.strip_prefix("sqlite:") {
        Some(path) => Arc::new(SqliteBroker::open(Path::new(path)).await.unwrap()),
        None => Arc::new(
            RedisBroker::open(Address::parse(broker).unwrap())
                .await
                .unwrap(),
        ),
    }
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["start", broker, directories, files] => {
            start(&*open(broker).await, directories, files).await
        }
        ["work", broker, concurrency] => {
            work(open(broker).await, concurrency.parse().unwrap()).await
        }
        _ => panic!("start BROKER DIRECTORIES FILES, or work BROKER CONCURRENCY"),
    }
}

/// The size of the tree is in the name of its root, so that workers know it.
async fn start(broker: &dyn Broker, directories: &str, files: &str) {
    let root = format!("/synthetic/{directories}/{files}");
    let options = JobOptions::default();
    let spec = JobSpec::new(
        Path::new(&root),
        TARGET.into(),
        "tempZone".into(),
        "rods#tempZone".into(),
        options.clone(),
    );
    let request = JobRequest {
        name: Some(JOB.into()),
        source: Path::new(&root),
        target: TARGET,
        options,
        interval: None,
        owner: None,
        hooks: NoHandler.job_hooks(),
    };
    init(broker, &spec, &request).await.unwrap();
}

async fn work(broker: Arc<dyn Broker>, concurrency: usize) {
    let job = broker.find_job(JOB).await.unwrap().expect("no job");
    let spec: JobSpec = serde_json::from_slice(&job.spec).unwrap();
    let root = spec.source();
    let mut sizes = root
        .iter()
        .skip(2)
        .map(|word| word.to_str().unwrap().parse().unwrap());
    let source = Synthetic {
        directories: sizes.next().unwrap(),
        files: numbered(
            EntryKind::Regular,
            "file_of_a_usual_name_",
            sizes.next().unwrap(),
        ),
    };
    let info = WorkerInfo {
        id: WorkerId(format!("scale-{}", std::process::id())),
        host: "here".into(),
        pid: std::process::id(),
        process: String::new(),
        version: String::new(),
        status: String::new(),
    };
    let mut options = WorkerOptions::new(info, concurrency);
    options.until_ended = Some(job.id);
    let (_tell, told) = shutdown();
    let worker = Worker::new(
        broker.clone(),
        Sink,
        Arc::new(NoHandler),
        Arc::new(LogTasks),
        options,
        told,
    );
    worker.with_source(Arc::new(source)).run().await.unwrap();
    let job = broker.job(job.id).await.unwrap();
    println!("{}", serde_json::to_string(&job.totals).unwrap());
}
