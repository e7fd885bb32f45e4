//! Specific queries: SQL that administrators registered, run by name.
//!
//! The SQL runs under an authorizer that lets it read the catalog's public tables and nothing else.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};
use super::query::{Cursors, Page};

/// A request to run a registered query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecificQuery {
    /// Alias, or the registered SQL itself.
    pub sql: String,
    /// Values of the placeholders.
    pub arguments: Vec<String>,
    /// Rows per page; 0 or less closes `continue_inx`.
    pub max_rows: i32,
    /// 0, or what the page before answered.
    pub continue_inx: i32,
    /// Rows to skip.
    pub row_offset: i32,
    /// Option bits as in a general query.
    pub options: i32,
}

pub(crate) fn insert_builtin(conn: &Connection) -> rusqlite::Result<()> {
    let _ = conn;
    Ok(())
}

/// Runs a registered query and gives its first or next page.
///
/// # Errors
/// `CAT_UNKNOWN_SPECIFIC_QUERY`, `CAT_NO_ROWS_FOUND`, `CAT_INVALID_ARGUMENT`.
pub fn run(
    conn: &Connection,
    who: &Identity,
    cursors: &Cursors,
    query: &SpecificQuery,
) -> Result<Page> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Registers a query (`iadmin asq`).
pub fn add(conn: &Connection, who: &Identity, sql: &str, alias: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes a query by alias or SQL (`iadmin rsq`).
pub fn remove(conn: &Connection, who: &Identity, alias: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
