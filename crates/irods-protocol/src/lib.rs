//! Bytes <-> typed messages of the iRODS protocol. No I/O, no clock, no threads.

pub mod api;
pub mod auth;
pub mod codes;
pub mod columns;
pub mod keywords;
pub mod path;
pub mod version;
