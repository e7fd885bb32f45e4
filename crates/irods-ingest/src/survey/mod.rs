//! Source and catalog side by side, writing nothing: what [`verify`] and [`forecast`] have in common.
//!
//! The tree is walked a directory at a time, several at once, the deepest first, so what waits is bounded by the depth of the
//! tree times the width of its directories. Of each directory the collection is listed before the source: what comes into
//! being in between looks new, never surplus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bstr::{BStr, BString};
use irods_client::Pool;
use irods_client::collection::Replica;
use irods_client::protocol::path;
use tokio::task::JoinSet;

use crate::broker::BrokerError;
use crate::core::choice::{EntryOptions, Targets, choose_directory};
use crate::core::rules::{RuleError, RuleHandler};
use crate::core::{EventHandler, NoHandler};
use crate::plan::Operation;
use crate::source::s3::Requests;
use crate::source::{Filter, FilterError, Listing, Source, SourceError};
use crate::spec::JobSpec;
use crate::sync_task::{Placing, join, relative_path};

pub mod forecast;
mod surplus;
pub mod verify;

/// What is looked at, and through what.
#[derive(Debug, Clone)]
pub struct Survey {
    spec: Arc<JobSpec>,
    source: Arc<dyn Source>,
    filter: Arc<Filter>,
    zone: Pool,
    handler: Arc<dyn EventHandler>,
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
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RuleError),
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
    /// Its collection.
    collection: String,
    /// It has a collection.
    in_zone: bool,
    /// There is a data object where its collection should be.
    blocked: bool,
    /// What is remembered of it does not count.
    fresh: bool,
}

/// What a collection holds.
#[derive(Debug, Default)]
struct Holding {
    collection: String,
    objects: BTreeMap<BString, Vec<Replica>>,
    collections: BTreeSet<BString>,
    /// What is in other collections under the logical paths that entries of the directory get.
    elsewhere: BTreeMap<String, Found>,
}

/// What is under a logical path.
#[derive(Debug)]
enum Found {
    Nothing,
    Object(Vec<Replica>),
    Collection,
}

impl Holding {
    /// The replicas of a data object.
    fn replicas(&self, target: &str) -> Option<&Vec<Replica>> {
        match (self.elsewhere.get(target), self.name(target)) {
            (Some(Found::Object(replicas)), _) => Some(replicas),
            (None, Some(name)) => self.objects.get(name),
            _ => None,
        }
    }

    fn is_collection(&self, target: &str) -> bool {
        match (self.elsewhere.get(target), self.name(target)) {
            (found @ Some(_), _) => matches!(found, Some(Found::Collection)),
            (None, Some(name)) => self.collections.contains(name),
            _ => false,
        }
    }

    /// The name of what is in this collection.
    fn name<'a>(&self, target: &'a str) -> Option<&'a BStr> {
        let (collection, name) = path::split(target)?;
        (collection == self.collection).then(|| BStr::new(name))
    }
}

impl Survey {
    /// Of what a checked job would do. `at_once` directories are looked at at a time, each on a connection of `zone`.
    ///
    /// # Errors
    /// The source or an exclusion is unusable.
    pub fn new(spec: JobSpec, zone: Pool, at_once: usize) -> Result<Self, SurveyError> {
        let spec = Arc::new(spec);
        Ok(Survey {
            source: spec.open_source(Requests::new(Requests::MOST, Requests::SILENCE))?,
            filter: Arc::new(spec.options.filter()?),
            handler: RuleHandler::around(&spec, Arc::new(NoHandler))?,
            spec,
            zone,
            at_once: at_once.max(1),
        })
    }

    /// The same of a job that has this handler: what it chooses counts, its hooks are not called.
    ///
    /// # Errors
    /// As of [`Survey::new`].
    pub fn with_handler(self, handler: Arc<dyn EventHandler>) -> Result<Self, SurveyError> {
        let handler = RuleHandler::around(&self.spec, handler)?;
        Ok(Survey { handler, ..self })
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
            collection: self.spec.target.clone(),
            in_zone,
            blocked: false,
            fresh: false,
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
        let collection = place.collection.clone();
        if !place.in_zone {
            return Ok(Holding {
                collection,
                ..Holding::default()
            });
        }
        let mut zone = self.zone.get().await?;
        Ok(Holding {
            objects: zone.list_data_objects(&collection).await?,
            collections: zone
                .list_subcollections(&collection)
                .await?
                .into_iter()
                .collect(),
            collection,
            elsewhere: BTreeMap::new(),
        })
    }

    /// Where entries may be put.
    fn targets(&self) -> Targets {
        self.handler
            .chooses()
            .map_or(Targets::Own, |chooses| chooses.targets)
    }

    /// What counts for the directory itself.
    async fn here(&self, place: &Place) -> EntryOptions {
        let path = self.spec.absolute(&place.directory);
        choose_directory(
            self.handler.as_ref(),
            &self.spec,
            &path,
            &place.collection,
            0,
        )
        .await
    }

    /// What counts for its entries; what they are elsewhere comes into `holding`.
    async fn place_entries(
        &self,
        place: &Place,
        listing: &Listing,
        holding: &mut Holding,
    ) -> Result<Placing, SurveyError> {
        let at = (place.directory.as_slice(), place.collection.as_str());
        let placing = Placing::of(self.handler.as_ref(), &self.spec, at, listing).await;
        for index in 0..listing.entries.len() {
            let Some(options) = placing.at(index) else {
                break;
            };
            if holding.name(&options.target).is_some() || options.skip.is_some() {
                continue;
            }
            let mut zone = self.zone.get().await?;
            let replicas = zone.replicas(&options.target).await?;
            let found = match replicas.is_empty() {
                false => Found::Object(replicas),
                true if zone.collection_exists(&options.target).await? => Found::Collection,
                true => Found::Nothing,
            };
            holding.elsewhere.insert(options.target.clone(), found);
        }
        Ok(placing)
    }

    /// A directory below this one.
    fn below(
        &self,
        place: &Place,
        entry: &[u8],
        options: &EntryOptions,
        holding: &Holding,
    ) -> Place {
        Place {
            directory: join(&place.directory, entry),
            collection: options.target.clone(),
            in_zone: holding.is_collection(&options.target),
            blocked: holding.replicas(&options.target).is_some(),
            fresh: false,
        }
    }

    async fn list(
        &self,
        place: &Place,
        operation: Operation,
    ) -> Result<Result<Listing, SourceError>, SurveyError> {
        let links = operation.links();
        let directory = relative_path(&place.directory);
        self.at_source(move |source| source.list(&directory, links))
            .await
    }

    /// Looks at the source on a thread that may block.
    async fn at_source<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Source) -> T + Send + 'static,
    ) -> Result<T, SurveyError> {
        let source = self.source.clone();
        let looked = tokio::task::spawn_blocking(move || look(source.as_ref())).await;
        looked.map_err(|_| SurveyError::Lost)
    }
}
