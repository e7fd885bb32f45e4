//! The trash: where something that is removed without force goes.
//!
//! `/z/home/u/a/b` of user u goes to `/z/trash/home/u/a/b`; what is not below the user's own home
//! keeps its path below the zone. A name that is taken gets a random number behind a dot.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

/// True for the trash collection of the path's zone and everything below it.
#[must_use]
pub fn contains(path: &str) -> bool {
    let mut parts = path.split('/').skip(2);
    parts.next() == Some("trash")
}

/// A free path in the user's trash for the data object or collection at `path`. Missing trash
/// collections are made.
pub fn target(conn: &Connection, who: &Identity, path: &str) -> Result<String> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
