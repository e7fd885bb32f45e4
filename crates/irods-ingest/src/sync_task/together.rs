//! Files that are registered or uploaded together: their requests are sent on one connection before the first is answered, so the way
//! to the zone is paid once, and the zone never waits for this side.
//!
//! So are new ones of which nothing else is asked or done: without hooks and permissions, without AVUs if they are registered, small if they
//! are uploaded. Whatever is not answered with success is then done like any other file, which finds out why.

use std::time::Duration;

use super::direct::Direct;
use super::looks::{Looks, Seen, TOGETHER};
use super::sync_entry::File;
use super::task::join;
use super::{FileItem, FilesTask};
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::plan::Operation;
use crate::plan::compare::Presence;
use crate::signature::Verdict;
use crate::source::{EntryKind, Stat, Timestamp};
use crate::sync_irods::{Created, FileAction, create_all, grants_come_along, patiently};

/// What became of one of them.
pub(super) struct Outcome {
    /// Which of the files it is.
    pub(super) index: usize,
    /// How it was found, and when.
    pub(super) seen: (Stat, Timestamp),
    pub(super) created: Created,
}

/// A file that is to be done so.
struct Ready<'a> {
    index: usize,
    item: &'a FileItem,
    options: &'a EntryOptions,
    absolute: Vec<u8>,
    seen: Seen,
}

impl Ready<'_> {
    fn file<'b>(&'b self, context: &'b JobContext, directory: &'b [u8], direct: bool) -> File<'b> {
        let content = self.seen.content.as_deref();
        let found = (self.absolute.as_slice(), &self.seen.look, content);
        File::new(context, directory, self.item, self.options, found).directly(direct)
    }
}

/// Registers or uploads files from `index` on, as many in a row as can be, and tells of each; of none if that one cannot be.
pub(super) async fn create_together(
    context: &JobContext,
    (task, chosen): (&FilesTask, &[EntryOptions]),
    (items, index): (&[FileItem], usize),
    looks: &mut Looks<'_>,
    direct: &Direct<'_>,
) -> Vec<Outcome> {
    let admitted = |at: usize| direct.admits(context, &items[at], &chosen[at]);
    let as_rows = admitted(index);
    if context.spec.options.direct_register && !as_rows {
        // It shows whether rows of others may be written.
        return Vec::new();
    }
    let plain = |at: &usize| {
        let (item, options) = (&items[*at], &chosen[*at]);
        is_plain(context, &task.directory, item, options)
            && (!options.operation.uploads() || looks.reads(item, options.operation))
    };
    let run = (index..items.len()).take(TOGETHER);
    let alike = |at: &usize| {
        let (one, first) = (&chosen[*at], &chosen[index]);
        (one.operation, &one.resource) == (first.operation, &first.resource)
    };
    let run = run.take_while(|at| plain(at) && alike(at) && admitted(*at) == as_rows);
    let run: Vec<usize> = run.collect();
    let mut all = Vec::new();
    for at in run {
        looks.turn_to(at);
        let Ok(seen) = looks.take().await else {
            break;
        };
        let ready = Ready {
            index: at,
            item: &items[at],
            options: &chosen[at],
            absolute: context.absolute(&join(&task.directory, &items[at].name)),
            seen,
        };
        let file = ready.file(context, &task.directory, as_rows);
        if !file.is_one_call() {
            looks.give_back(ready.seen);
            break;
        }
        all.push(ready);
    }
    if all.is_empty() {
        return Vec::new();
    }
    let limit = all.iter().map(|ready| ready.options.timeout).max();
    if all
        .last()
        .is_some_and(|ready| ready.index + 1 == items.len())
    {
        context.tenure.place.will_leave();
    }
    let files = all.iter();
    let files = files.map(|ready| ready.file(context, &task.directory, as_rows));
    let files: Vec<File<'_>> = files.collect();
    let created = create(context, &files, limit.unwrap_or_default()).await;
    let outcome = |(ready, created): (&Ready<'_>, Created)| Outcome {
        index: ready.index,
        seen: (ready.seen.look.stat, ready.seen.at),
        created,
    };
    all.iter().zip(created).map(outcome).collect()
}

/// Whether it may be one of them, as far as can be said without looking at it: nothing has to be known before it is made, and nothing
/// follows that.
fn is_plain(
    context: &JobContext,
    directory: &[u8],
    item: &FileItem,
    options: &EntryOptions,
) -> bool {
    let operation = options.operation;
    let path = || context.absolute(&join(directory, &item.name));
    [Operation::RegisterSync, Operation::Put, Operation::PutSync].contains(&operation)
        && options.wrong.is_none()
        && options.skip.is_none()
        && options.user.is_none()
        && (options.avus.is_empty() || operation.uploads())
        && match operation.uploads() {
            true => grants_come_along(options, item.stat.size),
            false => options.grants.is_empty(),
        }
        && (item.stat.kind, item.verdict) == (EntryKind::Regular, Verdict::New)
        && std::str::from_utf8(&item.name).is_ok()
        && item.presence != Presence::Exists
        && item.attempts == 0
        && !item.redelivered
        && !item.existed
        && !context.has_object_hooks()
        && match operation.uploads() {
            true => !context.claims(&path(), &options.target),
            false => !context.spec.options.checksum.keeps(),
        }
}

async fn create(context: &JobContext, files: &[File<'_>], limit: Duration) -> Vec<Created> {
    let actions: Vec<FileAction<'_>> = files.iter().map(File::action).collect();
    let created = patiently(context, None, |mut zone, _| {
        let actions = &actions;
        async move { Ok(create_all(zone.as_mut(), actions, limit).await) }
    });
    let nothing = |_| actions.iter().map(|_| Created::No).collect();
    created.await.unwrap_or_else(nothing)
}
