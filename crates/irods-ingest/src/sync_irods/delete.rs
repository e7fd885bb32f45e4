//! Taking data objects and collections out of the zone.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use irods_client::data_object::Remove;
use irods_client::protocol::codes;
use tokio::sync::{Mutex, MutexGuard};

use super::{in_time, patiently};
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::core::{Subject, on_coll_delete, on_data_obj_delete};
use crate::error::SyncError;
use crate::plan::DeleteMode;
use crate::zone::Session;

/// Deletes a data object as the delete mode of the directory that it was `of` says; whether it was there, or is gone by an attempt whose end nobody saw.
pub(crate) async fn delete_object(
    context: &JobContext,
    of: &EntryOptions,
    object: &str,
) -> Result<bool, SyncError> {
    patiently(context, of.user.as_ref(), |mut zone, again| async move {
        let work = async {
            match delete_once(context, zone.as_mut(), of, object).await {
                Ok(deleted) => Ok(deleted || again),
                Err(SyncError::LeftOut(_)) => Ok(false),
                // Whatever was said now, the attempt before may have done it.
                Err(SyncError::Entry(_)) if again && zone.replicas(object).await?.is_empty() => {
                    Ok(true)
                }
                failed => failed,
            }
        };
        in_time(of.timeout, object, work).await
    })
    .await
}

async fn delete_once(
    context: &JobContext,
    zone: &mut dyn Session,
    of: &EntryOptions,
    object: &str,
) -> Result<bool, SyncError> {
    let how = match of.delete_mode {
        DeleteMode::DoNotDelete => return Ok(false),
        DeleteMode::Unregister => Remove::Unregister,
        DeleteMode::Trash => Remove::ToTrash,
        DeleteMode::NoTrash => Remove::Force,
    };
    let source = context.spec.source_bytes();
    let subject = subject(of, source, object);
    on_data_obj_delete(context.handler.as_ref(), subject, async {
        context.tenure.hold.check()?;
        match zone.remove_data_object(object, how).await {
            Err(error) if error.is_not_found() => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    })
    .await
}

/// Who is at the removal of which collections. Several tasks may empty one at the same time; only one of them is to try to
/// remove it, or nobody could tell whose attempt it was that lost its answer.
#[derive(Debug, Default)]
pub(crate) struct Removals([Mutex<()>; 32]);

impl Removals {
    /// Waits until nobody else of this worker is at the removal of this collection.
    async fn of(&self, collection: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        collection.hash(&mut hasher);
        let place = hasher.finish() % self.0.len() as u64;
        self.0[place as usize].lock().await
    }
}

/// Takes a collection out of the catalog if nothing is in it; whether it did. The same for all delete modes: what was in it
/// went its own way before. `redelivered` if a worker that was lost may have done so.
pub(crate) async fn delete_collection_if_empty(
    context: &JobContext,
    of: &EntryOptions,
    collection: &str,
    redelivered: bool,
) -> Result<bool, SyncError> {
    let _alone = context.removals.of(collection).await;
    let tried = &AtomicBool::new(false);
    patiently(context, of.user.as_ref(), |mut zone, _| async move {
        let attempts = (redelivered, tried);
        let work = remove_if_empty(context, of, zone.as_mut(), collection, attempts);
        in_time(of.timeout, collection, work).await
    })
    .await
}

/// The same on a connection; `tried` says whether it was attempted on another before.
async fn remove_if_empty(
    context: &JobContext,
    of: &EntryOptions,
    zone: &mut dyn Session,
    collection: &str,
    (redelivered, tried): (bool, &AtomicBool),
) -> Result<bool, SyncError> {
    if !is_empty(zone, collection).await? {
        return Ok(false);
    }
    // Another task of this job has removed it, with its hooks; unless an attempt of ours may have, and not come to the last of them.
    let ours = redelivered || tried.load(Ordering::Relaxed);
    if !ours && !zone.collection_exists(collection).await? {
        return Ok(false);
    }
    let source = context.spec.source_bytes();
    let subject = subject(of, source, collection);
    let removed = on_coll_delete(context.handler.as_ref(), subject, async {
        context.tenure.hold.check()?;
        let tried_before = tried.swap(true, Ordering::Relaxed);
        match zone.remove_empty_collection(collection).await {
            // By our own attempt whose end nobody saw, or by somebody else.
            Err(error) if error.is_not_found() => Ok(tried_before || redelivered),
            done => Ok(done.map(|()| true)?),
        }
    });
    match removed.await {
        // Something came in meanwhile, or is there that this user may not see.
        Err(SyncError::Entry(e)) if e.code == Some(codes::CAT_COLLECTION_NOT_EMPTY) => Ok(false),
        Err(SyncError::LeftOut(_)) => Ok(false),
        other => other,
    }
}

async fn is_empty(zone: &mut dyn Session, collection: &str) -> Result<bool, SyncError> {
    let mut found = false;
    let mut first = |page: Vec<_>| {
        found = !page.is_empty();
        ControlFlow::Break(())
    };
    zone.list_replicas(collection, &mut first).await?;
    Ok(!found && zone.list_subcollections(collection).await?.is_empty())
}

fn subject<'a>(of: &'a EntryOptions, source: &'a [u8], target: &'a str) -> Subject<'a> {
    Subject {
        path: source,
        target,
        operation: of.operation,
        stat: None,
        user: of.user.as_ref(),
    }
}
