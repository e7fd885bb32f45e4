//! Writing to a replica: which states it and its siblings have meanwhile, and afterwards.
//!
//! While one replica is intermediate all others are write-locked, and each row remembers the state
//! that it had. So however the writing ends, also by a crash, the states can be put right.

use rusqlite::{Connection, params};

use super::super::error::{CatalogError, Result, code};
use super::super::time;
use super::{NewReplica, Replica, Status, add, list};

/// How a replica that was open for writing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Bytes were written, or the object is new: this replica good, siblings stale.
    Written {
        /// Size of the file.
        size: i64,
        /// Checksum, or empty.
        checksum: String,
        /// Modification time; `None` is now.
        modify_time: Option<String>,
    },
    /// Nothing was written to an existing replica: all states as before.
    Unchanged,
    /// The write failed: this replica stale, siblings as before.
    Failed {
        /// Size of what is there.
        size: i64,
        /// Checksum of what arrived, or empty.
        checksum: String,
    },
}

/// Marks an existing replica intermediate and its siblings write-locked, remembering their states.
///
/// # Errors
/// `SYS_REPLICA_DOES_NOT_EXIST`, `INTERMEDIATE_REPLICA_ACCESS` (the replica is being written),
/// `LOCKED_DATA_OBJECT_ACCESS` (a sibling is).
pub fn open_for_write(conn: &Connection, data_id: i64, number: i64) -> Result<()> {
    let replicas = list(conn, data_id)?;
    let replica = replicas
        .iter()
        .find(|r| r.number == number)
        .ok_or_else(|| {
            CatalogError::new(
                code::SYS_REPLICA_DOES_NOT_EXIST,
                format!("no replica {number}"),
            )
        })?;
    require_at_rest(&replicas, replica)?;
    mark(conn, replica, Status::Intermediate)?;
    for sibling in replicas.iter().filter(|r| r.number != number) {
        mark(conn, sibling, Status::WriteLocked)?;
    }
    Ok(())
}

fn require_at_rest(replicas: &[Replica], replica: &Replica) -> Result<()> {
    if replica.status == Status::Intermediate {
        return Err(CatalogError::new(
            code::INTERMEDIATE_REPLICA_ACCESS,
            format!("replica {} is being written", replica.number),
        ));
    }
    if replicas.iter().all(|r| r.status.at_rest()) {
        return Ok(());
    }
    Err(CatalogError::new(
        code::LOCKED_DATA_OBJECT_ACCESS,
        "another replica is being written",
    ))
}

/// Gives a replica at rest a passing state and remembers the one it had.
fn mark(conn: &Connection, replica: &Replica, status: Status) -> Result<()> {
    conn.prepare_cached(
        "UPDATE r_data_main SET data_is_dirty = ?3, data_status = ?4
         WHERE data_id = ?1 AND data_repl_num = ?2",
    )?
    .execute(params![
        replica.data_id,
        replica.number,
        status.number(),
        format!("{{\"original_status\":\"{}\"}}", replica.status.number())
    ])?;
    Ok(())
}

/// Adds an intermediate replica to an existing object and write-locks the others.
pub fn add_for_write(conn: &Connection, data_id: i64, replica: &NewReplica) -> Result<i64> {
    let siblings = list(conn, data_id)?;
    if siblings.iter().any(|r| !r.status.at_rest()) {
        return Err(CatalogError::new(
            code::LOCKED_DATA_OBJECT_ACCESS,
            "another replica is being written",
        ));
    }
    let new = NewReplica {
        status: Status::Intermediate,
        ..replica.clone()
    };
    let number = add(conn, data_id, &new)?;
    for sibling in &siblings {
        mark(conn, sibling, Status::WriteLocked)?;
    }
    Ok(number)
}

/// Ends writing: sets the states of all replicas by the outcome.
pub fn close_after_write(
    conn: &Connection,
    data_id: i64,
    number: i64,
    outcome: &Outcome,
) -> Result<()> {
    let (status, siblings, content) = match outcome {
        Outcome::Written {
            size,
            checksum,
            modify_time,
        } => {
            let time = modify_time.as_deref().map_or_else(time::now, time::padded);
            (SET_GOOD, SET_STALE, Some((size, checksum, time)))
        }
        Outcome::Unchanged => (SET_REMEMBERED, SET_REMEMBERED, None),
        Outcome::Failed { size, checksum } => (
            SET_STALE,
            SET_REMEMBERED,
            Some((size, checksum, time::now())),
        ),
    };
    let changed = conn
        .prepare_cached(&format!(
            "UPDATE r_data_main SET {status}, data_status = '' WHERE data_id = ?1 AND data_repl_num = ?2"
        ))?
        .execute(params![data_id, number])?;
    if changed == 0 {
        return Err(CatalogError::no_rows("replica"));
    }
    if let Some((size, checksum, time)) = content {
        conn.prepare_cached(
            "UPDATE r_data_main SET data_size = ?3, data_checksum = ?4, modify_ts = ?5
             WHERE data_id = ?1 AND data_repl_num = ?2",
        )?
        .execute(params![data_id, number, size, checksum, time])?;
    }
    conn.prepare_cached(&format!(
        "UPDATE r_data_main SET {siblings}, data_status = ''
         WHERE data_id = ?1 AND data_repl_num <> ?2 AND data_is_dirty >= 2"
    ))?
    .execute(params![data_id, number])?;
    Ok(())
}

const SET_GOOD: &str = "data_is_dirty = 1";

const SET_STALE: &str = "data_is_dirty = 0";

/// Gives back the state that [`mark`] remembered; without one the replica cannot be trusted.
pub(crate) const SET_REMEMBERED: &str =
    "data_is_dirty = CASE data_status WHEN '{\"original_status\":\"1\"}' THEN 1 ELSE 0 END";
