//! What everything that is done for a job has in common.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::breaker::Breaker;
use crate::broker::{Broker, JobId};
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

pub(crate) mod tenure;

pub(crate) use tenure::Tenure;

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
    /// How the task that this is for stands in the worker.
    pub(crate) tenure: Tenure,
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
