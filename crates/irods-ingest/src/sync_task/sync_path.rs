//! One directory: makes its collection, lists it, compares, and queues what is new or changed and what is below.
//!
//! The entries are gone through in byte order of their names. Whenever a batch of children is full and more are to come, it is queued
//! together with a cursor: the last name that is in it and what was counted so far. Whoever runs the task again goes on after that
//! name with those counts, so nothing is queued or counted twice, whatever has been done or changed meanwhile. The last batch, which is
//! mostly the only one, is queued by the completion.
//!
//! With nothing changed this makes no call to the zone: one listing, one read of the record.

use std::time::Duration;

use bstr::BString;
use irods_client::protocol::path;
use serde::{Deserialize, Serialize};

use super::placing::placing;
use super::sync_dir::{Known, sync_dir};
use super::task::{join, relative_path};
use super::{FileItem, FilesTask, PathTask, Task, TaskEnd, delete, failure, sync_entry};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{Append, Compaction, Completion, Counts, Leased, NewTask, Segment, Spawned};
use crate::context::JobContext;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::{EntryError, SyncError};
use crate::plan::compare::{CatalogNames, Presence, Wanted, with_catalog, with_record};
use crate::plan::{CatalogState, DeleteMode, Operation, Options};
use crate::signature::{self, Record, Verdict};
use crate::source::{Entry, EntryKind, Listing, MountFacts, SourceError};
use crate::{bytes_text, naming, sync_irods};

/// Where a task that was interrupted goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    #[serde(with = "bytes_text")]
    after: Vec<u8>,
    counts: Counts,
}

/// Runs the task; see the module.
///
/// # Errors
/// What concerns more than this directory.
pub(super) async fn sync_path(
    context: &JobContext,
    leased: &Leased,
    task: PathTask,
) -> Result<TaskEnd, SyncError> {
    let mut completion = Completion::default();
    let mut queued = false;
    let here = here(context, &task).await;
    match scan(
        context,
        leased,
        (&task, &here),
        &mut completion,
        &mut queued,
    )
    .await
    {
        Ok(()) => Ok(TaskEnd::complete(completion)),
        Err(SyncError::Entry(error)) => {
            // What was counted stays counted. Once something is queued, another attempt would queue it again.
            let retries = match queued {
                true => failure::NEVER,
                false => here.retries,
            };
            failure::directory(context, &task, retries, &error, &mut completion);
            Ok(TaskEnd::complete(completion))
        }
        Err(SyncError::Drained) if queued => Ok(TaskEnd::Release(Duration::ZERO)),
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
    completion: &mut Completion,
    queued: &mut bool,
) -> Result<(), SyncError> {
    if let Some(wrong) = &here.wrong {
        return Err(SyncError::Entry(wrong.clone()));
    }
    if here.skip.is_some() {
        completion.counts = sync_entry::left_out();
        return Ok(());
    }
    let cursor: Option<Cursor> = match leased.cursor.as_slice() {
        [] => None,
        bytes => Some(serde_json::from_slice(bytes).map_err(|_| {
            SyncError::Entry(EntryError::new(
                "BAD_CURSOR",
                "the task's cursor is unreadable",
            ))
        })?),
    };
    if let Some(cursor) = &cursor {
        completion.counts = cursor.counts;
        *queued = true;
    }
    let remembered = remember(context, task, here).await?;
    let (mount, listing) = list(context, &task.directory, here.operation).await?;
    let record = remembered.record();
    let catalog = remembered.catalog.as_ref();
    let placing = placing(context, (task, here), &record, catalog, &listing).await?;
    // A cursor says that the collection was there before anything below it was queued.
    if cursor.is_none() {
        let known = remembered.of_directory(context, &record, task, &listing);
        let redelivered = leased.expiries > 0 || task.redelivered;
        let directory = (task.directory.as_slice(), here);
        completion.counts += match sync_dir(context, directory, known, redelivered).await {
            Err(SyncError::LeftOut(_)) => {
                completion.counts += sync_entry::left_out();
                return Ok(());
            }
            made => made?,
        };
    }
    let after = cursor.map(|cursor| cursor.after);
    let mut children = Children::new(context, leased, task, queued);
    // What comes behind the listing is queued with a cursor too, which must not lead before this one.
    children.last = after.clone().unwrap_or_default().into();
    for (index, entry) in listing.entries.iter().enumerate() {
        if after
            .as_deref()
            .is_some_and(|after| entry.name.as_slice() <= after)
        {
            continue;
        }
        if context.shutdown.requested() && *children.queued {
            return Err(SyncError::Drained);
        }
        let placed = (placing.at(index), placing.refusal(index));
        let found = remembered.compare(context, (task, here), &record, entry, placed);
        if let Flow::Stopping = children.add(entry, found, &mut completion.counts).await? {
            return Ok(());
        }
    }
    children.close_chunk()?;
    if deletes(context, here)
        && let Some(catalog) = &remembered.catalog
    {
        let mounts = delete::Mounts {
            before: record.was_mount_point().then_some(MountFacts {
                dev: mount.dev,
                is_mount_point: true,
            }),
            at_start: task.mount,
            now: Some(mount),
        };
        let place = (task.directory.as_slice(), here.target.as_str());
        let present = placing.present(&context.spec, place, &listing);
        match delete::plan(context, (task, here), catalog, &present, mounts) {
            Ok(tasks) => {
                for task in &tasks {
                    if let Flow::Stopping = children.make_room(&completion.counts).await? {
                        return Ok(());
                    }
                    children.push(task)?;
                }
            }
            Err(kept) => failure::kept(context, task, here.delete_mode, &kept, completion),
        }
    }
    if here.delete_mode != DeleteMode::DoNotDelete
        && !deletes(context, here)
        && task.directory.is_empty()
    {
        context.broker.note(context.job, NOT_DELETED).await?;
    }
    completion.children = children.batch;
    let scanned = Scanned {
        listing: &listing,
        remembered: &remembered,
        record: &record,
        is_mount_point: mount.is_mount_point,
    };
    finish(context, task, &scanned, completion);
    for (index, entry) in listing.entries.iter().enumerate() {
        let excluded = || {
            let path = context.absolute(&join(&task.directory, &entry.name));
            context.filter.excludes(&path, entry.stat.kind)
        };
        if let Some(error) = placing.refusal(index)
            && !excluded()
        {
            failure::unknown_entry(context, task, &entry.name, error, completion);
        }
    }
    Ok(())
}

/// Said once a pass where nothing is deleted although that was asked for.
const NOT_DELETED: &str = "nothing is deleted: the job's entries may be put anywhere, so what a collection has besides its \
    directory's entries may be of another directory";

/// Whether what is gone from the directory is deleted.
pub(super) fn deletes(context: &JobContext, here: &EntryOptions) -> bool {
    here.delete_mode != DeleteMode::DoNotDelete && context.targets() != Targets::Anywhere
}

/// What is known of the directory before it is listed. The catalog is listed first where it is asked at all, so that
/// what comes into being in between is seen as new, never as gone.
struct Remembered {
    segments: Vec<Segment>,
    catalog: Option<CatalogNames>,
}

async fn remember(
    context: &JobContext,
    task: &PathTask,
    here: &EntryOptions,
) -> Result<Remembered, SyncError> {
    let options = &context.spec.options;
    let catalog = match options.compare_catalog || deletes(context, here) {
        true => {
            let user = here.user.as_ref();
            Some(sync_irods::list_collection(context, user, &here.target).await?)
        }
        false => None,
    };
    let segments = match options.compare_catalog {
        true => Vec::new(),
        false => {
            let key = context.cache_key(&task.directory);
            context.broker.signatures(&key).await?
        }
    };
    Ok(Remembered { segments, catalog })
}

impl Remembered {
    fn record(&self) -> Record {
        Record::read(self.segments.iter().map(|segment| segment.bytes.as_slice()))
    }

    fn compare(
        &self,
        context: &JobContext,
        (task, here): (&PathTask, &EntryOptions),
        record: &Record,
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
                (with_record(entry, record, options), Presence::Unknown)
            }
        };
        match (entry.stat.kind, verdict) {
            (EntryKind::Directory, _) => Found::Directory {
                exists: presence == Presence::Exists && verdict == Verdict::Unchanged,
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

    /// What is known of the directory itself: its own entry stands in its record under the empty name.
    fn of_directory(
        &self,
        context: &JobContext,
        record: &Record,
        task: &PathTask,
        listing: &Listing,
    ) -> Known {
        let verdict = match (context.spec.options.compare_catalog, task.exists) {
            (true, true) => Verdict::Unchanged,
            (true, false) => Verdict::New,
            (false, _) => record.verdict(b"", &listing.directory),
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

/// Where the directory sits among the mounts, and what is in it: one trip to a thread that may block.
pub(super) async fn list(
    context: &JobContext,
    directory: &[u8],
    operation: Operation,
) -> Result<(MountFacts, Listing), SyncError> {
    let links = operation.links();
    let relative = relative_path(directory);
    context
        .at_source(move |source| {
            let mount = source.mount_facts(&relative)?;
            let mut listing = source.list(&relative, links)?;
            // An entry is not charged with what would have hit any other.
            let shortage = |(_, error): &(_, SourceError)| error.is_shortage();
            match listing.errors.iter().position(shortage) {
                Some(at) => Err(listing.errors.swap_remove(at).1),
                None => Ok((mount, listing)),
            }
        })
        .await
}

/// What an entry of the listing turned out to be.
enum Found {
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
    },
    /// It cannot be where it should.
    Refused,
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

enum Flow {
    GoOn,
    Stopping,
}

/// Children on their way into the queue.
struct Children<'a> {
    context: &'a JobContext,
    leased: &'a Leased,
    task: &'a PathTask,
    batch: Vec<NewTask>,
    chunk: Vec<FileItem>,
    last: BString,
    /// Whether anything is in the queue already.
    queued: &'a mut bool,
}

impl<'a> Children<'a> {
    fn new(
        context: &'a JobContext,
        leased: &'a Leased,
        task: &'a PathTask,
        queued: &'a mut bool,
    ) -> Self {
        Children {
            context,
            leased,
            task,
            batch: Vec::new(),
            chunk: Vec::new(),
            last: BString::default(),
            queued,
        }
    }

    async fn add(
        &mut self,
        entry: &Entry,
        found: Found,
        counts: &mut Counts,
    ) -> Result<Flow, SyncError> {
        if let Flow::Stopping = self.make_room(counts).await? {
            return Ok(Flow::Stopping);
        }
        let is_directory = entry.stat.kind == EntryKind::Directory;
        counts.dirs_seen += u64::from(is_directory);
        counts.files_seen += u64::from(!is_directory);
        self.last.clone_from(&entry.name);
        match found {
            Found::Excluded => counts.excluded += 1,
            // Accounted for at the end.
            Found::Refused => {}
            Found::Unchanged => counts.skipped_unchanged += 1,
            Found::File {
                verdict,
                presence,
                operation,
            } => {
                self.chunk.push(FileItem {
                    name: entry.name.to_vec(),
                    stat: entry.stat,
                    verdict,
                    presence,
                    attempts: 0,
                    redelivered: false,
                    // Of a replica nothing is known: what was seen is the object.
                    existed: presence == Presence::Exists
                        && operation != Operation::RegisterAsReplicaSync,
                });
                if self.chunk.len() >= self.context.spec.options.files_per_task.max(1) {
                    self.close_chunk()?;
                }
            }
            Found::Directory { exists, collection } => {
                let directory = join(&self.task.directory, &entry.name);
                self.push(&Task::SyncPath(PathTask {
                    directory: directory.clone(),
                    attempts: 0,
                    exists,
                    redelivered: false,
                    mount: None,
                    collection: collection
                        .filter(|collection| *collection != self.context.logical(&directory)),
                }))?;
            }
        }
        Ok(Flow::GoOn)
    }

    /// Queues the batch if one more child, with a chunk that is not full, would be too many.
    async fn make_room(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        match self.batch.len() + 1 >= MAX_CHILDREN {
            true => self.flush(counts).await,
            false => Ok(Flow::GoOn),
        }
    }

    fn close_chunk(&mut self) -> Result<(), SyncError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let files = std::mem::take(&mut self.chunk);
        self.push(&Task::SyncFiles(FilesTask {
            directory: self.task.directory.clone(),
            files,
            collection: self.task.collection.clone(),
        }))
    }

    fn push(&mut self, task: &Task) -> Result<(), SyncError> {
        let new = task
            .to_new_task()
            .map_err(|error| SyncError::Entry(EntryError::new("BAD_TASK", error.to_string())))?;
        self.batch.push(new);
        Ok(())
    }

    async fn flush(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        self.close_chunk()?;
        let cursor = serde_json::to_vec(&Cursor {
            after: self.last.to_vec(),
            counts: *counts,
        })
        .map_err(|error| SyncError::Entry(EntryError::new("BAD_CURSOR", error.to_string())))?;
        let batch = std::mem::take(&mut self.batch);
        *self.queued = true;
        match self
            .context
            .broker
            .spawn(self.leased.lease, batch, cursor)
            .await?
        {
            Spawned::Queued => Ok(Flow::GoOn),
            Spawned::Stopping => Ok(Flow::Stopping),
        }
    }
}

/// What a scan learnt.
struct Scanned<'a> {
    listing: &'a Listing,
    remembered: &'a Remembered,
    record: &'a Record,
    is_mount_point: bool,
}

/// What is accounted for once, when everything is queued.
fn finish(
    context: &JobContext,
    task: &PathTask,
    scanned: &Scanned<'_>,
    completion: &mut Completion,
) {
    let Scanned {
        listing, record, ..
    } = scanned;
    for (name, error) in &listing.errors {
        let error = EntryError::new("SOURCE_ERROR", error.to_string());
        failure::unknown_entry(context, task, name, &error, completion);
    }
    if context.spec.options.compare_catalog {
        return;
    }
    let key = context.cache_key(&task.directory);
    let mut own = signature::Segment::new();
    if record.verdict(b"", &listing.directory) != Verdict::Unchanged {
        own.push(b"", &listing.directory, listing.seen_at);
    }
    if scanned.is_mount_point && !record.was_mount_point() {
        own.push_mount_point();
    }
    if !own.is_empty() {
        completion.signatures.push(Append {
            key: key.clone(),
            bytes: own.into_bytes(),
        });
    }
    let own_names = [&b""[..], signature::MOUNT_POINT];
    let names = || listing.names().chain(own_names);
    let segments = &scanned.remembered.segments;
    if !segments.is_empty() && record.should_compact(names().count()) {
        completion.compactions.push(Compaction {
            key,
            replaces: segments.iter().map(|segment| segment.id).collect(),
            bytes: record.compacted(names()).into_bytes(),
        });
    }
}
