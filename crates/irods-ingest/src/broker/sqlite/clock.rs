//! The engine's time: the machine's, or in tests one that is set by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::Timestamp;

/// Where the time comes from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The machine's clock, which all processes that share the file have in common.
    System,
    /// Milliseconds that a test moves.
    #[cfg(test)]
    Manual(std::sync::Arc<std::sync::atomic::AtomicU64>),
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            #[cfg(test)]
            Self::Manual(millis) => Timestamp(millis.load(std::sync::atomic::Ordering::SeqCst)),
        }
    }
}
