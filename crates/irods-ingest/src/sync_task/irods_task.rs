//! The life cycle of a task, for those who want to watch: exactly one of `on_failure`, `on_retry` and `on_success`, then
//! `after_return`; all after the broker has taken the completion, so a task that is done twice is reported once.

use std::fmt;

use tracing::{info, warn};

use crate::broker::{Completion, Counts, Fatal, JobId, TaskId};
use crate::context::JobContext;

/// What became of a task.
#[derive(Debug, Clone, Copy)]
pub struct TaskReturn<'a> {
    /// The job.
    pub job: JobId,
    /// The job's name.
    pub job_name: &'a str,
    /// The broker's number of the task.
    pub task_id: TaskId,
    /// What it is: `restart`, `sync_path`, `sync_files`, `delete`, `pre_job` or `post_job`.
    pub task: &'static str,
    /// The directory that it is about, absolute.
    pub path: &'a [u8],
    /// What it did.
    pub counts: &'a Counts,
    /// Entries given up on.
    pub failures: usize,
    /// Entries that are tried again.
    pub retries: u64,
    /// Why the pass or the job ends with it, else the first failure's message, if there is one.
    pub message: Option<&'a str>,
}

/// Watches tasks. Every method does nothing unless it is written.
pub trait IrodsTask: fmt::Debug + Send + Sync {
    /// At least one entry was given up on, or the pass or the job ends with an error.
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
        warn!(task = task.task, path = %bstr::BStr::new(task.path), job_name = task.job_name, task_id = %task.task_id,
            failures = task.failures, error = task.message.unwrap_or_default(), "failed_task");
    }

    fn on_retry(&self, task: &TaskReturn<'_>) {
        warn!(task = task.task, path = %bstr::BStr::new(task.path), job_name = task.job_name, task_id = %task.task_id,
            retries = task.retries, "retry_task");
    }

    fn on_success(&self, task: &TaskReturn<'_>) {
        info!(task = task.task, path = %bstr::BStr::new(task.path), job_name = task.job_name, task_id = %task.task_id,
            "succeeded_task");
    }
}

/// Calls the watcher of the context's worker in order.
pub(crate) async fn report(
    watcher: &dyn IrodsTask,
    context: &JobContext,
    task_id: TaskId,
    (task, path): (&'static str, &[u8]),
    done: &Completion,
) {
    let fatal = done.fatal.as_ref().map(|fatal| match fatal {
        Fatal::Pass(why) | Fatal::Job(why) => why.as_str(),
    });
    let failed = done.failures.first();
    let returned = TaskReturn {
        job: context.job,
        job_name: &context.job_name().await,
        task_id,
        task,
        path,
        counts: &done.counts,
        failures: done.failures.len(),
        retries: done.counts.retried,
        message: fatal.or(failed.map(|failure| failure.message.as_str())),
    };
    if returned.failures > 0 || fatal.is_some() {
        watcher.on_failure(&returned);
    } else if returned.retries > 0 {
        watcher.on_retry(&returned);
    } else {
        watcher.on_success(&returned);
    }
    watcher.after_return(&returned);
}
