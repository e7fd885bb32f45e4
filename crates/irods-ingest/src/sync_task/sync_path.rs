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

use super::children::{Children, Flow};
use super::cursor::Cursor;
use super::pages::Pages;
use super::placing::{Present, placing};
use super::remembered::{Remembered, remember};
use super::scanned::Scanned;
use super::sync_dir::sync_dir;
use super::{PathTask, Task, TaskEnd, delete, direct, failure, sync_entry};
use crate::broker::{Completion, Leased};
use crate::context::JobContext;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::SyncError;
use crate::plan::DeleteMode;
use crate::profile::{About, Stage};
use crate::source::MountFacts;

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
        // The collection may have been made, which whoever runs it again counts, but not those above it. A task that is given back
        // says nothing of either.
        Err(SyncError::Drained) => {
            let rest = Task::SyncPath(PathTask {
                redelivered: true,
                ..task
            });
            let mut completion = Completion {
                counts: context.tenure.made_above.all(),
                ..Completion::default()
            };
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
    let mut names = None;
    let mut made = false;
    while let Some(page) = pages.next().await? {
        let listing = &page.listing;
        let placing = placing(context, (task, here), record, catalog, listing).await;
        // A cursor says that the collection was there before anything below it was queued.
        if first && facts.is_none() {
            let known = remembered.of_directory(context, task, listing);
            let redelivered = children.leased.expiries > 0 || task.redelivered;
            let directory = (task.directory.as_slice(), here);
            let done = sync_dir(context, directory, known, redelivered).await;
            completion.counts += context.tenure.made_above.take();
            let counts = match done {
                Err(SyncError::LeftOut(_)) => {
                    completion.counts += sync_entry::left_out();
                    return Ok(Flow::GoOn);
                }
                done => done?,
            };
            made = counts.collections_created > 0;
            completion.counts += counts;
        }
        if names.is_none() && direct::names_matter(context, record, listing) {
            names = Some(direct::names(context, here, catalog, made).await?);
        }
        facts.get_or_insert((page.mount, listing.directory, listing.seen_at));
        if page.end.is_none() && !deletes && listing.entries.len() <= QUICK {
            context.tenure.place.will_leave();
        }
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
            let compare =
                || remembered.compare(context, (task, here), entry, placed, names.as_deref());
            let found = comparing.time(compare);
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

/// So many entries are gone through in some milliseconds.
const QUICK: usize = 5000;

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
