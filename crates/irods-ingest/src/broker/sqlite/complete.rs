//! The completion of a task: all that it did becomes true at once, or nothing of it.

use rusqlite::params;

use super::fault::{Tried, int};
use super::passes::{counts, state, totals};
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
        let state = self.add(job, &completion.counts)?;
        for append in &completion.signatures {
            self.append(&append.key, &append.bytes)?;
        }
        for compaction in &completion.compactions {
            self.compact(compaction)?;
        }
        let goes_on = state != JobState::Stopping && completion.fatal.is_none();
        let mut retry = None;
        if goes_on {
            for task in &completion.children {
                self.queue(job, TaskKind::Work, task)?;
            }
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
            self.fatal(&self.course(job)?, fatal)?;
        } else if goes_on && held.kind == TaskKind::PreJob {
            self.queue_first(job)?;
        }
        self.settle(job)
    }

    /// Counts, and answers where the job stands.
    fn add(&self, job: JobId, more: &Counts) -> Tried<JobState> {
        let (name, stored): (String, String) = self
            .connection
            .prepare_cached("SELECT state, pass_totals FROM job WHERE id = ?1")?
            .query_row([int(job.0)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut pass = counts(&stored)?;
        pass += *more;
        self.connection
            .prepare_cached("UPDATE job SET pass_totals = ?2 WHERE id = ?1")?
            .execute(params![int(job.0), totals(&pass)?])?;
        state(&name)
    }
}
