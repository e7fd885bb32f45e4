//! How a task stands in its worker: until when it surely is the worker's, whether it needs its place there, and what it has made that counts
//! whatever becomes of it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::broker::Counts;
use crate::error::SyncError;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// The lease.
    pub(crate) hold: Hold,
    /// The place.
    pub(crate) place: Place,
    /// Collections that were made on the way to something else.
    pub(crate) made_above: MadeAbove,
}

impl Tenure {
    /// Of a task whose lease is held until then; `changed` hears of its place.
    pub(crate) fn new(until: Instant, changed: Arc<Notify>) -> Self {
        Tenure {
            hold: Hold::new(until),
            place: Place::new(changed),
            made_above: MadeAbove::default(),
        }
    }

    /// Of what is no task: nothing may be begun for it.
    pub(crate) fn none() -> Self {
        Tenure::new(Instant::now(), Arc::default())
    }
}

/// The place of a task among those that a worker does at the same time, which it may leave to the next one before it is done.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    stay: Arc<AtomicU8>,
    changed: Arc<Notify>,
}

/// How long a task needs its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stay {
    /// Nobody knows.
    Open,
    /// For some milliseconds.
    Ending,
    /// No more.
    Over,
}

impl Place {
    /// Whenever it changes, that is told.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Place {
            stay: Arc::default(),
            changed,
        }
    }

    pub(crate) fn stay(&self) -> Stay {
        match self.stay.load(Ordering::SeqCst) {
            0 => Stay::Open,
            1 => Stay::Ending,
            _ => Stay::Over,
        }
    }

    /// It will be free soon.
    pub(crate) fn will_leave(&self) {
        self.turn(Stay::Ending);
    }

    /// It is free: nothing is asked of the zone any more.
    pub(crate) fn leave(&self) {
        self.turn(Stay::Over);
    }

    fn turn(&self, to: Stay) {
        if self.stay.fetch_max(to as u8, Ordering::SeqCst) < to as u8 {
            self.changed.notify_one();
        }
    }
}

/// How many collections a task has made because something was to be in them: they are there, and count, whatever became of that.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeAbove(Arc<MadeSoFar>);

#[derive(Debug, Default)]
struct MadeSoFar {
    all: AtomicU64,
    taken: AtomicU64,
}

impl MadeAbove {
    pub(crate) fn add_one(&self) {
        self.0.all.fetch_add(1, Ordering::SeqCst);
    }

    /// Those that were not taken yet.
    pub(crate) fn take(&self) -> Counts {
        let all = self.0.all.load(Ordering::SeqCst);
        created(all - self.0.taken.swap(all, Ordering::SeqCst))
    }

    /// All, for who counts anew.
    pub(crate) fn all(&self) -> Counts {
        created(self.0.all.load(Ordering::SeqCst))
    }
}

fn created(collections: u64) -> Counts {
    Counts {
        collections_created: collections,
        ..Counts::default()
    }
}

/// Until when a lease surely is held, by this process's clock: counted from before it was asked for.
///
/// A worker that was frozen, or could not reach the broker, must not begin what somebody else may have done since: it would
/// come back from the past, and what it leaves half done nobody would do again.
#[derive(Debug, Clone)]
pub(crate) struct Hold(Arc<Mutex<Instant>>);

impl Hold {
    /// Held until then.
    pub(crate) fn new(until: Instant) -> Self {
        Hold(Arc::new(Mutex::new(until)))
    }

    /// Held until then, as the broker says.
    pub(crate) fn extend(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Whether nobody else can have the task.
    ///
    /// # Errors
    /// [`SyncError::Drained`]: what is left of the task goes back, if it still can.
    pub(crate) fn check(&self) -> Result<(), SyncError> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match Instant::now() < until {
            true => Ok(()),
            false => Err(SyncError::Drained),
        }
    }
}
