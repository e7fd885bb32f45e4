//! Why a broker refuses or fails.
//!
//! [`BrokerError::Stale`] and the refusals say something about the request; the others about the engine. Cloneable, because one
//! failed commit is the answer to every request that was part of it.

use super::WorkerId;

/// The answer of a [`Broker`](super::Broker).
pub type Result<T> = std::result::Result<T, BrokerError>;

/// Why a broker refuses or fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The token is not, or no longer, the task's. Nothing has changed; the caller must let go of the task.
    #[error("the lease of task {task} is held no more")]
    Stale {
        /// The task.
        task: u64,
    },
    /// No such job.
    #[error("unknown job {job}")]
    UnknownJob {
        /// Its name or number.
        job: String,
    },
    /// An unfinished job stands in the way of a new one.
    #[error("job {name:?} {why}")]
    NameInUse {
        /// The name of the job that is in the way, not necessarily the name asked for.
        name: String,
        /// Why it cannot be gone on with.
        why: InUse,
    },
    /// Only an ended job can be forgotten.
    #[error("job {name:?} has not ended: stop it first")]
    NotEnded {
        /// The job's name.
        name: String,
    },
    /// The job is being stopped and takes no new task.
    #[error("job {name:?} is being stopped")]
    Stopping {
        /// The job's name.
        name: String,
    },
    /// The request is beyond a limit.
    #[error("the broker does not accept {what}")]
    Invalid {
        /// What is wrong, and what the limit is.
        what: String,
    },
    /// What is stored is damaged or not a broker's.
    #[error("{broker} is damaged or not a broker of irods_sync: {detail}")]
    Corrupt {
        /// The engine and its address.
        broker: String,
        /// What was found.
        detail: String,
    },
    /// What is stored was made by another version.
    #[error(
        "{broker} has format {found}, this irods_sync knows format {known}: use the version that made it, or another broker"
    )]
    Version {
        /// The engine and its address.
        broker: String,
        /// The version found.
        found: i64,
        /// The version that this program writes.
        known: i64,
    },
    /// The broker cannot be opened or written to; waiting does not help.
    #[error("{broker} cannot be used: {detail}")]
    Unusable {
        /// The engine and its address.
        broker: String,
        /// What the system says.
        detail: String,
    },
    /// The broker cannot serve now; the same call may succeed later. A broker over a network may have done what was asked before
    /// the connection broke: the same call, repeated on the same value, does nothing twice.
    #[error("{broker} cannot serve now: {detail}")]
    Unavailable {
        /// The engine and its address.
        broker: String,
        /// What the system says.
        detail: String,
    },
}

impl BrokerError {
    /// True if the same call may succeed after a wait.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// True if the caller's lease is lost.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }
}

/// Why an unfinished job cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InUse {
    /// A live process owns it.
    #[error("is being run by {0}")]
    Owned(WorkerId),
    /// The name belongs to an unfinished job of another source, target, options or interval.
    #[error("is unfinished and has another source, target, interval or options")]
    Different,
    /// It is being stopped.
    #[error("is being stopped")]
    Stopping,
}
