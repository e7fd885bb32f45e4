//! Groups and who is in them. Every user is also the one member of the group of his own id, so that
//! permissions are always looked up through groups.

use rusqlite::{Connection, params};

use super::super::error::{CatalogError, Result, code};
use super::super::{Identity, UserType, time};
use super::{User, find, insert, insufficient, unknown};

/// The group of everybody.
pub const PUBLIC: &str = "public";

/// Adds a group. Rodsadmins and groupadmins.
pub fn add_group(conn: &Connection, who: &Identity, name: &str) -> Result<i64> {
    if !matches!(who.user_type, UserType::RodsAdmin | UserType::GroupAdmin) {
        return Err(insufficient(who));
    }
    insert(conn, name, "", UserType::RodsGroup)
}

/// Writes a membership.
pub(crate) fn join(conn: &Connection, group_id: i64, user_id: i64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO r_user_group (group_user_id, user_id, create_ts, modify_ts) VALUES (?1, ?2, ?3, ?3)",
    )?
    .execute(params![group_id, user_id, time::now()])?;
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
