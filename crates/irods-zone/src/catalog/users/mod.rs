//! Users and groups: their rows, what comes with them, and who may change them.

mod groups;
mod passwords;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{CatalogError, Result, code};
use super::{Identity, UserType, collections, ids, metadata, time, zones};

pub(crate) use groups::join;
pub use groups::{PUBLIC, add_group, add_member, remove_member};
pub use passwords::{
    Password, add_temporary_password, exchanged_password, passwords, set_password, use_up,
};

/// A user's or group's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: i64,
    /// Name without zone.
    pub name: String,
    /// Zone.
    pub zone: String,
    /// Type.
    pub user_type: UserType,
    /// `USER_INFO`.
    pub info: String,
    /// `USER_COMMENT`.
    pub comment: String,
    /// Creation time, 11 digits.
    pub create_time: String,
    /// Modification time, 11 digits.
    pub modify_time: String,
}

/// `name#zone` or `name`, taken apart; the zone is empty if none is given.
#[must_use]
pub fn split_name(text: &str) -> (&str, &str) {
    text.split_once('#').unwrap_or((text, ""))
}

/// The user or group of that name; an empty zone means the local one.
pub fn find(conn: &Connection, name: &str, zone: &str) -> Result<Option<User>> {
    let zone = zones::or_local(conn, zone)?;
    Ok(conn
        .prepare_cached(
            "SELECT user_id, user_name, zone_name, user_type_name, user_info, r_comment, create_ts, modify_ts
             FROM r_user_main WHERE user_name = ?1 AND zone_name = ?2",
        )?
        .query_row(params![name, zone], |row| {
            Ok(User {
                id: row.get(0)?,
                name: row.get(1)?,
                zone: row.get(2)?,
                user_type: UserType::parse(&row.get::<_, String>(3)?)
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?,
                info: row.get(4)?,
                comment: row.get(5)?,
                create_time: row.get(6)?,
                modify_time: row.get(7)?,
            })
        })
        .optional()?)
}

/// The error of a name that is no user's.
pub(crate) fn unknown(name: &str) -> CatalogError {
    CatalogError::new(code::CAT_INVALID_USER, format!("no such user: {name}"))
}

/// The identity of a user (not a group).
///
/// # Errors
/// `CAT_INVALID_USER`.
pub fn identity(conn: &Connection, name: &str, zone: &str) -> Result<Identity> {
    match find(conn, name, zone)? {
        Some(user) if user.user_type != UserType::RodsGroup => Ok(Identity {
            user_id: user.id,
            name: user.name,
            zone: user.zone,
            user_type: user.user_type,
            admin: false,
            strict: false,
            ticket: None,
        }),
        _ => Err(unknown(name)),
    }
}

/// Adds a user with home and trash collections, member of `public` and of his own group.
/// `auth` is an authentication name or empty. Rodsadmins and groupadmins only; the latter make rodsusers.
pub fn add_user(
    conn: &Connection,
    who: &Identity,
    name: &str,
    zone: &str,
    user_type: UserType,
    auth: &str,
) -> Result<i64> {
    let permitted = match who.user_type {
        UserType::RodsAdmin => true,
        UserType::GroupAdmin => user_type == UserType::RodsUser,
        _ => false,
    };
    if !permitted {
        return Err(insufficient(who));
    }
    if user_type == UserType::RodsGroup {
        return Err(CatalogError::new(
            code::CAT_INVALID_USER_TYPE,
            "a group is not a user",
        ));
    }
    let id = insert(conn, name, zone, user_type)?;
    if !auth.is_empty() {
        add_auth(conn, id, auth)?;
    }
    // `anonymous` is not made a member of `public` (rule acCreateUser, server source 4.3).
    if name != "anonymous" {
        let public = find(conn, PUBLIC, "")?.ok_or_else(|| unknown(PUBLIC))?;
        join(conn, public.id, id)?;
    }
    Ok(id)
}

fn insufficient(who: &Identity) -> CatalogError {
    CatalogError::new(
        code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL,
        format!("{}#{} may not do that", who.name, who.zone),
    )
}

/// Writes the row of a user or group with its own membership and collections.
fn insert(conn: &Connection, name: &str, zone: &str, user_type: UserType) -> Result<i64> {
    if name.is_empty()
        || name.len() > 63
        || name.contains(['/', '#', '\0'])
        || name.starts_with('.')
    {
        return Err(CatalogError::new(
            code::USER_INVALID_USERNAME_FORMAT,
            format!("no user name: {name:?}"),
        ));
    }
    let local = zones::local(conn)?;
    let zone = if zone.is_empty() {
        local.as_str()
    } else {
        zone
    };
    if !zones::exists(conn, zone)? {
        return Err(CatalogError::new(
            code::CAT_INVALID_ZONE,
            format!("no such zone: {zone}"),
        ));
    }
    let id = insert_row(conn, name, zone, user_type)?;
    let owner = Identity {
        user_id: id,
        name: name.to_owned(),
        zone: zone.to_owned(),
        user_type,
        admin: false,
        strict: false,
        ticket: None,
    };
    for path in own_collections(&local, name, zone) {
        collections::create_for(conn, &owner, &path)?;
    }
    Ok(id)
}

/// Writes the row of a user or group and makes it a member of the group of its own id.
pub(crate) fn insert_row(
    conn: &Connection,
    name: &str,
    zone: &str,
    user_type: UserType,
) -> Result<i64> {
    let id = ids::next(conn)?;
    conn.prepare_cached(
        "INSERT INTO r_user_main (user_id, user_name, user_type_name, zone_name, create_ts, modify_ts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )?
    .execute(params![id, name, user_type.as_str(), zone, time::now()])?;
    join(conn, id, id)?;
    Ok(id)
}

/// Home and trash of a user or group.
fn own_collections(local: &str, name: &str, zone: &str) -> [String; 2] {
    let name = if zone == local {
        name.to_owned()
    } else {
        format!("{name}#{zone}")
    };
    [
        format!("/{local}/home/{name}"),
        format!("/{local}/trash/home/{name}"),
    ]
}

fn add_auth(conn: &Connection, user_id: i64, auth: &str) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO r_user_auth (user_id, user_auth_name, create_ts) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![user_id, auth, time::now()])?;
    Ok(())
}

/// Removes a user or group with its empty home and trash collections and permissions.
///
/// # Errors
/// `CAT_INVALID_USER`, `CAT_INVALID_ARGUMENT` for oneself.
pub fn remove(conn: &Connection, who: &Identity, name: &str, zone: &str) -> Result<()> {
    who.require_rodsadmin()?;
    let user = find(conn, name, zone)?.ok_or_else(|| unknown(name))?;
    if user.id == who.user_id || user.name == PUBLIC {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            format!("{name} has to stay"),
        ));
    }
    for path in own_collections(&zones::local(conn)?, &user.name, &user.zone) {
        if let Some(collection) = collections::find(conn, &path)? {
            collections::delete_row(conn, &collection)?;
        }
    }
    metadata::forget(conn, user.id)?;
    super::quotas::forget(conn, user.id)?;
    // Permissions, memberships and passwords go with the row.
    conn.prepare_cached("DELETE FROM r_user_main WHERE user_id = ?1")?
        .execute([user.id])?;
    Ok(())
}

/// What `iadmin moduser` changes.
#[derive(Clone, PartialEq, Eq)]
pub enum UserChange {
    /// Type.
    Type(UserType),
    /// `USER_COMMENT`.
    Comment(String),
    /// `USER_INFO`.
    Info(String),
    /// Password in clear.
    Password(String),
    /// Adds an authentication name.
    AddAuth(String),
    /// Removes one.
    RemoveAuth(String),
}

/// Changes a user. Rodsadmins; everybody his own password.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    name: &str,
    zone: &str,
    change: &UserChange,
) -> Result<()> {
    let user = find(conn, name, zone)?.ok_or_else(|| unknown(name))?;
    let own_password = user.id == who.user_id && matches!(change, UserChange::Password(_));
    if !own_password {
        who.require_rodsadmin()?;
    }
    match change {
        UserChange::Type(user_type) => {
            if (*user_type == UserType::RodsGroup) != (user.user_type == UserType::RodsGroup) {
                return Err(CatalogError::new(
                    code::CAT_INVALID_USER_TYPE,
                    "a user cannot become a group, nor a group a user",
                ));
            }
            conn.prepare_cached("UPDATE r_user_main SET user_type_name = ?2 WHERE user_id = ?1")?
                .execute(params![user.id, user_type.as_str()])?;
        }
        UserChange::Comment(text) => {
            conn.prepare_cached("UPDATE r_user_main SET r_comment = ?2 WHERE user_id = ?1")?
                .execute(params![user.id, text])?;
        }
        UserChange::Info(text) => {
            conn.prepare_cached("UPDATE r_user_main SET user_info = ?2 WHERE user_id = ?1")?
                .execute(params![user.id, text])?;
        }
        UserChange::Password(clear) => set_password(conn, user.id, clear)?,
        UserChange::AddAuth(auth) => add_auth(conn, user.id, auth)?,
        UserChange::RemoveAuth(auth) => {
            conn.prepare_cached(
                "DELETE FROM r_user_auth WHERE user_id = ?1 AND user_auth_name = ?2",
            )?
            .execute(params![user.id, auth])?;
        }
    }
    conn.prepare_cached("UPDATE r_user_main SET modify_ts = ?2 WHERE user_id = ?1")?
        .execute(params![user.id, time::now()])?;
    Ok(())
}
