//! Taking data objects and collections out of the zone.

use std::ops::ControlFlow;

use irods_client::data_object::Remove;
use irods_client::protocol::codes;

use crate::context::JobContext;
use crate::core::{Subject, on_coll_delete, on_data_obj_delete};
use crate::error::SyncError;
use crate::plan::DeleteMode;
use crate::zone::Session;

/// Deletes a data object as the job's delete mode says; whether it was there.
pub(crate) async fn delete_object(
    context: &JobContext,
    zone: &mut dyn Session,
    object: &str,
) -> Result<bool, SyncError> {
    let how = match context.spec.options.delete_mode {
        DeleteMode::DoNotDelete => return Ok(false),
        DeleteMode::Unregister => Remove::Unregister,
        DeleteMode::Trash => Remove::ToTrash,
        DeleteMode::NoTrash => Remove::Force,
    };
    let source = context.spec.source_bytes();
    let subject = subject(context, source, object);
    on_data_obj_delete(context.handler.as_ref(), subject, async {
        match zone.remove_data_object(object, how).await {
            Err(error) if error.is_not_found() => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    })
    .await
}

/// Takes a collection out of the catalog if nothing is in it; whether it did. The same for all delete modes: what was in it
/// went its own way before.
pub(crate) async fn delete_collection_if_empty(
    context: &JobContext,
    zone: &mut dyn Session,
    collection: &str,
) -> Result<bool, SyncError> {
    if !is_empty(zone, collection).await? {
        return Ok(false);
    }
    let source = context.spec.source_bytes();
    let subject = subject(context, source, collection);
    on_coll_delete(context.handler.as_ref(), subject, async {
        match zone.remove_empty_collection(collection).await {
            Err(error) if error.is_not_found() || error.is(codes::CAT_COLLECTION_NOT_EMPTY) => {
                Ok(false)
            }
            done => Ok(done.map(|()| true)?),
        }
    })
    .await
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

fn subject<'a>(context: &JobContext, source: &'a [u8], target: &'a str) -> Subject<'a> {
    Subject {
        path: source,
        target,
        operation: context.spec.options.operation,
    }
}
