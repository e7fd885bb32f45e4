//! What of a directory is to be worked on: its listing against what is remembered, or against the catalog. Pure.
//!
//! Names are compared as bytes through a map: catalogs sort by locale, so no order of theirs is relied on. All
//! directories are returned, changed or not, since what is in them is another matter; of the files, only those to be
//! worked on.

use std::collections::HashMap;

use crate::signature::{Record, Verdict};
use crate::source::{Entry, EntryKind};

use super::facts::ReplicaStatus;
use super::{Operation, Options, effective_verdict, precedes};

/// What the comparison already knows of the catalog. Not enough to decide, but enough to know what to ask first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Nothing: [`CatalogState::Unknown`](super::CatalogState::Unknown).
    Unknown,
    /// The name was free: [`CatalogState::Absent`](super::CatalogState::Absent).
    Absent,
    /// The name is taken: look, then decide.
    Exists,
}

/// An entry to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The entry.
    pub entry: Entry,
    /// How it compares.
    pub verdict: Verdict,
    /// What is known of its name in the zone.
    pub presence: Presence,
}

/// The outcome for one directory. Order is that of the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Files (anything but directories) that are new or changed.
    pub files: Vec<Item>,
    /// All sub-directories.
    pub directories: Vec<Item>,
    /// Number of files left out because nothing changed.
    pub unchanged_files: u64,
}

impl Work {
    fn add(&mut self, entry: Entry, verdict: Verdict, presence: Presence) {
        let item = Item {
            entry,
            verdict,
            presence,
        };
        match (item.entry.stat.kind, verdict) {
            (EntryKind::Directory, _) => self.directories.push(item),
            (_, Verdict::Unchanged) => self.unchanged_files += 1,
            _ => self.files.push(item),
        }
    }
}

/// Against what is remembered of the directory.
pub fn with_record(
    entries: impl IntoIterator<Item = Entry>,
    record: &Record,
    options: Options,
) -> Work {
    let mut work = Work::default();
    for entry in entries {
        let verdict = effective_verdict(record.verdict(&entry.name, &entry.stat), options);
        work.add(entry, verdict, Presence::Unknown);
    }
    work
}

/// What the catalog holds of one collection: loaded completely before the source is listed.
#[derive(Clone, Debug, Default)]
pub struct CatalogNames {
    names: HashMap<Vec<u8>, Name>,
}

#[derive(Clone, Debug)]
enum Name {
    Collection,
    DataObject(Vec<Row>),
}

#[derive(Clone, Copy, Debug)]
struct Row {
    size: u64,
    mtime: i64,
    good: bool,
}

impl CatalogNames {
    /// Adds a sub-collection by the last element of its path.
    pub fn add_collection(&mut self, name: &[u8]) {
        self.names.insert(name.to_vec(), Name::Collection);
    }

    /// Adds a replica of a data object: its size in bytes, its modification time in seconds since 1970.
    pub fn add_replica(&mut self, name: &[u8], size: u64, mtime: i64, status: ReplicaStatus) {
        let row = Row {
            size,
            mtime,
            good: status == ReplicaStatus::Good,
        };
        match self
            .names
            .entry(name.to_vec())
            .or_insert_with(|| Name::DataObject(Vec::new()))
        {
            Name::DataObject(rows) => rows.push(row),
            Name::Collection => {}
        }
    }

    /// Names of the data objects, in no order.
    pub fn data_objects(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().filter_map(|(name, what)| match what {
            Name::DataObject(_) => Some(&name[..]),
            Name::Collection => None,
        })
    }

    /// Names of the sub-collections, in no order.
    pub fn collections(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().filter_map(|(name, what)| match what {
            Name::Collection => Some(&name[..]),
            Name::DataObject(_) => None,
        })
    }
}

/// Against the catalog (`--compare_catalog`). `logical_name` gives the name that an entry has in the zone.
///
/// An entry that the catalog already holds as the operation would leave it is unchanged. Every other one is new, with
/// what is known of its name; the decision, made with the full state, tells how it differs. NO_OP leaves nothing that
/// could be compared.
pub fn with_catalog<N: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = Entry>,
    catalog: &CatalogNames,
    operation: Operation,
    logical_name: impl Fn(&Entry) -> N,
) -> Work {
    let mut work = Work::default();
    for entry in entries {
        let (verdict, presence) = match catalog.names.get(logical_name(&entry).as_ref()) {
            None => (Verdict::New, Presence::Absent),
            Some(name) if holds(name, &entry, operation) => (Verdict::Unchanged, Presence::Exists),
            Some(_) => (Verdict::New, Presence::Exists),
        };
        work.add(entry, verdict, presence);
    }
    work
}

fn holds(name: &Name, entry: &Entry, operation: Operation) -> bool {
    let stat = &entry.stat;
    let rows = match (name, stat.kind) {
        (Name::Collection, kind) => {
            return kind == EntryKind::Directory && operation != Operation::NoOp;
        }
        (Name::DataObject(_), EntryKind::Directory) => return false,
        (Name::DataObject(rows), _) => rows,
    };
    rows.iter()
        .filter(|row| row.good)
        .any(|row| match operation {
            Operation::RegisterSync | Operation::RegisterAsReplicaSync => {
                row.size == stat.size && row.mtime == stat.mtime.seconds
            }
            Operation::Put => true,
            Operation::PutSync => row.size == stat.size && precedes(stat, row.mtime),
            Operation::PutAppend => row.size == stat.size,
            Operation::NoOp => false,
        })
}
