//! Workers: who takes tasks, and whether they live.
//!
//! A worker lives as long as its last heartbeat says. This is a lease in the broker, so it means the same on every engine; a process on
//! the same machine that knows better ends a worker early with [`worker_gone`](super::Broker::worker_gone).

use std::fmt;

use super::{JobId, Timestamp};

/// The name of a worker process, unique for its life, such as host, process number and a random part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub String);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a worker says of itself with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its name.
    pub id: WorkerId,
    /// Where it runs.
    pub host: String,
    /// Its process number there.
    pub pid: u32,
    /// What tells whether that process is still the same one: machine, its start, process name space, start time. Opaque
    /// to the broker.
    pub process: String,
    /// The version of the program.
    pub version: String,
    /// Anything else, such as rates; opaque to the broker.
    pub status: String,
}

/// A worker that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// What it said last.
    pub info: WorkerInfo,
    /// When it was first heard of.
    pub since: Timestamp,
    /// When it said so last.
    pub heard: Timestamp,
    /// Until when it counts as alive.
    pub lives_until: Timestamp,
    /// Tasks in hand, by job.
    pub leases: Vec<(JobId, u64)>,
}

/// How a worker went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// In order: its leases are released.
    Left,
    /// In the middle of its tasks, of its own will: whoever takes them next learns that some of them may be done, but it does not
    /// count against them.
    Interrupted,
    /// It is known to be dead: its leases expire, counted.
    Died,
}
