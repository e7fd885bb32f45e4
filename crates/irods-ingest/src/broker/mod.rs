//! The broker: queue, accounting, failure ledger and cache of signatures behind one trait, [`Broker`].
//!
//! A job runs unchanged on every engine; [`sqlite`] is the embedded one, [`redis`] the one for many machines. What follows is the
//! specification: each rule is proved on every engine by the same conformance suite.
//!
//! 1. **Lease, not pop.** [`Broker::lease`] hands a task out under a random [`Token`] with a deadline that the worker extends.
//!    A lease whose deadline has passed is taken back by the next [`Broker::lease`] or [`Broker::tick`] of anybody, counted
//!    in [`Leased::expiries`], and the task is ready again. Until it is taken back, its token stays good. Any call with a
//!    token that is not the task's present one answers [`BrokerError::Stale`] and changes nothing. A holder that wants to
//!    [extend](Broker::extend) what was taken back has survived the task, so that lapse counts against it no more.
//! 2. **One atomic completion.** [`Broker::complete`] acknowledges, moves the counters, stores signatures, writes the ledger
//!    and queues what is to be retried, in one transaction. Crash before it: the task runs again. Crash after it: nothing is
//!    lost, nothing is counted twice. So totals are exact, and "the job has finished" is a fact.
//! 3. **Children in batches.** [`Broker::spawn`] queues at most [`limits::MAX_CHILDREN`] children, stores the cursor, and appends
//!    signatures (what counts as changed until the children have worked on it) in one transaction; whoever runs the task again is
//!    handed the cursor and goes on after it. The last batch goes with the completion.
//!    Who is told that [many](limits::MAX_BEFORE) ready tasks go before this one by now can give it back: it is handed out again once
//!    those have been taken. So the queue stays short although nobody waits with a task in hand.
//! 4. **Depth first, fair.** Ready tasks of a job are taken by class (file chunks before others before directories), then
//!    deeper before shallower, then in the order in which they were queued; one task from each job in turn. A request may be for certain
//!    [queues](Queues), and a job may have a bound on its chunks of files in hand ([`NewJob::max_in_flight`]): what is not
//!    served or above the bound is passed over, and directories with it while [`limits::MAX_AHEAD`] chunks wait because of that.
//! 5. **Tasks are idempotent.** The broker may hand a task out twice; it never completes it twice.
//! 6. **Bounded.** A finished task leaves nothing but its part of the totals, the capped ledger, the capped log of events, and a profile
//!    if workers keep one ([`Broker::put_profile`]). [`Broker::forget`] removes those.
//! 7. **No secrets.** Nothing that is put into a broker may contain a credential.
//!
//! **Life of a job.** `queued -> running -> finished | waiting -> queued ... | stopping -> stopped | failed`.
//! - A pass starts with the pre_job task if the job has one, else with its first task; the completion of pre_job queues the
//!   first task. The completion that brings the outstanding tasks to zero queues post_job if there is one; else, and when
//!   post_job completes, the pass ends: finished, or with an interval waiting until `max(start of the pass + interval, now)`.
//!   Passes never overlap.
//! - Hooks run at most once a pass: [`Broker::begin_once`] marks the task before it acts; a second holder is told so.
//! - [`Broker::stop`] drops what is ready or delayed, now and whatever is queued later by leases still in hand; the last of
//!   them to be completed, released or taken back ends the job as stopped. post_job does not run. A fatal completion does
//!   the same and ends as failed (or, for [`Fatal::Pass`] in a periodic job, as waiting).
//! - [`Broker::retry`] queues ledger entries again: in the present pass of a running job, else as a pass of just these, without hooks,
//!   after which the job is again in the state from which it was reopened.
//!
//! **The ledger** shows the latest full pass: it is emptied when the next full pass starts. An entry that is being retried stays until the
//! task that retries it completes without failing it again; if that task is dropped by a stop, the entry simply remains.
//!
//! Time is the broker's, never the caller's. A cancelled call may still take effect. What this module does not do: decide
//! when to retry, what a payload means, or how long to wait when the engine is [unavailable](BrokerError::is_unavailable).

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

mod check;
#[cfg(test)]
mod conformance;
mod counts;
mod error;
mod failures;
mod job;
pub mod limits;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod random;
pub mod redis;
mod signatures;
pub mod sqlite;
mod task;
mod worker;

pub use counts::Counts;
pub use error::{BrokerError, InUse, Result};
pub use failures::{Failure, FailureFilter, FailurePage, FailureRecord, Retried};
pub use job::{
    Created, EventKind, Job, JobEvent, JobId, JobState, NewJob, Outstanding, Queues, Timestamp,
};
pub use signatures::{Append, Compaction, Segment, SegmentId};
pub use task::{
    Begun, Completion, Extended, Fatal, JobFilter, Lease, LeaseRequest, Leased, NewTask, Spawned,
    TaskClass, TaskId, TaskKind, Token,
};
pub use worker::{Departure, Worker, WorkerId, WorkerInfo};

/// Queue, accounting, ledger and signature cache of ingest jobs. See the module for the rules that every engine obeys.
///
/// Every method may answer [`BrokerError::Unavailable`] (wait and call again on the same broker value), [`BrokerError::Corrupt`] and
/// [`BrokerError::Invalid`] (a request beyond [`limits`]); further errors are named at each method.
#[async_trait]
pub trait Broker: Debug + Send + Sync {
    /// Creates a job and queues its first task, or goes on with an unfinished one of the same identity and interval.
    ///
    /// Looked for first is an unfinished job of the same name, then one of the same identity and interval. If there is one, has
    /// both, is not stopping and has no live owner, it is resumed: it gets the new owner, specification, queues and bound on what is
    /// in flight, and nothing else of it changes.
    /// An ended job of the same name is forgotten.
    ///
    /// # Errors
    /// [`BrokerError::NameInUse`] if the unfinished job cannot be resumed.
    async fn create_job(&self, job: NewJob) -> Result<Created>;

    /// A job by its name, unfinished or ended.
    async fn find_job(&self, name: &str) -> Result<Option<Job>>;

    /// A job by its id. [`BrokerError::UnknownJob`] if there is none.
    async fn job(&self, job: JobId) -> Result<Job>;

    /// All jobs, oldest first.
    async fn jobs(&self) -> Result<Vec<Job>>;

    /// The job's log, oldest first; at most [`limits::MAX_EVENTS`], the latest.
    async fn events(&self, job: JobId) -> Result<Vec<JobEvent>>;

    /// Adds a line to the job's log, such as why a worker takes no more of its tasks.
    async fn note(&self, job: JobId, text: &str) -> Result<()>;

    /// The job's profile, which is opaque to the broker, and its revision; 0 and nothing if none was ever put.
    async fn profile(&self, job: JobId) -> Result<(u64, Vec<u8>)>;

    /// Puts another profile in the place of the one of this revision, and says whether that is still what was there. The revision goes up
    /// by one.
    async fn put_profile(&self, job: JobId, revision: u64, bytes: Vec<u8>) -> Result<bool>;

    /// Stops a job. Without `now`, leases in hand finish first; with `now` they are taken away and their tokens are stale.
    /// Answers the state after the call; an ended job stays as it is.
    async fn stop(&self, job: JobId, now: bool) -> Result<JobState>;

    /// Removes an ended job with its totals, ledger, events and profile. [`BrokerError::NotEnded`] for any other.
    async fn forget(&self, job: JobId) -> Result<()>;

    /// Leases up to `request.max` tasks; none if nothing is ready. Does what [`Broker::tick`] does first.
    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<Leased>>;

    /// Moves the deadlines of leases to `lease_for` from now, and says which of them are held no more. Those that ran out count
    /// against their tasks no more: whoever asks is still there.
    async fn extend(&self, leases: &[Lease], lease_for: Duration) -> Result<Extended>;

    /// Gives a task back after `delay`, counting nothing; its cursor stays.
    async fn release(&self, lease: Lease, delay: Duration) -> Result<()>;

    /// Queues `children`, stores `cursor` and appends `signatures`, all or nothing, and answers whether the queue is long. In a
    /// stopping job nothing of it is done.
    async fn spawn(
        &self,
        lease: Lease,
        children: Vec<NewTask>,
        cursor: Vec<u8>,
        signatures: Vec<Append>,
    ) -> Result<Spawned>;

    /// Marks a task as begun. The mark outlives the lease, so a later holder learns that an earlier one began.
    async fn begin_once(&self, lease: Lease) -> Result<Begun>;

    /// Ends a task and accounts for it, all in one transaction.
    async fn complete(&self, lease: Lease, completion: Completion) -> Result<()>;

    /// Takes back leases past their deadline, makes delayed tasks that are due ready, and starts passes that are due. Whoever
    /// waits for a job without leasing must call this now and then, for there may be no worker to do it.
    async fn tick(&self) -> Result<()>;

    /// Returns true as soon as a lease call of this filter may find a task, false after `timeout`.
    async fn wait_for_work(&self, filter: &JobFilter, timeout: Duration) -> Result<bool>;

    /// The segments stored for a key, in the order in which they count: the last entry wins.
    async fn signatures(&self, key: &[u8]) -> Result<Vec<Segment>>;

    /// Removes the segments of all keys that start with `prefix` (empty: of all); answers how many keys had some.
    async fn clear_signatures(&self, prefix: &[u8]) -> Result<u64>;

    /// A page of the job's ledger in byte order of the paths, starting after the path `after`; at most `max` entries.
    async fn failures(&self, job: JobId, after: Option<&[u8]>, max: usize) -> Result<FailurePage>;

    /// Queues the entries of the ledger that match. [`BrokerError::Stopping`] if the job is being stopped.
    async fn retry(&self, job: JobId, filter: &FailureFilter) -> Result<Retried>;

    /// Says that a worker lives, for `lives_for` from now. A job's owner lives as long as its heartbeats do.
    async fn heartbeat(&self, worker: &WorkerInfo, lives_for: Duration) -> Result<()>;

    /// The workers whose last heartbeat has not run out, by id.
    async fn workers(&self) -> Result<Vec<Worker>>;

    /// Ends a worker before its heartbeat runs out. Its leases return at once.
    async fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Result<()>;
}

/// How long who has waited so long for work does not look whether another process has queued some: at first hardly, since it may just be on
/// its way.
fn until_next_look(waited: Duration) -> Duration {
    (waited / 4).clamp(Duration::from_millis(5), Duration::from_millis(50))
}
