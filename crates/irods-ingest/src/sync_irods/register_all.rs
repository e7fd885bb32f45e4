//! Registering several files at once, as new data objects that get nothing besides.

use irods_client::register::Registration;

use super::{FileAction, direct, made, register_file};
use crate::broker::Counts;
use crate::zone::Session;

/// Whether a file was registered.
#[derive(Debug, Clone)]
pub(crate) enum Registered {
    /// What counts for it.
    Yes(Counts),
    /// The connection was lost, and whatever was under way with it.
    Perhaps,
    No,
}

/// Registers files of one kind, as rows or the usual way; what became of each.
pub(crate) async fn register_all(
    zone: &mut dyn Session,
    actions: &[FileAction<'_>],
) -> Vec<Registered> {
    let Some(first) = actions.first() else {
        return Vec::new();
    };
    let results = match first.direct {
        true => {
            let Ok(leaf) = first.context.leaves.get(zone, first).await else {
                return vec![Registered::No; actions.len()];
            };
            let rows: Vec<_> = actions.iter().map(direct::row).collect();
            let all = rows
                .iter()
                .zip(actions)
                .map(|(row, action)| Registration::Row {
                    row,
                    leaf: &leaf,
                    mtime: action.stat.mtime.seconds,
                });
            zone.register_all(&all.collect::<Vec<_>>()).await
        }
        false => {
            let request = |action| register_file::request(action, false);
            let requests: Vec<_> = actions.iter().map(request).collect();
            let all = requests.iter().zip(actions);
            let all = all.map(|(what, action)| Registration::File {
                object: action.subject.target,
                what,
            });
            zone.register_all(&all.collect::<Vec<_>>()).await
        }
    };
    let told = |(action, result): (&FileAction<'_>, irods_client::Result<()>)| match result {
        Ok(()) => Registered::Yes(made(action)),
        Err(error) if error.may_have_happened() => Registered::Perhaps,
        Err(error) => {
            tracing::debug!(%error, "not registered with others");
            Registered::No
        }
    };
    actions.iter().zip(results).map(told).collect()
}
