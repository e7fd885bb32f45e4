//! Replicas that are being written, across connections.
//!
//! The first opener of a replica begins its [`Writing`] and gets a token; whoever knows the token may
//! open the same replica once more, on any connection. The replica is finished once: by the last
//! opener to leave after one of them asked for it. An opener that is lost makes the whole fail.
//!
//! What this does not do: the catalog's states (that is [`crate::catalog::replicas`]) and the
//! finishing itself (that is [`crate::api::close`]).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::after::After;
use crate::catalog::Identity;
use crate::checksum::{self, Scheme};
use crate::following::Following;

/// One replica in flight.
pub(crate) struct Writing {
    /// Id of the data object.
    pub data_id: i64,
    /// Replica number.
    pub number: i64,
    /// Logical path at the time of opening.
    pub path: String,
    /// Who opened it first.
    pub who: Identity,
    /// Its file.
    pub file: Arc<File>,
    /// Where the file is.
    pub physical_path: PathBuf,
    /// The object came to be by this opening.
    pub created: bool,
    /// The file was cut at the opening.
    pub truncated: bool,
    /// The replica had a checksum, so it gets a new one.
    pub had_checksum: bool,
    /// What to do when it is finished.
    pub after: After,
    /// What further openers have to know.
    pub token: String,
    /// Its checksum, if it is to have one and is written from the start.
    following: Option<Arc<Following>>,
    /// Taken by who appends.
    end: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    openers: usize,
    wrote: bool,
    checksum: bool,
    copy: bool,
    failed: Option<i32>,
    finish: bool,
    ended: bool,
}

/// How an opener leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Finish the replica as soon as all have left.
    Finish,
    /// Somebody else does.
    Detach,
    /// Something went wrong: the code.
    Fail(i32),
}

/// What was made of a replica in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// At least one write was asked for.
    pub wrote: bool,
    /// An opener asked for a checksum when it left.
    pub checksum: bool,
    /// The bytes are those of a good sibling.
    pub copy: bool,
    /// Code of the first failure.
    pub failed: Option<i32>,
}

/// The facts with which a writing begins.
pub(crate) struct Begin {
    pub data_id: i64,
    pub number: i64,
    pub path: String,
    pub who: Identity,
    pub file: Arc<File>,
    pub physical_path: PathBuf,
    pub created: bool,
    pub truncated: bool,
    pub had_checksum: bool,
    pub after: After,
}

impl State {
    /// An opener leaves; the last one finishes, if anybody is to. A failure always is: whoever was to finish may be the one
    /// that failed.
    fn leave(&mut self, how: Leave) -> Option<Summary> {
        self.openers = self.openers.saturating_sub(1);
        match how {
            Leave::Finish => self.finish = true,
            Leave::Detach => {}
            Leave::Fail(code) => {
                self.failed.get_or_insert(code);
                self.finish = true;
            }
        }
        if self.openers > 0 || !self.finish || self.ended {
            return None;
        }
        self.ended = true;
        Some(Summary {
            wrote: self.wrote,
            checksum: self.checksum,
            copy: self.copy,
            failed: self.failed,
        })
    }
}

impl Writing {
    /// Notes that so many bytes were written at an offset.
    pub fn wrote(&self, at: u64, bytes: u64) {
        self.lock().wrote = true;
        if let Some(following) = &self.following {
            following.wrote(at, bytes);
        }
    }

    /// Makes room for so many bytes at the end, which nobody else gets, and says where that is. Blocks.
    pub fn extend(&self, bytes: u64) -> io::Result<u64> {
        let _one_at_a_time = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.file.metadata()?.len();
        self.file.set_len(end + bytes)?;
        Ok(end)
    }

    /// The scheme of the checksum that it gets; none, if none.
    pub fn scheme(&self, summary: Summary) -> Option<Scheme> {
        self.after.scheme(self.had_checksum || summary.checksum)
    }

    /// The checksum of the file, whose size is known, by that scheme. Blocks.
    pub fn checksum(&self, scheme: Scheme, size: u64) -> io::Result<String> {
        match &self.following {
            Some(following) if following.scheme() == scheme => following.finish(size),
            _ => checksum::of_file(scheme, &self.file),
        }
    }

    /// Notes that something was done to the bytes, or failed with a code.
    pub fn note(&self, failed: Option<i32>) {
        if let Some(following) = &self.following {
            following.give_up();
        }
        let mut state = self.lock();
        state.wrote = true;
        state.failed = state.failed.or(failed);
    }

    /// Says that the bytes are a copy of a good sibling's, so that the siblings stay what they are.
    pub fn keep_siblings(&self) {
        self.lock().copy = true;
    }

    /// Asks for a checksum at the end.
    pub fn want_checksum(&self) {
        self.lock().checksum = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All replicas in flight of a zone.
pub(crate) struct Writings {
    by_replica: Mutex<HashMap<(i64, i64), Arc<Writing>>>,
    /// For those whose checksums are computed meanwhile.
    threads: Arc<Semaphore>,
}

impl Default for Writings {
    /// None; with a thread for a checksum on each processor.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            by_replica: Mutex::default(),
            threads: Arc::new(Semaphore::new(processors)),
        }
    }
}

impl Writings {
    /// Begins one. The catalog has made sure that there is no other for this replica.
    pub fn begin(&self, begin: Begin) -> Arc<Writing> {
        let Begin {
            data_id,
            number,
            path,
            who,
            file,
            physical_path,
            created,
            truncated,
            had_checksum,
            after,
        } = begin;
        let scheme = after.scheme(had_checksum).filter(|_| created || truncated);
        let following = scheme
            .map(|scheme| Following::new(Arc::clone(&file), scheme, Arc::clone(&self.threads)));
        let writing = Arc::new(Writing {
            data_id,
            number,
            path,
            who,
            file,
            physical_path,
            created,
            truncated,
            had_checksum,
            after,
            token: uuid::Uuid::new_v4().to_string(),
            following,
            end: Mutex::default(),
            state: Mutex::new(State {
                openers: 1,
                ..State::default()
            }),
        });
        self.lock().insert((data_id, number), Arc::clone(&writing));
        writing
    }

    /// Opens one once more; none if the token is not its token.
    pub fn join(&self, data_id: i64, number: i64, token: &str) -> Option<Arc<Writing>> {
        let writing = self
            .lock()
            .get(&(data_id, number))
            .filter(|w| w.token == token)
            .cloned()?;
        let mut state = writing.lock();
        if state.ended {
            return None;
        }
        state.openers += 1;
        drop(state);
        Some(writing)
    }

    /// An opener leaves. Some: the caller has to finish the replica and then call
    /// [`Writings::forget`].
    pub fn leave(&self, writing: &Writing, how: Leave) -> Option<Summary> {
        if let (Leave::Fail(_), Some(following)) = (how, &writing.following) {
            following.give_up();
        }
        writing.lock().leave(how)
    }

    /// Takes a finished one out.
    pub fn forget(&self, data_id: i64, number: i64) {
        self.lock().remove(&(data_id, number));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(i64, i64), Arc<Writing>>> {
        self.by_replica
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_finishes_also_where_the_one_who_should_was_lost() {
        let mut state = State {
            openers: 2,
            wrote: true,
            ..State::default()
        };
        assert_eq!(state.leave(Leave::Fail(-116_000)), None);
        let end = state.leave(Leave::Detach);
        assert_eq!(end.and_then(|end| end.failed), Some(-116_000));

        let mut state = State {
            openers: 1,
            ..State::default()
        };
        assert_eq!(state.leave(Leave::Detach), None, "somebody else finishes");
    }
}
