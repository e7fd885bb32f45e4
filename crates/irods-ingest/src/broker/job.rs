//! Jobs as a broker shows them: what creates one, its states, its log.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Counts, NewTask, TaskClass, WorkerId};

/// Milliseconds since 1970-01-01 UTC, by the broker's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time as the standard library has it.
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH
            .checked_add(Duration::from_millis(self.0))
            .unwrap_or(UNIX_EPOCH)
    }
}

/// The broker's own number of a job; never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The names of a job's queues. Workers that are told to serve certain queues take nothing from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queues {
    /// Of chunks of files.
    pub file: String,
    /// Of directories, and of whatever is deleted.
    pub path: String,
    /// Of what begins passes, and of the hooks around them.
    pub restart: String,
}

impl Default for Queues {
    /// `file`, `path` and `restart`.
    fn default() -> Self {
        let [file, path, restart] = Self::DEFAULT.map(str::to_owned);
        Queues {
            file,
            path,
            restart,
        }
    }
}

impl Queues {
    /// The names of the default ones.
    pub const DEFAULT: [&str; 3] = ["file", "path", "restart"];

    /// The queue in which tasks of a class are.
    pub fn of(&self, class: TaskClass) -> &str {
        match class {
            TaskClass::Files => &self.file,
            TaskClass::Other | TaskClass::Directory => &self.path,
            TaskClass::Start => &self.restart,
        }
    }
}

/// A job to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The name that people use; a random one is made if there is none.
    pub name: Option<String>,
    /// What the job is, for the engine alone; handed out with every lease.
    pub spec: Vec<u8>,
    /// Source, target and options as one text or hash: jobs with equal identities do the same work. Only at the same interval
    /// are they the same job.
    pub identity: String,
    /// The task with which each full pass starts (after pre_job).
    pub first: NewTask,
    /// Whether a [`PreJob`](super::TaskKind::PreJob) task goes before each full pass.
    pub pre_job: bool,
    /// Whether a [`PostJob`](super::TaskKind::PostJob) task follows each full pass.
    pub post_job: bool,
    /// For a periodic job: the time from the start of one pass to the start of the next.
    pub interval: Option<Duration>,
    /// The process that runs the job to its end, if one does. Its [heartbeats](super::Broker::heartbeat) say whether it lives.
    pub owner: Option<WorkerId>,
    /// In which queues its tasks are.
    pub queues: Queues,
    /// The most chunks of files in hand at the same time, over all workers.
    pub max_in_flight: Option<u32>,
}

/// What came of [`create_job`](super::Broker::create_job).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// A new job.
    New(Job),
    /// An unfinished job of the same identity, which may have another name than the one asked for.
    Resumed(Job),
}

impl Created {
    /// The job, new or not.
    pub fn job(&self) -> &Job {
        match self {
            Self::New(job) | Self::Resumed(job) => job,
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A pass has been queued and nothing of it was leased yet.
    Queued,
    /// A pass is under way.
    Running,
    /// Between two passes of a periodic job.
    Waiting,
    /// Nothing new is leased; leases in hand finish.
    Stopping,
    /// Ended by a stop.
    Stopped,
    /// Ended with everything done or in the ledger.
    Finished,
    /// Ended by a fatal completion.
    Failed,
}

impl JobState {
    /// Whether the job has ended (it may be reopened by [`retry`](super::Broker::retry)).
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Finished | Self::Failed)
    }

    /// The name in outputs and in stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// The state of a [name](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        use JobState::{Failed, Finished, Queued, Running, Stopped, Stopping, Waiting};
        [
            Queued, Running, Waiting, Stopping, Stopped, Finished, Failed,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// Tasks of a job that are not completed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outstanding {
    /// Can be leased now.
    pub ready: u64,
    /// Become ready at some time.
    pub delayed: u64,
    /// In hand.
    pub leased: u64,
}

impl Outstanding {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ready
            .saturating_add(self.delayed)
            .saturating_add(self.leased)
    }
}

/// A job, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The broker's number.
    pub id: JobId,
    /// The name that people use.
    pub name: String,
    /// See [`NewJob::identity`].
    pub identity: String,
    /// See [`NewJob::spec`].
    pub spec: Vec<u8>,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed, or why its last pass did.
    pub failed: Option<String>,
    /// Passes begun, the present one included; 1 from the start.
    pub pass: u64,
    /// Time between the starts of passes.
    pub interval: Option<Duration>,
    /// The process that runs it to its end.
    pub owner: Option<WorkerId>,
    /// Whether that process lives.
    pub owner_lives: bool,
    /// In which queues its tasks are.
    pub queues: Queues,
    /// The most chunks of files in hand at the same time, over all workers.
    pub max_in_flight: Option<u32>,
    /// When it was created.
    pub created: Timestamp,
    /// When the first task of the present (or last) pass was leased.
    pub started: Option<Timestamp>,
    /// When the last pass ended; none while one is queued or under way.
    pub ended: Option<Timestamp>,
    /// When a waiting job goes on.
    pub next_pass: Option<Timestamp>,
    /// What the completed tasks of the present (or last) pass did.
    pub pass_totals: Counts,
    /// What all completed tasks did since the job was created.
    pub totals: Counts,
    /// Tasks that are not completed.
    pub outstanding: Outstanding,
    /// Entries in the ledger.
    pub failures: u64,
    /// Failures that the full ledger could not take; exact.
    pub failures_not_listed: u64,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobEvent {
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// More about it; may be empty.
    pub text: String,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Created and queued.
    Created,
    /// Gone on with by another start.
    Resumed,
    /// The first task of a pass was leased.
    PassStarted,
    /// A pass of a periodic job ended; the job waits for the next.
    PassEnded,
    /// A pass of a periodic job failed; the job waits for the next.
    PassFailed,
    /// Entries of the ledger were queued again.
    Retried,
    /// Asked to stop.
    Stopping,
    /// Ended by a stop.
    Stopped,
    /// Ended with everything done or in the ledger.
    Finished,
    /// Ended by a fatal error.
    Failed,
    /// Something that a worker had to say.
    Note,
}

impl EventKind {
    /// The name in outputs and in stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Resumed => "resumed",
            Self::PassStarted => "pass_started",
            Self::PassEnded => "pass_ended",
            Self::PassFailed => "pass_failed",
            Self::Retried => "retried",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Note => "note",
        }
    }

    /// The kind of a [name](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        use EventKind::{
            Created, Failed, Finished, Note, PassEnded, PassFailed, PassStarted, Resumed, Retried,
            Stopped, Stopping,
        };
        [
            Created,
            Resumed,
            PassStarted,
            PassEnded,
            PassFailed,
            Retried,
            Stopping,
            Stopped,
            Finished,
            Failed,
            Note,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}
