//! An asynchronous iRODS client.
//!
//! ```no_run
//! use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};
//!
//! # async fn example() -> irods_client::Result<()> {
//! let environment = Environment::load()?;
//! let pool = Pool::new(environment, ConnectOptions::default(), PoolOptions::default());
//! let mut connection = pool.get().await?;
//! connection.create_collection("/tempZone/home/rods/a/b", true).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Connection`] makes one call at a time; a [`Pool`] keeps several and hands them out. Every wait has a limit
//! ([`Timeouts`]). Nothing is retried here: an [`Error`] says whether the server said no or could not be asked, whether the
//! request may have been carried out all the same, and how far the trouble reaches ([`Scope`]).
//!
//! Works with servers from 4.2 to 5.0: what a release lacks, or wants in another form, is known from the version that the server
//! announces. The environment file says whether there is TLS and whose certificates are trusted; logins are native or by
//! PAM.
//!
//! Requests take names as text, since no iRODS client can send others reliably; answers give names as bytes, since a catalog
//! may hold anything.

pub mod access;
pub mod collection;
mod connect;
pub mod connection;
mod counts;
mod create_all;
pub mod data_object;
pub mod environment;
pub mod error;
mod json;
mod login;
pub mod metadata;
mod observe;
mod pool;
pub mod query;
pub mod register;
pub mod replica;
mod session;
mod stream;
mod tls;
pub mod transfer;
mod wire;
pub mod zone_info;

pub use connect::ConnectOptions;
pub use connection::Connection;
pub use counts::CallCounts;
pub use create_all::{Answered, NewObject};
pub use environment::{Environment, EnvironmentError};
pub use error::{Error, Result, Scope};
pub use irods_protocol as protocol;
pub use observe::{CallObserver, Called};
pub use pool::{Pool, PoolOptions, Pooled};
pub use wire::Timeouts;
