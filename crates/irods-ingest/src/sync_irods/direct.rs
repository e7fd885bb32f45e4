//! Registering by writing the catalog's row: less than half of the work for the zone, since it looks at nothing.
//!
//! What it does not check has been checked before: the collection was listed and the name is free, and another file of the same chunk,
//! on the same resource, went the usual way, so this user may register such paths and the zone's server sees them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use irods_client::register::{Leaf, NewRow};

use super::register_file::register_file;
use super::{FileAction, keep_checksum, made};
use crate::broker::Counts;
use crate::error::{EntryError, SyncError};
use crate::zone::Session;

/// The resources that files are registered on, by name, each asked for once.
#[derive(Debug, Default)]
pub(crate) struct Leaves(Mutex<HashMap<String, Arc<Leaf>>>);

impl Leaves {
    pub(super) async fn get(
        &self,
        zone: &mut dyn Session,
        action: &FileAction<'_>,
    ) -> irods_client::Result<Arc<Leaf>> {
        let resource = action.options.resource.as_deref().unwrap_or_default();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = known().get(resource) {
            return Ok(leaf.clone());
        }
        let leaf = Arc::new(zone.leaf(resource).await?);
        known().insert(resource.to_owned(), leaf.clone());
        Ok(leaf)
    }
}

/// Registers a new data object so if the zone lets us, else as usual.
pub(super) async fn register(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<Counts, SyncError> {
    match write(zone, action).await {
        Ok(()) => {}
        Err(error) if goes_on(&error) => {
            tracing::debug!(%error, "registered the usual way");
            return register_file(zone, action, false).await;
        }
        Err(error) => return Err(error.into()),
    }
    match keep_checksum(zone, action).await {
        Ok(()) => Ok(made(action)),
        // It is this file's object, so it was not there before, even if it is in use by now.
        Err(SyncError::Entry(error)) => Err(SyncError::Entry(EntryError {
            code: None,
            ..error
        })),
        Err(other) => Err(other),
    }
}

async fn write(zone: &mut dyn Session, action: &FileAction<'_>) -> irods_client::Result<()> {
    let leaf = action.context.leaves.get(zone, action).await?;
    let row = row(action);
    zone.register_row(&row, &leaf, action.stat.mtime.seconds)
        .await
}

/// What is written.
pub(super) fn row(action: &FileAction<'_>) -> NewRow {
    NewRow {
        object: action.subject.target.to_owned(),
        file: action.options.physical.clone(),
        size: action.stat.size,
        ..NewRow::default()
    }
}

/// Whether the usual way may be tried on the same connection, and would tell more.
fn goes_on(error: &irods_client::Error) -> bool {
    matches!(error, irods_client::Error::Server(_)) && !error.already_exists()
}
