//! Where the scan of a directory goes on that was interrupted, or tried again after a part of it failed.
//!
//! The broker keeps it beside the task (with what was counted so far) or, of another attempt, in the task itself: what was counted
//! before is accounted for then.

use serde::{Deserialize, Serialize};

use super::PathTask;
use super::task::FORMAT;
use crate::broker::{Counts, Leased, SegmentId};
use crate::bytes_text;
use crate::error::{EntryError, SyncError};
use crate::source::{Entry, s3};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The end of the last page that is done with.
    page: Option<s3::Mark>,
    /// [Place](crate::source::Source::place) of the last entry behind it that is done with.
    #[serde(with = "bytes_text")]
    pub(super) after: Vec<u8>,
    pub(super) counts: Counts,
    /// Entries that are done with, all runs together.
    pub(super) passed: u64,
    /// Whether the pages before have something that is accounted for at the end.
    look_back: bool,
    /// The last segment of the record as it was before anything was queued, if none of those count any more.
    pub(super) stale: Option<SegmentId>,
}

fn unreadable<E>(_: E) -> SyncError {
    let error = EntryError::new("BAD_CURSOR", "the task's cursor is unreadable");
    SyncError::Entry(error)
}

impl Cursor {
    /// That of a task; none if it begins at the beginning.
    pub(super) fn of(leased: &Leased, task: &PathTask) -> Result<Option<Self>, SyncError> {
        let bytes = match leased.cursor.is_empty() {
            true => &task.cursor,
            false => &leased.cursor,
        };
        match bytes.as_slice() {
            [] => Ok(None),
            [FORMAT, encoded @ ..] => postcard::from_bytes(encoded).map(Some).map_err(unreadable),
            _ => Err(unreadable(())),
        }
    }

    pub(super) fn encoded(&self) -> Result<Vec<u8>, SyncError> {
        postcard::to_extend(self, vec![FORMAT]).map_err(unreadable)
    }

    /// For another attempt, once what was counted is accounted for.
    pub(super) fn of_another_attempt(&self) -> Result<Vec<u8>, SyncError> {
        let counts = Counts::default();
        Cursor {
            counts,
            ..self.clone()
        }
        .encoded()
    }

    /// Whether nothing is done with.
    pub(super) fn is_at_beginning(&self) -> bool {
        self.page.is_none() && self.after.is_empty()
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
    pub(super) fn pass(&mut self, page: &s3::Mark) -> bool {
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
