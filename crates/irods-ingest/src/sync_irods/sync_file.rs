//! Append-style sync: a file that grew gets its new end written to the end of its data object.

use super::{FileAction, keep_checksum, upload_file};
use crate::broker::Counts;
use crate::error::SyncError;
use crate::zone::Session;

/// Writes the file's bytes from `from` on, which is the object's size.
pub(super) async fn sync_file(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    from: u64,
) -> Result<Counts, SyncError> {
    let sent = upload_file::append(zone, action, from).await?;
    keep_checksum(zone, action).await?;
    Ok(Counts {
        appended: 1,
        bytes_uploaded: sent,
        ..Counts::default()
    })
}
