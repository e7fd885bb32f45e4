//! Source and catalog side by side, writing nothing: what [`verify`] and [`forecast`] have in common.
//!
//! The tree is walked a directory at a time, several at once, the deepest first, so what waits is bounded by the depth of the
//! tree times the width of its directories. Of each directory the collection is listed before the source: what comes into
//! being in between looks new, never surplus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bstr::BString;
use irods_client::Pool;
use irods_client::collection::Replica;
use tokio::task::JoinSet;

use crate::broker::BrokerError;
use crate::naming;
use crate::plan::guard;
use crate::source::{FileSystem, Filter, FilterError, Listing, SourceError};
use crate::spec::JobSpec;
use crate::sync_task::{join, relative_path};

pub mod forecast;
pub mod verify;

/// What is looked at, and through what.
#[derive(Debug, Clone)]
pub struct Survey {
    spec: Arc<JobSpec>,
    source: FileSystem,
    filter: Arc<Filter>,
    zone: Pool,
    /// Directories at once.
    at_once: usize,
}

/// Why a survey ended before its end. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SurveyError {
    /// The source root.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The zone.
    #[error(transparent)]
    Zone(#[from] irods_client::Error),
    /// An exclusion.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The broker, which has the signatures.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// NO_OP leaves nothing behind that could be looked for.
    #[error("{0} leaves nothing in the zone that could be compared")]
    NothingToCompare(crate::plan::Operation),
    /// A thread did not end.
    #[error("a look at the source did not end")]
    Lost,
}

/// A directory that is to be looked at.
#[derive(Debug, Clone)]
struct Place {
    /// Relative to the source root.
    directory: Vec<u8>,
    /// It has a collection.
    in_zone: bool,
    /// There is a data object where its collection should be.
    blocked: bool,
}

/// A name that a collection has and its directory has not.
#[derive(Debug)]
struct Surplus {
    /// Absolute path in the source of what would have that name.
    path: Vec<u8>,
    /// Logical path.
    target: String,
    is_collection: bool,
}

/// What a collection holds.
#[derive(Debug, Default)]
struct Holding {
    objects: BTreeMap<BString, Vec<Replica>>,
    collections: BTreeSet<BString>,
}

impl Survey {
    /// Of what a checked job would do. `at_once` directories are looked at at a time, each on a connection of `zone`.
    ///
    /// # Errors
    /// The source or an exclusion is unusable.
    pub fn new(spec: JobSpec, zone: Pool, at_once: usize) -> Result<Self, SurveyError> {
        Ok(Survey {
            source: {
                FileSystem::open(&spec.source())?;
                spec.file_system()
            },
            filter: Arc::new(spec.options.filter()?),
            spec: Arc::new(spec),
            zone,
            at_once: at_once.max(1),
        })
    }

    /// Visits the root and whatever the visits say lies below. `take` gets what they found, directory by directory.
    async fn walk<T, F>(
        &self,
        visit: impl Fn(Survey, Place) -> F,
        mut take: impl FnMut(T),
    ) -> Result<(), SurveyError>
    where
        T: Send + 'static,
        F: Future<Output = Result<(Vec<Place>, T), SurveyError>> + Send + 'static,
    {
        let in_zone = {
            let mut zone = self.zone.get().await?;
            zone.collection_exists(&self.spec.target).await?
        };
        let mut waiting = vec![Place {
            directory: Vec::new(),
            in_zone,
            blocked: false,
        }];
        // Dropped with what still runs when one visit fails.
        let mut visits = JoinSet::new();
        loop {
            while visits.len() < self.at_once
                && let Some(place) = waiting.pop()
            {
                visits.spawn(visit(self.clone(), place));
            }
            match visits.join_next().await {
                None => return Ok(()),
                Some(Err(_)) => return Err(SurveyError::Lost),
                Some(Ok(visited)) => {
                    let (below, found) = visited?;
                    waiting.extend(below);
                    take(found);
                }
            }
        }
    }

    /// What the collection of a place holds.
    async fn holding(&self, place: &Place) -> Result<Holding, SurveyError> {
        if !place.in_zone {
            return Ok(Holding::default());
        }
        let collection = self.spec.logical(&place.directory);
        let mut zone = self.zone.get().await?;
        Ok(Holding {
            objects: zone.list_data_objects(&collection).await?,
            collections: zone
                .list_subcollections(&collection)
                .await?
                .into_iter()
                .collect(),
        })
    }

    /// A directory below this one, which has that name in the zone.
    fn below(&self, place: &Place, entry: &[u8], name: &BString, holding: &Holding) -> Place {
        Place {
            directory: join(&place.directory, entry),
            in_zone: holding.collections.contains(name),
            blocked: holding.objects.contains_key(name),
        }
    }

    async fn list(&self, place: &Place) -> Result<Result<Listing, SourceError>, SurveyError> {
        let links = self.spec.options.operation.links();
        let directory = relative_path(&place.directory);
        self.at_source(move |source| source.list(&directory, links))
            .await
    }

    /// Looks at the source on a thread that may block.
    async fn at_source<T: Send + 'static>(
        &self,
        look: impl FnOnce(&FileSystem) -> T + Send + 'static,
    ) -> Result<T, SurveyError> {
        let source = self.source.clone();
        let looked = tokio::task::spawn_blocking(move || look(&source)).await;
        looked.map_err(|_| SurveyError::Lost)
    }

    /// What a collection has and its directory has not: data objects first, then collections, each in byte order.
    fn surplus(&self, place: &Place, holding: &Holding, listing: &Listing) -> Vec<Surplus> {
        let present: Vec<BString> = listing
            .names()
            .map(|entry| self.name(&place.directory, entry))
            .collect();
        let collection = self.spec.logical(&place.directory);
        let surplus = |name: &[u8], is_collection| {
            let text = String::from_utf8_lossy(name);
            let names = naming::source_names(&text);
            let entry = names.first().map_or(name, |name| name.as_slice());
            Surplus {
                path: self.spec.absolute(&join(&place.directory, entry)),
                target: naming::join(&collection, &text),
                is_collection,
            }
        };
        let objects = holding.objects.keys().map(|name| name.as_slice());
        let objects = guard::gone(objects, &present).into_iter();
        let collections = holding.collections.iter().map(|name| name.as_slice());
        let collections = guard::gone(collections, &present).into_iter();
        objects
            .map(|name| surplus(name, false))
            .chain(collections.map(|name| surplus(name, true)))
            .collect()
    }

    /// What an entry of a directory is called in the zone.
    fn name(&self, directory: &[u8], entry: &[u8]) -> BString {
        let absolute = self.spec.absolute(&join(directory, entry));
        BString::from(naming::element(entry, &absolute).into_owned())
    }
}
