//! The trash: where something that is removed without force goes.
//!
//! `/z/home/u/a/b` of user u goes to `/z/trash/home/u/a/b`; what is not below the user's own home
//! keeps its path below the zone. A name that is taken gets a random number behind a dot.

use rusqlite::Connection;

use super::error::{CatalogError, Result, code};
use super::{Identity, collections, data_objects, paths, zones};

/// True for the trash collection of the path's zone and everything below it.
#[must_use]
pub fn contains(path: &str) -> bool {
    let mut parts = path.split('/').skip(2);
    parts.next() == Some("trash")
}

/// A free path in the user's trash for the data object or collection at `path`. Missing trash
/// collections are made.
pub fn target(conn: &Connection, who: &Identity, path: &str) -> Result<String> {
    let path = paths::checked(path)?;
    let home_zone = zones::local(conn)?;
    let relative =
        irods_protocol::path::below(path, &format!("/{home_zone}")).ok_or_else(|| {
            CatalogError::new(
                code::SYS_INVALID_FILE_PATH,
                format!("not in this zone: {path}"),
            )
        })?;
    let user = if who.zone == home_zone {
        who.name.clone()
    } else {
        format!("{}#{}", who.name, who.zone)
    };
    let rest = relative
        .strip_prefix(&format!("home/{user}/"))
        .unwrap_or(relative);
    let wanted = format!("/{home_zone}/trash/home/{user}/{rest}");
    let (parent, _) = paths::split(&wanted)?;
    // The user's own trash is his to fill whatever became of its permissions.
    collections::create_recursive(
        conn,
        &Identity {
            admin: true,
            ..who.clone()
        },
        parent,
    )?;
    let mut target = wanted.clone();
    while collections::find(conn, &target)?.is_some() || data_objects::exists(conn, &target)? {
        target = format!("{wanted}.{}", rand::random::<u32>());
    }
    paths::checked(&target)?;
    Ok(target)
}
