//! Parents, children and the hierarchy strings that follow from them.

use rusqlite::{Connection, params};

use super::super::error::{CatalogError, Result, code};
use super::super::{Identity, time};
use super::{Resource, by_id, from_row, get, select};

/// The ids of a resource `?1` and of all below it.
macro_rules! below {
    () => {
        "WITH RECURSIVE below (id) AS (
             SELECT ?1
             UNION
             SELECT r.resc_id FROM r_resc_main r JOIN below ON r.resc_parent = CAST(below.id AS TEXT)) "
    };
}

/// The leaf that a hierarchy string such as `root;mid;leaf` names.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`, or `HIERARCHY_ERROR` if the resources are not in that relation.
pub fn by_hierarchy(conn: &Connection, hierarchy: &str) -> Result<Resource> {
    let leaf = hierarchy.rsplit(';').next().unwrap_or(hierarchy);
    for name in hierarchy.split(';') {
        get(conn, name)?;
    }
    let resource = get(conn, leaf)?;
    if resource.hierarchy == hierarchy && children(conn, resource.id)?.is_empty() {
        return Ok(resource);
    }
    Err(CatalogError::new(
        code::HIERARCHY_ERROR,
        format!("{hierarchy:?} is not the hierarchy of a leaf"),
    ))
}

/// Children of a resource, by id.
pub fn children(conn: &Connection, id: i64) -> Result<Vec<Resource>> {
    let mut statement = conn.prepare_cached(select!("WHERE resc_parent = ?1 ORDER BY resc_id"))?;
    let rows = statement.query_map([id.to_string()], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Resources without children below (or equal to) a resource, by id.
pub fn leaves(conn: &Connection, id: i64) -> Result<Vec<Resource>> {
    let mut statement = conn.prepare_cached(concat!(
        below!(),
        select!(
            "WHERE resc_id IN (SELECT id FROM below) AND NOT EXISTS
             (SELECT 1 FROM r_resc_main c WHERE c.resc_parent = CAST(r_resc_main.resc_id AS TEXT))
             ORDER BY resc_id"
        )
    ))?;
    let rows = statement.query_map([id], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Rewrites the hierarchy of a resource and of all below it from names and parents.
pub(super) fn refresh(conn: &Connection, id: i64) -> Result<()> {
    let resource = by_id(conn, id)?;
    let hierarchy = match resource.parent {
        Some(parent) => format!("{};{}", by_id(conn, parent)?.hierarchy, resource.name),
        None => resource.name,
    };
    conn.prepare_cached(
        "WITH RECURSIVE below (id, hier) AS (
             SELECT ?1, ?2
             UNION ALL
             SELECT r.resc_id, below.hier || ';' || r.resc_name
             FROM r_resc_main r JOIN below ON r.resc_parent = CAST(below.id AS TEXT))
         UPDATE r_resc_main SET resc_hier = (SELECT hier FROM below WHERE id = resc_id)
         WHERE resc_id IN (SELECT id FROM below)",
    )?
    .execute(params![id, hierarchy])?;
    Ok(())
}

/// Makes a resource the child of another. Hierarchies of the whole subtree follow.
///
/// # Errors
/// `CHILD_HAS_PARENT`, `HIERARCHY_ERROR` for a loop, `CAT_INVALID_ARGUMENT` for a parent that stores.
pub fn add_child(
    conn: &Connection,
    who: &Identity,
    parent: &str,
    child: &str,
    context: &str,
) -> Result<()> {
    who.require_rodsadmin()?;
    let parent = get(conn, parent)?;
    let child = get(conn, child).map_err(|error| match error.code {
        code::SYS_RESC_DOES_NOT_EXIST => CatalogError {
            code: code::CHILD_NOT_FOUND,
            ..error
        },
        _ => error,
    })?;
    if child.parent.is_some() {
        return Err(CatalogError::new(
            code::CHILD_HAS_PARENT,
            format!("the resource has a parent: {}", child.name),
        ));
    }
    if parent.stores() {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            format!("a {} has no children", parent.resc_type),
        ));
    }
    let loops: bool = conn
        .prepare_cached(concat!(
            below!(),
            "SELECT EXISTS (SELECT 1 FROM below WHERE id = ?2)"
        ))?
        .query_row([child.id, parent.id], |row| row.get(0))?;
    if loops {
        return Err(CatalogError::new(
            code::HIERARCHY_ERROR,
            format!("{} is below {}", parent.name, child.name),
        ));
    }
    set_parent(conn, child.id, &parent.id.to_string(), context)
}

fn set_parent(conn: &Connection, child: i64, parent: &str, context: &str) -> Result<()> {
    conn.prepare_cached(
        "UPDATE r_resc_main SET resc_parent = ?2, resc_parent_context = ?3, modify_ts = ?4
         WHERE resc_id = ?1",
    )?
    .execute(params![child, parent, context, time::now()])?;
    refresh(conn, child)
}

/// Takes a child from its parent.
pub fn remove_child(conn: &Connection, who: &Identity, parent: &str, child: &str) -> Result<()> {
    who.require_rodsadmin()?;
    let (parent, child) = (get(conn, parent)?, get(conn, child)?);
    if child.parent != Some(parent.id) {
        return Err(CatalogError::new(
            code::CHILD_NOT_FOUND,
            format!("{} is no child of {}", child.name, parent.name),
        ));
    }
    set_parent(conn, child.id, "", "")
}
