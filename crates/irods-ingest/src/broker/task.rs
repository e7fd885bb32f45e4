//! Tasks: what is queued, what a lease hands out, what a completion reports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Append, Compaction, Counts, Failure, JobId, Queues, Timestamp, WorkerId};

/// The broker's number of a task. Only together with its [`Token`] does it name one for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random proof that a lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(Uuid);

impl Token {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Its bytes, for a store.
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// The order in which tasks of a job are taken: earlier classes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskClass {
    /// A chunk of files: taken first, so that the queue drains before it grows.
    Files,
    /// Anything else.
    Other,
    /// A directory to be scanned.
    Directory,
    /// What begins a pass, and the hooks around it: by itself in its job.
    Start,
}

impl TaskClass {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Files, Self::Other, Self::Directory, Self::Start];
}

/// Whether a task is the job's own work or one of its hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// The first task and whatever comes from it.
    Work,
    /// Before a pass. The payload is empty.
    PreJob,
    /// After a pass. The payload is empty.
    PostJob,
}

/// A task to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Orders it.
    pub class: TaskClass,
    /// Depth below the source root; deeper is taken first.
    pub depth: u32,
    /// What to do, for the engine alone.
    pub payload: Vec<u8>,
    /// How long it is not ready.
    pub delay: Option<Duration>,
}

/// A lease in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// The proof.
    pub token: Token,
}

/// Which jobs a worker takes tasks from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// If set, from this one alone.
    pub only: Option<JobId>,
    /// Not from these.
    pub except: Vec<JobId>,
    /// If set, from these queues alone, by their [names](super::Queues).
    pub queues: Option<Vec<String>>,
}

impl JobFilter {
    /// Whether tasks of the job may be taken.
    pub fn admits(&self, job: JobId) -> bool {
        self.only.is_none_or(|only| only == job) && !self.except.contains(&job)
    }

    /// Whether tasks of a class may be taken from a job with these queues.
    pub fn takes(&self, queues: &Queues, class: TaskClass) -> bool {
        let serves = |served: &Vec<String>| served.iter().any(|name| name == queues.of(class));
        self.queues.as_ref().is_none_or(serves)
    }
}

/// What a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// The most tasks wanted.
    pub max: usize,
    /// Time until the lease must be extended.
    pub lease_for: Duration,
    /// From which jobs.
    pub filter: JobFilter,
}

/// A task in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// What every further call about the task names.
    pub lease: Lease,
    /// The job.
    pub job: JobId,
    /// The job's [`spec`](super::NewJob::spec).
    pub spec: Arc<[u8]>,
    /// Work or hook.
    pub kind: TaskKind,
    /// As it was queued.
    pub class: TaskClass,
    /// As it was queued, up to [`MAX_DEPTH`](super::limits::MAX_DEPTH).
    pub depth: u32,
    /// As it was queued.
    pub payload: Vec<u8>,
    /// The cursor of the last [`spawn`](super::Broker::spawn) of an earlier holder, else empty.
    pub cursor: Vec<u8>,
    /// How often a lease of this task ran out whose holder did not come back. It stays 1 where all came back or left in the middle,
    /// for some of it may be done. A holder that sees many should split the task or give it up.
    pub expiries: u32,
    /// When the lease runs out, unless extended.
    pub deadline: Timestamp,
    /// The pass that the job is in.
    pub pass: u64,
    /// How long it was ready: since it was queued, became due, or was given or taken back.
    pub waited: Duration,
}

/// What became of leases that were to be extended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extended {
    /// Held no more: let go of these.
    pub lost: Vec<Lease>,
    /// Jobs that are being stopped, of leases that are held: finish what is in hand, begin nothing.
    pub stopping: Vec<JobId>,
}

/// What became of children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spawned {
    /// Queued, and the cursor stored.
    Queued,
    /// The same, and [`MAX_BEFORE`](super::limits::MAX_BEFORE) ready tasks or more go before this one now.
    Crowded,
    /// The job is being stopped: the children are dropped; complete the task.
    Stopping,
}

/// Whether a task was begun before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Never: go ahead.
    First,
    /// Someone began and did not complete; what they did is unknown.
    Again,
}

/// What ends more than the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fatal {
    /// The pass cannot succeed; a periodic job waits for its next one, any other fails.
    Pass(String),
    /// The job cannot succeed on any worker.
    Job(String),
}

/// What a task did, and what is still to be done for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// Added to the job's totals.
    pub counts: Counts,
    /// Signatures of what succeeded.
    pub signatures: Vec<Append>,
    /// Signature records that the task read and found clean.
    pub compactions: Vec<Compaction>,
    /// For the ledger.
    pub failures: Vec<Failure>,
    /// Tasks that the task leads to, in addition to those that it [spawned](super::Broker::spawn); dropped if the job is being stopped. At
    /// most [`MAX_CHILDREN`](super::limits::MAX_CHILDREN).
    pub children: Vec<NewTask>,
    /// Tasks that try again what failed, usually delayed. At most [`MAX_CHILDREN`](super::limits::MAX_CHILDREN).
    pub retries: Vec<NewTask>,
    /// Ends the pass or the job.
    pub fatal: Option<Fatal>,
}
