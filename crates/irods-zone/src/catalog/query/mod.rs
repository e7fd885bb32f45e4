//! GenQuery1: from column numbers and condition texts to pages of text.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

/// A general query as a client sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenQuery {
    /// Column numbers with their flags (aggregate, order).
    pub selects: Vec<(i32, i32)>,
    /// Column numbers with their condition texts; all must hold.
    pub conditions: Vec<(i32, String)>,
    /// Rows per page; 0 or less closes `continue_inx`.
    pub max_rows: i32,
    /// 0, or what the page before answered.
    pub continue_inx: i32,
    /// Rows to skip.
    pub row_offset: i32,
    /// Option bits (`irods_protocol::columns::option`).
    pub options: i32,
}

/// One column of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageColumn {
    /// Column number; 0 in specific queries.
    pub attri_inx: i32,
    /// Width that holds each value and its NUL.
    pub reslen: i32,
    /// A value a row.
    pub values: Vec<String>,
}

/// One page of an answer, column by column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Rows in this page.
    pub row_count: i32,
    /// What to send for the next page; 0 if there is none; -1 if there is but the query was closed.
    pub continue_inx: i32,
    /// Rows in all, if asked for; else 0.
    pub total_row_count: i32,
    /// The columns.
    pub columns: Vec<PageColumn>,
}

/// The open queries of one connection (at most 50). Clones share them.
#[derive(Clone, Default)]
pub struct Cursors {}

/// Runs a query, or gives its next page, or closes it (then the page is empty).
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` when there is no (further) row, `CAT_UNKNOWN_TABLE` for an unknown column,
/// `CAT_FAILED_TO_LINK_TABLES`, `CAT_INVALID_ARGUMENT` for a bad condition,
/// `CAT_STATEMENT_TABLE_FULL`.
pub fn run(conn: &Connection, who: &Identity, cursors: &Cursors, query: &GenQuery) -> Result<Page> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
