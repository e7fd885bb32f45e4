//! The tasks that a worker has in hand, by lease.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;
use tracing::warn;

use crate::broker::Lease;
use crate::context::Hold;

/// What the loop and the keeper of leases share.
#[derive(Debug, Default)]
pub(super) struct InHand {
    tasks: Mutex<HashMap<Lease, Held>>,
    /// A task was left in the middle whose lease may still be held.
    pub(super) abandoned: AtomicBool,
}

/// A task in hand.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) task: AbortHandle,
    /// Its completion is on its way, after which the lease is held no more: that is no reason to drop it.
    pub(super) completing: bool,
    pub(super) hold: Hold,
}

impl InHand {
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, Held>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn completing(&self, lease: Lease) {
        if let Some(held) = self.lock().get_mut(&lease) {
            held.completing = true;
        }
    }

    /// Drops the task of a lease that is lost, unless it has come to its end.
    pub(super) fn lose(&self, lease: Lease) {
        let mut held = self.lock();
        if held.get(&lease).is_some_and(|held| !held.completing)
            && let Some(lost) = held.remove(&lease)
        {
            warn!(task = %lease.task, "a lease was lost; its task is dropped");
            lost.task.abort();
        }
    }
}
