//! Ctrl-C and SIGTERM: the first asks to finish what is in hand, the second to leave at once, the third ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ingest::shutdown::{Shutdown, Urgency, shutdown};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Exit, Failed, Result};
use crate::ui;

/// What has been asked for by signals.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Told to drain, then to leave.
    pub shutdown: Shutdown,
    terminated: Arc<AtomicBool>,
    in_hand: Arc<OnceLock<&'static str>>,
}

/// Listens from now on.
///
/// # Errors
/// The system does not let us listen.
pub fn listen() -> Result<Signals> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failed::could_not_run)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failed::could_not_run)?;
    let (sender, receiver) = shutdown();
    let terminated = Arc::new(AtomicBool::new(false));
    let by_term = terminated.clone();
    let in_hand = Arc::new(OnceLock::new());
    let finishing = in_hand.clone();
    tokio::spawn(async move {
        let mut count = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => by_term.store(false, Ordering::Relaxed),
                _ = terminate.recv() => by_term.store(true, Ordering::Relaxed),
            }
            count += 1;
            sender.request();
            match (count, finishing.get()) {
                (1, Some(what)) => ui::note(&format!(
                    "irods_sync: finishing {what} in hand; once more to leave at once"
                )),
                (1 | 2, _) => {}
                _ => std::process::exit(Exit::Interrupted as i32),
            }
        }
    });
    Ok(Signals {
        shutdown: receiver,
        terminated,
        in_hand,
    })
}

impl Signals {
    /// Returns when any signal has arrived.
    pub async fn any(&self) {
        self.shutdown.wait_for(Urgency::Drain).await;
    }

    /// There is work in hand from now on, `what` of it. The first signal does not end it; that is said when it arrives.
    pub fn have_in_hand(&self, what: &'static str) {
        let _ = self.in_hand.set(what);
    }

    /// Does what may be given up at any moment; none if a signal arrives first, or has arrived.
    pub async fn before<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.any() => None,
            done = work => Some(done),
        }
    }

    /// As [`before`](Self::before), for what a command cannot do without: a signal ends it, and `so` is said.
    ///
    /// # Errors
    /// Those of the work, or a signal.
    pub async fn unless_told<T>(
        &self,
        so: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.before(work).await {
            Some(done) => done,
            None => Err(Failed::interrupted(format!("interrupted; {so}"))),
        }
    }

    /// How a program ends that runs until it is told to stop: SIGTERM is its normal end.
    pub fn exit_of_service(&self) -> Exit {
        match self.terminated.load(Ordering::Relaxed) {
            true => Exit::Done,
            false => Exit::Interrupted,
        }
    }
}
