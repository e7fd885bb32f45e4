//! A registered file changed: its replica's size and modification time follow.

use irods_client::replica::{Changes, Which};

use super::{FileAction, keep_checksum};
use crate::broker::Counts;
use crate::error::SyncError;
use crate::zone::Session;

/// Sets size and modification time of one replica, marks it good and every other one stale. A stored checksum would be
/// that of the old content, so it goes; if the job keeps checksums, the zone computes another.
pub(super) async fn update_metadata(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    replica: u32,
) -> Result<Counts, SyncError> {
    let changes = Changes {
        size: Some(action.stat.size),
        mtime: Some(action.stat.mtime.seconds),
        checksum: Some(String::new()),
        good: true,
    };
    let number = Which::Number(i32::try_from(replica).unwrap_or(i32::MAX));
    zone.modify_replica(action.subject.target, &number, &changes)
        .await?;
    keep_checksum(zone, action).await?;
    Ok(Counts {
        updated: 1,
        ..Counts::default()
    })
}
