//! What of a directory is to be worked on: its listing against what is remembered, or against the catalog. Pure.
//!
//! Names are compared as bytes through a map: catalogs sort by locale, so no order of theirs is relied on.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::signature::{Record, Verdict};
use crate::source::{Entry, EntryKind};

use super::facts::{Replica, ReplicaStatus};
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

/// How an entry compares with what is remembered of its directory.
pub fn with_record(entry: &Entry, record: &Record, options: Options) -> Verdict {
    effective_verdict(record.verdict(&entry.name, &entry.stat), options)
}

/// What the catalog holds of one collection: loaded completely before the source is listed.
#[derive(Clone, Debug, Default)]
pub struct CatalogNames {
    names: HashMap<Vec<u8>, Name>,
    /// The hierarchies of its replicas, each once.
    hierarchies: Vec<String>,
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
    /// Index of its hierarchy.
    hierarchy: usize,
    /// Hash of the physical path: a listing has as many as the collection has replicas.
    path: u64,
}

impl CatalogNames {
    /// Adds a sub-collection by the last element of its path.
    pub fn add_collection(&mut self, name: &[u8]) {
        self.names.insert(name.to_vec(), Name::Collection);
    }

    /// Adds a replica of a data object.
    pub fn add_replica(&mut self, name: &[u8], replica: &Replica) {
        let known = self
            .hierarchies
            .iter()
            .position(|known| *known == replica.hierarchy);
        let hierarchy = known.unwrap_or_else(|| {
            self.hierarchies.push(replica.hierarchy.clone());
            self.hierarchies.len() - 1
        });
        let row = Row {
            size: replica.size,
            mtime: replica.mtime,
            good: replica.status == ReplicaStatus::Good,
            hierarchy,
            path: xxh3_64(replica.physical_path.as_bytes()),
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

    /// Whether a replica lies on the resource or below it.
    fn is_under(&self, row: &Row, resource: &str) -> bool {
        let hierarchy = self.hierarchies.get(row.hierarchy);
        hierarchy.is_some_and(|names| names.split(';').any(|name| name == resource))
    }

    /// Whether there is anything of that name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.names.contains_key(name)
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

/// What an entry is, or would be, in the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its name in the collection.
    pub name: &'a [u8],
    /// The path under which it is registered.
    pub physical_path: &'a str,
    /// What is done with it.
    pub operation: Operation,
    /// The resource that was asked for, if one was: what is registered elsewhere does not count.
    pub resource: Option<&'a str>,
}

/// How an entry compares with the catalog (`--compare_catalog`).
///
/// An entry that the catalog already holds as the operation would leave it is unchanged. Every other one is new, with
/// what is known of its name; the decision, made with the full state, tells how it differs. NO_OP leaves nothing that
/// could be compared.
pub fn with_catalog(
    entry: &Entry,
    catalog: &CatalogNames,
    wanted: Wanted<'_>,
) -> (Verdict, Presence) {
    match catalog.names.get(wanted.name) {
        None => (Verdict::New, Presence::Absent),
        Some(name) if holds(catalog, name, entry, wanted) => (Verdict::Unchanged, Presence::Exists),
        Some(_) => (Verdict::New, Presence::Exists),
    }
}

fn holds(catalog: &CatalogNames, name: &Name, entry: &Entry, wanted: Wanted<'_>) -> bool {
    let (stat, operation) = (&entry.stat, wanted.operation);
    let on_resource = |row: &Row| {
        let resource = wanted.resource;
        resource.is_none_or(|resource| catalog.is_under(row, resource))
    };
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
                row.size == stat.size
                    && row.mtime == stat.mtime.seconds
                    && on_resource(row)
                    && row.path == xxh3_64(wanted.physical_path.as_bytes())
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
                version: 0,
                owner: None,
            },
        }
    }

    /// What [`with_catalog`] says of an entry that is registered as `/src/f`.
    fn compared(
        entry: &Entry,
        name: &str,
        catalog: &CatalogNames,
        operation: Operation,
    ) -> (Verdict, Presence) {
        with_catalog(entry, catalog, wanted(name, operation, None))
    }

    fn wanted<'a>(name: &'a str, operation: Operation, resource: Option<&'a str>) -> Wanted<'a> {
        Wanted {
            name: name.as_bytes(),
            physical_path: "/src/f",
            operation,
            resource,
        }
    }

    fn replica(size: u64, mtime: i64, status: ReplicaStatus) -> Replica {
        Replica {
            number: 0,
            status,
            size,
            mtime,
            checksum: None,
            hierarchy: "root;leaf".into(),
            physical_path: "/src/f".into(),
        }
    }

    fn file(name: &str, size: u64) -> Entry {
        entry(name, EntryKind::Regular, size)
    }

    #[test]
    fn what_is_remembered_tells_four_verdicts_and_can_be_ignored() {
        let mut segment = Segment::new();
        for known in [file("same", 1), file("grown", 1)] {
            segment.push(&known.name, &known.stat, LATER);
        }
        let bytes = segment.into_bytes();
        let record = Record::read([&bytes[..]]);
        let verdicts = |options| {
            [file("same", 1), file("grown", 2), file("new", 1)]
                .map(|entry| with_record(&entry, &record, options))
        };
        assert_eq!(
            verdicts(Options::default()),
            [Verdict::Unchanged, Verdict::DataChanged, Verdict::New]
        );
        let ignoring = Options {
            ignore_cache: true,
            ..Options::default()
        };
        assert_eq!(
            verdicts(ignoring),
            [Verdict::DataChanged, Verdict::DataChanged, Verdict::New]
        );
    }

    #[test]
    fn the_catalog_answers_what_each_operation_would_leave() {
        let long_after = TIME + CLOCK_MARGIN_SECONDS + 1;
        let mut catalog = CatalogNames::default();
        catalog.add_replica(b"registered", &replica(1, TIME, ReplicaStatus::Good));
        catalog.add_replica(b"uploaded", &replica(1, long_after, ReplicaStatus::Good));
        catalog.add_replica(b"shorter", &replica(0, long_after, ReplicaStatus::Good));
        catalog.add_replica(b"stale", &replica(1, TIME, ReplicaStatus::Stale));
        catalog.add_replica(b"two", &replica(0, 5, ReplicaStatus::Stale));
        catalog.add_replica(b"two", &replica(1, TIME, ReplicaStatus::Good));
        catalog.add_collection(b"coll");
        let compare = |name: &str, operation| compared(&file(name, 1), name, &catalog, operation);
        let unchanged = |operation| {
            assert_eq!(compare("none", operation), (Verdict::New, Presence::Absent));
            assert_eq!(compare("coll", operation), (Verdict::New, Presence::Exists));
            ["registered", "shorter", "stale", "two", "uploaded"]
                .into_iter()
                .filter(|name| match compare(name, operation) {
                    (Verdict::Unchanged, Presence::Exists) => true,
                    other => {
                        assert_eq!(other, (Verdict::New, Presence::Exists));
                        false
                    }
                })
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
    fn what_is_registered_elsewhere_does_not_count() {
        let elsewhere = Replica {
            physical_path: "/vault/f".into(),
            ..replica(1, TIME, ReplicaStatus::Good)
        };
        for (resource, replica, verdict) in [
            (
                None,
                replica(1, TIME, ReplicaStatus::Good),
                Verdict::Unchanged,
            ),
            (
                Some("leaf"),
                replica(1, TIME, ReplicaStatus::Good),
                Verdict::Unchanged,
            ),
            (
                Some("other"),
                replica(1, TIME, ReplicaStatus::Good),
                Verdict::New,
            ),
            (None, elsewhere, Verdict::New),
        ] {
            let mut catalog = CatalogNames::default();
            catalog.add_replica(b"f", &replica);
            let wanted = wanted("f", Operation::RegisterSync, resource);
            let found = with_catalog(&file("f", 1), &catalog, wanted);
            assert_eq!(
                found,
                (verdict, Presence::Exists),
                "{resource:?} {replica:?}"
            );
        }
    }

    #[test]
    fn directories_are_compared_with_collections() {
        let mut catalog = CatalogNames::default();
        catalog.add_collection(b"coll");
        catalog.add_replica(b"object", &replica(0, 0, ReplicaStatus::Good));
        let found = ["coll", "none", "object"].map(|name| {
            let directory = entry(name, EntryKind::Directory, 0);
            compared(&directory, name, &catalog, Operation::PutSync)
        });
        assert_eq!(
            found,
            [
                (Verdict::Unchanged, Presence::Exists),
                (Verdict::New, Presence::Absent),
                (Verdict::New, Presence::Exists),
            ]
        );
    }

    #[test]
    fn logical_names_are_what_is_compared() {
        let mut catalog = CatalogNames::default();
        catalog.add_replica(b"mapped", &replica(1, TIME, ReplicaStatus::Good));
        let found = compared(&file("x", 1), "mapped", &catalog, Operation::RegisterSync);
        assert_eq!(found, (Verdict::Unchanged, Presence::Exists));
        assert_eq!(catalog.data_objects().collect::<Vec<_>>(), [b"mapped"]);
        assert_eq!(catalog.collections().count(), 0);
    }
}
