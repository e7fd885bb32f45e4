//! Zones: the local one, and remote ones as far as user names need them.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{CatalogError, Result, code};
use super::{Identity, ids, time};

/// Name of the local zone.
///
/// # Errors
/// `CAT_INVALID_ZONE` if the catalog has not been bootstrapped.
pub fn local(conn: &Connection) -> Result<String> {
    conn.prepare_cached("SELECT zone_name FROM r_zone_main WHERE zone_type_name = 'local'")?
        .query_row([], |row| row.get(0))
        .optional()?
        .ok_or_else(|| CatalogError::new(code::CAT_INVALID_ZONE, "the zone has not been set up"))
}

/// `zone` itself, or the local zone for an empty text.
pub fn or_local(conn: &Connection, zone: &str) -> Result<String> {
    if zone.is_empty() {
        local(conn)
    } else {
        Ok(zone.to_owned())
    }
}

/// True if the zone is known.
pub fn exists(conn: &Connection, name: &str) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM r_zone_main WHERE zone_name = ?1")?
        .query_row([name], |_| Ok(()))
        .optional()?
        .is_some())
}

/// Adds a remote zone (`iadmin mkzone`). `connection` is `host:port` or empty.
pub fn add(
    conn: &Connection,
    who: &Identity,
    name: &str,
    zone_type: &str,
    connection: &str,
    comment: &str,
) -> Result<i64> {
    who.require_rodsadmin()?;
    if name.is_empty() || name.contains('/') {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "a zone needs a name",
        ));
    }
    if zone_type != "remote" {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "zone type must be 'remote'",
        ));
    }
    let id = ids::next(conn)?;
    conn.prepare_cached(
        "INSERT INTO r_zone_main
         (zone_id, zone_name, zone_type_name, zone_conn_string, r_comment, create_ts, modify_ts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute(params![
        id,
        name,
        zone_type,
        connection,
        comment,
        time::now()
    ])?;
    Ok(id)
}

/// What `iadmin modzone` can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneField {
    /// `host:port` of the remote catalog.
    Connection,
    /// Free text.
    Comment,
}

/// Changes a zone.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    name: &str,
    field: ZoneField,
    value: &str,
) -> Result<()> {
    who.require_rodsadmin()?;
    let sql = match field {
        ZoneField::Connection => {
            "UPDATE r_zone_main SET zone_conn_string = ?2, modify_ts = ?3 WHERE zone_name = ?1"
        }
        ZoneField::Comment => {
            "UPDATE r_zone_main SET r_comment = ?2, modify_ts = ?3 WHERE zone_name = ?1"
        }
    };
    let changed = conn
        .prepare_cached(sql)?
        .execute(params![name, value, time::now()])?;
    if changed == 0 {
        Err(unknown(name))
    } else {
        Ok(())
    }
}

/// Removes a remote zone.
pub fn remove(conn: &Connection, who: &Identity, name: &str) -> Result<()> {
    who.require_rodsadmin()?;
    if name == local(conn)? {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "the local zone stays",
        ));
    }
    let users: i64 = conn
        .prepare_cached("SELECT count(*) FROM r_user_main WHERE zone_name = ?1")?
        .query_row([name], |row| row.get(0))?;
    if users > 0 {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "the zone still has users",
        ));
    }
    let removed = conn
        .prepare_cached("DELETE FROM r_zone_main WHERE zone_name = ?1")?
        .execute([name])?;
    if removed == 0 {
        Err(unknown(name))
    } else {
        Ok(())
    }
}

fn unknown(name: &str) -> CatalogError {
    CatalogError::new(code::CAT_INVALID_ZONE, format!("no such zone: {name}"))
}
