//! Moving a collection with all that is below it: one change of names, whatever its size.

use rusqlite::{Connection, params};

use super::super::access::{self, Level};
use super::super::error::{CatalogError, Result, code};
use super::super::{Identity, data_objects, paths, time};
use super::{find, has_open_replicas, is_fixed, locked, touch, unknown};

/// Moves or renames a collection with all below it; needs own on it and modify_object on the new
/// parent. Physical paths are not touched.
pub fn rename(conn: &Connection, who: &Identity, from: &str, to: &str) -> Result<()> {
    let (from, to) = (paths::checked(from)?, paths::checked(to)?);
    let source = find(conn, from)?.ok_or_else(|| unknown(from))?;
    if irods_protocol::path::below(to, from).is_some() {
        return Err(CatalogError::new(
            code::SAME_SRC_DEST_PATHS_ERR,
            format!("{from} cannot be moved into itself"),
        ));
    }
    access::require(conn, who, source.id, Level::OWN)?;
    if is_fixed(conn, from)? {
        return Err(CatalogError::new(
            code::CANT_RM_NON_EMPTY_HOME_COLL,
            format!("the zone needs the collection {from}"),
        ));
    }
    let (new_parent, _) = paths::split(to)?;
    let new_parent = find(conn, new_parent)?.ok_or_else(|| unknown(new_parent))?;
    if new_parent.name == "/" {
        return Err(CatalogError::new(
            code::USER_INPUT_PATH_ERR,
            "only zones are below /",
        ));
    }
    access::require(conn, who, new_parent.id, Level::MODIFY_OBJECT)?;
    if find(conn, to)?.is_some() {
        return Err(CatalogError::new(
            code::CAT_NAME_EXISTS_AS_COLLECTION,
            format!("the collection exists: {to}"),
        ));
    }
    if data_objects::exists(conn, to)? {
        return Err(CatalogError::new(
            code::CAT_NAME_EXISTS_AS_DATAOBJ,
            format!("a data object has that name: {to}"),
        ));
    }
    if has_open_replicas(conn, from)? {
        return Err(locked(from));
    }
    if longest_path_below(conn, from)? + to.len() > irods_protocol::path::MAX_PATH + from.len() {
        return Err(CatalogError::new(
            code::USER_STRLEN_TOOLONG,
            format!("paths below {to} would become too long"),
        ));
    }
    let (low, high) = paths::below_bounds(from);
    let now = time::now();
    conn.prepare_cached(
        "UPDATE r_coll_main SET coll_name = ?4 || substr(coll_name, length(?3) + 1),
         parent_coll_name = ?4 || substr(parent_coll_name, length(?3) + 1)
         WHERE coll_name >= ?1 AND coll_name < ?2",
    )?
    .execute(params![low, high, from, to])?;
    conn.prepare_cached(
        "UPDATE r_coll_main SET coll_name = ?2, parent_coll_name = ?3, modify_ts = ?4 WHERE coll_id = ?1",
    )?
    .execute(params![source.id, to, new_parent.name, now])?;
    if let Some(old_parent) = find(conn, &source.parent)? {
        touch(conn, old_parent.id)?;
    }
    touch(conn, new_parent.id)
}

/// Bytes of the longest logical path in the subtree.
fn longest_path_below(conn: &Connection, path: &str) -> Result<usize> {
    let (low, high) = paths::below_bounds(path);
    let longest: i64 = conn
        .prepare_cached(
            "SELECT coalesce(max(octet_length(c.coll_name)
                + coalesce((SELECT 1 + max(octet_length(d.data_name)) FROM r_data_main d
                            WHERE d.coll_id = c.coll_id), 0)), 0)
             FROM r_coll_main c WHERE (c.coll_name >= ?1 AND c.coll_name < ?2) OR c.coll_name = ?3",
        )?
        .query_row(params![low, high, path], |row| row.get(0))?;
    Ok(usize::try_from(longest).unwrap_or(usize::MAX / 2))
}
