//! A worker that dies at every call there is: before or after each call to the broker, and before or after each message to the
//! zone. Whichever it was, another worker ends the job, the target is the source, and the totals are exact. The hooks of files run at
//! least once, those around passes at most once, and where nobody knows whether they ran, that is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingest::broker::{
    Append, Begun, Broker, Completion, Created, Departure, Extended, FailureFilter, FailurePage,
    FailureRecord, Job, JobEvent, JobFilter, JobId, JobState, Lease, LeaseRequest, Leased, NewJob,
    NewTask, Result, Retried, Segment, Spawned, Worker as Working, WorkerId, WorkerInfo,
};
use ingest::core::rules::Rules;
use ingest::core::{Event, EventHandler, HookError, JobHooks, JobPass, NoHandler, Subject};
use ingest::plan::Operation;
use ingest::shutdown::shutdown;
use ingest::sync_task::job::{JobRequest, start_synchronization};
use ingest::sync_task::{JobOptions, LogTasks};
use ingest::worker::{Worker, WorkerOptions};
use irods_client::collection::ReplicaStatus;
use irods_client::metadata::{Avu, Entity};
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};
use support::{Site, TARGET};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// On which side of a call the worker dies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Before,
    After,
}

/// The death of a worker at one of its calls.
#[derive(Debug)]
struct Crash {
    at: u64,
    side: Side,
    calls: AtomicU64,
    happened: Notify,
}

impl Crash {
    fn new(at: u64, side: Side) -> Arc<Self> {
        Arc::new(Self {
            at,
            side,
            calls: AtomicU64::new(0),
            happened: Notify::new(),
        })
    }

    async fn die(&self) -> Infallible {
        self.happened.notify_one();
        std::future::pending().await
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.at && self.side == Side::Before {
            match self.die().await {}
        }
        let answer = call.await;
        if number == self.at && self.side == Side::After {
            match self.die().await {}
        }
        answer
    }
}

/// A broker in a call to which the worker dies.
#[derive(Debug)]
struct Deadly {
    broker: Arc<dyn Broker>,
    crash: Arc<Crash>,
}

macro_rules! around {
    ($self:ident, $method:ident $(, $argument:expr)*) => {
        $self.crash.around($self.broker.$method($($argument),*)).await
    };
}

#[async_trait]
impl Broker for Deadly {
    async fn create_job(&self, job: NewJob) -> Result<Created> {
        around!(self, create_job, job)
    }
    async fn find_job(&self, name: &str) -> Result<Option<Job>> {
        around!(self, find_job, name)
    }
    async fn job(&self, job: JobId) -> Result<Job> {
        around!(self, job, job)
    }
    async fn jobs(&self) -> Result<Vec<Job>> {
        around!(self, jobs)
    }
    async fn events(&self, job: JobId) -> Result<Vec<JobEvent>> {
        around!(self, events, job)
    }
    async fn note(&self, job: JobId, text: &str) -> Result<()> {
        around!(self, note, job, text)
    }
    async fn profile(&self, job: JobId) -> Result<(u64, Vec<u8>)> {
        around!(self, profile, job)
    }
    async fn put_profile(&self, job: JobId, revision: u64, bytes: Vec<u8>) -> Result<bool> {
        around!(self, put_profile, job, revision, bytes)
    }
    async fn stop(&self, job: JobId, now: bool) -> Result<JobState> {
        around!(self, stop, job, now)
    }
    async fn forget(&self, job: JobId) -> Result<()> {
        around!(self, forget, job)
    }
    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<Leased>> {
        around!(self, lease, request)
    }
    async fn extend(&self, leases: &[Lease], lease_for: Duration) -> Result<Extended> {
        around!(self, extend, leases, lease_for)
    }
    async fn release(&self, lease: Lease, delay: Duration) -> Result<()> {
        around!(self, release, lease, delay)
    }
    async fn spawn(
        &self,
        lease: Lease,
        children: Vec<NewTask>,
        cursor: Vec<u8>,
        signatures: Vec<Append>,
    ) -> Result<Spawned> {
        around!(self, spawn, lease, children, cursor, signatures)
    }
    async fn begin_once(&self, lease: Lease) -> Result<Begun> {
        around!(self, begin_once, lease)
    }
    async fn complete(&self, lease: Lease, completion: Completion) -> Result<()> {
        around!(self, complete, lease, completion)
    }
    async fn tick(&self) -> Result<()> {
        around!(self, tick)
    }
    async fn wait_for_work(&self, filter: &JobFilter, timeout: Duration) -> Result<bool> {
        around!(self, wait_for_work, filter, timeout)
    }
    async fn signatures(&self, key: &[u8]) -> Result<Vec<Segment>> {
        around!(self, signatures, key)
    }
    async fn clear_signatures(&self, prefix: &[u8]) -> Result<u64> {
        around!(self, clear_signatures, prefix)
    }
    async fn failures(&self, job: JobId, after: Option<&[u8]>, max: usize) -> Result<FailurePage> {
        around!(self, failures, job, after, max)
    }
    async fn retry(&self, job: JobId, filter: &FailureFilter) -> Result<Retried> {
        around!(self, retry, job, filter)
    }
    async fn heartbeat(&self, worker: &WorkerInfo, lives_for: Duration) -> Result<()> {
        around!(self, heartbeat, worker, lives_for)
    }
    async fn workers(&self) -> Result<Vec<Working>> {
        around!(self, workers)
    }
    async fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Result<()> {
        around!(self, worker_gone, worker, how)
    }
}

/// Counts hooks.
#[derive(Debug, Default)]
struct Tally {
    pre_job: AtomicU64,
    post_job: AtomicU64,
    /// By path in the zone: how often before an object came into being, how often after.
    objects: Mutex<BTreeMap<String, (u32, u32)>>,
}

#[async_trait]
impl EventHandler for Tally {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }

    async fn pre(&self, _: Event, subject: Subject<'_>) -> std::result::Result<(), HookError> {
        let mut objects = self.objects.lock().unwrap();
        objects.entry(subject.target.to_owned()).or_default().0 += 1;
        Ok(())
    }

    async fn post(&self, _: Event, subject: Subject<'_>) -> std::result::Result<(), HookError> {
        let mut objects = self.objects.lock().unwrap();
        objects.entry(subject.target.to_owned()).or_default().1 += 1;
        Ok(())
    }

    fn job_hooks(&self) -> JobHooks {
        JobHooks {
            pre_job: true,
            post_job: true,
        }
    }

    async fn pre_job(&self, _: JobPass<'_>) -> std::result::Result<(), HookError> {
        self.pre_job.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn post_job(&self, _: JobPass<'_>) -> std::result::Result<(), HookError> {
        self.post_job.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Tally {
    /// Fails unless the hooks were run as often as is promised. `crashed`: a worker was lost.
    fn check(&self, name: &str, job: &Job, failures: &[FailureRecord], crashed: bool) {
        let [pre, post] = [&self.pre_job, &self.post_job].map(|count| count.load(Ordering::SeqCst));
        assert!(pre <= 1 && post <= 1, "{name}: {pre} {post}");
        if job.state == JobState::Failed {
            let why = job.failed.as_deref().unwrap();
            assert!(
                why.contains("pre_job: its outcome is unknown"),
                "{name}: {why}"
            );
            assert!(crashed && post == 0 && job.totals.files_seen == 0, "{name}");
            return;
        }
        assert_eq!(pre, 1, "{name}");
        let unknown = |record: &FailureRecord| {
            record.failure.operation == "post_job" && record.failure.code_name == "OUTCOME_UNKNOWN"
        };
        match failures {
            [] => assert_eq!(post, 1, "{name}"),
            [one] if unknown(one) => assert!(crashed, "{name}"),
            _ => panic!("{name}: {failures:?}"),
        }
        let objects = self.objects.lock().unwrap();
        assert_eq!(objects.len() as u64, FILES, "{name}");
        for (object, counts) in objects.iter() {
            match crashed {
                true => assert!(
                    counts.0 >= 1 && counts.1 >= 1,
                    "{name}: {object} {counts:?}"
                ),
                false => assert_eq!(*counts, (1, 1), "{name}: {object}"),
            }
        }
    }
}

/// The number after `<name>` in the XML of a message's header.
fn length(header: &str, name: &str) -> u64 {
    let (_, rest) = header.split_once(&format!("<{name}>")).unwrap();
    rest.split('<').next().unwrap().trim().parse().unwrap()
}

/// One message as it is on the wire; none when the connection has ended.
async fn message(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let header_length = from.read_u32().await?;
    let mut header = vec![0; header_length.try_into().unwrap()];
    from.read_exact(&mut header).await?;
    let text = String::from_utf8(header.clone()).unwrap();
    let body: u64 = ["msgLen", "errorLen", "bsLen"]
        .iter()
        .map(|name| length(&text, name))
        .sum();
    let mut whole = [&header_length.to_be_bytes()[..], &header].concat();
    let start = whole.len();
    whole.resize(start + usize::try_from(body).unwrap(), 0);
    from.read_exact(&mut whole[start..]).await?;
    Ok(whole)
}

/// A way to the zone in a message of which the worker dies; answers its port, and what ends with the worker. After a message means: the
/// zone has answered.
async fn deadly_way(zone_port: u16, crash: Arc<Crash>) -> (u16, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let way = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let crash = Arc::clone(&crash);
            connections.spawn(async move {
                let mut zone = TcpStream::connect(("127.0.0.1", zone_port)).await?;
                loop {
                    let request = message(&mut client).await?;
                    let exchange = async {
                        zone.write_all(&request).await?;
                        // To the last one there is no answer.
                        message(&mut zone).await.map(Some).or(Ok(None))
                    };
                    let answer: std::io::Result<_> = crash.around(exchange).await;
                    match answer? {
                        Some(answer) => client.write_all(&answer).await?,
                        None => return Ok::<(), std::io::Error>(()),
                    }
                }
            });
        }
    });
    (port, way.abort_handle())
}

/// A worker in a runtime of its own, with which everything of it dies. Says whether it came to the end of the job.
fn work(
    broker: Arc<dyn Broker>,
    environment: Environment,
    job: JobId,
    name: String,
    handler: Arc<dyn EventHandler>,
    crash: Option<Arc<Crash>>,
) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async move {
        let info = WorkerInfo {
            id: WorkerId(name),
            host: "here".into(),
            pid: 1,
            process: String::new(),
            version: String::new(),
            status: String::new(),
        };
        let mut options = WorkerOptions::new(info, 2);
        options.filter.only = Some(job);
        options.until_ended = Some(job);
        let pool = Pool::new(
            environment,
            ConnectOptions::default(),
            PoolOptions::default(),
        );
        let (_told, shutdown) = shutdown();
        let worker = Worker::new(broker, pool, handler, Arc::new(LogTasks), options, shutdown);
        tokio::select! {
            done = worker.run() => {
                done.unwrap();
                true
            }
            () = async {
                match &crash {
                    Some(crash) => crash.happened.notified().await,
                    None => std::future::pending().await,
                }
            } => false,
        }
    });
    runtime.shutdown_background();
    ended
}

/// Where the worker dies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Broker,
    Zone,
}

const FILES: u64 = 20;

/// One job: a worker that dies at this call, then one that does not. Says whether the first one died.
async fn job_with_a_crash(
    site: &Site,
    operation: Operation,
    place: Place,
    crash: Arc<Crash>,
    tally: Option<Arc<Tally>>,
) -> bool {
    let name = format!("{operation}-{place:?}-{:?}-{}", crash.side, crash.at);
    let target = format!("{TARGET}/{name}");
    let broker: Arc<dyn Broker> = site.broker.clone();
    let handler: Arc<dyn EventHandler> = match &tally {
        Some(tally) => tally.clone(),
        None => Arc::new(NoHandler),
    };
    let request = JobRequest {
        name: Some(name.clone()),
        source: &site.source(),
        target: &target,
        options: JobOptions {
            operation,
            files_per_task: 4,
            ..JobOptions::default()
        },
        interval: None,
        owner: None,
        hooks: handler.job_hooks(),
    };
    let created = start_synchronization(&*broker, &site.pool, request).await;
    let job = created.unwrap().job().id;
    let mut environment = site.environment.clone();
    let mut way = None;
    let first: Arc<dyn Broker> = match place {
        Place::Broker => Arc::new(Deadly {
            broker: broker.clone(),
            crash: crash.clone(),
        }),
        Place::Zone => {
            let (port, ends) = deadly_way(environment.port, crash.clone()).await;
            environment.port = port;
            way = Some(ends);
            broker.clone()
        }
    };
    let dies = format!("{name}: dies");
    let death = {
        let (dies, crash, handler) = (dies.clone(), crash.clone(), handler.clone());
        let crash = Some(crash);
        tokio::task::spawn_blocking(move || work(first, environment, job, dies, handler, crash))
    };
    let died = !death.await.unwrap();
    if let Some(way) = way {
        way.abort();
    }
    broker
        .worker_gone(&WorkerId(dies), Departure::Died)
        .await
        .unwrap();
    let environment = site.environment.clone();
    let lives = format!("{name}: lives");
    let ends = {
        let broker = broker.clone();
        tokio::task::spawn_blocking(move || work(broker, environment, job, lives, handler, None))
    };
    assert!(ends.await.unwrap(), "{name}");

    let ended = broker.job(job).await.unwrap();
    let totals = ended.totals;
    if let Some(tally) = &tally {
        tally.check(&name, &ended, &site.failures(&ended).await, died);
        if ended.state == JobState::Failed {
            return died;
        }
    }
    assert_eq!(ended.state, JobState::Finished, "{name}");
    assert_eq!((totals.files_seen, totals.dirs_seen), (FILES, 3), "{name}");
    assert_eq!(
        totals.failed,
        0,
        "{name}: {:?}",
        site.failures(&ended).await
    );
    assert_eq!(
        totals.registered + totals.uploaded,
        FILES,
        "{name}: {totals:?}"
    );
    let mut zone = site.connection().await;
    for (directory, count) in [("", 6), ("/a", 7), ("/b", 7)] {
        let collection = format!("{target}{directory}");
        let objects = zone.list_data_objects(&collection).await.unwrap();
        assert_eq!(objects.len(), count, "{name}: {collection}");
        for (object, replicas) in objects {
            let object = object.to_string();
            let path = site
                .source()
                .join(&directory[directory.len().min(1)..])
                .join(&object);
            let [replica] = replicas.as_slice() else {
                panic!("{name}: {object} has {} replicas", replicas.len());
            };
            let good = irods_client::collection::ReplicaStatus::Good;
            assert_eq!(replica.status, good, "{name}: {object}");
            let size = std::fs::metadata(path).unwrap().len();
            assert_eq!(replica.size, size, "{name}: {object}");
        }
    }
    died
}

async fn everywhere(operation: Operation, place: Place, hooks: bool) {
    let site = Site::new().await;
    for n in 0..FILES {
        let directory = match n {
            0..6 => "",
            6..13 => "a/",
            _ => "b/",
        };
        let size = usize::try_from(n).unwrap() * 100;
        site.write(format!("{directory}f{n}"), vec![b'x'; size]);
    }
    let mut crashes = 0;
    for side in [Side::Before, Side::After] {
        // How many calls there are varies a little, with what waits for what.
        let (mut at, mut survived) = (0, 0);
        while survived < 3 {
            at += 1;
            let crash = Crash::new(at, side);
            let tally = hooks.then(Arc::default);
            match job_with_a_crash(&site, operation, place, crash, tally).await {
                true => crashes += 1,
                false => survived += 1,
            }
        }
    }
    eprintln!("{operation}, {place:?}: {crashes} crashes");
    assert!(crashes > 30, "only {crashes} crashes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registering_worker_may_die_at_any_call_to_the_broker() {
    everywhere(Operation::RegisterSync, Place::Broker, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploading_worker_may_die_at_any_call_to_the_broker() {
    everywhere(Operation::PutSync, Place::Broker, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registering_worker_may_die_at_any_message_to_the_zone() {
    everywhere(Operation::RegisterSync, Place::Zone, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploading_worker_may_die_at_any_message_to_the_zone() {
    everywhere(Operation::PutSync, Place::Zone, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_run_or_reported_wherever_a_worker_dies() {
    everywhere(Operation::RegisterSync, Place::Broker, true).await;
}

/// What a file that is put by choice has uploaded is its own, wherever the worker died, also when the file has changed since; and it is
/// no other's.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_that_died_has_put_by_choice_is_claimed() {
    let site = Site::new().await;
    let broker: Arc<dyn Broker> = site.broker.clone();
    let mut crashes = 0;
    for side in [Side::Before, Side::After] {
        let (mut at, mut survived) = (0, 0);
        while survived < 2 {
            at += 1;
            let name = format!("{side:?}-{at}");
            let target = format!("{TARGET}/{name}");
            // One goes in a message, the other in several.
            let sizes = [("small", 10), ("large", 5 << 20)];
            for (file, size) in sizes {
                site.write(file, vec![b'1'; size]);
            }
            let request = JobRequest {
                name: Some(name.clone()),
                source: &site.source(),
                target: &target,
                options: JobOptions {
                    operation: [Operation::Put, Operation::PutSync][at as usize % 2],
                    files_per_task: 1,
                    rules: Rules::with_flags(None, Some("put/{name}".to_owned()), None),
                    ..JobOptions::default()
                },
                interval: None,
                owner: None,
                hooks: JobHooks::default(),
            };
            let created = start_synchronization(&*broker, &site.pool, request).await;
            let job = created.unwrap().job().id;
            let crash = Crash::new(at, side);
            let mut environment = site.environment.clone();
            let (port, way) = deadly_way(environment.port, crash.clone()).await;
            environment.port = port;
            let dies = format!("{name}: dies");
            let death = {
                let (broker, dies) = (broker.clone(), dies.clone());
                let handler = Arc::new(NoHandler);
                tokio::task::spawn_blocking(move || {
                    work(broker, environment, job, dies, handler, Some(crash))
                })
            };
            let died = !death.await.unwrap();
            way.abort();
            broker
                .worker_gone(&WorkerId(dies), Departure::Died)
                .await
                .unwrap();
            // The zone needs a moment to see who has gone.
            let objects = sizes.map(|(file, _)| format!("{target}/put/{file}"));
            let mut zone = site.connection().await;
            for object in &objects {
                let in_flight = Some(ReplicaStatus::Intermediate);
                while zone
                    .replicas(object)
                    .await
                    .unwrap()
                    .first()
                    .map(|r| r.status)
                    == in_flight
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            for (file, size) in sizes {
                site.write(file, vec![b'2'; size + 1]);
            }
            let lives = format!("{name}: lives");
            let ends = {
                let (broker, environment) = (broker.clone(), site.environment.clone());
                let handler = Arc::new(NoHandler);
                tokio::task::spawn_blocking(move || {
                    work(broker, environment, job, lives, handler, None)
                })
            };
            assert!(ends.await.unwrap(), "{name}");
            let ended = broker.job(job).await.unwrap();
            let failures = site.failures(&ended).await;
            assert_eq!(ended.totals.failed, 0, "{name}: {failures:#?}");
            for ((file, size), object) in sizes.iter().zip(&objects) {
                // What was done before the death, PUT leaves as it is.
                let (old, new) = (vec![b'1'; *size], vec![b'2'; size + 1]);
                let is = site.read(object).await;
                assert!(is == old || is == new, "{name}: {object}: {}", is.len());
                let avus = zone.list_avus(Entity::DataObject(object)).await.unwrap();
                let path = site.source().join(file);
                let claim = Avu::new("irods_sync::source", path.to_str().unwrap(), "");
                assert_eq!(avus, [claim], "{name}: {object}");
            }
            match died {
                true => crashes += 1,
                false => survived += 1,
            }
        }
    }
    eprintln!("{crashes} crashes");
    assert!(crashes > 30, "only {crashes} crashes");
}
