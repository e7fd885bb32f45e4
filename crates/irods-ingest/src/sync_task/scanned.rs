//! What a scan learnt that is accounted for once, when everything is queued.

use bstr::BString;

use super::pages::Page;
use super::placing::Placing;
use super::remembered::Remembered;
use super::task::join;
use super::{PathTask, failure};
use crate::broker::{Append, Compaction, Completion};
use crate::context::JobContext;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::EntryError;
use crate::signature::{self, Names, Verdict};
use crate::source::{Entry, MountFacts, Stat, Timestamp};

/// The directory above, and the name in it.
fn split_last(directory: &[u8]) -> (&[u8], &[u8]) {
    match directory.iter().rposition(|byte| *byte == b'/') {
        None => (b"", directory),
        Some(at) => (&directory[..at], &directory[at + 1..]),
    }
}

/// Names in the record of a directory that are no entries.
const OWN_NAMES: [&[u8]; 2] = [b"", signature::MOUNT_POINT];

/// See the module.
pub(super) struct Scanned<'a> {
    remembered: &'a Remembered,
    /// All names, if they are needed and if all were listed.
    names: Option<Names>,
    errors: Vec<(BString, EntryError)>,
    /// What is to be forgotten.
    forgotten: signature::Segment,
}

impl<'a> Scanned<'a> {
    pub(super) fn new(remembered: &'a Remembered, all: bool) -> Self {
        Scanned {
            remembered,
            names: (all && !remembered.segments.is_empty()).then(Names::default),
            errors: Vec::new(),
            forgotten: signature::Segment::new(),
        }
    }

    /// Takes a page into account; whether something of it is told at the end.
    pub(super) fn take(
        &mut self,
        context: &JobContext,
        task: &PathTask,
        page: &Page,
        placing: &Placing,
    ) -> bool {
        let listing = &page.listing;
        if let Some(names) = &mut self.names {
            names.extend(listing.names());
        }
        let before = self.errors.len();
        for (name, error) in &listing.errors {
            self.errors.push((name.clone(), error.into()));
        }
        let excluded = |entry: &Entry| {
            let path = context.absolute(&join(&task.directory, &entry.name));
            context.filter.excludes(&path, entry.stat.kind)
        };
        for (index, entry) in listing.entries.iter().enumerate() {
            if let Some(error) = placing.refusal(index)
                && !excluded(entry)
            {
                self.errors.push((entry.name.clone(), error.clone()));
            }
        }
        if context.targets() != Targets::Own {
            // Whatever is remembered is of what has its target now: another entry may get that of one that is gone.
            let entries = listing.entries.iter().enumerate();
            let with = entries
                .filter(|(index, entry)| placing.refusal(*index).is_none() && !excluded(entry));
            let with = with.map(|(_, entry)| entry.name.as_slice());
            let unknown = listing.errors.iter().map(|(name, _)| name.as_slice());
            let names = with.chain(unknown).chain(OWN_NAMES);
            self.forgotten
                .push_others_forgotten(&self.remembered.record, names);
        }
        self.errors.len() > before
    }

    pub(super) fn finish(
        self,
        context: &JobContext,
        (task, here): (&PathTask, &EntryOptions),
        (mount, directory, seen_at): (&MountFacts, &Stat, Timestamp),
        completion: &mut Completion,
    ) {
        for (name, error) in &self.errors {
            failure::unknown_entry(context, task, name, error, completion);
        }
        if context.spec.options.compare_catalog {
            return;
        }
        let record = &self.remembered.record;
        let key = context.cache_key(&task.directory);
        let mut own = self.forgotten;
        if record.verdict(b"", directory) != Verdict::Unchanged {
            own.push(b"", directory, seen_at);
        }
        if mount.is_mount_point && !record.was_mount_point() {
            own.push_mount_point();
        }
        if !own.is_empty() {
            completion.signatures.push(Append {
                key: key.clone(),
                bytes: own.into_bytes(),
            });
        }
        if task.fresh && context.targets() != Targets::Own && !task.directory.is_empty() {
            let (parent, name) = split_last(&task.directory);
            let mut place = signature::Segment::new();
            place.push_place(name, &here.target);
            completion.signatures.push(Append {
                key: context.cache_key(parent),
                bytes: place.into_bytes(),
            });
        }
        if !self.remembered.stale.is_empty() {
            completion.compactions.push(Compaction {
                key,
                replaces: self.remembered.stale.clone(),
                bytes: Vec::new(),
            });
            return;
        }
        let Some(mut names) = self.names else {
            return;
        };
        names.extend(OWN_NAMES);
        if record.should_compact(&names) {
            completion.compactions.push(Compaction {
                key,
                replaces: self.remembered.ids(),
                bytes: record.compacted(&names).into_bytes(),
            });
        }
    }
}
