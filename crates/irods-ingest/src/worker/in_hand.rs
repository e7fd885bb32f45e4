//! The tasks that a worker has in hand, by lease.
//!
//! A task has a place as long as it may need a connection to the zone; there are as many places as the worker does tasks at once. The next
//! one is asked for when a task says that its place will soon be free, and waits for it; what a task did is accounted for when
//! its place is another one's already. So connections seldom wait for the broker. While a task is in hand whose holder was lost before,
//! nothing more is asked for ahead: it may be what ended the holder, and whatever waits beside it would be charged with that as well.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;
use tracing::warn;

use crate::broker::{Lease, Leased};
use crate::context::tenure::{Stay, Tenure};

/// What the loop and the keeper of leases share.
#[derive(Debug, Default)]
pub(super) struct InHand {
    tasks: Mutex<HashMap<Lease, Held>>,
    /// A task was left in the middle whose lease may still be held.
    pub(super) abandoned: AtomicBool,
    /// The places have changed.
    changed: Arc<Notify>,
}

/// A task in hand.
#[derive(Debug)]
struct Held {
    /// None while it waits.
    task: Option<AbortHandle>,
    /// Its completion is on its way, after which the lease is held no more: that is no reason to drop it.
    completing: bool,
    tenure: Tenure,
    /// An earlier holder was lost.
    suspect: bool,
}

/// How many places there are of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) taken: usize,
    /// Those of the taken ones for which another task may be asked for.
    pub(super) soon_free: usize,
    /// Tasks that wait for one.
    pub(super) wanted: usize,
}

impl InHand {
    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, Held>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether anything is in hand that may be done in part.
    pub(super) fn has_begun(&self) -> bool {
        self.lock().values().any(|held| held.task.is_some())
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn places(&self) -> Places {
        let mut places = Places::default();
        let in_hand = self.lock();
        let trusted = !in_hand.values().any(|held| held.suspect);
        for held in in_hand.values() {
            match (&held.task, held.tenure.place.stay()) {
                (None, _) => places.wanted += 1,
                (Some(_), Stay::Over) => {}
                (Some(_), stay) => {
                    places.taken += 1;
                    places.soon_free += usize::from(stay == Stay::Ending && trusted);
                }
            }
        }
        places
    }

    /// Ends when the places have changed since this ended last.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes a task that waits for its place; its lease is held until then.
    pub(super) fn take(&self, leased: &Leased, until: Instant) {
        let held = Held {
            task: None,
            completing: false,
            tenure: Tenure::new(until, self.changed.clone()),
            suspect: leased.expiries > 0,
        };
        self.lock().insert(leased.lease, held);
    }

    /// Begins one that has waited; not if its lease was lost meanwhile.
    pub(super) fn begin(&self, lease: Lease, spawn: impl FnOnce(Tenure) -> AbortHandle) {
        // The lock is held until the handle is in, so that a task that ends at once finds itself there.
        if let Some(held) = self.lock().get_mut(&lease) {
            held.task = Some(spawn(held.tenure.clone()));
        }
    }

    /// It is accounted for now.
    pub(super) fn completing(&self, lease: Lease) {
        if let Some(held) = self.lock().get_mut(&lease) {
            held.completing = true;
            held.tenure.place.leave();
        }
    }

    /// It is not in hand any more.
    pub(super) fn done(&self, lease: Lease) {
        self.lock().remove(&lease);
    }

    /// The same, of a task that panicked.
    pub(super) fn panicked(&self, id: Id) {
        let is_it = |held: &Held| held.task.as_ref().is_some_and(|task| task.id() == id);
        self.lock().retain(|_, held| !is_it(held));
    }

    /// Its lease is held until then.
    pub(super) fn extended(&self, lease: Lease, until: Instant) {
        if let Some(held) = self.lock().get(&lease) {
            held.tenure.hold.extend(until);
        }
    }

    /// Drops the task of a lease that is lost, unless it has come to its end.
    pub(super) fn lose(&self, lease: Lease) {
        let mut held = self.lock();
        if held.get(&lease).is_some_and(|held| !held.completing)
            && let Some(lost) = held.remove(&lease)
        {
            warn!(task = %lease.task, "a lease was lost; its task is dropped");
            if let Some(task) = lost.task {
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::broker::{JobId, TaskClass, TaskId, TaskKind, Timestamp, Token};
    use crate::context::tenure::Place;
    use std::time::Duration;

    fn leased(number: u64, expiries: u32) -> Leased {
        Leased {
            lease: Lease {
                task: TaskId(number),
                token: Token::random(),
            },
            job: JobId(1),
            spec: [].into(),
            kind: TaskKind::Work,
            class: TaskClass::Files,
            depth: 0,
            payload: Vec::new(),
            cursor: Vec::new(),
            expiries,
            deadline: Timestamp(0),
            pass: 1,
            waited: Duration::ZERO,
        }
    }

    /// In hand and begun; its lease and its place.
    fn begun(in_hand: &InHand, leased: &Leased) -> (Lease, Place) {
        in_hand.take(leased, Instant::now() + Duration::from_secs(60));
        let mut of_task = None;
        in_hand.begin(leased.lease, |tenure| {
            of_task = Some(tenure.place);
            tokio::spawn(std::future::pending::<()>()).abort_handle()
        });
        (leased.lease, of_task.unwrap())
    }

    fn places(taken: usize, soon_free: usize, wanted: usize) -> Places {
        Places {
            taken,
            soon_free,
            wanted,
        }
    }

    #[tokio::test]
    async fn a_place_is_free_before_its_task_is_done() {
        let in_hand = InHand::default();
        let (first, place) = begun(&in_hand, &leased(1, 0));
        let second = leased(2, 0);
        in_hand.take(&second, Instant::now());
        let second = second.lease;
        assert_eq!(in_hand.places(), places(1, 0, 1));
        place.will_leave();
        in_hand.changed().await;
        assert_eq!(in_hand.places(), places(1, 1, 1));
        place.leave();
        place.will_leave();
        in_hand.changed().await;
        assert_eq!(in_hand.places(), places(0, 0, 1));
        // A completion that is on its way is not dropped.
        in_hand.completing(first);
        in_hand.lose(first);
        assert_eq!(in_hand.leases().len(), 2);
        in_hand.lose(second);
        let mut begun = false;
        in_hand.begin(second, |_| {
            begun = true;
            tokio::spawn(async {}).abort_handle()
        });
        assert!(!begun, "its lease was lost while it waited");
        in_hand.done(first);
        assert_eq!(in_hand.len(), 0);
    }

    #[tokio::test]
    async fn nothing_waits_beside_what_may_end_its_holder() {
        let in_hand = InHand::default();
        let (_, place) = begun(&in_hand, &leased(1, 0));
        place.will_leave();
        assert_eq!(in_hand.places(), places(1, 1, 0));
        let (deadly, _) = begun(&in_hand, &leased(2, 1));
        assert_eq!(in_hand.places(), places(2, 0, 0));
        in_hand.done(deadly);
        assert_eq!(in_hand.places(), places(1, 1, 0));
    }
}
