//! Replicas: their rows and states. `change` alters rows, `writing` is what opening for writing
//! does to an object's states. Permissions are the caller's throughout.

mod change;
mod writing;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{CatalogError, Result, code};
use super::{time, tokens};

pub use change::{Field, Which, make_only_good, modify, move_physical_paths, touch_access};
pub(crate) use writing::SET_REMEMBERED;
pub use writing::{Outcome, add_for_write, close_after_write, open_for_write};

/// State of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not the object's present content.
    Stale,
    /// The object's content.
    Good,
    /// Being written.
    Intermediate,
    /// Reserved.
    ReadLocked,
    /// A sibling is being written.
    WriteLocked,
}

impl Status {
    /// The number in the catalog.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Stale => 0,
            Self::Good => 1,
            Self::Intermediate => 2,
            Self::ReadLocked => 3,
            Self::WriteLocked => 4,
        }
    }

    /// The state of that number; unknown numbers count as stale.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Good,
            2 => Self::Intermediate,
            3 => Self::ReadLocked,
            4 => Self::WriteLocked,
            _ => Self::Stale,
        }
    }

    /// True for good and stale: nothing is being written.
    #[must_use]
    pub const fn at_rest(self) -> bool {
        matches!(self, Self::Stale | Self::Good)
    }
}

/// A replica's row with the names of its resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Id of the data object.
    pub data_id: i64,
    /// Replica number.
    pub number: i64,
    /// Id of the collection.
    pub coll_id: i64,
    /// Name of the data object, without collection.
    pub name: String,
    /// Version text, normally empty.
    pub version: String,
    /// Data type, e.g. `generic`.
    pub data_type: String,
    /// Size in bytes.
    pub size: i64,
    /// Id of the leaf resource.
    pub resc_id: i64,
    /// Name of the leaf resource.
    pub resc_name: String,
    /// Hierarchy, root first, joined by `;`.
    pub resc_hier: String,
    /// Path of the file.
    pub physical_path: String,
    /// Owner's name.
    pub owner_name: String,
    /// Owner's zone.
    pub owner_zone: String,
    /// State.
    pub status: Status,
    /// Checksum as on the wire, empty if none is known.
    pub checksum: String,
    /// Expiry, 11 digits.
    pub expiry: String,
    /// Mode bits, decimal text.
    pub mode: String,
    /// Comment.
    pub comments: String,
    /// Creation time, 11 digits.
    pub create_time: String,
    /// Modification time, 11 digits.
    pub modify_time: String,
    /// Access time, 11 digits.
    pub access_time: String,
}

/// What a new replica starts with. Times of `None` are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReplica {
    /// Leaf resource.
    pub resc_id: i64,
    /// Path of the file.
    pub physical_path: String,
    /// Size in bytes.
    pub size: i64,
    /// State.
    pub status: Status,
    /// Data type; empty means `generic`.
    pub data_type: String,
    /// Checksum, or empty.
    pub checksum: String,
    /// Mode, decimal text; empty means `0`.
    pub mode: String,
    /// Comment.
    pub comments: String,
    /// Creation time, stored as given.
    pub create_time: Option<String>,
    /// Modification time, stored as given.
    pub modify_time: Option<String>,
}

impl NewReplica {
    /// A replica of that resource, path, size and state, with defaults for the rest.
    #[must_use]
    pub fn new(resc_id: i64, physical_path: impl Into<String>, size: i64, status: Status) -> Self {
        Self {
            resc_id,
            physical_path: physical_path.into(),
            size,
            status,
            data_type: String::new(),
            checksum: String::new(),
            mode: String::new(),
            comments: String::new(),
            create_time: None,
            modify_time: None,
        }
    }
}

/// The columns of a [`Replica`] and where they come from.
macro_rules! select_replicas {
    ($tail:literal) => {
        concat!(
            "SELECT d.data_id, d.data_repl_num, d.coll_id, d.data_name, d.data_version, d.data_type_name,
             d.data_size, d.resc_id, r.resc_name, r.resc_hier, d.data_path, d.data_owner_name,
             d.data_owner_zone, d.data_is_dirty, d.data_checksum, d.data_expiry_ts, d.data_mode,
             d.r_comment, d.create_ts, d.modify_ts, d.access_ts
             FROM r_data_main d JOIN r_resc_main r ON r.resc_id = d.resc_id ",
            $tail
        )
    };
}
pub(crate) use select_replicas;

/// Reads a row of [`select_replicas`].
pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Replica> {
    Ok(Replica {
        data_id: row.get(0)?,
        number: row.get(1)?,
        coll_id: row.get(2)?,
        name: row.get(3)?,
        version: row.get(4)?,
        data_type: row.get(5)?,
        size: row.get(6)?,
        resc_id: row.get(7)?,
        resc_name: row.get(8)?,
        resc_hier: row.get(9)?,
        physical_path: row.get(10)?,
        owner_name: row.get(11)?,
        owner_zone: row.get(12)?,
        status: Status::from_number(row.get(13)?),
        checksum: row.get(14)?,
        expiry: row.get(15)?,
        mode: row.get(16)?,
        comments: row.get(17)?,
        create_time: row.get(18)?,
        modify_time: row.get(19)?,
        access_time: row.get(20)?,
    })
}

/// The replicas of an object, ascending by number; empty if there is no such object.
pub fn list(conn: &Connection, data_id: i64) -> Result<Vec<Replica>> {
    let mut statement = conn.prepare_cached(select_replicas!(
        "WHERE d.data_id = ?1 ORDER BY d.data_repl_num"
    ))?;
    let rows = statement.query_map([data_id], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a replica to an existing object and returns its number (the lowest above all others).
/// Size, checksum and so on are as given. Permissions are the caller's.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` (no such object), `SYS_COPY_ALREADY_IN_RESC`.
pub fn add(conn: &Connection, data_id: i64, replica: &NewReplica) -> Result<i64> {
    let existing = list(conn, data_id)?;
    let first = existing
        .first()
        .ok_or_else(|| CatalogError::no_rows("data object"))?;
    if existing.iter().any(|r| r.resc_id == replica.resc_id) {
        return Err(CatalogError::new(
            code::SYS_COPY_ALREADY_IN_RESC,
            "the object has a replica on that resource",
        ));
    }
    let number = existing.iter().map(|r| r.number).max().unwrap_or(-1) + 1;
    let owner = (first.owner_name.as_str(), first.owner_zone.as_str());
    insert(
        conn,
        data_id,
        number,
        (first.coll_id, &first.name),
        owner,
        replica,
    )?;
    Ok(number)
}

/// Writes the row of a replica; `place` is collection id and name.
pub(crate) fn insert(
    conn: &Connection,
    data_id: i64,
    number: i64,
    place: (i64, &str),
    owner: (&str, &str),
    replica: &NewReplica,
) -> Result<()> {
    let data_type = if replica.data_type.is_empty() {
        "generic"
    } else {
        &replica.data_type
    };
    if data_type != "generic" {
        tokens::require_data_type(conn, data_type)?;
    }
    let mode = if replica.mode.is_empty() {
        "0"
    } else {
        &replica.mode
    };
    let now = time::now();
    conn.prepare_cached(
        "INSERT INTO r_data_main (data_id, data_repl_num, coll_id, data_name, data_type_name, data_size,
         data_path, data_owner_name, data_owner_zone, data_is_dirty, data_checksum, data_mode, r_comment,
         create_ts, modify_ts, access_ts, resc_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(params![
        data_id,
        number,
        place.0,
        place.1,
        data_type,
        replica.size,
        replica.physical_path,
        owner.0,
        owner.1,
        replica.status.number(),
        replica.checksum,
        mode,
        replica.comments,
        replica.create_time.as_ref().unwrap_or(&now),
        replica.modify_time.as_ref().unwrap_or(&now),
        now,
        replica.resc_id,
    ])?;
    Ok(())
}

/// Replicas of the subtree of a collection, ordered by (data id, number), after that pair, at most
/// `limit`: for callers that visit a whole subtree in steps.
pub fn in_subtree(
    conn: &Connection,
    path: &str,
    after: (i64, i64),
    limit: usize,
) -> Result<Vec<Replica>> {
    let (low, high) = super::paths::below_bounds(path);
    let mut statement = conn.prepare_cached(select_replicas!(
        "WHERE d.coll_id IN (SELECT coll_id FROM r_coll_main
            WHERE coll_name = ?3 OR (coll_name >= ?1 AND coll_name < ?2))
         AND (d.data_id, d.data_repl_num) > (?4, ?5)
         ORDER BY d.data_id, d.data_repl_num LIMIT ?6"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![low, high, path, after.0, after.1, limit], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The replica that uses a file of a resource, if any. The plus keeps SQLite from going through all files of the resource:
/// the path finds the few.
pub fn by_physical_path(conn: &Connection, resc_id: i64, path: &str) -> Result<Option<Replica>> {
    Ok(conn
        .prepare_cached(select_replicas!(
            "WHERE d.data_path = ?1 AND +d.resc_id = ?2 LIMIT 1"
        ))?
        .query_row(params![path, resc_id], from_row)
        .optional()?)
}
