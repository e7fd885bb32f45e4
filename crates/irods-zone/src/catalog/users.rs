//! Users, groups, memberships and passwords.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{CatalogError, Result, code};
use super::{Identity, UserType, collections, ids, metadata, secrets, time, zones};

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

/// A password that a user can log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// Identifies the row, for [`use_up`].
    pub row: i64,
    /// The clear text.
    pub clear: String,
    /// Seconds since the epoch after which it no longer counts.
    pub expires: Option<u64>,
    /// Gone after the first login.
    pub single_use: bool,
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
        }),
        _ => Err(unknown(name)),
    }
}

/// All passwords of a user, also expired ones; none for an unknown user.
pub fn passwords(conn: &Connection, name: &str, zone: &str) -> Result<Vec<Password>> {
    let Some(user) = find(conn, name, zone)? else {
        return Ok(Vec::new());
    };
    let key = secrets::key(conn)?;
    let mut statement = conn.prepare_cached(
        "SELECT rowid, rcat_password, pass_expiry_ts, single_use FROM r_user_password WHERE user_id = ?1",
    )?;
    let rows: Vec<(i64, String, String, bool)> = statement
        .query_map([user.id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    rows.into_iter()
        .map(|(row, stored, expires, single_use)| {
            let clear = secrets::reveal(&key, &stored)?;
            Ok(Password {
                row,
                clear,
                expires: expires.parse().ok(),
                single_use,
            })
        })
        .collect()
}

/// Replaces the user's permanent password.
///
/// # Errors
/// `PASSWORD_EXCEEDS_MAX_SIZE` unless it has 3 to 42 bytes.
pub fn set_password(conn: &Connection, user_id: i64, clear: &str) -> Result<()> {
    check_password(clear)?;
    conn.prepare_cached("DELETE FROM r_user_password WHERE user_id = ?1 AND pass_expiry_ts = ''")?
        .execute([user_id])?;
    insert_password(conn, user_id, clear, "", false)
}

fn check_password(clear: &str) -> Result<()> {
    if (3..=42).contains(&clear.len()) && !clear.contains('\0') {
        return Ok(());
    }
    Err(CatalogError::new(
        code::PASSWORD_EXCEEDS_MAX_SIZE,
        "a password has 3 to 42 bytes",
    ))
}

fn insert_password(
    conn: &Connection,
    user_id: i64,
    clear: &str,
    expires: &str,
    single_use: bool,
) -> Result<()> {
    let stored = secrets::hide(&secrets::key(conn)?, clear);
    conn.prepare_cached(
        "INSERT INTO r_user_password
         (user_id, rcat_password, pass_expiry_ts, single_use, create_ts, modify_ts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )?
    .execute(params![user_id, stored, expires, single_use, time::now()])?;
    Ok(())
}

/// Adds a password that expires.
pub fn add_temporary_password(
    conn: &Connection,
    user_id: i64,
    clear: &str,
    expires: u64,
    single_use: bool,
) -> Result<()> {
    check_password(clear)?;
    insert_password(
        conn,
        user_id,
        clear,
        &time::from_seconds(expires),
        single_use,
    )
}

/// Removes a single-use password after its use, and all expired ones of the same user.
pub fn use_up(conn: &Connection, row: i64) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM r_user_password WHERE pass_expiry_ts <> '' AND pass_expiry_ts < ?2
         AND user_id = (SELECT user_id FROM r_user_password WHERE rowid = ?1)",
    )?
    .execute(params![row, time::now()])?;
    conn.prepare_cached("DELETE FROM r_user_password WHERE rowid = ?1 AND single_use = 1")?
        .execute([row])?;
    Ok(())
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

/// The group of everybody.
pub const PUBLIC: &str = "public";

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

/// Writes a membership.
pub(crate) fn join(conn: &Connection, group_id: i64, user_id: i64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO r_user_group (group_user_id, user_id, create_ts, modify_ts) VALUES (?1, ?2, ?3, ?3)",
    )?
    .execute(params![group_id, user_id, time::now()])?;
    Ok(())
}

fn add_auth(conn: &Connection, user_id: i64, auth: &str) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO r_user_auth (user_id, user_auth_name, create_ts) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![user_id, auth, time::now()])?;
    Ok(())
}

/// Adds a group. Rodsadmins and groupadmins.
pub fn add_group(conn: &Connection, who: &Identity, name: &str) -> Result<i64> {
    if !matches!(who.user_type, UserType::RodsAdmin | UserType::GroupAdmin) {
        return Err(insufficient(who));
    }
    insert(conn, name, "", UserType::RodsGroup)
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

/// Adds a user to a group. Rodsadmins; groupadmins for groups that are empty or that they belong to.
pub fn add_member(
    conn: &Connection,
    who: &Identity,
    group: &str,
    user: &str,
    zone: &str,
) -> Result<()> {
    let (group, user) = membership(conn, who, group, user, zone)?;
    join(conn, group.id, user.id)
}

/// The group and user of a change of membership, if the caller may make it.
fn membership(
    conn: &Connection,
    who: &Identity,
    group: &str,
    user: &str,
    zone: &str,
) -> Result<(User, User)> {
    let found = find(conn, group, "")?
        .filter(|g| g.user_type == UserType::RodsGroup)
        .ok_or_else(|| {
            CatalogError::new(code::CAT_INVALID_GROUP, format!("no such group: {group}"))
        })?;
    let permitted = match who.user_type {
        UserType::RodsAdmin => true,
        UserType::GroupAdmin => {
            let (others, member): (i64, bool) = conn
                .prepare_cached(
                    "SELECT count(*), coalesce(max(user_id = ?2), 0) FROM r_user_group
                     WHERE group_user_id = ?1 AND user_id <> ?1",
                )?
                .query_row([found.id, who.user_id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            others == 0 || member
        }
        _ => false,
    };
    if !permitted {
        return Err(insufficient(who));
    }
    let member = find(conn, user, zone)?
        .filter(|u| u.user_type != UserType::RodsGroup)
        .ok_or_else(|| unknown(user))?;
    Ok((found, member))
}

/// Takes a user out of a group; same rights as [`add_member`].
pub fn remove_member(
    conn: &Connection,
    who: &Identity,
    group: &str,
    user: &str,
    zone: &str,
) -> Result<()> {
    let (group, user) = membership(conn, who, group, user, zone)?;
    let removed = conn
        .prepare_cached("DELETE FROM r_user_group WHERE group_user_id = ?1 AND user_id = ?2")?
        .execute([group.id, user.id])?;
    if removed == 0 {
        return Err(CatalogError::new(
            code::CAT_SUCCESS_BUT_WITH_NO_INFO,
            "no member of the group",
        ));
    }
    Ok(())
}
