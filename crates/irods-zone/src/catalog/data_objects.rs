//! Data objects: names, permissions and life of what one or more replicas hold.
//!
//! The rows of one object agree in id, collection and name. What concerns a single replica is in
//! [`super::replicas`].

use rusqlite::{Connection, OptionalExtension, params};

use super::Identity;
use super::access::{self, Level};
use super::error::{CatalogError, Result, code};
use super::replicas::{self, NewReplica, Replica, select_replicas};
use super::{collections, ids, metadata, paths};

/// A data object with its replicas, ascending by number; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataObject {
    /// Id.
    pub id: i64,
    /// Id of the collection it is in.
    pub coll_id: i64,
    /// Full logical path.
    pub path: String,
    /// The replicas.
    pub replicas: Vec<Replica>,
}

impl DataObject {
    /// The good replica with the lowest number, else the one with the lowest number.
    #[must_use]
    pub fn best(&self) -> Option<&Replica> {
        self.replicas
            .iter()
            .find(|r| r.status == super::replicas::Status::Good)
            .or(self.replicas.first())
    }

    /// The replica of that number.
    #[must_use]
    pub fn replica(&self, number: i64) -> Option<&Replica> {
        self.replicas.iter().find(|r| r.number == number)
    }
}

/// The object of that path, whoever asks.
pub fn find(conn: &Connection, path: &str) -> Result<Option<DataObject>> {
    let Some((parent, name)) = irods_protocol::path::split(path) else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(select_replicas!(
        "WHERE d.coll_id = (SELECT coll_id FROM r_coll_main WHERE coll_name = ?1) AND d.data_name = ?2
         ORDER BY d.data_repl_num"
    ))?;
    let replicas: Vec<Replica> = statement
        .query_map([parent, name], replicas::from_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(assemble(replicas, path))
}

/// True if a data object has that path.
pub(crate) fn exists(conn: &Connection, path: &str) -> Result<bool> {
    let Some((parent, name)) = irods_protocol::path::split(path) else {
        return Ok(false);
    };
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM r_data_main
             WHERE coll_id = (SELECT coll_id FROM r_coll_main WHERE coll_name = ?1) AND data_name = ?2)",
        )?
        .query_row([parent, name], |row| row.get(0))?)
}

/// An object of replicas that are all of it.
fn assemble(replicas: Vec<Replica>, path: &str) -> Option<DataObject> {
    let first = replicas.first()?;
    Some(DataObject {
        id: first.data_id,
        coll_id: first.coll_id,
        path: path.to_owned(),
        replicas,
    })
}

/// The object of that id, whoever asks.
pub fn by_id(conn: &Connection, id: i64) -> Result<Option<DataObject>> {
    let replicas = replicas::list(conn, id)?;
    let Some(first) = replicas.first() else {
        return Ok(None);
    };
    let collection: String = conn
        .prepare_cached("SELECT coll_name FROM r_coll_main WHERE coll_id = ?1")?
        .query_row([first.coll_id], |row| row.get(0))?;
    let path = irods_protocol::path::join(&collection, &first.name);
    Ok(assemble(replicas, &path))
}

/// The object of that path, if the user may read it.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` if it is missing or not readable (recorded exchange prc_permission_denied);
/// for rodsadmins, who see every row, `CAT_NO_ACCESS_PERMISSION` if it is not readable.
pub fn visible(conn: &Connection, who: &Identity, path: &str) -> Result<DataObject> {
    let object = find(conn, path)?.ok_or_else(|| CatalogError::no_rows(path))?;
    if !access::may_see(conn, who, object.id)? {
        return Err(CatalogError::no_rows(path));
    }
    access::require(conn, who, object.id, Level::READ_OBJECT)?;
    Ok(object)
}

/// Creates an object with replica 0 and its permissions, and returns its id.
///
/// # Errors
/// `CAT_UNKNOWN_COLLECTION`, `CAT_NO_ACCESS_PERMISSION` (no modify_object on the collection),
/// `CAT_NAME_EXISTS_AS_COLLECTION`, `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME`,
/// `CAT_INVALID_DATA_TYPE`, `USER_INPUT_PATH_ERR`.
pub fn create(conn: &Connection, who: &Identity, path: &str, replica: &NewReplica) -> Result<i64> {
    let (collection, name) = creatable(conn, who, path)?;
    let id = ids::next(conn)?;
    replicas::insert(
        conn,
        id,
        0,
        (collection.id, name),
        (&who.name, &who.zone),
        replica,
    )?;
    access::initialise(conn, &collection, id, who.user_id)?;
    collections::touch(conn, collection.id)?;
    Ok(id)
}

/// The collection and name for a new object.
fn creatable<'a>(
    conn: &Connection,
    who: &Identity,
    path: &'a str,
) -> Result<(collections::Collection, &'a str)> {
    let (parent, name) = irods_protocol::path::check(path)
        .ok()
        .and_then(|()| irods_protocol::path::split(path))
        .ok_or_else(|| {
            CatalogError::new(
                code::USER_INPUT_PATH_ERR,
                format!("no logical path: {path:?}"),
            )
        })?;
    let collection =
        collections::find(conn, parent)?.ok_or_else(|| collections::unknown(parent))?;
    if collection.name == "/" {
        return Err(CatalogError::new(
            code::USER_INPUT_PATH_ERR,
            "only zones are below /",
        ));
    }
    if access::level_of(conn, who, collection.id)? < Level::MODIFY_OBJECT {
        return Err(CatalogError::new(
            code::CAT_NO_ACCESS_PERMISSION,
            format!("no permission to update collection '{parent}'"),
        ));
    }
    if collections::find(conn, path)?.is_some() {
        return Err(CatalogError::new(
            code::CAT_NAME_EXISTS_AS_COLLECTION,
            format!("a collection has that name: {path}"),
        ));
    }
    if exists(conn, path)? {
        return Err(CatalogError::new(
            code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME,
            format!("the data object exists: {path}"),
        ));
    }
    Ok((collection, name))
}

/// What [`create`] checks, without creating: for callers that want to know before they write a file.
pub fn check_creatable(conn: &Connection, who: &Identity, path: &str) -> Result<()> {
    creatable(conn, who, path).map(|_| ())
}

/// Removes an object with all replicas, permissions and metadata; needs delete_object. Returns what
/// the replicas were, so that the caller can remove their files.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND`, `CAT_NO_ACCESS_PERMISSION`, `LOCKED_DATA_OBJECT_ACCESS`.
pub fn remove(conn: &Connection, who: &Identity, path: &str) -> Result<DataObject> {
    let object = visible(conn, who, path)?;
    access::require(conn, who, object.id, Level::DELETE_OBJECT)?;
    require_at_rest(&object)?;
    delete_rows(conn, &object)?;
    Ok(object)
}

/// Removes all rows of an object, whoever asks and whatever its state.
fn delete_rows(conn: &Connection, object: &DataObject) -> Result<()> {
    metadata::forget(conn, object.id)?;
    access::forget(conn, object.id)?;
    conn.prepare_cached("DELETE FROM r_data_main WHERE data_id = ?1")?
        .execute([object.id])?;
    collections::touch(conn, object.coll_id)
}

/// Fails with `LOCKED_DATA_OBJECT_ACCESS` while a replica is being written.
pub fn require_at_rest(object: &DataObject) -> Result<()> {
    if object.replicas.iter().all(|r| r.status.at_rest()) {
        return Ok(());
    }
    Err(collections::locked(&object.path))
}

/// Removes one replica's row (the whole object with the last one). Permissions are the caller's.
pub fn remove_replica(conn: &Connection, data_id: i64, number: i64) -> Result<Replica> {
    let object = by_id(conn, data_id)?.ok_or_else(|| CatalogError::no_rows("data object"))?;
    let replica = object.replica(number).cloned().ok_or_else(|| {
        CatalogError::new(
            code::SYS_REPLICA_DOES_NOT_EXIST,
            format!("no replica {number}"),
        )
    })?;
    if object.replicas.len() == 1 {
        delete_rows(conn, &object)?;
    } else {
        conn.prepare_cached("DELETE FROM r_data_main WHERE data_id = ?1 AND data_repl_num = ?2")?
            .execute([data_id, number])?;
    }
    Ok(replica)
}

/// Renames or moves an object. Physical paths are not touched.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND`, `CAT_NO_ACCESS_PERMISSION` (own on the object, modify_object on the new
/// collection), `CAT_NAME_EXISTS_AS_DATAOBJ`, `CAT_NAME_EXISTS_AS_COLLECTION`,
/// `CAT_UNKNOWN_COLLECTION`, `SAME_SRC_DEST_PATHS_ERR`, `LOCKED_DATA_OBJECT_ACCESS`.
pub fn rename(conn: &Connection, who: &Identity, from: &str, to: &str) -> Result<()> {
    let to = paths::checked(to)?;
    if from == to {
        return Err(CatalogError::new(
            code::SAME_SRC_DEST_PATHS_ERR,
            format!("source and destination are the same: {to}"),
        ));
    }
    let object = visible(conn, who, from)?;
    let (parent, name) = paths::split(to)?;
    let collection =
        collections::find(conn, parent)?.ok_or_else(|| collections::unknown(parent))?;
    if collection.name == "/" {
        return Err(CatalogError::new(
            code::USER_INPUT_PATH_ERR,
            "only zones are below /",
        ));
    }
    if collection.id == object.coll_id {
        access::require(conn, who, object.id, Level::OWN)?;
    } else {
        access::require(conn, who, object.id, Level::DELETE_OBJECT)?;
        access::require(conn, who, collection.id, Level::MODIFY_OBJECT)?;
    }
    if collections::find(conn, to)?.is_some() {
        return Err(CatalogError::new(
            code::CAT_NAME_EXISTS_AS_COLLECTION,
            format!("a collection has that name: {to}"),
        ));
    }
    if exists(conn, to)? {
        return Err(CatalogError::new(
            code::CAT_NAME_EXISTS_AS_DATAOBJ,
            format!("the data object exists: {to}"),
        ));
    }
    require_at_rest(&object)?;
    conn.prepare_cached("UPDATE r_data_main SET coll_id = ?2, data_name = ?3 WHERE data_id = ?1")?
        .execute(params![object.id, collection.id, name])?;
    collections::touch(conn, object.coll_id)?;
    collections::touch(conn, collection.id)
}

/// Objects directly in a collection by name, after `after` (empty: from the start), at most `limit`.
pub fn in_collection(
    conn: &Connection,
    coll_id: i64,
    after: &str,
    limit: usize,
) -> Result<Vec<DataObject>> {
    // Whole objects: the limit counts names, the rows are replicas.
    let mut statement = conn.prepare_cached(select_replicas!(
        "WHERE d.coll_id = ?1 AND d.data_name IN (SELECT DISTINCT data_name FROM r_data_main
            WHERE coll_id = ?1 AND data_name > ?2 ORDER BY data_name LIMIT ?3)
         ORDER BY d.data_name, d.data_repl_num"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<Replica> = statement
        .query_map(params![coll_id, after, limit], replicas::from_row)?
        .collect::<rusqlite::Result<_>>()?;
    let Some(collection) = conn
        .prepare_cached("SELECT coll_name FROM r_coll_main WHERE coll_id = ?1")?
        .query_row([coll_id], |row| row.get::<_, String>(0))
        .optional()?
    else {
        return Ok(Vec::new());
    };
    let objects = rows
        .chunk_by(|a, b| a.data_id == b.data_id)
        .filter_map(|replicas| {
            let path = irods_protocol::path::join(&collection, &replicas.first()?.name);
            assemble(replicas.to_vec(), &path)
        });
    Ok(objects.collect())
}
