//! Collections: creating, finding, changing and removing them; [`rename()`] moves them.

mod rename;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::access::{self, Level};
use super::error::{CatalogError, Result, code};
use super::{Identity, data_objects, ids, metadata, paths, time, zones};

pub use rename::rename;

/// A collection's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Id.
    pub id: i64,
    /// Full logical path.
    pub name: String,
    /// Path of the parent.
    pub parent: String,
    /// Owner's name.
    pub owner_name: String,
    /// Owner's zone.
    pub owner_zone: String,
    /// New children take over the permissions.
    pub inherit: bool,
    /// Special collection type, empty for ordinary ones.
    pub coll_type: String,
    /// First information of a special collection.
    pub info1: String,
    /// Second information of a special collection.
    pub info2: String,
    /// Creation time, 11 digits.
    pub create_time: String,
    /// Modification time, 11 digits.
    pub modify_time: String,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT coll_id, coll_name, parent_coll_name, coll_owner_name, coll_owner_zone,
             coll_inheritance, coll_type, coll_info1, coll_info2, create_ts, modify_ts
             FROM r_coll_main ",
            $tail
        )
    };
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Collection> {
    Ok(Collection {
        id: row.get(0)?,
        name: row.get(1)?,
        parent: row.get(2)?,
        owner_name: row.get(3)?,
        owner_zone: row.get(4)?,
        inherit: row.get::<_, Option<String>>(5)?.as_deref() == Some("1"),
        coll_type: row.get(6)?,
        info1: row.get(7)?,
        info2: row.get(8)?,
        create_time: row.get(9)?,
        modify_time: row.get(10)?,
    })
}

/// The collection of that name, whoever asks.
pub fn find(conn: &Connection, path: &str) -> Result<Option<Collection>> {
    Ok(conn
        .prepare_cached(select!("WHERE coll_name = ?1"))?
        .query_row([path], from_row)
        .optional()?)
}

/// The collection of that name, if the user may see it.
///
/// # Errors
/// `CAT_UNKNOWN_COLLECTION` if it is missing or not to be seen.
pub fn visible(conn: &Connection, who: &Identity, path: &str) -> Result<Collection> {
    let collection = find(conn, path)?.ok_or_else(|| unknown(path))?;
    if access::may_see(conn, who, collection.id)? {
        Ok(collection)
    } else {
        Err(unknown(path))
    }
}

/// The error of a path that is no collection.
pub(crate) fn unknown(path: &str) -> CatalogError {
    CatalogError::new(
        code::CAT_UNKNOWN_COLLECTION,
        format!("collection '{path}' is unknown"),
    )
}

/// Creates one collection and returns its id.
///
/// # Errors
/// `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME`, `CAT_UNKNOWN_COLLECTION` (no parent),
/// `CAT_NO_ACCESS_PERMISSION`, `CAT_NAME_EXISTS_AS_DATAOBJ`, `USER_INPUT_PATH_ERR`.
pub fn create(conn: &Connection, who: &Identity, path: &str) -> Result<i64> {
    let (parent, name) = paths::split(path)?;
    let path = paths::checked(path)?;
    let parent = find(conn, parent)?.ok_or_else(|| unknown(parent))?;
    if parent.name == "/" && name != zones::local(conn)? {
        return Err(CatalogError::new(
            code::USER_INPUT_PATH_ERR,
            format!("{path}: only zones are below /"),
        ));
    }
    access::require(conn, who, parent.id, Level::MODIFY_OBJECT)?;
    if find(conn, path)?.is_some() {
        return Err(CatalogError::new(
            code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME,
            format!("the collection exists: {path}"),
        ));
    }
    insert(conn, &parent, path, who)
}

/// Inserts a row below a parent; permissions on the parent are not looked at.
fn insert(conn: &Connection, parent: &Collection, path: &str, owner: &Identity) -> Result<i64> {
    if data_objects::exists(conn, path)? {
        return Err(CatalogError::new(
            code::CAT_NAME_EXISTS_AS_DATAOBJ,
            format!("a data object has that name: {path}"),
        ));
    }
    let id = ids::next(conn)?;
    conn.prepare_cached(
        "INSERT INTO r_coll_main (coll_id, parent_coll_name, coll_name, coll_owner_name, coll_owner_zone,
         coll_inheritance, create_ts, modify_ts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    )?
    .execute(params![
        id,
        parent.name,
        path,
        owner.name,
        owner.zone,
        parent.inherit.then_some("1"),
        time::now()
    ])?;
    access::initialise(conn, parent, id, owner.user_id)?;
    touch(conn, parent.id)?;
    Ok(id)
}

/// Creates a collection and the parents that are missing; an existing one is fine.
pub fn create_recursive(conn: &Connection, who: &Identity, path: &str) -> Result<i64> {
    let path = paths::checked(path)?;
    if let Some(existing) = find(conn, path)? {
        return Ok(existing.id);
    }
    let mut missing = vec![path];
    let mut parent = paths::split(path)?.0;
    let existing = loop {
        if let Some(found) = find(conn, parent)? {
            break found;
        }
        missing.push(parent);
        parent = paths::split(parent)?.0;
    };
    // A real server walks up by what the user can see and ends above the zone (recorded exchange
    // prc_permission_denied).
    if !access::may_see(conn, who, existing.id)? {
        return Err(CatalogError::new(
            code::SYS_INVALID_INPUT_PARAM,
            format!("no readable parent of {path}"),
        ));
    }
    let mut id = existing.id;
    for path in missing.into_iter().rev() {
        id = create(conn, who, path)?;
    }
    Ok(id)
}

/// Creates a collection owned by another user, without looking at permissions (`iadmin mkdir`).
pub fn create_for(conn: &Connection, owner: &Identity, path: &str) -> Result<i64> {
    let (parent, _) = paths::split(path)?;
    let path = paths::checked(path)?;
    let parent = find(conn, parent)?.ok_or_else(|| unknown(parent))?;
    let id = insert(conn, &parent, path, owner)?;
    access::set(conn, id, owner.user_id, Level::OWN)?;
    Ok(id)
}

/// Inserts one of the collections that a zone starts with, parent `/` included.
pub(crate) fn insert_root(conn: &Connection, owner: &Identity, path: &str) -> Result<i64> {
    let id = ids::next(conn)?;
    let parent = irods_protocol::path::parent(path).unwrap_or("/");
    conn.prepare_cached(
        "INSERT INTO r_coll_main (coll_id, parent_coll_name, coll_name, coll_owner_name, coll_owner_zone,
         create_ts, modify_ts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute(params![id, parent, path, owner.name, owner.zone, time::now()])?;
    access::set(conn, id, owner.user_id, Level::OWN)?;
    Ok(id)
}

/// Removes an empty collection's row with its permissions and metadata; needs delete_object.
///
/// # Errors
/// `CAT_UNKNOWN_COLLECTION`, `CAT_COLLECTION_NOT_EMPTY`, `CAT_NO_ACCESS_PERMISSION`,
/// `CANT_RM_NON_EMPTY_HOME_COLL` for the zone's fixed collections.
pub fn remove_empty(conn: &Connection, who: &Identity, path: &str) -> Result<()> {
    let path = paths::checked(path)?;
    let collection = find(conn, path)?.ok_or_else(|| unknown(path))?;
    access::require(conn, who, collection.id, Level::DELETE_OBJECT)?;
    if is_fixed(conn, path)? {
        return Err(CatalogError::new(
            code::CANT_RM_NON_EMPTY_HOME_COLL,
            format!("the zone needs the collection {path}"),
        ));
    }
    delete_row(conn, &collection)
}

/// Removes an empty collection, whoever asks and whatever it is for.
pub(crate) fn delete_row(conn: &Connection, collection: &Collection) -> Result<()> {
    if !is_empty(conn, collection)? {
        return Err(CatalogError::new(
            code::CAT_COLLECTION_NOT_EMPTY,
            format!("the collection is not empty: {}", collection.name),
        ));
    }
    metadata::forget(conn, collection.id)?;
    access::forget(conn, collection.id)?;
    conn.prepare_cached("DELETE FROM r_coll_main WHERE coll_id = ?1")?
        .execute([collection.id])?;
    if let Some(parent) = find(conn, &collection.parent)? {
        touch(conn, parent.id)?;
    }
    Ok(())
}

/// True for `/z`, `/z/home`, `/z/trash`, `/z/trash/home` and the homes of users that exist.
pub fn is_fixed(conn: &Connection, path: &str) -> Result<bool> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
    let user = match parts.as_slice() {
        [] | ["home" | "trash"] | ["trash", "home"] => return Ok(true),
        ["home", user] | ["trash", "home", user] => user,
        _ => return Ok(false),
    };
    let (name, zone) = super::users::split_name(user);
    Ok(super::users::find(conn, name, zone)?.is_some())
}

/// The error of an object that is open for writing, or of a subtree with such an object.
pub(crate) fn locked(path: &str) -> CatalogError {
    CatalogError::new(
        code::LOCKED_DATA_OBJECT_ACCESS,
        format!("{path} is being written, or something below it"),
    )
}

/// True if a replica in the subtree is being written.
fn has_open_replicas(conn: &Connection, path: &str) -> Result<bool> {
    let (low, high) = paths::below_bounds(path);
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM r_data_main d INDEXED BY idx_data_open
             JOIN r_coll_main c ON c.coll_id = d.coll_id
             WHERE d.data_is_dirty >= 2
             AND ((c.coll_name >= ?1 AND c.coll_name < ?2) OR c.coll_name = ?3))",
        )?
        .query_row(params![low, high, path], |row| row.get(0))?)
}

/// What `MOD_COLL` can change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionChange {
    /// Special collection type.
    pub coll_type: Option<String>,
    /// First information.
    pub info1: Option<String>,
    /// Second information.
    pub info2: Option<String>,
    /// Comment.
    pub comments: Option<String>,
    /// Modification time, seconds as text.
    pub modify_time: Option<String>,
}

/// Changes a collection; needs modify_object.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    path: &str,
    change: &CollectionChange,
) -> Result<()> {
    let path = paths::checked(path)?;
    let collection = find(conn, path)?.ok_or_else(|| unknown(path))?;
    access::require(conn, who, collection.id, Level::MODIFY_OBJECT)?;
    let modify_time = change
        .modify_time
        .as_deref()
        .map_or_else(time::now, time::padded);
    conn.prepare_cached(
        "UPDATE r_coll_main SET coll_type = coalesce(?2, coll_type), coll_info1 = coalesce(?3, coll_info1),
         coll_info2 = coalesce(?4, coll_info2), r_comment = coalesce(?5, r_comment), modify_ts = ?6
         WHERE coll_id = ?1",
    )?
    .execute(params![
        collection.id,
        change.coll_type,
        change.info1,
        change.info2,
        change.comments,
        modify_time
    ])?;
    Ok(())
}

/// Sets the modification time to now.
pub fn touch(conn: &Connection, coll_id: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE r_coll_main SET modify_ts = ?2 WHERE coll_id = ?1 AND modify_ts <> ?2",
    )?
    .execute(params![coll_id, time::now()])?;
    Ok(())
}

/// Sub-collections by name, after `after` (empty: from the start), at most `limit`.
pub fn children(
    conn: &Connection,
    path: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Collection>> {
    let mut statement = conn.prepare_cached(select!(
        "WHERE parent_coll_name = ?1 AND coll_name > ?2 AND coll_name <> '/'
         ORDER BY coll_name LIMIT ?3"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![path, after, limit], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A collection and all collections below it, deepest last.
pub fn subtree(conn: &Connection, path: &str) -> Result<Vec<Collection>> {
    let (low, high) = paths::below_bounds(path);
    let mut statement = conn.prepare_cached(select!(
        "WHERE coll_name = ?3 OR (coll_name >= ?1 AND coll_name < ?2) ORDER BY coll_name"
    ))?;
    let rows = statement.query_map(params![low, high, path], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// True if nothing is in the collection.
pub fn is_empty(conn: &Connection, collection: &Collection) -> Result<bool> {
    let used: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM r_data_main WHERE coll_id = ?1)
             OR EXISTS (SELECT 1 FROM r_coll_main WHERE parent_coll_name = ?2 AND coll_id <> ?1)",
        )?
        .query_row(params![collection.id, collection.name], |row| row.get(0))?;
    Ok(!used)
}

/// Fails with `CAT_NO_ACCESS_PERMISSION` unless the user may delete every collection and data
/// object of the subtree, and with `LOCKED_DATA_OBJECT_ACCESS` if one of them is open for writing.
pub fn require_deletable(conn: &Connection, who: &Identity, path: &str) -> Result<()> {
    let path = paths::checked(path)?;
    let collection = find(conn, path)?.ok_or_else(|| unknown(path))?;
    access::require(conn, who, collection.id, Level::DELETE_OBJECT)?;
    if !access::everywhere_below(conn, who, path, Level::DELETE_OBJECT)? {
        return Err(CatalogError::new(
            code::CAT_NO_ACCESS_PERMISSION,
            format!("something below {path} may not be removed"),
        ));
    }
    if has_open_replicas(conn, path)? {
        Err(locked(path))
    } else {
        Ok(())
    }
}
