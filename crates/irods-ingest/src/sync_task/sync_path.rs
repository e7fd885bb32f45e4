//! One directory: makes its collection, lists it, compares, and queues what is new or changed and what is below.
//!
//! The entries are gone through in byte order of their names. Whenever a batch of children is full it is queued together
//! with a cursor: the last name that is in it and what was counted so far. Whoever runs the task again goes on after that
//! name with those counts, so nothing is queued or counted twice, whatever has been done or changed meanwhile.
//!
//! With nothing changed this makes no call to the zone: one listing, one read of the record.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sync_dir::{Known, sync_dir};
use super::task::join;
use super::{FileItem, FilesTask, JobContext, PathTask, Task, TaskEnd, failure};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{Append, Compaction, Completion, Counts, Leased, NewTask, Segment, Spawned};
use crate::error::{EntryError, SyncError};
use crate::plan::compare::{CatalogNames, Presence, with_catalog, with_record};
use crate::plan::{CatalogState, Options};
use crate::signature::{self, Record, Verdict};
use crate::source::{Entry, EntryKind, Listing, SourceError};
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
    match scan(context, leased, &task).await {
        Err(SyncError::Entry(error)) => {
            let mut completion = Completion::default();
            failure::directory(context, &task, &error, &mut completion);
            Ok(TaskEnd::Complete(completion))
        }
        Err(SyncError::Drained) => Ok(TaskEnd::Release(Duration::ZERO)),
        other => other,
    }
}

async fn scan(
    context: &JobContext,
    leased: &Leased,
    task: &PathTask,
) -> Result<TaskEnd, SyncError> {
    let cursor: Option<Cursor> = match leased.cursor.as_slice() {
        [] => None,
        bytes => Some(serde_json::from_slice(bytes).map_err(|_| {
            SyncError::Entry(EntryError::new(
                "BAD_CURSOR",
                "the task's cursor is unreadable",
            ))
        })?),
    };
    let remembered = remember(context, task).await?;
    let listing = list(context, &task.directory).await?;
    let record = remembered.record();
    let mut completion = Completion {
        counts: cursor.as_ref().map(|c| c.counts).unwrap_or_default(),
        ..Completion::default()
    };
    // A cursor says that the collection was there before anything below it was queued.
    if cursor.is_none() {
        let known = remembered.of_directory(&record, task, &listing);
        completion.counts += sync_dir(context, &task.directory, known).await?;
    }
    let after = cursor.map(|cursor| cursor.after);
    let mut children = Children::new(context, leased, task);
    for found in classify(
        context,
        &task.directory,
        &listing,
        &remembered,
        &record,
        after.as_deref(),
    ) {
        if context.shutdown.requested() && children.queued_any {
            return Err(SyncError::Drained);
        }
        if let Flow::Stopping = children.add(found, &mut completion.counts).await? {
            return Ok(TaskEnd::Complete(completion));
        }
    }
    children.flush(&completion.counts).await?;
    finish(
        context,
        task,
        &listing,
        &remembered,
        &record,
        &mut completion,
    );
    Ok(TaskEnd::Complete(completion))
}

/// What is known of the directory before it is listed. The catalog is listed first where it is asked at all, so that
/// what comes into being in between is seen as new, never as gone.
struct Remembered {
    segments: Vec<Segment>,
    catalog: Option<CatalogNames>,
}

async fn remember(context: &JobContext, task: &PathTask) -> Result<Remembered, SyncError> {
    if context.spec.options.compare_catalog {
        let collection = context.logical(&task.directory);
        let names = sync_irods::list_collection(context, &collection).await?;
        return Ok(Remembered {
            segments: Vec::new(),
            catalog: Some(names),
        });
    }
    let segments = context
        .broker
        .signatures(&context.cache_key(&task.directory))
        .await?;
    Ok(Remembered {
        segments,
        catalog: None,
    })
}

impl Remembered {
    fn record(&self) -> Record {
        Record::read(self.segments.iter().map(|segment| segment.bytes.as_slice()))
    }

    /// What is known of the directory itself: its own entry stands in its record under the empty name.
    fn of_directory(&self, record: &Record, task: &PathTask, listing: &Listing) -> Known {
        let verdict = match self.catalog {
            Some(_) if task.exists => Verdict::Unchanged,
            Some(_) => Verdict::New,
            None => record.verdict(b"", &listing.directory),
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

async fn list(context: &JobContext, directory: &[u8]) -> Result<Listing, SyncError> {
    let (source, links) = (
        context.source.clone(),
        context.spec.options.operation.links(),
    );
    let relative = Path::new(OsStr::from_bytes(directory)).to_owned();
    let listed = tokio::task::spawn_blocking(move || source.list(&relative, links)).await;
    listed
        .map_err(|_| SyncError::Worker("a listing did not end".into()))?
        .map_err(source_error)
}

/// What a source error means: the root that is not there is this worker's trouble, anything else the entry's.
pub(crate) fn source_error(error: SourceError) -> SyncError {
    let name = match &error {
        SourceError::RootMissing { .. } | SourceError::RootNotADirectory { .. } => {
            return SyncError::Worker(error.to_string());
        }
        SourceError::Vanished { .. } => "SOURCE_VANISHED",
        SourceError::Unreadable { .. } => "SOURCE_UNREADABLE",
        SourceError::NotRegular { .. } => "SOURCE_NOT_REGULAR",
        SourceError::NotADirectory { .. } => "SOURCE_NOT_A_DIRECTORY",
        _ => "SOURCE_ERROR",
    };
    let message = match &error {
        SourceError::Io { source, .. } => format!("{error}: {source}"),
        _ => error.to_string(),
    };
    SyncError::Entry(EntryError::new(name, message))
}

/// One entry of the listing, after the comparison.
enum Found {
    Excluded { name: Vec<u8>, file: bool },
    Unchanged { name: Vec<u8> },
    File(FileItem),
    Directory { name: Vec<u8>, exists: bool },
}

impl Found {
    fn name(&self) -> &[u8] {
        match self {
            Found::Excluded { name, .. } | Found::Unchanged { name } => name,
            Found::File(item) => &item.name,
            Found::Directory { name, .. } => name,
        }
    }
}

/// All entries after `after`, in order.
fn classify(
    context: &JobContext,
    directory: &[u8],
    listing: &Listing,
    remembered: &Remembered,
    record: &Record,
    after: Option<&[u8]>,
) -> Vec<Found> {
    let is_file = |entry: &Entry| entry.stat.kind != EntryKind::Directory;
    let mut found = Vec::new();
    let mut candidates = Vec::new();
    for entry in &listing.entries {
        if after.is_some_and(|after| entry.name.as_slice() <= after) {
            continue;
        }
        let absolute = context.absolute(&join(directory, &entry.name));
        if context.filter.excludes(&absolute, entry.stat.kind) {
            found.push(Found::Excluded {
                name: entry.name.to_vec(),
                file: is_file(entry),
            });
        } else {
            candidates.push(entry.clone());
        }
    }
    let all: Vec<Vec<u8>> = candidates
        .iter()
        .filter(|entry| is_file(entry))
        .map(|entry| entry.name.to_vec())
        .collect();
    let options = Options {
        ignore_cache: context.spec.options.ignore_cache,
        ..Options::default()
    };
    let work = match &remembered.catalog {
        None => with_record(candidates, record, options),
        Some(catalog) => with_catalog(
            candidates,
            catalog,
            context.spec.options.operation,
            |entry| {
                let absolute = context.absolute(&join(directory, &entry.name));
                naming::element(&entry.name, &absolute).into_owned()
            },
        ),
    };
    let changed: std::collections::HashSet<&[u8]> = work
        .files
        .iter()
        .map(|item| item.entry.name.as_slice())
        .collect();
    found.extend(
        all.into_iter()
            .filter(|name| !changed.contains(name.as_slice()))
            .map(|name| Found::Unchanged { name }),
    );
    found.extend(work.files.iter().map(|item| {
        Found::File(FileItem {
            name: item.entry.name.to_vec(),
            stat: item.entry.stat,
            verdict: item.verdict,
            attempts: 0,
            redelivered: false,
        })
    }));
    found.extend(work.directories.into_iter().map(|item| Found::Directory {
        name: item.entry.name.into(),
        exists: item.presence == Presence::Exists,
    }));
    found.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    found
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
    last: Vec<u8>,
    queued_any: bool,
}

impl<'a> Children<'a> {
    fn new(context: &'a JobContext, leased: &'a Leased, task: &'a PathTask) -> Self {
        Children {
            context,
            leased,
            task,
            batch: Vec::new(),
            chunk: Vec::new(),
            last: Vec::new(),
            queued_any: false,
        }
    }

    async fn add(&mut self, found: Found, counts: &mut Counts) -> Result<Flow, SyncError> {
        self.last = found.name().to_vec();
        match found {
            Found::Excluded { file, .. } => {
                counts.files_seen += u64::from(file);
                counts.dirs_seen += u64::from(!file);
                counts.excluded += 1;
            }
            Found::Unchanged { .. } => {
                counts.files_seen += 1;
                counts.skipped_unchanged += 1;
            }
            Found::File(item) => {
                counts.files_seen += 1;
                self.chunk.push(item);
                if self.chunk.len() >= self.context.spec.options.files_per_task.max(1) {
                    self.close_chunk()?;
                }
            }
            Found::Directory { name, exists } => {
                counts.dirs_seen += 1;
                self.push(&Task::SyncPath(PathTask {
                    directory: join(&self.task.directory, &name),
                    attempts: 0,
                    exists,
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

    async fn flush(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        self.close_chunk()?;
        if self.batch.is_empty() {
            return Ok(Flow::GoOn);
        }
        let cursor = serde_json::to_vec(&Cursor {
            after: self.last.clone(),
            counts: *counts,
        })
        .map_err(|error| SyncError::Entry(EntryError::new("BAD_CURSOR", error.to_string())))?;
        let batch = std::mem::take(&mut self.batch);
        self.queued_any = true;
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

/// What is accounted for once, when everything is queued.
fn finish(
    context: &JobContext,
    task: &PathTask,
    listing: &Listing,
    remembered: &Remembered,
    record: &Record,
    completion: &mut Completion,
) {
    for (name, error) in &listing.errors {
        let error = EntryError::new("SOURCE_ERROR", error.to_string());
        failure::unknown_entry(context, task, name, &error, completion);
    }
    if remembered.catalog.is_some() {
        return;
    }
    let key = context.cache_key(&task.directory);
    if record.verdict(b"", &listing.directory) != Verdict::Unchanged {
        let mut own = signature::Segment::new();
        own.push(b"", &listing.directory, listing.seen_at);
        completion.signatures.push(Append {
            key: key.clone(),
            bytes: own.into_bytes(),
        });
    }
    let names = || listing.names().chain(std::iter::once(&b""[..]));
    if !remembered.segments.is_empty() && record.should_compact(names().count()) {
        completion.compactions.push(Compaction {
            key,
            replaces: remembered
                .segments
                .iter()
                .map(|segment| segment.id)
                .collect(),
            bytes: record.compacted(names()).into_bytes(),
        });
    }
}
