//! Replicas: their rows, their states, and what opening for writing does to them.

use rusqlite::Connection;

use super::error::{CatalogError, Result, code};

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

/// Which replicas of an object a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// That number.
    Number(i64),
    /// The one on that leaf resource.
    Resource(i64),
}

/// A column that `MOD_DATA_OBJ_META` and its kin change; values are text as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `chksum`.
    Checksum,
    /// `dataCreate`.
    CreateTime,
    /// `dataExpiry`.
    Expiry,
    /// `replStatus`.
    Status,
    /// `dataMode`.
    Mode,
    /// `dataOwner`.
    OwnerName,
    /// `dataOwnerZone`.
    OwnerZone,
    /// `filePath`.
    PhysicalPath,
    /// `replNum`.
    Number,
    /// `dataSize`.
    Size,
    /// `statusString`.
    StatusText,
    /// `dataType`.
    DataType,
    /// `version`.
    Version,
    /// `dataModify`.
    ModifyTime,
    /// `dataComments`.
    Comments,
    /// `rescId`.
    ResourceId,
    /// `dataAccessTime`.
    AccessTime,
}

/// The replicas of an object, ascending by number; empty if there is no such object.
pub fn list(conn: &Connection, data_id: i64) -> Result<Vec<Replica>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Adds a replica to an existing object and returns its number (the lowest above all others).
/// Size, checksum and so on are as given. Permissions are the caller's.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` (no such object), `SYS_COPY_ALREADY_IN_RESC`.
pub fn add(conn: &Connection, data_id: i64, replica: &NewReplica) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Changes columns of replicas. Times are padded to 11 digits. Permissions are the caller's.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` if no replica matches, `CAT_INVALID_ARGUMENT` for a value that is no number
/// where one is needed, `CAT_INVALID_DATA_TYPE`.
pub fn modify(
    conn: &Connection,
    data_id: i64,
    which: Which,
    changes: &[(Field, String)],
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Makes one replica good and all other replicas at rest stale (`allReplStatus`).
pub fn make_only_good(conn: &Connection, data_id: i64, number: i64) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Marks an existing replica intermediate and its siblings write-locked, remembering their states.
///
/// # Errors
/// `SYS_REPLICA_DOES_NOT_EXIST`, `INTERMEDIATE_REPLICA_ACCESS` (the replica is being written),
/// `LOCKED_DATA_OBJECT_ACCESS` (a sibling is).
pub fn open_for_write(conn: &Connection, data_id: i64, number: i64) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Adds an intermediate replica to an existing object and write-locks the others.
pub fn add_for_write(conn: &Connection, data_id: i64, replica: &NewReplica) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// How a replica that was open for writing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Bytes were written, or the object is new: this replica good, siblings stale.
    Written {
        /// Size of the file.
        size: i64,
        /// Checksum, or empty.
        checksum: String,
        /// Modification time; `None` is now.
        modify_time: Option<String>,
    },
    /// Nothing was written to an existing replica: all states as before.
    Unchanged,
    /// The write failed: this replica stale, siblings as before.
    Failed {
        /// Size of what is there.
        size: i64,
        /// Checksum of what arrived, or empty.
        checksum: String,
    },
}

/// Ends writing: sets the states of all replicas by the outcome.
pub fn close_after_write(
    conn: &Connection,
    data_id: i64,
    number: i64,
    outcome: &Outcome,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Sets the access time of a replica to now.
pub fn touch_access(conn: &Connection, data_id: i64, number: i64) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Replaces a prefix of the physical paths of a resource's replicas, after the caller has renamed
/// the directory in the vault. Prefixes are whole directories, without trailing slash. Returns how many changed.
pub fn move_physical_paths(conn: &Connection, resc_id: i64, from: &str, to: &str) -> Result<usize> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Replicas of the subtree of a collection, ordered by (data id, number), after that pair, at most
/// `limit`: for callers that visit a whole subtree in steps.
pub fn in_subtree(
    conn: &Connection,
    path: &str,
    after: (i64, i64),
    limit: usize,
) -> Result<Vec<Replica>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The replica that uses a file of a resource, if any.
pub fn by_physical_path(conn: &Connection, resc_id: i64, path: &str) -> Result<Option<Replica>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
