//! The engine: what is done with a tree, and the account of it.
//!
//! # The way of a file
//! [`source`] lists a directory -> [`sync_task`] compares it with its [`signature`]s, queues what is new or changed, and works
//! on it file by file -> [`plan`] decides, without I/O -> [`core`] puts hooks around the action -> [`sync_irods`] is the action, as
//! calls to the [`zone`] -> [`broker`] takes the completion: counters, signatures, failures and what is tried again, at once.
//!
//! [`spec`] is what a job is, [`context`] what everything that is done for it has in common. [`naming`] says what an entry is called in the zone. [`worker`] is the loop that leases tasks and runs them, [`shutdown`] tells
//! it to leave, [`patience`] waits for what will come back, with [`breaker`] for the zone, [`units`] reads what people type, and [`error`] says how far a failure reaches.
//!
//! # Running a job
//! [`sync_task::job::start_synchronization`] checks and queues it; a [`worker::Worker`] with `until_ended` does it and
//! returns; [`broker::Broker::job`] then has its totals, [`broker::Broker::failures`] its ledger.

pub mod breaker;
pub mod broker;
mod bytes_text;
mod chance;
pub mod context;
pub mod core;
pub mod error;
pub mod naming;
pub mod patience;
pub mod plan;
pub mod profile;
mod rate;
pub mod shutdown;
pub mod signature;
#[cfg(test)]
mod simulation;
pub mod source;
pub mod spec;
pub mod survey;
pub mod sync_irods;
pub mod sync_task;
pub mod units;
pub mod worker;
pub mod zone;
