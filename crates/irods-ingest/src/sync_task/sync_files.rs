//! Some files of one directory, one after the other; each stands alone. What failed and may be tried again becomes one
//! delayed task; what succeeded gets its signature.

use super::sync_entry::{FileDone, sync_entry};
use super::{FilesTask, Task, TaskEnd, failure};
use crate::broker::{Append, Completion, Fatal};
use crate::context::JobContext;
use crate::error::SyncError;
use crate::signature::Segment;

/// Runs the task; `redelivered` if an earlier holder of it may have done some of it.
///
/// # Errors
/// What concerns more than single files.
pub(super) async fn sync_files(
    context: &JobContext,
    task: FilesTask,
    redelivered: bool,
) -> Result<TaskEnd, SyncError> {
    let mut completion = Completion::default();
    let mut applied = Segment::new();
    let mut again = Vec::new();
    let mut refused = None;
    let mut left = task.files.iter();
    for item in left.by_ref() {
        let mut item = item.clone();
        item.redelivered |= redelivered;
        let begun = !context.shutdown.requested();
        let done = match begun {
            true => sync_entry(context, &task.directory, &item).await,
            false => Err(SyncError::Drained),
        };
        match done {
            Ok(FileDone { counts, signature }) => {
                completion.counts += counts;
                if let Some((stat, seen_at)) = signature {
                    applied.push(&item.name, &stat, seen_at);
                }
            }
            Err(SyncError::Entry(error)) => {
                failure::file(
                    context,
                    &task.directory,
                    &item,
                    &error,
                    &mut completion,
                    &mut again,
                );
            }
            Err(SyncError::Job(why)) => {
                completion.fatal = Some(Fatal::Job(why));
                break;
            }
            // The rest goes back, and what was done counts. This file may have been done in part.
            Err(why) => {
                item.redelivered |= begun;
                let rest = std::iter::once(item).chain(left.cloned().map(|mut item| {
                    item.redelivered |= redelivered;
                    item
                }));
                let rest = Task::SyncFiles(FilesTask {
                    directory: task.directory.clone(),
                    files: rest.collect(),
                });
                completion.retries.extend(rest.to_new_task().ok());
                refused = Some(why).filter(|why| !matches!(why, SyncError::Drained));
                break;
            }
        }
    }
    if !applied.is_empty() && !context.spec.options.compare_catalog {
        completion.signatures.push(Append {
            key: context.cache_key(&task.directory),
            bytes: applied.into_bytes(),
        });
    }
    failure::retry_files(context, &task.directory, again, &mut completion);
    match refused {
        None => Ok(TaskEnd::complete(completion)),
        Some(why) => Ok(TaskEnd::CompleteInPart(Box::new(completion), why)),
    }
}
