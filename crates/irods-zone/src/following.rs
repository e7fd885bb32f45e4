//! A checksum that is computed while its file is written: it follows the writers at a distance, on a thread that is there only while
//! there is something to do.
//!
//! It reads the file, as what is computed at the end does. Writers may be several and leave gaps to be filled; whoever writes where it
//! may have read already makes it give up, and the whole file is read at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::checksum::{Hasher, Scheme};

/// How far it lags behind: less is left for the end.
const LAG: u64 = 1024 * 1024;
/// How many gaps it keeps in mind.
const GAPS: usize = 1024;
/// How much it reads before it looks whether that is still of use.
const STEP: u64 = 8 * 1024 * 1024;

/// The checksum in the making.
pub(crate) struct Following {
    file: Arc<File>,
    scheme: Scheme,
    /// A thread for each permit: file work of others needs some as well.
    threads: Arc<Semaphore>,
    state: Mutex<State>,
    idle: Condvar,
}

struct State {
    /// None while a thread has it, and in the end.
    hasher: Option<Hasher>,
    /// A thread is about to take it.
    called: bool,
    /// Bytes that went into it.
    read: u64,
    extent: Extent,
}

/// What was written from the start on without a gap, and what lies after gaps.
#[derive(Default)]
struct Extent {
    end: u64,
    /// End by start.
    beyond: BTreeMap<u64, u64>,
    /// Something was written twice, or too many gaps were left.
    spoilt: bool,
}

impl Extent {
    fn add(&mut self, at: u64, bytes: u64) {
        if bytes == 0 || self.spoilt {
            return;
        }
        let end = at.saturating_add(bytes);
        let before = self.beyond.range(..end).next_back();
        let again = at < self.end || before.is_some_and(|(_, &their_end)| their_end > at);
        if again || self.beyond.len() == GAPS {
            self.spoilt = true;
            self.beyond.clear();
        } else {
            self.beyond.insert(at, end);
        }
        while let Some(next) = self.beyond.remove(&self.end) {
            self.end = next;
        }
    }
}

impl Following {
    /// Of a file that is empty, on a thread if there is one to be had.
    pub fn new(file: Arc<File>, scheme: Scheme, threads: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self {
            file,
            scheme,
            threads,
            state: Mutex::new(State {
                hasher: Some(Hasher::new(scheme)),
                called: false,
                read: 0,
                extent: Extent::default(),
            }),
            idle: Condvar::new(),
        })
    }

    /// By what it is computed.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Something happened to the file that is not told further: it is read as a whole at the end.
    pub fn give_up(&self) {
        self.lock().extent.spoilt = true;
    }

    /// So many bytes were written at an offset.
    pub fn wrote(self: &Arc<Self>, at: u64, bytes: u64) {
        let mut state = self.lock();
        state.extent.add(at, bytes);
        if state.is_due()
            && state.hasher.is_some()
            && !state.called
            && let Ok(permit) = Arc::clone(&self.threads).try_acquire_owned()
        {
            state.called = true;
            let following = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                following.follow();
                drop(permit);
            });
        }
    }

    /// Reads until it is where the writers are.
    fn follow(&self) {
        let mut state = self.lock();
        state.called = false;
        let Some(mut hasher) = state.hasher.take() else {
            return;
        };
        while state.is_due() {
            let from = state.read;
            let to = state.extent.end.min(from + STEP);
            drop(state);
            let read = hasher.read(&self.file, from, to);
            state = self.lock();
            state.read = to;
            state.extent.spoilt |= read.is_err();
        }
        state.hasher = Some(hasher);
        self.idle.notify_all();
    }

    /// The checksum of the file as it is after the last write; to be asked for once. Blocks, but never for a thread that has not begun.
    pub fn finish(&self, size: u64) -> io::Result<String> {
        let being_read = |state: &mut State| state.hasher.is_none();
        let state = self.idle.wait_while(self.lock(), being_read);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let told_all = !state.extent.spoilt && state.extent.end == size;
        let (mut hasher, from) = match state.hasher.take().filter(|_| told_all) {
            Some(hasher) => (hasher, state.read),
            None => (Hasher::new(self.scheme), 0),
        };
        drop(state);
        hasher.read(&self.file, from, u64::MAX)?;
        Ok(hasher.finish())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self) -> bool {
        !self.extent.spoilt && self.extent.end - self.read >= LAG
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;
    use crate::checksum;

    #[test]
    fn what_was_written_in_any_order_is_one_piece_when_no_gap_is_left() {
        let mut extent = Extent::default();
        for (at, bytes) in [(10, 5), (30, 1), (12, 0), (15, 15), (0, 10)] {
            assert!(extent.end == 0 && !extent.spoilt);
            extent.add(at, bytes);
        }
        assert!(extent.end == 31 && extent.beyond.is_empty() && !extent.spoilt);
        for again in [(30, 1), (0, 40), (5, 1)] {
            let mut extent = Extent::default();
            extent.add(0, 31);
            extent.add(again.0, again.1);
            assert!(extent.spoilt, "{again:?}");
        }
        let mut extent = Extent::default();
        extent.add(10, 10);
        extent.add(5, 6);
        assert!(extent.spoilt, "runs into what lies after a gap");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_is_the_checksum_of_the_file_whatever_was_written_where(
            writes in prop::collection::vec((0_u64..24, 1_usize..5, any::<u8>(), 0_u8..12), 1..20),
            in_order in any::<bool>(),
        ) {
            const UNIT: usize = 700_000;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let _inside = runtime.enter();
            let file = Arc::new(tempfile::tempfile().unwrap());
            let threads = Arc::new(Semaphore::new(1));
            let following = Following::new(Arc::clone(&file), Scheme::Sha2, threads);
            let mut end = 0;
            for (at, units, byte, oddity) in writes {
                let at = if in_order { end } else { at * UNIT as u64 };
                let bytes = vec![byte; units * UNIT];
                file.write_all_at(&bytes, at).unwrap();
                if oddity == 0 {
                    following.give_up();
                } else {
                    following.wrote(at, bytes.len() as u64);
                }
                end = end.max(at + bytes.len() as u64);
            }
            let whole = checksum::of_file(Scheme::Sha2, &file).unwrap();
            prop_assert_eq!(following.finish(end).unwrap(), whole);
        }
    }
}
