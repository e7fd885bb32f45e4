//! Resources: their rows. `hierarchy` is how they stand to each other.

mod hierarchy;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{CatalogError, Result, code};
use super::{Identity, access, ids, metadata, time, zones};

pub use hierarchy::{add_child, by_hierarchy, children, leaves, remove_child};

/// Host name of a resource that has none.
pub const EMPTY_HOST: &str = "EMPTY_RESC_HOST";
/// Vault path of a resource that has none.
pub const EMPTY_PATH: &str = "EMPTY_RESC_PATH";

/// A resource's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Type, e.g. `unixfilesystem`.
    pub resc_type: String,
    /// Host.
    pub host: String,
    /// Vault directory.
    pub vault_path: String,
    /// Free bytes as text, empty if unknown.
    pub free_space: String,
    /// Comment.
    pub comment: String,
    /// Information.
    pub info: String,
    /// `up`, `down` or empty.
    pub status: String,
    /// Context string, `key=value;…`.
    pub context: String,
    /// Id of the parent.
    pub parent: Option<i64>,
    /// Context given with the parent.
    pub parent_context: String,
    /// Names from the root to this resource, joined by `;`.
    pub hierarchy: String,
}

impl Resource {
    /// True if the type stores bytes itself.
    #[must_use]
    pub fn stores(&self) -> bool {
        super::tokens::RESOURCE_TYPES
            .iter()
            .any(|(name, stores)| *stores && *name == self.resc_type)
    }

    /// True if its bytes are objects of an S3 server.
    #[must_use]
    pub fn is_s3(&self) -> bool {
        self.resc_type == "s3"
    }

    /// True if an administrator marked it down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.status == "down"
    }

    /// Value of a key of the context string.
    #[must_use]
    pub fn context_value(&self, key: &str) -> Option<&str> {
        self.context
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT resc_id, resc_name, resc_type_name, resc_net, resc_def_path, free_space, r_comment,
             resc_info, resc_status, resc_context, resc_parent, resc_parent_context, resc_hier
             FROM r_resc_main ",
            $tail
        )
    };
}

use select;

fn from_row(row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource {
        id: row.get(0)?,
        name: row.get(1)?,
        resc_type: row.get(2)?,
        host: row.get(3)?,
        vault_path: row.get(4)?,
        free_space: row.get(5)?,
        comment: row.get(6)?,
        info: row.get(7)?,
        status: row.get(8)?,
        context: row.get(9)?,
        parent: row.get::<_, String>(10)?.parse().ok(),
        parent_context: row.get(11)?,
        hierarchy: row.get(12)?,
    })
}

/// The resource of that name.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Resource>> {
    Ok(conn
        .prepare_cached(select!("WHERE resc_name = ?1"))?
        .query_row([name], from_row)
        .optional()?)
}

/// The resource of that name.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`.
pub fn get(conn: &Connection, name: &str) -> Result<Resource> {
    find(conn, name)?.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> CatalogError {
    CatalogError::new(
        code::SYS_RESC_DOES_NOT_EXIST,
        format!("no such resource: {name}"),
    )
}

/// The resource of that id.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`.
pub fn by_id(conn: &Connection, id: i64) -> Result<Resource> {
    conn.prepare_cached(select!("WHERE resc_id = ?1"))?
        .query_row([id], from_row)
        .optional()?
        .ok_or_else(|| unknown(&id.to_string()))
}

/// All resources, by id.
pub fn list(conn: &Connection) -> Result<Vec<Resource>> {
    let mut statement = conn.prepare_cached(select!("ORDER BY resc_id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What a new resource starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResource {
    /// Name.
    pub name: String,
    /// Type.
    pub resc_type: String,
    /// Host; empty means [`EMPTY_HOST`].
    pub host: String,
    /// Vault directory; empty means [`EMPTY_PATH`].
    pub vault_path: String,
    /// Context string.
    pub context: String,
}

/// Adds a resource.
///
/// # Errors
/// `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME`, `CAT_INVALID_RESOURCE_TYPE`, `CAT_INVALID_ARGUMENT`.
pub fn add(conn: &Connection, who: &Identity, new: &NewResource) -> Result<i64> {
    who.require_rodsadmin()?;
    insert(conn, new)
}

/// Writes the row of a new resource, whoever asks.
pub(crate) fn insert(conn: &Connection, new: &NewResource) -> Result<i64> {
    check_name(&new.name)?;
    check_type(&new.resc_type)?;
    let host = if new.host.is_empty() {
        EMPTY_HOST
    } else {
        &new.host
    };
    let vault_path = if new.vault_path.is_empty() {
        EMPTY_PATH
    } else {
        &new.vault_path
    };
    let id = ids::next(conn)?;
    conn.prepare_cached(
        "INSERT INTO r_resc_main (resc_id, resc_name, zone_name, resc_type_name, resc_net, resc_def_path,
         resc_context, create_ts, modify_ts, resc_hier) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?2)",
    )?
    .execute(params![
        id,
        new.name,
        zones::local(conn)?,
        new.resc_type,
        host,
        vault_path,
        new.context,
        time::now()
    ])?;
    Ok(id)
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 63 || name.contains([';', '/', '\0']) {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            format!("no resource name: {name:?}"),
        ));
    }
    Ok(())
}

/// Types that this zone does not know are accepted and serve nothing (recorded exchange prc_resources).
fn check_type(name: &str) -> Result<()> {
    if !name.is_empty() && name.len() < 250 {
        return Ok(());
    }
    Err(CatalogError::new(
        code::CAT_INVALID_RESOURCE_TYPE,
        format!("no resource type: {name:?}"),
    ))
}

/// Removes a resource, or only checks whether that would do (`dry_run`).
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` (recorded exchange icmdxml_iadmin), `CAT_RESOURCE_NOT_EMPTY`, `CHILD_EXISTS`,
/// `CHILD_HAS_PARENT`.
pub fn remove(conn: &Connection, who: &Identity, name: &str, dry_run: bool) -> Result<()> {
    who.require_rodsadmin()?;
    let resource = find(conn, name)?.ok_or_else(|| CatalogError::no_rows(name))?;
    let used: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM r_data_main WHERE resc_id = ?1)")?
        .query_row([resource.id], |row| row.get(0))?;
    if used {
        return Err(CatalogError::new(
            code::CAT_RESOURCE_NOT_EMPTY,
            format!("the resource has replicas: {name}"),
        ));
    }
    if !children(conn, resource.id)?.is_empty() {
        return Err(CatalogError::new(
            code::CHILD_EXISTS,
            format!("resource '{name}' has a parent or child"),
        ));
    }
    if resource.parent.is_some() {
        return Err(CatalogError::new(
            code::CHILD_HAS_PARENT,
            format!("the resource has a parent: {name}"),
        ));
    }
    if dry_run {
        return Ok(());
    }
    metadata::forget(conn, resource.id)?;
    access::forget(conn, resource.id)?;
    conn.prepare_cached("DELETE FROM r_resc_main WHERE resc_id = ?1")?
        .execute([resource.id])?;
    Ok(())
}

/// What `iadmin modresc` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceField {
    /// `name`.
    Name,
    /// `type`.
    Type,
    /// `path`.
    VaultPath,
    /// `host`.
    Host,
    /// `status`.
    Status,
    /// `comment`.
    Comment,
    /// `info`.
    Info,
    /// `context`.
    Context,
    /// `free_space`.
    FreeSpace,
    /// `parent_context`.
    ParentContext,
}

impl ResourceField {
    /// Reads the option word of `iadmin modresc`.
    ///
    /// # Errors
    /// `CAT_INVALID_ARGUMENT`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "name" => Self::Name,
            "type" => Self::Type,
            "path" => Self::VaultPath,
            "host" => Self::Host,
            "status" => Self::Status,
            "comment" => Self::Comment,
            "info" => Self::Info,
            "context" => Self::Context,
            "free_space" | "freespace" => Self::FreeSpace,
            "parent_context" => Self::ParentContext,
            _ => {
                return Err(CatalogError::new(
                    code::CAT_INVALID_ARGUMENT,
                    format!("a resource has no {text:?} to change"),
                ));
            }
        })
    }

    const fn column(self) -> &'static str {
        match self {
            Self::Name => "resc_name",
            Self::Type => "resc_type_name",
            Self::VaultPath => "resc_def_path",
            Self::Host => "resc_net",
            Self::Status => "resc_status",
            Self::Comment => "r_comment",
            Self::Info => "resc_info",
            Self::Context => "resc_context",
            Self::FreeSpace => "free_space",
            Self::ParentContext => "resc_parent_context",
        }
    }
}

/// Changes a resource.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    name: &str,
    field: ResourceField,
    value: &str,
) -> Result<()> {
    who.require_rodsadmin()?;
    let resource = get(conn, name)?;
    match field {
        ResourceField::Name => check_name(value)?,
        ResourceField::Type => check_type(value)?,
        _ => {}
    }
    let now = time::now();
    conn.prepare_cached(&format!(
        "UPDATE r_resc_main SET {} = ?2, modify_ts = ?3 WHERE resc_id = ?1",
        field.column()
    ))?
    .execute(params![resource.id, value, now])?;
    match field {
        ResourceField::Name => hierarchy::refresh(conn, resource.id),
        ResourceField::FreeSpace => {
            conn.prepare_cached("UPDATE r_resc_main SET free_space_ts = ?2 WHERE resc_id = ?1")?
                .execute(params![resource.id, now])?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Records the free bytes of a resource, as its host measured them.
pub fn set_free_space(conn: &Connection, id: i64, bytes: u64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE r_resc_main SET free_space = ?2, free_space_ts = ?3 WHERE resc_id = ?1",
    )?
    .execute(params![id, bytes.to_string(), time::now()])?;
    Ok(())
}

/// Rewrites the vault path of a resource's replicas (`iadmin modrescdatapaths`); returns how many.
pub fn modify_data_paths(
    conn: &Connection,
    who: &Identity,
    name: &str,
    from: &str,
    to: &str,
) -> Result<usize> {
    who.require_rodsadmin()?;
    let resource = get(conn, name)?;
    super::replicas::move_physical_paths(
        conn,
        resource.id,
        from.trim_end_matches('/'),
        to.trim_end_matches('/'),
    )
}
