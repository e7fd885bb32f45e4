//! Making several data objects at once, which get nothing besides.

use irods_client::{Error, NewObject};

use super::{FileAction, direct, made, register_file, upload_file};
use crate::broker::Counts;
use crate::error::{EntryError, SyncError};
use crate::zone::Session;

/// Whether a data object was made of a file.
#[derive(Debug)]
pub(crate) enum Created {
    /// What counts for it.
    Yes(Counts),
    /// The connection was lost, and whatever was under way with it.
    Perhaps,
    /// It was begun and went wrong.
    Failed(EntryError),
    No,
}

/// Makes data objects of files that are all done alike: registered, registered as rows, or uploaded with what was read already. What became
/// of each; what is not told was not made.
pub(crate) async fn create_all(zone: &mut dyn Session, actions: &[FileAction<'_>]) -> Vec<Created> {
    let Some(first) = actions.first() else {
        return Vec::new();
    };
    let results = if first.subject.operation.uploads() {
        let how = upload_file::how(first, false);
        let all: Vec<_> = actions
            .iter()
            .map(|action| NewObject::Put {
                object: action.subject.target,
                bytes: action.content.unwrap_or_default(),
                how: &how,
            })
            .collect();
        let mut transfers = actions
            .iter()
            .map(|action| upload_file::transfer(action, "put"));
        let mut measured = transfers.next();
        let mut answered = |answer: &irods_client::Result<()>| {
            let next = transfers.next();
            if let Some(put) = std::mem::replace(&mut measured, next)
                && answer.is_ok()
            {
                put.done();
            }
        };
        zone.create_all(&all, &mut answered).await
    } else if first.direct {
        let Ok(leaf) = first.context.leaves.get(zone, first).await else {
            return Vec::new();
        };
        let rows: Vec<_> = actions.iter().map(direct::row).collect();
        let all = rows
            .iter()
            .zip(actions)
            .map(|(row, action)| NewObject::Row {
                row,
                leaf: &leaf,
                mtime: action.stat.mtime.seconds,
            });
        zone.create_all(&all.collect::<Vec<_>>(), &mut |_| {}).await
    } else {
        let request = |action| register_file::request(action, false);
        let requests: Vec<_> = actions.iter().map(request).collect();
        let all = requests.iter().zip(actions);
        let all = all.map(|(what, action)| NewObject::Registered {
            object: action.subject.target,
            what,
        });
        zone.create_all(&all.collect::<Vec<_>>(), &mut |_| {}).await
    };
    let told = |(action, result): (&FileAction<'_>, irods_client::Result<()>)| match result {
        Ok(()) => Created::Yes(made(action)),
        Err(error) if error.may_have_happened() => Created::Perhaps,
        Err(error @ Error::Transfer { .. }) => match SyncError::from(error) {
            SyncError::Entry(error) => Created::Failed(error),
            _ => Created::No,
        },
        Err(error) => {
            tracing::debug!(%error, "not made with others");
            Created::No
        }
    };
    actions.iter().zip(results).map(told).collect()
}
