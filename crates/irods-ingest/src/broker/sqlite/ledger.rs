//! The ledger of failures: written by completions, read in pages, queued again by retry.
//!
//! An entry that is being retried names the task that does it; so what becomes of that task decides what becomes of the entry.

use rusqlite::{Connection, Row, params};

use super::fault::{Tried, bytes, int, uint};
use super::jobs::exists;
use super::tasks::{class_code, class_of};
use super::writer::Tx;
use crate::broker::check::clip;
use crate::broker::limits::{MAX_FAILURES, MAX_LEASE, MAX_NAME, MAX_PATH, MAX_PAYLOAD, MAX_TEXT};
use crate::broker::{
    BrokerError, EventKind, Failure, FailureFilter, FailurePage, FailureRecord, JobId, JobState,
    NewTask, Retried, TaskKind, Timestamp,
};

impl Tx<'_> {
    /// Removes the entries that a completed task was the retry of.
    pub(super) fn resolve(&self, job: JobId, task: i64) -> Tried<()> {
        let sql = "DELETE FROM failure WHERE job = ?1 AND task = ?2";
        self.connection
            .prepare_cached(sql)?
            .execute([int(job.0), task])?;
        Ok(())
    }

    /// Hands the entries of a completed task to the one that tries again, or, if that was dropped, to none.
    pub(super) fn rebind(&self, job: JobId, task: i64, retry: Option<i64>) -> Tried<()> {
        let sql = "UPDATE failure SET task = ?3 WHERE job = ?1 AND task = ?2";
        self.connection
            .prepare_cached(sql)?
            .execute(params![int(job.0), task, retry])?;
        Ok(())
    }

    pub(super) fn record_failures(&self, job: JobId, failures: &[Failure]) -> Tried<()> {
        if failures.is_empty() {
            return Ok(());
        }
        let mut listed: usize = self
            .connection
            .prepare_cached("SELECT count(*) FROM failure WHERE job = ?1")?
            .query_row([int(job.0)], |row| row.get::<_, i64>(0))
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX))?;
        let mut not_listed = 0_u64;
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM failure WHERE job = ?1 AND path = ?2")?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO failure (job, path, time, operation, code, code_name, message, attempts, class, depth, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for failure in failures {
            let path = &failure.path[..failure.path.len().min(MAX_PATH)];
            listed -= delete.execute(params![int(job.0), path])?.min(listed);
            if listed >= MAX_FAILURES {
                not_listed += 1;
                continue;
            }
            let retry = failure.retry.as_ref();
            insert.execute(params![
                int(job.0),
                path,
                int(self.now.0),
                clip(&failure.operation, MAX_NAME),
                failure.code,
                clip(&failure.code_name, MAX_NAME),
                clip(&failure.message, MAX_TEXT),
                failure.attempts,
                retry.map(|task| class_code(task.class)),
                retry.map(|task| task.depth),
                retry.map(|task| task.payload.as_slice()),
            ])?;
            listed += 1;
        }
        if not_listed > 0 {
            let sql = "UPDATE job SET not_listed = not_listed + ?2 WHERE id = ?1";
            self.connection
                .prepare_cached(sql)?
                .execute([int(job.0), int(not_listed)])?;
        }
        Ok(())
    }

    pub(super) fn retry(&self, job: JobId, filter: &FailureFilter) -> Tried<Retried> {
        let course = self.course(job)?;
        if course.state == JobState::Stopping {
            return Err(BrokerError::Stopping { name: course.name }.into());
        }
        let not_listed = self
            .connection
            .query_row(
                "SELECT not_listed FROM job WHERE id = ?1",
                [int(job.0)],
                |row| row.get::<_, i64>(0),
            )
            .map(|count| u64::try_from(count).unwrap_or_default())?;
        let mut retried = Retried {
            queued: 0,
            left: 0,
            not_listed,
        };
        // Page by page, because all payloads together may be large.
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = page(self.connection, job, after.as_deref(), MAX_LEASE)?;
            for entry in &page.entries {
                if !filter.admits(&entry.failure) {
                    continue;
                }
                match &entry.failure.retry {
                    Some(task) if !entry.retrying => {
                        let task = self.queue(job, TaskKind::Work, task)?;
                        let sql = "UPDATE failure SET task = ?3 WHERE job = ?1 AND path = ?2";
                        self.connection.prepare_cached(sql)?.execute(params![
                            int(job.0),
                            entry.failure.path,
                            task
                        ])?;
                        retried.queued += 1;
                    }
                    _ => retried.left += 1,
                }
            }
            if !page.more {
                break;
            }
            after = page
                .entries
                .into_iter()
                .next_back()
                .map(|entry| entry.failure.path);
        }
        if retried.queued > 0 {
            if !matches!(course.state, JobState::Queued | JobState::Running) {
                self.reopen(&course)?;
            }
            self.event(job, EventKind::Retried, &retried.queued.to_string())?;
        }
        Ok(retried)
    }
}

fn record_of(row: &Row<'_>) -> Tried<FailureRecord> {
    let retry = match row.get::<_, Option<i64>>("class")? {
        None => None,
        Some(_) => Some(NewTask {
            class: class_of(row)?,
            depth: u32::try_from(uint(row, "depth")?).unwrap_or(u32::MAX),
            payload: bytes(row, "payload", MAX_PAYLOAD)?,
            delay: None,
        }),
    };
    Ok(FailureRecord {
        time: Timestamp(uint(row, "time")?),
        retrying: row.get::<_, Option<i64>>("task")?.is_some(),
        failure: Failure {
            path: bytes(row, "path", MAX_PATH)?,
            operation: row.get("operation")?,
            code: row.get("code")?,
            code_name: row.get("code_name")?,
            message: row.get("message")?,
            attempts: u32::try_from(uint(row, "attempts")?).unwrap_or(u32::MAX),
            retry,
        },
    })
}

fn page(
    connection: &Connection,
    job: JobId,
    after: Option<&[u8]>,
    max: usize,
) -> Tried<FailurePage> {
    // An empty path is a path, so "from the beginning" is not "after the empty one".
    let (sql, after) = match after {
        Some(after) => (
            "SELECT * FROM failure WHERE job = ?1 AND path > ?2 ORDER BY path LIMIT ?3",
            after,
        ),
        None => (
            "SELECT * FROM failure WHERE job = ?1 AND path >= ?2 ORDER BY path LIMIT ?3",
            &b""[..],
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(max).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = statement.query(params![int(job.0), after, limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        if entries.len() == max {
            return Ok(FailurePage {
                entries,
                more: true,
                not_listed: 0,
            });
        }
        entries.push(record_of(row)?);
    }
    Ok(FailurePage {
        entries,
        more: false,
        not_listed: 0,
    })
}

pub(super) fn failures(
    connection: &Connection,
    job: JobId,
    after: Option<&[u8]>,
    max: usize,
) -> Tried<FailurePage> {
    exists(connection, job)?;
    let mut page = page(connection, job, after, max.clamp(1, MAX_LEASE))?;
    let sql = "SELECT not_listed FROM job WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([int(job.0)])?;
    if let Some(row) = rows.next()? {
        page.not_listed = uint(row, "not_listed")?;
    }
    Ok(page)
}
