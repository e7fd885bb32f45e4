//! Bytes <-> typed messages of the iRODS protocol. No I/O, no clock, no threads.
//!
//! # The protocol in one page
//! Every message is a [`header`] and up to three sections: a packed structure, a packed error stack, raw bytes
//! ([`frame`]). Structures are listed in [`message`], each once, and [`pack`] turns them into either wire form: tagged
//! text ([`xml`]) or binary ([`native`]); the client's start-up pack chooses which.
//!
//! A connection goes: `RODS_CONNECT` with [`message::StartupPack`]; optionally `RODS_CS_NEG_T` both ways
//! ([`message::CsNeg`]); `RODS_VERSION` with [`message::Version`]; perhaps TLS; then `RODS_API_REQ` / `RODS_API_REPLY`
//! pairs, numbered in [`api`], the first of which log in ([`auth`]). A reply's `intInfo` is a result or one of
//! [`codes`]. `RODS_DISCONNECT` ends it.
//!
//! Everything here is total: any bytes give a value or a typed error, and memory follows the bytes received.
//!
//! # Reading order
//! [`limits`], [`header`], [`frame`], [`pack`], [`message`], then the tables [`api`], [`codes`], [`columns`],
//! [`keywords`], and [`version`] for what differs between servers.

pub mod api;
pub mod auth;
pub mod codes;
pub mod columns;
pub mod error;
pub mod frame;
pub mod header;
pub mod keywords;
pub mod limits;
pub mod message;
pub mod native;
pub mod pack;
pub mod path;
#[cfg(test)]
pub(crate) mod sample;
pub mod version;
pub mod xml;

pub use error::{FrameError, PackError, UnpackError};
pub use pack::{Form, Packing, Pi};
