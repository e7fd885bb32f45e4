//! Permissions: the levels, who has which on what, and changing that.
//!
//! A user's level on an object is the highest of his own and his groups'. `public` is a group like
//! any other; every user but `anonymous` is made its member. Tickets are not looked at.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

/// An access level: its token id, ordered by power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(i64);

impl Level {
    /// No access.
    pub const NULL: Self = Self(1000);
    /// May see the object's metadata.
    pub const READ_METADATA: Self = Self(1040);
    /// May read; also what makes rows visible in queries.
    pub const READ_OBJECT: Self = Self(1050);
    /// May add metadata.
    pub const CREATE_METADATA: Self = Self(1070);
    /// May change metadata.
    pub const MODIFY_METADATA: Self = Self(1080);
    /// May remove metadata.
    pub const DELETE_METADATA: Self = Self(1090);
    /// May write; on a collection: may create in it.
    pub const MODIFY_OBJECT: Self = Self(1120);
    /// May remove the object.
    pub const DELETE_OBJECT: Self = Self(1130);
    /// Everything.
    pub const OWN: Self = Self(1200);

    /// Token id, e.g. 1050.
    #[must_use]
    pub const fn id(self) -> i64 {
        self.0
    }

    /// Reads a level as clients write it: `read`, `write`, or a token name with underscores or blanks.
    ///
    /// # Errors
    /// `CAT_INVALID_ARGUMENT` for any other word.
    pub fn parse(text: &str) -> Result<Self> {
        Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
    }

    /// Token name, e.g. `read_object`.
    #[must_use]
    pub fn name(self) -> &'static str {
        ""
    }
}

/// One permission on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Id of the user or group.
    pub user_id: i64,
    /// Its name.
    pub user_name: String,
    /// Its zone.
    pub zone: String,
    /// Its type, e.g. `rodsgroup`.
    pub user_type: String,
    /// What it may do.
    pub level: Level,
}

/// The user's level on an object (data object, collection or resource id); `OWN` in admin mode.
pub fn level_of(conn: &Connection, who: &Identity, object_id: i64) -> Result<Level> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Fails with `CAT_NO_ACCESS_PERMISSION` unless the user has at least that level on the object.
pub fn require(conn: &Connection, who: &Identity, object_id: i64, level: Level) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// All permissions on an object, by user name.
pub fn list(conn: &Connection, object_id: i64) -> Result<Vec<Entry>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// What `MOD_ACCESS_CONTROL` can do to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Gives a user or group a level; `NULL` takes its entry away.
    Grant {
        /// User or group name.
        user: String,
        /// Its zone, empty for the local one.
        zone: String,
        /// The level.
        level: Level,
    },
    /// New children of the collection take over its permissions.
    Inherit,
    /// They no longer do.
    NoInherit,
}

/// Changes the permissions of a data object or collection; needs `OWN` (or admin mode).
/// `recursive` goes through the whole subtree of a collection.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    path: &str,
    change: &Change,
    recursive: bool,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Applies several grants to one object, all or none. The error names the operation that failed.
pub fn apply_all(
    conn: &Connection,
    who: &Identity,
    path: &str,
    changes: &[Change],
) -> std::result::Result<(), (usize, CatalogError)> {
    for (index, change) in changes.iter().enumerate() {
        modify(conn, who, path, change, false).map_err(|e| (index, e))?;
    }
    Ok(())
}
