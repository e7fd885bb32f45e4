//! Tickets: strings that let whoever supplies them read or write one data object or collection, as their owners limit them.
//!
//! A ticket is looked at where a user's own permissions do not suffice (`level`), and counted where an object is then opened
//! ([`use_once`]). Rows of queries follow tickets too (`query::filter`), whether they have run out or not.

use std::net::IpAddr;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::access::{self, Level};
use super::error::{CatalogError, Result, code};
use super::{Identity, collections, data_objects, ids, paths, time};

/// A ticket that a connection supplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supplied {
    /// Its string.
    pub string: Arc<str>,
    /// Where the connection comes from.
    pub host: IpAddr,
}

/// What an owner changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// How often objects can be opened by it; 0 is for ever.
    Uses(i64),
    /// How many files can be written by it; 0 is any number.
    WriteFiles(i64),
    /// How many bytes can be written by it; 0 is any number.
    WriteBytes(i64),
    /// Seconds since the epoch, as text; empty or 0 is never.
    Expiry(String),
    /// One more name that the ticket is for.
    Add(Restriction, String),
    /// One name less.
    Remove(Restriction, String),
}

/// Whom a ticket can be restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    /// Addresses.
    Host,
    /// Users.
    User,
    /// Groups.
    Group,
}

impl Restriction {
    const fn table_and_column(self) -> (&'static str, &'static str) {
        match self {
            Self::Host => ("r_ticket_allowed_hosts", "host"),
            Self::User => ("r_ticket_allowed_users", "user_name"),
            Self::Group => ("r_ticket_allowed_groups", "group_name"),
        }
    }
}

const ALL: [Restriction; 3] = [Restriction::Host, Restriction::User, Restriction::Group];

struct Ticket {
    id: i64,
    owner: i64,
    writes: bool,
    object_id: i64,
    is_collection: bool,
    uses: (i64, i64),
    write_files: (i64, i64),
    expiry: String,
}

fn invalid(message: impl Into<String>) -> CatalogError {
    CatalogError::new(code::CAT_TICKET_INVALID, message)
}

fn find(conn: &Connection, string: &str) -> Result<Option<Ticket>> {
    Ok(conn
        .prepare_cached(
            "SELECT ticket_id, user_id, ticket_type, object_id, object_type, uses_count, uses_limit, write_file_count,
             write_file_limit, ticket_expiry_ts FROM r_ticket_main WHERE ticket_string = ?1",
        )?
        .query_row([string], |row| {
            Ok(Ticket {
                id: row.get(0)?,
                owner: row.get(1)?,
                writes: row.get::<_, String>(2)? == "write",
                object_id: row.get(3)?,
                is_collection: row.get::<_, String>(4)? == "collection",
                uses: (row.get(5)?, row.get(6)?),
                write_files: (row.get(7)?, row.get(8)?),
                expiry: row.get(9)?,
            })
        })
        .optional()?)
}

/// A ticket that the user may change: his own, or any in admin mode.
fn changeable(conn: &Connection, who: &Identity, string: &str) -> Result<Ticket> {
    find(conn, string)?
        .filter(|ticket| who.admin || ticket.owner == who.user_id)
        .ok_or_else(|| invalid("no such ticket"))
}

/// Makes a ticket for a data object or collection that the user owns.
///
/// # Errors
/// `CAT_INVALID_ARGUMENT` for another type than read and write, `CAT_UNKNOWN_COLLECTION` for a path that is nothing,
/// `CAT_NO_ACCESS_PERMISSION`, `CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME`.
pub fn create(
    conn: &Connection,
    who: &Identity,
    string: &str,
    ticket_type: &str,
    path: &str,
) -> Result<()> {
    if string.is_empty() || !matches!(ticket_type, "read" | "write") {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "a ticket has a string and is for read or write",
        ));
    }
    let path = paths::checked(path)?;
    let (object_id, object_type) = match collections::find(conn, path)? {
        Some(collection) => (collection.id, "collection"),
        None => match data_objects::find(conn, path)? {
            Some(object) => (object.id, "data"),
            None => return Err(collections::unknown(path)),
        },
    };
    access::require(conn, who, object_id, Level::OWN)?;
    let now = time::now();
    conn.prepare_cached(
        "INSERT INTO r_ticket_main (ticket_id, ticket_string, ticket_type, user_id, object_id, object_type, create_ts,
         modify_ts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    )?
    .execute(params![
        ids::next(conn)?,
        string,
        ticket_type,
        who.user_id,
        object_id,
        object_type,
        now
    ])?;
    Ok(())
}

/// Changes a ticket.
///
/// # Errors
/// `CAT_TICKET_INVALID` if the user has no such ticket.
pub fn modify(conn: &Connection, who: &Identity, string: &str, change: &Change) -> Result<()> {
    let id = changeable(conn, who, string)?.id;
    let set = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!("UPDATE r_ticket_main SET {column} = ?2 WHERE ticket_id = ?1");
        conn.prepare_cached(&sql)?.execute(params![id, value])
    };
    match change {
        Change::Uses(limit) => set("uses_limit", limit),
        Change::WriteFiles(limit) => set("write_file_limit", limit),
        Change::WriteBytes(limit) => set("write_byte_limit", limit),
        Change::Expiry(at) if at == "0" => set("ticket_expiry_ts", &""),
        Change::Expiry(at) => set("ticket_expiry_ts", &time::padded(at)),
        Change::Add(restriction, name) => {
            let (table, column) = restriction.table_and_column();
            let sql = format!("INSERT INTO {table} (ticket_id, {column}) VALUES (?1, ?2)");
            conn.prepare_cached(&sql)?.execute(params![id, name])
        }
        Change::Remove(restriction, name) => {
            let (table, column) = restriction.table_and_column();
            let sql = format!("DELETE FROM {table} WHERE ticket_id = ?1 AND {column} = ?2");
            conn.prepare_cached(&sql)?.execute(params![id, name])
        }
    }?;
    set("modify_ts", &time::now())?;
    Ok(())
}

/// Removes a ticket.
///
/// # Errors
/// As [`modify`].
pub fn delete(conn: &Connection, who: &Identity, string: &str) -> Result<()> {
    let id = changeable(conn, who, string)?.id;
    for restriction in ALL {
        let (table, _) = restriction.table_and_column();
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE ticket_id = ?1"))?
            .execute([id])?;
    }
    conn.prepare_cached("DELETE FROM r_ticket_main WHERE ticket_id = ?1")?
        .execute([id])?;
    Ok(())
}

/// What the user's ticket lets him do with an object beyond his own permissions.
///
/// # Errors
/// The ticket is for the object, but has expired, is used up, or is for others.
pub(crate) fn level(conn: &Connection, who: &Identity, object_id: i64) -> Result<Level> {
    let Some(supplied) = &who.ticket else {
        return Ok(Level::NULL);
    };
    let Some(ticket) = find(conn, &supplied.string)? else {
        return Ok(Level::NULL);
    };
    if !covers(conn, &ticket, object_id)? {
        return Ok(Level::NULL);
    }
    check(conn, who, supplied, &ticket)?;
    Ok(if ticket.writes {
        Level::MODIFY_OBJECT
    } else {
        Level::READ_OBJECT
    })
}

fn covers(conn: &Connection, ticket: &Ticket, object_id: i64) -> Result<bool> {
    if ticket.object_id == object_id || !ticket.is_collection {
        return Ok(ticket.object_id == object_id);
    }
    let name = |id: i64| -> Result<Option<String>> {
        Ok(conn
            .prepare_cached(
                "SELECT coll_name FROM r_coll_main WHERE coll_id = ?1
                 OR coll_id = (SELECT coll_id FROM r_data_main WHERE data_id = ?1 LIMIT 1)",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?)
    };
    Ok(match (name(ticket.object_id)?, name(object_id)?) {
        (Some(root), Some(there)) => there
            .strip_prefix(&root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        _ => false,
    })
}

fn check(conn: &Connection, who: &Identity, supplied: &Supplied, ticket: &Ticket) -> Result<()> {
    let refuse = |code, message: &str| Err(CatalogError::new(code, message));
    let used_up = |(count, limit): (i64, i64)| limit > 0 && count >= limit;
    if ticket.expiry.parse::<u64>().is_ok_and(|at| at > 0)
        && time::padded(&ticket.expiry) <= time::now()
    {
        return refuse(code::CAT_TICKET_EXPIRED, "the ticket has expired");
    }
    if used_up(ticket.uses) {
        return refuse(code::CAT_TICKET_USES_EXCEEDED, "the ticket is used up");
    }
    if ticket.writes && used_up(ticket.write_files) {
        return refuse(
            code::CAT_TICKET_WRITE_USES_EXCEEDED,
            "the ticket's writes are used up",
        );
    }
    for (restriction, code) in ALL.into_iter().zip([
        code::CAT_TICKET_HOST_EXCLUDED,
        code::CAT_TICKET_USER_EXCLUDED,
        code::CAT_TICKET_GROUP_EXCLUDED,
    ]) {
        let (table, column) = restriction.table_and_column();
        let sql = format!("SELECT {column} FROM {table} WHERE ticket_id = ?1");
        let mut statement = conn.prepare_cached(&sql)?;
        let names = statement.query_map([ticket.id], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
        let mut fits = names.is_empty();
        for name in names {
            fits |= match restriction {
                Restriction::Host => name.parse() == Ok(supplied.host),
                Restriction::User => {
                    name == who.name || name == format!("{}#{}", who.name, who.zone)
                }
                Restriction::Group => is_member(conn, who, &name)?,
            };
        }
        if !fits {
            return refuse(code, "the ticket is for others");
        }
    }
    Ok(())
}

fn is_member(conn: &Connection, who: &Identity, group: &str) -> Result<bool> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM r_user_group g JOIN r_user_main u ON u.user_id = g.group_user_id
             WHERE g.user_id = ?1 AND u.user_name = ?2)",
        )?
        .query_row(params![who.user_id, group], |row| row.get(0))?)
}

/// Counts an opening of an object that the user can only make by his ticket.
pub fn use_once(conn: &Connection, who: &Identity, object_id: i64, writes: bool) -> Result<()> {
    let needed = if writes {
        Level::MODIFY_OBJECT
    } else {
        Level::READ_OBJECT
    };
    let (Some(supplied), true) = (
        &who.ticket,
        access::own_level(conn, who, object_id)? < needed,
    ) else {
        return Ok(());
    };
    // Another opening may have used it up meanwhile.
    level(conn, who, object_id)?;
    conn.prepare_cached(
        "UPDATE r_ticket_main SET uses_count = uses_count + 1, write_file_count = write_file_count + ?2
         WHERE ticket_string = ?1",
    )?
    .execute(params![supplied.string.as_ref(), i64::from(writes)])?;
    Ok(())
}
