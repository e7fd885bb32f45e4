//! Where entries may be put anywhere, two of them may be meant for one object. An object is therefore claimed, by an AVU that names the
//! file that it is of; who finds the claim of another file leaves the object alone.
//!
//! Claims are added first and read afterwards, so of two who come at the same time at least one sees both. A registered object needs
//! none: its physical path says the same, and registering over another path is refused in any case.

use irods_client::metadata::{Avu, Entity};
use sha2::{Digest, Sha256};

use super::FileAction;
use super::annotate::add;
use crate::core::choice::Targets;
use crate::error::{EntryError, SyncError};
use crate::naming;
use crate::plan::Operation;
use crate::zone::Session;

/// The attribute of the AVU.
const ATTRIBUTE: &str = "irods_sync::source";

/// Longest path that is written as it is: values are limited, paths are not.
const MAX_VALUE: usize = 1024;

/// Whether the object is to be claimed at all.
pub(crate) fn is_claimed(action: &FileAction<'_>) -> bool {
    let operation = action.subject.operation;
    let claims = operation.uploads() || operation == Operation::RegisterAsReplicaSync;
    claims && action.context.targets() == Targets::Anywhere
}

/// Whether an object that is there is claimed by this file; `false` if it is by none.
///
/// # Errors
/// It is claimed by another one.
pub(crate) async fn is_ours(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<bool, SyncError> {
    let ours = avu(action);
    let object = Entity::DataObject(action.subject.target);
    let claims = zone.list_avus(object).await?;
    let mut claims = claims
        .into_iter()
        .filter(|avu| avu.attribute == ATTRIBUTE)
        .peekable();
    let claimed = claims.peek().is_some();
    match claims.find(|claim| claim.value != ours.value) {
        Some(other) => Err(taken(action, &other.value)),
        None => Ok(claimed),
    }
}

/// Claims the object, where that is done at all.
///
/// # Errors
/// Another file has claimed it.
pub(crate) async fn claim(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    if !is_claimed(action) {
        return Ok(());
    }
    let ours = avu(action);
    let object = Entity::DataObject(action.subject.target);
    add(zone, object, &ours).await?;
    match is_ours(zone, action).await {
        Ok(_) => Ok(()),
        Err(taken @ SyncError::Entry(_)) => {
            zone.remove_avu(object, &ours).await?;
            Err(taken)
        }
        Err(other) => Err(other),
    }
}

/// The error of who comes to an object that is another file's.
pub(crate) fn taken(action: &FileAction<'_>, by: &str) -> SyncError {
    let (target, of) = (action.subject.target, action.subject.path);
    SyncError::Entry(EntryError::target_taken(target, of, by.as_bytes()))
}

fn avu(action: &FileAction<'_>) -> Avu {
    let path = naming::physical_path(action.subject.path);
    let value = match path.len() > MAX_VALUE {
        false => path,
        true => {
            let digest = Sha256::digest(action.subject.path);
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    };
    Avu::new(ATTRIBUTE, value, "")
}
