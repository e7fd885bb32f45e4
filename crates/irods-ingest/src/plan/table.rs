//! The decision table and the compatibility matrix as Markdown, made by calling the decision itself.

use crate::signature::Verdict;
use crate::source::{EntryKind, Stat, Timestamp};

use super::{
    CatalogState, Checksums, Decision, DeleteMode, DirectoryFacts, FileFacts, Operation, Options,
    Replica, ReplicaStatus, decide_directory, decide_file,
};

/// The physical path and the resource of the example.
const PATH: &str = "/src/file";
/// The file that an upload reads.
const SENT: &str = "/source/sent";
const RESOURCE: &str = "resc";

/// A file of ten bytes that last changed a minute after the epoch's first day.
const FILE: Stat = Stat {
    kind: EntryKind::Regular,
    size: 10,
    mtime: Timestamp {
        seconds: 86_460,
        nanos: 0,
    },
    ctime: Timestamp {
        seconds: 86_460,
        nanos: 0,
    },
    mode: 0o100_644,
    dev: 1,
    version: 0,
    owner: None,
};

/// The whole table for files and directories: a section for each verdict, a row for each state of the catalog, a column
/// for each operation. Options are the defaults, with the resource named that REGISTER_AS_REPLICA_SYNC needs.
pub fn decision_table() -> String {
    let mut text = String::new();
    let columns = Operation::ALL;
    for (verdict, title) in [
        (Verdict::New, "New: nothing is remembered of it"),
        (
            Verdict::DataChanged,
            "Changed: size, modification time or kind differ",
        ),
        (Verdict::MetadataChanged, "Only the inode changed"),
        (Verdict::Unchanged, "Unchanged"),
    ] {
        text.push_str(&format!("### {title}\n\n"));
        header(
            &mut text,
            "a file; the zone has",
            columns.map(Operation::name),
        );
        for (label, catalog) in states() {
            let cell = |operation| facts(operation, verdict, &catalog, Options::default());
            row(&mut text, &label, columns.map(cell));
        }
        if verdict == Verdict::New {
            for (label, catalog) in states().into_iter().filter(|(_, state)| is_good(state)) {
                let again = Options {
                    redelivered: true,
                    ..Options::default()
                };
                let cell = |operation| facts(operation, verdict, &catalog, again);
                row(
                    &mut text,
                    &format!("{label}; redelivered"),
                    columns.map(cell),
                );
            }
        }
        text.push('\n');
        header(
            &mut text,
            "a directory; the zone has",
            columns.map(Operation::name),
        );
        for (label, catalog) in [
            ("(not asked)", CatalogState::Unknown),
            ("nothing", CatalogState::Absent),
            ("a collection", CatalogState::Collection),
            ("a data object", CatalogState::DataObject(Vec::new())),
        ] {
            let cell = |operation| {
                decide_directory(&DirectoryFacts {
                    operation,
                    verdict,
                    catalog: &catalog,
                    options: Options::default(),
                })
            };
            row(&mut text, label, columns.map(cell));
        }
        text.push('\n');
    }
    text
}

/// Which operation and delete mode go together.
pub fn compatibility_matrix() -> String {
    let mut text = String::new();
    header(&mut text, "", DeleteMode::ALL.map(DeleteMode::name));
    for operation in Operation::ALL {
        let cell = |mode| match operation.allows(mode) {
            true => "ok",
            false => "refused",
        };
        row(&mut text, operation.name(), DeleteMode::ALL.map(cell));
    }
    text
}

fn facts(
    operation: Operation,
    verdict: Verdict,
    catalog: &CatalogState,
    options: Options,
) -> Decision {
    decide_file(&FileFacts {
        own_source: false,
        operation,
        stat: &FILE,
        verdict,
        catalog,
        checksums: Checksums::Unknown,
        physical_path: match operation.uploads() {
            true => SENT,
            false => PATH,
        },
        resource: Some(RESOURCE),
        options,
    })
}

fn is_good(state: &CatalogState) -> bool {
    let CatalogState::DataObject(replicas) = state else {
        return false;
    };
    replicas.iter().any(|it| it.status == ReplicaStatus::Good)
}

/// The states of the catalog that make a difference, each with its label.
fn states() -> Vec<(String, CatalogState)> {
    let equal = Replica {
        number: 0,
        status: ReplicaStatus::Good,
        size: FILE.size,
        mtime: FILE.mtime.seconds,
        checksum: None,
        hierarchy: RESOURCE.to_owned(),
        physical_path: PATH.to_owned(),
    };
    let object = |label: &str, replica: Replica| {
        (
            format!("an object, {label}"),
            CatalogState::DataObject(vec![replica]),
        )
    };
    vec![
        ("(not asked)".to_owned(), CatalogState::Unknown),
        ("nothing".to_owned(), CatalogState::Absent),
        ("a collection".to_owned(), CatalogState::Collection),
        object("equal size and time", equal.clone()),
        object(
            "equal size and time, with a checksum",
            Replica {
                checksum: Some("sha2:".to_owned()),
                ..equal.clone()
            },
        ),
        object(
            "equal size, made well after the file changed",
            Replica {
                mtime: FILE.mtime.seconds + 86_400,
                ..equal.clone()
            },
        ),
        object(
            "shorter",
            Replica {
                size: 4,
                ..equal.clone()
            },
        ),
        object(
            "longer",
            Replica {
                size: 40,
                ..equal.clone()
            },
        ),
        object(
            "under another physical path",
            Replica {
                physical_path: "/vault/file".to_owned(),
                ..equal.clone()
            },
        ),
        object(
            "registered from the very file that would be sent",
            Replica {
                physical_path: SENT.to_owned(),
                ..equal.clone()
            },
        ),
        object(
            "on another resource",
            Replica {
                hierarchy: "other".to_owned(),
                ..equal.clone()
            },
        ),
        object(
            "without a good replica",
            Replica {
                status: ReplicaStatus::Stale,
                ..equal.clone()
            },
        ),
        object(
            "being written",
            Replica {
                status: ReplicaStatus::Intermediate,
                ..equal.clone()
            },
        ),
        object(
            "locked",
            Replica {
                status: ReplicaStatus::Locked,
                ..equal
            },
        ),
    ]
}

fn header<const N: usize>(text: &mut String, first: &str, columns: [&str; N]) {
    row(text, first, columns);
    text.push_str(&"|---".repeat(N + 1));
    text.push_str("|\n");
}

fn row<const N: usize>(text: &mut String, first: &str, cells: [impl std::fmt::Display; N]) {
    text.push_str(&format!("| {first} |"));
    for cell in cells {
        text.push_str(&format!(" {cell} |"));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        for text in [decision_table(), compatibility_matrix()] {
            let mut columns = 0;
            for line in text.lines().filter(|line| line.starts_with('|')) {
                let bars = line.matches('|').count();
                if line.starts_with("|---") {
                    assert_eq!(bars, columns, "{line}");
                }
                columns = bars;
            }
        }
    }

    #[test]
    fn the_table_says_what_the_decision_says() {
        let table = decision_table();
        let row = |section: usize, label: &str| -> Vec<String> {
            let section = table.split("### ").nth(section).unwrap();
            let label = format!("| {label} |");
            let line = section
                .lines()
                .find(|line| line.starts_with(&label))
                .unwrap();
            line.split('|')
                .map(|cell| cell.trim().to_owned())
                .skip(2)
                .collect()
        };
        assert_eq!(
            row(1, "nothing")[..4],
            [
                "create: register",
                "create: register",
                "create: put, not over",
                "create: put, not over"
            ]
        );
        assert_eq!(
            row(2, "an object, shorter")[..5],
            [
                "modify: update replica 0",
                "modify: update replica 0",
                "skip (exists)",
                "modify: put over",
                "modify: append from 4"
            ]
        );
        assert!(
            row(4, "a collection")
                .iter()
                .filter(|cell| !cell.is_empty())
                .all(|cell| cell == "skip (unchanged)")
        );
        assert!(compatibility_matrix().contains("| PUT | ok | refused | refused | refused |"));
    }
}
