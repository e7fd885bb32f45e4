//! The profile of a job as the broker keeps it: the account of its last pass, that of all passes before, and who handed in what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::Account;

/// The first byte of what is kept. Nothing else says what follows, so whoever changes these types, or the stages, raises it.
const FORMAT: u8 = 1;
/// Workers that are remembered; of more, those that were heard of last.
const MOST_WORKERS: usize = 256;

/// Why what is kept cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Another version wrote it.
    #[error(
        "the profile is of another version of irods_sync (format {found}; this one reads {FORMAT})"
    )]
    Format {
        /// The first byte.
        found: u8,
    },
    /// It is damaged.
    #[error("the profile is damaged: {0}")]
    Encoding(#[from] postcard::Error),
}

/// The profile of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The latest pass that something was handed in for.
    pub pass: u64,
    /// What was handed in for it.
    pub last: Account,
    before: Account,
    workers: BTreeMap<String, Part>,
}

/// What a worker has handed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How often it did.
    times: u64,
    /// Completed tasks that are accounted for in it.
    pub tasks: u64,
    /// When it did last, milliseconds since 1970.
    pub at: u64,
}

impl Profile {
    /// Reads what is kept; of nothing, an empty one.
    ///
    /// # Errors
    /// It is not of this version, or damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, ProfileError> {
        match bytes {
            [] => Ok(Self::default()),
            [FORMAT, rest @ ..] => Ok(postcard::from_bytes(rest)?),
            [found, ..] => Err(ProfileError::Format { found: *found }),
        }
    }

    /// As it is kept.
    ///
    /// # Errors
    /// None that is known of.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProfileError> {
        Ok(postcard::to_extend(self, vec![FORMAT])?)
    }

    /// The account of all passes.
    pub fn whole(&self) -> Account {
        let mut whole = self.before.clone();
        whole.merge(&self.last);
        whole
    }

    /// The workers that handed something in, by id.
    pub fn workers(&self) -> impl Iterator<Item = (&str, Part)> {
        self.workers.iter().map(|(id, part)| (id.as_str(), *part))
    }

    /// Takes in what a worker hands in for the `times`-th time: accounts of passes. Answers false, and changes nothing, if it has that
    /// already.
    pub(super) fn take_in(
        &mut self,
        worker: &str,
        times: u64,
        accounts: &[(u64, Account)],
        at: u64,
    ) -> bool {
        let mut part = self.workers.get(worker).copied().unwrap_or_default();
        if part.times >= times {
            return false;
        }
        for (pass, account) in accounts {
            part.tasks = part.tasks.saturating_add(account.tasks);
            if *pass > self.pass {
                self.before.merge(&std::mem::take(&mut self.last));
                self.pass = *pass;
            }
            match *pass == self.pass {
                true => self.last.merge(account),
                false => self.before.merge(account),
            }
        }
        part.times = times;
        part.at = at.max(part.at);
        self.workers.insert(worker.to_owned(), part);
        if self.workers.len() > MOST_WORKERS {
            let oldest = self.workers.iter().filter(|(id, _)| *id != worker);
            let oldest = oldest.min_by_key(|(_, part)| part.at);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.workers.remove(&oldest);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::profile::{About, Stage};

    fn account(tasks: u64) -> Account {
        let mut account = Account::default();
        for task in 0..tasks {
            account.add(
                (Stage::Scan, "look"),
                (task, task + 10),
                false,
                About::NOTHING,
            );
            account.completed((task, task + 10), 1, 1);
        }
        account
    }

    #[test]
    fn what_is_handed_in_counts_once_and_for_its_pass() {
        let mut profile = Profile::default();
        assert!(profile.take_in("a", 1, &[(1, account(2))], 5));
        assert!(!profile.take_in("a", 1, &[(1, account(2))], 6));
        assert!(profile.take_in("b", 1, &[(1, account(3)), (2, account(4))], 7));
        // Late, for a pass that is over.
        assert!(profile.take_in("a", 2, &[(1, account(1))], 8));
        assert_eq!(
            (profile.pass, profile.last.tasks, profile.whole().tasks),
            (2, 4, 10)
        );
        assert_eq!(profile.whole().stage(Stage::Scan).count, 10);
        let workers: Vec<_> = profile
            .workers()
            .map(|(id, part)| (id, part.tasks, part.at))
            .collect();
        assert_eq!(workers, [("a", 3, 8), ("b", 7, 7)]);
        assert_eq!(
            Profile::read(&profile.to_bytes().unwrap()).unwrap(),
            profile
        );
    }

    #[test]
    fn a_profile_does_not_grow_with_tasks_nor_with_workers() {
        let mut profile = Profile::default();
        for worker in 0..300_u64 {
            let mut account = Account::default();
            for call in 0..20 {
                let nanos = 1 << (2 * call);
                let from = worker * 3_600_000_000_000;
                account.add(
                    (Stage::Irods, "PUT"),
                    (from, from + nanos),
                    false,
                    About::path(b"/a/b"),
                );
            }
            assert!(profile.take_in(
                &format!("worker {worker}"),
                1,
                &[(worker / 10, account)],
                worker
            ));
        }
        let bytes = profile.to_bytes().unwrap();
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        assert_eq!(profile.workers().count(), MOST_WORKERS);
        assert_eq!(profile.whole().stage(Stage::Irods).count, 6_000);
    }

    #[test]
    fn what_another_version_wrote_is_not_guessed_at() {
        assert!(matches!(
            Profile::read(&[9, 1]),
            Err(ProfileError::Format { found: 9 })
        ));
        assert!(matches!(
            Profile::read(&[FORMAT, 1]),
            Err(ProfileError::Encoding(_))
        ));
    }
}
