//! Quotas of groups: limits, and what is used of them.
//!
//! They are kept and reported, not enforced, as on a server whose policy does not say otherwise. Usage is worked out when an
//! administrator asks for it ([`calculate`]); it counts each replica, to the groups of its owner.

use rusqlite::{Connection, params};

use super::error::{CatalogError, Result, code};
use super::{Identity, UserType, resources, time, users};

/// What stands for all resources together.
const TOTAL: &str = "total";

/// Sets the limit of a group, in bytes, on a resource or on all together (`total`); 0 removes it.
///
/// # Errors
/// `CAT_INVALID_GROUP`, `SYS_RESC_DOES_NOT_EXIST`, `CAT_INSUFFICIENT_PRIVILEGE_LEVEL`.
pub fn set_limit(
    conn: &Connection,
    who: &Identity,
    group: &str,
    resource: &str,
    bytes: i64,
) -> Result<()> {
    who.require_rodsadmin()?;
    let group = users::find(conn, group, "")?
        .filter(|group| group.user_type == UserType::RodsGroup)
        .ok_or_else(|| {
            CatalogError::new(code::CAT_INVALID_GROUP, format!("no such group: {group}"))
        })?;
    let resc_id = match resource {
        TOTAL => 0,
        name => resources::get(conn, name)?.id,
    };
    conn.prepare_cached("DELETE FROM r_quota_main WHERE user_id = ?1 AND resc_id = ?2")?
        .execute(params![group.id, resc_id])?;
    if bytes > 0 {
        conn.prepare_cached(
            "INSERT INTO r_quota_main (user_id, resc_id, quota_limit, quota_over, modify_ts) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![group.id, resc_id, bytes, -bytes, time::now()])?;
    }
    Ok(())
}

/// Works out the usage of every user and group, and by how much each limit is exceeded (negative: what is left).
///
/// # Errors
/// `CAT_INSUFFICIENT_PRIVILEGE_LEVEL`.
pub fn calculate(conn: &Connection, who: &Identity) -> Result<()> {
    who.require_rodsadmin()?;
    let now = time::now();
    conn.execute("DELETE FROM r_quota_usage", [])?;
    conn.execute(
        "INSERT INTO r_quota_usage (user_id, resc_id, quota_usage, modify_ts)
         SELECT g.group_user_id, d.resc_id, sum(d.data_size), ?1 FROM r_data_main d
         JOIN r_user_main u ON u.user_name = d.data_owner_name AND u.zone_name = d.data_owner_zone
         JOIN r_user_group g ON g.user_id = u.user_id
         GROUP BY g.group_user_id, d.resc_id",
        [&now],
    )?;
    conn.execute(
        "UPDATE r_quota_main SET modify_ts = ?1, quota_over = -quota_limit + coalesce((SELECT sum(u.quota_usage)
         FROM r_quota_usage u WHERE u.user_id = r_quota_main.user_id
         AND (r_quota_main.resc_id = 0 OR u.resc_id = r_quota_main.resc_id)), 0)",
        [&now],
    )?;
    Ok(())
}

/// Forgets the limits and the usage of a user or group that is about to go.
pub(crate) fn forget(conn: &Connection, user_id: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM r_quota_main WHERE user_id = ?1")?
        .execute([user_id])?;
    conn.prepare_cached("DELETE FROM r_quota_usage WHERE user_id = ?1")?
        .execute([user_id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;
    use super::*;

    fn over(conn: &Connection) -> Vec<(i64, i64)> {
        let mut statement = conn
            .prepare("SELECT quota_limit, quota_over FROM r_quota_main ORDER BY quota_limit")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(std::result::Result::unwrap).collect()
    }

    #[test]
    fn a_group_uses_what_its_members_own() {
        let conn = testing::catalog();
        let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
        users::add_group(&conn, &rods, "g").unwrap();
        users::add_member(&conn, &rods, "g", "alice", "").unwrap();
        testing::object(&conn, &alice, "/z/home/alice/a", 30);
        testing::object(&conn, &rods, "/z/home/rods/b", 500);
        set_limit(&conn, &rods, "g", TOTAL, 100).unwrap();
        set_limit(&conn, &rods, "g", "demo", 20).unwrap();
        assert_eq!(over(&conn), [(20, -20), (100, -100)]);
        calculate(&conn, &rods).unwrap();
        assert_eq!(over(&conn), [(20, 10), (100, -70)]);
        set_limit(&conn, &rods, "g", TOTAL, 0).unwrap();
        assert_eq!(over(&conn), [(20, 10)]);
        users::remove(&conn, &rods, "g", "").unwrap();
        assert!(over(&conn).is_empty());

        let refused = |group, resource| set_limit(&conn, &rods, group, resource, 1);
        assert_eq!(
            refused("alice", TOTAL).unwrap_err().code,
            code::CAT_INVALID_GROUP
        );
        assert_eq!(
            refused("public", "none").unwrap_err().code,
            code::SYS_RESC_DOES_NOT_EXIST
        );
        let error = calculate(&conn, &alice).unwrap_err();
        assert_eq!(error.code, code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL);
    }
}
