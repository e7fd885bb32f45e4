//! The engine: source -> scan -> plan -> apply -> account.

pub mod broker;
mod bytes_text;
pub mod core;
pub mod error;
pub mod naming;
pub mod patience;
pub mod plan;
pub mod shutdown;
pub mod signature;
pub mod source;
pub mod sync_irods;
pub mod sync_task;
pub mod worker;
