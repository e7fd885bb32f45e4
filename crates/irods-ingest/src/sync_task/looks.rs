//! Looks at the files of a chunk, before they are worked on and after, several in one go: handing a look to a thread that may block
//! costs more than the look itself.
//!
//! A look before is never older than [`FRESH`] when work begins with it. The look after decides whether the file may be remembered;
//! taking it later only means that more changes are noticed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::FilesTask;
use super::task::relative_path;
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::plan::Operation;
use crate::source::{Look, SourceError, Stat, Timestamp};

/// So many files are looked at in one go.
pub(super) const TOGETHER: usize = 16;

/// A look that is older is taken again.
const FRESH: Duration = Duration::from_millis(50);

/// The files of a chunk in their order, and looks that were taken ahead of the work.
pub(super) struct Looks<'a> {
    context: &'a JobContext,
    task: &'a FilesTask,
    options: &'a [EntryOptions],
    at: usize,
    ahead: VecDeque<Ahead>,
}

struct Ahead {
    index: usize,
    taken: Instant,
    seen_at: Timestamp,
    look: Result<Look, SourceError>,
}

impl<'a> Looks<'a> {
    /// `options` are those of the files.
    pub(super) fn new(
        context: &'a JobContext,
        task: &'a FilesTask,
        options: &'a [EntryOptions],
    ) -> Self {
        let ahead = VecDeque::new();
        Looks {
            context,
            task,
            options,
            at: 0,
            ahead,
        }
    }

    /// Comes to a file, never to an earlier one.
    pub(super) fn turn_to(&mut self, index: usize) {
        self.at = index;
    }

    /// A look at the file, and when that was by the source's clock.
    ///
    /// # Errors
    /// What the source says of the file.
    pub(super) async fn take(&mut self) -> Result<(Look, Timestamp), SyncError> {
        let good = |ahead: &Ahead| ahead.index == self.at && ahead.taken.elapsed() < FRESH;
        while self.ahead.front().is_some_and(|ahead| !good(ahead)) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            // Looks at a bucket are requests, which gain nothing; and a hook may change the files that come next.
            let alone = self.context.source.is_versioned() || self.context.has_object_hooks();
            let together = if alone { 1 } else { TOGETHER };
            let files = self
                .task
                .files
                .iter()
                .zip(self.options)
                .enumerate()
                .skip(self.at)
                .take(together);
            let wanted =
                files.map(|(index, (item, options))| (index, item.name.clone(), options.operation));
            self.ahead = look(self.context, &self.task.directory, wanted.collect()).await?;
        }
        let first = self.ahead.pop_front();
        let first = first
            .ok_or_else(|| SyncError::Worker("a look at the source brought nothing".into()))?;
        Ok((first.look?, first.seen_at))
    }
}

/// A file that was worked on and may be remembered, if it has not changed since.
#[derive(Debug)]
pub(super) struct Worked {
    pub(super) name: Vec<u8>,
    pub(super) operation: Operation,
    pub(super) stat: Stat,
    pub(super) seen_at: Timestamp,
}

/// The files, and whether each is still what it was when work began.
pub(super) async fn unchanged(
    context: &JobContext,
    directory: &[u8],
    worked: Vec<Worked>,
) -> Vec<(Worked, bool)> {
    if context.source.is_versioned() || worked.is_empty() {
        return worked.into_iter().map(|file| (file, true)).collect();
    }
    let wanted = worked
        .iter()
        .enumerate()
        .map(|(index, file)| (index, file.name.clone(), file.operation));
    let looks = look(context, directory, wanted.collect()).await;
    let mut looks = looks.unwrap_or_default().into_iter();
    let still = |file: Worked| {
        let look = looks.next().and_then(|ahead| ahead.look.ok());
        let same = look.is_some_and(|look| look.stat.unchanged_since(&file.stat));
        (file, same)
    };
    worked.into_iter().map(still).collect()
}

async fn look(
    context: &JobContext,
    directory: &[u8],
    wanted: Vec<(usize, Vec<u8>, Operation)>,
) -> Result<VecDeque<Ahead>, SyncError> {
    let directory = relative_path(directory);
    context
        .at_source(move |source| {
            let look = source.looker(&directory);
            let one = |(index, name, operation): (usize, Vec<u8>, Operation)| Ahead {
                index,
                taken: Instant::now(),
                seen_at: source.now(),
                look: look(&name, operation.links()),
            };
            Ok::<_, SourceError>(wanted.into_iter().map(one).collect())
        })
        .await
}
