//! The failure ledger: what a job gave up on, by path.
//!
//! A path has one entry, the latest. Beyond [`MAX_FAILURES`](super::limits::MAX_FAILURES) entries failures are counted but not kept, so
//! they can be run again only by another pass.

use super::{NewTask, Timestamp};

/// A failure that a completion reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The path in the source, as bytes.
    pub path: Vec<u8>,
    /// What was tried, such as `register`.
    pub operation: String,
    /// The iRODS error code, if a zone gave one.
    pub code: Option<i32>,
    /// The name of the code, or of the kind of error.
    pub code_name: String,
    /// What the operator should read.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The task that tries it again; its delay is ignored. None: only another pass can.
    pub retry: Option<NewTask>,
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    /// When the ledger took it.
    pub time: Timestamp,
    /// Whether a task that tries it again is outstanding.
    pub retrying: bool,
    /// What failed.
    pub failure: Failure,
}

/// Which entries of a ledger to run again; an empty filter means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureFilter {
    /// Only this path and what is below it.
    pub path: Option<Vec<u8>>,
    /// Only this [`Failure::code_name`].
    pub code_name: Option<String>,
}

impl FailureFilter {
    /// Whether the entry is one of those meant.
    pub fn admits(&self, failure: &Failure) -> bool {
        let below = |path: &[u8]| match failure.path.strip_prefix(path) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/") || path.ends_with(b"/"),
            None => false,
        };
        self.path.as_deref().is_none_or(below)
            && self
                .code_name
                .as_deref()
                .is_none_or(|name| name == failure.code_name)
    }
}

/// A page of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailurePage {
    /// In byte order of the paths.
    pub entries: Vec<FailureRecord>,
    /// Whether there are entries after these.
    pub more: bool,
    /// Failures of the job that no page shows.
    pub not_listed: u64,
}

/// What came of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Entries queued again.
    pub queued: u64,
    /// Entries that match and are being retried already, or that only another pass can run again.
    pub left: u64,
    /// Failures that were counted but not kept; only another pass can run those again.
    pub not_listed: u64,
}
