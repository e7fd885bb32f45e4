//! How often each API was called, and which numbers were asked for that nobody serves.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// Most unknown numbers that are remembered; a hostile client can name four billion.
const MAX_UNKNOWN: usize = 256;

/// Counters of one zone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: Mutex<BTreeMap<i32, u64>>,
    unknown: Mutex<HashSet<i32>>,
}

impl Counters {
    /// Counts one call of a known API.
    pub fn count(&self, api: i32) {
        *self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(api)
            .or_default() += 1;
    }

    /// Calls so far, by API number.
    pub fn snapshot(&self) -> BTreeMap<i32, u64> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether an unknown number is seen for the first time and so worth a line in the log.
    pub fn is_news(&self, api: i32) -> bool {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.len() < MAX_UNKNOWN && unknown.insert(api)
    }
}
