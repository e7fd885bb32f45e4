//! What one worker measures of one job, until it has handed it in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use irods_client::protocol::api;
use irods_client::{CallObserver, Called};
use tokio::time::Instant;

use super::account::{About, Account, Stage};
use super::kept::{Profile, ProfileError};
use crate::broker::{Broker, BrokerError, Counts, JobId, Timestamp, WorkerId};
use crate::chance::chance;

/// So often others may be quicker before the rest is left to the next time.
const MAX_TRIES: u32 = 12;

/// Longest wait between two tries.
const LONGEST: Duration = Duration::from_millis(250);

/// The account that a worker keeps of a job.
#[derive(Debug)]
pub(crate) struct Recorder {
    job: JobId,
    state: Mutex<State>,
    outbox: tokio::sync::Mutex<Outbox>,
}

#[derive(Debug)]
struct State {
    /// A moment here, and nanoseconds since 1970 by the broker's clock then.
    anchor: (Instant, u64),
    pass: u64,
    account: Account,
    /// Of passes that have ended.
    earlier: Vec<(u64, Account)>,
}

/// What is on its way to the broker, and for which time.
#[derive(Debug, Default)]
struct Outbox {
    times: u64,
    accounts: Vec<(u64, Account)>,
}

impl Recorder {
    pub(crate) fn new(job: JobId) -> Self {
        Recorder {
            job,
            state: Mutex::new(State {
                anchor: (Instant::now(), 0),
                pass: 0,
                account: Account::default(),
                earlier: Vec::new(),
            }),
            outbox: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task of this pass is in hand, which was handed out at this time by the broker's clock after it had waited for so long.
    pub(super) fn leased(&self, name: &str, pass: u64, at: Timestamp, waited: Duration) {
        let mut state = self.state();
        let at = at.0.saturating_mul(1_000_000);
        state.anchor = (Instant::now(), at);
        if state.pass != pass {
            let ended = std::mem::take(&mut state.account);
            if !ended.is_empty() {
                let of = state.pass;
                state.earlier.push((of, ended));
            }
            state.pass = pass;
        }
        let from = at.saturating_sub(nanos(waited));
        let about = About::NOTHING;
        state
            .account
            .add((Stage::Queue, name), (from, at), false, about);
    }

    pub(super) fn record(
        &self,
        what: (Stage, &str),
        (began, ended): (Instant, Instant),
        failed: bool,
        about: About<'_>,
    ) {
        let mut state = self.state();
        let span = (state.time(began), state.time(ended));
        state.account.add(what, span, failed, about);
    }

    /// A task was completed that was begun then.
    pub(super) fn completed(&self, counts: &Counts, began: Instant) {
        let mut state = self.state();
        let span = (state.time(began), state.time(Instant::now()));
        let (files, bytes) = (counts.files_done(), counts.bytes_uploaded);
        state.account.completed(span, files, bytes);
    }

    /// Whether there is something that was not handed in.
    #[cfg(test)]
    pub(crate) fn has_more(&self) -> bool {
        let state = self.state();
        let outbox = self.outbox.try_lock();
        outbox.map_or(true, |outbox| !outbox.accounts.is_empty())
            || !state.earlier.is_empty()
            || !state.account.is_empty()
    }

    fn take(&self) -> Vec<(u64, Account)> {
        let mut state = self.state();
        let mut taken = std::mem::take(&mut state.earlier);
        let last = (state.pass, std::mem::take(&mut state.account));
        if !last.1.is_empty() {
            taken.push(last);
        }
        taken
    }

    /// Adds what was measured since the last time to the job's profile. What cannot be added now is kept for the next time.
    ///
    /// # Errors
    /// The broker does not take it.
    pub(crate) async fn hand_in(
        &self,
        broker: &dyn Broker,
        worker: &WorkerId,
    ) -> Result<(), BrokerError> {
        let mut outbox = self.outbox.lock().await;
        if outbox.accounts.is_empty() {
            outbox.accounts = self.take();
            if outbox.accounts.is_empty() {
                return Ok(());
            }
            outbox.times += 1;
        }
        for turn in 0..MAX_TRIES {
            match self.add(broker, worker, &outbox).await {
                Ok(false) => {
                    let longest = Duration::from_millis(2 << turn).min(LONGEST);
                    tokio::time::sleep(longest.mul_f64(chance())).await;
                }
                Ok(true) => {
                    outbox.accounts.clear();
                    return Ok(());
                }
                // Nothing that is done later makes it better.
                Err(error) if !error.is_unavailable() => {
                    outbox.accounts.clear();
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether it is in the profile, or somebody else was quicker.
    async fn add(
        &self,
        broker: &dyn Broker,
        worker: &WorkerId,
        outbox: &Outbox,
    ) -> Result<bool, BrokerError> {
        let refused = |error: ProfileError| BrokerError::Invalid {
            what: error.to_string(),
        };
        let (revision, bytes) = broker.profile(self.job).await?;
        let mut profile = Profile::read(&bytes).map_err(refused)?;
        let now = self.state().time(Instant::now()) / 1_000_000;
        if !profile.take_in(&worker.0, outbox.times, &outbox.accounts, now) {
            // The answer to an earlier try was lost.
            return Ok(true);
        }
        let bytes = profile.to_bytes().map_err(refused)?;
        broker.put_profile(self.job, revision, bytes).await
    }
}

impl State {
    /// Nanoseconds since 1970 by the broker's clock.
    fn time(&self, at: Instant) -> u64 {
        let (then, time) = self.anchor;
        match at.checked_duration_since(then) {
            Some(later) => time.saturating_add(nanos(later)),
            None => time.saturating_sub(nanos(then.duration_since(at))),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl CallObserver for Recorder {
    fn called(&self, call: Called<'_>) {
        let name = api::name_of(call.api).unwrap_or("unknown");
        let span = (call.began, Instant::now());
        let about = About::path(call.subject.as_bytes());
        self.record((Stage::Irods, name), span, call.failed, about);
    }
}
