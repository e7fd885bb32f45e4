//! Every structure that crosses the wire, each defined once for both packings. Field names on the wire are the
//! documentation of the fields: the server's packing instructions use the same words.

mod access;
mod admin;
mod bulk;
mod collection;
mod common;
mod data_object;
mod info;
mod metadata;
mod query;
mod startup;

pub use access::*;
pub use admin::*;
pub use bulk::*;
pub use collection::*;
pub use common::*;
pub use data_object::*;
pub use info::*;
pub use metadata::*;
pub use query::*;
pub use startup::*;
