//! Collections on the way to where something belongs, from the top. No lock: who comes second finds that the collection is there, which
//! is what was wanted.

use irods_client::connection::Identity;
use irods_client::protocol::path;

use crate::context::JobContext;
use crate::core::{Event, Subject, on_coll_create};
use crate::error::{EntryError, SyncError};
use crate::plan::Operation;
use crate::zone::Session;

/// A collection that is to be there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) collection: &'a str,
    /// Absolute path of the directory that it is of.
    pub(crate) source: &'a [u8],
    pub(crate) operation: Operation,
    pub(crate) user: Option<&'a Identity>,
    /// Whoever wants it counts it.
    pub(crate) counted: bool,
}

/// Makes a collection, and whatever is missing above it, one by one from the top, each with its
/// hooks.
///
/// # Errors
/// [`EntryError::is_name_taken`] if the collection itself is there already, or a data object in its place.
pub(crate) async fn create_dirs(
    context: &JobContext,
    zone: &mut dyn Session,
    of: Wanted<'_>,
) -> Result<(), SyncError> {
    let wanted = of.collection;
    // Names still to be made, the innermost first.
    let mut missing = vec![(wanted.to_owned(), of.source.to_vec())];
    if context.handler.has_hooks(Event::CollCreate) {
        // Who hears of one may use what is above it, so it is not tried before that is there.
        while let Some((collection, source_path)) = missing.last()
            && let Some(parent) = parent_to_make(collection)
            && !zone.collection_exists(parent).await?
        {
            missing.push((parent.to_owned(), source_parent(source_path)));
        }
    }
    // What was found where a missing collection's parent should be.
    let mut found = None;
    while let Some((collection, source_path)) = missing.last() {
        let next = Wanted {
            collection,
            source: source_path,
            counted: of.counted && missing.len() == 1,
            ..of
        };
        match create_dir(context, zone, next).await {
            Ok(()) => {
                missing.pop();
            }
            Err(SyncError::Entry(error)) if error.is_name_taken() && *collection != wanted => {
                found = missing.pop().map(|(collection, _)| collection);
            }
            Err(SyncError::Entry(error)) if error.is_collection_missing() => {
                let Some(parent) = parent_to_make(collection).map(str::to_owned) else {
                    return Err(SyncError::Entry(error));
                };
                if found.as_ref() == Some(&parent) {
                    return Err(SyncError::Entry(EntryError::new(
                        "REFUSED",
                        format!(
                            "cannot create {collection}: {parent} is not a collection, or one that this user may not see"
                        ),
                    )));
                }
                if missing.len() > MAX_DEPTH {
                    return Err(SyncError::Entry(EntryError::new(
                        "UNSTABLE",
                        format!("the collections above {wanted} keep disappearing"),
                    )));
                }
                let source = source_parent(source_path);
                missing.push((parent, source));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A logical path has at most 1023 bytes, so at most half as many elements; more steps mean that somebody removes what we
/// make.
const MAX_DEPTH: usize = 512;

/// Makes one collection whose parent is there.
async fn create_dir(
    context: &JobContext,
    zone: &mut dyn Session,
    wanted: Wanted<'_>,
) -> Result<(), SyncError> {
    let subject = Subject {
        path: wanted.source,
        target: wanted.collection,
        operation: wanted.operation,
        stat: None,
        user: wanted.user,
    };
    on_coll_create(context.handler.as_ref(), subject, async {
        context.tenure.hold.check()?;
        zone.create_collection(wanted.collection).await?;
        if !wanted.counted {
            context.tenure.made_above.add_one();
        }
        Ok(())
    })
    .await
}

/// The collection above, unless that is a zone, or above all zones, which nobody makes.
fn parent_to_make(collection: &str) -> Option<&str> {
    path::parent(collection).filter(|parent| path::parent(parent).is_some())
}

/// The directory that an absolute path is in.
pub(super) fn source_parent(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|&b| b == b'/') {
        None | Some(0) => b"/".to_vec(),
        Some(at) => path[..at].to_vec(),
    }
}
