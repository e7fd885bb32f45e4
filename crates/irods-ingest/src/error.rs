//! Errors by scope: what is wrong with one entry must not end a job, and what is wrong with the job must not be found a
//! million times.
//!
//! - **Entry**: this file or directory alone; retried, then in the ledger.
//! - **Worker**: this process cannot do this job (other zone, no such source here, credentials refused, no file descriptors
//!   left); the task goes back and others may do it.
//! - **Job**: no worker can; the job ends with one message.
//! - **Lost**: the zone does not answer; waited out, counted as no attempt.
//! - **Broker**: see [`BrokerError`].
//! - **Drained**: nothing is wrong, the worker was asked to leave.

use irods_client::error::Scope;
use irods_client::protocol::codes::{self, PATH_REG_NOT_ALLOWED, SYS_NO_API_PRIV};

use crate::broker::BrokerError;
use crate::plan::guard::Kept;
use crate::source::SourceError;

/// What a deletion that the guard forbids is called in the ledger.
pub(crate) const DELETION_REFUSED: &str = "DELETION_REFUSED";

/// What work on an entry that took too long is called in the ledger. It may have been done all the same.
pub(crate) const TIMED_OUT: &str = "TIMED_OUT";

/// What went wrong, by scope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// One entry.
    #[error("{0}")]
    Entry(EntryError),
    /// This worker.
    #[error("{0}")]
    Worker(String),
    /// This worker's user may not do it; where it acts for another one, that one.
    #[error("{0}")]
    NotAllowed(EntryError),
    /// Every worker.
    #[error("{0}")]
    Job(String),
    /// The zone does not answer.
    #[error("{0}")]
    Lost(irods_client::Error),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Nothing: a hook leaves the entry out, for this reason.
    #[error("left out: {0}")]
    LeftOut(String),
    /// The worker leaves.
    #[error("the worker is leaving")]
    Drained,
}

/// What it is called that a logical path is that of another entry.
const TARGET_TAKEN: &str = "TARGET_TAKEN";

/// What is wrong with one entry, as the ledger shows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EntryError {
    /// The iRODS code, if the zone answered one.
    pub code: Option<i32>,
    /// The name of that code, or a word of ours in the same style.
    pub name: String,
    /// What the operator should read.
    pub message: String,
}

impl EntryError {
    /// An error of ours.
    pub fn new(name: &str, message: impl Into<String>) -> Self {
        EntryError {
            code: None,
            name: name.to_owned(),
            message: message.into(),
        }
    }

    /// Two entries are meant for one logical path, and another one has it.
    pub(crate) fn target_taken(target: &str, of: &[u8], by: &[u8]) -> Self {
        let (of, by) = (bstr::BStr::new(of), bstr::BStr::new(by));
        Self::new(
            TARGET_TAKEN,
            format!("target {target} of {of} is that of {by} as well"),
        )
    }

    /// The object at a logical path is not known to be that of the entry, which would be known by this AVU.
    pub(crate) fn target_unclaimed(target: &str, of: &[u8], (name, value): (&str, &str)) -> Self {
        let of = bstr::BStr::new(of);
        Self::new(
            TARGET_TAKEN,
            format!(
                "target {target} of {of} is there already, and nothing says that it is of this file: it is taken for its own once it has \
                 the AVU {name} with the value {value}"
            ),
        )
    }

    /// Something else has the logical path, so nothing was done there.
    pub(crate) fn is_target_taken(&self) -> bool {
        self.name == TARGET_TAKEN
    }

    /// The zone has something of that name already.
    pub fn is_name_taken(&self) -> bool {
        matches!(
            self.code,
            Some(
                codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
                    | codes::CAT_NAME_EXISTS_AS_COLLECTION
                    | codes::CAT_NAME_EXISTS_AS_DATAOBJ
                    | codes::OVERWRITE_WITHOUT_FORCE_FLAG
            )
        )
    }

    /// The zone has something of that name, it seems, that somebody is writing: a server whose only replica is in use has no resource left
    /// for the object, and says no more.
    pub(crate) fn may_be_in_use(&self) -> bool {
        matches!(
            self.code,
            Some(
                codes::LOCKED_DATA_OBJECT_ACCESS
                    | codes::INTERMEDIATE_REPLICA_ACCESS
                    | codes::HIERARCHY_ERROR
                    | codes::SYS_REPLICA_INACCESSIBLE
            )
        )
    }

    /// The collection that it should be in is not there.
    pub fn is_collection_missing(&self) -> bool {
        self.code == Some(codes::CAT_UNKNOWN_COLLECTION)
    }
}

/// The root that is not there, and descriptors or memory that this process has no more of, are this worker's trouble, anything else the entry's.
impl From<SourceError> for SyncError {
    fn from(error: SourceError) -> Self {
        let entry = EntryError::from(&error);
        match &error {
            _ if error.is_shortage() => SyncError::Worker(entry.message),
            SourceError::RootMissing { .. }
            | SourceError::RootNotADirectory { .. }
            | SourceError::Access(_)
            | SourceError::Remote {
                of_worker: true, ..
            } => SyncError::Worker(entry.message),
            _ => SyncError::Entry(entry),
        }
    }
}

/// What the source says of an entry, as the ledger shows it.
impl From<&SourceError> for EntryError {
    fn from(error: &SourceError) -> Self {
        let message = match error {
            SourceError::Io { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let name = match error {
            SourceError::Vanished { .. } => "SOURCE_VANISHED",
            SourceError::Dangling { .. } => "SOURCE_DANGLING_LINK",
            SourceError::Loop { .. } => "SOURCE_LOOP",
            SourceError::Unreadable { .. } => "SOURCE_UNREADABLE",
            SourceError::NotRegular { .. } => "SOURCE_NOT_REGULAR",
            SourceError::NotADirectory { .. } => "SOURCE_NOT_A_DIRECTORY",
            SourceError::Changed { .. } | SourceError::PastEnd { .. } => "SOURCE_CHANGED",
            SourceError::UnusableKey { .. } => "BAD_NAME",
            _ => "SOURCE_ERROR",
        };
        EntryError::new(name, message)
    }
}

/// A deletion that the guard forbids.
impl From<Kept> for SyncError {
    fn from(kept: Kept) -> Self {
        SyncError::Entry(EntryError::new(DELETION_REFUSED, kept.to_string()))
    }
}

/// The name of a client error in the ledger.
fn name(error: &irods_client::Error) -> String {
    use irods_client::Error;
    if let Some(code) = error.code() {
        return codes::name_of(code).map_or_else(|| code.to_string(), str::to_owned);
    }
    match error {
        Error::Transfer { cause, .. } => return name(cause),
        Error::Mismatch { .. } => "CONTENT_MISMATCH",
        Error::Local { .. } => "SOURCE_ERROR",
        Error::Input { .. } => "BAD_NAME",
        Error::Unsupported { .. } => "UNSUPPORTED_BY_SERVER",
        Error::Protocol { .. } => "PROTOCOL_ERROR",
        _ => "CLIENT_ERROR",
    }
    .to_owned()
}

impl From<irods_client::Error> for SyncError {
    fn from(error: irods_client::Error) -> Self {
        match error.scope() {
            Scope::Entry => SyncError::Entry(EntryError {
                code: error.code(),
                name: name(&error),
                message: error.to_string(),
            }),
            Scope::Worker
                if matches!(error.code(), Some(PATH_REG_NOT_ALLOWED | SYS_NO_API_PRIV)) =>
            {
                SyncError::NotAllowed(EntryError {
                    code: error.code(),
                    name: name(&error),
                    message: error.to_string(),
                })
            }
            Scope::Worker => SyncError::Worker(error.to_string()),
            Scope::Job => SyncError::Job(error.to_string()),
            Scope::ConnectionLost => SyncError::Lost(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_charged_to_the_worker() {
        let io = |code| SourceError::Io {
            doing: "open",
            path: "/src/f".into(),
            source: std::io::Error::from_raw_os_error(code),
        };
        for errno in [
            rustix::io::Errno::MFILE,
            rustix::io::Errno::NFILE,
            rustix::io::Errno::NOMEM,
        ] {
            let error = SyncError::from(io(errno.raw_os_error()));
            assert!(matches!(error, SyncError::Worker(_)), "{error:?}");
            assert!(error.to_string().starts_with("cannot open /src/f: "));
        }
        let broken = SyncError::from(io(rustix::io::Errno::IO.raw_os_error()));
        assert!(matches!(broken, SyncError::Entry(error) if error.name == "SOURCE_ERROR"));
    }
}
