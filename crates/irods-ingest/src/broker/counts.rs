//! The totals of a job: what its completed tasks report, summed.
//!
//! A sum saturates instead of wrapping. Unknown fields of a stored total are ignored, missing ones are zero.

use serde::{Deserialize, Serialize};

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// What one task did, or the sum over tasks. Bytes where the name says so, numbers of things elsewhere.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counts {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Counts {
            /// Each with its name.
            pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + Clone {
                [$((stringify!($field), self.$field),)*].into_iter()
            }
        }

        impl std::ops::AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }
        }
    };
}

counts! {
    /// Files that a scan found, excluded ones too.
    files_seen,
    /// Directories that a scan found.
    dirs_seen,
    /// Data objects registered in place.
    registered,
    /// Data objects uploaded whole, new or over what was there.
    uploaded,
    /// Data objects appended to.
    appended,
    /// Registrations brought up to date.
    updated,
    /// Data objects or collections of which only system metadata changed.
    metadata_only,
    /// Files that are as they were.
    skipped_unchanged,
    /// Entries left out by a filter.
    excluded,
    /// Entries left out by choice of a handler or a rule.
    left_out,
    /// Collections made.
    collections_created,
    /// Data objects and collections removed.
    deleted,
    /// Data objects that the source has not, and that stay since they are of other files.
    kept,
    /// Files and directories given up on.
    failed,
    /// Attempts made again.
    retried,
    /// Requests to an S3 server that were made again: it has too much to do, breaks down or says nothing.
    requests_repeated,
    /// Bytes of registered files.
    bytes_registered,
    /// Bytes sent.
    bytes_uploaded,
    /// Tasks completed.
    tasks,
}

impl Counts {
    /// Files that are dealt with: done, left as they were, left out, or given up on.
    pub fn files_done(&self) -> u64 {
        [
            self.registered,
            self.uploaded,
            self.appended,
            self.updated,
            self.metadata_only,
            self.skipped_unchanged,
            self.excluded,
            self.left_out,
            self.failed,
        ]
        .iter()
        .fold(0, |sum: u64, part| sum.saturating_add(*part))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stored_totals_of_other_versions_are_read() {
        let read: Counts = serde_json::from_str(r#"{"uploaded":3,"something_new":9}"#).unwrap();
        assert_eq!(
            read,
            Counts {
                uploaded: 3,
                ..Counts::default()
            }
        );
    }

    #[test]
    fn sums_saturate() {
        let mut sum = Counts {
            tasks: u64::MAX,
            files_seen: 1,
            ..Counts::default()
        };
        sum += Counts {
            tasks: 1,
            files_seen: 2,
            ..Counts::default()
        };
        assert_eq!(
            sum,
            Counts {
                tasks: u64::MAX,
                files_seen: 3,
                ..Counts::default()
            }
        );
    }
}
