//! Catalog time: text of seconds since the epoch, zero-padded to 11 digits.

use std::time::{SystemTime, UNIX_EPOCH};

/// The present second as the catalog stores it, e.g. `01700000000`.
#[must_use]
pub fn now() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    from_seconds(seconds)
}

/// Seconds since the epoch as the catalog stores them.
#[must_use]
pub fn from_seconds(seconds: u64) -> String {
    format!("{seconds:011}")
}

/// Pads a client's time text to 11 digits, as real servers do on modification (server source 4.3);
/// text that is no number stays as it is.
#[must_use]
pub fn padded(text: &str) -> String {
    if text.len() < 11 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        format!("{text:0>11}")
    } else {
        text.to_owned()
    }
}
