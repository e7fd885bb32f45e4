//! Metadata (AVUs) of data objects, collections, resources and users.
//!
//! Equal AVUs share one row of r_meta_main, as in the real catalog; a row that nothing uses any
//! more is removed.

use rusqlite::{Connection, OptionalExtension, params};

use super::access::{self, Level};
use super::error::{CatalogError, Result, code};
use super::{Identity, collections, data_objects, ids, paths, resources, time, users};

/// What an AVU is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// `-d`, `data_object`.
    DataObject,
    /// `-C`, `collection`.
    Collection,
    /// `-R`, `resource`.
    Resource,
    /// `-u`, `user`.
    User,
}

/// Attribute, value, units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avu {
    /// Attribute name, not empty.
    pub attribute: String,
    /// Value, not empty.
    pub value: String,
    /// Units, may be empty.
    pub units: String,
}

/// An attached AVU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedAvu {
    /// Id of the AVU.
    pub id: i64,
    /// The AVU.
    pub avu: Avu,
}

impl EntityKind {
    /// Reads `-d`, `-D`, `-C`, `-c`, `-R`, `-r`, `-u` or a name of the JSON calls.
    ///
    /// # Errors
    /// `CAT_INVALID_ARGUMENT`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "-d" | "-D" | "data_object" => Ok(Self::DataObject),
            "-C" | "-c" | "collection" => Ok(Self::Collection),
            "-R" | "-r" | "resource" => Ok(Self::Resource),
            "-u" | "user" => Ok(Self::User),
            _ => Err(CatalogError::new(
                code::CAT_INVALID_ARGUMENT,
                format!("metadata cannot be attached to {text:?}"),
            )),
        }
    }
}

/// AVUs of an entity, by id. Permissions are the caller's.
pub fn list(conn: &Connection, object_id: i64) -> Result<Vec<AttachedAvu>> {
    let mut statement = conn.prepare_cached(
        "SELECT m.meta_id, m.meta_attr_name, m.meta_attr_value, m.meta_attr_unit
         FROM r_objt_metamap o JOIN r_meta_main m ON m.meta_id = o.meta_id
         WHERE o.object_id = ?1 ORDER BY m.meta_id",
    )?;
    let rows = statement.query_map([object_id], |row| {
        let avu = Avu {
            attribute: row.get(1)?,
            value: row.get(2)?,
            units: row.get(3)?,
        };
        Ok(AttachedAvu {
            id: row.get(0)?,
            avu,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Id of an entity by name.
///
/// # Errors
/// `CAT_UNKNOWN_FILE`, `CAT_UNKNOWN_COLLECTION`, `CAT_INVALID_RESOURCE`, `CAT_INVALID_USER`.
pub fn entity_id(conn: &Connection, kind: EntityKind, name: &str) -> Result<i64> {
    match kind {
        EntityKind::DataObject => data_objects::find(conn, name)?
            .map(|object| object.id)
            .ok_or_else(|| {
                CatalogError::new(
                    code::CAT_UNKNOWN_FILE,
                    format!("no such data object: {name}"),
                )
            }),
        EntityKind::Collection => {
            let name = paths::checked(name)?;
            collections::find(conn, name)?
                .map(|collection| collection.id)
                .ok_or_else(|| collections::unknown(name))
        }
        EntityKind::Resource => resources::find(conn, name)?
            .map(|resource| resource.id)
            .ok_or_else(|| {
                CatalogError::new(
                    code::CAT_INVALID_RESOURCE,
                    format!("no such resource: {name}"),
                )
            }),
        EntityKind::User => {
            let (user, zone) = users::split_name(name);
            users::find(conn, user, zone)?
                .map(|user| user.id)
                .ok_or_else(|| users::unknown(name))
        }
    }
}

/// The entity's id, if the user has the level on it; users and resources are the administrators'.
fn permitted(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    level: Level,
) -> Result<i64> {
    let id = entity_id(conn, kind, name)?;
    match kind {
        EntityKind::DataObject | EntityKind::Collection => access::require(conn, who, id, level)?,
        EntityKind::Resource | EntityKind::User => who.require_rodsadmin()?,
    }
    Ok(id)
}

/// Longest attribute, value or units in bytes (server source 4.3).
const MAX_FIELD: usize = 2700;

impl Avu {
    fn check(&self) -> Result<()> {
        if self.attribute.is_empty() || self.value.is_empty() {
            return Err(CatalogError::new(
                code::CAT_INVALID_ARGUMENT,
                "an AVU needs an attribute and a value",
            ));
        }
        if [&self.attribute, &self.value, &self.units]
            .iter()
            .any(|text| text.len() > MAX_FIELD)
        {
            return Err(CatalogError::new(
                code::CAT_INVALID_ARGUMENT,
                format!("a field of an AVU has at most {MAX_FIELD} bytes"),
            ));
        }
        Ok(())
    }
}

/// Id of the AVU's row, if there is one.
fn row_id(conn: &Connection, avu: &Avu) -> Result<Option<i64>> {
    Ok(conn
        .prepare_cached(
            "SELECT meta_id FROM r_meta_main
             WHERE meta_attr_name = ?1 AND meta_attr_value = ?2 AND meta_attr_unit = ?3",
        )?
        .query_row(params![avu.attribute, avu.value, avu.units], |row| {
            row.get(0)
        })
        .optional()?)
}

/// Attaches; false if it was attached already.
fn attach(conn: &Connection, object_id: i64, avu: &Avu) -> Result<bool> {
    avu.check()?;
    let now = time::now();
    let meta_id = match row_id(conn, avu)? {
        Some(id) => id,
        None => {
            let id = ids::next(conn)?;
            conn.prepare_cached(
                "INSERT INTO r_meta_main
                 (meta_id, meta_attr_name, meta_attr_value, meta_attr_unit, create_ts, modify_ts)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            )?
            .execute(params![id, avu.attribute, avu.value, avu.units, now])?;
            id
        }
    };
    let attached = conn
        .prepare_cached(
            "INSERT INTO r_objt_metamap (object_id, meta_id, create_ts, modify_ts)
             VALUES (?1, ?2, ?3, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![object_id, meta_id, now])?;
    Ok(attached == 1)
}

/// Takes off; false if it was not attached.
fn detach(conn: &Connection, object_id: i64, meta_id: i64) -> Result<bool> {
    let removed = conn
        .prepare_cached("DELETE FROM r_objt_metamap WHERE object_id = ?1 AND meta_id = ?2")?
        .execute([object_id, meta_id])?;
    conn.prepare_cached(
        "DELETE FROM r_meta_main WHERE meta_id = ?1
         AND NOT EXISTS (SELECT 1 FROM r_objt_metamap WHERE meta_id = ?1)",
    )?
    .execute([meta_id])?;
    Ok(removed > 0)
}

/// Gives a row that only one object uses another value and other units, so that its creation time stays;
/// false if others use it or the new AVU has a row.
fn renew(conn: &Connection, meta_id: i64, avu: &Avu) -> Result<bool> {
    let renewed = conn
        .prepare_cached(
            "UPDATE r_meta_main SET meta_attr_value = ?2, meta_attr_unit = ?3, modify_ts = ?4
             WHERE meta_id = ?1
             AND (SELECT count(*) FROM r_objt_metamap WHERE meta_id = ?1) = 1
             AND NOT EXISTS (SELECT 1 FROM r_meta_main
               WHERE meta_attr_name = ?5 AND meta_attr_value = ?2 AND meta_attr_unit = ?3)",
        )?
        .execute(params![
            meta_id,
            avu.value,
            avu.units,
            time::now(),
            avu.attribute
        ])?;
    Ok(renewed == 1)
}

/// Takes all AVUs off an object that is about to go.
pub(crate) fn forget(conn: &Connection, object_id: i64) -> Result<()> {
    for attached in list(conn, object_id)? {
        detach(conn, object_id, attached.id)?;
    }
    Ok(())
}

fn nothing_done() -> CatalogError {
    CatalogError::new(
        code::CAT_SUCCESS_BUT_WITH_NO_INFO,
        "no such AVU on the object",
    )
}

fn already_there() -> CatalogError {
    CatalogError::new(
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME,
        "the object has that AVU",
    )
}

/// Attaches an AVU.
///
/// # Errors
/// `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME` if it is attached already, `CAT_NO_ACCESS_PERMISSION`,
/// `CAT_INVALID_ARGUMENT` for an empty attribute or value, and those of [`entity_id`].
pub fn add(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    avu: &Avu,
) -> Result<()> {
    let id = permitted(conn, who, kind, name, Level::CREATE_METADATA)?;
    if attach(conn, id, avu)? {
        Ok(())
    } else {
        Err(already_there())
    }
}

/// Makes the AVU the only one of its attribute on the entity.
pub fn set(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    avu: &Avu,
) -> Result<()> {
    let id = permitted(conn, who, kind, name, Level::MODIFY_METADATA)?;
    avu.check()?;
    let mut present = list(conn, id)?;
    present.retain(|old| old.avu.attribute == avu.attribute);
    if let [only] = present.as_slice()
        && renew(conn, only.id, avu)?
    {
        return Ok(());
    }
    for old in present {
        if old.avu != *avu {
            detach(conn, id, old.id)?;
        }
    }
    attach(conn, id, avu)?;
    Ok(())
}

/// Takes an AVU off; `CAT_SUCCESS_BUT_WITH_NO_INFO` if it was not attached.
pub fn remove(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    avu: &Avu,
) -> Result<()> {
    let id = permitted(conn, who, kind, name, Level::DELETE_METADATA)?;
    match row_id(conn, avu)? {
        Some(meta_id) if detach(conn, id, meta_id)? => Ok(()),
        _ => Err(nothing_done()),
    }
}

/// Takes off all AVUs that match three LIKE patterns.
pub fn remove_matching(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    patterns: &Avu,
) -> Result<()> {
    let id = permitted(conn, who, kind, name, Level::DELETE_METADATA)?;
    let matching: Vec<i64> = conn
        .prepare_cached(
            r"SELECT m.meta_id FROM r_objt_metamap o JOIN r_meta_main m ON m.meta_id = o.meta_id
             WHERE o.object_id = ?1 AND m.meta_attr_name LIKE ?2 ESCAPE '\'
             AND m.meta_attr_value LIKE ?3 ESCAPE '\' AND m.meta_attr_unit LIKE ?4 ESCAPE '\'",
        )?
        .query_map(
            params![id, patterns.attribute, patterns.value, patterns.units],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    if matching.is_empty() {
        return Err(nothing_done());
    }
    for meta_id in matching {
        detach(conn, id, meta_id)?;
    }
    Ok(())
}

/// Takes an AVU off by the id of the AVU.
pub fn remove_by_id(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    meta_id: i64,
) -> Result<()> {
    let id = permitted(conn, who, kind, name, Level::DELETE_METADATA)?;
    if detach(conn, id, meta_id)? {
        Ok(())
    } else {
        Err(nothing_done())
    }
}

/// Replaces one AVU by another.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    old: &Avu,
    new: &Avu,
) -> Result<()> {
    let id = permitted(conn, who, kind, name, Level::MODIFY_METADATA)?;
    new.check()?;
    let old_id = row_id(conn, old)?.ok_or_else(nothing_done)?;
    if !detach(conn, id, old_id)? {
        return Err(nothing_done());
    }
    if attach(conn, id, new)? {
        Ok(())
    } else {
        Err(already_there())
    }
}

/// Attaches all AVUs of one entity to another.
pub fn copy(
    conn: &Connection,
    who: &Identity,
    from: (EntityKind, &str),
    to: (EntityKind, &str),
) -> Result<()> {
    let source = permitted(conn, who, from.0, from.1, Level::READ_METADATA)?;
    let target = permitted(conn, who, to.0, to.1, Level::CREATE_METADATA)?;
    for attached in list(conn, source)? {
        if !attach(conn, target, &attached.avu)? {
            return Err(already_there());
        }
    }
    Ok(())
}

/// One step of an atomic change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Attach; nothing happens if it is attached.
    Add(Avu),
    /// Take off; nothing happens if it is not attached.
    Remove(Avu),
}

/// Applies all operations or none. The error says which operation failed, `None` before the first.
pub fn apply_atomic(
    conn: &Connection,
    who: &Identity,
    kind: EntityKind,
    name: &str,
    operations: &[Operation],
) -> std::result::Result<(), (Option<usize>, CatalogError)> {
    let id = permitted(conn, who, kind, name, Level::MODIFY_METADATA).map_err(|error| {
        // Recorded exchange prc_avu_atomic: an unknown entity is an invalid parameter here.
        match error.code {
            code::CAT_NO_ACCESS_PERMISSION | code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL => {
                (None, error)
            }
            _ => {
                let message = format!("Entity does not exist [entity_name={name}]");
                (
                    None,
                    CatalogError::new(code::SYS_INVALID_INPUT_PARAM, message),
                )
            }
        }
    })?;
    for (index, operation) in operations.iter().enumerate() {
        let done = match operation {
            Operation::Add(avu) => attach(conn, id, avu).map(|_| ()),
            Operation::Remove(avu) => row_id(conn, avu)
                .and_then(|row| row.map_or(Ok(false), |meta_id| detach(conn, id, meta_id)))
                .map(|_| ()),
        };
        done.map_err(|error| (Some(index), error))?;
    }
    Ok(())
}

/// Removes AVUs that nothing uses (`iadmin rum`); returns how many.
pub fn remove_unused(conn: &Connection, who: &Identity) -> Result<usize> {
    who.require_rodsadmin()?;
    Ok(conn.execute(
        "DELETE FROM r_meta_main WHERE meta_id NOT IN (SELECT meta_id FROM r_objt_metamap)",
        [],
    )?)
}
