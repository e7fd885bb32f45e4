//! Tasks: what is one unit of work, and what it may queue.
//!
//! | task | does | queues |
//! |---|---|---|
//! | `restart` | begins a pass: the source root must be there | the root's `sync_path` |
//! | `sync_path` | one directory: its collection (`sync_dir`), then lists it and compares | `sync_files` for what is new or changed, a `sync_path` for each sub-directory, a `delete` for what is gone |
//! | `delete` | what the source no longer has | a collection's content, in tasks of their own |
//! | `sync_files` | some files of one directory, each by itself through `sync_entry` | what failed and is to be tried again |
//!
//! A directory's collection is made by the task that scans it, before anything below it is queued. So no two tasks want the
//! same collection, and a file finds its collection there; where somebody removed it meanwhile, `create_dirs` makes it again.
//!
//! Every task may be run twice, or half and then whole: what it does to the zone is the same, and only its completion counts.

use std::sync::Arc;
use std::time::Duration;

use irods_client::Pool;

use crate::broker::{Broker, Completion, JobId, Leased, TaskKind};
use crate::core::EventHandler;
use crate::error::SyncError;
use crate::naming;
use crate::shutdown::Shutdown;
use crate::signature::CacheKey;
use crate::source::{FileSystem, Filter};

mod delete;
mod failure;
mod irods_task;
pub mod job;
mod spec;
mod sync_dir;
mod sync_entry;
mod sync_files;
mod sync_path;
mod task;

pub(crate) use irods_task::report;
pub use irods_task::{IrodsTask, LogTasks, TaskReturn};
pub use spec::{JobOptions, JobSpec};
pub(crate) use sync_path::source_error;
pub use task::{DeleteTask, Deletion, FileItem, FilesTask, PathTask, Task};

/// What the tasks of one job have in common in one worker.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The job.
    pub job: JobId,
    /// What it is.
    pub spec: Arc<JobSpec>,
    /// Its source.
    pub source: FileSystem,
    /// What of the source is left out.
    pub filter: Arc<Filter>,
    /// Hooks.
    pub handler: Arc<dyn EventHandler>,
    /// Connections to the zone.
    pub zone: Pool,
    /// The queue.
    pub broker: Arc<dyn Broker>,
    /// Whether the worker is leaving.
    pub shutdown: Shutdown,
}

impl JobContext {
    /// Key of a directory's record of signatures.
    fn cache_key(&self, directory: &[u8]) -> Vec<u8> {
        CacheKey {
            root: self.spec.source_bytes(),
            directory,
            target: &self.spec.target,
            operation: self.spec.options.operation,
            resource: self.spec.options.resource.as_deref(),
            user: &self.spec.user,
        }
        .to_bytes()
    }

    /// Logical path of what lies at a relative path.
    pub(crate) fn logical(&self, relative: &[u8]) -> String {
        naming::logical_path(&self.spec.target, self.spec.source_bytes(), relative)
    }

    /// Absolute path of what lies at a relative one, as bytes.
    pub(crate) fn absolute(&self, relative: &[u8]) -> Vec<u8> {
        match relative {
            [] => self.spec.source_bytes().to_vec(),
            // A root `/` must not give `//name`.
            relative => {
                let root = self.spec.source_bytes();
                [root.strip_suffix(b"/").unwrap_or(root), b"/", relative].concat()
            }
        }
    }
}

/// How a task ends.
#[derive(Debug)]
pub enum TaskEnd {
    /// Done; this is to be accounted for.
    Complete(Box<Completion>),
    /// Not done; somebody else goes on after this delay, from where the last batch ended.
    Release(Duration),
}

impl TaskEnd {
    fn complete(completion: Completion) -> Self {
        TaskEnd::Complete(Box::new(completion))
    }
}

/// Does a leased task.
///
/// # Errors
/// What concerns more than single entries; see [`SyncError`].
pub async fn run(context: &JobContext, leased: &Leased, task: Task) -> Result<TaskEnd, SyncError> {
    if leased.kind != TaskKind::Work {
        // Hooks around passes are queued for jobs with a handler that has them; none of ours does yet.
        return Ok(TaskEnd::complete(Completion::default()));
    }
    if leased.expiries >= MAX_EXPIRIES {
        return Ok(TaskEnd::complete(failure::abandoned(
            context,
            task,
            leased.expiries,
        )));
    }
    match task {
        Task::Restart => job::restart(context, leased).await,
        Task::SyncPath(task) => sync_path::sync_path(context, leased, task).await,
        Task::SyncFiles(task) => sync_files::sync_files(context, task, leased.expiries > 0).await,
        Task::Delete(task) => delete::delete(context, leased, task).await,
    }
}

/// So often may the lease of a task run out before it is split, or given up if it is a single entry: something in it
/// kills whoever works on it.
const MAX_EXPIRIES: u32 = 10;
