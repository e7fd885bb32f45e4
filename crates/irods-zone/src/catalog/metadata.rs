//! Metadata (AVUs) of data objects, collections, resources and users.
//!
//! Equal AVUs share one row of r_meta_main, as in the real catalog; a row that nothing uses any
//! more is removed.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

/// What an AVU is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// `-d`, `data_object`.
    DataObject,
    /// `-C`, `collection`.
    Collection,
    /// `-R`, `resource`.
    Resource,
    /// `-u`, `user`.
    User,
}

/// Attribute, value, units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avu {
    /// Attribute name, not empty.
    pub attribute: String,
    /// Value, not empty.
    pub value: String,
    /// Units, may be empty.
    pub units: String,
}

/// An attached AVU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedAvu {
    /// Id of the AVU.
    pub id: i64,
    /// The AVU.
    pub avu: Avu,
}

impl EntityKind {
    /// Reads `-d`, `-D`, `-C`, `-c`, `-R`, `-r`, `-u` or a name of the JSON calls.
    ///
    /// # Errors
    /// `CAT_INVALID_ARGUMENT`.
    pub fn parse(text: &str) -> Result<Self> {
        Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
    }
}

/// AVUs of an entity, by id. Permissions are the caller's.
pub fn list(conn: &Connection, object_id: i64) -> Result<Vec<AttachedAvu>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Id of an entity by name.
///
/// # Errors
/// `CAT_UNKNOWN_FILE`, `CAT_UNKNOWN_COLLECTION`, `CAT_INVALID_RESOURCE`, `CAT_INVALID_USER`.
pub fn entity_id(conn: &Connection, kind: EntityKind, name: &str) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Attaches an AVU.
///
/// # Errors
/// `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME` if it is attached already, `CAT_NO_ACCESS_PERMISSION`,
/// `CAT_INVALID_ARGUMENT` for an empty attribute or value, and those of [`entity_id`].
pub fn add(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    avu: &Avu,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Makes the AVU the only one of its attribute on the entity.
pub fn set(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    avu: &Avu,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Takes an AVU off; `CAT_SUCCESS_BUT_WITH_NO_INFO` if it was not attached.
pub fn remove(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    avu: &Avu,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Takes off all AVUs that match three LIKE patterns.
pub fn remove_matching(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    patterns: &Avu,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Takes an AVU off by the id of the AVU.
pub fn remove_by_id(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    meta_id: i64,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Replaces one AVU by another.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    old: &Avu,
    new: &Avu,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Attaches all AVUs of one entity to another.
pub fn copy(
    conn: &Connection,
    who: &Identity,
    from: (EntityKind, &str),
    to: (EntityKind, &str),
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// One step of an atomic change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Attach; nothing happens if it is attached.
    Add(Avu),
    /// Take off; nothing happens if it is not attached.
    Remove(Avu),
}

/// Applies all operations or none. The error says which operation failed, `None` before the first.
pub fn apply_atomic(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    operations: &[Operation],
) -> std::result::Result<(), (Option<usize>, CatalogError)> {
    let _ = (conn, who, kind, name, operations);
    Err((
        None,
        CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"),
    ))
}

/// Removes AVUs that nothing uses (`iadmin rum`); returns how many.
pub fn remove_unused(conn: &Connection, who: &Identity) -> Result<usize> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
