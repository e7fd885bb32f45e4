//! The decision over its whole input space (`space`), and its rows one by one (`rows`). Here: what both need.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::source::Timestamp;

mod rows;
mod space;

const PATH: &str = "/src/f";
const RESOURCE: &str = "leaf";
const SIZE: u64 = 100;
const TIME: i64 = 1_000_000;
const LONG_AFTER: i64 = TIME + CLOCK_MARGIN_SECONDS + 1;

fn stat(kind: EntryKind) -> Stat {
    let time = Timestamp {
        seconds: TIME,
        nanos: 999,
    };
    Stat {
        kind,
        size: SIZE,
        mtime: time,
        ctime: time,
        mode: 0,
        dev: 1,
        version: 0,
        owner: None,
    }
}

/// Registered in place, equal to the file.
fn replica() -> Replica {
    Replica {
        number: 3,
        status: ReplicaStatus::Good,
        size: SIZE,
        mtime: TIME,
        checksum: None,
        hierarchy: "root;leaf".into(),
        physical_path: PATH.into(),
    }
}

fn object(replica: Replica) -> CatalogState {
    CatalogState::DataObject(vec![replica])
}

#[derive(Clone)]
struct Case {
    operation: Operation,
    kind: EntryKind,
    verdict: Verdict,
    catalog: CatalogState,
    checksums: Checksums,
    resource: Option<&'static str>,
    options: Options,
    /// An upload's object is registered from the file.
    own_source: bool,
}

impl Case {
    fn new(operation: Operation, verdict: Verdict, catalog: CatalogState) -> Self {
        Self {
            operation,
            kind: EntryKind::Regular,
            verdict,
            catalog,
            checksums: Checksums::Unknown,
            resource: None,
            options: Options::default(),
            own_source: false,
        }
    }

    fn decide(&self) -> Decision {
        decide_file(&FileFacts {
            own_source: false,
            operation: self.operation,
            stat: &stat(self.kind),
            verdict: self.verdict,
            catalog: &self.catalog,
            checksums: self.checksums,
            physical_path: self.physical(),
            resource: self.resource,
            options: self.options,
        })
    }

    /// What is registered is the file; what is uploaded is another one than the vault holds.
    fn physical(&self) -> &'static str {
        match self.operation.uploads() && !self.own_source {
            true => "/src/sent",
            false => PATH,
        }
    }

    fn describe(&self) -> String {
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} -> {}",
            self.operation,
            self.kind,
            self.verdict,
            self.catalog,
            self.checksums,
            self.resource,
            self.options,
            self.decide()
        )
    }

    fn good(&self) -> bool {
        match &self.catalog {
            CatalogState::DataObject(all) => all.iter().any(|r| r.status == ReplicaStatus::Good),
            _ => false,
        }
    }

    fn has(&self, status: ReplicaStatus) -> bool {
        match &self.catalog {
            CatalogState::DataObject(all) => all.iter().any(|r| r.status == status),
            _ => false,
        }
    }
}
