//! The harsh mode: a zone that behaves as badly as real servers and networks can, for tests of clients.
//!
//! Nothing that it does is against the protocol: each answer is one that a real server gives now and then, each
//! interruption one that a network makes. What happens to a call depends on the seed, the number of the
//! connection and the number of the call in it, so that a single client sees the same again.

use std::time::Duration;

use irods_protocol::version::Version;
use irods_protocol::{api, codes};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How harsh a zone is. Chances are of a thousand calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harsh {
    /// What decides which calls are hit.
    pub seed: u64,
    /// The release that is announced and whose behaviour is shown: calls that it lacks do not exist, before 5.0
    /// there is no column 424, and from 4.3 on a call that does not exist is not answered (5.0: the connection ends).
    pub release: Version,
    /// Longest delay of a call.
    pub delay: Duration,
    /// Rows come ordered without regard to case, as a database with a locale has them.
    pub locale_order: bool,
    /// An administrator is shown only what he has been let in to, as an ordinary user is on every server with strict ACLs (the
    /// rule of 4.2 and 4.3 as they are delivered, the only one of 5.0). Others are shown no more than that in any case.
    pub strict: bool,
    /// Chance that a call on an object is told that the object is locked or in flight.
    pub locked: u32,
    /// Chance that a call is carried out and its answer lost with the connection.
    pub lost: u32,
    /// Chance that the connection ends in the middle of a request or of an answer.
    pub cut: u32,
}

impl Harsh {
    /// A mixture that the seed decides.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let releases = [
            Version::new(4, 2, 11),
            Version::new(4, 3, 4),
            Version::new(5, 0, 2),
        ];
        let release = releases[random.random_range(0..releases.len())];
        Self {
            seed,
            release,
            delay: Duration::from_millis(random.random_range(0..=3)),
            locale_order: random.random_bool(0.75),
            locked: random.random_range(0..=40),
            lost: random.random_range(0..=25),
            cut: random.random_range(0..=25),
            // The last to be drawn: what a seed meant before stays.
            strict: random.random_bool(0.5),
        }
    }

    /// The fortune of one connection.
    pub(crate) fn fortune(&self, connection: u64) -> Fortune {
        let seed = self.seed ^ connection.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Fortune {
            harsh: self.clone(),
            random: StdRng::seed_from_u64(seed),
        }
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is refused with a code.
    Refused(i32),
    /// The connection ends before it has been read as a whole.
    Unread,
    /// It is carried out and the connection ends.
    Unanswered,
    /// It is carried out and the connection ends in the middle of the answer.
    HalfAnswered,
}

/// The fortune of one connection.
pub(crate) struct Fortune {
    harsh: Harsh,
    random: StdRng,
}

impl Fortune {
    /// The fate of the next call, and how long it takes to come.
    pub fn next(&mut self, number: i32) -> (Fate, Duration) {
        // The same number of draws for each call, whatever it is.
        let draws: [u32; 3] = std::array::from_fn(|_| self.random.random_range(0..1000));
        let (in_flight, early) = (self.random.random_bool(0.3), self.random.random_bool(0.5));
        let delay = self
            .harsh
            .delay
            .mul_f64(self.random.random_range(0.0..=1.0));
        let [locked, lost, cut] = draws;
        let fate = if locked < self.harsh.locked && can_be_locked(number) {
            Fate::Refused(if in_flight {
                codes::INTERMEDIATE_REPLICA_ACCESS
            } else {
                codes::LOCKED_DATA_OBJECT_ACCESS
            })
        } else if lost < self.harsh.lost {
            Fate::Unanswered
        } else if cut < self.harsh.cut {
            if early {
                Fate::Unread
            } else {
                Fate::HalfAnswered
            }
        } else {
            Fate::Answered
        };
        (fate, delay)
    }

    /// Whether a call exists in the release that is announced.
    pub fn has(&self, number: i32) -> bool {
        api::by_number(number).is_none_or(|api| api.exists_in(self.harsh.release))
    }

    /// What becomes of a call that does not exist.
    pub fn unknown(&self) -> Unknown {
        match self.harsh.release {
            release if release.answers_unknown_api() => Unknown::Answered,
            release if release.major >= 5 => Unknown::Closed,
            _ => Unknown::Silent,
        }
    }
}

/// What a release does with a call that it does not know (seen on servers 4.2.12, 4.3.4 and 5.0.90).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Answered,
    Silent,
    Closed,
}

/// Calls that real servers refuse while the object is being written by somebody.
fn can_be_locked(number: i32) -> bool {
    matches!(
        number,
        api::DATA_OBJ_CREATE
            | api::DATA_OBJ_OPEN
            | api::REPLICA_OPEN
            | api::DATA_OBJ_PUT
            | api::DATA_OBJ_UNLINK
            | api::DATA_OBJ_RENAME
            | api::DATA_OBJ_TRUNCATE
            | api::REPLICA_TRUNCATE
            | api::DATA_OBJ_REPL
            | api::DATA_OBJ_CHKSUM
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_connection_have_the_same_fortune() {
        let fates = |seed, connection| {
            let mut fortune = Harsh::from_seed(seed).fortune(connection);
            (0..2000)
                .map(|_| fortune.next(api::DATA_OBJ_OPEN))
                .collect::<Vec<_>>()
        };
        assert_eq!(fates(7, 1), fates(7, 1));
        assert_ne!(fates(7, 1), fates(7, 2));
        assert_ne!(fates(7, 1), fates(8, 1));
    }

    #[test]
    fn seeds_reach_every_release_and_fate() {
        let mut releases = std::collections::BTreeSet::new();
        let mut fates = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let harsh = Harsh::from_seed(seed);
            releases.insert(harsh.release);
            let mut fortune = harsh.fortune(0);
            fates.extend((0..500).map(|_| format!("{:?}", fortune.next(api::DATA_OBJ_OPEN).0)));
        }
        assert_eq!(releases.len(), 3);
        assert_eq!(fates.len(), 6, "{fates:?}");
    }
}
