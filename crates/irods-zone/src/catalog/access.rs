//! Permissions: the levels, who has which on what, and changing that.
//!
//! A user's level on an object is the highest of his own and his groups'. `public` is a group like
//! any other; every user but `anonymous` is made its member. A ticket adds to them.

use rusqlite::{Connection, params};

use super::error::{CatalogError, Result, code};
use super::tokens::ACCESS_LEVELS;
use super::{Identity, collections, data_objects, paths, tickets, time, users};

/// An access level: its token id, ordered by power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(i64);

impl Level {
    /// No access.
    pub const NULL: Self = Self(1000);
    /// May see the object's metadata.
    pub const READ_METADATA: Self = Self(1040);
    /// May read; also what makes rows visible in queries.
    pub const READ_OBJECT: Self = Self(1050);
    /// May add metadata.
    pub const CREATE_METADATA: Self = Self(1070);
    /// May change metadata.
    pub const MODIFY_METADATA: Self = Self(1080);
    /// May remove metadata.
    pub const DELETE_METADATA: Self = Self(1090);
    /// May write; on a collection: may create in it.
    pub const MODIFY_OBJECT: Self = Self(1120);
    /// May remove the object.
    pub const DELETE_OBJECT: Self = Self(1130);
    /// Everything.
    pub const OWN: Self = Self(1200);

    /// Token id, e.g. 1050.
    #[must_use]
    pub const fn id(self) -> i64 {
        self.0
    }

    /// Reads a level as clients write it: `read`, `write`, or a token name with underscores or blanks.
    ///
    /// # Errors
    /// `CAT_INVALID_ARGUMENT` for any other word.
    pub fn parse(text: &str) -> Result<Self> {
        let name = match text {
            "read" => "read_object".to_owned(),
            "write" => "modify_object".to_owned(),
            other => other.replace(' ', "_"),
        };
        ACCESS_LEVELS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(id, _)| Self(*id))
            .ok_or_else(|| {
                CatalogError::new(
                    code::CAT_INVALID_ARGUMENT,
                    format!("access level '{text}' is invalid"),
                )
            })
    }

    /// Token name, e.g. `read_object`.
    #[must_use]
    pub fn name(self) -> &'static str {
        ACCESS_LEVELS
            .iter()
            .find(|(id, _)| *id == self.0)
            .map_or("null", |(_, name)| name)
    }
}

/// One permission on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Id of the user or group.
    pub user_id: i64,
    /// Its name.
    pub user_name: String,
    /// Its zone.
    pub zone: String,
    /// Its type, e.g. `rodsgroup`.
    pub user_type: String,
    /// What it may do.
    pub level: Level,
}

/// The user's level on an object (data object, collection or resource id), by his permissions or by the ticket that he
/// has; `OWN` in admin mode.
///
/// # Errors
/// Those of a ticket that is for the object and has run out.
pub fn level_of(conn: &Connection, who: &Identity, object_id: i64) -> Result<Level> {
    let own = own_level(conn, who, object_id)?;
    if who.ticket.is_none() || own >= Level::MODIFY_OBJECT {
        return Ok(own);
    }
    Ok(own.max(tickets::level(conn, who, object_id)?))
}

/// The user's level on an object by permissions alone.
pub(crate) fn own_level(conn: &Connection, who: &Identity, object_id: i64) -> Result<Level> {
    if who.admin {
        return Ok(Level::OWN);
    }
    let id: Option<i64> = conn
        .prepare_cached(
            "SELECT max(a.access_type_id) FROM r_objt_access a
             JOIN r_user_group g ON g.group_user_id = a.user_id
             WHERE a.object_id = ?1 AND g.user_id = ?2",
        )?
        .query_row(params![object_id, who.user_id], |row| row.get(0))?;
    Ok(id.map_or(Level::NULL, Level))
}

/// Fails with `CAT_NO_ACCESS_PERMISSION` unless the user has at least that level on the object.
pub fn require(conn: &Connection, who: &Identity, object_id: i64, level: Level) -> Result<()> {
    if level_of(conn, who, object_id)? >= level {
        return Ok(());
    }
    Err(denied(who, level))
}

/// True if the user may know that an object exists: rodsadmins see every row, others what they may read.
pub fn may_see(conn: &Connection, who: &Identity, object_id: i64) -> Result<bool> {
    Ok(who.sees_all() || level_of(conn, who, object_id)? >= Level::READ_OBJECT)
}

/// The error of a user who lacks a level.
fn denied(who: &Identity, level: Level) -> CatalogError {
    CatalogError::new(
        code::CAT_NO_ACCESS_PERMISSION,
        format!(
            "{}#{} has no {} permission",
            who.name,
            who.zone,
            level.name()
        ),
    )
}

/// All permissions on an object, by user name.
pub fn list(conn: &Connection, object_id: i64) -> Result<Vec<Entry>> {
    let mut statement = conn.prepare_cached(
        "SELECT u.user_id, u.user_name, u.zone_name, u.user_type_name, a.access_type_id
         FROM r_objt_access a JOIN r_user_main u ON u.user_id = a.user_id
         WHERE a.object_id = ?1 ORDER BY u.user_name, u.zone_name",
    )?;
    let rows = statement.query_map([object_id], |row| {
        Ok(Entry {
            user_id: row.get(0)?,
            user_name: row.get(1)?,
            zone: row.get(2)?,
            user_type: row.get(3)?,
            level: Level(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What `MOD_ACCESS_CONTROL` can do to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Gives a user or group a level; `NULL` takes its entry away.
    Grant {
        /// User or group name.
        user: String,
        /// Its zone, empty for the local one.
        zone: String,
        /// The level.
        level: Level,
    },
    /// New children of the collection take over its permissions.
    Inherit,
    /// They no longer do.
    NoInherit,
}

/// Changes the permissions of a data object or collection; needs `OWN` (or admin mode).
/// `recursive` goes through the whole subtree of a collection.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    path: &str,
    change: &Change,
    recursive: bool,
) -> Result<()> {
    let what = changeable(conn, who, path)?;
    change_one(conn, &what, change, recursive)
}

/// What permissions are changed of.
struct Changeable<'a> {
    path: &'a str,
    collection: Option<collections::Collection>,
    object_id: i64,
}

/// Finds it, if the user owns it.
fn changeable<'a>(conn: &Connection, who: &Identity, path: &'a str) -> Result<Changeable<'a>> {
    let path = paths::checked(path)?;
    let collection = collections::find(conn, path)?;
    let object_id = match &collection {
        Some(collection) => collection.id,
        None => data_objects::find(conn, path)?
            .map(|object| object.id)
            .ok_or_else(|| {
                CatalogError::new(
                    code::CAT_INVALID_ARGUMENT,
                    format!("Input path is not a collection and not a dataObj: {path}"),
                )
            })?,
    };
    require(conn, who, object_id, Level::OWN)?;
    Ok(Changeable {
        path,
        collection,
        object_id,
    })
}

fn change_one(
    conn: &Connection,
    what: &Changeable<'_>,
    change: &Change,
    recursive: bool,
) -> Result<()> {
    let Changeable {
        path,
        ref collection,
        object_id,
    } = *what;
    let subtree = recursive && collection.is_some();
    match change {
        Change::Grant { user, zone, level } => {
            let user = users::find(conn, user, zone)?.ok_or_else(|| users::unknown(user))?;
            if subtree {
                set_below(conn, path, user.id, *level)?;
            }
            set(conn, object_id, user.id, *level)
        }
        Change::Inherit | Change::NoInherit if collection.is_none() => Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "a data object has no inheritance",
        )),
        Change::Inherit => set_inheritance(conn, path, "1", subtree),
        Change::NoInherit => set_inheritance(conn, path, "0", subtree),
    }
}

/// Sets one entry; `NULL` removes it. Nothing is checked.
pub(crate) fn set(conn: &Connection, object_id: i64, user_id: i64, level: Level) -> Result<()> {
    if level == Level::NULL {
        conn.prepare_cached("DELETE FROM r_objt_access WHERE object_id = ?1 AND user_id = ?2")?
            .execute(params![object_id, user_id])?;
    } else {
        conn.prepare_cached(
            "INSERT INTO r_objt_access (object_id, user_id, access_type_id, create_ts, modify_ts)
             VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (object_id, user_id)
             DO UPDATE SET access_type_id = excluded.access_type_id, modify_ts = excluded.modify_ts",
        )?
        .execute(params![object_id, user_id, level.id(), time::now()])?;
    }
    Ok(())
}

/// Gives a new object its first permissions: those of the parent if it hands them on, else `OWN`
/// for the creator.
pub(crate) fn initialise(
    conn: &Connection,
    parent: &collections::Collection,
    object_id: i64,
    creator: i64,
) -> Result<()> {
    if !parent.inherit {
        return set(conn, object_id, creator, Level::OWN);
    }
    conn.prepare_cached(
        "INSERT INTO r_objt_access (object_id, user_id, access_type_id, create_ts, modify_ts)
         SELECT ?1, user_id, access_type_id, ?3, ?3 FROM r_objt_access WHERE object_id = ?2",
    )?
    .execute(params![object_id, parent.id, time::now()])?;
    Ok(())
}

/// Removes every permission on an object that is about to go.
pub(crate) fn forget(conn: &Connection, object_id: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM r_objt_access WHERE object_id = ?1")?
        .execute([object_id])?;
    Ok(())
}

/// Ids of all collections below `?1..?2` and of all data objects in them and in the collection `?3`.
macro_rules! ids_below {
    () => {
        "SELECT coll_id AS id FROM r_coll_main WHERE coll_name >= ?1 AND coll_name < ?2
         UNION ALL
         SELECT DISTINCT d.data_id FROM r_data_main d JOIN r_coll_main c ON c.coll_id = d.coll_id
         WHERE (c.coll_name >= ?1 AND c.coll_name < ?2) OR c.coll_name = ?3"
    };
}

fn set_below(conn: &Connection, path: &str, user_id: i64, level: Level) -> Result<()> {
    let (from, to) = paths::below_bounds(path);
    if level == Level::NULL {
        conn.prepare_cached(concat!(
            "DELETE FROM r_objt_access WHERE user_id = ?4 AND object_id IN (",
            ids_below!(),
            ")"
        ))?
        .execute(params![from, to, path, user_id])?;
    } else {
        conn.prepare_cached(concat!(
            "INSERT INTO r_objt_access (object_id, user_id, access_type_id, create_ts, modify_ts)
             SELECT id, ?4, ?5, ?6, ?6 FROM (",
            ids_below!(),
            ") WHERE true
             ON CONFLICT (object_id, user_id)
             DO UPDATE SET access_type_id = excluded.access_type_id, modify_ts = excluded.modify_ts"
        ))?
        .execute(params![from, to, path, user_id, level.id(), time::now()])?;
    }
    Ok(())
}

fn set_inheritance(conn: &Connection, path: &str, value: &str, subtree: bool) -> Result<()> {
    let now = time::now();
    conn.prepare_cached(
        "UPDATE r_coll_main SET coll_inheritance = ?2, modify_ts = ?3 WHERE coll_name = ?1",
    )?
    .execute(params![path, value, now])?;
    if subtree {
        let (from, to) = paths::below_bounds(path);
        conn.prepare_cached(
            "UPDATE r_coll_main SET coll_inheritance = ?3, modify_ts = ?4
             WHERE coll_name >= ?1 AND coll_name < ?2",
        )?
        .execute(params![from, to, value, now])?;
    }
    Ok(())
}

/// True if the user has the level on everything below a collection, itself not counted.
pub(crate) fn everywhere_below(
    conn: &Connection,
    who: &Identity,
    path: &str,
    level: Level,
) -> Result<bool> {
    if who.admin {
        return Ok(true);
    }
    let (from, to) = paths::below_bounds(path);
    let lacking: bool = conn
        .prepare_cached(concat!(
            "SELECT EXISTS (SELECT 1 FROM (",
            ids_below!(),
            ") below WHERE coalesce((SELECT max(a.access_type_id) FROM r_objt_access a
               JOIN r_user_group g ON g.group_user_id = a.user_id
               WHERE a.object_id = below.id AND g.user_id = ?4), 0) < ?5)"
        ))?
        .query_row(params![from, to, path, who.user_id, level.id()], |row| {
            row.get(0)
        })?;
    Ok(!lacking)
}

/// Applies several grants to one object, all or none. The error names the operation that failed.
pub fn apply_all(
    conn: &Connection,
    who: &Identity,
    path: &str,
    changes: &[Change],
) -> std::result::Result<(), (usize, CatalogError)> {
    let what = changeable(conn, who, path).map_err(|e| (0, e))?;
    for (index, change) in changes.iter().enumerate() {
        change_one(conn, &what, change, false).map_err(|e| (index, e))?;
    }
    Ok(())
}
