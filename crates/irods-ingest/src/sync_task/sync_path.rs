//! One directory: makes its collection, lists it, compares, and queues what is new or changed and what is below.
//!
//! The entries are gone through in byte order of their names. Whenever a batch of children is full it is queued together
//! with a cursor: the last name that is in it and what was counted so far. Whoever runs the task again goes on after that
//! name with those counts, so nothing is queued or counted twice, whatever has been done or changed meanwhile.
//!
//! With nothing changed this makes no call to the zone: one listing, one read of the record.

use std::time::Duration;

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::sync_dir::{Known, sync_dir};
use super::task::{join, relative_path};
use super::{FileItem, FilesTask, PathTask, Task, TaskEnd, delete, failure};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{Append, Compaction, Completion, Counts, Leased, NewTask, Segment, Spawned};
use crate::context::JobContext;
use crate::error::{EntryError, SyncError};
use crate::plan::compare::{CatalogNames, Presence, with_catalog, with_record};
use crate::plan::{CatalogState, Operation, Options};
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
    match scan(context, leased, &task, &mut completion, &mut queued).await {
        Ok(()) => Ok(TaskEnd::complete(completion)),
        Err(SyncError::Entry(error)) => {
            // What was counted stays counted. Once something is queued, another attempt would queue it again.
            let attempts = match queued {
                true => context.spec.options.max_retries,
                false => task.attempts,
            };
            let task = PathTask { attempts, ..task };
            failure::directory(context, &task, &error, &mut completion);
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

async fn scan(
    context: &JobContext,
    leased: &Leased,
    task: &PathTask,
    completion: &mut Completion,
    queued: &mut bool,
) -> Result<(), SyncError> {
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
    let remembered = remember(context, task).await?;
    let (mount, listing) = list(context, &task.directory).await?;
    let record = remembered.record();
    // A cursor says that the collection was there before anything below it was queued.
    if cursor.is_none() {
        let known = remembered.of_directory(context, &record, task, &listing);
        let redelivered = leased.expiries > 0 || task.redelivered;
        completion.counts += sync_dir(context, &task.directory, known, redelivered).await?;
    }
    let after = cursor.map(|cursor| cursor.after);
    let mut children = Children::new(context, leased, task, queued);
    for entry in &listing.entries {
        if after
            .as_deref()
            .is_some_and(|after| entry.name.as_slice() <= after)
        {
            continue;
        }
        if context.shutdown.requested() && *children.queued {
            return Err(SyncError::Drained);
        }
        let found = remembered.compare(context, &task.directory, &record, entry);
        if let Flow::Stopping = children.add(entry, found, &mut completion.counts).await? {
            return Ok(());
        }
    }
    children.flush(&completion.counts).await?;
    if context.spec.options.deletes()
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
        match delete::plan(context, &task.directory, catalog, &listing, mounts) {
            Ok(tasks) => {
                if let Flow::Stopping = children.queue(&tasks, &completion.counts).await? {
                    return Ok(());
                }
            }
            Err(kept) => failure::kept(context, task, &kept, completion),
        }
    }
    let scanned = Scanned {
        listing: &listing,
        remembered: &remembered,
        record: &record,
        is_mount_point: mount.is_mount_point,
    };
    finish(context, task, &scanned, completion);
    Ok(())
}

/// What is known of the directory before it is listed. The catalog is listed first where it is asked at all, so that
/// what comes into being in between is seen as new, never as gone.
struct Remembered {
    segments: Vec<Segment>,
    catalog: Option<CatalogNames>,
}

async fn remember(context: &JobContext, task: &PathTask) -> Result<Remembered, SyncError> {
    let options = &context.spec.options;
    let catalog = match options.compare_catalog || options.deletes() {
        true => {
            let collection = context.logical(&task.directory);
            Some(sync_irods::list_collection(context, &collection).await?)
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
        directory: &[u8],
        record: &Record,
        entry: &Entry,
    ) -> Found {
        let absolute = context.absolute(&join(directory, &entry.name));
        if context.filter.excludes(&absolute, entry.stat.kind) {
            return Found::Excluded;
        }
        let options = &context.spec.options;
        let (verdict, presence) = match &self.catalog {
            Some(catalog) if options.compare_catalog => {
                let name = naming::element(&entry.name, &absolute);
                let physical = naming::physical_path(&absolute);
                with_catalog(
                    entry,
                    name.as_bytes(),
                    &physical,
                    catalog,
                    options.operation,
                )
            }
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
            },
            (_, Verdict::Unchanged) => Found::Unchanged,
            (_, verdict) => Found::File { verdict, presence },
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
async fn list(context: &JobContext, directory: &[u8]) -> Result<(MountFacts, Listing), SyncError> {
    let links = context.spec.options.operation.links();
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
    },
    Directory {
        exists: bool,
    },
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
        let is_directory = entry.stat.kind == EntryKind::Directory;
        counts.dirs_seen += u64::from(is_directory);
        counts.files_seen += u64::from(!is_directory);
        self.last.clone_from(&entry.name);
        match found {
            Found::Excluded => counts.excluded += 1,
            Found::Unchanged => counts.skipped_unchanged += 1,
            Found::File { verdict, presence } => {
                self.chunk.push(FileItem {
                    name: entry.name.to_vec(),
                    stat: entry.stat,
                    verdict,
                    presence,
                    attempts: 0,
                    redelivered: false,
                    // Of a replica nothing is known: what was seen is the object.
                    existed: presence == Presence::Exists
                        && self.context.spec.options.operation != Operation::RegisterAsReplicaSync,
                });
                if self.chunk.len() >= self.context.spec.options.files_per_task.max(1) {
                    self.close_chunk()?;
                }
            }
            Found::Directory { exists } => {
                self.push(&Task::SyncPath(PathTask {
                    directory: join(&self.task.directory, &entry.name),
                    attempts: 0,
                    exists,
                    redelivered: false,
                    mount: None,
                }))?;
            }
        }
        // One place is kept for a chunk that is not full.
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
        }))
    }

    fn push(&mut self, task: &Task) -> Result<(), SyncError> {
        let new = task
            .to_new_task()
            .map_err(|error| SyncError::Entry(EntryError::new("BAD_TASK", error.to_string())))?;
        self.batch.push(new);
        Ok(())
    }

    /// Queues further tasks behind what the listing gave. Queued twice after a crash in between, the second does nothing.
    async fn queue(&mut self, tasks: &[Task], counts: &Counts) -> Result<Flow, SyncError> {
        for task in tasks {
            self.push(task)?;
            if self.batch.len() >= MAX_CHILDREN
                && let Flow::Stopping = self.flush(counts).await?
            {
                return Ok(Flow::Stopping);
            }
        }
        self.flush(counts).await
    }

    async fn flush(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        self.close_chunk()?;
        if self.batch.is_empty() {
            return Ok(Flow::GoOn);
        }
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
