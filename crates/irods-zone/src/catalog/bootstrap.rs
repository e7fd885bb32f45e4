//! First use of a catalog: zone, administrator, groups, root collections, one resource.

use rusqlite::{Connection, params};

use super::error::{CatalogError, Result, code};
use super::resources::NewResource;
use super::{Identity, UserType, collections, ids, resources, time, users};

/// What a new zone consists of.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Zone name.
    pub name: String,
    /// Name of the administrator.
    pub admin: String,
    /// His password, 3 to 42 bytes.
    pub password: String,
    /// Name of the resource (type unixfilesystem).
    pub resource: String,
    /// Host of the resource, as clients know it.
    pub host: String,
    /// Vault directory of the resource.
    pub vault_path: String,
}

/// True once [`run`] has been committed.
pub fn is_done(conn: &Connection) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM r_zone_main WHERE zone_type_name = 'local')")?
        .query_row([], |row| row.get(0))?)
}

/// Sets the zone up. Fails with `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME` if it is.
pub fn run(conn: &Connection, zone: &Zone) -> Result<()> {
    if is_done(conn)? {
        return Err(CatalogError::new(
            code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME,
            "the catalog has a zone already",
        ));
    }
    let name = zone.name.as_str();
    irods_protocol::path::check_name(name)
        .map_err(|e| CatalogError::new(code::CAT_INVALID_ARGUMENT, format!("{name:?}: {e}")))?;
    conn.execute(
        "INSERT INTO r_zone_main (zone_id, zone_name, zone_type_name, create_ts, modify_ts)
         VALUES (?1, ?2, 'local', ?3, ?3)",
        params![ids::next(conn)?, name, time::now()],
    )?;
    let public = users::insert_row(conn, users::PUBLIC, name, UserType::RodsGroup)?;
    let admin = users::insert_row(conn, &zone.admin, name, UserType::RodsAdmin)?;
    users::join(conn, public, admin)?;
    users::set_password(conn, admin, &zone.password)?;
    let admin = users::identity(conn, &zone.admin, name)?;
    let public = Identity {
        user_id: public,
        name: users::PUBLIC.to_owned(),
        ..admin.clone()
    };
    for (owner, path) in [
        (&admin, "/".to_owned()),
        (&admin, format!("/{name}")),
        (&admin, format!("/{name}/home")),
        (&public, format!("/{name}/home/public")),
        (&admin, format!("/{name}/home/{}", admin.name)),
        (&admin, format!("/{name}/trash")),
        (&admin, format!("/{name}/trash/home")),
        (&public, format!("/{name}/trash/home/public")),
        (&admin, format!("/{name}/trash/home/{}", admin.name)),
    ] {
        collections::insert_root(conn, owner, &path)?;
    }
    resources::insert(
        conn,
        &NewResource {
            name: zone.resource.clone(),
            resc_type: "unixfilesystem".to_owned(),
            host: zone.host.clone(),
            vault_path: zone.vault_path.clone(),
            context: String::new(),
        },
    )?;
    Ok(())
}
