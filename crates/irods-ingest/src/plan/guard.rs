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
    /// Not for all entries of the directory is it known what they are called in the zone.
    #[error("the names that some entries get are not known: nothing is deleted in it")]
    NamesUnknown,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::source::{EntryKind, Timestamp};

    const PLAIN: Option<MountFacts> = Some(MountFacts {
        dev: 1,
        is_mount_point: false,
    });
    const MOUNTED: Option<MountFacts> = Some(MountFacts {
        dev: 7,
        is_mount_point: true,
    });
    const MOUNTED_AGAIN: Option<MountFacts> = Some(MountFacts {
        dev: 8,
        is_mount_point: true,
    });

    #[test]
    fn a_root_that_is_missing_empty_or_mounted_otherwise_deletes_nothing() {
        assert_eq!(check_root(PLAIN, PLAIN, PLAIN, false), Ok(()));
        assert_eq!(check_root(None, PLAIN, PLAIN, false), Ok(()));
        assert_eq!(
            check_root(PLAIN, PLAIN, None, false),
            Err(Kept::RootMissing)
        );
        assert_eq!(check_root(PLAIN, PLAIN, PLAIN, true), Err(Kept::RootEmpty));
        assert_eq!(
            check_root(MOUNTED, PLAIN, PLAIN, false),
            Err(Kept::NoLongerMounted)
        );
        assert_eq!(
            check_root(None, MOUNTED, PLAIN, false),
            Err(Kept::NoLongerMounted)
        );
        assert_eq!(
            check_root(MOUNTED, MOUNTED, MOUNTED_AGAIN, false),
            Err(Kept::OtherMount)
        );
        assert_eq!(
            check_root(PLAIN, PLAIN, MOUNTED, false),
            Err(Kept::OtherMount)
        );
        // Mounted again between passes, under another device number.
        assert_eq!(
            check_root(MOUNTED, MOUNTED_AGAIN, MOUNTED_AGAIN, false),
            Ok(())
        );
        // Which of several reasons is named: the one that explains the emptiness.
        assert_eq!(
            check_root(MOUNTED, PLAIN, PLAIN, true),
            Err(Kept::NoLongerMounted)
        );
    }

    #[test]
    fn a_directory_must_be_listed_completely_and_stay_mounted() {
        assert_eq!(check_directory(PLAIN, PLAIN, PLAIN, true), Ok(()));
        assert_eq!(
            check_directory(PLAIN, PLAIN, PLAIN, false),
            Err(Kept::ListingIncomplete)
        );
        assert_eq!(
            check_directory(PLAIN, PLAIN, None, true),
            Err(Kept::ListingIncomplete)
        );
        assert_eq!(
            check_directory(MOUNTED, PLAIN, PLAIN, true),
            Err(Kept::NoLongerMounted)
        );
        assert_eq!(
            check_directory(None, MOUNTED, MOUNTED_AGAIN, true),
            Err(Kept::OtherMount)
        );
    }

    #[test]
    fn a_limit_counts_the_whole_job() {
        assert_eq!(check_limit(None, u64::MAX, 1), Ok(()));
        assert_eq!(check_limit(Some(10), 4, 6), Ok(()));
        assert_eq!(
            check_limit(Some(10), 5, 6),
            Err(Kept::TooMany {
                wanted: 11,
                limit: 10
            })
        );
        assert_eq!(
            check_limit(Some(0), 0, 1),
            Err(Kept::TooMany {
                wanted: 1,
                limit: 0
            })
        );
    }

    #[test]
    fn only_no_such_entry_counts_as_gone() {
        let path = || "/src/x".into();
        assert_eq!(
            check_last_look(&Err(SourceError::Vanished { path: path() })),
            Ok(())
        );
        let there = Stat {
            kind: EntryKind::Regular,
            size: 0,
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            mode: 0,
            dev: 0,
            version: 0,
            owner: None,
        };
        let stale = std::io::Error::from_raw_os_error(116);
        for look in [
            Ok(there),
            Err(SourceError::Unreadable { path: path() }),
            Err(SourceError::NotADirectory { path: path() }),
            Err(SourceError::RootMissing { path: path() }),
            Err(SourceError::Io {
                doing: "stat",
                path: path(),
                source: stale,
            }),
        ] {
            assert_eq!(check_last_look(&look), Err(Kept::NotCertainlyGone));
        }
    }

    #[test]
    fn a_hidden_name_is_not_the_name_without_its_dot() {
        let catalog = [&b".hidden"[..], b"hidden", b"b", b"a"];
        let present: [&[u8]; 2] = [b".hidden", b"a"];
        assert_eq!(gone(catalog, present), [&b"b"[..], b"hidden"]);
    }

    proptest! {
        #[test]
        fn nothing_that_was_listed_is_gone(
            catalog in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..20),
            present in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..20),
        ) {
            let gone = gone(catalog.iter().map(Vec::as_slice), &present);
            prop_assert!(gone.is_sorted());
            for name in &catalog {
                prop_assert_ne!(gone.contains(&&name[..]), present.contains(name));
            }
        }
    }
}
