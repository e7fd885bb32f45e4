//! How many requests are under way to S3 servers, and how many had to be made again.
//!
//! The library makes a request again by itself where the server has too much to do, breaks down or says nothing, after a pause that grows
//! each time. Here this is counted, not decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::source::SourceError;

/// What all buckets of a worker share.
#[derive(Debug)]
pub struct Requests {
    at_once: Arc<Semaphore>,
    silence: Duration,
    repeated: AtomicU64,
}

impl Requests {
    /// Requests under way at the same time, where nobody says how many.
    pub const MOST: u16 = 64;

    /// Longest silence of a server, where nobody says how long.
    pub const SILENCE: Duration = Duration::from_secs(60);

    /// At most so many under way at the same time; one that the server says nothing to for so long, before its answer or in it, is made
    /// again.
    pub fn new(most: u16, silence: Duration) -> Arc<Self> {
        Arc::new(Requests {
            at_once: Arc::new(Semaphore::new(most.max(1).into())),
            silence,
            repeated: AtomicU64::new(0),
        })
    }

    /// How many were made again so far.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Waits until one more may be under way, which it is as long as the permit lives.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, SourceError> {
        let turn = self.at_once.clone().acquire_owned().await;
        turn.map_err(|error| SourceError::Io {
            doing: "wait for",
            path: "S3".into(),
            source: std::io::Error::other(error),
        })
    }
}

/// Counts for one bucket and its worker.
#[derive(Debug, Clone)]
pub(super) struct Repeated {
    all: Arc<Requests>,
    own: Arc<AtomicU64>,
}

impl Repeated {
    pub(super) fn new(all: Arc<Requests>) -> Self {
        let own = Arc::default();
        Repeated { all, own }
    }

    pub(super) fn count(&self) {
        self.all.repeated.fetch_add(1, Ordering::Relaxed);
        self.own.fetch_add(1, Ordering::Relaxed);
    }

    /// The bucket's, since this was asked last.
    pub(super) fn take(&self) -> u64 {
        self.own.swap(0, Ordering::Relaxed)
    }

    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, SourceError> {
        self.all.turn().await
    }

    /// See [`Requests::new`].
    pub(super) fn silence(&self) -> Duration {
        self.all.silence
    }
}

impl Intercept for Repeated {
    fn name(&self) -> &'static str {
        "Repeated"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempts = bag.load::<RequestAttempts>();
        if attempts.is_some_and(|attempts| attempts.attempts() > 1) {
            self.count();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn one_more_waits_until_one_has_ended() {
        let requests = Requests::new(2, Requests::SILENCE);
        let (first, second) = (requests.turn().await.unwrap(), requests.turn().await);
        let mut third = std::pin::pin!(requests.turn());
        tokio::select! {
            biased;
            _ = &mut third => panic!("a third is under way"),
            () = std::future::ready(()) => drop(first),
        }
        drop((third.await, second));
    }
}
