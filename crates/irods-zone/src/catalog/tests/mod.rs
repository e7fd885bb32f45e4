//! The catalog's behaviour by concern; what is private to a file is tested there.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod collections;
mod data_objects;
mod metadata;
mod replicas;
mod resources;
mod threads;
mod users;

use super::error::{CatalogError, Result, code};

/// The code of a failure.
fn code_of<T: std::fmt::Debug>(result: Result<T>) -> i32 {
    result.unwrap_err().code
}
