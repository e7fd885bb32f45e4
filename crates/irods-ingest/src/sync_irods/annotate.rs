//! What an object or collection carries besides its bytes: AVUs that say what the file behind it is (the target of a link, a socket, a
//! name that is not UTF-8), and the AVUs and permissions that were chosen for it.

use bstr::ByteSlice;
use irods_client::metadata::{Avu, Entity};

use super::FileAction;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::naming;
use crate::source::EntryKind;
use crate::zone::Session;

/// Attaches to a data object that was just made, or that an earlier attempt may have left without, all that it gets.
pub(crate) async fn annotate(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    let object = Entity::DataObject(action.subject.target);
    for avu in wanted(action) {
        add(zone, object, &avu).await?;
    }
    decorate(zone, object, action.options).await
}

/// Gives something the AVUs and permissions that were chosen for it.
pub(crate) async fn decorate(
    zone: &mut dyn Session,
    what: Entity<'_>,
    options: &EntryOptions,
) -> Result<(), SyncError> {
    for chosen in &options.avus {
        match chosen.replaces {
            true => zone.set_avu(what, &chosen.avu).await?,
            false => add(zone, what, &chosen.avu).await?,
        }
    }
    grant(zone, what, options).await
}

/// Gives something the permissions that were chosen for it.
pub(super) async fn grant(
    zone: &mut dyn Session,
    what: Entity<'_>,
    options: &EntryOptions,
) -> Result<(), SyncError> {
    if !options.grants.is_empty() {
        zone.apply_access(what.name(), &options.grants).await?;
    }
    Ok(())
}

/// The AVUs that a new data object has when it has all of them.
pub(super) fn all_avus(action: &FileAction<'_>) -> Vec<Avu> {
    let mut all = wanted(action);
    for chosen in &action.options.avus {
        if chosen.replaces {
            all.retain(|avu| avu.attribute != chosen.avu.attribute);
        }
        if !all.contains(&chosen.avu) {
            all.push(chosen.avu.clone());
        }
    }
    all
}

pub(super) async fn add(
    zone: &mut dyn Session,
    to: Entity<'_>,
    avu: &Avu,
) -> Result<(), SyncError> {
    match zone.add_avu(to, avu).await {
        Err(error) if error.already_exists() => Ok(()),
        done => Ok(done?),
    }
}

/// Makes those that a data object has the ones that it should have: each attribute once, with the value of now, and none of
/// what the file is no longer. `have` are all that it has, if they are known. One call at most where that is so already. AVUs of the same attribute with other units are somebody
/// else's.
pub(crate) async fn annotate_again(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    have: Option<Vec<Avu>>,
) -> Result<(), SyncError> {
    let object = Entity::DataObject(action.subject.target);
    let wanted = wanted(action);
    let mut have = match have {
        Some(have) => have,
        None => zone.list_avus(object).await?,
    };
    have.retain(naming::is_about_the_file);
    for avu in have.iter().filter(|avu| !wanted.contains(avu)) {
        zone.remove_avu(object, avu).await?;
    }
    for avu in wanted.iter().filter(|avu| !have.contains(avu)) {
        add(zone, object, avu).await?;
    }
    decorate(zone, object, action.options).await
}

/// Whether there are any of what the file is.
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
