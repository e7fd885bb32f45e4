//! The deletion guard: whether what is missing from the source may be deleted from the zone. Pure.
//!
//! A name of the catalog is gone only if the source was there, was the same source as before, was listed
//! completely *after* the catalog, did not hold the name, and does not hold it when it is looked at once more
//! immediately before the deletion. Everything that was in the listing is not gone, even if it is excluded,
//! unreadable, or could not be looked at. Each refusal says what stands in the way, and nothing is deleted.

use std::collections::BTreeSet;

use crate::source::{MountFacts, SourceError, Stat};

/// Why nothing is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// There is no source root.
    #[error("the source root is missing: nothing is deleted")]
    RootMissing,
    /// The source root has no entries: more likely an unmounted file system than a wish.
    #[error("the source root is empty: nothing is deleted")]
    RootEmpty,
    /// The directory was a mount point when it was last seen and is none now.
    #[error("the directory is no longer a mount point: nothing is deleted in it")]
    NoLongerMounted,
    /// The directory's device changed during the job.
    #[error("another file system is mounted than when the job began: nothing is deleted")]
    OtherMount,
    /// The listing has gaps.
    #[error("the directory could not be listed completely: nothing is deleted in it")]
    ListingIncomplete,
    /// More would be deleted than `--max_delete` allows.
    #[error("{wanted} deletions would exceed --max_delete {limit}: nothing more is deleted")]
    TooMany {
        /// What the job would have deleted with these.
        wanted: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The name is there again, or it cannot be told whether it is.
    #[error("the name is not certainly gone from the source: it is kept")]
    NotCertainlyGone,
}

/// Whether the source root allows deletions. `before` is what was remembered of it at the end of the last pass, `at_start` what
/// was seen when this pass began, `now` is now (`None`: it cannot be opened).
pub fn check_root(
    before: Option<MountFacts>,
    at_start: Option<MountFacts>,
    now: Option<MountFacts>,
    is_empty: bool,
) -> Result<(), Kept> {
    if now.is_none() {
        return Err(Kept::RootMissing);
    }
    check_mount(before, at_start, now)?;
    match is_empty {
        true => Err(Kept::RootEmpty),
        false => Ok(()),
    }
}

/// Whether a directory below the root allows deletions in it. `complete`: its listing ended without an error of its own.
pub fn check_directory(
    before: Option<MountFacts>,
    at_start: Option<MountFacts>,
    now: Option<MountFacts>,
    complete: bool,
) -> Result<(), Kept> {
    if !complete || now.is_none() {
        return Err(Kept::ListingIncomplete);
    }
    check_mount(before, at_start, now)
}

/// Device numbers are compared within a pass only: many file systems get a new one at each mount. Between passes it
/// counts whether something is mounted at all.
fn check_mount(
    before: Option<MountFacts>,
    at_start: Option<MountFacts>,
    now: Option<MountFacts>,
) -> Result<(), Kept> {
    let was_mounted = |then: Option<MountFacts>| then.is_some_and(|facts| facts.is_mount_point);
    if (was_mounted(before) || was_mounted(at_start)) && !was_mounted(now) {
        return Err(Kept::NoLongerMounted);
    }
    match (at_start, now) {
        (Some(start), Some(now)) if start.dev != now.dev => Err(Kept::OtherMount),
        _ => Ok(()),
    }
}

/// The catalog's names that the source does not have, sorted by bytes. `catalog` was listed first. `present` are the
/// *logical* names of everything that was in the source's listing, excluded or not.
pub fn gone<'a>(
    catalog: impl IntoIterator<Item = &'a [u8]>,
    present: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> Vec<&'a [u8]> {
    let mut gone: BTreeSet<&[u8]> = catalog.into_iter().collect();
    for name in present {
        gone.remove(name.as_ref());
    }
    gone.into_iter().collect()
}

/// Whether `more` deletions are allowed after `done` of the same job.
pub fn check_limit(limit: Option<u64>, done: u64, more: u64) -> Result<(), Kept> {
    let wanted = done.saturating_add(more);
    match limit {
        Some(limit) if wanted > limit => Err(Kept::TooMany { wanted, limit }),
        _ => Ok(()),
    }
}

/// The last look, at the name in the same open directory immediately before the deletion: only "no such entry" counts.
pub fn check_last_look(look: &Result<Stat, SourceError>) -> Result<(), Kept> {
    match look {
        Err(SourceError::Vanished { .. }) => Ok(()),
        _ => Err(Kept::NotCertainlyGone),
    }
}
