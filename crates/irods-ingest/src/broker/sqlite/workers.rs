//! Workers: heartbeats, and what becomes of the leases of one that is gone.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::fault::{Tried, int, uint};
use super::writer::Tx;
use crate::broker::check::millis;
use crate::broker::{Departure, JobId, JobState, Timestamp, Worker, WorkerId, WorkerInfo};

impl Tx<'_> {
    pub(super) fn heartbeat(&self, worker: &WorkerInfo, lives_for: Duration) -> Tried<()> {
        let now = int(self.now.0);
        self.connection
            .prepare_cached("DELETE FROM worker WHERE lives_until <= ?1")?
            .execute([now])?;
        self.connection
            .prepare_cached(
                "INSERT INTO worker (id, host, pid, process, version, status, since, heard, lives_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)
                 ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, process = excluded.process,
                    version = excluded.version, status = excluded.status, heard = excluded.heard,
                    lives_until = excluded.lives_until",
            )?
            .execute(params![
                worker.id.0,
                worker.host,
                worker.pid,
                worker.process,
                worker.version,
                worker.status,
                now,
                int(self.now.0.saturating_add(millis(lives_for))),
            ])?;
        Ok(())
    }

    pub(super) fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Tried<()> {
        self.connection
            .prepare_cached("DELETE FROM worker WHERE id = ?1")?
            .execute([&worker.0])?;
        // What is added to the count of expiries, and the least that it is then.
        let (more, least) = match how {
            Departure::Left => (0, 0),
            Departure::Interrupted => (0, 1),
            Departure::Died => (1, 1),
        };
        for (job, state) in self.unfinished()? {
            if state == JobState::Stopping {
                let sql = "DELETE FROM task WHERE job = ?1 AND state = 2 AND time IS NOT NULL AND worker = ?2";
                if self
                    .connection
                    .prepare_cached(sql)?
                    .execute(params![int(job.0), worker.0])?
                    > 0
                {
                    self.unbind(job)?;
                    self.settle(job)?;
                }
            } else {
                let returned = self
                    .connection
                    .prepare_cached(
                        "UPDATE task SET state = 0, time = NULL, since = ?5, token = NULL, worker = NULL,
                            expiries = max(expiries + ?3, ?4)
                         WHERE job = ?1 AND state = 2 AND time IS NOT NULL AND worker = ?2",
                    )?
                    .execute(params![int(job.0), worker.0, more, least, int(self.now.0)])?;
                if returned > 0 {
                    self.wake.set(true);
                }
            }
        }
        Ok(())
    }
}

pub(super) fn workers(connection: &Connection, now: Timestamp) -> Tried<Vec<Worker>> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM worker WHERE lives_until > ?1 ORDER BY id")?;
    let mut in_hand = connection.prepare_cached(
        "SELECT job.id AS job, count(*) AS tasks FROM job CROSS JOIN task ON task.job = job.id
         WHERE job.state IN ('queued', 'running', 'stopping') AND task.state = 2 AND task.time IS NOT NULL AND task.worker = ?1
         GROUP BY job.id ORDER BY job.id",
    )?;
    let mut rows = statement.query([int(now.0)])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get("id")?;
        let mut leases = Vec::new();
        let mut counts = in_hand.query([&id])?;
        while let Some(count) = counts.next()? {
            leases.push((JobId(uint(count, "job")?), uint(count, "tasks")?));
        }
        workers.push(Worker {
            info: WorkerInfo {
                id: WorkerId(id),
                host: row.get("host")?,
                pid: u32::try_from(uint(row, "pid")?).unwrap_or(u32::MAX),
                process: row.get("process")?,
                version: row.get("version")?,
                status: row.get("status")?,
            },
            since: Timestamp(uint(row, "since")?),
            heard: Timestamp(uint(row, "heard")?),
            lives_until: Timestamp(uint(row, "lives_until")?),
            leases,
        });
    }
    Ok(workers)
}
