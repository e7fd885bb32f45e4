//! Jobs: made, resumed, shown.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use uuid::Uuid;

use super::fault::{Fault, Tried, bytes, int, maybe_uint, uint};
use super::passes::{counts, state, totals, unknown};
use super::tasks::{class_code, class_of};
use super::writer::Tx;
use crate::broker::check::millis;
use crate::broker::limits::{MAX_PAYLOAD, MAX_PROFILE, MAX_SPEC};
use crate::broker::{
    BrokerError, Counts, Created, EventKind, InUse, Job, JobEvent, JobId, JobState, NewJob,
    NewTask, Outstanding, Queues, Timestamp, WorkerId,
};

impl Tx<'_> {
    pub(super) fn create_job(&self, new: &NewJob) -> Tried<Created> {
        if let Some(job) = self.unfinished_like(new)? {
            return self.resume(job, new);
        }
        let name = new
            .name
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let older: Option<i64> = self
            .connection
            .query_row("SELECT id FROM job WHERE name = ?1", [&name], |row| {
                row.get(0)
            })
            .optional()?;
        if let Some(older) = older {
            self.forget(JobId(u64::try_from(older).unwrap_or_default()))?;
        }
        let zero = totals(&Counts::default())?;
        self.connection.execute(
            "INSERT INTO job (name, identity, state, pass, pre_job, post_job, interval, owner, created, pass_totals, totals_before,
                file_queue, path_queue, restart_queue, max_in_flight)
             VALUES (?1, ?2, 'queued', 1, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12)",
            params![
                name,
                new.identity,
                new.pre_job,
                new.post_job,
                new.interval.map(|interval| int(millis(interval))),
                new.owner.as_ref().map(|owner| &owner.0),
                int(self.now.0),
                zero,
                new.queues.file,
                new.queues.path,
                new.queues.restart,
                new.max_in_flight,
            ],
        )?;
        let job = JobId(u64::try_from(self.connection.last_insert_rowid()).unwrap_or_default());
        let first = &new.first;
        self.connection.execute(
            "INSERT INTO spec (job, spec, class, depth, delay, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                int(job.0),
                new.spec,
                class_code(first.class),
                first.depth,
                first.delay.map(|delay| int(millis(delay))),
                first.payload,
            ],
        )?;
        self.event(job, EventKind::Created, "")?;
        self.begin_pass(job, new.pre_job)?;
        Ok(Created::New(view(self.connection, self.now, job)?))
    }

    /// The unfinished job that stands where the new one would.
    fn unfinished_like(&self, new: &NewJob) -> Tried<Option<JobId>> {
        const UNFINISHED: &str =
            "state IN ('queued', 'running', 'waiting', 'stopping') ORDER BY id LIMIT 1";
        let find = |like: &str, values: &[&dyn ToSql]| -> Tried<Option<JobId>> {
            let sql = format!("SELECT id FROM job WHERE {like} AND {UNFINISHED}");
            let id: Option<i64> = self
                .connection
                .query_row(&sql, values, |row| row.get(0))
                .optional()?;
            Ok(id.map(|id| JobId(u64::try_from(id).unwrap_or_default())))
        };
        if let Some(name) = &new.name
            && let Some(job) = find("name = ?1", &[name])?
        {
            return Ok(Some(job));
        }
        let interval = new.interval.map(|interval| int(millis(interval)));
        find(
            "identity = ?1 AND interval IS ?2",
            &[&new.identity, &interval],
        )
    }

    fn resume(&self, job: JobId, new: &NewJob) -> Tried<Created> {
        let found = view(self.connection, self.now, job)?;
        let same = found.identity == new.identity
            && found.interval.map(millis) == new.interval.map(millis);
        let why = if !same {
            Some(InUse::Different)
        } else if found.state == JobState::Stopping {
            Some(InUse::Stopping)
        } else {
            // The owner itself may ask again, not knowing whether its first request arrived.
            found
                .owner
                .filter(|owner| found.owner_lives && new.owner.as_ref() != Some(owner))
                .map(InUse::Owned)
        };
        if let Some(why) = why {
            return Err(BrokerError::NameInUse {
                name: found.name,
                why,
            }
            .into());
        }
        let owner = new.owner.as_ref().map(|owner| &owner.0);
        self.connection.execute(
            "UPDATE job SET owner = ?2, file_queue = ?3, path_queue = ?4, restart_queue = ?5, max_in_flight = ?6 WHERE id = ?1",
            params![
                int(job.0),
                owner,
                new.queues.file,
                new.queues.path,
                new.queues.restart,
                new.max_in_flight
            ],
        )?;
        self.connection.execute(
            "UPDATE spec SET spec = ?2 WHERE job = ?1",
            params![int(job.0), new.spec],
        )?;
        self.event(job, EventKind::Resumed, "")?;
        Ok(Created::Resumed(view(self.connection, self.now, job)?))
    }

    pub(super) fn first_task(&self, job: JobId) -> Tried<NewTask> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT class, depth, delay, payload FROM spec WHERE job = ?1")?;
        let mut rows = statement.query([int(job.0)])?;
        let row = rows
            .next()?
            .ok_or_else(|| Fault::corrupt(format!("job {job} has no first task")))?;
        Ok(NewTask {
            class: class_of(row)?,
            depth: u32::try_from(uint(row, "depth")?).unwrap_or(u32::MAX),
            payload: bytes(row, "payload", MAX_PAYLOAD)?,
            delay: maybe_uint(row, "delay")?.map(Duration::from_millis),
        })
    }

    pub(super) fn put_profile(&self, job: JobId, revision: u64, bytes: &[u8]) -> Tried<bool> {
        exists(self.connection, job)?;
        let put = self
            .connection
            .prepare_cached(
                "INSERT INTO profile (job, revision, bytes) SELECT ?1, ?2 + 1, ?3
                    WHERE ?2 = coalesce((SELECT revision FROM profile WHERE job = ?1), 0)
                 ON CONFLICT (job) DO UPDATE SET revision = excluded.revision, bytes = excluded.bytes",
            )?
            .execute(params![int(job.0), int(revision), bytes])?;
        Ok(put > 0)
    }

    pub(super) fn note(&self, job: JobId, text: &str) -> Tried<()> {
        exists(self.connection, job)?;
        self.event(job, EventKind::Note, text)
    }
}

const VIEW: &str = "SELECT job.*, spec.spec,
    EXISTS (SELECT 1 FROM worker WHERE worker.id = job.owner AND worker.lives_until > ?1) AS owner_lives,
    (SELECT count(*) FROM task WHERE task.job = job.id AND task.state = 0) AS ready,
    (SELECT count(*) FROM task WHERE task.job = job.id AND task.state = 1 AND task.time IS NOT NULL) AS delayed,
    (SELECT count(*) FROM task WHERE task.job = job.id AND task.state = 2 AND task.time IS NOT NULL) AS leased,
    (SELECT count(*) FROM failure WHERE failure.job = job.id) AS failures
    FROM job JOIN spec ON spec.job = job.id";

fn job_of(row: &Row<'_>) -> Tried<Job> {
    let time =
        |column: &str| -> Tried<Option<Timestamp>> { Ok(maybe_uint(row, column)?.map(Timestamp)) };
    let pass_totals = counts(&row.get::<_, String>("pass_totals")?)?;
    let mut totals = counts(&row.get::<_, String>("totals_before")?)?;
    totals += pass_totals;
    Ok(Job {
        id: JobId(uint(row, "id")?),
        name: row.get("name")?,
        identity: row.get("identity")?,
        spec: bytes(row, "spec", MAX_SPEC)?,
        state: state(&row.get::<_, String>("state")?)?,
        failed: row.get("failed")?,
        pass: uint(row, "pass")?,
        interval: maybe_uint(row, "interval")?.map(Duration::from_millis),
        owner: row.get::<_, Option<String>>("owner")?.map(WorkerId),
        owner_lives: row.get("owner_lives")?,
        queues: queues(row)?,
        max_in_flight: cap(row)?,
        created: Timestamp(uint(row, "created")?),
        started: time("started")?,
        ended: time("ended")?,
        next_pass: time("next_pass")?,
        pass_totals,
        totals,
        outstanding: Outstanding {
            ready: uint(row, "ready")?,
            delayed: uint(row, "delayed")?,
            leased: uint(row, "leased")?,
        },
        failures: uint(row, "failures")?,
        failures_not_listed: uint(row, "not_listed")?,
    })
}

pub(super) fn view(connection: &Connection, now: Timestamp, job: JobId) -> Tried<Job> {
    let mut statement = connection.prepare_cached(&format!("{VIEW} WHERE job.id = ?2"))?;
    let mut rows = statement.query([int(now.0), int(job.0)])?;
    job_of(rows.next()?.ok_or_else(|| unknown(job))?)
}

pub(super) fn find(connection: &Connection, now: Timestamp, name: &str) -> Tried<Option<Job>> {
    let mut statement = connection.prepare_cached(&format!("{VIEW} WHERE job.name = ?2"))?;
    let mut rows = statement.query(params![int(now.0), name])?;
    rows.next()?.map(job_of).transpose()
}

pub(super) fn views(connection: &Connection, now: Timestamp) -> Tried<Vec<Job>> {
    let mut statement = connection.prepare_cached(&format!("{VIEW} ORDER BY job.id"))?;
    let mut rows = statement.query([int(now.0)])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(job_of(row)?);
    }
    Ok(jobs)
}

/// The names of a job's queues.
pub(super) fn queues(row: &Row<'_>) -> Tried<Queues> {
    Ok(Queues {
        file: row.get("file_queue")?,
        path: row.get("path_queue")?,
        restart: row.get("restart_queue")?,
    })
}

/// A job's bound on its chunks of files in hand.
pub(super) fn cap(row: &Row<'_>) -> Tried<Option<u32>> {
    let cap = maybe_uint(row, "max_in_flight")?;
    Ok(cap.map(|cap| u32::try_from(cap).unwrap_or(u32::MAX)))
}

/// Refuses a job that there is not.
pub(super) fn exists(connection: &Connection, job: JobId) -> Tried<()> {
    let sql = "SELECT 1 FROM job WHERE id = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([int(job.0)], |_| Ok(()))
        .optional()?;
    found.ok_or_else(|| unknown(job))
}

pub(super) fn profile(connection: &Connection, job: JobId) -> Tried<(u64, Vec<u8>)> {
    exists(connection, job)?;
    let sql = "SELECT revision, bytes FROM profile WHERE job = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([int(job.0)])?;
    match rows.next()? {
        None => Ok((0, Vec::new())),
        Some(row) => Ok((uint(row, "revision")?, bytes(row, "bytes", MAX_PROFILE)?)),
    }
}

pub(super) fn events(connection: &Connection, job: JobId) -> Tried<Vec<JobEvent>> {
    exists(connection, job)?;
    let mut statement = connection
        .prepare_cached("SELECT time, kind, text FROM event WHERE job = ?1 ORDER BY id")?;
    let mut rows = statement.query([int(job.0)])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get("kind")?;
        events.push(JobEvent {
            time: Timestamp(uint(row, "time")?),
            kind: EventKind::from_name(&kind)
                .ok_or_else(|| Fault::corrupt(format!("no such event: {kind:?}")))?,
            text: row.get("text")?,
        });
    }
    Ok(events)
}
