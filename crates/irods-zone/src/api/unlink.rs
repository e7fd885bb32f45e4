//! `DATA_OBJ_UNLINK`: into the trash, for good, or out of the catalog alone.
//!
//! The row goes first, the file after it, so no crash leaves an object without bytes; a file that a
//! crash leaves behind is overwritten by the next object at its place. A file outside of its
//! resource's vault, or one that another replica uses as well, is never removed.

use std::path::PathBuf;
use std::sync::Arc;

use irods_protocol::message::{DataObjInp, KeyValPair};
use irods_protocol::{codes, keywords};

use super::object_path;
use super::open::{discard, lock_file};
use crate::catalog::data_objects::{self, DataObject};
use crate::catalog::replicas::{self, Replica};
use crate::catalog::{CatalogError, Connection, Identity, resources, trash};
use crate::reply::{Answer, Reply, Request};
use crate::session::Session;
use crate::vault;
use crate::zone::Shared;

/// `oprType` of an unregistration.
const UNREG_OPERATION: i32 = 26;

/// What becomes of what is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes to the trash.
    Trash,
    /// Rows and files go.
    Delete,
    /// Rows go, files stay.
    Unregister,
}

impl Fate {
    /// As the call's keywords have it; what is in the trash already can only be deleted.
    pub fn of(path: &str, opr_type: i32, wishes: &KeyValPair) -> Self {
        let purge = [
            keywords::FORCE_FLAG,
            keywords::IRODS_RM_TRASH,
            keywords::IRODS_ADMIN_RM_TRASH,
        ];
        let named = wishes
            .get(keywords::OPR_TYPE)
            .and_then(|text| text.parse().ok());
        if opr_type == UNREG_OPERATION
            || named == Some(UNREG_OPERATION)
            || wishes.has(keywords::UNREG)
        {
            Self::Unregister
        } else if purge.iter().any(|keyword| wishes.has(keyword)) || trash::contains(path) {
            Self::Delete
        } else {
            Self::Trash
        }
    }
}

/// `DATA_OBJ_UNLINK`.
pub(super) async fn unlink(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let fate = Fate::of(&path, input.opr_type, &input.cond_input);
    let zone = Arc::clone(&session.zone);
    let removed = zone
        .catalog
        .write(move |conn| match fate {
            Fate::Trash => {
                let target = trash::target(conn, &who, &path)?;
                data_objects::rename(conn, &who, &path, &target)?;
                Ok(None)
            }
            Fate::Delete => data_objects::remove(conn, &who, &path).map(Some),
            Fate::Unregister => unregister(conn, &who, &path).map(|_| None),
        })
        .await?;
    if let Some(object) = removed {
        remove_files(&zone, object.replicas).await;
    }
    Ok(Reply::done())
}

/// Removes an object's rows. Only a rodsadmin may leave files in a vault behind.
///
/// # Errors
/// `CANT_UNREG_IN_VAULT_FILE`, and those of removal.
pub(super) fn unregister(
    conn: &Connection,
    who: &Identity,
    path: &str,
) -> Result<DataObject, CatalogError> {
    let object = data_objects::remove(conn, who, path)?;
    for replica in &object.replicas {
        let vault_path = resources::by_id(conn, replica.resc_id)?.vault_path;
        if !who.is_rodsadmin()
            && vault::is_inside(vault_path.as_ref(), replica.physical_path.as_ref())
        {
            let message = format!("{} is in the vault", replica.physical_path);
            return Err(CatalogError::new(codes::CANT_UNREG_IN_VAULT_FILE, message));
        }
    }
    Ok(object)
}

/// Removes the files of replicas whose rows are gone. A file that cannot be removed is logged.
pub(super) async fn remove_files(zone: &Arc<Shared>, replicas: Vec<Replica>) {
    for replica in replicas {
        let (resc_id, file) = (replica.resc_id, replica.physical_path.clone());
        let vault_path = match zone
            .catalog
            .read(move |conn| resources::by_id(conn, resc_id))
            .await
        {
            Ok(resource) if resource.is_s3() => continue,
            Ok(resource) => PathBuf::from(resource.vault_path),
            Err(_) => continue,
        };
        let place = PathBuf::from(&file);
        let guard = lock_file(zone, &vault_path, &place).await;
        let used = zone
            .catalog
            .read(move |conn| replicas::by_physical_path(conn, resc_id, &file))
            .await;
        if matches!(used, Ok(None)) {
            discard(vault_path, place).await;
        }
        drop(guard);
    }
}
