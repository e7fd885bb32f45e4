//! Waiting out what will come back: delays that grow to a limit, with some chance in them.

use std::future::Future;
use std::time::Duration;

use crate::broker::BrokerError;
use crate::chance::chance;
use crate::shutdown::{Shutdown, Urgency};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);

/// Delays that double from 0.1 s to 15 s, each shortened by up to a half by chance so that many who wait do not come at
/// once.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// Begins with the shortest delay.
    pub fn new() -> Self {
        Backoff { next: FIRST }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next delay; `chance` is 0..1.
    pub fn delay(&mut self, chance: f64) -> Duration {
        let delay = self.next;
        self.next = (self.next * 2).min(LONGEST);
        delay.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }

    /// Waits for the next delay.
    pub async fn wait(&mut self) {
        let delay = self.delay(chance());
        tokio::time::sleep(delay).await;
    }
}

/// Repeats a request to the broker while it does not answer, until the worker must leave at once.
///
/// # Errors
/// What the broker answers, or the last of its silences.
pub async fn persist<T, F>(
    shutdown: &Shutdown,
    mut request: impl FnMut() -> F,
) -> Result<T, BrokerError>
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let mut backoff = Backoff::new();
    loop {
        match request().await {
            Err(error) if error.is_unavailable() => {
                tokio::select! {
                    biased;
                    () = backoff.wait() => {}
                    () = shutdown.wait_for(Urgency::Now) => return Err(error),
                }
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_start_anew() {
        let mut backoff = Backoff::new();
        let delays: Vec<u128> = (0..10).map(|_| backoff.delay(0.0).as_millis()).collect();
        assert_eq!(delays[..4], [100, 200, 400, 800]);
        assert_eq!(delays[9], LONGEST.as_millis());
        backoff.reset();
        assert_eq!(backoff.delay(1.0), FIRST / 2);
    }
}
