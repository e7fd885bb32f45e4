//! What a scan queues, in batches, each with the cursor that whoever runs the task again goes on from.

use super::cursor::Cursor;
use super::remembered::Found;
use super::task::join;
use super::{FileItem, FilesTask, PathTask, Task};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{Append, Completion, Counts, Leased, NewTask, Spawned};
use crate::context::JobContext;
use crate::error::{EntryError, SyncError};
use crate::plan::Operation;
use crate::plan::compare::Presence;
use crate::signature::{Record, Segment, Verdict};
use crate::source::{Entry, EntryKind, s3};

/// Files that one batch says of at most that they have changed.
const MAX_CHANGED: usize = 1 << 16;

pub(super) enum Flow {
    GoOn,
    Stopping,
    /// There is much to do before more should be queued.
    Crowded,
}

/// Children on their way into the queue.
pub(super) struct Children<'a> {
    context: &'a JobContext,
    pub(super) leased: &'a Leased,
    task: &'a PathTask,
    batch: Vec<NewTask>,
    chunk: Vec<FileItem>,
    held: &'a Record,
    /// What is in the queue, and so no more as it is remembered.
    changed: Segment,
    /// The next cursor, but for its counts.
    pub(super) cursor: Cursor,
    /// Whether anything is in the queue already.
    pub(super) queued: &'a mut bool,
}

impl<'a> Children<'a> {
    pub(super) fn new(
        context: &'a JobContext,
        leased: &'a Leased,
        (task, held): (&'a PathTask, &'a Record),
        cursor: Cursor,
        queued: &'a mut bool,
    ) -> Self {
        Children {
            context,
            leased,
            task,
            batch: Vec::new(),
            chunk: Vec::new(),
            held,
            changed: Segment::new(),
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
        self.cursor.passed += 1;
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
                if verdict != Verdict::MetadataChanged && self.held.holds(&entry.name) {
                    self.changed.push_changed(&entry.name);
                }
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
                    cursor: Vec::new(),
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

    /// Queues the batch if one more child, with a chunk that is not full, or one more file would be too many.
    pub(super) async fn make_room(&mut self, counts: &Counts) -> Result<Flow, SyncError> {
        match self.batch.len() + 1 >= MAX_CHILDREN || self.changed.len() >= MAX_CHANGED {
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
        let cursor = self.cursor.encoded()?;
        let batch = std::mem::take(&mut self.batch);
        let changes = self.changes();
        *self.queued = true;
        let broker = &self.context.broker;
        match broker
            .spawn(self.leased.lease, batch, cursor, changes)
            .await?
        {
            Spawned::Queued => Ok(Flow::GoOn),
            Spawned::Crowded => Ok(Flow::Crowded),
            Spawned::Stopping => Ok(Flow::Stopping),
        }
    }

    /// Whatever becomes of a file's task, even nothing, it cannot be mistaken for done by what is remembered of an earlier time.
    fn changes(&mut self) -> Vec<Append> {
        let bytes = std::mem::take(&mut self.changed).into_bytes();
        match bytes.is_empty() {
            true => Vec::new(),
            false => vec![Append {
                key: self.context.cache_key(&self.task.directory),
                bytes,
            }],
        }
    }

    /// The last batch goes with the completion.
    pub(super) fn finish(&mut self, completion: &mut Completion) -> Result<(), SyncError> {
        self.close_chunk()?;
        completion.signatures.extend(self.changes());
        completion.children = std::mem::take(&mut self.batch);
        Ok(())
    }
}
