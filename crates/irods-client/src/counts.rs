//! How many calls were made, by API number: what a run cost, and the proof that an unchanged rescan asks nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use irods_protocol::api;

/// Counters that connections share. Every request that is sent counts, logins too.
#[derive(Debug, Default)]
pub struct CallCounts(Mutex<BTreeMap<i32, u64>>);

impl CallCounts {
    /// All zero.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self, api: i32) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(api).or_default() += 1;
    }

    /// Calls of one API number.
    pub fn of(&self, api: i32) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&api).copied().unwrap_or(0)
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().sum()
    }

    /// Calls other than those of logging in: zero if nothing was asked of the zone.
    pub fn requests(&self) -> u64 {
        let login = [
            api::AUTHENTICATION,
            api::AUTH_REQUEST,
            api::AUTH_RESPONSE,
            api::AUTH_PLUG_REQ,
            api::PAM_AUTH_REQUEST,
        ];
        self.total() - login.iter().map(|&a| self.of(a)).sum::<u64>()
    }

    /// (API number, name, calls), ascending by number.
    pub fn snapshot(&self) -> Vec<(i32, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(&n, &calls)| (n, api::name_of(n).unwrap_or("unknown"), calls))
            .collect()
    }
}
