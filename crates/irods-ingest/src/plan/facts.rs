//! The facts that a decision is made from: the entry, what is remembered of it, what the catalog holds, what was asked.
//!
//! Plain data, gathered by others. Catalog times are whole seconds since 1970, as the catalog stores them.

use crate::signature::Verdict;
use crate::source::Stat;

use super::Operation;

/// Status of a replica, as the catalog numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaStatus {
    /// 0: holds something older, or was left behind by a write that failed.
    Stale,
    /// 1: holds the object's content.
    Good,
    /// 2: is being written, or its writer died.
    Intermediate,
    /// 3 and 4: locked, because another replica of the object is being read or written.
    Locked,
}

impl ReplicaStatus {
    /// From the catalog's number; one that is not known is taken for locked, so that nothing touches it.
    pub fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Stale,
            1 => Self::Good,
            2 => Self::Intermediate,
            _ => Self::Locked,
        }
    }
}

/// One replica of a data object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Replica number.
    pub number: u32,
    /// Status.
    pub status: ReplicaStatus,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Checksum as stored, for example `sha2:...`; `None` where none is.
    pub checksum: Option<String>,
    /// Resource hierarchy, root first, `;` between: `root;middle;leaf`.
    pub hierarchy: String,
    /// Physical path in the resource.
    pub physical_path: String,
}

impl Replica {
    /// The replica lies on `resource` or below it.
    pub fn is_under(&self, resource: &str) -> bool {
        self.hierarchy.split(';').any(|name| name == resource)
    }
}

/// What the catalog holds under the logical path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogState {
    /// Nobody asked yet.
    Unknown,
    /// Nothing.
    Absent,
    /// A collection.
    Collection,
    /// A data object, with all its replicas.
    DataObject(Vec<Replica>),
}

/// The outcome of comparing the file's checksum with the object's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksums {
    /// Nobody compared them yet.
    #[default]
    Unknown,
    /// They are equal.
    Agree,
    /// They differ.
    Differ,
}

/// What the job and the attempt add to a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--ignore_cache`: whatever is remembered counts as changed.
    pub ignore_cache: bool,
    /// `--initial_ingest`: as long as the zone does not object, take the name for free.
    pub initial_ingest: bool,
    /// Some hook around this event exists. Then it must be known *before* the action whether it creates or modifies.
    pub hooks: bool,
    /// The entry is being done again after an attempt whose end is unknown.
    pub redelivered: bool,
    /// The name was in the catalog before the first attempt: no attempt can have made it.
    pub existed: bool,
}

impl Options {
    /// What exists and is as it should be may be the work of the attempt that this one repeats.
    pub(super) fn may_have_made_it(self) -> bool {
        self.redelivered && !self.existed
    }
}

/// All that [`decide_file`](super::decide_file) looks at.
#[derive(Clone, Copy, Debug)]
pub struct FileFacts<'a> {
    /// The operation for this file.
    pub operation: Operation,
    /// What the source says of it, with [`Operation::links`].
    pub stat: &'a Stat,
    /// How it compares with what is remembered.
    pub verdict: Verdict,
    /// What the catalog holds.
    pub catalog: &'a CatalogState,
    /// Whether the checksums agree.
    pub checksums: Checksums,
    /// The physical path under which it is, or is to be, registered.
    pub physical_path: &'a str,
    /// The physical path of a replica leads to this very file, by another name, or to another file of the source.
    pub own_source: bool,
    /// The resource that was asked for, if one was.
    pub resource: Option<&'a str>,
    /// Options.
    pub options: Options,
}

/// All that [`decide_directory`](super::decide_directory) looks at.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryFacts<'a> {
    /// The operation for this directory.
    pub operation: Operation,
    /// How it compares with what is remembered.
    pub verdict: Verdict,
    /// What the catalog holds.
    pub catalog: &'a CatalogState,
    /// Options.
    pub options: Options,
}
