//! Logical paths as the catalog accepts them.

use irods_protocol::path;

use super::error::{CatalogError, Result, code};

/// The path without trailing slashes, checked.
///
/// # Errors
/// `USER_INPUT_PATH_ERR` if it is no logical path.
pub fn checked(text: &str) -> Result<&str> {
    let trimmed = text.trim_end_matches('/');
    path::check(trimmed)
        .map_err(|e| CatalogError::new(code::USER_INPUT_PATH_ERR, format!("{text:?}: {e}")))?;
    Ok(trimmed)
}

/// Collection and name of a checked path. The collection of `/z` is `/`.
pub fn split(text: &str) -> Result<(&str, &str)> {
    path::split(checked(text)?)
        .ok_or_else(|| CatalogError::new(code::USER_INPUT_PATH_ERR, format!("{text:?}: no parent")))
}

/// Bounds (inclusive, exclusive) of the names of everything below a collection, in byte order.
/// `0` is the character after `/`.
#[must_use]
pub fn below_bounds(collection: &str) -> (String, String) {
    let base = collection.trim_end_matches('/');
    (format!("{base}/"), format!("{base}0"))
}
