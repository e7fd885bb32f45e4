//! Caps on everything that is put into a broker, equal on every engine.
//!
//! Beyond a cap a request is refused as [`Invalid`](super::BrokerError::Invalid), except for the texts of the ledger and of events,
//! which are cut: a completion must not fail because of what it reports.

/// Children of one [`spawn`](super::Broker::spawn), retries of one completion.
pub const MAX_CHILDREN: usize = 1000;
/// Bytes of a task's payload.
pub const MAX_PAYLOAD: usize = 16 << 20;
/// Bytes of a cursor.
pub const MAX_CURSOR: usize = 64 << 10;
/// Bytes of a job's specification.
pub const MAX_SPEC: usize = 1 << 20;
/// Bytes of a job's name, an identity or a worker's id.
pub const MAX_NAME: usize = 4 << 10;
/// Tasks of one [`lease`](super::Broker::lease).
pub const MAX_LEASE: usize = 1000;
/// Chunks of files that are ready and cannot be taken (because of [`max_in_flight`](super::NewJob::max_in_flight), or because
/// the worker that asks does not serve their queue) up to which directories are scanned all the same. Few in this crate's own
/// tests, so that random operations reach it.
pub const MAX_AHEAD: usize = if cfg!(test) { 3 } else { 1000 };
/// Ready tasks that go before one of their job, from which on its holder is told to give it back. Twice as many as keep directories waiting,
/// so that who takes it again has something to do.
pub const MAX_BEFORE: usize = 2 * MAX_AHEAD;
/// A depth above this orders as this.
pub const MAX_DEPTH: u32 = 4095;
/// Entries that a job's ledger shows; those beyond are counted.
pub const MAX_FAILURES: usize = 10_000;
/// Events that a job's log keeps.
pub const MAX_EVENTS: usize = 1000;
/// Bytes of a path in the ledger.
pub const MAX_PATH: usize = 64 << 10;
/// Bytes of a message in the ledger or of the text of an event.
pub const MAX_TEXT: usize = 4 << 10;
/// Bytes of a job's profile.
pub const MAX_PROFILE: usize = 4 << 20;
/// Bytes of a signature key.
pub const MAX_KEY: usize = 64 << 10;
/// Bytes of one signature segment.
pub const MAX_SEGMENT: usize = 64 << 20;
/// Milliseconds beyond which a duration counts as this (about a hundred years), so that no sum of times overflows.
pub const MAX_MILLIS: u64 = 100 * 366 * 86_400_000;
