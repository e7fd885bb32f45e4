//! Whether the zone can be reached, known once for a worker and not by each of its tasks.
//!
//! The first who cannot connect opens the breaker. From then on one of those who want a connection tries again, after delays
//! that grow; the others wait for what comes of it. Nothing that waits here counts as an attempt of anything. Only a connection that
//! does not come about opens it: one that breaks in the middle of some work may break because of that work, and a zone that
//! answers, be it with a refusal, is there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::chance::chance;
use crate::patience::Backoff;

/// The breaker of a worker. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Breaker(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    outage: Mutex<Option<Outage>>,
    changed: Notify,
}

#[derive(Debug)]
struct Outage {
    began: Instant,
    why: String,
    backoff: Backoff,
    next: Instant,
    probing: bool,
}

/// Leave to connect. What came of it is to be told; who is dropped without telling lets somebody else try.
#[derive(Debug)]
#[must_use]
pub struct Turn<'a> {
    breaker: &'a Breaker,
    probes: bool,
}

impl Breaker {
    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.0.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long the zone has been away, and why; nothing while it is there.
    pub fn away(&self) -> Option<(Duration, String)> {
        let outage = self.outage();
        let outage = outage.as_ref()?;
        Some((outage.began.elapsed(), outage.why.clone()))
    }

    /// Returns when the zone has gone or come back, or was tried in vain. To be called before looking.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    /// Waits until one may connect: at once while the zone is there.
    pub async fn turn(&self) -> Turn<'_> {
        if self.outage().is_none() {
            return Turn {
                breaker: self,
                probes: false,
            };
        }
        loop {
            let mut changed = std::pin::pin!(self.changed());
            changed.as_mut().enable();
            let next = match self.outage().as_mut() {
                None => {
                    return Turn {
                        breaker: self,
                        probes: false,
                    };
                }
                Some(outage) if outage.probing => None,
                Some(outage) if outage.next <= Instant::now() => {
                    outage.probing = true;
                    return Turn {
                        breaker: self,
                        probes: true,
                    };
                }
                Some(outage) => Some(outage.next),
            };
            match next {
                None => changed.await,
                Some(next) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(next) => {}
                },
            }
        }
    }
}

impl Turn<'_> {
    /// The zone answered.
    pub fn reached(self) {
        if let Some(outage) = self.breaker.outage().take() {
            info!(
                seconds = outage.began.elapsed().as_secs(),
                "the zone is back"
            );
            self.breaker.0.changed.notify_waiters();
        }
    }

    /// The zone did not.
    pub fn lost(self, why: &str) {
        let mut guard = self.breaker.outage();
        match guard.as_mut() {
            Some(outage) if self.probes => {
                outage.why = why.to_owned();
                outage.next = Instant::now() + outage.backoff.delay(chance());
            }
            // Somebody else has found that out as well, and is at it.
            Some(_) => {}
            None => {
                warn!(why, "waiting for the zone");
                let mut backoff = Backoff::new();
                *guard = Some(Outage {
                    began: Instant::now(),
                    why: why.to_owned(),
                    next: Instant::now() + backoff.delay(chance()),
                    backoff,
                    probing: false,
                });
                drop(guard);
                self.breaker.0.changed.notify_waiters();
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.probes {
            if let Some(outage) = self.breaker.outage().as_mut() {
                outage.probing = false;
            }
            self.breaker.0.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// However many want to connect: one tries at a time, seldom, until the zone is there; then all go on.
    #[tokio::test(start_paused = true)]
    async fn one_tries_for_all() {
        let breaker = Breaker::default();
        let back = Instant::now() + Duration::from_secs(3600);
        let (tries, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (breaker, tries, now) = (breaker.clone(), tries.clone(), now.clone());
            tasks.spawn(async move {
                loop {
                    let turn = breaker.turn().await;
                    if Instant::now() >= back {
                        turn.reached();
                        return Instant::now();
                    }
                    // All of the first round go at once, for nobody knows anything yet.
                    if turn.probes {
                        assert_eq!(now.fetch_add(1, Ordering::SeqCst), 0);
                        tries.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                    turn.lost("no");
                }
            });
        }
        let mut last = back;
        while let Some(done) = tasks.join_next().await {
            last = last.max(done.unwrap());
        }
        let tries = tries.load(Ordering::SeqCst);
        assert!((200..600).contains(&tries), "{tries}");
        assert!(last - back < Duration::from_secs(20), "{:?}", last - back);
        assert_eq!(breaker.away(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_is_taken_over() {
        let breaker = Breaker::default();
        breaker.turn().await.lost("first");
        let probe = breaker.turn().await;
        assert!(probe.probes);
        let other = breaker.clone();
        let waits = tokio::spawn(async move { other.turn().await.probes });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waits.is_finished());
        drop(probe);
        assert!(waits.await.unwrap());
        let (away, why) = breaker.away().unwrap();
        assert!(away >= Duration::from_secs(60) && why == "first");
        breaker.turn().await.lost("second");
        assert_eq!(breaker.away().unwrap().1, "second");
        breaker.turn().await.reached();
        assert_eq!(breaker.away(), None);
        assert!(!breaker.turn().await.probes);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_before_the_outage_tells_nothing_new() {
        let breaker = Breaker::default();
        let (one, two, three) = (
            breaker.turn().await,
            breaker.turn().await,
            breaker.turn().await,
        );
        one.lost("one");
        two.lost("two");
        assert_eq!(breaker.away().unwrap().1, "one");
        // An answer is an answer.
        three.reached();
        assert_eq!(breaker.away(), None);
    }
}
