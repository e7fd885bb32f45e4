//! The model broker, over a network that loses calls, on the virtual clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::host::{Fate, Host, World};
use crate::broker::model::Model;
use crate::broker::{
    Append, Begun, Broker, BrokerError, Completion, Created, Departure, Extended, FailureFilter,
    FailurePage, Job, JobEvent, JobFilter, JobId, JobState, Lease, LeaseRequest, Leased, NewJob,
    NewTask, Result, Retried, Segment, Spawned, Worker, WorkerId, WorkerInfo,
};

/// The broker itself.
#[derive(Debug)]
pub(super) struct Queue {
    world: Arc<World>,
    model: Model,
    changed: Notify,
}

impl Queue {
    pub(super) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world,
            model: Model::default(),
            changed: Notify::new(),
        })
    }

    /// At the present time, and past the network.
    pub(super) fn here(&self) -> &Model {
        self.model.set_now(self.world.millis());
        &self.model
    }

    /// Ends when something happened that may have made a task ready, or after `timeout`.
    async fn changes(&self, timeout: Duration) {
        let _ = tokio::time::timeout(timeout, self.changed.notified()).await;
    }
}

/// The broker as one worker reaches it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) queue: Arc<Queue>,
    pub(super) host: Arc<Host>,
}

fn unavailable() -> BrokerError {
    BrokerError::Unavailable {
        broker: "the model".into(),
        detail: "no answer".into(),
    }
}

macro_rules! over_the_network {
    ($self:ident, $method:ident $(, $argument:expr)*) => {{
        let call = stringify!($method);
        let fate = $self.host.begin_at(call, "", true).await;
        if fate == Fate::LostBefore {
            return Err(unavailable());
        }
        let answer = $self.queue.here().$method($($argument),*).await;
        if matches!(call, "spawn" | "complete" | "release" | "worker_gone") {
            $self.queue.changed.notify_waiters();
        }
        $self.host.end(call).await;
        match fate {
            Fate::LostAfter | Fate::Late(_) => Err(unavailable()),
            _ => answer,
        }
    }};
}

#[async_trait]
impl Broker for Link {
    async fn create_job(&self, job: NewJob) -> Result<Created> {
        over_the_network!(self, create_job, job)
    }
    async fn find_job(&self, name: &str) -> Result<Option<Job>> {
        over_the_network!(self, find_job, name)
    }
    async fn job(&self, job: JobId) -> Result<Job> {
        over_the_network!(self, job, job)
    }
    async fn jobs(&self) -> Result<Vec<Job>> {
        over_the_network!(self, jobs)
    }
    async fn events(&self, job: JobId) -> Result<Vec<JobEvent>> {
        over_the_network!(self, events, job)
    }
    async fn note(&self, job: JobId, text: &str) -> Result<()> {
        over_the_network!(self, note, job, text)
    }
    async fn profile(&self, job: JobId) -> Result<(u64, Vec<u8>)> {
        over_the_network!(self, profile, job)
    }
    async fn put_profile(&self, job: JobId, revision: u64, bytes: Vec<u8>) -> Result<bool> {
        over_the_network!(self, put_profile, job, revision, bytes)
    }
    async fn stop(&self, job: JobId, now: bool) -> Result<JobState> {
        over_the_network!(self, stop, job, now)
    }
    async fn forget(&self, job: JobId) -> Result<()> {
        over_the_network!(self, forget, job)
    }
    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<Leased>> {
        over_the_network!(self, lease, request)
    }
    async fn extend(&self, leases: &[Lease], lease_for: Duration) -> Result<Extended> {
        over_the_network!(self, extend, leases, lease_for)
    }
    async fn release(&self, lease: Lease, delay: Duration) -> Result<()> {
        over_the_network!(self, release, lease, delay)
    }
    async fn spawn(
        &self,
        lease: Lease,
        children: Vec<NewTask>,
        cursor: Vec<u8>,
        signatures: Vec<Append>,
    ) -> Result<Spawned> {
        over_the_network!(self, spawn, lease, children, cursor, signatures)
    }
    async fn begin_once(&self, lease: Lease) -> Result<Begun> {
        over_the_network!(self, begin_once, lease)
    }
    async fn complete(&self, lease: Lease, completion: Completion) -> Result<()> {
        over_the_network!(self, complete, lease, completion)
    }
    async fn tick(&self) -> Result<()> {
        over_the_network!(self, tick)
    }
    async fn wait_for_work(&self, filter: &JobFilter, timeout: Duration) -> Result<bool> {
        if !self.queue.here().wait_for_work(filter, timeout).await? {
            self.queue.changes(timeout).await;
        }
        over_the_network!(self, wait_for_work, filter, timeout)
    }
    async fn signatures(&self, key: &[u8]) -> Result<Vec<Segment>> {
        over_the_network!(self, signatures, key)
    }
    async fn clear_signatures(&self, prefix: &[u8]) -> Result<u64> {
        over_the_network!(self, clear_signatures, prefix)
    }
    async fn failures(&self, job: JobId, after: Option<&[u8]>, max: usize) -> Result<FailurePage> {
        over_the_network!(self, failures, job, after, max)
    }
    async fn retry(&self, job: JobId, filter: &FailureFilter) -> Result<Retried> {
        over_the_network!(self, retry, job, filter)
    }
    async fn heartbeat(&self, worker: &WorkerInfo, lives_for: Duration) -> Result<()> {
        over_the_network!(self, heartbeat, worker, lives_for)
    }
    async fn workers(&self) -> Result<Vec<Worker>> {
        over_the_network!(self, workers)
    }
    async fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Result<()> {
        over_the_network!(self, worker_gone, worker, how)
    }
}
