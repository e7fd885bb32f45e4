//! Passwords: the permanent one of a user, and those that expire.

use rusqlite::{Connection, params};

use super::super::error::{CatalogError, Result, code};
use super::super::{secrets, time};
use super::find;

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

/// The password that a user gets in exchange for the site's: lives for `hours` from `now`, in seconds since the
/// epoch. The one that an earlier exchange for as many hours made is given again and lives on; one for
/// another number of hours is another, so that none lives longer than it was asked for.
pub fn exchanged_password(conn: &Connection, user_id: i64, hours: u32, now: u64) -> Result<String> {
    conn.prepare_cached(
        "DELETE FROM r_user_password WHERE user_id = ?1 AND pass_expiry_ts <> '' AND pass_expiry_ts < ?2",
    )?
    .execute(params![user_id, time::from_seconds(now)])?;
    let expires = time::from_seconds(now + u64::from(hours) * 3600);
    let prefix = format!("{hours}h-");
    let key = secrets::key(conn)?;
    let rows: Vec<(i64, String)> = conn
        .prepare_cached(
            "SELECT rowid, rcat_password FROM r_user_password
             WHERE user_id = ?1 AND pass_expiry_ts <> '' AND single_use = 0",
        )?
        .query_map([user_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (row, stored) in rows {
        let clear = secrets::reveal(&key, &stored)?;
        if clear.starts_with(&prefix) {
            conn.prepare_cached("UPDATE r_user_password SET pass_expiry_ts = ?2 WHERE rowid = ?1")?
                .execute(params![row, expires])?;
            return Ok(clear);
        }
    }
    let clear = prefix + &crate::home::generate_password();
    insert_password(conn, user_id, &clear, &expires, false)?;
    Ok(clear)
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
