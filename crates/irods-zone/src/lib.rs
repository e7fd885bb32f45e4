//! The embedded zone: an iRODS-protocol server over an SQLite catalog and a vault directory, for
//! trials, tests, CI and one-machine use.
//!
//! [`Zone::start`] opens a directory and listens; any iRODS client connects with
//! `IRODS_ENVIRONMENT_FILE=DIR/irods_environment.json`.
//!
//! # Reading order
//! A connection: `server` (accepts) -> `agent` (start-up, TLS, one call after the other) -> `api` (a handler
//! a call) -> [`catalog`] (who may see and change what) and `vault` (bytes on disk). `session` is what
//! one connection knows, `writing` what connections share about replicas in flight. The bytes of a large write are
//! the exception: they stay on the wire when the handler begins, and go through a `pipe` into their file; `following` computes a
//! checksum behind them.
//!
//! For tests of clients a zone can be as bad as real servers and networks are now and then: [`Harsh`].
//!
//! # What is not imitated
//! Rule engines, enforced quotas, federation with other zones, transfers over ports of
//! their own, special collections. A call that is not served is answered at once with
//! `SYS_UNMATCHED_API_NUM` (real servers from 4.3 on stay silent). Renaming moves no file in the vault.

mod after;
mod agent;
mod api;
pub mod catalog;
mod checksum;
mod connection;
mod counters;
mod descriptor;
mod following;
mod harsh;
mod home;
mod locks;
mod pam_file;
mod pipe;
mod placement;
mod reply;
mod s3;
mod server;
mod session;
mod store;
mod tls;
mod vault;
mod wire;
mod writing;
mod zone;

pub use harsh::Harsh;
pub use home::Running;
pub use tls::{Certificate, TlsOptions};
pub use zone::{
    ADMIN, DEFAULT_RESOURCE, Joined, ServerLimits, StartError, ZONE_NAME, Zone, ZoneOptions,
};
