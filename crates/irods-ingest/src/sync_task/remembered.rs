//! What is known of a directory before it is listed, and what its entries are compared with that.

use irods_client::protocol::path;

use super::PathTask;
use super::sync_dir::Known;
use super::sync_path::deletes;
use super::task::join;
use crate::broker::{Segment, SegmentId};
use crate::context::JobContext;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::{EntryError, SyncError};
use crate::plan::compare::{CatalogNames, Presence, Wanted, with_catalog, with_record};
use crate::plan::{CatalogState, Operation, Options};
use crate::signature::{Record, Verdict};
use crate::source::{Entry, EntryKind, Listing};
use crate::{naming, sync_irods};

/// What is known of the directory before it is listed: its record, which says nothing where the catalog decides, and the names in
/// the catalog, if they matter. The catalog is listed first where it is asked at all, so that
/// what comes into being in between is seen as new, never as gone.
pub(super) struct Remembered {
    pub(super) segments: Vec<Segment>,
    /// Segments that do not count any more.
    pub(super) stale: Vec<SegmentId>,
    pub(super) record: Record,
    /// With what does not count, if there is any.
    held: Option<Record>,
    pub(super) catalog: Option<CatalogNames>,
}

/// Nothing that was there before a fresh task was run for the first time counts; later runs know which is the last of that.
pub(super) async fn remember(
    context: &JobContext,
    (task, here): (&PathTask, &EntryOptions),
    (first, last_stale): (bool, Option<SegmentId>),
) -> Result<Remembered, SyncError> {
    let options = &context.spec.options;
    let catalog = match options.compare_catalog || deletes(context, here) {
        true => {
            let user = here.user.as_ref();
            Some(sync_irods::list_collection(context, user, &here.target).await?)
        }
        false => None,
    };
    let key = context.cache_key(&task.directory);
    let all = context.broker.signatures(&key).await?;
    let is_stale = |segment: &Segment| match first {
        true => options.compare_catalog || task.fresh,
        false => Some(segment.id) <= last_stale,
    };
    let held = all.iter().any(is_stale).then(|| record(&all));
    let (stale, segments): (Vec<_>, Vec<_>) = all.into_iter().partition(is_stale);
    Ok(Remembered {
        record: record(&segments),
        segments,
        stale: stale.into_iter().map(|segment| segment.id).collect(),
        held,
        catalog,
    })
}

fn record(segments: &[Segment]) -> Record {
    Record::read(segments.iter().map(|segment| segment.bytes.as_slice()))
}

impl Remembered {
    pub(super) fn ids(&self) -> Vec<SegmentId> {
        self.segments.iter().map(|segment| segment.id).collect()
    }

    /// The record with what does not count in it.
    pub(super) fn held(&self) -> &Record {
        self.held.as_ref().unwrap_or(&self.record)
    }

    /// `names` are those in the collection, where it matters which are free.
    pub(super) fn compare(
        &self,
        context: &JobContext,
        (task, here): (&PathTask, &EntryOptions),
        entry: &Entry,
        placed: (Option<&EntryOptions>, Option<&EntryError>),
        names: Option<&CatalogNames>,
    ) -> Found {
        let absolute = || context.absolute(&join(&task.directory, &entry.name));
        if !context.filter.is_empty() && context.filter.excludes(&absolute(), entry.stat.kind) {
            return Found::Excluded;
        }
        if placed.1.is_some() {
            return Found::Refused;
        }
        let options = &context.spec.options;
        let name = naming::element(&entry.name, absolute);
        let (verdict, presence) = match &self.catalog {
            Some(catalog) if options.compare_catalog => match placed.0 {
                None => with_catalog(
                    entry,
                    catalog,
                    Wanted {
                        name: name.as_bytes(),
                        physical_path: &naming::physical_path(&absolute()),
                        operation: options.operation,
                        resource: options.resource.as_deref(),
                    },
                ),
                Some(placed) => with_catalog_as_placed(entry, catalog, here, placed),
            },
            _ => {
                let options = Options {
                    ignore_cache: options.ignore_cache,
                    ..Options::default()
                };
                let may_be_in = |names| may_hold(names, here, placed.0, &name);
                let verdict = match with_record(entry, &self.record, options) {
                    // Somebody removed it, or it was gone for a while.
                    Verdict::Unchanged if !may_be_in(self.catalog.as_ref()) => Verdict::New,
                    verdict => verdict,
                };
                match verdict == Verdict::New && !may_be_in(names) {
                    true => (verdict, Presence::Absent),
                    false => (verdict, Presence::Unknown),
                }
            }
        };
        match (entry.stat.kind, verdict) {
            (EntryKind::Directory, _) => Found::Directory {
                exists: presence == Presence::Exists && verdict == Verdict::Unchanged,
                fresh: task.fresh || self.is_fresh(context, here, (entry, placed.0), &name),
                collection: match (placed.0, &task.collection) {
                    (Some(placed), _) => Some(placed.target.clone()),
                    (None, Some(collection)) => Some(naming::join(collection, &name)),
                    (None, None) => None,
                },
            },
            (_, Verdict::Unchanged) => Found::Unchanged,
            (_, verdict) => Found::File {
                verdict,
                presence,
                operation: placed
                    .0
                    .map_or(options.operation, |placed| placed.operation),
            },
        }
    }

    /// Whether what is remembered of a sub-directory may be of something else than is in its collection.
    fn is_fresh(
        &self,
        context: &JobContext,
        here: &EntryOptions,
        (entry, placed): (&Entry, Option<&EntryOptions>),
        name: &str,
    ) -> bool {
        let moved = context.targets() != Targets::Own && {
            let own = || naming::join(&here.target, name);
            let collection = placed.map_or_else(own, |placed| placed.target.clone());
            !self.record.is_placed(&entry.name, &collection)
        };
        moved || !may_hold(self.catalog.as_ref(), here, placed, name)
    }

    /// What is known of the directory itself: its own entry stands in its record under the empty name.
    pub(super) fn of_directory(
        &self,
        context: &JobContext,
        task: &PathTask,
        listing: &Listing,
    ) -> Known {
        let verdict = match (context.spec.options.compare_catalog, task.exists) {
            (true, true) => Verdict::Unchanged,
            (true, false) => Verdict::New,
            (false, _) => self.record.verdict(b"", &listing.directory),
        };
        Known {
            verdict,
            // Our own record of it is as good as a look: only `--ignore_cache` asks again.
            catalog: match verdict {
                Verdict::New => CatalogState::Unknown,
                _ => CatalogState::Collection,
            },
        }
    }
}

/// What an entry of the listing turned out to be.
pub(super) enum Found {
    Excluded,
    Unchanged,
    File {
        verdict: Verdict,
        presence: Presence,
        operation: Operation,
    },
    Directory {
        exists: bool,
        collection: Option<String>,
        fresh: bool,
    },
    /// It cannot be where it should.
    Refused,
}

/// Whether something may be in the zone where an entry belongs; `false` if it certainly is not. `names` are those in the collection of
/// the directory, if they are known.
fn may_hold(
    names: Option<&CatalogNames>,
    here: &EntryOptions,
    placed: Option<&EntryOptions>,
    name: &str,
) -> bool {
    let Some(names) = names else {
        return true;
    };
    match placed.and_then(|placed| path::split(&placed.target)) {
        Some((collection, _)) if collection != here.target => true,
        Some((_, name)) => names.has(name.as_bytes()),
        None => names.has(name.as_bytes()),
    }
}

/// How an entry compares with the catalog where it is placed by choice. What is put elsewhere is not in this listing.
fn with_catalog_as_placed(
    entry: &Entry,
    catalog: &CatalogNames,
    here: &EntryOptions,
    placed: &EntryOptions,
) -> (Verdict, Presence) {
    match path::split(&placed.target) {
        Some((collection, name)) if collection == here.target => {
            let wanted = Wanted {
                name: name.as_bytes(),
                physical_path: &placed.physical,
                operation: placed.operation,
                resource: placed.resource.as_deref(),
            };
            with_catalog(entry, catalog, wanted)
        }
        _ => (Verdict::New, Presence::Unknown),
    }
}
