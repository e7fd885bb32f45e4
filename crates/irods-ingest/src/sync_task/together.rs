//! Files that are registered together: their requests are sent on one connection before the first is answered, so the way to the zone
//! is paid once, and the zone never waits for this side.
//!
//! So are new ones of which nothing else is asked or done, without hooks, AVUs or checksums. Whatever is not answered with success is
//! then done like any other file, which finds out why.

use std::time::Duration;

use super::direct::Direct;
use super::looks::{Looks, Seen};
use super::sync_entry::{File, FileDone};
use super::task::join;
use super::{FileItem, FilesTask};
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::plan::Operation;
use crate::plan::compare::Presence;
use crate::signature::Verdict;
use crate::source::EntryKind;
use crate::sync_irods::{FileAction, Registered, patiently, register_all};

/// So many at most.
pub(super) const MOST: usize = 16;

/// What became of one of them.
pub(super) enum Outcome {
    Done(Box<FileDone>),
    /// It may have been registered, or not.
    Unknown,
    /// It was not.
    Refused,
}

/// A file that is to be registered.
struct Ready<'a> {
    index: usize,
    item: &'a FileItem,
    options: &'a EntryOptions,
    absolute: Vec<u8>,
    seen: Seen,
}

impl Ready<'_> {
    fn file<'b>(&'b self, context: &'b JobContext, directory: &'b [u8], direct: bool) -> File<'b> {
        let found = (self.absolute.as_slice(), &self.seen.look);
        File::new(context, directory, self.item, self.options, found).directly(direct)
    }
}

/// Registers files from `index` on, as many in a row as can be, and tells of each; of none if that one cannot be.
pub(super) async fn register_together(
    context: &JobContext,
    (task, chosen): (&FilesTask, &[EntryOptions]),
    (items, index): (&[FileItem], usize),
    looks: &mut Looks<'_>,
    direct: &Direct<'_>,
) -> Vec<(usize, Outcome)> {
    let admitted = |at: usize| direct.admits(context, &items[at], &chosen[at]);
    let as_rows = admitted(index);
    if context.spec.options.direct_register && !as_rows {
        // It shows whether rows of others may be written.
        return Vec::new();
    }
    let plain = |at: &usize| is_plain(context, &items[*at], &chosen[*at]);
    let run = (index..items.len()).take(MOST);
    let run = run.take_while(|at| plain(at) && admitted(*at) == as_rows);
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
        if !file.is_one_registration() {
            break;
        }
        all.push(ready);
    }
    if all.is_empty() {
        return Vec::new();
    }
    let limit = all.iter().map(|ready| ready.options.timeout).sum();
    let files = all.iter();
    let files = files.map(|ready| ready.file(context, &task.directory, as_rows));
    let files: Vec<File<'_>> = files.collect();
    let registered = register(context, &files, limit).await;
    let outcome = |(ready, registered): (&Ready<'_>, Registered)| {
        let outcome = match registered {
            Registered::Yes(counts) => Outcome::Done(Box::new(FileDone {
                counts,
                signature: Some((ready.seen.look.stat, ready.seen.at)),
                changed: None,
            })),
            Registered::Perhaps => Outcome::Unknown,
            Registered::No => Outcome::Refused,
        };
        (ready.index, outcome)
    };
    all.iter().zip(registered).map(outcome).collect()
}

/// Whether it may be one of them, as far as can be said without looking at it.
fn is_plain(context: &JobContext, item: &FileItem, options: &EntryOptions) -> bool {
    options.operation == Operation::RegisterSync
        && options.wrong.is_none()
        && options.skip.is_none()
        && options.user.is_none()
        && (item.stat.kind, item.verdict) == (EntryKind::Regular, Verdict::New)
        && item.presence != Presence::Exists
        && item.attempts == 0
        && !item.redelivered
        && !item.existed
        && !context.has_object_hooks()
}

/// What is not told was not registered.
async fn register(context: &JobContext, files: &[File<'_>], limit: Duration) -> Vec<Registered> {
    let actions: Vec<FileAction<'_>> = files.iter().map(File::action).collect();
    let registered = patiently(context, None, |mut zone, _| {
        let actions = &actions;
        async move {
            let registered = register_all(zone.as_mut(), actions);
            Ok(match tokio::time::timeout(limit, registered).await {
                Ok(registered) => registered,
                Err(_) => vec![Registered::Perhaps; actions.len()],
            })
        }
    });
    registered.await.unwrap_or_default()
}
