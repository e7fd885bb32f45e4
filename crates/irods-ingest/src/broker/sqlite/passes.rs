//! The life of a job: passes begin, end, fail, are stopped; leases run out.
//!
//! Whatever takes a task away calls [`Tx::settle`], which alone decides what the last task of a job leads to.

use rusqlite::params;

use super::fault::{Fault, Tried, int, maybe_uint, uint};
use super::writer::Tx;
use crate::broker::check::clip;
use crate::broker::limits::{MAX_EVENTS, MAX_TEXT};
use crate::broker::{
    BrokerError, Counts, EventKind, Fatal, JobId, JobState, NewTask, TaskClass, TaskKind,
};

/// What decides how a job goes on.
pub(super) struct Course {
    pub(super) job: JobId,
    pub(super) name: String,
    pub(super) state: JobState,
    /// Which kind of stop is under way.
    ending: Option<Ending>,
    /// The state to which a pass of retries returns.
    reopened: Option<JobState>,
    pre_job: bool,
    post_job: bool,
    post_queued: bool,
    interval: Option<u64>,
    started: Option<u64>,
    next_pass: Option<u64>,
    failed: Option<String>,
}

/// How a stopping job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Stop,
    Pass,
    Job,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Pass => "pass",
            Self::Job => "job",
        }
    }

    fn from_name(name: &str) -> Tried<Self> {
        [Self::Stop, Self::Pass, Self::Job]
            .into_iter()
            .find(|ending| ending.name() == name)
            .ok_or_else(|| Fault::corrupt(format!("no such ending: {name:?}")))
    }
}

pub(super) fn state(name: &str) -> Tried<JobState> {
    JobState::from_name(name).ok_or_else(|| Fault::corrupt(format!("no such job state: {name:?}")))
}

pub(super) fn unknown(job: JobId) -> Fault {
    BrokerError::UnknownJob {
        job: job.to_string(),
    }
    .into()
}

impl Tx<'_> {
    pub(super) fn course(&self, job: JobId) -> Tried<Course> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, state, ending, reopened, pre_job, post_job, post_queued, interval, started, next_pass, failed
             FROM job WHERE id = ?1",
        )?;
        let mut rows = statement.query([int(job.0)])?;
        let row = rows.next()?.ok_or_else(|| unknown(job))?;
        Ok(Course {
            job,
            name: row.get("name")?,
            state: state(&row.get::<_, String>("state")?)?,
            ending: row
                .get::<_, Option<String>>("ending")?
                .as_deref()
                .map(Ending::from_name)
                .transpose()?,
            reopened: row
                .get::<_, Option<String>>("reopened")?
                .as_deref()
                .map(state)
                .transpose()?,
            pre_job: row.get("pre_job")?,
            post_job: row.get("post_job")?,
            post_queued: row.get("post_queued")?,
            interval: maybe_uint(row, "interval")?,
            started: maybe_uint(row, "started")?,
            next_pass: maybe_uint(row, "next_pass")?,
            failed: row.get("failed")?,
        })
    }

    pub(super) fn event(&self, job: JobId, kind: EventKind, text: &str) -> Tried<()> {
        self.connection
            .prepare_cached("INSERT INTO event (job, time, kind, text) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                int(job.0),
                int(self.now.0),
                kind.name(),
                clip(text, MAX_TEXT)
            ])?;
        self.connection
            .prepare_cached(
                "DELETE FROM event WHERE job = ?1 AND id <=
                    (SELECT id FROM event WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![
                int(job.0),
                i64::try_from(MAX_EVENTS).unwrap_or(i64::MAX)
            ])?;
        Ok(())
    }

    /// The unfinished jobs, oldest first.
    pub(super) fn unfinished(&self) -> Tried<Vec<(JobId, JobState)>> {
        let sql = "SELECT id, state FROM job WHERE state IN ('queued', 'running', 'waiting', 'stopping') ORDER BY id";
        self.jobs_of(sql, &[])
    }

    /// Those of them of which a pass or a task is due.
    fn due(&self) -> Tried<Vec<(JobId, JobState)>> {
        let sql = "SELECT id, state FROM job WHERE state = 'waiting' AND coalesce(next_pass <= ?1, 1)
                OR state IN ('queued', 'running', 'stopping')
                    AND (EXISTS (SELECT 1 FROM task WHERE task.job = job.id AND task.state = 1 AND task.time <= ?1)
                        OR EXISTS (SELECT 1 FROM task WHERE task.job = job.id AND task.state = 2 AND task.time <= ?1))
             ORDER BY id";
        self.jobs_of(sql, &[int(self.now.0)])
    }

    fn jobs_of(&self, sql: &str, values: &[i64]) -> Tried<Vec<(JobId, JobState)>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            let state = state(&row.get::<_, String>("state")?)?;
            jobs.push((JobId(uint(row, "id")?), state));
        }
        Ok(jobs)
    }

    /// Takes back leases that ran out, makes due tasks ready, begins due passes.
    pub(super) fn tick(&self) -> Tried<()> {
        for (job, state) in self.due()? {
            match state {
                JobState::Waiting => self.next_pass(job)?,
                JobState::Stopping => {
                    let sql = "DELETE FROM task WHERE job = ?1 AND state = 2 AND time <= ?2";
                    if self
                        .connection
                        .prepare_cached(sql)?
                        .execute([int(job.0), int(self.now.0)])?
                        > 0
                    {
                        self.unbind(job)?;
                        self.settle(job)?;
                    }
                }
                _ => {
                    let expired = "UPDATE task SET state = 0, time = NULL, since = ?2, token = NULL, worker = NULL,
                            expiries = expiries + 1, lapsed = lapsed || hex(token) || ' '
                        WHERE job = ?1 AND state = 2 AND time <= ?2";
                    let due = "UPDATE task SET state = 0, time = NULL WHERE job = ?1 AND state = 1 AND time <= ?2";
                    for sql in [expired, due] {
                        if self
                            .connection
                            .prepare_cached(sql)?
                            .execute([int(job.0), int(self.now.0)])?
                            > 0
                        {
                            self.wake.set(true);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Queues what a full pass of the job begins with.
    pub(super) fn begin_pass(&self, job: JobId, pre_job: bool) -> Tried<()> {
        if pre_job {
            return self.queue_hook(job, TaskKind::PreJob);
        }
        self.queue_first(job)
    }

    fn queue_hook(&self, job: JobId, kind: TaskKind) -> Tried<()> {
        let hook = NewTask {
            class: TaskClass::Start,
            depth: 0,
            payload: Vec::new(),
            delay: None,
        };
        self.queue(job, kind, &hook).map(|_| ())
    }

    /// Queues the job's first task.
    pub(super) fn queue_first(&self, job: JobId) -> Tried<()> {
        let first = self.first_task(job)?;
        self.queue(job, TaskKind::Work, &first).map(|_| ())
    }

    /// Begins the next full pass of a waiting job. The ledger of the last one is history now.
    fn next_pass(&self, job: JobId) -> Tried<()> {
        let course = self.course(job)?;
        self.end_counting(job)?;
        self.connection
            .prepare_cached(
                "UPDATE job SET state = 'queued', pass = pass + 1, reopened = NULL, post_queued = 0, started = NULL, ended = NULL,
                    next_pass = NULL, turn = 0, not_listed = 0, failed = NULL WHERE id = ?1",
            )?
            .execute([int(job.0)])?;
        self.connection
            .prepare_cached("DELETE FROM failure WHERE job = ?1")?
            .execute([int(job.0)])?;
        self.begin_pass(job, course.pre_job)
    }

    /// Begins a pass of retries, after which the job is again as it is now.
    pub(super) fn reopen(&self, course: &Course) -> Tried<()> {
        self.end_counting(course.job)?;
        self.connection
            .prepare_cached(
                "UPDATE job SET state = 'queued', pass = pass + 1, reopened = ?2, started = NULL, ended = NULL, turn = 0 WHERE id = ?1",
            )?
            .execute(params![int(course.job.0), course.state.name()])?;
        Ok(())
    }

    /// What this pass counted is counted as done before, from now on.
    fn end_counting(&self, job: JobId) -> Tried<()> {
        let (pass, before): (String, String) = self
            .connection
            .prepare_cached("SELECT pass_totals, totals_before FROM job WHERE id = ?1")?
            .query_row([int(job.0)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut before = counts(&before)?;
        before += counts(&pass)?;
        let zero = totals(&Counts::default())?;
        self.connection
            .prepare_cached("UPDATE job SET pass_totals = ?2, totals_before = ?3 WHERE id = ?1")?
            .execute(params![int(job.0), zero, totals(&before)?])?;
        Ok(())
    }

    /// Notes that a task was leased, which starts the pass if it is the first.
    pub(super) fn started(&self, job: JobId, turn: i64) -> Tried<()> {
        let first = self
            .connection
            .prepare_cached(
                "UPDATE job SET state = 'running', turn = ?2, started = ?3
                 WHERE id = ?1 AND state = 'queued'",
            )?
            .execute(params![int(job.0), turn, int(self.now.0)])?;
        if first > 0 {
            return self.event(job, EventKind::PassStarted, "");
        }
        self.connection
            .prepare_cached("UPDATE job SET turn = ?2 WHERE id = ?1")?
            .execute([int(job.0), turn])?;
        Ok(())
    }

    fn has_tasks(&self, job: JobId) -> Tried<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM task WHERE job = ?1 AND state = 0)
            OR EXISTS (SELECT 1 FROM task WHERE job = ?1 AND time IS NOT NULL)";
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row([int(job.0)], |row| row.get(0))?)
    }

    /// Moves a job on if its last task is gone.
    pub(super) fn settle(&self, job: JobId) -> Tried<()> {
        if self.has_tasks(job)? {
            return Ok(());
        }
        let course = self.course(job)?;
        let why = course.failed.as_deref().unwrap_or_default();
        match (course.state, course.ending) {
            (JobState::Stopping, Some(Ending::Job)) => self.end(job, JobState::Failed, why),
            (JobState::Stopping, Some(Ending::Pass)) => {
                let goes_on = course
                    .reopened
                    .map_or(course.interval.is_some(), |was| was == JobState::Waiting);
                if goes_on {
                    self.wait(&course, EventKind::PassFailed, why)
                } else {
                    self.end(job, JobState::Failed, why)
                }
            }
            (JobState::Stopping, _) => self.end(job, JobState::Stopped, ""),
            (JobState::Queued | JobState::Running, _) => match course.reopened {
                Some(JobState::Waiting) => self.wait(&course, EventKind::PassEnded, ""),
                Some(was) => self.end(job, was, if was == JobState::Failed { why } else { "" }),
                None if course.post_job && !course.post_queued => {
                    let sql = "UPDATE job SET post_queued = 1 WHERE id = ?1";
                    self.connection.prepare_cached(sql)?.execute([int(job.0)])?;
                    self.queue_hook(job, TaskKind::PostJob)
                }
                None if course.interval.is_some() => self.wait(&course, EventKind::PassEnded, ""),
                None => self.end(job, JobState::Finished, ""),
            },
            _ => Ok(()),
        }
    }

    fn end(&self, job: JobId, state: JobState, why: &str) -> Tried<()> {
        self.connection
            .prepare_cached(
                "UPDATE job SET state = ?2, ended = ?3, owner = NULL, ending = NULL, reopened = NULL, next_pass = NULL WHERE id = ?1",
            )?
            .execute(params![int(job.0), state.name(), int(self.now.0)])?;
        let kind = match state {
            JobState::Failed => EventKind::Failed,
            JobState::Stopped => EventKind::Stopped,
            _ => EventKind::Finished,
        };
        self.event(job, kind, why)
    }

    fn wait(&self, course: &Course, kind: EventKind, why: &str) -> Tried<()> {
        let due = match (course.reopened, course.interval) {
            (None, Some(interval)) => course
                .started
                .unwrap_or(self.now.0)
                .saturating_add(interval),
            _ => course.next_pass.unwrap_or(self.now.0),
        };
        self.connection
            .prepare_cached(
                "UPDATE job SET state = 'waiting', ended = ?2, next_pass = ?3, ending = NULL, reopened = NULL WHERE id = ?1",
            )?
            .execute(params![int(course.job.0), int(self.now.0), int(due.max(self.now.0))])?;
        self.event(course.job, kind, why)
    }

    pub(super) fn stop(&self, job: JobId, now: bool) -> Tried<JobState> {
        let course = self.course(job)?;
        match course.state {
            JobState::Waiting => self.end(job, JobState::Stopped, "")?,
            JobState::Queued | JobState::Running => {
                self.begin_ending(job, Ending::Stop, None)?;
                self.event(job, EventKind::Stopping, "")?;
            }
            JobState::Stopping if course.ending == Some(Ending::Pass) => {
                self.begin_ending(job, Ending::Stop, None)?;
                self.event(job, EventKind::Stopping, "")?;
            }
            _ => {}
        }
        if now && !course.state.has_ended() {
            let sql = "DELETE FROM task WHERE job = ?1 AND time IS NOT NULL";
            self.connection.prepare_cached(sql)?.execute([int(job.0)])?;
            self.unbind(job)?;
        }
        if course.state != JobState::Waiting {
            self.settle(job)?;
        }
        Ok(self.course(job)?.state)
    }

    /// Begins to end a pass or job because a task says so. A job that is being stopped ends as stopped all the same.
    pub(super) fn fatal(&self, course: &Course, fatal: &Fatal) -> Tried<()> {
        let (ending, why) = match fatal {
            Fatal::Pass(why) => (Ending::Pass, why),
            Fatal::Job(why) => (Ending::Job, why),
        };
        let outranked = match course.ending {
            None => false,
            Some(Ending::Pass) => ending == Ending::Pass,
            Some(Ending::Stop | Ending::Job) => true,
        };
        if outranked {
            return self.event(course.job, EventKind::Note, why);
        }
        self.begin_ending(course.job, ending, Some(clip(why, MAX_TEXT)))
    }

    fn begin_ending(&self, job: JobId, ending: Ending, why: Option<&str>) -> Tried<()> {
        self.connection
            .prepare_cached("UPDATE job SET state = 'stopping', ending = ?2, failed = coalesce(?3, failed) WHERE id = ?1")?
            .execute(params![int(job.0), ending.name(), why])?;
        for sql in [
            "DELETE FROM task WHERE job = ?1 AND state = 0",
            "DELETE FROM task WHERE job = ?1 AND state = 1 AND time IS NOT NULL",
        ] {
            self.connection.prepare_cached(sql)?.execute([int(job.0)])?;
        }
        self.unbind(job)
    }

    /// Leaves in the ledger, as not being retried, the entries whose task has been dropped.
    pub(super) fn unbind(&self, job: JobId) -> Tried<()> {
        self.connection
            .prepare_cached(
                "UPDATE failure SET task = NULL WHERE job = ?1 AND task IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM task WHERE task.id = failure.task AND task.job = ?1)",
            )?
            .execute([int(job.0)])?;
        Ok(())
    }

    pub(super) fn forget(&self, job: JobId) -> Tried<()> {
        let course = self.course(job)?;
        if !course.state.has_ended() {
            return Err(BrokerError::NotEnded { name: course.name }.into());
        }
        for sql in [
            "DELETE FROM failure WHERE job = ?1",
            "DELETE FROM event WHERE job = ?1",
            "DELETE FROM spec WHERE job = ?1",
            "DELETE FROM profile WHERE job = ?1",
            "DELETE FROM job WHERE id = ?1",
        ] {
            self.connection.prepare_cached(sql)?.execute([int(job.0)])?;
        }
        Ok(())
    }
}

/// Totals as they are stored.
pub(super) fn totals(counts: &Counts) -> Tried<String> {
    serde_json::to_string(counts).map_err(|error| Fault::corrupt(error.to_string()))
}

/// Totals as they are read.
pub(super) fn counts(stored: &str) -> Tried<Counts> {
    serde_json::from_str(stored).map_err(|error| Fault::corrupt(format!("totals: {error}")))
}
