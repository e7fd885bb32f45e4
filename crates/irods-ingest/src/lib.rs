//! The engine: source -> scan -> plan -> apply -> account.

pub mod broker;
pub mod naming;
pub mod plan;
pub mod signature;
pub mod source;
