//! What `OBJ_STAT` tells about a path.

use rusqlite::Connection;

use super::error::{CatalogError, Result, code};
use super::{Identity, access, collections, data_objects};

/// Data object or collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A data object.
    DataObject,
    /// A collection.
    Collection,
}

/// The fields of `RodsObjStat_PI`, special collections aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStat {
    /// What it is.
    pub kind: ObjectKind,
    /// Id.
    pub id: i64,
    /// Size of the good replica in bytes, 0 for collections.
    pub size: i64,
    /// Mode of the replica as a number, 0 for collections.
    pub mode: i32,
    /// Checksum of the good replica, or empty.
    pub checksum: String,
    /// Owner's name.
    pub owner_name: String,
    /// Owner's zone.
    pub owner_zone: String,
    /// Creation time, 11 digits.
    pub create_time: String,
    /// Modification time, 11 digits.
    pub modify_time: String,
}

/// Looks a path up as data object, then as collection (or only as `wanted`).
///
/// # Errors
/// `USER_FILE_DOES_NOT_EXIST` if there is nothing that the user may see.
pub fn stat(
    conn: &Connection,
    who: &Identity,
    path: &str,
    wanted: Option<ObjectKind>,
) -> Result<ObjectStat> {
    if wanted != Some(ObjectKind::Collection)
        && let Some(object) = data_objects::find(conn, path)?
        && access::may_see(conn, who, object.id)?
        && let Some(replica) = object.best()
    {
        return Ok(ObjectStat {
            kind: ObjectKind::DataObject,
            id: object.id,
            size: replica.size,
            mode: replica.mode.parse().unwrap_or(0),
            checksum: replica.checksum.clone(),
            owner_name: replica.owner_name.clone(),
            owner_zone: replica.owner_zone.clone(),
            create_time: replica.create_time.clone(),
            modify_time: replica.modify_time.clone(),
        });
    }
    if wanted != Some(ObjectKind::DataObject)
        && let Some(collection) = collections::find(conn, path)?
        && access::may_see(conn, who, collection.id)?
    {
        return Ok(ObjectStat {
            kind: ObjectKind::Collection,
            id: collection.id,
            size: 0,
            mode: 0,
            checksum: String::new(),
            owner_name: collection.owner_name,
            owner_zone: collection.owner_zone,
            create_time: collection.create_time,
            modify_time: collection.modify_time,
        });
    }
    Err(CatalogError::new(
        code::USER_FILE_DOES_NOT_EXIST,
        format!("no such path: {path}"),
    ))
}
