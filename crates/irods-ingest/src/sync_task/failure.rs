//! Failed entries: tried again as long as the job says, then in the ledger.

use std::time::Duration;

use super::cursor::Cursor;
use super::task::join;
use super::{DeleteTask, Deletion, FileItem, FilesTask, PathTask, Task, TaskError};
use crate::broker::{Completion, Failure, Leased, NewTask};
use crate::chance::chance;
use crate::context::JobContext;
use crate::core::choice::{Candidate, Delay, EntryOptions, Retries};
use crate::error::{DELETION_REFUSED, EntryError};
use crate::naming;
use crate::plan::compare::Presence;
use crate::plan::{DeleteMode, Operation, guard};

/// What a directory that could not be scanned is called in the ledger, after its own error.
const SUBTREE: &str = "subtree not scanned";

/// Longest delay between two attempts to which doubling leads.
const MAX_DELAY: Duration = Duration::from_secs(6 * 3600);

/// Of what is given up.
pub(super) const NEVER: Retries = Retries {
    max: 0,
    delay: Delay::Doubling(0),
};

/// Accounts for a file that failed: as one more attempt, or as a failure.
pub(super) fn file(
    context: &JobContext,
    (task, item): (&FilesTask, &FileItem),
    (operation, retries): (Operation, Retries),
    error: &EntryError,
    completion: &mut Completion,
    again: &mut Vec<(FileItem, Delay)>,
) {
    let attempts = item.attempts + 1;
    let tried = FileItem {
        attempts,
        redelivered: item.redelivered || !error.is_target_taken(),
        // What the scan saw of the name may be long past by then.
        presence: Presence::Unknown,
        ..item.clone()
    };
    if attempts <= retries.max {
        completion.counts.retried += 1;
        again.push((tried, retries.delay));
        return;
    }
    completion.counts.failed += 1;
    let fresh = Task::SyncFiles(task.with_files(vec![FileItem {
        attempts: 0,
        // The scan will be long past when somebody tries again.
        existed: false,
        ..tried
    }]));
    let path = context.absolute(&join(&task.directory, &item.name));
    completion
        .failures
        .push(record(path, operation.name(), error, attempts, &fresh));
}

/// Queues the files that are tried again, those that wait equally long as one delayed task.
pub(super) fn retry_files(
    task: &FilesTask,
    mut again: Vec<(FileItem, Delay)>,
    completion: &mut Completion,
) {
    while let Some((_, delay)) = again.first() {
        let delay = *delay;
        let (now, later): (Vec<_>, _) = again.into_iter().partition(|(_, other)| *other == delay);
        again = later;
        let files: Vec<FileItem> = now.into_iter().map(|(item, _)| item).collect();
        let attempts = files.iter().map(|item| item.attempts).min().unwrap_or(1);
        let task = Task::SyncFiles(task.with_files(files));
        completion.retries.extend(delayed(&task, delay, attempts));
    }
}

/// Accounts for a directory whose contents could not be seen, or only up to its cursor.
pub(super) fn directory(
    context: &JobContext,
    task: &PathTask,
    retries: Retries,
    error: &EntryError,
    completion: &mut Completion,
) {
    let attempts = task.attempts + 1;
    if attempts <= retries.max {
        completion.counts.retried += 1;
        let again = Task::SyncPath(PathTask {
            attempts,
            ..task.clone()
        });
        completion
            .retries
            .extend(delayed(&again, retries.delay, attempts));
        return;
    }
    completion.counts.failed += 1;
    let fresh = Task::SyncPath(PathTask {
        attempts: 0,
        ..task.clone()
    });
    let mut path = context.absolute(&task.directory);
    // In a bucket a key may be called as what goes on after it, and fail by itself.
    if context.spec.options.bucket.is_some() && !task.directory.is_empty() {
        path.push(b'/');
    }
    let mut failure = record(path, "sync_path", error, attempts, &fresh);
    failure.message = format!("{SUBTREE}: {}", failure.message);
    completion.failures.push(failure);
}

/// The directory once more, all of it.
fn from_beginning(task: &PathTask) -> Task {
    Task::SyncPath(PathTask {
        attempts: 0,
        cursor: Vec::new(),
        ..task.clone()
    })
}

/// Accounts for a name whose facts the scan could not learn.
pub(super) fn unknown_entry(
    context: &JobContext,
    path: &PathTask,
    name: &[u8],
    error: &EntryError,
    completion: &mut Completion,
) {
    completion.counts.failed += 1;
    let absolute = context.absolute(&join(&path.directory, name));
    let again = from_beginning(path);
    completion
        .failures
        .push(record(absolute, "sync_path", error, 1, &again));
}

/// Accounts for deletions that the guard forbids in a directory.
pub(super) fn kept(
    context: &JobContext,
    task: &PathTask,
    mode: DeleteMode,
    why: &guard::Kept,
    completion: &mut Completion,
) {
    completion.counts.failed += 1;
    let error = EntryError::new(DELETION_REFUSED, why.to_string());
    let again = from_beginning(task);
    let path = context.absolute(&task.directory);
    completion
        .failures
        .push(record(path, mode.name(), &error, 1, &again));
}

/// Whether a deletion that failed is tried again by itself. What the guard forbids stays forbidden.
pub(super) fn is_tried_again(of: &EntryOptions, task: &DeleteTask, error: &EntryError) -> bool {
    task.attempts < of.retries.max && error.name != DELETION_REFUSED
}

/// Queues once more, after a delay, what was not deleted.
pub(super) fn retry_deletion(of: &EntryOptions, task: DeleteTask, completion: &mut Completion) {
    let entries = match &task.what {
        Deletion::Objects(objects) | Deletion::Within { objects, .. } => objects.len().max(1),
        Deletion::Collection { .. } => 1,
    };
    completion.counts.retried += entries as u64;
    let attempts = task.attempts + 1;
    let again = Task::Delete(DeleteTask { attempts, ..task });
    completion
        .retries
        .extend(delayed(&again, of.retries.delay, attempts));
}

/// Accounts for something that was not deleted: as one more attempt, or as a failure.
pub(super) fn deletion(
    of: &EntryOptions,
    task: DeleteTask,
    error: &EntryError,
    completion: &mut Completion,
) {
    if is_tried_again(of, &task, error) {
        return retry_deletion(of, task, completion);
    }
    completion.counts.failed += 1;
    let collection = match &task.what {
        Deletion::Objects(_) => of.target.clone(),
        Deletion::Collection { collection, .. } | Deletion::Within { collection, .. } => {
            collection.clone()
        }
    };
    let path = match &task.what {
        Deletion::Objects(objects) | Deletion::Within { objects, .. } => match objects.as_slice() {
            [object] => naming::join(&collection, object),
            _ => collection,
        },
        Deletion::Collection { .. } => collection,
    };
    let operation = of.delete_mode.name();
    let attempts = task.attempts + 1;
    let fresh = Task::Delete(DeleteTask {
        attempts: 0,
        ..task
    });
    completion.failures.push(record(
        path.into_bytes(),
        operation,
        error,
        attempts,
        &fresh,
    ));
}

/// A task whose lease ran out too often: files are tried one by one, a single entry is given up.
pub(super) fn abandoned(context: &JobContext, task: Task, leased: &Leased) -> Completion {
    let mut completion = Completion::default();
    let expiries = leased.expiries;
    let error = EntryError::new(
        "WORKER_LOST",
        format!("{expiries} workers were lost while they worked on it"),
    );
    match task {
        Task::SyncFiles(task) if task.files.len() > 1 => {
            completion.retries = task
                .files
                .into_iter()
                .filter_map(|mut item| {
                    // Those who were lost may have done some of them.
                    item.redelivered = true;
                    let single = Task::SyncFiles(FilesTask {
                        directory: task.directory.clone(),
                        files: vec![item],
                        collection: task.collection.clone(),
                    });
                    single.to_new_task().ok()
                })
                .collect();
        }
        Task::SyncFiles(task) => {
            for item in &task.files {
                let operation = context.spec.options.operation;
                let about = (operation, NEVER);
                file(
                    context,
                    (&task, item),
                    about,
                    &error,
                    &mut completion,
                    &mut Vec::new(),
                );
            }
        }
        Task::SyncPath(mut task) => {
            if let Ok(Some(cursor)) = Cursor::of(leased, &task)
                && let Ok(reached) = cursor.of_another_attempt()
            {
                completion.counts = cursor.counts;
                task.cursor = reached;
            }
            directory(context, &task, NEVER, &error, &mut completion);
        }
        Task::Delete(task) => abandoned_deletion(context, task, &error, &mut completion),
        Task::PostJob => {
            let path = context.absolute(b"");
            completion
                .failures
                .push(record(path, "post_job", &error, expiries, &Task::PostJob));
        }
        Task::Restart | Task::PreJob => {
            completion.fatal = Some(crate::broker::Fatal::Pass(error.message));
        }
    }
    completion
}

/// Objects one by one, a single one or a collection not again.
fn abandoned_deletion(
    context: &JobContext,
    task: DeleteTask,
    error: &EntryError,
    completion: &mut Completion,
) {
    match &task.what {
        Deletion::Objects(objects) | Deletion::Within { objects, .. } if objects.len() > 1 => {
            let singles = objects.iter().map(|object| {
                Task::Delete(DeleteTask {
                    redelivered: true,
                    ..task.with_objects(vec![object.clone()])
                })
            });
            completion.retries = singles.filter_map(|task| task.to_new_task().ok()).collect();
        }
        _ => {
            let collection = task.of.clone();
            let collection = collection.unwrap_or_else(|| context.logical(&task.directory));
            let path = context.absolute(&task.directory);
            let directory = Candidate::directory(&path, &collection);
            let of = EntryOptions {
                retries: NEVER,
                ..EntryOptions::of_job(&context.spec, &directory)
            };
            deletion(&of, task, error, completion);
        }
    }
}

/// Accounts for a task that is none: what it was for, only another pass can do.
pub(crate) fn unreadable(context: &JobContext, leased: &Leased, error: &TaskError) -> Completion {
    let mut completion = Completion::default();
    completion.counts.failed = 1;
    completion.failures.push(Failure {
        path: context.absolute(b""),
        operation: "task".to_owned(),
        code: None,
        code_name: "UNREADABLE_TASK".to_owned(),
        message: format!("task {} is unreadable: {error}", leased.lease.task),
        attempts: 1,
        retry: None,
    });
    completion
}

fn record(
    path: Vec<u8>,
    operation: &str,
    error: &EntryError,
    attempts: u32,
    again: &Task,
) -> Failure {
    Failure {
        path,
        operation: operation.to_owned(),
        code: error.code,
        code_name: error.name.clone(),
        message: error.message.clone(),
        attempts,
        retry: again.to_new_task().ok(),
    }
}

fn delayed(task: &Task, delay: Delay, attempts: u32) -> Option<NewTask> {
    let delay = match delay {
        Delay::Doubling(seconds) => backoff(seconds, attempts, chance()),
        Delay::Exactly(seconds) => Duration::from_secs(seconds),
    };
    task.to_new_task().ok().map(|new| NewTask {
        delay: Some(delay),
        ..new
    })
}

/// `seconds` before the second attempt, twice as long before each further one, and up to a quarter more by `chance` (0..1)
/// so that what failed together does not come back together.
fn backoff(seconds: u64, attempts: u32, chance: f64) -> Duration {
    let doubled = seconds.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let base = Duration::from_secs(doubled).min(MAX_DELAY);
    base + base.mul_f64(chance.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit() {
        assert_eq!(backoff(0, 5, 0.9), Duration::ZERO);
        assert_eq!(backoff(3, 1, 0.0), Duration::from_secs(3));
        assert_eq!(backoff(3, 3, 0.0), Duration::from_secs(12));
        assert_eq!(backoff(4, 1, 1.0), Duration::from_secs(5));
        assert_eq!(backoff(u64::MAX, 40, 0.0), MAX_DELAY);
    }
}
