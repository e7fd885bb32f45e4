//! How a worker is told to leave: first it drains (what is in hand finishes), then it goes at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// How urgently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Go on working.
    #[default]
    Stay,
    /// Begin nothing new; finish the file in hand.
    Drain,
    /// Leave now; what is in hand will be done again.
    Now,
}

/// What both sides share. Who waits is woken in the order in which they came, so that a simulation can repeat it.
#[derive(Debug, Default)]
struct Told {
    urgency: Mutex<Urgency>,
    changed: Notify,
}

impl Told {
    fn urgency(&self) -> Urgency {
        *self.urgency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side that tells.
#[derive(Debug)]
pub struct ShutdownSender(Arc<Told>);

/// The side that is told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Told>);

/// A pair of both sides.
pub fn shutdown() -> (ShutdownSender, Shutdown) {
    let told = Arc::new(Told::default());
    (ShutdownSender(told.clone()), Shutdown(told))
}

impl ShutdownSender {
    /// Asks to drain; asked again, to leave now. Answers what is asked for from now on.
    pub fn request(&self) -> Urgency {
        let urgency = match self.0.urgency() {
            Urgency::Stay => Urgency::Drain,
            Urgency::Drain | Urgency::Now => Urgency::Now,
        };
        *self
            .0
            .urgency
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = urgency;
        self.0.changed.notify_waiters();
        urgency
    }
}

impl Shutdown {
    /// Whether at least draining was asked for.
    pub fn requested(&self) -> bool {
        self.0.urgency() >= Urgency::Drain
    }

    /// Returns when at least `urgency` is asked for; never, if the sender is gone before.
    pub async fn wait_for(&self, urgency: Urgency) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if self.0.urgency() >= urgency {
                return;
            }
            changed.await;
        }
    }
}
