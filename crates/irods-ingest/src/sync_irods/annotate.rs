//! AVUs that say what the file behind a data object was: the target of a link, a socket, a name that is not UTF-8.

use bstr::ByteSlice;

use super::FileAction;
use crate::error::SyncError;
use crate::naming;
use crate::source::EntryKind;
use crate::zone::Session;

/// Attaches them to a data object. Those that are there already stay.
pub(crate) async fn annotate(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    let path = action.subject.path;
    let directory = path.rfind_byte(b'/').map_or(&b""[..], |at| &path[..at]);
    let link = action
        .link
        .map(|text| naming::link_target_avu(directory, text));
    let socket = (action.stat.kind == EntryKind::Socket).then(naming::socket_target_avu);
    let undecodable = naming::unencodable_avu(action.name, path);
    for avu in [link, socket, undecodable].into_iter().flatten() {
        match zone.add_avu(action.subject.target, &avu).await {
            Err(error) if error.already_exists() => {}
            done => done?,
        }
    }
    Ok(())
}
