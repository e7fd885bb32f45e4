//! One directory: makes its collection, lists it, compares, and queues what is new or changed and what is below.
//!
//! The entries are gone through in the order of the source. Whenever a batch of children is full and more are to come, or a page of the
//! listing ends, it is queued together with a cursor: where in the listing it ends and what was counted so far. Whoever runs the task
//! again goes on there with those counts, so nothing is queued or counted twice, whatever has been done or changed meanwhile. The last
//! batch, which is mostly the only one, is queued by the completion.
//!
//! Of a listing in pages at most two are in memory: one is worked on while the next is asked for. What of all pages is kept until the end
//! are the names where something may be deleted, 8 bytes a name where the record may have to be compacted, and errors. Where names or
//! errors of all pages are needed, whoever runs the task again lists from the beginning, else from the last page. Names that a
//! handler chooses can collide across pages, so then the listing is one page.
//!
//! Between two pages the task is given back when much of what it or others queued is to be done before it: so a directory of any size fills
//! no queue, and no worker waits with it in hand. A run that lists from the beginning first queues a quarter of what it had to repeat.
//!
//! With nothing changed this makes no call to the zone: one listing, one read of the record.

use std::time::Duration;

use bstr::BString;
use irods_client::protocol::path;

use super::children::{Children, Flow};
use super::cursor::Cursor;
use super::direct::FreeNames;
use super::pages::{Page, Pages};
use super::placing::{Placing, Present, placing};
use super::sync_dir::{Known, sync_dir};
use super::task::join;
use super::{PathTask, Task, TaskEnd, delete, failure, sync_entry};
use crate::broker::{Append, Compaction, Completion, Leased, Segment, SegmentId};
use crate::context::JobContext;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::{EntryError, SyncError};
use crate::plan::compare::{CatalogNames, Presence, Wanted, with_catalog, with_record};
use crate::plan::{CatalogState, DeleteMode, Operation, Options};
use crate::profile::{About, Stage};
use crate::signature::{self, Names, Record, Verdict};
use crate::source::{Entry, EntryKind, Listing, MountFacts, Stat, Timestamp};
use crate::{naming, sync_irods};

/// Runs the task; see the module.
///
/// # Errors
/// What concerns more than this directory.
pub(super) async fn sync_path(
    context: &JobContext,
    leased: &Leased,
    task: PathTask,
) -> Result<TaskEnd, SyncError> {
    let mut run = Run::default();
    let here = here(context, &task).await;
    match scan(context, leased, (&task, &here), &mut run).await {
        // It comes after all that is queued, and goes on behind that.
        Ok(Flow::Crowded) => Ok(TaskEnd::Release(Duration::ZERO)),
        Ok(_) => Ok(TaskEnd::complete(run.completion)),
        Err(SyncError::Entry(error)) => {
            // What was counted and is queued stays so: another attempt goes on behind it.
            let mut completion = run.completion;
            let task = PathTask {
                cursor: run.reached,
                ..task
            };
            failure::directory(context, &task, here.retries, &error, &mut completion);
            Ok(TaskEnd::complete(completion))
        }
        Err(SyncError::Drained) if run.queued => Ok(TaskEnd::Release(Duration::ZERO)),
        // The collection may have been made. A task that is given back says nothing of that.
        Err(SyncError::Drained) => {
            let rest = Task::SyncPath(PathTask {
                redelivered: true,
                ..task
            });
            let mut completion = Completion::default();
            completion.retries.extend(rest.to_new_task().ok());
            Ok(TaskEnd::complete(completion))
        }
        Err(other) => Err(other),
    }
}

/// What a run of the task has done.
#[derive(Default)]
struct Run {
    completion: Completion,
    /// Whether anything is in the queue already.
    queued: bool,
    /// The cursor of another attempt, if this one fails.
    reached: Vec<u8>,
}

/// What counts for the directory itself.
async fn here(context: &JobContext, task: &PathTask) -> EntryOptions {
    let path = context.absolute(&task.directory);
    let collection = match &task.collection {
        Some(collection) => collection.clone(),
        None => context.logical(&task.directory),
    };
    context
        .choose_directory(&path, &collection, task.attempts)
        .await
}

async fn scan(
    context: &JobContext,
    leased: &Leased,
    (task, here): (&PathTask, &EntryOptions),
    run: &mut Run,
) -> Result<Flow, SyncError> {
    let Run {
        completion,
        queued,
        reached,
    } = run;
    if let Some(wrong) = &here.wrong {
        return Err(SyncError::Entry(wrong.clone()));
    }
    if here.skip.is_some() {
        completion.counts = sync_entry::left_out();
        return Ok(Flow::GoOn);
    }
    let cursor = Cursor::of(leased, task)?;
    if let Some(cursor) = &cursor {
        *reached = cursor.of_another_attempt()?;
        completion.counts = cursor.counts;
        *queued = true;
    }
    let first = cursor.is_none();
    let cursor = cursor.unwrap_or_default();
    let remembered = remember(context, (task, here), (first, cursor.stale)).await?;
    let of = (task, remembered.held());
    let mut children = Children::new(context, leased, of, cursor, queued);
    children.cursor.stale = remembered.stale.iter().copied().max();
    let done = walk(
        context,
        (task, here),
        &remembered,
        first,
        &mut children,
        completion,
    )
    .await;
    if let Err(SyncError::Entry(_)) = &done
        && !children.cursor.is_at_beginning()
    {
        children.finish(completion)?;
        *reached = children.cursor.of_another_attempt()?;
    }
    done
}

/// Goes through the listing, and accounts for what is known at its end, if that is where it comes to.
async fn walk(
    context: &JobContext,
    (task, here): (&PathTask, &EntryOptions),
    remembered: &Remembered,
    first: bool,
    children: &mut Children<'_>,
    completion: &mut Completion,
) -> Result<Flow, SyncError> {
    let record = &remembered.record;
    let catalog = remembered.catalog.as_ref();
    let deletes = deletes(context, here);
    let done = children.cursor.clone();
    let from = done.skips_to().filter(|_| !deletes).cloned();
    let repeated = match from {
        Some(_) => 0,
        None => done.passed,
    };
    let mut scanned = Scanned::new(remembered, from.is_none());
    let place = (task.directory.as_slice(), here.target.as_str());
    let mut present = Present::default();
    let mut pages = Pages::new(context, &task.directory, here.operation, from);
    let mut facts = None;
    let mut free = None;
    let mut made = false;
    while let Some(page) = pages.next().await? {
        let listing = &page.listing;
        let placing = placing(context, (task, here), record, catalog, listing).await;
        // A cursor says that the collection was there before anything below it was queued.
        if first && facts.is_none() {
            let known = remembered.of_directory(context, task, listing);
            let redelivered = children.leased.expiries > 0 || task.redelivered;
            let directory = (task.directory.as_slice(), here);
            let counts = match sync_dir(context, directory, known, redelivered).await {
                Err(SyncError::LeftOut(_)) => {
                    completion.counts += sync_entry::left_out();
                    return Ok(Flow::GoOn);
                }
                done => done?,
            };
            made = counts.collections_created > 0;
            completion.counts += counts;
        }
        if free.is_none() && FreeNames::matter(context, record, listing) {
            free = Some(FreeNames::of(context, here, catalog, made).await?);
        }
        facts.get_or_insert((page.mount, listing.directory, listing.seen_at));
        let (stages, path) = (&context.stages, context.absolute(&task.directory));
        let mut comparing = stages.gather(Stage::Plan, "compare", About::path(&path));
        for (index, entry) in listing.entries.iter().enumerate() {
            if done.has_passed(entry, &context.source.place(entry)) {
                continue;
            }
            if context.shutdown.requested() && *children.queued {
                return Err(SyncError::Drained);
            }
            let placed = (placing.at(index), placing.refusal(index));
            let found = comparing.time(|| remembered.compare(context, (task, here), entry, placed));
            let is_free = |names: &FreeNames| names.has(context, (task, here), entry, placed.0);
            let found = match free.as_ref().is_some_and(is_free) {
                true => found.under_a_free_name(),
                false => found,
            };
            if let Flow::Stopping = children.add(entry, found, &mut completion.counts).await? {
                return Ok(Flow::Stopping);
            }
        }
        if deletes {
            present.add(placing.present(&context.spec, place, listing));
        }
        if scanned.take(context, task, &page, &placing) {
            children.cursor.look_back();
        }
        if let Some(end) = &page.end {
            match children.end_page(end, &completion.counts).await? {
                Flow::Crowded if pays(repeated, children.cursor.passed - done.passed) => {
                    return Ok(Flow::Crowded);
                }
                Flow::Stopping => return Ok(Flow::Stopping),
                Flow::GoOn | Flow::Crowded => {}
            }
        }
    }
    let Some((mount, directory, seen_at)) = facts else {
        return Ok(Flow::GoOn);
    };
    if deletes && let Some(catalog) = &remembered.catalog {
        let mounts = delete::Mounts {
            before: record.was_mount_point().then_some(MountFacts {
                dev: mount.dev,
                is_mount_point: true,
            }),
            at_start: task.mount,
            now: Some(mount),
        };
        let plan = delete::plan(context, (task, here), catalog, &present, mounts).await?;
        for task in &plan.tasks {
            if let Flow::Stopping = children.make_room(&completion.counts).await? {
                return Ok(Flow::Stopping);
            }
            children.push(task)?;
        }
        // Not among the counts that go with a cursor: whoever goes on from there plans again.
        completion.counts.kept += plan.kept;
        if let Some(why) = &plan.refused {
            failure::kept(context, task, here.delete_mode, why, completion);
        }
    }
    if here.delete_mode != DeleteMode::DoNotDelete && !deletes && task.directory.is_empty() {
        context.broker.note(context.job, NOT_DELETED).await?;
    }
    children.finish(completion)?;
    let seen = (&mount, &directory, seen_at);
    scanned.finish(context, (task, here), seen, completion);
    Ok(Flow::GoOn)
}

/// Whether a run that had to list again what was there before has come far enough to be interrupted: otherwise a large directory would be
/// listed as often as there are pages.
fn pays(repeated: u64, new: u64) -> bool {
    new >= repeated / 4
}

/// Said once a pass where nothing is deleted although that was asked for.
const NOT_DELETED: &str = "nothing is deleted: the job's entries may be put anywhere, so what a collection has besides its \
    directory's entries may be of another directory";

/// Whether what is gone from the directory is deleted.
pub(super) fn deletes(context: &JobContext, here: &EntryOptions) -> bool {
    here.delete_mode != DeleteMode::DoNotDelete && context.targets() != Targets::Anywhere
}

/// What is known of the directory before it is listed: its record, which says nothing where the catalog decides, and the names in
/// the catalog, if they matter. The catalog is listed first where it is asked at all, so that
/// what comes into being in between is seen as new, never as gone.
struct Remembered {
    segments: Vec<Segment>,
    /// Segments that do not count any more.
    stale: Vec<SegmentId>,
    record: Record,
    /// With what does not count, if there is any.
    held: Option<Record>,
    catalog: Option<CatalogNames>,
}

/// Nothing that was there before a fresh task was run for the first time counts; later runs know which is the last of that.
async fn remember(
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
    fn ids(&self) -> Vec<SegmentId> {
        self.segments.iter().map(|segment| segment.id).collect()
    }

    /// The record with what does not count in it.
    fn held(&self) -> &Record {
        self.held.as_ref().unwrap_or(&self.record)
    }

    fn compare(
        &self,
        context: &JobContext,
        (task, here): (&PathTask, &EntryOptions),
        entry: &Entry,
        placed: (Option<&EntryOptions>, Option<&EntryError>),
    ) -> Found {
        let absolute = context.absolute(&join(&task.directory, &entry.name));
        if context.filter.excludes(&absolute, entry.stat.kind) {
            return Found::Excluded;
        }
        if placed.1.is_some() {
            return Found::Refused;
        }
        let options = &context.spec.options;
        let name = naming::element(&entry.name, &absolute);
        let (verdict, presence) = match &self.catalog {
            Some(catalog) if options.compare_catalog => match placed.0 {
                None => with_catalog(
                    entry,
                    catalog,
                    Wanted {
                        name: name.as_bytes(),
                        physical_path: &naming::physical_path(&absolute),
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
                match with_record(entry, &self.record, options) {
                    // Somebody removed it, or it was gone for a while.
                    Verdict::Unchanged if !self.may_hold(here, placed.0, &name) => {
                        (Verdict::New, Presence::Unknown)
                    }
                    verdict => (verdict, Presence::Unknown),
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

    /// Whether something may be in the zone where an entry belongs; `false` if it certainly is not.
    fn may_hold(&self, here: &EntryOptions, placed: Option<&EntryOptions>, name: &str) -> bool {
        let Some(catalog) = &self.catalog else {
            return true;
        };
        match placed.and_then(|placed| path::split(&placed.target)) {
            Some((collection, _)) if collection != here.target => true,
            Some((_, name)) => catalog.has(name.as_bytes()),
            None => catalog.has(name.as_bytes()),
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
        moved || !self.may_hold(here, placed, name)
    }

    /// What is known of the directory itself: its own entry stands in its record under the empty name.
    fn of_directory(&self, context: &JobContext, task: &PathTask, listing: &Listing) -> Known {
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

impl Found {
    fn under_a_free_name(self) -> Self {
        match self {
            Found::File {
                verdict: Verdict::New,
                operation,
                ..
            } => Found::File {
                verdict: Verdict::New,
                presence: Presence::Absent,
                operation,
            },
            other => other,
        }
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

/// The directory above, and the name in it.
fn split_last(directory: &[u8]) -> (&[u8], &[u8]) {
    match directory.iter().rposition(|byte| *byte == b'/') {
        None => (b"", directory),
        Some(at) => (&directory[..at], &directory[at + 1..]),
    }
}

/// Names in the record of a directory that are no entries.
const OWN_NAMES: [&[u8]; 2] = [b"", signature::MOUNT_POINT];

/// What a scan learnt that is accounted for once, when everything is queued.
struct Scanned<'a> {
    remembered: &'a Remembered,
    /// All names, if they are needed and if all were listed.
    names: Option<Names>,
    errors: Vec<(BString, EntryError)>,
    /// What is to be forgotten.
    forgotten: signature::Segment,
}

impl<'a> Scanned<'a> {
    fn new(remembered: &'a Remembered, all: bool) -> Self {
        Scanned {
            remembered,
            names: (all && !remembered.segments.is_empty()).then(Names::default),
            errors: Vec::new(),
            forgotten: signature::Segment::new(),
        }
    }

    /// Takes a page into account; whether something of it is told at the end.
    fn take(
        &mut self,
        context: &JobContext,
        task: &PathTask,
        page: &Page,
        placing: &Placing,
    ) -> bool {
        let listing = &page.listing;
        if let Some(names) = &mut self.names {
            names.extend(listing.names());
        }
        let before = self.errors.len();
        for (name, error) in &listing.errors {
            self.errors.push((name.clone(), error.into()));
        }
        let excluded = |entry: &Entry| {
            let path = context.absolute(&join(&task.directory, &entry.name));
            context.filter.excludes(&path, entry.stat.kind)
        };
        for (index, entry) in listing.entries.iter().enumerate() {
            if let Some(error) = placing.refusal(index)
                && !excluded(entry)
            {
                self.errors.push((entry.name.clone(), error.clone()));
            }
        }
        if context.targets() != Targets::Own {
            // Whatever is remembered is of what has its target now: another entry may get that of one that is gone.
            let entries = listing.entries.iter().enumerate();
            let with = entries
                .filter(|(index, entry)| placing.refusal(*index).is_none() && !excluded(entry));
            let with = with.map(|(_, entry)| entry.name.as_slice());
            let unknown = listing.errors.iter().map(|(name, _)| name.as_slice());
            let names = with.chain(unknown).chain(OWN_NAMES);
            self.forgotten
                .push_others_forgotten(&self.remembered.record, names);
        }
        self.errors.len() > before
    }

    fn finish(
        self,
        context: &JobContext,
        (task, here): (&PathTask, &EntryOptions),
        (mount, directory, seen_at): (&MountFacts, &Stat, Timestamp),
        completion: &mut Completion,
    ) {
        for (name, error) in &self.errors {
            failure::unknown_entry(context, task, name, error, completion);
        }
        if context.spec.options.compare_catalog {
            return;
        }
        let record = &self.remembered.record;
        let key = context.cache_key(&task.directory);
        let mut own = self.forgotten;
        if record.verdict(b"", directory) != Verdict::Unchanged {
            own.push(b"", directory, seen_at);
        }
        if mount.is_mount_point && !record.was_mount_point() {
            own.push_mount_point();
        }
        if !own.is_empty() {
            completion.signatures.push(Append {
                key: key.clone(),
                bytes: own.into_bytes(),
            });
        }
        if task.fresh && context.targets() != Targets::Own && !task.directory.is_empty() {
            let (parent, name) = split_last(&task.directory);
            let mut place = signature::Segment::new();
            place.push_place(name, &here.target);
            completion.signatures.push(Append {
                key: context.cache_key(parent),
                bytes: place.into_bytes(),
            });
        }
        if !self.remembered.stale.is_empty() {
            completion.compactions.push(Compaction {
                key,
                replaces: self.remembered.stale.clone(),
                bytes: Vec::new(),
            });
            return;
        }
        let Some(mut names) = self.names else {
            return;
        };
        names.extend(OWN_NAMES);
        if record.should_compact(&names) {
            completion.compactions.push(Compaction {
                key,
                replaces: self.remembered.ids(),
                bytes: record.compacted(&names).into_bytes(),
            });
        }
    }
}
