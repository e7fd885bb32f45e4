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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::plan::CLOCK_MARGIN_SECONDS;
    use crate::signature::Segment;
    use crate::source::{Stat, Timestamp};

    const TIME: i64 = 1_000_000;
    const LATER: Timestamp = Timestamp {
        seconds: TIME * 2,
        nanos: 0,
    };

    fn entry(name: &str, kind: EntryKind, size: u64) -> Entry {
        let time = Timestamp {
            seconds: TIME,
            nanos: 1,
        };
        Entry {
            name: name.into(),
            stat: Stat {
                kind,
                size,
                mtime: time,
                ctime: time,
                mode: 0,
                dev: 0,
            },
        }
    }

    fn file(name: &str, size: u64) -> Entry {
        entry(name, EntryKind::Regular, size)
    }

    fn names(items: &[Item]) -> Vec<(String, Verdict, Presence)> {
        let row = |item: &Item| (item.entry.name.to_string(), item.verdict, item.presence);
        items.iter().map(row).collect()
    }

    #[test]
    fn unchanged_files_are_only_counted_and_directories_always_returned() {
        let mut segment = Segment::new();
        for known in [
            file("same", 1),
            file("grown", 1),
            entry("dir", EntryKind::Directory, 9),
        ] {
            segment.push(&known.name, &known.stat, LATER);
        }
        let bytes = segment.into_bytes();
        let record = Record::read([&bytes[..]]);
        let entries = || {
            [
                entry("dir", EntryKind::Directory, 9),
                file("grown", 2),
                entry("newdir", EntryKind::Directory, 9),
                file("new", 1),
                file("same", 1),
            ]
        };
        let work = with_record(entries(), &record, Options::default());
        assert_eq!(work.unchanged_files, 1);
        assert_eq!(
            names(&work.files),
            [
                ("grown".into(), Verdict::DataChanged, Presence::Unknown),
                ("new".into(), Verdict::New, Presence::Unknown),
            ]
        );
        assert_eq!(
            names(&work.directories),
            [
                ("dir".into(), Verdict::Unchanged, Presence::Unknown),
                ("newdir".into(), Verdict::New, Presence::Unknown),
            ]
        );
        let ignoring = Options {
            ignore_cache: true,
            ..Options::default()
        };
        let work = with_record(entries(), &record, ignoring);
        assert_eq!((work.unchanged_files, work.files.len()), (0, 3));
        assert_eq!(work.directories[0].verdict, Verdict::DataChanged);
        assert_eq!(work.files[1].verdict, Verdict::New);
    }

    #[test]
    fn the_catalog_answers_what_each_operation_would_leave() {
        let long_after = TIME + CLOCK_MARGIN_SECONDS + 1;
        let mut catalog = CatalogNames::default();
        catalog.add_replica(b"registered", 1, TIME, ReplicaStatus::Good);
        catalog.add_replica(b"uploaded", 1, long_after, ReplicaStatus::Good);
        catalog.add_replica(b"shorter", 0, long_after, ReplicaStatus::Good);
        catalog.add_replica(b"stale", 1, TIME, ReplicaStatus::Stale);
        catalog.add_replica(b"two", 0, 5, ReplicaStatus::Stale);
        catalog.add_replica(b"two", 1, TIME, ReplicaStatus::Good);
        catalog.add_collection(b"coll");
        let unchanged = |operation| {
            let work = with_catalog(
                [
                    "coll",
                    "none",
                    "registered",
                    "shorter",
                    "stale",
                    "two",
                    "uploaded",
                ]
                .map(|n| file(n, 1)),
                &catalog,
                operation,
                |entry| entry.name.clone(),
            );
            let presence = |name: &str| {
                let item = work.files.iter().find(|item| item.entry.name == name);
                item.map(|item| item.presence)
            };
            assert_eq!(presence("none"), Some(Presence::Absent));
            assert_eq!(presence("coll"), Some(Presence::Exists));
            assert!(work.files.iter().all(|item| item.verdict == Verdict::New));
            assert_eq!(work.unchanged_files as usize + work.files.len(), 7);
            ["registered", "shorter", "stale", "two", "uploaded"]
                .into_iter()
                .filter(|name| presence(name).is_none())
                .collect::<Vec<_>>()
        };
        assert_eq!(unchanged(Operation::RegisterSync), ["registered", "two"]);
        assert_eq!(
            unchanged(Operation::RegisterAsReplicaSync),
            ["registered", "two"]
        );
        assert_eq!(
            unchanged(Operation::Put),
            ["registered", "shorter", "two", "uploaded"]
        );
        assert_eq!(unchanged(Operation::PutSync), ["uploaded"]);
        assert_eq!(
            unchanged(Operation::PutAppend),
            ["registered", "two", "uploaded"]
        );
        assert!(unchanged(Operation::NoOp).is_empty());
    }

    #[test]
    fn directories_are_compared_with_collections() {
        let mut catalog = CatalogNames::default();
        catalog.add_collection(b"coll");
        catalog.add_replica(b"object", 0, 0, ReplicaStatus::Good);
        let entries = ["coll", "none", "object"].map(|n| entry(n, EntryKind::Directory, 0));
        let work = with_catalog(entries, &catalog, Operation::PutSync, |e| e.name.clone());
        assert_eq!(
            names(&work.directories),
            [
                ("coll".into(), Verdict::Unchanged, Presence::Exists),
                ("none".into(), Verdict::New, Presence::Absent),
                ("object".into(), Verdict::New, Presence::Exists),
            ]
        );
    }

    #[test]
    fn logical_names_are_what_is_compared() {
        let mut catalog = CatalogNames::default();
        catalog.add_replica(b"mapped", 1, TIME, ReplicaStatus::Good);
        let work = with_catalog(
            [file("x", 1)],
            &catalog,
            Operation::RegisterSync,
            |_| "mapped",
        );
        assert_eq!(work.unchanged_files, 1);
        assert_eq!(catalog.data_objects().collect::<Vec<_>>(), [b"mapped"]);
        assert_eq!(catalog.collections().count(), 0);
    }
}
