//! The open queries of a connection, and how a page comes out of one.
//!
//! No statement stays open between pages: each fetch runs the SELECT, skips what was delivered, reads
//! ahead (twice as far each time, within bounds) and closes it. What is read ahead is only a cache;
//! when a connection holds too much of it, the oldest goes and is read again when asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, params_from_iter};

use super::super::error::{CatalogError, Result, code};
use super::average;
use super::compile::{Compiled, Output};
use super::{Page, PageColumn};

/// Open queries per connection (server source 4.3).
const MAX_OPEN: usize = 50;
/// Most rows read ahead for one query.
const MAX_AHEAD: usize = 65_536;
/// Most bytes read ahead for one query.
const MAX_AHEAD_BYTES: usize = 4 << 20;
/// Most bytes read ahead for all queries of a connection.
const MAX_CACHED_BYTES: usize = 16 << 20;
/// Most rows in one page, whatever the client asks for: bounds the reply.
const MAX_PAGE: usize = 100_000;
/// Width of a result column to start with, and the slack when it has to grow (recorded exchanges
/// prc_trash, icmdxml_iquest).
const MIN_WIDTH: usize = 50;
/// Statements with more values than this are not kept prepared: each would be as large as its text.
const MAX_KEPT_VALUES: usize = 64;
/// `DATA_RESC_HIER` is filled in after the query and as wide as needed (recorded exchange prc_genquery1).
const HIERARCHY: i32 = irods_protocol::columns::DATA_RESC_HIER;

/// The open queries of one connection (at most 50). Clones share them.
#[derive(Clone, Default)]
pub struct Cursors(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    slots: Vec<Option<Cursor>>,
}

type TextRow = Vec<String>;

/// A query under way.
pub(in super::super) struct Cursor {
    compiled: Compiled,
    /// Rows that come before the first one delivered.
    offset: u64,
    /// Rows to read beyond the page next time.
    ahead: usize,
    /// Read but not delivered.
    rows: VecDeque<TextRow>,
    bytes: usize,
    /// The rows read are the last ones.
    complete: bool,
    total: i32,
}

/// What a request is for.
pub(in super::super) struct Request {
    pub max_rows: i32,
    pub row_offset: i32,
    pub auto_close: bool,
    pub count_all: bool,
}

impl Cursors {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the first page of a query.
    pub(in super::super) fn open(
        &self,
        conn: &Connection,
        compiled: Compiled,
        request: &Request,
    ) -> Result<Page> {
        let mut table = self.lock();
        let open = table.slots.iter().filter(|slot| slot.is_some()).count();
        if open >= MAX_OPEN {
            return Err(CatalogError::new(
                code::CAT_STATEMENT_TABLE_FULL,
                format!("{MAX_OPEN} queries are open on this connection"),
            ));
        }
        let total = if request.count_all {
            compiled.count(conn)?
        } else {
            0
        };
        let mut cursor = Cursor {
            compiled,
            offset: u64::try_from(request.row_offset).unwrap_or(0),
            ahead: 0,
            rows: VecDeque::new(),
            bytes: 0,
            complete: false,
            total,
        };
        let Ok(max_rows) = usize::try_from(request.max_rows) else {
            return Ok(Page {
                total_row_count: total,
                ..Page::default()
            });
        };
        if max_rows == 0 {
            return Ok(Page {
                total_row_count: total,
                ..Page::default()
            });
        }
        let mut page = cursor.page(conn, max_rows)?;
        if page.row_count == 0 {
            return Err(CatalogError::no_rows("no row meets the conditions"));
        }
        if cursor.may_go_on(&page, max_rows) {
            page.continue_inx = if request.auto_close {
                -1
            } else {
                table.keep(cursor)
            };
        }
        Ok(page)
    }

    /// Gives the next page of an open query.
    pub(in super::super) fn next(
        &self,
        conn: &Connection,
        continue_inx: i32,
        request: &Request,
    ) -> Result<Page> {
        let mut table = self.lock();
        let mut cursor = table.slot(continue_inx)?.take().ok_or_else(not_open)?;
        let max_rows = usize::try_from(request.max_rows).unwrap_or(0);
        let mut page = cursor.page(conn, max_rows)?;
        if page.row_count == 0 {
            return Err(CatalogError::no_rows("no further row"));
        }
        if cursor.may_go_on(&page, max_rows) {
            if request.auto_close {
                page.continue_inx = -1;
            } else {
                *table.slot(continue_inx)? = Some(cursor);
                page.continue_inx = continue_inx;
                table.shed(continue_inx);
            }
        }
        Ok(page)
    }

    /// Closes an open query.
    pub(in super::super) fn close(&self, continue_inx: i32) -> Result<()> {
        self.lock()
            .slot(continue_inx)?
            .take()
            .map(drop)
            .ok_or_else(not_open)
    }
}

fn not_open() -> CatalogError {
    CatalogError::no_rows("the query is not open")
}

impl Table {
    fn slot(&mut self, continue_inx: i32) -> Result<&mut Option<Cursor>> {
        usize::try_from(continue_inx)
            .ok()
            .and_then(|index| self.slots.get_mut(index.checked_sub(1)?))
            .ok_or_else(not_open)
    }

    /// Puts a cursor into the first free slot and gives its number, which starts at 1.
    fn keep(&mut self, cursor: Cursor) -> i32 {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(cursor);
        }
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
        self.shed(number);
        number
    }

    /// Drops what other cursors have read ahead while the connection holds too much.
    fn shed(&mut self, but: i32) {
        let mut held: usize = self.slots.iter().flatten().map(|cursor| cursor.bytes).sum();
        for (number, slot) in (1..).zip(&mut self.slots) {
            if held <= MAX_CACHED_BYTES {
                return;
            }
            if let Some(cursor) = slot.as_mut().filter(|_| number != but) {
                held -= cursor.bytes;
                cursor.rows = VecDeque::new();
                cursor.bytes = 0;
                cursor.complete = false;
            }
        }
    }
}

impl Cursor {
    /// The next page, without its `continue_inx`.
    fn page(&mut self, conn: &Connection, max_rows: usize) -> Result<Page> {
        let wanted = max_rows.min(MAX_PAGE);
        if self.rows.len() < wanted && !self.complete {
            self.read(conn, wanted)?;
        }
        let rows: Vec<TextRow> = self.rows.drain(..wanted.min(self.rows.len())).collect();
        self.bytes -= rows.iter().map(size).sum::<usize>();
        self.offset += rows.len() as u64;
        Ok(Page {
            row_count: i32::try_from(rows.len()).unwrap_or(i32::MAX),
            continue_inx: 0,
            total_row_count: self.total,
            columns: columns(&self.compiled.columns, rows),
        })
    }

    /// A full page always promises another one, even where none is left, which the next call then
    /// finds out (recorded exchange prc_genquery1).
    fn may_go_on(&self, page: &Page, max_rows: usize) -> bool {
        usize::try_from(page.row_count).is_ok_and(|rows| rows == max_rows.min(MAX_PAGE))
    }

    /// Runs the query and reads rows behind those that are there, at least up to `wanted`.
    fn read(&mut self, conn: &Connection, wanted: usize) -> Result<()> {
        let present = self.rows.len();
        let limit = wanted.saturating_add(self.ahead).max(present + 1);
        self.compiled
            .fetch(conn, self.offset + present as u64, limit - present, |row| {
                self.bytes += size(&row);
                self.rows.push_back(row);
                self.rows.len() < wanted || self.bytes < MAX_AHEAD_BYTES
            })?;
        let stopped_early = self.rows.len() >= wanted && self.bytes >= MAX_AHEAD_BYTES;
        self.complete = self.rows.len() < limit && !stopped_early;
        self.ahead = (2 * limit).min(MAX_AHEAD);
        Ok(())
    }
}

fn size(row: &TextRow) -> usize {
    row.iter()
        .map(|text| text.len() + size_of::<String>())
        .sum()
}

/// Turns rows into columns and works out their widths: one for all, that of the longest value of the first row or, with
/// room to spare, of a later row that does not fit (recorded exchanges prc_names and prc_trash).
fn columns(kinds: &[(i32, Output)], rows: Vec<TextRow>) -> Vec<PageColumn> {
    let mut width = MIN_WIDTH;
    let mut columns: Vec<PageColumn> = kinds
        .iter()
        .map(|(number, _)| PageColumn {
            attri_inx: *number,
            reslen: 0,
            values: Vec::with_capacity(rows.len()),
        })
        .collect();
    for (at, row) in rows.into_iter().enumerate() {
        let mut longest = 0;
        for (column, text) in columns.iter_mut().zip(row) {
            if column.attri_inx != HIERARCHY {
                longest = longest.max(text.len() + 1);
            }
            column.values.push(text);
        }
        if longest > width {
            width = longest + if at == 0 { 0 } else { MIN_WIDTH };
        }
    }
    for column in &mut columns {
        let needed = if column.attri_inx == HIERARCHY {
            column.values.iter().map(String::len).max().unwrap_or(0) + 1
        } else {
            width
        };
        column.reslen = i32::try_from(needed).unwrap_or(i32::MAX);
    }
    columns
}

impl Compiled {
    /// Has the statement planned by its values where that matters: only if a pattern is known can its beginning be looked up in an index.
    /// It is then compiled anew for each.
    pub(super) fn planned<T>(
        &self,
        conn: &Connection,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !self.sql.contains("LIKE ") {
            return work();
        }
        let stable = DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG;
        conn.set_db_config(stable, false)?;
        let done = work();
        conn.set_db_config(stable, true)?;
        done
    }

    /// Rows of the whole answer.
    fn count(&self, conn: &Connection) -> Result<i32> {
        let mut rows = 0_i32;
        if self.pages_in_sql {
            let sql = format!("SELECT count(*) FROM ({})", self.sql);
            let count = self.planned(conn, || {
                let mut statement = conn.prepare_cached(&sql)?;
                let count: i64 =
                    statement.query_row(params_from_iter(&self.values), |row| row.get(0))?;
                self.keep_or_discard(statement);
                Ok(count)
            })?;
            return Ok(i32::try_from(count).unwrap_or(i32::MAX));
        }
        self.fetch(conn, 0, usize::MAX, |_| {
            rows = rows.saturating_add(1);
            true
        })?;
        Ok(rows)
    }

    /// Runs the SELECT and hands out rows after the first `skip`, at most `limit`, until `take` says no.
    pub(super) fn fetch(
        &self,
        conn: &Connection,
        skip: u64,
        limit: usize,
        take: impl FnMut(TextRow) -> bool,
    ) -> Result<()> {
        self.planned(conn, || self.fetch_planned(conn, skip, limit, take))
    }

    fn fetch_planned(
        &self,
        conn: &Connection,
        skip: u64,
        limit: usize,
        mut take: impl FnMut(TextRow) -> bool,
    ) -> Result<()> {
        let mut values = self.values.clone();
        let mut statement = if self.pages_in_sql {
            let (limit, skip) = (
                i64::try_from(limit).unwrap_or(i64::MAX),
                i64::try_from(skip).unwrap_or(i64::MAX),
            );
            values.extend([Value::Integer(limit), Value::Integer(skip)]);
            let next = values.len();
            conn.prepare_cached(&format!("{} LIMIT ?{} OFFSET ?{next}", self.sql, next - 1))?
        } else {
            conn.prepare_cached(&self.sql)?
        };
        let mut rows = statement.query(params_from_iter(&values))?;
        let mut to_skip = if self.pages_in_sql { 0 } else { skip };
        let mut taken = 0;
        while taken < limit
            && let Some(row) = rows.next()?
        {
            if to_skip > 0 {
                to_skip -= 1;
                continue;
            }
            taken += 1;
            if !take(self.text_row(row)?) {
                break;
            }
        }
        drop(rows);
        self.keep_or_discard(statement);
        Ok(())
    }

    fn keep_or_discard(&self, statement: CachedStatement<'_>) {
        if self.values.len() > MAX_KEPT_VALUES {
            statement.discard();
        }
    }

    fn text_row(&self, row: &Row<'_>) -> Result<TextRow> {
        let mut texts = Vec::with_capacity(self.columns.len());
        for (index, (_, output)) in self.columns.iter().enumerate() {
            let text = match row.get_ref(index)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
            };
            texts.push(match output {
                Output::Plain => text,
                Output::Average => average::quotient(&text),
            });
        }
        Ok(texts)
    }
}
