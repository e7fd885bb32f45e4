//! Registering a file where it is: the catalog learns its path, size and modification time; no byte moves.

use irods_client::register::{Register, Target};

use super::update_metadata::update_metadata;
use super::{FileAction, made};
use crate::broker::Counts;
use crate::error::{EntryError, SyncError};
use crate::zone::Session;

/// Registers the file as a new data object, or as a further replica of an existing one. One call; the server's own error
/// says whether the name is taken or the collection missing.
pub(super) async fn register_file(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    as_replica: bool,
) -> Result<Counts, SyncError> {
    let what = request(action, as_replica);
    zone.register(action.subject.target, &what).await?;
    if as_replica {
        adopt(zone, action).await?;
    }
    Ok(made(action))
}

/// What is asked of the zone.
pub(super) fn request(action: &FileAction<'_>, as_replica: bool) -> Register {
    Register {
        file: action.options.physical.clone(),
        size: Some(action.stat.size),
        mtime: Some(action.stat.mtime.seconds),
        target: action.options.resource.clone().map(Target::Resource),
        // A replica's is asked for when its row is as it should be.
        checksum: action.context.spec.options.checksum.keeps() && !as_replica,
        as_replica,
        ..Register::default()
    }
}

/// A server gives a registered replica the present time and, if it takes it for equal, the status of another one (server source
/// 4.3). This one is what the source holds, so it gets the file's size and time and becomes the good one.
async fn adopt(zone: &mut dyn Session, action: &FileAction<'_>) -> Result<(), SyncError> {
    let replicas = zone.replicas(action.subject.target).await?;
    let ours = replicas
        .iter()
        .rev()
        .find(|replica| replica.path == action.options.physical.as_bytes());
    let Some(number) = ours.and_then(|replica| u32::try_from(replica.number).ok()) else {
        return Err(SyncError::Entry(EntryError::new(
            "UNSTABLE",
            format!("the replica of {} is gone again", action.subject.target),
        )));
    };
    update_metadata(zone, action, number).await.map(drop)
}
