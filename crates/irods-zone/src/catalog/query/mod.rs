//! GenQuery1: from column numbers and condition texts to pages of text.
//!
//! The way of a query: `condition` reads its texts, `compile` makes one SELECT from the table in
//! `attributes`, `cursors` runs it and cuts pages.

mod attributes;
mod average;
mod compile;
mod condition;
mod cursors;
mod filter;
pub mod genquery2;
mod joins;
#[cfg(test)]
mod tests;

use irods_protocol::columns::option;
use rusqlite::Connection;

use super::Identity;
use super::error::Result;

pub(super) use compile::{Compiled, Output};
pub use cursors::Cursors;
pub(super) use cursors::Request;

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
    /// Rows ordered without regard to case, as a database with a locale has them (the harsh mode).
    pub locale_order: bool,
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

/// Runs a query, or gives its next page, or closes it (then the page is empty).
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` when there is no (further) row, `CAT_UNKNOWN_TABLE` for an unknown column,
/// `CAT_FAILED_TO_LINK_TABLES`, `CAT_INVALID_ARGUMENT` for a bad condition,
/// `CAT_STATEMENT_TABLE_FULL`.
pub fn run(conn: &Connection, who: &Identity, cursors: &Cursors, query: &GenQuery) -> Result<Page> {
    let request = Request {
        max_rows: query.max_rows,
        row_offset: query.row_offset,
        auto_close: query.options & option::AUTO_CLOSE != 0,
        count_all: query.options & option::RETURN_TOTAL_ROW_COUNT != 0,
    };
    if query.continue_inx == 0 {
        let mut compiled = compile::compile(who, query)?;
        if query.locale_order && !compiled.sql.contains(" ORDER BY ") {
            let columns = 1..=compiled.columns.len();
            let order: Vec<String> = columns.map(|n| format!("{n} COLLATE NOCASE")).collect();
            compiled.sql = format!(
                "SELECT * FROM ({}) ORDER BY {}",
                compiled.sql,
                order.join(", ")
            );
        }
        cursors.open(conn, compiled, &request)
    } else if query.max_rows > 0 {
        cursors.next(conn, query.continue_inx, &request)
    } else {
        cursors.close(query.continue_inx)?;
        Ok(Page::default())
    }
}
