//! What the source no longer has is deleted from the zone, as the job's delete mode says.
//!
//! Which names are gone is found by `sync_path`, which listed the catalog before the source; here it is done. Immediately before
//! anything is deleted the missing name is looked for once more, in the same directory: only "no such entry" counts.
//!
//! A collection whose directory is gone is taken apart: its objects in chunks, its sub-collections by tasks of their own. Whoever
//! empties a collection removes it and tries the one above, up to the one whose directory is gone.
//!
//! Data objects that other files have claimed stay ([`kept`](super::kept)), and so do the collections that they are in. That is found out
//! once for a collection when its tasks are queued, and once more before each of these begins, which may be much later.

use irods_client::protocol::path;

use super::kept::leave_alone;
use super::pages::list;
use super::placing::{Placing, Present, check_gone};
use super::task::relative_path;
use super::{DeleteTask, Deletion, Task, TaskEnd, failure};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{Completion, Counts, Fatal, Leased, NewTask, Spawned};
use crate::context::JobContext;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::{EntryError, SyncError, TIMED_OUT};
use crate::naming;
use crate::plan::guard;
use crate::sync_irods;

mod plan;

pub(super) use plan::{Mounts, plan};

/// The directory whose entry is gone.
struct Of {
    /// What counts for it.
    here: EntryOptions,
    /// Where handlers choose names, those that its entries have now.
    present: Option<Present>,
}

async fn of(
    context: &JobContext,
    task: &DeleteTask,
) -> (EntryOptions, Result<Option<Present>, SyncError>) {
    let path = context.absolute(&task.directory);
    let collection = match &task.of {
        Some(collection) => collection.clone(),
        None => context.logical(&task.directory),
    };
    let here = context
        .choose_directory(&path, &collection, task.attempts)
        .await;
    if let Some(wrong) = &here.wrong {
        let wrong = SyncError::Entry(wrong.clone());
        return (here, Err(wrong));
    }
    let present = match context.targets() {
        Targets::Own => Ok(None),
        Targets::Names | Targets::Anywhere => present(context, task, &here).await.map(Some),
    };
    (here, present)
}

async fn present(
    context: &JobContext,
    task: &DeleteTask,
    here: &EntryOptions,
) -> Result<Present, SyncError> {
    let (_, listing) = list(context, &task.directory, here.operation).await?;
    let handler = context.handler.as_ref();
    let place = (task.directory.as_slice(), here.target.as_str());
    let placing = Placing::of(handler, &context.spec, place, &listing).await;
    Ok(placing.present(&context.spec, place, &listing))
}

/// Runs the task. What fails is tried again as often as the job says, like files.
///
/// # Errors
/// What concerns more than single entries.
pub(super) async fn delete(
    context: &JobContext,
    leased: &Leased,
    task: DeleteTask,
) -> Result<TaskEnd, SyncError> {
    let mut completion = Completion::default();
    let mut task = task;
    task.redelivered |= leased.expiries > 0;
    let of = match of(context, &task).await {
        (here, Ok(present)) => Of { here, present },
        (here, Err(SyncError::Entry(error))) => {
            failure::deletion(&here, task, &error, &mut completion);
            return Ok(TaskEnd::complete(completion));
        }
        (_, Err(why)) => return Err(why),
    };
    match leave_claimed(context, &mut task, &of).await {
        Ok(kept) => completion.counts.kept += kept,
        Err(SyncError::Entry(error)) => {
            failure::deletion(&of.here, task, &error, &mut completion);
            return Ok(TaskEnd::complete(completion));
        }
        Err(why) => return Err(why),
    }
    let done = match &task.what {
        Deletion::Objects(objects) => {
            delete_objects(
                context,
                (&task, &of),
                &of.here.target,
                objects,
                &mut completion,
            )
            .await
        }
        Deletion::Within {
            top,
            collection,
            objects,
        } => {
            match delete_objects(context, (&task, &of), collection, objects, &mut completion).await
            {
                // Whoever tries the rest again removes it.
                Ok(()) if !completion.retries.is_empty() => Ok(()),
                Ok(()) => {
                    remove_emptied(context, (&task, &of), collection, top, &mut completion).await
                }
                failed => failed,
            }
        }
        Deletion::Collection { top, collection } => {
            let about = (&task, &of);
            match delete_collection(context, leased, about, collection, top, &mut completion).await
            {
                Err(SyncError::Entry(error)) => {
                    failure::deletion(&of.here, task.clone(), &error, &mut completion);
                    Ok(())
                }
                done => done,
            }
        }
    };
    match done {
        Ok(()) => Ok(TaskEnd::complete(completion)),
        Err(SyncError::Job(why)) => {
            completion.fatal = Some(Fatal::Job(why));
            Ok(TaskEnd::complete(completion))
        }
        // What was done counts where what is left is among the retries.
        Err(why @ SyncError::Broker(_)) => Err(why),
        Err(why) if completion.retries.is_empty() => Err(why),
        Err(SyncError::Drained) => Ok(TaskEnd::complete(completion)),
        Err(why) => Ok(TaskEnd::CompleteInPart(Box::new(completion), why)),
    }
}

/// Takes out of a task what has been claimed meanwhile; how much that is.
async fn leave_claimed(
    context: &JobContext,
    task: &mut DeleteTask,
    of: &Of,
) -> Result<u64, SyncError> {
    let place = (task.directory.as_slice(), &of.here);
    match &mut task.what {
        Deletion::Objects(objects) => leave_alone(context, place, &of.here.target, objects).await,
        Deletion::Within {
            collection,
            objects,
            ..
        } => leave_alone(context, place, collection, objects).await,
        Deletion::Collection { .. } => Ok(0),
    }
}

/// Deletes objects one by one; one that fails fails alone. Where more than that is wrong, the rest is among the retries.
async fn delete_objects(
    context: &JobContext,
    (task, of): (&DeleteTask, &Of),
    collection: &str,
    objects: &[String],
    completion: &mut Completion,
) -> Result<(), SyncError> {
    if let Err(why) = check_limit(context, objects.len() as u64).await? {
        completion.fatal = Some(Fatal::Job(why));
        return Ok(());
    }
    let mut again = Vec::new();
    let mut timed_out = false;
    let mut refused = Ok(());
    for (index, name) in objects.iter().enumerate() {
        let begun = !context.shutdown.requested();
        let deleted = match begun {
            true => delete_one(context, (task, of), collection, name).await,
            false => Err(SyncError::Drained),
        };
        match deleted {
            // Gone already: by our own attempt whose end nobody saw, or by somebody else.
            Ok(deleted) => {
                let ours = task.redelivered || task.timed_out;
                completion.counts.deleted += u64::from(deleted || ours);
            }
            Err(SyncError::Entry(error)) if failure::is_tried_again(&of.here, task, &error) => {
                again.push(name.clone());
                timed_out |= error.name == TIMED_OUT;
            }
            Err(SyncError::Entry(error)) => {
                let mut single = task.with_objects(vec![name.clone()]);
                single.timed_out |= error.name == TIMED_OUT;
                failure::deletion(&of.here, single, &error, completion);
            }
            Err(why) => {
                let mut rest = task.with_objects(objects[index..].to_vec());
                rest.redelivered |= begun;
                let rest = Task::Delete(rest);
                completion.retries.extend(rest.to_new_task().ok());
                refused = Err(why);
                break;
            }
        }
    }
    if !again.is_empty() {
        let mut again = task.with_objects(again);
        again.timed_out |= timed_out;
        failure::retry_deletion(&of.here, again, completion);
    }
    refused
}

async fn delete_one(
    context: &JobContext,
    (task, of): (&DeleteTask, &Of),
    collection: &str,
    name: &str,
) -> Result<bool, SyncError> {
    let gone = match &task.what {
        Deletion::Objects(_) => name,
        Deletion::Collection { top, .. } | Deletion::Within { top, .. } => last_element(top),
    };
    certainly_gone(context, (task, of), gone).await?;
    let object = naming::join(collection, name);
    sync_irods::delete_object(context, &of.here, &object).await
}

/// Queues what is in a collection; removes it if that is nothing.
async fn delete_collection(
    context: &JobContext,
    leased: &Leased,
    (task, of): (&DeleteTask, &Of),
    collection: &str,
    top: &str,
    completion: &mut Completion,
) -> Result<(), SyncError> {
    certainly_gone(context, (task, of), last_element(top)).await?;
    let user = of.here.user.as_ref();
    let names = sync_irods::list_collection(context, user, collection).await?;
    let text = |name: &[u8]| match std::str::from_utf8(name) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(SyncError::Entry(EntryError::new(
            "BAD_NAME",
            format!("{collection} holds a name that is not text"),
        ))),
    };
    let mut objects = names
        .data_objects()
        .map(text)
        .collect::<Result<Vec<_>, _>>()?;
    let mut collections = names
        .collections()
        .map(text)
        .collect::<Result<Vec<_>, _>>()?;
    objects.sort_unstable();
    collections.sort_unstable();
    let place = (task.directory.as_slice(), &of.here);
    let kept = leave_alone(context, place, collection, &mut objects).await?;
    if objects.is_empty() && collections.is_empty() && kept == 0 {
        return remove_emptied(context, (task, of), collection, top, completion).await;
    }
    let chunk = context.spec.options.files_per_task.max(1);
    let within = objects.chunks(chunk).map(|objects| Deletion::Within {
        top: top.to_owned(),
        collection: collection.to_owned(),
        objects: objects.to_vec(),
    });
    let below = collections.iter().map(|name| Deletion::Collection {
        top: top.to_owned(),
        collection: naming::join(collection, name),
    });
    let children: Vec<NewTask> = within
        .chain(below)
        .map(|what| {
            let of = task.of.clone();
            Task::Delete(DeleteTask::new(&task.directory, of, what)).to_new_task()
        })
        .collect::<Result<_, _>>()
        .map_err(|error| SyncError::Entry(EntryError::new("BAD_TASK", error.to_string())))?;
    // Queued twice after a crash in between, they find nothing the second time.
    for batch in children.chunks(MAX_CHILDREN) {
        let spawned = context
            .broker
            .spawn(leased.lease, batch.to_vec(), b"children".to_vec(), vec![])
            .await?;
        if spawned == Spawned::Stopping {
            break;
        }
    }
    completion.counts.kept += kept;
    Ok(())
}

/// Removes a collection if it is empty, then those above it that this made empty, up to `top`. One that cannot be removed is
/// tried again by itself.
async fn remove_emptied(
    context: &JobContext,
    (task, of): (&DeleteTask, &Of),
    collection: &str,
    top: &str,
    completion: &mut Completion,
) -> Result<(), SyncError> {
    // Attempts at the objects are none at the collection.
    let mut attempts = match &task.what {
        Deletion::Within { objects, .. } if !objects.is_empty() => 0,
        _ => task.attempts,
    };
    let mut next = Some(collection);
    while let Some(collection) = next {
        if let Err(why) = check_limit(context, 1).await? {
            completion.fatal = Some(Fatal::Job(why));
            return Ok(());
        }
        let removed =
            sync_irods::delete_collection_if_empty(context, &of.here, collection, task.redelivered);
        match removed.await {
            Ok(true) => completion.counts.deleted += 1,
            Ok(false) => return Ok(()),
            Err(why) => {
                let what = Deletion::Within {
                    top: top.to_owned(),
                    collection: collection.to_owned(),
                    objects: Vec::new(),
                };
                let rest = DeleteTask {
                    attempts,
                    redelivered: task.redelivered,
                    ..DeleteTask::new(&task.directory, task.of.clone(), what)
                };
                if let SyncError::Entry(error) = why {
                    let rest = DeleteTask {
                        redelivered: rest.redelivered || error.name == TIMED_OUT,
                        ..rest
                    };
                    failure::deletion(&of.here, rest, &error, completion);
                    return Ok(());
                }
                // It may have been removed, and nobody has looked at what is above it.
                let rest = Task::Delete(DeleteTask {
                    redelivered: true,
                    ..rest
                });
                completion.retries.extend(rest.to_new_task().ok());
                return Err(why);
            }
        }
        attempts = 0;
        next = path::parent(collection).filter(|_| collection != top);
    }
    Ok(())
}

/// The last look.
async fn certainly_gone(
    context: &JobContext,
    (task, of): (&DeleteTask, &Of),
    name: &str,
) -> Result<(), SyncError> {
    if let Some(present) = &of.present {
        return Ok(check_gone(present, name)?);
    }
    let names = naming::source_names(name);
    let links = of.here.operation.links();
    let relative = relative_path(&task.directory);
    context
        .at_source(move |source| {
            let look = |name: &Vec<u8>| match source.stat(&relative, name, links) {
                Ok(look) => guard::check_last_look(&look),
                Err(_) => Err(guard::Kept::NotCertainlyGone),
            };
            names.iter().try_for_each(look)
        })
        .await
}

/// Whether so many more may be deleted; what was deleted by completed tasks counts.
async fn check_limit(context: &JobContext, more: u64) -> Result<Result<(), String>, SyncError> {
    let limit = context.spec.options.max_delete;
    if limit.is_none() {
        return Ok(Ok(()));
    }
    let done: Counts = context.broker.job(context.job).await?.pass_totals;
    Ok(guard::check_limit(limit, done.deleted, more).map_err(|why| why.to_string()))
}

fn last_element(collection: &str) -> &str {
    collection.rsplit('/').next().unwrap_or(collection)
}
