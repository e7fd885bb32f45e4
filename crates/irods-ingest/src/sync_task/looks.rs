//! Looks at the files of a chunk, before they are worked on and after, several in one go: handing a look to a thread that may block
//! costs more than the look itself.
//!
//! A look before is never older than [`FRESH`] when work begins with it, and neither is what a small file held that is to be uploaded. The
//! look after decides whether the file may be remembered; taking it later only means that more changes are noticed.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::task::relative_path;
use super::{FileItem, FilesTask};
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::plan::Operation;
use crate::plan::compare::Presence;
use crate::signature::Verdict;
use crate::source::{EntryKind, Look, Source, SourceError, Stat, Timestamp};

/// So many files are looked at in one go.
pub(super) const TOGETHER: usize = 16;

/// A file of up to so many bytes is read with the look.
const SMALL: u64 = 64 << 10;

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
    content: Option<Vec<u8>>,
}

/// A file at the moment when work on it begins.
pub(super) struct Seen {
    pub(super) look: Look,
    /// When that was, by the source's clock.
    pub(super) at: Timestamp,
    /// What it holds, if that was worth reading.
    pub(super) content: Option<Vec<u8>>,
    taken: Instant,
}

struct Wanted {
    index: usize,
    name: Vec<u8>,
    operation: Operation,
    /// Its content as well.
    read: bool,
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

    /// Comes to a file.
    pub(super) fn turn_to(&mut self, index: usize) {
        self.at = index;
    }

    /// A look at the file.
    ///
    /// # Errors
    /// What the source says of it.
    pub(super) async fn take(&mut self) -> Result<Seen, SyncError> {
        let good = |ahead: &Ahead| ahead.index == self.at && ahead.taken.elapsed() < FRESH;
        while self.ahead.front().is_some_and(|ahead| !good(ahead)) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            let together = if self.looks_alone() { 1 } else { TOGETHER };
            let files = self
                .task
                .files
                .iter()
                .zip(self.options)
                .enumerate()
                .skip(self.at)
                .take(together);
            let wanted = files.map(|(index, (item, options))| Wanted {
                index,
                name: item.name.clone(),
                operation: options.operation,
                read: self.reads(item, options.operation),
            });
            self.ahead = look(self.context, &self.task.directory, wanted.collect()).await?;
        }
        let first = self.ahead.pop_front();
        let first = first
            .ok_or_else(|| SyncError::Worker("a look at the source brought nothing".into()))?;
        Ok(Seen {
            look: first.look?,
            at: first.seen_at,
            content: first.content,
            taken: first.taken,
        })
    }

    /// The look at the file where this is was of no use yet.
    pub(super) fn give_back(&mut self, seen: Seen) {
        self.ahead.push_front(Ahead {
            index: self.at,
            taken: seen.taken,
            seen_at: seen.at,
            look: Ok(seen.look),
            content: seen.content,
        });
    }

    /// Looks at a bucket are requests, which gain nothing; and a hook may change the files that come next.
    fn looks_alone(&self) -> bool {
        self.context.source.is_versioned() || self.context.has_object_hooks()
    }

    /// Whether the file is read with the look: it is small, and surely uploaded, without anything else being asked first.
    pub(super) fn reads(&self, item: &FileItem, operation: Operation) -> bool {
        !self.looks_alone()
            && operation.uploads()
            && (item.stat.kind, item.verdict) == (EntryKind::Regular, Verdict::New)
            && item.stat.size <= SMALL
            && item.presence != Presence::Exists
            && self.context.throttle.is_none()
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
    let wanted = worked.iter().enumerate().map(|(index, file)| Wanted {
        index,
        name: file.name.clone(),
        operation: file.operation,
        read: false,
    });
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
    wanted: Vec<Wanted>,
) -> Result<VecDeque<Ahead>, SyncError> {
    let directory = relative_path(directory);
    context
        .at_source(move |source| {
            let look = source.looker(&directory);
            let one = |wanted: Wanted| {
                let (taken, seen_at) = (Instant::now(), source.now());
                let look = look(&wanted.name, wanted.operation.links());
                let content = match &look {
                    Ok(look) if wanted.read => read(source, &directory, &wanted.name, &look.stat),
                    _ => None,
                };
                Ahead {
                    index: wanted.index,
                    taken,
                    seen_at,
                    look,
                    content,
                }
            };
            Ok::<_, SourceError>(wanted.into_iter().map(one).collect())
        })
        .await
}

/// What the file holds; none if it is not what was looked at any more, or cannot be read, which whoever uploads it finds out.
fn read(source: &dyn Source, directory: &Path, name: &[u8], seen: &Stat) -> Option<Vec<u8>> {
    let (reader, stat) = source.open(directory, name, 0).ok()?;
    if !stat.unchanged_since(seen) || stat.size > SMALL {
        return None;
    }
    let mut content = Vec::with_capacity(stat.size as usize + 1);
    let read = reader.take(stat.size + 1).read_to_end(&mut content).ok()?;
    (read as u64 == stat.size).then_some(content)
}
