//! Some files of one directory, one after the other; each stands alone. What failed and may be tried again becomes one
//! delayed task; what succeeded gets its signature.

use super::sync_entry::{FileDone, sync_entry};
use super::{FilesTask, Task, TaskEnd, failure};
use crate::broker::{Append, Completion};
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
    let mut left = task.files.iter();
    for item in left.by_ref() {
        let mut item = item.clone();
        item.redelivered |= redelivered;
        let done = match context.shutdown.requested() {
            true => Err(SyncError::Drained),
            false => sync_entry(context, &task.directory, &item).await,
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
            Err(SyncError::Drained) => {
                // The rest goes back as it is: nothing of it was tried.
                let rest = std::iter::once(item).chain(left.cloned().map(|mut item| {
                    item.redelivered |= redelivered;
                    item
                }));
                let rest = Task::SyncFiles(FilesTask {
                    directory: task.directory.clone(),
                    files: rest.collect(),
                });
                completion.retries.extend(rest.to_new_task().ok());
                break;
            }
            Err(other) => return Err(other),
        }
    }
    if !applied.is_empty() && !context.spec.options.compare_catalog {
        completion.signatures.push(Append {
            key: context.cache_key(&task.directory),
            bytes: applied.into_bytes(),
        });
    }
    failure::retry_files(context, &task.directory, again, &mut completion);
    Ok(TaskEnd::complete(completion))
}
