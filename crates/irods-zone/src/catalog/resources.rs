//! Resources and their hierarchies.

use rusqlite::Connection;

use super::Identity;
use super::error::{CatalogError, Result, code};

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

/// The resource of that name.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Resource>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The resource of that name.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`.
pub fn get(conn: &Connection, name: &str) -> Result<Resource> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The resource of that id.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`.
pub fn by_id(conn: &Connection, id: i64) -> Result<Resource> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The leaf that a hierarchy string such as `root;mid;leaf` names.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`, or `HIERARCHY_ERROR` if the resources are not in that relation.
pub fn by_hierarchy(conn: &Connection, hierarchy: &str) -> Result<Resource> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Children of a resource, by id.
pub fn children(conn: &Connection, id: i64) -> Result<Vec<Resource>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Resources without children below (or equal to) a resource, by id.
pub fn leaves(conn: &Connection, id: i64) -> Result<Vec<Resource>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// All resources, by id.
pub fn list(conn: &Connection) -> Result<Vec<Resource>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
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
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes a resource, or only checks whether that would do (`dry_run`).
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` (recorded exchange icmdxml_iadmin), `CAT_RESOURCE_NOT_EMPTY`, `CHILD_EXISTS`,
/// `CHILD_HAS_PARENT`.
pub fn remove(conn: &Connection, who: &Identity, name: &str, dry_run: bool) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
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
        Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
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
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
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
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Takes a child from its parent.
pub fn remove_child(conn: &Connection, who: &Identity, parent: &str, child: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Records the free bytes of a resource, as its host measured them.
pub fn set_free_space(conn: &Connection, id: i64, bytes: u64) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Rewrites the vault path of a resource's replicas (`iadmin modrescdatapaths`); returns how many.
pub fn modify_data_paths(
    conn: &Connection,
    who: &Identity,
    name: &str,
    from: &str,
    to: &str,
) -> Result<usize> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
