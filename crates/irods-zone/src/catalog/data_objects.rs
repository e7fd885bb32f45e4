//! Data objects: names, permissions and life of what one or more replicas hold.
//!
//! The rows of one object agree in id, collection and name. What concerns a single replica is in
//! [`super::replicas`].

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};
use super::replicas::{NewReplica, Replica};

/// A data object with its replicas, ascending by number; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataObject {
    /// Id.
    pub id: i64,
    /// Id of the collection it is in.
    pub coll_id: i64,
    /// Full logical path.
    pub path: String,
    /// The replicas.
    pub replicas: Vec<Replica>,
}

impl DataObject {
    /// The good replica with the lowest number, else the one with the lowest number.
    #[must_use]
    pub fn best(&self) -> Option<&Replica> {
        self.replicas
            .iter()
            .find(|r| r.status == super::replicas::Status::Good)
            .or(self.replicas.first())
    }

    /// The replica of that number.
    #[must_use]
    pub fn replica(&self, number: i64) -> Option<&Replica> {
        self.replicas.iter().find(|r| r.number == number)
    }
}

/// The object of that path, whoever asks.
pub fn find(conn: &Connection, path: &str) -> Result<Option<DataObject>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The object of that id, whoever asks.
pub fn by_id(conn: &Connection, id: i64) -> Result<Option<DataObject>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The object of that path, if the user may read it.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` if it is missing or not readable (recorded exchange prc_permission_denied).
pub fn visible(conn: &Connection, who: &Identity, path: &str) -> Result<DataObject> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Creates an object with replica 0 and its permissions, and returns its id.
///
/// # Errors
/// `CAT_UNKNOWN_COLLECTION`, `CAT_NO_ACCESS_PERMISSION` (no modify_object on the collection),
/// `CAT_NAME_EXISTS_AS_COLLECTION`, `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME`,
/// `CAT_INVALID_DATA_TYPE`, `USER_INPUT_PATH_ERR`.
pub fn create(conn: &Connection, who: &Identity, path: &str, replica: &NewReplica) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// What [`create`] checks, without creating: for callers that want to know before they write a file.
pub fn check_creatable(conn: &Connection, who: &Identity, path: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes an object with all replicas, permissions and metadata; needs delete_object. Returns what
/// the replicas were, so that the caller can remove their files.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND`, `CAT_NO_ACCESS_PERMISSION`, `LOCKED_DATA_OBJECT_ACCESS`.
pub fn remove(conn: &Connection, who: &Identity, path: &str) -> Result<DataObject> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes one replica's row (the whole object with the last one). Permissions are the caller's.
pub fn remove_replica(conn: &Connection, data_id: i64, number: i64) -> Result<Replica> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Renames or moves an object. Physical paths are not touched.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND`, `CAT_NO_ACCESS_PERMISSION` (own on the object, modify_object on the new
/// collection), `CAT_NAME_EXISTS_AS_DATAOBJ`, `CAT_NAME_EXISTS_AS_COLLECTION`,
/// `CAT_UNKNOWN_COLLECTION`, `SAME_SRC_DEST_PATHS_ERR`, `LOCKED_DATA_OBJECT_ACCESS`.
pub fn rename(conn: &Connection, who: &Identity, from: &str, to: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Objects directly in a collection by name, after `after` (empty: from the start), at most `limit`.
pub fn in_collection(
    conn: &Connection,
    coll_id: i64,
    after: &str,
    limit: usize,
) -> Result<Vec<DataObject>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
