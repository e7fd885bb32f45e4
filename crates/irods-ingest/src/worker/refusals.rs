//! Jobs that a worker cannot do, and when it looks again.
//!
//! What may change (the source is not mounted here, the zone refuses the password) is looked at again after a delay that doubles,
//! so with every later pass and retry too; what cannot (the job is for another zone, or of another version) never is.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::{JobFilter, JobId};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Whether looking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hope {
    /// It may.
    Later,
    /// As long as this worker lives, it does not.
    None,
}

/// The jobs that a worker does not take for the time being.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<JobId, Refusal>);

#[derive(Debug)]
struct Refusal {
    why: String,
    /// None: never again.
    again: Option<Instant>,
    delay: Duration,
}

impl Refusal {
    fn stands(&self, now: Instant) -> bool {
        self.again.is_none_or(|again| again > now)
    }
}

impl Refusals {
    /// Refuses a job from now on; says whether this, or the reason for it, is news.
    pub(super) fn refuse(&mut self, job: JobId, why: &str, hope: Hope, now: Instant) -> bool {
        let before = self.0.get(&job);
        let (delay, again) = match (hope, before) {
            (Hope::None, _) => (LONGEST, None),
            // Several tasks in hand meet the same trouble: that is one attempt.
            (_, Some(before)) if before.stands(now) => (before.delay, before.again),
            (_, before) => {
                let delay = before.map_or(FIRST, |before| (before.delay * 2).min(LONGEST));
                (delay, Some(now + delay))
            }
        };
        let news = before.is_none_or(|before| before.why != why);
        let why = why.to_owned();
        self.0.insert(job, Refusal { why, again, delay });
        news
    }

    /// Something of the job was done: whatever was wrong is over.
    pub(super) fn lift(&mut self, job: JobId) {
        self.0.remove(&job);
    }

    /// `filter` without the jobs that are refused now.
    pub(super) fn narrow(&self, filter: &JobFilter, now: Instant) -> JobFilter {
        let refused = self.0.iter().filter(|(_, refusal)| refusal.stands(now));
        let mut filter = filter.clone();
        filter.except.extend(refused.map(|(job, _)| *job));
        filter.except.sort_unstable();
        filter.except.dedup();
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(7);

    fn refuses(refusals: &Refusals, now: Instant) -> bool {
        !refusals.narrow(&JobFilter::default(), now).admits(JOB)
    }

    #[test]
    fn a_worker_looks_again_after_a_delay_that_doubles() {
        let mut refusals = Refusals::default();
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            refusals.refuse(JOB, "no source", Hope::Later, now);
            let due = now + Duration::from_secs(seconds);
            assert!(refuses(&refusals, due - Duration::from_millis(1)));
            assert!(!refuses(&refusals, due), "{seconds}");
            now = due;
        }
        refusals.lift(JOB);
        refusals.refuse(JOB, "no source", Hope::Later, now);
        assert!(!refuses(&refusals, now + FIRST), "it begins anew");
    }

    #[test]
    fn tasks_that_fail_together_are_one_attempt_and_one_note() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        let mut refuse = |why, hope| refusals.refuse(JOB, why, hope, now);
        assert!(refuse("no source", Hope::Later));
        assert!(!refuse("no source", Hope::Later));
        assert!(refuse("no password", Hope::Later));
        assert!(!refuses(&refusals, now + FIRST));
    }

    #[test]
    fn what_cannot_change_is_not_looked_at_again() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        refusals.refuse(JOB, "another zone", Hope::None, now);
        assert!(refuses(&refusals, now + LONGEST * 1000));
        let other = refusals.narrow(&JobFilter::default(), now);
        assert!(other.admits(JobId(8)));
    }
}
