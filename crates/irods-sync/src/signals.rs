//! Ctrl-C and SIGTERM: the first asks to finish what is in hand, the second to leave at once, the third ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
}

/// Listens from now on. `first` is said when the first signal arrives.
///
/// # Errors
/// The system does not let us listen.
pub fn listen(first: &'static str) -> Result<Signals> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failed::could_not_run)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failed::could_not_run)?;
    let (sender, receiver) = shutdown();
    let terminated = Arc::new(AtomicBool::new(false));
    let by_term = terminated.clone();
    tokio::spawn(async move {
        let mut count = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => by_term.store(false, Ordering::Relaxed),
                _ = terminate.recv() => by_term.store(true, Ordering::Relaxed),
            }
            count += 1;
            match (count, sender.request()) {
                (1, _) if first.is_empty() => {}
                (1, _) => ui::note(&format!("irods_sync: {first}")),
                (2, _) => {}
                _ => std::process::exit(Exit::Interrupted as i32),
            }
        }
    });
    Ok(Signals {
        shutdown: receiver,
        terminated,
    })
}

impl Signals {
    /// Returns when any signal has arrived.
    pub async fn any(&self) {
        self.shutdown.wait_for(Urgency::Drain).await;
    }

    /// How a program ends that runs until it is told to stop: SIGTERM is its normal end.
    pub fn exit_of_service(&self) -> Exit {
        match self.terminated.load(Ordering::Relaxed) {
            true => Exit::Done,
            false => Exit::Interrupted,
        }
    }
}
