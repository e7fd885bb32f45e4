//! What a scan queues, in batches, each with the cursor that whoever runs the task again goes on from.

use serde::{Deserialize, Serialize};

use super::sync_path::Found;
use super::task::join;
use super::{FileItem, FilesTask, PathTask, Task};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{Counts, Leased, NewTask, SegmentId, Spawned};
use crate::bytes_text;
use crate::context::JobContext;
use crate::error::{EntryError, SyncError};
use crate::plan::Operation;
use crate::plan::compare::Presence;
use crate::source::{Entry, EntryKind, s3};

/// Where a task that was interrupted goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Cursor {
    /// The end of the last page that is done with.
    page: Option<s3::Mark>,
    /// [Place](crate::source::Source::place) of the last entry behind it that is done with.
    #[serde(with = "bytes_text")]
    after: Vec<u8>,
    counts: Counts,
    /// Whether the pages before have something that is accounted for at the end.
    look_back: bool,
    /// Segments of the record that were there before anything was queued, and do not count any more.
    pub(super) stale: Vec<SegmentId>,
}

impl Cursor {
    /// That of a task; none if it is run for the first time.
    pub(super) fn of(leased: &Leased) -> Result<Option<Self>, SyncError> {
        match leased.cursor.as_slice() {
            [] => Ok(None),
            bytes => serde_json::from_slice(bytes).map(Some).map_err(|_| {
                SyncError::Entry(EntryError::new(
                    "BAD_CURSOR",
                    "the task's cursor is unreadable",
                ))
            }),
        }
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The page after which the listing can go on, if what is before it is not needed.
    pub(super) fn skips_to(&self) -> Option<&s3::Mark> {
        self.page.as_ref().filter(|_| !self.look_back)
    }

    /// Whether an entry is done with.
    pub(super) fn has_passed(&self, entry: &Entry, place: &[u8]) -> bool {
        let page = self.page.as_ref();
        page.is_some_and(|page| page.has_passed(&entry.name, place))
            || place <= self.after.as_slice()
    }

    /// Something before the end has to be accounted for at the end.
    pub(super) fn look_back(&mut self) {
        self.look_back = true;
    }

    /// All of a page is done with. False if that was known.
    fn pass(&mut self, page: &s3::Mark) -> bool {
        if let Some(known) = &self.page
            && !page.is_behind(known)
        {
            return false;
        }
        self.page = Some(page.clone());
        self.after.clear();
        true
    }
}

pub(super) enum Flow {
    GoOn,
    Stopping,
}

/// Children on their way into the queue.
pub(super) struct Children<'a> {
    context: &'a JobContext,
    leased: &'a Leased,
    task: &'a PathTask,
    pub(super) batch: Vec<NewTask>,
    chunk: Vec<FileItem>,
    /// The next cursor, but for its counts.
    pub(super) cursor: Cursor,
    /// Whether anything is in the queue already.
    pub(super) queued: &'a mut bool,
}

impl<'a> Children<'a> {
    pub(super) fn new(
        context: &'a JobContext,
        leased: &'a Leased,
        task: &'a PathTask,
        cursor: Cursor,
        queued: &'a mut bool,
    ) -> Self {
        Children {
            context,
            leased,
            task,
            batch: Vec::new(),
            chunk: Vec::new(),
            cursor,
            queued,
        }
    }

    pub(super) async fn add(
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
        self.cursor.after = self.context.source.place(entry).into_owned();
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
            Found::Directory {
                exists,
                collection,
                fresh,
            } => {
                let directory = join(&self.task.directory, &entry.name);
                self.push(&Task::SyncPath(PathTask {
                    directory: directory.clone(),
                    attempts: 0,
                    exists,
                    redelivered: false,
                    mount: None,
                    fresh,
                    collection: collection
                        .filter(|collection| *collection != self.context.logical(&directory)),
                }))?;
            }
        }
        Ok(Flow::GoOn)
    }

    /// Queues what a page has, so that it is worked on while further pages are listed.
    pub(super) async fn end_page(
        &mut self,
        page: &s3::Mark,
        counts: &Counts,
    ) -> Result<Flow, SyncError> {
        match self.cursor.pass(page) {
            true => self.flush(counts).await,
            false => Ok(Flow::GoOn),
        }
    }

    /// Queues the batch if one more child, with a chunk that is not full, would be too many.
    pub(super) async fn make_room(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        match self.batch.len() + 1 >= MAX_CHILDREN {
            true => self.flush(counts).await,
            false => Ok(Flow::GoOn),
        }
    }

    pub(super) fn close_chunk(&mut self) -> Result<(), SyncError> {
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

    pub(super) fn push(&mut self, task: &Task) -> Result<(), SyncError> {
        let new = task
            .to_new_task()
            .map_err(|error| SyncError::Entry(EntryError::new("BAD_TASK", error.to_string())))?;
        self.batch.push(new);
        Ok(())
    }

    pub(super) async fn flush(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        self.close_chunk()?;
        self.cursor.counts = *counts;
        let cursor = serde_json::to_vec(&self.cursor)
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
