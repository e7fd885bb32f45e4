//! A zone, a broker and a source in one temporary directory, and the comparison of what is in them.
//!
//! Tests that are compiled once more in a module `..._seed_N` (see `harsh_again.rs`) get a zone that is harsh by that seed.
//! What a test itself asks of the zone is then asked until it is answered.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bstr::BString;
use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{Broker, Counts, FailureRecord, Job, JobId, WorkerId, WorkerInfo};
use ingest::core::{EventHandler, JobHooks, NoHandler};
use ingest::shutdown::{Shutdown, ShutdownSender, shutdown};
use ingest::survey::Survey;
use ingest::sync_task::job::{self, JobRequest, start_synchronization};
use ingest::sync_task::{IrodsTask, JobOptions, LogTasks};
use ingest::worker::{Worker, WorkerError, WorkerOptions};
use irods_client::collection::Replica;
use irods_client::metadata::{Avu, Entity};
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions, Pooled};
use irods_zone::{Harsh, Zone, ZoneOptions};
use tempfile::TempDir;

/// The collection that sources are ingested into.
pub const TARGET: &str = "/tempZone/home/rods/landing";

pub struct Site {
    pub dir: TempDir,
    pub zone: Zone,
    pub environment: Environment,
    pub pool: Pool,
    pub broker: Arc<SqliteBroker>,
    /// How harsh the zone is.
    pub harsh: Option<Harsh>,
}

/// So often is a failed file tried again in a harsh zone: four of a hundred calls find their object locked, at most.
const HARSH_RETRIES: u32 = 20;

/// How harsh the zone of these tests is: by the module that they are compiled in, or by `IRODS_HARSH_SEED` where that has a
/// seed at all.
fn harsh() -> Option<Harsh> {
    let (_, seed) = module_path!().split_once("_seed_")?;
    let seed = seed.split("::").next().unwrap_or(seed).to_owned();
    let seed = std::env::var("IRODS_HARSH_SEED").unwrap_or(seed);
    Some(Harsh::from_seed(seed.parse().unwrap()))
}

/// A job without a name, hooks, or anybody who runs it.
pub fn request<'a>(source: &'a Path, target: &'a str, options: JobOptions) -> JobRequest<'a> {
    JobRequest {
        name: None,
        source,
        target,
        options,
        interval: None,
        owner: None,
        hooks: JobHooks::default(),
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::at(TempDir::new().unwrap(), harsh()).await
    }

    /// The same place with its zone started anew, harsh or not.
    pub async fn reopened(self, harsh: Option<Harsh>) -> Self {
        drop((self.pool, self.broker));
        self.zone.stop().await;
        Self::at(self.dir, harsh).await
    }

    async fn at(dir: TempDir, harsh: Option<Harsh>) -> Self {
        let mut options = ZoneOptions::new(dir.path().join("zone"));
        options.harsh = harsh.clone();
        let zone = Zone::start(options).await.unwrap();
        let file = zone.environment_file().to_owned();
        let environment = Environment::read(&irods_client::environment::Sources {
            variable: &|name| {
                (name == "IRODS_ENVIRONMENT_FILE").then(|| file.to_str().unwrap().to_owned())
            },
            uid: rustix::process::getuid().as_raw(),
        })
        .unwrap();
        let pool = Pool::new(
            environment.clone(),
            ConnectOptions::default(),
            PoolOptions::default(),
        );
        let broker = SqliteBroker::open(dir.path().join("broker.sqlite3"))
            .await
            .unwrap();
        std::fs::create_dir_all(dir.path().join("source")).unwrap();
        Site {
            zone,
            environment,
            pool,
            broker: Arc::new(broker),
            dir,
            harsh,
        }
    }

    /// The source directory, links resolved.
    pub fn source(&self) -> PathBuf {
        self.dir.path().join("source").canonicalize().unwrap()
    }

    /// Writes a file of the source, whose modification lies safely in the past.
    pub fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.source().join(OsStr::from_bytes(name.as_ref()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The same, modified so many seconds after 1970 began.
    pub fn write_dated(
        &self,
        name: impl AsRef<[u8]>,
        content: impl AsRef<[u8]>,
        seconds: u64,
    ) -> PathBuf {
        let path = self.write(name, content);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(modified).unwrap();
        path
    }

    pub async fn connection(&self) -> Pooled {
        self.pool.get().await.unwrap()
    }

    /// Asks the zone for something that may be asked twice; a harsh zone until it answers.
    pub async fn ask<T>(
        &self,
        mut what: impl AsyncFnMut(&mut Pooled) -> irods_client::Result<T>,
    ) -> T {
        for _ in 0..1000 {
            let outcome = match self.pool.get().await {
                Ok(mut zone) => what(&mut zone).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(answer) => return answer,
                Err(error) if self.harsh.is_none() => panic!("{error}"),
                Err(error) => eprintln!("asked again: {error}"),
            }
        }
        panic!("no answer")
    }

    pub async fn stat(&self, path: &str) -> Option<irods_client::data_object::Stat> {
        self.ask(async |zone| zone.stat(path).await).await
    }

    pub async fn create_collection(&self, path: &str) {
        self.ask(async |zone| zone.create_collection(path, true).await)
            .await;
    }

    /// Queues a job of the source without running it.
    pub async fn start(&self, name: &str, options: JobOptions) -> Job {
        self.start_with(name, options, JobHooks::default(), None)
            .await
    }

    /// The same with hooks around its passes, or as a periodic one.
    pub async fn start_with(
        &self,
        name: &str,
        options: JobOptions,
        hooks: JobHooks,
        interval: Option<Duration>,
    ) -> Job {
        let source = &self.source();
        self.started(JobRequest {
            name: Some(name.to_owned()),
            interval,
            hooks,
            ..request(source, TARGET, options)
        })
        .await
    }

    async fn started(&self, request: JobRequest<'_>) -> Job {
        let broker: &dyn Broker = self.broker.as_ref();
        for _ in 0..1000 {
            match start_synchronization(broker, &self.pool, request.clone()).await {
                Ok(started) => return started.job().clone(),
                Err(error) if self.harsh.is_none() => panic!("{error}"),
                Err(error) => eprintln!("not started: {error}"),
            }
        }
        panic!("never started")
    }

    /// What `plan` and `verify` look through. It is asked in calm, not again for every trouble of a harsh zone.
    pub async fn survey(&self, options: &JobOptions) -> Survey {
        let source = &self.source();
        let request = request(source, TARGET, options.clone());
        let spec = job::check(&self.pool, &request).await.unwrap();
        Survey::new(spec, self.pool.clone(), 3).unwrap()
    }

    pub fn worker(
        &self,
        job: JobId,
        concurrency: usize,
        handler: Arc<dyn EventHandler>,
    ) -> (Worker, ShutdownSender) {
        let (sender, told) = shutdown();
        (self.worker_with(job, concurrency, handler, told), sender)
    }

    pub fn worker_with(
        &self,
        job: JobId,
        concurrency: usize,
        handler: Arc<dyn EventHandler>,
        told: Shutdown,
    ) -> Worker {
        self.watched_worker(job, concurrency, handler, Arc::new(LogTasks), told)
    }

    /// Does one task after the other, to the end of the job.
    pub async fn run_watched(
        &self,
        job: JobId,
        handler: Arc<dyn EventHandler>,
        watcher: Arc<dyn IrodsTask>,
    ) {
        let (_sender, told) = shutdown();
        let worker = self.watched_worker(job, 1, handler, watcher, told);
        worker.run().await.unwrap();
    }

    fn watched_worker(
        &self,
        job: JobId,
        concurrency: usize,
        handler: Arc<dyn EventHandler>,
        watcher: Arc<dyn IrodsTask>,
        told: Shutdown,
    ) -> Worker {
        let info = WorkerInfo {
            id: WorkerId(format!("test-{}", uuid::Uuid::new_v4())),
            host: "here".into(),
            pid: std::process::id(),
            process: String::new(),
            version: String::new(),
            status: String::new(),
        };
        let mut options = WorkerOptions::new(info, concurrency);
        options.filter.only = Some(job);
        options.until_ended = Some(job);
        Worker::new(
            self.broker.clone(),
            self.pool.clone(),
            handler,
            watcher,
            options,
            told,
        )
    }

    /// Runs a job to its end with two tasks at a time, and says how it ended.
    pub async fn run(&self, options: JobOptions) -> Job {
        self.run_with(options, Arc::new(NoHandler)).await
    }

    pub async fn run_with(&self, options: JobOptions, handler: Arc<dyn EventHandler>) -> Job {
        self.run_from(&self.source(), options, handler).await
    }

    /// The same of another source.
    pub async fn run_from(
        &self,
        source: &Path,
        mut options: JobOptions,
        handler: Arc<dyn EventHandler>,
    ) -> Job {
        let may_be_locked = options.operation.uploads() || options.deletes();
        if self.harsh.is_some() && may_be_locked {
            options.max_retries = options.max_retries.max(HARSH_RETRIES);
        }
        let job = self
            .started(JobRequest {
                name: Some(format!("job-{}", uuid::Uuid::new_v4())),
                ..request(source, TARGET, options)
            })
            .await;
        let (worker, _told) = self.worker(job.id, 2, handler);
        worker
            .run()
            .await
            .unwrap_or_else(|error: WorkerError| panic!("{error}"));
        self.broker.job(job.id).await.unwrap()
    }

    /// The totals of a job in which nothing fails.
    pub async fn run_well(&self, options: JobOptions) -> Counts {
        let job = self.run(options).await;
        self.assert_no_failures(&job).await;
        job.totals
    }

    pub async fn failures(&self, job: &Job) -> Vec<FailureRecord> {
        self.broker
            .failures(job.id, None, 1000)
            .await
            .unwrap()
            .entries
    }

    /// Fails if anything is in the ledger, and says what.
    pub async fn assert_no_failures(&self, job: &Job) {
        let failures = self.failures(job).await;
        let said = failures
            .iter()
            .map(|f| f.failure.message.as_str())
            .collect::<Vec<_>>();
        assert!(
            said.is_empty() && job.totals.failed == 0,
            "{said:#?} {job:?}"
        );
    }

    /// Everything below the target, by logical path relative to it; collections have no replicas.
    pub async fn catalog(&self) -> BTreeMap<BString, Vec<Replica>> {
        let mut found = BTreeMap::new();
        let mut left = vec![String::new()];
        while let Some(relative) = left.pop() {
            let collection = format!("{TARGET}{relative}");
            let (objects, collections) = self
                .ask(async |zone| {
                    let objects = zone.list_data_objects(&collection).await?;
                    Ok((objects, zone.list_subcollections(&collection).await?))
                })
                .await;
            for (name, replicas) in objects {
                found.insert(format!("{relative}/{name}").into(), replicas);
            }
            for name in collections {
                let path = format!("{relative}/{name}");
                found.insert(path.clone().into(), Vec::new());
                left.push(path);
            }
        }
        found
    }

    /// The AVUs of a data object.
    pub async fn avus(&self, object: &str) -> Vec<Avu> {
        let entity = Entity::DataObject(object);
        self.ask(async |zone| zone.list_avus(entity).await).await
    }

    /// The directory that what is uploaded to [`TARGET`] lies in.
    pub fn uploaded(&self) -> PathBuf {
        self.dir.path().join("zone/Vault/home/rods/landing")
    }

    /// Makes a unixfilesystem resource.
    pub async fn add_resource(&self, name: &str, vault: &Path) {
        use irods_client::protocol::{api, message::GeneralAdminInp};
        let argument = |text: &str| Some(text.to_owned());
        let place = format!("{}:{}", self.environment.host, vault.display());
        let input = GeneralAdminInp {
            arg0: argument("add"),
            arg1: argument("resource"),
            arg2: argument(name),
            arg3: argument("unixfilesystem"),
            arg4: argument(&place),
            ..GeneralAdminInp::default()
        };
        self.ask(async |zone| {
            let request = irods_client::connection::Request::new(api::GENERAL_ADMIN, name);
            match zone.call(request, Some(&input)).await {
                Err(error) if error.already_exists() => Ok(()),
                done => done.map(drop),
            }
        })
        .await;
    }

    /// Makes an ordinary user.
    pub async fn add_user(&self, name: &str) {
        use irods_client::protocol::{api, message::UserAdminInp};
        let argument = |text: &str| Some(text.to_owned());
        let input = UserAdminInp {
            arg0: argument("mkuser"),
            arg1: argument(name),
            ..UserAdminInp::default()
        };
        let mut zone = self.connection().await;
        let request = irods_client::connection::Request::new(api::USER_ADMIN, name);
        zone.call(request, Some(&input)).await.unwrap();
    }

    /// The content of a data object.
    pub async fn read(&self, logical: &str) -> Vec<u8> {
        self.ask(async |zone| {
            let how = irods_client::transfer::OpenHow::Read;
            let mut open = zone.open_data_object(logical, how, None).await?;
            let mut content = Vec::new();
            loop {
                let block = open.read(1 << 20).await?;
                if block.is_empty() {
                    break;
                }
                content.extend_from_slice(&block);
            }
            open.close().await?;
            Ok(content)
        })
        .await
    }
}

/// Everything below a directory by relative path with a leading slash, as `lstat` has it.
pub fn tree(root: &Path) -> BTreeMap<BString, std::fs::Metadata> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let relative = path.strip_prefix(root).unwrap();
            let name = [b"/", relative.as_os_str().as_bytes()].concat();
            if meta.is_dir() {
                left.push(path);
            }
            found.insert(name.into(), meta);
        }
    }
    found
}

/// Fails unless the catalog holds exactly the source: the same names, and of each file one good replica with its size,
/// modification time and physical path.
pub async fn assert_registered(site: &Site) {
    let (source, catalog) = (tree(&site.source()), site.catalog().await);
    let names = |map: Vec<&BString>| map.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(source.keys().collect()),
        names(catalog.keys().collect())
    );
    for (name, meta) in &source {
        let replicas = &catalog[name];
        if meta.is_dir() {
            assert!(replicas.is_empty(), "{name} is a data object");
            continue;
        }
        let [replica] = replicas.as_slice() else {
            panic!("{name} has {} replicas", replicas.len());
        };
        let path = [site.source().as_os_str().as_bytes(), name.as_slice()].concat();
        assert_eq!(
            (replica.size, replica.mtime),
            (meta.size(), meta.mtime()),
            "{name}"
        );
        assert_eq!(replica.path, path, "{name}");
        assert_eq!(
            replica.status,
            irods_client::collection::ReplicaStatus::Good,
            "{name}"
        );
    }
}

/// Waits until a file written now is old enough for its signature to be trusted.
pub async fn let_times_settle(path: &Path) {
    loop {
        let age =
            SystemTime::now().duration_since(path.symlink_metadata().unwrap().modified().unwrap());
        if age.is_ok_and(|age| age > Duration::from_millis(50)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
