//! The one sequence from which every id of the catalog comes.

use rusqlite::Connection;

use super::error::Result;

/// The next free id. Ids start at 10000 and are never used twice, also across kinds.
pub fn next(conn: &Connection) -> Result<i64> {
    Ok(conn
        .prepare_cached("UPDATE catalog_sequence SET next_id = next_id + 1 RETURNING next_id - 1")?
        .query_row([], |row| row.get(0))?)
}
