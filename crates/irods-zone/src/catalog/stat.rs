//! What `OBJ_STAT` tells about a path.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

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
/// `USER_FILE_DOES_NOT_EXIST` if there is nothing that the user may read.
pub fn stat(
    conn: &Connection,
    who: &Identity,
    path: &str,
    wanted: Option<ObjectKind>,
) -> Result<ObjectStat> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
