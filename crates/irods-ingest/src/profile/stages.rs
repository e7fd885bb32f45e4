//! Measuring, or not: the handle that everything done for a job has.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::account::{About, Stage};
use super::recorder::Recorder;
use super::source::Timed;
use crate::broker::{Counts, Leased, Timestamp};
use crate::source::Source;
use crate::zone::Zone;

/// Where the stages of a job are measured, if they are.
#[derive(Debug, Clone, Default)]
pub struct Stages(Option<Arc<Recorder>>);

impl Stages {
    pub(crate) fn of(recorder: Arc<Recorder>) -> Self {
        Stages(Some(recorder))
    }

    /// Begins to measure a call. It has failed unless [`Measured::end`] says otherwise.
    pub fn begin<'a>(&'a self, stage: Stage, name: &'a str, about: About<'a>) -> Measured<'a> {
        Measured(self.0.as_deref().map(|recorder| Measuring {
            recorder,
            what: (stage, name),
            about,
            began: Instant::now(),
            failed: true,
        }))
    }

    /// Measures what is done at once and cannot fail.
    pub fn time<T>(
        &self,
        stage: Stage,
        name: &str,
        about: About<'_>,
        work: impl FnOnce() -> T,
    ) -> T {
        let measured = self.begin(stage, name, about);
        let done = work();
        measured.done();
        done
    }

    /// Begins to gather pieces of work that are told as one.
    pub fn gather<'a>(&'a self, stage: Stage, name: &'a str, about: About<'a>) -> Gathered<'a> {
        Gathered(self.0.as_deref().map(|recorder| Gathering {
            recorder,
            what: (stage, name),
            about,
            spent: Duration::ZERO,
        }))
    }

    /// Begins to measure a task, and says how long it waited.
    pub(crate) fn task<'a>(
        &'a self,
        leased: &Leased,
        name: &'a str,
        path: &'a [u8],
        lease_for: Duration,
    ) -> Measured<'a> {
        if let Some(recorder) = &self.0 {
            let lease_for = u64::try_from(lease_for.as_millis()).unwrap_or(u64::MAX);
            let at = Timestamp(leased.deadline.0.saturating_sub(lease_for));
            recorder.leased(name, leased.pass, at, leased.waited);
        }
        self.begin(Stage::Task, name, About::path(path))
    }

    /// A task was completed that was begun then.
    pub(crate) fn completed(&self, counts: &Counts, began: Instant) {
        if let Some(recorder) = &self.0 {
            recorder.completed(counts, began);
        }
    }

    /// The source at this absolute path, with its calls measured.
    pub(crate) fn source(&self, source: Arc<dyn Source>, root: &[u8]) -> Arc<dyn Source> {
        match &self.0 {
            None => source,
            Some(_) => Arc::new(Timed::new(source, self.clone(), root.to_vec())),
        }
    }

    /// The zone, with its calls measured where it has any.
    pub(crate) fn zone(&self, zone: &Arc<dyn Zone>) -> Arc<dyn Zone> {
        let observed = self
            .0
            .as_ref()
            .and_then(|recorder| zone.observed(recorder.clone()));
        observed.unwrap_or_else(|| zone.clone())
    }
}

/// A call that is being measured, until this goes.
#[derive(Debug)]
#[must_use]
pub struct Measured<'a>(Option<Measuring<'a>>);

#[derive(Debug)]
struct Measuring<'a> {
    recorder: &'a Recorder,
    what: (Stage, &'a str),
    about: About<'a>,
    began: Instant,
    failed: bool,
}

impl Measured<'_> {
    /// It has ended so.
    pub fn end<T, E>(self, done: Result<T, E>) -> Result<T, E> {
        if done.is_ok() {
            self.done();
        }
        done
    }

    /// It has ended well.
    pub fn done(mut self) {
        if let Some(measuring) = &mut self.0 {
            measuring.failed = false;
        }
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            let span = (call.began, Instant::now());
            call.recorder
                .record(call.what, span, call.failed, call.about);
        }
    }
}

/// Pieces of work that are told as one when this goes.
#[derive(Debug)]
pub struct Gathered<'a>(Option<Gathering<'a>>);

#[derive(Debug)]
struct Gathering<'a> {
    recorder: &'a Recorder,
    what: (Stage, &'a str),
    about: About<'a>,
    spent: Duration,
}

impl Gathered<'_> {
    /// Does a piece.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let Some(gathering) = &mut self.0 else {
            return work();
        };
        let began = Instant::now();
        let done = work();
        gathering.spent += began.elapsed();
        done
    }
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        if let Some(all) = &self.0 {
            let now = Instant::now();
            let began = now.checked_sub(all.spent).unwrap_or(now);
            all.recorder
                .record(all.what, (began, now), false, all.about);
        }
    }
}
