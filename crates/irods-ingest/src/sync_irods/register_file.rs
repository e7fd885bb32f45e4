//! Registering a file where it is: the catalog learns its path, size and modification time; no byte moves.

use irods_client::Pooled;
use irods_client::register::{Register, Target};

use super::{FileAction, made};
use crate::broker::Counts;
use crate::error::SyncError;

/// Registers the file as a new data object, or as a further replica of an existing one. One call; the server's own error
/// says whether the name is taken or the collection missing.
pub(super) async fn register_file(
    zone: &mut Pooled,
    action: &FileAction<'_>,
    as_replica: bool,
) -> Result<Counts, SyncError> {
    let options = &action.context.spec.options;
    let what = Register {
        file: action.physical.to_owned(),
        size: Some(action.stat.size),
        mtime: Some(action.stat.mtime.seconds),
        target: options.resource.clone().map(Target::Resource),
        checksum: options.checksum,
        as_replica,
        ..Register::default()
    };
    zone.register(action.subject.target, &what).await?;
    Ok(made(action))
}
