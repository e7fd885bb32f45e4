//! Collections: make, remove, list.
//!
//! Listings are queries of one collection, a page at a time, with the names as bytes and all replicas of each object. They say
//! what this user may see.

use std::collections::BTreeMap;

use bstr::BString;
use irods_protocol::message::{CollInpNew, CollOprStat, KeyValPair};
use irods_protocol::{api, columns, keywords, path};

use crate::connection::{Connection, Request};
use crate::error::{Call, Error, Result};
use crate::query::{Pages, Query, Row};

/// `oprType` that unregisters instead of deleting.
pub(crate) const UNREGISTER: i32 = 26;

/// One replica of a data object, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Number among the object's replicas.
    pub number: i32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Stored checksum, empty if none.
    pub checksum: String,
    /// State of the replica.
    pub status: ReplicaStatus,
    /// Physical path, as bytes.
    pub path: BString,
    /// Hierarchy, `root;child;leaf`.
    pub hierarchy: String,
}

/// State of a replica (`DATA_REPL_STATUS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicaStatus {
    /// 0: older than another one, or incomplete.
    Stale,
    /// 1.
    Good,
    /// 2: being written.
    Intermediate,
    /// 3, reserved.
    ReadLocked,
    /// 4: another replica of the object is being written.
    WriteLocked,
    /// A number that is none of these.
    Other(i64),
}

impl ReplicaStatus {
    fn from_number(number: i64) -> Self {
        match number {
            0 => ReplicaStatus::Stale,
            1 => ReplicaStatus::Good,
            2 => ReplicaStatus::Intermediate,
            3 => ReplicaStatus::ReadLocked,
            4 => ReplicaStatus::WriteLocked,
            other => ReplicaStatus::Other(other),
        }
    }
}

/// How to remove a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveCollection {
    /// Only if it is empty.
    Empty,
    /// With its content, into the trash: one operation.
    ToTrash,
    /// With its content, for good: object by object, with progress.
    Force,
    /// Out of the catalog, with its content; the files stay.
    Unregister,
    /// An empty one, out of the catalog; a directory stays.
    UnregisterEmpty,
}

/// Columns of [`Replica`], besides the name.
pub(crate) const REPLICA_COLUMNS: [i32; 8] = [
    columns::DATA_NAME,
    columns::DATA_REPL_NUM,
    columns::DATA_SIZE,
    columns::DATA_MODIFY_TIME,
    columns::DATA_CHECKSUM,
    columns::DATA_REPL_STATUS,
    columns::DATA_PATH,
    columns::DATA_RESC_HIER,
];

impl Replica {
    /// From a row with [`REPLICA_COLUMNS`].
    pub(crate) fn from_row(row: &Row<'_>) -> Self {
        Replica {
            number: row
                .number(columns::DATA_REPL_NUM)
                .and_then(|n| i32::try_from(n).ok())
                .unwrap_or(-1),
            size: row
                .number(columns::DATA_SIZE)
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0),
            mtime: row.number(columns::DATA_MODIFY_TIME).unwrap_or(0),
            checksum: row.text(columns::DATA_CHECKSUM),
            status: ReplicaStatus::from_number(row.number(columns::DATA_REPL_STATUS).unwrap_or(-1)),
            path: row.name(columns::DATA_PATH),
            hierarchy: row.text(columns::DATA_RESC_HIER),
        }
    }
}

/// A listing of the replicas in one collection, as they come: the replicas of one object need not be together.
#[derive(Debug)]
pub struct ReplicaPages<'c>(Pages<'c>);

impl ReplicaPages<'_> {
    /// The next page of (object name, replica); `None` after the last.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn next(&mut self) -> Result<Option<Vec<(BString, Replica)>>> {
        let page = self.0.next().await?;
        Ok(page.map(|rows| {
            let replica = |row: Row<'_>| (row.name(columns::DATA_NAME), Replica::from_row(&row));
            rows.iter().map(replica).collect()
        }))
    }
}

impl Connection {
    /// Whether a collection is there and visible.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn collection_exists(&mut self, collection: &str) -> Result<bool> {
        let query = Query::select(&[columns::COLL_ID])
            .equals(columns::COLL_NAME, collection)
            .rows_per_page(1)
            .options(columns::option::AUTO_CLOSE);
        Ok(self.query(query).next().await?.is_some())
    }

    /// Makes a collection. With `parents`, missing ones are made too and an existing collection is no error.
    ///
    /// # Errors
    /// [`Error::already_exists`] where the name is taken (with `parents`: by a data object); [`Error::is_not_found`] where
    /// the parent is missing.
    pub async fn create_collection(&mut self, collection: &str, parents: bool) -> Result<()> {
        let call = Call::Api(api::COLL_CREATE);
        path::check(collection).map_err(|e| bad_path(call, collection, &e))?;
        let mut keywords = KeyValPair::new();
        if parents {
            keywords.set(keywords::RECURSIVE_OPR, "");
        }
        let input = collection_input(collection, 0, keywords);
        let request = Request::new(api::COLL_CREATE, collection);
        self.call(request, Some(&input)).await.map(drop)
    }

    /// Removes a collection. `progress` hears of every ten objects that were removed one by one.
    ///
    /// # Errors
    /// `CAT_COLLECTION_NOT_EMPTY` for [`RemoveCollection::Empty`]; for the recursive ways the last error, after everything
    /// else was removed.
    pub async fn remove_collection(
        &mut self,
        collection: &str,
        how: RemoveCollection,
        progress: &mut (dyn FnMut(CollOprStat) + Send),
    ) -> Result<()> {
        let call = Call::Api(api::RM_COLL);
        path::check(collection).map_err(|e| bad_path(call, collection, &e))?;
        let mut keywords = KeyValPair::new();
        let mut operation = 0;
        match how {
            RemoveCollection::Empty => {}
            RemoveCollection::ToTrash => keywords.set(keywords::RECURSIVE_OPR, ""),
            RemoveCollection::Force => {
                keywords.set(keywords::RECURSIVE_OPR, "");
                keywords.set(keywords::FORCE_FLAG, "");
            }
            RemoveCollection::Unregister => {
                keywords.set(keywords::RECURSIVE_OPR, "");
                operation = UNREGISTER;
            }
            RemoveCollection::UnregisterEmpty => operation = UNREGISTER,
        }
        let input = collection_input(collection, operation, keywords);
        let request = Request::new(api::RM_COLL, collection).patient();
        let reply = self.exchange(request, Some(&input), progress).await?;
        self.checked(request, reply).map(drop)
    }

    /// The data objects of a collection with all their replicas, page by page.
    pub fn list_replicas(&mut self, collection: &str) -> ReplicaPages<'_> {
        let query = Query::select(&REPLICA_COLUMNS).equals(columns::COLL_NAME, collection);
        ReplicaPages(self.query(query))
    }

    /// The data objects of a collection by name, each with its replicas. Memory follows the size of the collection.
    ///
    /// # Errors
    /// As [`Connection::call`]. A missing collection has no objects and is no error.
    pub async fn list_data_objects(
        &mut self,
        collection: &str,
    ) -> Result<BTreeMap<BString, Vec<Replica>>> {
        let mut objects: BTreeMap<BString, Vec<Replica>> = BTreeMap::new();
        let mut pages = self.list_replicas(collection);
        while let Some(page) = pages.next().await? {
            for (name, replica) in page {
                objects.entry(name).or_default().push(replica);
            }
        }
        Ok(objects)
    }

    /// Names (last path elements) of a collection's sub-collections.
    ///
    /// # Errors
    /// As [`Connection::call`]. A missing collection has none and is no error.
    pub async fn list_subcollections(&mut self, collection: &str) -> Result<Vec<BString>> {
        let query =
            Query::select(&[columns::COLL_NAME]).equals(columns::COLL_PARENT_NAME, collection);
        let names = self.query(query).all(last_element).await?;
        // The root collection is its own parent.
        Ok(names.into_iter().filter(|n| !n.is_empty()).collect())
    }
}

fn last_element(row: Row<'_>) -> BString {
    let path = row.bytes(columns::COLL_NAME);
    let start = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    BString::from(path.get(start..).unwrap_or_default())
}

fn collection_input(collection: &str, operation: i32, keywords: KeyValPair) -> CollInpNew {
    CollInpNew {
        coll_name: collection.to_owned(),
        flags: 0,
        opr_type: operation,
        cond_input: keywords,
    }
}

pub(crate) fn bad_path(call: Call, path: &str, reason: &path::PathError) -> Error {
    Error::Input {
        call,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
