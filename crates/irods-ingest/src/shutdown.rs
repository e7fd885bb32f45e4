//! How a worker is told to leave: first it drains (what is in hand finishes), then it goes at once.

use tokio::sync::watch;

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

/// The side that tells.
#[derive(Debug)]
pub struct ShutdownSender(watch::Sender<Urgency>);

/// The side that is told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Urgency>);

/// A pair of both sides.
pub fn shutdown() -> (ShutdownSender, Shutdown) {
    let (sender, receiver) = watch::channel(Urgency::Stay);
    (ShutdownSender(sender), Shutdown(receiver))
}

impl ShutdownSender {
    /// Asks to drain; asked again, to leave now. Answers what is asked for from now on.
    pub fn request(&self) -> Urgency {
        self.0.send_modify(|urgency| {
            *urgency = match *urgency {
                Urgency::Stay => Urgency::Drain,
                Urgency::Drain | Urgency::Now => Urgency::Now,
            };
        });
        *self.0.borrow()
    }
}

impl Shutdown {
    /// Whether at least draining was asked for.
    pub fn requested(&self) -> bool {
        *self.0.borrow() >= Urgency::Drain
    }

    /// Returns when at least `urgency` is asked for; never, if the sender is gone before.
    pub async fn wait_for(&self, urgency: Urgency) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|now| *now >= urgency).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
