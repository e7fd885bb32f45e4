//! Some files of one directory, one after the other, or several at once (`together`); each stands alone. What failed and may be
//! tried again becomes one delayed task; what succeeded gets its signature.

use super::direct::Direct;
use super::looks::{Looks, Worked, unchanged};
use super::sync_entry::{FileDone, sync_entry};
use super::task::join;
use super::together::{Outcome, create_together};
use super::{FileItem, FilesTask, Task, TaskEnd, failure};
use crate::broker::{Append, Completion, Fatal};
use crate::context::JobContext;
use crate::core::choice::{Candidate, Delay, EntryOptions};
use crate::error::{EntryError, SyncError};
use crate::naming;
use crate::signature::{Segment, Verdict};
use crate::sync_irods::Created;

/// Runs the task; `redelivered` if an earlier holder of it may have done some of it.
///
/// # Errors
/// What concerns more than single files.
pub(super) async fn sync_files(
    context: &JobContext,
    task: FilesTask,
    redelivered: bool,
) -> Result<TaskEnd, SyncError> {
    let chosen = choose(context, &task).await;
    let mut items = task.files.clone();
    for item in &mut items {
        item.redelivered |= redelivered;
    }
    let mut run = Run {
        context,
        task: &task,
        chosen: &chosen,
        together: true,
        left: vec![true; items.len()],
        items,
        completion: Completion::default(),
        applied: Segment::new(),
        worked: Vec::new(),
        again: Vec::new(),
        changed: Vec::new(),
        direct: Direct::default(),
    };
    let ended = run.go_through().await;
    if let Ok(()) | Err(SyncError::Drained | SyncError::Job(_)) = ended {
        context.tenure.place.leave();
    }
    run.account(ended).await
}

/// A run of the task.
struct Run<'a> {
    context: &'a JobContext,
    task: &'a FilesTask,
    chosen: &'a [EntryOptions],
    /// The files, with what is known of each by now.
    items: Vec<FileItem>,
    /// Which of them are still to be done.
    left: Vec<bool>,
    /// Whether files may be done together.
    together: bool,
    direct: Direct<'a>,
    completion: Completion,
    applied: Segment,
    worked: Vec<Worked>,
    again: Vec<(FileItem, Delay)>,
    changed: Vec<FileItem>,
}

impl<'a> Run<'a> {
    /// Does one after the other.
    async fn go_through(&mut self) -> Result<(), SyncError> {
        let (context, chosen) = (self.context, self.chosen);
        let mut looks = Looks::new(context, self.task, chosen);
        // Hooks may take any time, and so may a checksum of what is only registered.
        let slow = context.has_object_hooks() || context.spec.options.checksum.keeps();
        for (index, options) in chosen.iter().enumerate() {
            if !self.left[index] {
                continue;
            }
            if context.shutdown.requested() {
                return Err(SyncError::Drained);
            }
            if !slow && self.is_little(index) {
                context.tenure.place.will_leave();
            }
            if self.together {
                self.begin_together(index, &mut looks).await;
                if !self.left[index] {
                    continue;
                }
            }
            looks.turn_to(index);
            let item = &self.items[index];
            let direct = self.direct.admits(context, item, options);
            let directory = &self.task.directory;
            let done = sync_entry(context, directory, item, options, &mut looks, direct).await;
            self.completion.counts += context.tenure.made_above.take();
            match done {
                Ok(done) => self.take(index, done),
                Err(SyncError::Entry(error)) => self.fail(index, &error),
                Err(why) => {
                    // It may have been done in part.
                    self.items[index].redelivered = true;
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    /// Does together what can be, from that file on.
    async fn begin_together(&mut self, index: usize, looks: &mut Looks<'_>) {
        let of = (self.task, self.chosen);
        let files = (self.items.as_slice(), index);
        let outcomes = create_together(self.context, of, files, looks, &self.direct).await;
        for Outcome {
            index,
            seen,
            created,
        } in outcomes
        {
            match created {
                Created::Yes(counts) => {
                    let done = FileDone {
                        counts,
                        signature: Some(seen),
                        changed: None,
                    };
                    self.take(index, done);
                }
                Created::Failed(error) => self.fail(index, &error),
                Created::Perhaps => self.items[index].redelivered = true,
                Created::No => {}
            }
            // Why one has to be done by itself is mostly why others have to.
            self.together &= !self.left[index];
        }
    }

    /// Accounts for a file that failed.
    fn fail(&mut self, index: usize, error: &EntryError) {
        self.left[index] = false;
        let options = &self.chosen[index];
        failure::file(
            self.context,
            (self.task, &self.items[index]),
            (options.operation, options.retries),
            error,
            &mut self.completion,
            &mut self.again,
        );
    }

    /// Takes up what became of a file.
    fn take(&mut self, index: usize, done: FileDone) {
        self.left[index] = false;
        let (item, options) = (&self.items[index], &self.chosen[index]);
        if let Some(stat) = done.changed {
            self.applied.push_changed(&item.name);
            self.changed.push(FileItem {
                stat,
                verdict: Verdict::DataChanged,
                ..item.clone()
            });
            return;
        }
        self.completion.counts += done.counts;
        self.direct.learn(&done.counts, options);
        if let Some((stat, seen_at)) = done.signature {
            self.worked.push(Worked {
                name: item.name.clone(),
                operation: options.operation,
                stat,
                seen_at,
            });
        }
    }

    /// Whether what is left from that file on is done in about the time that it takes to be given another task.
    fn is_little(&self, index: usize) -> bool {
        const FILES: usize = 4;
        const BYTES: u64 = 1 << 20;
        let all = self.items.iter().zip(self.chosen).zip(&self.left);
        let left = all.skip(index).filter(|(_, left)| **left);
        let mut left = left.map(|(of, _)| of);
        left.clone().take(FILES + 1).count() <= FILES
            && left.all(|(item, options)| {
                !options.operation.uploads() || item.stat.size <= BYTES / FILES as u64
            })
    }

    /// What is to be accounted for. What is left goes back, but for a job that is at its end.
    async fn account(mut self, ended: Result<(), SyncError>) -> Result<TaskEnd, SyncError> {
        let (context, task) = (self.context, self.task);
        let mut completion = self.completion;
        let refused = match ended {
            Ok(()) => None,
            Err(SyncError::Job(why)) => {
                completion.fatal = Some(Fatal::Job(why));
                None
            }
            Err(why) => {
                let all = self.items.into_iter().zip(self.left);
                let rest = all.filter(|(_, left)| *left).map(|(item, _)| item);
                let rest = Task::SyncFiles(task.with_files(rest.collect()));
                completion.retries.extend(rest.to_new_task().ok());
                Some(why).filter(|why| !matches!(why, SyncError::Drained))
            }
        };
        remember(context, task, self.worked, &mut self.applied).await;
        if !self.applied.is_empty() && !context.spec.options.compare_catalog {
            completion.signatures.push(Append {
                key: context.cache_key(&task.directory),
                bytes: self.applied.into_bytes(),
            });
        }
        failure::retry_files(task, self.again, &mut completion);
        if !self.changed.is_empty() {
            let anew = Task::SyncFiles(task.with_files(self.changed));
            completion.retries.extend(anew.to_new_task().ok());
        }
        match refused {
            None => Ok(TaskEnd::complete(completion)),
            Some(why) => Ok(TaskEnd::CompleteInPart(Box::new(completion), why)),
        }
    }
}

/// Takes up into `applied` what has not changed since.
async fn remember(
    context: &JobContext,
    task: &FilesTask,
    worked: Vec<Worked>,
    applied: &mut Segment,
) {
    for (file, unchanged) in unchanged(context, &task.directory, worked).await {
        if unchanged {
            applied.push(&file.name, &file.stat, file.seen_at);
        }
    }
}

/// What counts for each of the files.
async fn choose(context: &JobContext, task: &FilesTask) -> Vec<EntryOptions> {
    let collection = match &task.collection {
        Some(collection) => collection.clone(),
        None => context.logical(&task.directory),
    };
    let places: Vec<_> = task
        .files
        .iter()
        .map(|item| {
            let path = context.absolute(&join(&task.directory, &item.name));
            let target = naming::join(&collection, &naming::element(&item.name, || &path));
            (path, target)
        })
        .collect();
    let asked: Vec<_> = task
        .files
        .iter()
        .zip(&places)
        .map(|(item, (path, target))| Candidate {
            path,
            target,
            placed: false,
            is_directory: false,
            stat: Some(&item.stat),
            attempts: item.attempts,
        })
        .collect();
    context.choose(&asked).await
}
