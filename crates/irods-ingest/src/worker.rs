//! The worker: takes tasks from the broker, does them, completes them; keeps its leases alive meanwhile.
//!
//! A task is done by one future that is dropped when its lease is lost or the worker must leave at once; the broker then
//! hands the task to somebody else. What a job needs is set up once per job. A job that this worker cannot do is noted in the
//! job's log, and taken again when that may have changed (`refusals`).

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::broker::{
    Broker, BrokerError, Departure, JobFilter, JobId, Lease, LeaseRequest, Leased, WorkerId,
    WorkerInfo,
};
use crate::context::JobContext;
use crate::core::EventHandler;
use crate::core::python::{Allowed, Python};
use crate::patience::Backoff;
use crate::shutdown::{Shutdown, Urgency};
use crate::source::Source;
use crate::source::s3::Requests;
use crate::sync_task::IrodsTask;
use crate::zone::Zone;

mod in_hand;
mod keeper;
mod perform;
mod refusals;
mod setup;
pub mod status;
mod width;

use in_hand::InHand;
use keeper::{Shared, keep_alive};
use refusals::{Hope, Refusals};
use width::Width;

/// What a worker needs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Who it is.
    pub info: WorkerInfo,
    /// Tasks at the same time, at least 1.
    pub concurrency: usize,
    /// `concurrency` is the most; how many get the most done is found while working.
    pub adaptive: bool,
    /// From which jobs it takes tasks.
    pub filter: JobFilter,
    /// Leave when this job has ended, or when it cannot be done here.
    pub until_ended: Option<JobId>,
    /// How long a lease is good for; it is extended well before it runs out.
    pub lease_for: Duration,
    /// What it is called in lists, if not by its id.
    pub name: Option<String>,
    /// The most bytes that it uploads in a second.
    pub max_rate: Option<NonZeroU64>,
    /// The most requests to S3 servers that are under way at the same time, at least 1.
    pub s3_max_requests: u16,
    /// How long an S3 server may say nothing before a request to it is made again.
    pub s3_timeout: Duration,
}

impl WorkerOptions {
    /// Leases of 30 s.
    pub fn new(info: WorkerInfo, concurrency: usize) -> Self {
        WorkerOptions {
            info,
            concurrency,
            adaptive: false,
            filter: JobFilter::default(),
            until_ended: None,
            lease_for: Duration::from_secs(30),
            name: None,
            max_rate: None,
            s3_max_requests: Requests::MOST,
            s3_timeout: Requests::SILENCE,
        }
    }
}

/// Why a worker ends before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The broker is damaged or gone for good.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The one job that this worker is for cannot be done here.
    #[error("{0}")]
    CannotDo(String),
}

/// A worker, ready to run.
#[derive(Debug, Clone)]
pub struct Worker {
    broker: Arc<dyn Broker>,
    zone: Arc<dyn Zone>,
    source: Option<Arc<dyn Source>>,
    python: Option<(Python, Allowed)>,
    handler: Arc<dyn EventHandler>,
    watcher: Arc<dyn IrodsTask>,
    options: WorkerOptions,
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

/// How a task left the worker.
enum Left {
    /// It is accounted for.
    Completed(JobId),
    /// It is somebody else's.
    GivenUp,
    /// It will be somebody else's when its lease has run out.
    Abandoned,
    Refused(JobId, String),
    Broken(BrokerError),
}

/// What the loop knows of jobs.
#[derive(Debug, Default)]
struct Known {
    contexts: HashMap<JobId, JobContext>,
    refusals: Refusals,
}

impl From<BrokerError> for Left {
    fn from(error: BrokerError) -> Self {
        match error {
            // Somebody else has the task now, or the job is gone; what we did does not count.
            BrokerError::Stale { .. } | BrokerError::UnknownJob { .. } => Left::GivenUp,
            error if error.is_unavailable() => Left::Abandoned,
            error => Left::Broken(error),
        }
    }
}

impl Worker {
    /// A worker on `broker` whose tasks act on `zone`.
    pub fn new(
        broker: Arc<dyn Broker>,
        zone: impl Zone + 'static,
        handler: Arc<dyn EventHandler>,
        watcher: Arc<dyn IrodsTask>,
        options: WorkerOptions,
        shutdown: Shutdown,
    ) -> Self {
        let width = match options.adaptive {
            true => Width::searched(options.concurrency, Instant::now()),
            false => Width::fixed(options.concurrency),
        };
        Worker {
            broker,
            zone: Arc::new(zone),
            source: None,
            python: None,
            handler,
            watcher,
            shared: Arc::new(Shared::new(
                width,
                options.max_rate,
                Requests::new(options.s3_max_requests, options.s3_timeout),
            )),
            options,
            shutdown,
        }
    }

    /// The same with a source of its own for every job, instead of the file system at the job's root.
    pub fn with_source(self, source: Arc<dyn Source>) -> Self {
        Worker {
            source: Some(source),
            ..self
        }
    }

    /// The same, and it runs the handlers of jobs that have one in Python, as far as they are allowed.
    pub fn with_python(self, python: Python, allowed: Allowed) -> Self {
        Worker {
            python: Some((python, allowed)),
            ..self
        }
    }

    /// Who it is.
    pub fn id(&self) -> &WorkerId {
        &self.options.info.id
    }

    /// Works until asked to leave, or until the job it is for has ended.
    ///
    /// # Errors
    /// The broker cannot be used any more, or the job cannot be done here.
    pub async fn run(self) -> Result<(), WorkerError> {
        let in_hand = Arc::new(InHand::default());
        let keeper = tokio::spawn(keep_alive(self.clone(), in_hand.clone()));
        let ended = self.work(&in_hand).await;
        keeper.abort();
        tokio::select! {
            biased;
            () = self.hand_in() => {}
            () = self.shutdown.wait_for(Urgency::Now) => {}
        }
        // Whatever is still in hand is given back at once rather than when its lease runs out. Whoever takes it next must know
        // that some of it may be done.
        let in_order = !in_hand.has_begun() && !in_hand.abandoned.load(Ordering::SeqCst);
        let how = match in_order {
            true => Departure::Left,
            false => Departure::Interrupted,
        };
        if let Err(error) = self.broker.worker_gone(&self.options.info.id, how).await {
            debug!(%error, "the broker was not told that this worker leaves");
        }
        ended
    }

    async fn work(&self, in_hand: &Arc<InHand>) -> Result<(), WorkerError> {
        let mut known = Known::default();
        let mut tasks: JoinSet<Left> = JoinSet::new();
        // In hand, and without a place.
        let mut waiting: VecDeque<Leased> = VecDeque::new();
        let mut backoff = Backoff::new();
        let mut was_away = false;
        loop {
            while let Some(left) = tasks.try_join_next() {
                self.settle(left, in_hand, &mut known).await?;
            }
            // While the zone is away, what was begun waits for it, and nothing is added.
            let changed = self.shared.breaker.changed();
            let away = self.shared.breaker.away().is_some();
            if self.shutdown.requested() {
                self.give_back_waiting(&mut waiting, in_hand).await;
                return self.drain(tasks, in_hand, &mut known).await;
            }
            if away != was_away {
                self.shared.width().was_idle(Instant::now());
                was_away = away;
            }
            let most = match away {
                false => self.shared.width().now(),
                true => 1,
            };
            while in_hand.places().taken < most
                && let Some(leased) = waiting.pop_front()
            {
                self.begin(leased, &mut known, in_hand, &mut tasks).await?;
            }
            if away {
                self.give_back_waiting(&mut waiting, in_hand).await;
            }
            let filter = known.refusals.narrow(&self.options.filter, Instant::now());
            let places = in_hand.places();
            let soon = if away { 0 } else { places.soon_free };
            let free = (most + soon).saturating_sub(places.taken + places.wanted);
            // The broker may take long to account for what is done.
            let free = free.min((2 * most + 1).saturating_sub(in_hand.len()));
            let until = Instant::now() + self.options.lease_for;
            let leased = match free {
                0 => Vec::new(),
                free => self.lease(free, &filter, &mut backoff).await?,
            };
            let got = leased.len();
            for leased in leased {
                in_hand.take(&leased, until);
                waiting.push_back(leased);
            }
            if got > 0 {
                continue;
            }
            if free > 0 && places.taken < most {
                self.shared.width().was_idle(Instant::now());
            }
            if tasks.is_empty() {
                if self.has_ended().await? {
                    return Ok(());
                }
                // Whoever waits for the job to end finds all of it.
                self.hand_in().await;
            }
            tokio::select! {
                biased;
                Some(left) = tasks.join_next(), if !tasks.is_empty() => {
                    self.settle(left, in_hand, &mut known).await?;
                }
                () = in_hand.changed() => {}
                _ = self.broker.wait_for_work(&filter, IDLE), if free > 0 => {}
                () = changed, if away => {}
                () = self.shutdown.wait_for(Urgency::Drain) => {}
            }
        }
    }

    /// Asks for tasks; none while the broker does not answer.
    async fn lease(
        &self,
        max: usize,
        filter: &JobFilter,
        backoff: &mut Backoff,
    ) -> Result<Vec<Leased>, WorkerError> {
        let request = LeaseRequest {
            worker: self.options.info.id.clone(),
            max,
            lease_for: self.options.lease_for,
            filter: filter.clone(),
        };
        match self.broker.lease(&request).await {
            Ok(leased) => {
                backoff.reset();
                Ok(leased)
            }
            Err(error) if error.is_unavailable() => {
                warn!(%error, "waiting for the broker");
                tokio::select! {
                    biased;
                    () = backoff.wait() => {}
                    () = self.shutdown.wait_for(Urgency::Drain) => {}
                }
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a task in hand, or gives it back where its job cannot be done here.
    async fn begin(
        &self,
        leased: Leased,
        known: &mut Known,
        in_hand: &Arc<InHand>,
        tasks: &mut JoinSet<Left>,
    ) -> Result<(), WorkerError> {
        let context = match known.contexts.get(&leased.job) {
            Some(context) => context,
            None => match self.context(&leased) {
                Ok(context) => known.contexts.entry(leased.job).or_insert(context),
                Err(why) => {
                    in_hand.done(leased.lease);
                    self.give_back(leased.lease).await;
                    return self.refuse(leased.job, &why, Hope::None, known).await;
                }
            },
        };
        let (worker, lease, done) = (self.clone(), leased.lease, in_hand.clone());
        in_hand.begin(lease, |tenure| {
            let context = JobContext {
                tenure,
                ..context.clone()
            };
            tasks.spawn(async move {
                let left = worker.perform(&context, &leased, &done).await;
                if matches!(left, Left::Abandoned) {
                    done.abandoned.store(true, Ordering::SeqCst);
                }
                done.done(lease);
                left
            })
        });
        Ok(())
    }

    /// Gives back what was not begun, if there is time for that.
    async fn give_back_waiting(&self, waiting: &mut VecDeque<Leased>, in_hand: &InHand) {
        while let Some(leased) = waiting.pop_front() {
            tokio::select! {
                biased;
                () = self.give_back(leased.lease) => {}
                () = self.shutdown.wait_for(Urgency::Now) => {}
            }
            in_hand.done(leased.lease);
        }
    }

    async fn give_back(&self, lease: Lease) {
        if let Err(error) = self.broker.release(lease, Duration::ZERO).await {
            debug!(%error, "a task was not given back; its lease will run out");
        }
    }

    async fn settle(
        &self,
        left: Result<Left, JoinError>,
        in_hand: &InHand,
        known: &mut Known,
    ) -> Result<(), WorkerError> {
        match left {
            Ok(Left::Refused(job, why)) => self.refuse(job, &why, Hope::Later, known).await,
            Ok(Left::Broken(error)) => Err(error.into()),
            Ok(Left::Completed(job)) => {
                known.refusals.lift(job);
                Ok(())
            }
            Ok(Left::GivenUp | Left::Abandoned) => Ok(()),
            // It panicked. Its lease is extended no more, so it runs out, is counted, and somebody takes the task.
            Err(error) => {
                in_hand.panicked(error.id());
                Ok(())
            }
        }
    }

    async fn refuse(
        &self,
        job: JobId,
        why: &str,
        hope: Hope,
        known: &mut Known,
    ) -> Result<(), WorkerError> {
        if !known.refusals.refuse(job, why, hope, Instant::now()) {
            return Ok(());
        }
        let more = match hope {
            Hope::Later => ", for now",
            Hope::None => "",
        };
        let name = match known.contexts.get(&job) {
            Some(context) => Some(context.job_name().await),
            None => None,
        };
        warn!(%job, job_name = name, why, "this worker takes no more of the job{more}");
        let note = format!("{} takes no more of it{more}: {why}", self.options.info.id);
        if let Err(error) = self.broker.note(job, &note).await {
            debug!(%error, "the job's log was not written");
        }
        match self.options.until_ended == Some(job) {
            true => Err(WorkerError::CannotDo(why.to_owned())),
            false => Ok(()),
        }
    }

    async fn has_ended(&self) -> Result<bool, WorkerError> {
        let Some(job) = self.options.until_ended else {
            return Ok(false);
        };
        match self.broker.job(job).await {
            Ok(job) => Ok(job.state.has_ended()),
            Err(BrokerError::UnknownJob { .. }) => Ok(true),
            Err(error) if error.is_unavailable() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets what is in hand come to an end, or drops it when there is no more time.
    async fn drain(
        &self,
        mut tasks: JoinSet<Left>,
        in_hand: &Arc<InHand>,
        known: &mut Known,
    ) -> Result<(), WorkerError> {
        info!(tasks = tasks.len(), "draining");
        loop {
            tokio::select! {
                biased;
                left = tasks.join_next() => match left {
                    Some(left) => self.settle(left, in_hand, known).await?,
                    None => return Ok(()),
                },
                () = self.shutdown.wait_for(Urgency::Now) => break,
            }
        }
        tasks.shutdown().await;
        Ok(())
    }
}

/// How long an idle worker waits before it looks again by itself.
const IDLE: Duration = Duration::from_secs(1);
