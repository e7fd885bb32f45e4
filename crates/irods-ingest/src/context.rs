//! What everything that is done for a job has in common.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;

use crate::breaker::Breaker;
use crate::broker::{Broker, Counts, JobId};
use crate::core::choice::{Candidate, EntryOptions, Targets, choose, choose_directory};
use crate::core::{Event, EventHandler};
use crate::error::SyncError;
use crate::profile::Stages;
use crate::rate::Throttle;
use crate::shutdown::Shutdown;
use crate::source::{Filter, Source};
use crate::spec::JobSpec;
use crate::sync_irods::{Leaves, Removals};
use crate::zone::Zone;

/// One job in one worker.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The job.
    pub job: JobId,
    /// What it is.
    pub spec: Arc<JobSpec>,
    /// Its source.
    pub source: Arc<dyn Source>,
    /// What of the source is left out.
    pub filter: Arc<Filter>,
    /// Hooks.
    pub handler: Arc<dyn EventHandler>,
    /// Connections to the zone.
    pub zone: Arc<dyn Zone>,
    /// The queue.
    pub broker: Arc<dyn Broker>,
    /// Whether the zone is there.
    pub(crate) breaker: Breaker,
    /// The bound on the worker's bytes, if it has one.
    pub(crate) throttle: Option<Arc<Throttle>>,
    /// Whether the worker is leaving.
    pub shutdown: Shutdown,
    /// Removals of collections by this worker.
    pub(crate) removals: Arc<Removals>,
    /// Resources that objects are written onto directly.
    pub(crate) leaves: Arc<Leaves>,
    /// What people call the job, once somebody has asked.
    pub(crate) name: Arc<OnceCell<String>>,
    /// Where its stages are measured, if they are.
    pub(crate) stages: Stages,
    /// The lease of the task that this is for.
    pub hold: Hold,
    /// Collections that the task has made on the way to something else.
    pub(crate) made_above: MadeAbove,
    /// The task's place in the worker.
    pub(crate) place: Place,
}

/// The place of a task among those that a worker does at the same time, which it may leave to the next one before it is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    stay: Arc<AtomicU8>,
    changed: Arc<Notify>,
}

/// How long a task needs its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stay {
    /// Nobody knows.
    Open,
    /// For some milliseconds.
    Ending,
    /// No more.
    Over,
}

impl Place {
    /// Whenever it changes, that is told.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Place {
            stay: Arc::default(),
            changed,
        }
    }

    pub(crate) fn stay(&self) -> Stay {
        match self.stay.load(Ordering::SeqCst) {
            0 => Stay::Open,
            1 => Stay::Ending,
            _ => Stay::Over,
        }
    }

    /// It will be free soon.
    pub(crate) fn will_leave(&self) {
        self.turn(Stay::Ending);
    }

    /// It is free: nothing is asked of the zone any more.
    pub(crate) fn leave(&self) {
        self.turn(Stay::Over);
    }

    fn turn(&self, to: Stay) {
        if self.stay.fetch_max(to as u8, Ordering::SeqCst) < to as u8 {
            self.changed.notify_one();
        }
    }
}

/// How many collections a task has made because something was to be in them: they are there, and count, whatever became of that.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeAbove(Arc<MadeSoFar>);

#[derive(Debug, Default)]
struct MadeSoFar {
    all: AtomicU64,
    taken: AtomicU64,
}

impl MadeAbove {
    pub(crate) fn add_one(&self) {
        self.0.all.fetch_add(1, Ordering::SeqCst);
    }

    /// Those that were not taken yet.
    pub(crate) fn take(&self) -> Counts {
        let all = self.0.all.load(Ordering::SeqCst);
        created(all - self.0.taken.swap(all, Ordering::SeqCst))
    }

    /// All, for who counts anew.
    pub(crate) fn all(&self) -> Counts {
        created(self.0.all.load(Ordering::SeqCst))
    }
}

fn created(collections: u64) -> Counts {
    Counts {
        collections_created: collections,
        ..Counts::default()
    }
}

/// Until when a lease surely is held, by this process's clock: counted from before it was asked for.
///
/// A worker that was frozen, or could not reach the broker, must not begin what somebody else may have done since: it would
/// come back from the past, and what it leaves half done nobody would do again.
#[derive(Debug, Clone)]
pub struct Hold(Arc<Mutex<Instant>>);

impl Hold {
    /// Held until then.
    pub fn new(until: Instant) -> Self {
        Hold(Arc::new(Mutex::new(until)))
    }

    /// Held until then, as the broker says.
    pub fn extend(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Whether nobody else can have the task.
    ///
    /// # Errors
    /// [`SyncError::Drained`]: what is left of the task goes back, if it still can.
    pub fn check(&self) -> Result<(), SyncError> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match Instant::now() < until {
            true => Ok(()),
            false => Err(SyncError::Drained),
        }
    }
}

impl JobContext {
    /// What people call the job; its number while the broker does not say.
    pub(crate) async fn job_name(&self) -> String {
        let ask = || async { self.broker.job(self.job).await.map(|job| job.name) };
        match self.name.get_or_try_init(ask).await {
            Ok(name) => name.clone(),
            Err(_) => self.job.to_string(),
        }
    }

    /// Looks at the source, on a thread that may block if it does.
    pub(crate) async fn at_source<T, E>(
        &self,
        work: impl FnOnce(&dyn Source) -> Result<T, E> + Send + 'static,
    ) -> Result<T, SyncError>
    where
        T: Send + 'static,
        E: Into<SyncError> + Send + 'static,
    {
        if !self.source.blocks() {
            return work(self.source.as_ref()).map_err(Into::into);
        }
        let source = self.source.clone();
        let done = tokio::task::spawn_blocking(move || work(source.as_ref())).await;
        // Only a panic or the end of the runtime keeps it from ending.
        done.map_err(|_| SyncError::Worker("a look at the source did not end".into()))?
            .map_err(Into::into)
    }

    /// Whether something of the handler's runs around what is done with data objects.
    pub(crate) fn has_object_hooks(&self) -> bool {
        self.handler.has_hooks(Event::DataObjCreate) || self.handler.has_hooks(Event::DataObjModify)
    }

    /// What counts for these entries.
    pub(crate) async fn choose(&self, asked: &[Candidate<'_>]) -> Vec<EntryOptions> {
        choose(self.handler.as_ref(), &self.spec, asked).await
    }

    /// What counts for a directory that has this collection.
    pub(crate) async fn choose_directory(
        &self,
        path: &[u8],
        collection: &str,
        attempts: u32,
    ) -> EntryOptions {
        let handler = self.handler.as_ref();
        choose_directory(handler, &self.spec, path, collection, attempts).await
    }

    /// Where entries may be put.
    pub(crate) fn targets(&self) -> Targets {
        self.handler
            .chooses()
            .map_or(Targets::Own, |chooses| chooses.targets)
    }

    /// Whether the object of a file gets an AVU that says which file it is of; see [`crate::sync_irods::claim`].
    pub(crate) fn claims(&self, path: &[u8], target: &str) -> bool {
        self.spec.claims(self.handler.chooses(), path, target)
    }

    /// Key of a directory's record of signatures.
    pub(crate) fn cache_key(&self, directory: &[u8]) -> Vec<u8> {
        self.spec.cache_key(directory, self.handler.chooses())
    }

    /// Logical path of what lies at a relative path.
    pub(crate) fn logical(&self, relative: &[u8]) -> String {
        self.spec.logical(relative)
    }

    /// Absolute path of what lies at a relative one, as bytes.
    pub(crate) fn absolute(&self, relative: &[u8]) -> Vec<u8> {
        self.spec.absolute(relative)
    }
}
