//! Tasks: queued, leased, extended, given back, multiplied.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::{Fault, Tried, bytes, int, uint};
use super::jobs::{cap, queues};
use super::writer::Tx;
use crate::broker::check::millis;
use crate::broker::limits::{
    MAX_AHEAD, MAX_BEFORE, MAX_CURSOR, MAX_DEPTH, MAX_LEASE, MAX_PAYLOAD, MAX_SPEC,
};
use crate::broker::{
    Append, Begun, BrokerError, Extended, JobFilter, JobId, JobState, Lease, LeaseRequest, Leased,
    NewTask, Spawned, TaskClass, TaskId, TaskKind, Timestamp, Token,
};

pub(super) fn class_code(class: TaskClass) -> i64 {
    match class {
        TaskClass::Files => 0,
        TaskClass::Other => 1,
        TaskClass::Directory => 2,
        TaskClass::Start => 3,
    }
}

pub(super) fn class_of(row: &Row<'_>) -> Tried<TaskClass> {
    match row.get::<_, i64>("class")? {
        0 => Ok(TaskClass::Files),
        1 => Ok(TaskClass::Other),
        2 => Ok(TaskClass::Directory),
        3 => Ok(TaskClass::Start),
        code => Err(Fault::corrupt(format!("no such task class: {code}"))),
    }
}

fn kind_code(kind: TaskKind) -> i64 {
    match kind {
        TaskKind::Work => 0,
        TaskKind::PreJob => 1,
        TaskKind::PostJob => 2,
    }
}

fn kind_of(row: &Row<'_>) -> Tried<TaskKind> {
    match row.get::<_, i64>("kind")? {
        0 => Ok(TaskKind::Work),
        1 => Ok(TaskKind::PreJob),
        2 => Ok(TaskKind::PostJob),
        code => Err(Fault::corrupt(format!("no such task kind: {code}"))),
    }
}

/// A task whose token is the one presented.
pub(super) struct Held {
    pub(super) job: JobId,
    pub(super) kind: TaskKind,
    begun: bool,
}

impl Tx<'_> {
    /// Queues a task and answers its number.
    pub(super) fn queue(&self, job: JobId, kind: TaskKind, task: &NewTask) -> Tried<i64> {
        let due = task
            .delay
            .map(millis)
            .filter(|delay| *delay > 0)
            .map(|delay| int(self.now.0.saturating_add(delay)));
        self.connection
            .prepare_cached(
                "INSERT INTO task (job, state, time, since, class, shallow, kind, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                int(job.0),
                i64::from(due.is_some()),
                due,
                due.unwrap_or(int(self.now.0)),
                class_code(task.class),
                MAX_DEPTH - task.depth.min(MAX_DEPTH),
                kind_code(kind),
                task.payload,
            ])?;
        if due.is_none() {
            self.wake.set(true);
        }
        Ok(self.connection.last_insert_rowid())
    }

    /// Checks the token.
    pub(super) fn held(&self, lease: Lease) -> Tried<Held> {
        let mut statement = self.connection.prepare_cached(
            "SELECT job, kind, begun FROM task WHERE id = ?1 AND state = 2 AND token = ?2",
        )?;
        let mut rows = statement.query(params![int(lease.task.0), lease.token.as_bytes()])?;
        let row = rows
            .next()?
            .ok_or(Fault::Answer(BrokerError::Stale { task: lease.task.0 }))?;
        Ok(Held {
            job: JobId(uint(row, "job")?),
            kind: kind_of(row)?,
            begun: row.get("begun")?,
        })
    }

    pub(super) fn lease(&self, request: &LeaseRequest) -> Tried<Vec<Leased>> {
        self.tick()?;
        let max = request.max.min(MAX_LEASE);
        let mut jobs_with_tasks = Vec::new();
        let mut turn = 0;
        {
            let mut jobs = self.connection.prepare_cached(
                "SELECT id, turn, file_queue, path_queue, restart_queue, max_in_flight FROM job
                 WHERE state IN ('queued', 'running') ORDER BY turn, id",
            )?;
            let mut rows = jobs.query([])?;
            while let Some(row) = rows.next()? {
                turn = turn.max(row.get::<_, i64>("turn")?);
                let job = JobId(uint(row, "id")?);
                if !request.filter.admits(job) {
                    continue;
                }
                let (queues, cap) = (queues(row)?, cap(row)?);
                let takes = |class| request.filter.takes(&queues, class);
                let tasks = ready(self.connection, job, takes, cap, max)?;
                if !tasks.is_empty() {
                    jobs_with_tasks.push((job, tasks.into_iter()));
                }
            }
        }
        // One from each job in turn, until there are enough or none are left.
        let mut picked = Vec::new();
        let mut turns = Vec::new();
        while picked.len() < max && !jobs_with_tasks.is_empty() {
            jobs_with_tasks.retain_mut(|(job, tasks)| {
                if picked.len() >= max {
                    return true;
                }
                let Some(task) = tasks.next() else {
                    return false;
                };
                picked.push((*job, task));
                turn = turn.saturating_add(1);
                turns.retain(|(other, _)| other != job);
                turns.push((*job, turn));
                true
            });
        }
        let mut jobs = Vec::new();
        for (job, turn) in turns {
            self.started(job, turn)?;
            jobs.push((job, self.spec(job)?));
        }
        let deadline = Timestamp(self.now.0.saturating_add(millis(request.lease_for)));
        let mut leased = Vec::with_capacity(picked.len());
        for (job, task) in picked {
            let of_job = jobs.iter().find(|(other, _)| *other == job);
            let of_job = of_job.map(|(_, known)| known.clone()).unwrap_or_default();
            leased.push(self.take(job, task, of_job, request, deadline)?);
        }
        Ok(leased)
    }

    /// The job's specification, and the pass that it is in.
    fn spec(&self, job: JobId) -> Tried<(Arc<[u8]>, u64)> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT spec, pass FROM spec JOIN job ON id = job WHERE job = ?1")?;
        let mut rows = statement.query([int(job.0)])?;
        let row = rows
            .next()?
            .ok_or_else(|| Fault::corrupt(format!("job {job} has no specification")))?;
        Ok((bytes(row, "spec", MAX_SPEC)?.into(), uint(row, "pass")?))
    }

    fn take(
        &self,
        job: JobId,
        task: i64,
        (spec, pass): (Arc<[u8]>, u64),
        request: &LeaseRequest,
        deadline: Timestamp,
    ) -> Tried<Leased> {
        let token = Token::random();
        self.connection
            .prepare_cached(
                "UPDATE task SET state = 2, time = ?2, token = ?3, worker = ?4 WHERE id = ?1",
            )?
            .execute(params![
                task,
                int(deadline.0),
                token.as_bytes(),
                request.worker.0
            ])?;
        let mut statement = self.connection.prepare_cached(
            "SELECT id, kind, class, shallow, payload, cursor, expiries, since FROM task WHERE id = ?1",
        )?;
        let mut rows = statement.query([task])?;
        let row = rows
            .next()?
            .ok_or_else(|| Fault::corrupt(format!("task {task} is gone")))?;
        let shallow = u32::try_from(uint(row, "shallow")?).unwrap_or(MAX_DEPTH);
        Ok(Leased {
            lease: Lease {
                task: TaskId(uint(row, "id")?),
                token,
            },
            job,
            spec,
            kind: kind_of(row)?,
            class: class_of(row)?,
            depth: MAX_DEPTH.saturating_sub(shallow),
            payload: bytes(row, "payload", MAX_PAYLOAD)?,
            cursor: bytes(row, "cursor", MAX_CURSOR)?,
            expiries: u32::try_from(uint(row, "expiries")?).unwrap_or(u32::MAX),
            deadline,
            pass,
            waited: Duration::from_millis(self.now.0.saturating_sub(uint(row, "since")?)),
        })
    }

    pub(super) fn extend(&self, leases: &[Lease], lease_for: Duration) -> Tried<Extended> {
        let deadline = int(self.now.0.saturating_add(millis(lease_for)));
        let mut extended = Extended::default();
        for lease in leases {
            let held: Option<(i64, bool)> = self
                .connection
                .prepare_cached(
                    "UPDATE task SET time = ?3 WHERE id = ?1 AND state = 2 AND token = ?2
                     RETURNING job, (SELECT state = 'stopping' FROM job WHERE job.id = task.job)",
                )?
                .query_row(
                    params![int(lease.task.0), lease.token.as_bytes(), deadline],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            match held {
                None => {
                    self.forgive(*lease)?;
                    extended.lost.push(*lease);
                }
                Some((_, false)) => {}
                Some((job, true)) => {
                    let job = JobId(u64::try_from(job).unwrap_or_default());
                    if !extended.stopping.contains(&job) {
                        extended.stopping.push(job);
                    }
                }
            }
        }
        Ok(extended)
    }

    /// A lease that ran out counts no more: its holder has come back.
    fn forgive(&self, lease: Lease) -> Tried<()> {
        self.connection
            .prepare_cached(
                "UPDATE task SET expiries = max(expiries - 1, 1), lapsed = replace(lapsed, hex(?2) || ' ', '')
                 WHERE id = ?1 AND instr(lapsed, hex(?2) || ' ') > 0",
            )?
            .execute(params![int(lease.task.0), lease.token.as_bytes()])?;
        Ok(())
    }

    pub(super) fn release(&self, lease: Lease, delay: Duration) -> Tried<()> {
        let held = self.held(lease)?;
        if self.course(held.job)?.state == JobState::Stopping {
            return self.remove(held.job, lease.task);
        }
        let due = (!delay.is_zero()).then(|| int(self.now.0.saturating_add(millis(delay))));
        self.connection
            .prepare_cached(
                "UPDATE task SET state = ?2, time = ?3, since = ?4, token = NULL, worker = NULL WHERE id = ?1",
            )?
            .execute(params![
                int(lease.task.0),
                i64::from(due.is_some()),
                due,
                due.unwrap_or(int(self.now.0))
            ])?;
        if due.is_none() {
            self.wake.set(true);
        }
        Ok(())
    }

    /// Drops a task of a stopping job.
    fn remove(&self, job: JobId, task: TaskId) -> Tried<()> {
        self.connection
            .prepare_cached("DELETE FROM task WHERE id = ?1")?
            .execute([int(task.0)])?;
        self.unbind(job)?;
        self.settle(job)
    }

    pub(super) fn spawn(
        &self,
        lease: Lease,
        children: &[NewTask],
        cursor: &[u8],
        signatures: &[Append],
    ) -> Tried<Spawned> {
        let held = self.held(lease)?;
        if self.course(held.job)?.state == JobState::Stopping {
            return Ok(Spawned::Stopping);
        }
        for child in children {
            self.queue(held.job, TaskKind::Work, child)?;
        }
        for append in signatures {
            self.append(&append.key, &append.bytes)?;
        }
        let sql = "UPDATE task SET cursor = ?2 WHERE id = ?1 RETURNING class, shallow";
        let place = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (class, shallow) = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![int(lease.task.0), cursor], place)?;
        let sql = "SELECT 1 FROM task WHERE job = ?1 AND state = 0 AND (class, shallow) < (?2, ?3)
             LIMIT 1 OFFSET ?4";
        let before = int(MAX_BEFORE as u64 - 1);
        let crowded = self.connection.prepare_cached(sql)?.exists(params![
            int(held.job.0),
            class,
            shallow,
            before
        ])?;
        Ok(match crowded {
            true => Spawned::Crowded,
            false => Spawned::Queued,
        })
    }

    pub(super) fn begin_once(&self, lease: Lease) -> Tried<Begun> {
        if self.held(lease)?.begun {
            return Ok(Begun::Again);
        }
        let sql = "UPDATE task SET begun = 1 WHERE id = ?1";
        self.connection
            .prepare_cached(sql)?
            .execute([int(lease.task.0)])?;
        Ok(Begun::First)
    }
}

/// The ready tasks of a job that may be taken, in order, at most `max`: of the classes that are served, and chunks of files up
/// to the job's bound on those in hand. Where chunks wait because of that, directories wait too if they are many.
fn ready(
    connection: &Connection,
    job: JobId,
    takes: impl Fn(TaskClass) -> bool,
    cap: Option<u32>,
    max: usize,
) -> Tried<Vec<i64>> {
    let limit = |max: usize| i64::try_from(max).unwrap_or(i64::MAX);
    let numbers = |sql: &str, values: &[i64]| -> Tried<Vec<i64>> {
        let mut statement = connection.prepare_cached(sql)?;
        let numbers = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?;
        Ok(numbers.collect::<rusqlite::Result<_>>()?)
    };
    if cap.is_none() && TaskClass::ALL.into_iter().all(&takes) {
        let sql =
            "SELECT id FROM task WHERE job = ?1 AND state = 0 ORDER BY class, shallow, id LIMIT ?2";
        return numbers(sql, &[int(job.0), limit(max)]);
    }
    let files = match (takes(TaskClass::Files), cap) {
        (false, _) => 0,
        (true, None) => usize::MAX,
        (true, Some(cap)) => {
            let sql = "SELECT count(*) FROM task WHERE job = ?1 AND state = 2 AND time IS NOT NULL AND class = 0";
            let in_hand = numbers(sql, &[int(job.0)])?;
            let in_hand = in_hand
                .first()
                .map_or(0, |count| usize::try_from(*count).unwrap_or(0));
            usize::try_from(cap)
                .unwrap_or(usize::MAX)
                .saturating_sub(in_hand)
        }
    };
    let mut found = Vec::new();
    for class in TaskClass::ALL {
        let left = max - found.len();
        let most = match class {
            TaskClass::Files => left.min(files),
            TaskClass::Directory if files < usize::MAX => {
                let sql = "SELECT 1 FROM task WHERE job = ?1 AND state = 0 AND class = 0 LIMIT 1 OFFSET ?2";
                let ahead = limit(files.saturating_add(MAX_AHEAD - 1));
                match numbers(sql, &[int(job.0), ahead])?.is_empty() {
                    true => left,
                    false => 0,
                }
            }
            _ => left,
        };
        if most > 0 && takes(class) {
            let sql = "SELECT id FROM task WHERE job = ?1 AND state = 0 AND class = ?2 ORDER BY shallow, id LIMIT ?3";
            found.extend(numbers(sql, &[int(job.0), class_code(class), limit(most)])?);
        }
    }
    Ok(found)
}

/// Whether a lease call may find something.
pub(super) fn has_work(connection: &Connection, now: Timestamp, filter: &JobFilter) -> Tried<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT id, file_queue, path_queue, restart_queue, max_in_flight, state IN ('queued', 'running') AS goes_on,
            state = 'waiting' AND coalesce(next_pass <= ?1, 1)
            OR EXISTS (SELECT 1 FROM task WHERE task.job = job.id AND task.state = 1 AND task.time <= ?1)
            OR EXISTS (SELECT 1 FROM task WHERE task.job = job.id AND task.state = 2 AND task.time <= ?1) AS work
         FROM job WHERE state IN ('queued', 'running', 'waiting', 'stopping')",
    )?;
    let mut rows = statement.query([int(now.0)])?;
    while let Some(row) = rows.next()? {
        let job = JobId(uint(row, "id")?);
        if !filter.admits(job) {
            continue;
        }
        let (queues, cap) = (queues(row)?, cap(row)?);
        let takes = |class| filter.takes(&queues, class);
        if row.get("work")?
            || row.get("goes_on")? && !ready(connection, job, takes, cap, 1)?.is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
