//! The life cycle of a task, for those who want to watch: exactly one of `on_failure`, `on_retry` and `on_success`, then
//! `after_return`; all after the broker has taken the completion, so a task that is done twice is reported once.

use std::fmt;

use tracing::{info, warn};

use crate::broker::{Completion, Counts, JobId};

/// What became of a task.
#[derive(Debug, Clone, Copy)]
pub struct TaskReturn<'a> {
    /// The job.
    pub job: JobId,
    /// `sync_path`, `sync_files` or `restart`.
    pub task: &'static str,
    /// The directory, relative to the source root.
    pub path: &'a [u8],
    /// What it did.
    pub counts: &'a Counts,
    /// Entries given up on.
    pub failures: usize,
    /// Entries that are tried again.
    pub retries: u64,
    /// The first failure's message, if there is one.
    pub message: Option<&'a str>,
}

/// Watches tasks. Every method does nothing unless it is written.
pub trait IrodsTask: fmt::Debug + Send + Sync {
    /// At least one entry was given up on.
    fn on_failure(&self, _: &TaskReturn<'_>) {}
    /// None was given up on, and some are tried again.
    fn on_retry(&self, _: &TaskReturn<'_>) {}
    /// All went well.
    fn on_success(&self, _: &TaskReturn<'_>) {}
    /// After one of the others, whichever it was.
    fn after_return(&self, _: &TaskReturn<'_>) {}
}

/// Writes the reference's events to the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogTasks;

impl IrodsTask for LogTasks {
    fn on_failure(&self, task: &TaskReturn<'_>) {
        warn!(job = %task.job, task = task.task, path = %bstr::BStr::new(task.path), failures = task.failures,
            error = task.message.unwrap_or_default(), "failed_task");
    }

    fn on_retry(&self, task: &TaskReturn<'_>) {
        warn!(job = %task.job, task = task.task, path = %bstr::BStr::new(task.path), retries = task.retries, "retry_task");
    }

    fn on_success(&self, task: &TaskReturn<'_>) {
        info!(job = %task.job, task = task.task, path = %bstr::BStr::new(task.path), "succeeded_task");
    }
}

/// Calls the watcher in order.
pub(crate) fn report(
    watcher: &dyn IrodsTask,
    job: JobId,
    task: &'static str,
    path: &[u8],
    done: &Completion,
) {
    let returned = TaskReturn {
        job,
        task,
        path,
        counts: &done.counts,
        failures: done.failures.len(),
        retries: done.counts.retried,
        message: done.failures.first().map(|f| f.message.as_str()),
    };
    if returned.failures > 0 {
        watcher.on_failure(&returned);
    } else if returned.retries > 0 {
        watcher.on_retry(&returned);
    } else {
        watcher.on_success(&returned);
    }
    watcher.after_return(&returned);
}
