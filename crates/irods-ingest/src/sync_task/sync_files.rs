//! Some files of one directory, one after the other; each stands alone. What failed and may be tried again becomes one
//! delayed task; what succeeded gets its signature.

use super::direct::Direct;
use super::looks::{Looks, Worked, unchanged};
use super::sync_entry::{FileDone, sync_entry};
use super::task::join;
use super::{FileItem, FilesTask, Task, TaskEnd, failure};
use crate::broker::{Append, Completion, Fatal};
use crate::context::JobContext;
use crate::core::choice::{Candidate, EntryOptions};
use crate::error::SyncError;
use crate::naming;
use crate::signature::{Segment, Verdict};

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
    let chosen = choose(context, &task).await;
    let mut applied = Segment::new();
    let mut looks = Looks::new(context, &task, &chosen);
    let mut worked = Vec::new();
    let mut again = Vec::new();
    let mut changed = Vec::new();
    let mut refused = None;
    let mut direct = Direct::default();
    // Hooks may take any time, and so may a checksum of what is only registered.
    let slow = context.has_object_hooks() || context.spec.options.checksum.keeps();
    let mut left = task.files.iter().zip(&chosen).enumerate();
    while let Some((index, (item, options))) = left.next() {
        looks.turn_to(index);
        if !slow && is_little(task.files.iter().zip(&chosen).skip(index)) {
            context.place.will_leave();
        }
        let mut item = item.clone();
        item.redelivered |= redelivered;
        let begun = !context.shutdown.requested();
        let done = match begun {
            true => {
                let direct = direct.admits(context, &item, options);
                sync_entry(context, &task.directory, &item, options, &mut looks, direct).await
            }
            false => Err(SyncError::Drained),
        };
        completion.counts += context.made_above.take();
        match done {
            Ok(FileDone {
                changed: Some(stat),
                ..
            }) => {
                applied.push_changed(&item.name);
                changed.push(FileItem {
                    stat,
                    verdict: Verdict::DataChanged,
                    ..item
                });
            }
            Ok(FileDone {
                counts, signature, ..
            }) => {
                completion.counts += counts;
                direct.learn(&counts, options);
                if let Some((stat, seen_at)) = signature {
                    worked.push(Worked {
                        name: item.name,
                        operation: options.operation,
                        stat,
                        seen_at,
                    });
                }
            }
            Err(SyncError::Entry(error)) => {
                failure::file(
                    context,
                    (&task, &item),
                    (options.operation, options.retries),
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
                let rest = std::iter::once(item).chain(left.map(|(_, (item, _))| {
                    let mut item = item.clone();
                    item.redelivered |= redelivered;
                    item
                }));
                let rest = Task::SyncFiles(task.with_files(rest.collect()));
                completion.retries.extend(rest.to_new_task().ok());
                refused = Some(why).filter(|why| !matches!(why, SyncError::Drained));
                break;
            }
        }
    }
    if refused.is_none() {
        context.place.leave();
    }
    remember(context, &task, worked, &mut applied).await;
    if !applied.is_empty() && !context.spec.options.compare_catalog {
        completion.signatures.push(Append {
            key: context.cache_key(&task.directory),
            bytes: applied.into_bytes(),
        });
    }
    failure::retry_files(&task, again, &mut completion);
    if !changed.is_empty() {
        let anew = Task::SyncFiles(task.with_files(changed));
        completion.retries.extend(anew.to_new_task().ok());
    }
    match refused {
        None => Ok(TaskEnd::complete(completion)),
        Some(why) => Ok(TaskEnd::CompleteInPart(Box::new(completion), why)),
    }
}

/// Whether that is done in about the time that it takes to be given another task.
fn is_little<'a>(left: impl ExactSizeIterator<Item = (&'a FileItem, &'a EntryOptions)>) -> bool {
    const FILES: usize = 4;
    const BYTES: u64 = 1 << 20;
    left.len() <= FILES
        && left
            .filter(|(_, options)| options.operation.uploads())
            .all(|(item, _)| item.stat.size <= BYTES / FILES as u64)
}

/// Takes up into `applied` what has not changed since.
async fn remember(
    context: &JobContext,
    task: &FilesTask,
    worked: Vec<Worked>,
    applied: &mut Segment,
) {
    for (file, unchanged) in unchanged(context, &task.directory, worked).await {
        if unchanged {
            applied.push(&file.name, &file.stat, file.seen_at);
        }
    }
}

/// What counts for each of the files.
async fn choose(context: &JobContext, task: &FilesTask) -> Vec<EntryOptions> {
    let collection = match &task.collection {
        Some(collection) => collection.clone(),
        None => context.logical(&task.directory),
    };
    let places: Vec<_> = task
        .files
        .iter()
        .map(|item| {
            let path = context.absolute(&join(&task.directory, &item.name));
            let target = naming::join(&collection, &naming::element(&item.name, &path));
            (path, target)
        })
        .collect();
    let asked: Vec<_> = task
        .files
        .iter()
        .zip(&places)
        .map(|(item, (path, target))| Candidate {
            path,
            target,
            placed: false,
            is_directory: false,
            stat: Some(&item.stat),
            attempts: item.attempts,
        })
        .collect();
    context.choose(&asked).await
}
