//! Moving bytes: whole files in ([`Put`]), and reading and writing open replicas ([`OpenReplica`]).
//!
//! A file that fits goes in one message with everything that belongs to it (`DATA_OBJ_PUT` with the bytes included); a larger
//! one is announced with its size by the same call and then written block by block over the same connection, while the next
//! blocks are read on another thread; over several, where [`crate::Pooled::put_in_streams`] is asked to. In all ways it is the
//! server that refuses to overwrite, so there is no gap between a check and the act.

mod append;
mod blocks;
mod clean_up;
mod in_flight;
mod included;
mod open;
mod parallel;
mod put;

pub use in_flight::OpenInfo;
pub use open::{OpenHow, OpenReplica, Whence};
pub use parallel::PARALLEL_FROM;
pub use put::{Put, PutChecksum, Stored};

/// Bytes of one block of a streamed transfer: what icommands write at a time.
pub const BLOCK: usize = 4 * 1024 * 1024;
