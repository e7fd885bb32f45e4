//! What a start does to replicas that a killed server left open.

use rusqlite::Connection;

use super::error::Result;

/// What a repair changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Intermediate replicas made stale.
    pub made_stale: usize,
    /// Locked siblings given their state back.
    pub restored: usize,
}

/// Makes intermediate replicas stale and gives locked siblings their remembered states back.
/// To be run before the first client is let in.
pub fn run(conn: &Connection) -> Result<Repaired> {
    // Siblings first: their remembered states are only meaningful while something is open.
    let restored = conn.execute(
        &format!(
            "UPDATE r_data_main SET {}, data_status = '' WHERE data_is_dirty IN (3, 4)",
            super::replicas::SET_REMEMBERED
        ),
        [],
    )?;
    let made_stale = conn.execute(
        "UPDATE r_data_main SET data_is_dirty = 0, data_status = '' WHERE data_is_dirty = 2",
        [],
    )?;
    Ok(Repaired {
        made_stale,
        restored,
    })
}
