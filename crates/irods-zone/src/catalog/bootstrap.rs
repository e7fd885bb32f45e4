//! First use of a catalog: zone, administrator, groups, root collections, one resource.

use rusqlite::Connection;

use super::error::{CatalogError, Result, code};

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
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Sets the zone up. Fails with `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME` if it is.
pub fn run(conn: &Connection, zone: &Zone) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
