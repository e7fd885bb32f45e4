//! The completion of a task: all that it did becomes true at once, or nothing of it.

use rusqlite::params;

use super::fault::{Tried, int};
use super::passes::{counts, totals};
use super::writer::Tx;
use crate::broker::{Completion, Counts, JobId, JobState, Lease, TaskKind};

impl Tx<'_> {
    pub(super) fn complete(&self, lease: Lease, completion: &Completion) -> Tried<()> {
        let held = self.held(lease)?;
        let job = held.job;
        let task = int(lease.task.0);
        self.connection
            .prepare_cached("DELETE FROM task WHERE id = ?1")?
            .execute([task])?;
        self.add(job, &completion.counts)?;
        for append in &completion.signatures {
            self.append(&append.key, &append.bytes)?;
        }
        for compaction in &completion.compactions {
            self.compact(compaction)?;
        }
        let course = self.course(job)?;
        let goes_on = course.state != JobState::Stopping && completion.fatal.is_none();
        let mut retry = None;
        if goes_on {
            for task in &completion.retries {
                let queued = self.queue(job, TaskKind::Work, task)?;
                retry.get_or_insert(queued);
            }
        }
        if completion.retries.is_empty() {
            self.resolve(job, task)?;
        } else {
            self.rebind(job, task, retry)?;
        }
        self.record_failures(job, &completion.failures)?;
        if let Some(fatal) = &completion.fatal {
            self.fatal(&course, fatal)?;
        } else if goes_on && held.kind == TaskKind::PreJob {
            self.queue_first(job)?;
        }
        self.settle(job)
    }

    fn add(&self, job: JobId, more: &Counts) -> Tried<()> {
        let (mut pass, mut all) = self
            .connection
            .prepare_cached("SELECT pass_totals, totals FROM job WHERE id = ?1")?
            .query_row([int(job.0)], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(super::fault::Fault::from)
            .and_then(|(pass, all)| Ok((counts(&pass)?, counts(&all)?)))?;
        pass += *more;
        all += *more;
        self.connection
            .prepare_cached("UPDATE job SET pass_totals = ?2, totals = ?3 WHERE id = ?1")?
            .execute(params![int(job.0), totals(&pass)?, totals(&all)?])?;
        Ok(())
    }
}
