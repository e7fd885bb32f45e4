//! What a profile consists of: rows of times, and a timeline. All of it can be added up in any order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::timeline::Timeline;

macro_rules! stages {
    ($($(#[$doc:meta])* $stage:ident $name:literal,)*) => {
        /// What the time of a job is spent on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage {
            $($(#[$doc])* $stage,)*
        }

        impl Stage {
            /// All, in the order of a task's way.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$stage),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in outputs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$stage => $name,)*
                }
            }
        }
    };
}

stages! {
    /// Tasks that are ready and that nobody has taken, by the broker's clock.
    Queue "queue",
    /// Looks at the source: listings, facts of files, opening them.
    Scan "scan",
    /// Comparing and deciding.
    Plan "plan",
    /// Calls of an event handler in Python, and starts of its processes.
    Handler "handler",
    /// Waits for a connection to the zone, and making one.
    Connect "connect",
    /// Calls of the zone, by API; those of transfers and connections too.
    Irods "irods",
    /// Files on their way into the zone: reading, sending and what the zone is asked for it.
    Transfer "transfer",
    /// Tasks in hand, from lease to completion.
    Task "task",
}

/// The times of one kind of call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// How many there were.
    pub count: u64,
    /// How many of them failed, or were given up.
    pub errors: u64,
    /// Nanoseconds of all.
    pub total: u64,
    /// Nanoseconds of the longest.
    pub max: u64,
    /// What the longest was about: the beginning of a path.
    pub slowest: String,
    histogram: Histogram,
}

/// Bytes of [`Row::slowest`].
const MOST_BYTES: usize = 256;

impl Row {
    pub(super) fn add(&mut self, nanos: u64, failed: bool, about: About<'_>) {
        if self.count == 0 || nanos > self.max {
            self.max = nanos;
            self.slowest = about.text();
        }
        self.count = self.count.saturating_add(1);
        self.errors = self.errors.saturating_add(failed.into());
        self.total = self.total.saturating_add(nanos);
        self.histogram.add(nanos);
    }

    /// Nanoseconds that `percent` of the calls took at most, to 1 %.
    pub fn percentile(&self, percent: f64) -> u64 {
        self.histogram.percentile(percent).min(self.max)
    }

    fn merge(&mut self, other: &Self) {
        let more = (other.max, &other.slowest) > (self.max, &self.slowest);
        if self.count == 0 || other.count > 0 && more {
            self.max = other.max;
            self.slowest.clone_from(&other.slowest);
        }
        self.count = self.count.saturating_add(other.count);
        self.errors = self.errors.saturating_add(other.errors);
        self.total = self.total.saturating_add(other.total);
        self.histogram.merge(&other.histogram);
    }
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a>([&'a [u8]; 3]);

impl<'a> About<'a> {
    /// Nothing that has a name.
    pub const NOTHING: Self = About([b"", b"", b""]);

    /// A path.
    pub fn path(path: &'a [u8]) -> Self {
        About([path, b"", b""])
    }

    /// A directory below a root, and perhaps a name in it.
    pub fn entry(root: &'a [u8], directory: &'a [u8], name: &'a [u8]) -> Self {
        About([root, directory, name])
    }

    fn text(self) -> String {
        let parts: Vec<&[u8]> = self.0.into_iter().filter(|part| !part.is_empty()).collect();
        let path = parts.join(&b'/');
        let text = String::from_utf8_lossy(&path);
        text[..text.floor_char_boundary(MOST_BYTES)].to_owned()
    }
}

/// The account of some tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Tasks that were completed.
    pub tasks: u64,
    rows: [BTreeMap<String, Row>; Stage::COUNT],
    timeline: Timeline,
}

impl Account {
    /// The rows of a stage by name.
    pub fn rows(&self, stage: Stage) -> impl Iterator<Item = (&str, &Row)> {
        let rows = self.rows[stage as usize].iter();
        rows.map(|(name, row)| (name.as_str(), row))
    }

    /// All of a stage as one row.
    pub fn stage(&self, stage: Stage) -> Row {
        let mut whole = Row::default();
        self.rows(stage).for_each(|(_, row)| whole.merge(row));
        whole
    }

    /// What was done when.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Adds a call that lasted from one time to another, nanoseconds since 1970.
    pub(super) fn add(
        &mut self,
        (stage, name): (Stage, &str),
        (from, to): (u64, u64),
        failed: bool,
        about: About<'_>,
    ) {
        let rows = &mut self.rows[stage as usize];
        let row = match rows.get_mut(name) {
            Some(row) => row,
            None => rows.entry(name.to_owned()).or_default(),
        };
        row.add(to.saturating_sub(from), failed, about);
        self.timeline.spend(stage, from, to);
    }

    /// Adds a task that was worked on from one time to another, when it was completed.
    pub(super) fn completed(&mut self, span: (u64, u64), files: u64, bytes: u64) {
        self.tasks = self.tasks.saturating_add(1);
        self.timeline.done(span, files, bytes);
    }

    /// Adds another account.
    pub fn merge(&mut self, other: &Self) {
        self.tasks = self.tasks.saturating_add(other.tasks);
        for (rows, others) in self.rows.iter_mut().zip(&other.rows) {
            for (name, row) in others {
                match rows.get_mut(name) {
                    Some(known) => known.merge(row),
                    None => {
                        rows.insert(name.clone(), row.clone());
                    }
                }
            }
        }
        self.timeline.merge(&other.timeline);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks == 0 && self.rows.iter().all(BTreeMap::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_knows_its_slowest_and_cuts_its_name() {
        let mut row = Row::default();
        row.add(10, false, About::entry(b"/a", b"", b"b"));
        row.add(5, true, About::path(b"/c"));
        assert_eq!((row.count, row.errors, row.total, row.max), (2, 1, 15, 10));
        assert_eq!(row.slowest, "/a/b");
        let mut other = Row::default();
        other.add(11, false, About::path(&[0xff; 4000]));
        row.merge(&other);
        assert_eq!(row.max, 11);
        assert!(row.slowest.len() <= MOST_BYTES && row.slowest.starts_with('\u{fffd}'));
        assert_eq!(row.percentile(100.0), 11);
    }
}
