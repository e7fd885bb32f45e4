//! Tasks: what is one unit of work, and what it may queue.
//!
//! | task | does | queues |
//! |---|---|---|
//! | `restart` | begins a pass: the source root must be there | the root's `sync_path` |
//! | `sync_path` | one directory: its collection (`sync_dir`), then lists it and compares | `sync_files` for what is new or changed, a `sync_path` for each sub-directory, a `delete` for what is gone |
//! | `delete` | what the source no longer has | a collection's content, in tasks of their own |
//! | `sync_files` | some files of one directory, each by itself through `sync_entry`, or `together` where that is one call each | what failed and is to be tried again |
//! | `pre_job`, `post_job` | the hooks around a pass (`job_hook`) | nothing: the broker goes on with the pass |
//!
//! A directory's collection is made by the task that scans it, before anything below it is queued. So no two tasks want the
//! same collection, and a file finds its collection there; where somebody removed it meanwhile, `create_dirs` makes it again.
//!
//! Every task may be run twice, or half and then whole: what it does to the zone is the same, and only its completion counts.

use std::time::Duration;

use crate::broker::{Completion, Leased};
use crate::context::JobContext;
use crate::error::SyncError;

mod children;
mod cursor;
mod delete;
mod direct;
mod failure;
mod irods_task;
pub mod job;
mod job_hook;
mod kept;
mod looks;
mod pages;
mod placing;
mod remembered;
mod scanned;
mod sync_dir;
mod sync_entry;
mod sync_files;
mod sync_path;
mod task;
mod together;

pub use crate::spec::{ChecksumPolicy, JobOptions, JobSpec};
pub(crate) use failure::unreadable;
pub(crate) use irods_task::report;
pub use irods_task::{IrodsTask, LogTasks, TaskReturn};
pub(crate) use kept::kept;
pub(crate) use placing::{Placing, Present, was_applied};
pub(crate) use sync_entry::as_placed;
pub use task::{DeleteTask, Deletion, FileItem, FilesTask, PathTask, Task, TaskError};
pub(crate) use task::{join, relative_path};

/// How a task ends.
#[derive(Debug)]
pub enum TaskEnd {
    /// Done; this is to be accounted for.
    Complete(Box<Completion>),
    /// Done in part, which is to be accounted for and has what is left among its retries; then this went wrong, which concerns
    /// more than single entries.
    CompleteInPart(Box<Completion>, SyncError),
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
    if leased.expiries >= MAX_EXPIRIES {
        return Ok(TaskEnd::complete(failure::abandoned(context, task, leased)));
    }
    match task {
        Task::Restart => job::restart(context).await,
        Task::SyncPath(task) => sync_path::sync_path(context, leased, task).await,
        Task::SyncFiles(task) => sync_files::sync_files(context, task, leased.expiries > 0).await,
        Task::Delete(task) => delete::delete(context, leased, task).await,
        Task::PreJob | Task::PostJob => job_hook::job_hook(context, leased, &task).await,
    }
}

/// So often may the lease of a task run out before it is split, or given up if it is a single entry: something in it
/// kills whoever works on it.
const MAX_EXPIRIES: u32 = 10;
