//! What is chosen for the entries of one directory, all of them together: only so is seen that two of them would be one object, what
//! their collections are, and which names of the collection are theirs.
//!
//! The entries are asked for only where the answers are needed: a handler that leaves entries where they belong is asked
//! for files when they are worked on.

use std::collections::{HashMap, HashSet};

use irods_client::protocol::path;

use super::PathTask;
use super::task::join;
use crate::context::JobContext;
use crate::core::EventHandler;
use crate::core::choice::{Candidate, EntryOptions, Targets, choose};
use crate::error::EntryError;
use crate::naming;
use crate::plan::compare::CatalogNames;
use crate::plan::guard::Kept;
use crate::signature::{Record, Verdict};
use crate::source::{Entry, EntryKind, Listing};
use crate::spec::JobSpec;

/// The entries of a listing with what counts for them.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    /// As the entries of the listing, then those with errors; empty if nobody was asked.
    options: Vec<EntryOptions>,
    /// Of each, why it cannot be where it should; may be shorter.
    refused: Vec<Option<EntryError>>,
}

/// The names of a collection that are those of its directory's entries.
#[derive(Debug, Default)]
pub(crate) struct Present {
    pub(crate) names: HashSet<Vec<u8>>,
    /// Whether there may be more.
    pub(crate) unknown: bool,
}

impl Present {
    /// Those of further entries as well.
    pub(super) fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        self.unknown |= other.unknown;
    }
}

impl Placing {
    /// Asks for all entries. `collection` is that of the directory.
    pub(crate) async fn of(
        handler: &dyn EventHandler,
        spec: &JobSpec,
        (directory, collection): (&[u8], &str),
        listing: &Listing,
    ) -> Self {
        let entries = listing
            .entries
            .iter()
            .map(|entry| (&entry.name, Some(&entry.stat)));
        let unknown = listing.errors.iter().map(|(name, _)| (name, None));
        let places: Vec<_> = entries
            .chain(unknown)
            .map(|(name, stat)| {
                let path = spec.absolute(&join(directory, name));
                let target = naming::join(collection, &naming::element(name, || &path));
                (path, target, stat)
            })
            .collect();
        let asked: Vec<_> = places
            .iter()
            .map(|(path, target, stat)| Candidate {
                path,
                target,
                placed: false,
                is_directory: stat.is_some_and(|stat| stat.kind == EntryKind::Directory),
                stat: *stat,
                attempts: 0,
            })
            .collect();
        let options = choose(handler, spec, &asked).await;
        let refused = listing
            .entries
            .iter()
            .zip(&options)
            .map(|(entry, options)| {
                let is_directory = entry.stat.kind == EntryKind::Directory;
                options.wrong.clone().filter(|_| is_directory)
            })
            .collect();
        Placing { options, refused }
    }

    /// Entries of the listing that get one target, in its order. Files that may be put anywhere are not among them: what they are meant for
    /// is claimed by each of them.
    pub(crate) fn doubles(&self, listing: &Listing, targets: Targets) -> Vec<Vec<usize>> {
        let mut by_target: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut doubles = Vec::new();
        for (at, options) in self.options.iter().enumerate().take(listing.entries.len()) {
            let is_directory = listing.entries[at].stat.kind == EntryKind::Directory;
            let settled = is_directory || targets != Targets::Anywhere;
            if settled && options.wrong.is_none() && options.skip.is_none() {
                by_target.entry(&options.target).or_default().push(at);
            }
        }
        for entries in by_target.into_values().filter(|entries| entries.len() > 1) {
            doubles.push(entries);
        }
        doubles.sort_unstable();
        doubles
    }

    /// Settles that of several entries this one has the target, or none of them.
    pub(crate) fn settle(&mut self, listing: &Listing, double: &[usize], holder: Option<usize>) {
        for &at in double.iter().filter(|at| Some(**at) != holder) {
            let other = holder.or(double.iter().copied().find(|other| *other != at));
            let other = other.map(|other| listing.entries[other].name.as_slice());
            self.refused[at] = Some(EntryError::target_taken(
                &self.options[at].target,
                &listing.entries[at].name,
                other.unwrap_or_default(),
            ));
        }
    }

    /// What counts for an entry of the listing, if it was asked for.
    pub(crate) fn at(&self, index: usize) -> Option<&EntryOptions> {
        self.options.get(index)
    }

    /// Why an entry of the listing cannot be where it should.
    pub(crate) fn refusal(&self, index: usize) -> Option<&EntryError> {
        self.refused.get(index)?.as_ref()
    }

    /// Which names of the collection are of the directory's entries, excluded ones too. What is put elsewhere still counts under
    /// the name that it would have here.
    pub(crate) fn present(
        &self,
        spec: &JobSpec,
        (directory, collection): (&[u8], &str),
        listing: &Listing,
    ) -> Present {
        let mut unknown = false;
        let mut names: HashSet<Vec<u8>> = listing
            .names()
            .map(|name| {
                let absolute = || spec.absolute(&join(directory, name));
                naming::element(name, absolute).into_owned().into_bytes()
            })
            .collect();
        for options in &self.options {
            match path::split(&options.target) {
                Some((parent, name)) if parent == collection => {
                    unknown |= options.wrong.is_some() && names.contains(name.as_bytes());
                    names.insert(name.as_bytes().to_vec());
                }
                _ => {}
            }
        }
        Present { names, unknown }
    }
}

/// The entries of a directory that is scanned, as far as they are needed. Of several that get one target, the one that was put there
/// before has it, else the first; none where something is there and nobody knows of which it is.
pub(super) async fn placing(
    context: &JobContext,
    (task, here): (&PathTask, &EntryOptions),
    record: &Record,
    catalog: Option<&CatalogNames>,
    listing: &Listing,
) -> Placing {
    let options = &context.spec.options;
    let Some(chooses) = context.handler.chooses() else {
        return Placing::default();
    };
    let is_work = |entry: &Entry| {
        let unchanged = record.verdict(&entry.name, &entry.stat) == Verdict::Unchanged;
        entry.stat.kind == EntryKind::Directory || options.ignore_cache || !unchanged
    };
    let needed = match chooses.targets {
        _ if options.compare_catalog => true,
        Targets::Own => false,
        Targets::Names if super::sync_path::deletes(context, here) => true,
        Targets::Names | Targets::Anywhere => listing.entries.iter().any(is_work),
    };
    if !needed {
        return Placing::default();
    }
    let place = (task.directory.as_slice(), here.target.as_str());
    let handler = context.handler.as_ref();
    let mut placing = Placing::of(handler, &context.spec, place, listing).await;
    for double in placing.doubles(listing, chooses.targets) {
        let mut holder = None;
        for &at in &double {
            let entry = &listing.entries[at];
            if !options.compare_catalog && was_applied(record, entry, &placing.options[at].target) {
                holder = Some(at);
                break;
            }
        }
        let target = &placing.options[double[0]].target;
        let name = path::split(target).map_or("", |(_, name)| name);
        let free = catalog.is_none_or(|catalog| !catalog.has(name.as_bytes()));
        let first = free.then_some(double[0]);
        placing.settle(listing, &double, holder.or(first));
    }
    placing
}

/// Whether an entry has its target, as far as is remembered.
pub(crate) fn was_applied(record: &Record, entry: &Entry, target: &str) -> bool {
    match entry.stat.kind {
        EntryKind::Directory => record.is_placed(&entry.name, target),
        _ => record.verdict(&entry.name, &entry.stat) != Verdict::New,
    }
}

/// Whether no entry of the directory has that name in its collection, where handlers choose names.
pub(super) fn check_gone(present: &Present, name: &str) -> Result<(), Kept> {
    match present.unknown || present.names.contains(name.as_bytes()) {
        true => Err(Kept::NotCertainlyGone),
        false => Ok(()),
    }
}
