//! The engine for workers on any number of machines: one Redis, 6.2 or later.
//!
//! Every move is one Lua script (`lua/`, `script`), so it is whole or not at all, on the server's time. All keys of a deployment begin with
//! its prefix. What Redis itself may lose when it dies is the operator's choice (`appendfsync`): what comes back is always an
//! earlier state, whole, and jobs go on from there.
//!
//! **Lost answers.** When the connection breaks in a call, the answer is [`BrokerError::Unavailable`] and the call may have been
//! carried out. Repeating it is harmless: see `attempts`. Leases of a call without an answer are given back, uncounted, by the
//! next [`lease`](super::Broker::lease) of the same worker. Without a repetition in this process they run out.
//!
//! **Memory.** A full Redis refuses new jobs and new tasks ([`BrokerError::Unavailable`]); completions, leases and stops go on, so
//! that it empties. Dropping tasks costs in leases in hand, not in what is dropped. At least the last 65,536 completions are
//! remembered by 16 bytes each.
//!
//! What this engine does not do: follow a Redis Cluster or a Sentinel; undo half a script if a key is not of the kind that this
//! program made it.

use std::sync::{Mutex, PoisonError};

use super::{BrokerError, Result, WorkerId};

mod address;
mod attempts;
mod codec;
mod engine;
mod fault;
mod health;
mod link;
mod reply;
mod script;
#[cfg(test)]
#[path = "../../../tests/support/redis.rs"]
pub(super) mod server;
mod signatures;
#[cfg(test)]
mod tests;

pub use address::Address;
use attempts::{Attempt, Attempts};
use fault::{Fault, Tried};
use link::{Link, Request};
use reply::Fields;

/// The format of what is stored.
const FORMAT: i64 = 4;

/// A broker in Redis.
pub struct RedisBroker {
    address: Address,
    label: String,
    link: Link,
    warnings: Vec<String>,
    attempts: Attempts,
    lost: Mutex<Vec<LostLeases>>,
    #[cfg(test)]
    clock: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

/// Tokens under which a worker may hold leases that it does not know of.
#[derive(Debug)]
struct LostLeases {
    worker: WorkerId,
    tokens: Vec<u8>,
}

/// The connection is left out, because it knows the password.
impl std::fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBroker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl RedisBroker {
    /// Connects, and makes the deployment if the Redis has none of this prefix. What is dangerous in how the Redis is set up is
    /// logged as a warning and kept as one of [`Self::warnings`].
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] if it does not answer, [`BrokerError::Unusable`] if it refuses the user or is older than 6.2,
    /// [`BrokerError::Version`] if another version made the deployment.
    pub async fn open(address: Address) -> Result<Self> {
        let broker = Self::connect(address).await?;
        for warning in &broker.warnings {
            tracing::warn!("{warning}");
        }
        Ok(broker)
    }

    async fn connect(address: Address) -> Result<Self> {
        let label = format!("broker {address}");
        let told = |fault: Fault| fault.into_error(&label);
        let link = Link::new(&address).map_err(|error| told(error.into()))?;
        let warnings = health::examine(&link, &label).await.map_err(told)?;
        let request = Request::new("open", "").bytes(FORMAT.to_string());
        let found = async {
            let mut fields = Fields::of_script(link.script(&request).await?)?;
            let text = fields.text()?;
            text.parse()
                .map_err(|_| Fault::corrupt(format!("its format is {text:?}")))
        };
        let found: i64 = found.await.map_err(told)?;
        if found != FORMAT {
            return Err(BrokerError::Version {
                broker: label,
                found,
                known: FORMAT,
            });
        }
        Ok(Self {
            address,
            label,
            link,
            warnings,
            attempts: Attempts::default(),
            lost: Mutex::default(),
            #[cfg(test)]
            clock: None,
        })
    }

    /// Like [`Self::open`], with a clock that is set by hand.
    #[cfg(test)]
    pub(super) async fn open_at(
        address: Address,
        clock: std::sync::Arc<std::sync::atomic::AtomicU64>,
    ) -> Result<Self> {
        let mut broker = Self::connect(address).await?;
        broker.clock = Some(clock);
        Ok(broker)
    }

    /// What the operator should know of how the Redis is set up, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The address, which shows no secrets.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn request(&self, operation: &'static str) -> Request {
        #[cfg(test)]
        if let Some(clock) = &self.clock {
            let now = clock.load(std::sync::atomic::Ordering::SeqCst);
            return Request::new(operation, &now.to_string());
        }
        Request::new(operation, "")
    }

    fn told<T>(&self, tried: Tried<T>) -> Result<T> {
        tried.map_err(|fault| fault.into_error(&self.label))
    }

    async fn send(&self, request: Request) -> Result<Fields> {
        let answer = self.told(self.link.script(&request).await)?;
        self.told(Fields::of_script(answer))
    }

    /// Sends a request that must not be done twice, and lets the attempt know whether there was an answer.
    async fn attempt(&self, attempt: Attempt<'_>, request: Request) -> Result<Fields> {
        let result = self.send(request).await;
        if !matches!(&result, Err(error) if error.is_unavailable()) {
            attempt.answered();
        }
        result
    }

    fn lost_of(&self, worker: &WorkerId) -> Vec<u8> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.iter()
            .filter(|lost| lost.worker == *worker)
            .flat_map(|lost| lost.tokens.iter().copied())
            .collect()
    }
}
