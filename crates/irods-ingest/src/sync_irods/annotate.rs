//! AVUs that say what the file behind a data object is: the target of a link, a socket, a name that is not UTF-8.

use bstr::ByteSlice;
use irods_client::metadata::Avu;

use super::FileAction;
use crate::error::SyncError;
use crate::naming;
use crate::source::EntryKind;
use crate::zone::Session;

/// Attaches them to a data object that was just made, or that an earlier attempt may have left without.
pub(crate) async fn annotate(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    for avu in wanted(action) {
        match zone.add_avu(action.subject.target, &avu).await {
            Err(error) if error.already_exists() => {}
            done => done?,
        }
    }
    Ok(())
}

/// Makes those that a data object has the ones that it should have: each attribute once, with the value of now, and none of
/// what the file is no longer. One call where that is so already. AVUs of the same attribute with other units are somebody
/// else's.
pub(crate) async fn annotate_again(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    let object = action.subject.target;
    let wanted = wanted(action);
    let mut have = zone.list_avus(object).await?;
    have.retain(naming::is_about_the_file);
    for avu in have.iter().filter(|avu| !wanted.contains(avu)) {
        zone.remove_avu(object, avu).await?;
    }
    for avu in wanted.iter().filter(|avu| !have.contains(avu)) {
        match zone.add_avu(object, avu).await {
            Err(error) if error.already_exists() => {}
            done => done?,
        }
    }
    Ok(())
}

/// Whether there are any.
pub(super) fn is_special(action: &FileAction<'_>) -> bool {
    !wanted(action).is_empty()
}

fn wanted(action: &FileAction<'_>) -> Vec<Avu> {
    let path = action.subject.path;
    let directory = path.rfind_byte(b'/').map_or(&b""[..], |at| &path[..at]);
    let link = action
        .link
        .map(|text| naming::link_target_avu(directory, text));
    let socket = (action.stat.kind == EntryKind::Socket).then(naming::socket_target_avu);
    let undecodable = naming::unencodable_avu(action.name, path);
    [link, socket, undecodable].into_iter().flatten().collect()
}
