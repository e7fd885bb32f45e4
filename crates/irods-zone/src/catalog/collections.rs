//! Collections: creating, finding, changing, moving and removing them.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

/// A collection's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Id.
    pub id: i64,
    /// Full logical path.
    pub name: String,
    /// Path of the parent.
    pub parent: String,
    /// Owner's name.
    pub owner_name: String,
    /// Owner's zone.
    pub owner_zone: String,
    /// New children take over the permissions.
    pub inherit: bool,
    /// Special collection type, empty for ordinary ones.
    pub coll_type: String,
    /// First information of a special collection.
    pub info1: String,
    /// Second information of a special collection.
    pub info2: String,
    /// Creation time, 11 digits.
    pub create_time: String,
    /// Modification time, 11 digits.
    pub modify_time: String,
}

/// The collection of that name, whoever asks.
pub fn find(conn: &Connection, path: &str) -> Result<Option<Collection>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The collection of that name, if the user may read it.
///
/// # Errors
/// `CAT_UNKNOWN_COLLECTION` if it is missing or not readable.
pub fn visible(conn: &Connection, who: &Identity, path: &str) -> Result<Collection> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Creates one collection and returns its id.
///
/// # Errors
/// `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME`, `CAT_UNKNOWN_COLLECTION` (no parent),
/// `CAT_NO_ACCESS_PERMISSION`, `CAT_NAME_EXISTS_AS_DATAOBJ`, `USER_INPUT_PATH_ERR`.
pub fn create(conn: &Connection, who: &Identity, path: &str) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Creates a collection and the parents that are missing; an existing one is fine.
pub fn create_recursive(conn: &Connection, who: &Identity, path: &str) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Creates a collection owned by another user, without looking at permissions (`iadmin mkdir`).
pub fn create_for(conn: &Connection, owner: &Identity, path: &str) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes an empty collection's row with its permissions and metadata; needs delete_object.
///
/// # Errors
/// `CAT_UNKNOWN_COLLECTION`, `CAT_COLLECTION_NOT_EMPTY`, `CAT_NO_ACCESS_PERMISSION`,
/// `CANT_RM_NON_EMPTY_HOME_COLL` for the zone's fixed collections.
pub fn remove_empty(conn: &Connection, who: &Identity, path: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Moves or renames a collection with all below it; needs own on it and modify_object on the new
/// parent. Physical paths are not touched.
pub fn rename(conn: &Connection, who: &Identity, from: &str, to: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// What `MOD_COLL` can change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionChange {
    /// Special collection type.
    pub coll_type: Option<String>,
    /// First information.
    pub info1: Option<String>,
    /// Second information.
    pub info2: Option<String>,
    /// Comment.
    pub comments: Option<String>,
    /// Modification time, seconds as text.
    pub modify_time: Option<String>,
}

/// Changes a collection; needs modify_object.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    path: &str,
    change: &CollectionChange,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Sets the modification time to now.
pub fn touch(conn: &Connection, coll_id: i64) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Sub-collections by name, after `after` (empty: from the start), at most `limit`.
pub fn children(
    conn: &Connection,
    path: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Collection>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// A collection and all collections below it, deepest last.
pub fn subtree(conn: &Connection, path: &str) -> Result<Vec<Collection>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// True if nothing is in the collection.
pub fn is_empty(conn: &Connection, collection: &Collection) -> Result<bool> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Fails with `CAT_NO_ACCESS_PERMISSION` unless the user may delete every collection and data
/// object of the subtree, and with `LOCKED_DATA_OBJECT_ACCESS` if one of them is open for writing.
pub fn require_deletable(conn: &Connection, who: &Identity, path: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
