//! Passwords at rest: reversible, since the login protocol needs the clear text, but not readable at
//! a glance. What protects them is the mode of the catalog file; this is no encryption against
//! somebody who has the file, as it holds the key too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::error::{CatalogError, Result, code};

const KEY: &str = "password_key";
const NONCE_LEN: usize = 16;

/// Gives a new catalog its key.
pub(crate) fn insert_key(conn: &Connection) -> rusqlite::Result<()> {
    let key = STANDARD.encode(rand::random::<[u8; 32]>());
    conn.execute(
        "INSERT INTO catalog_info (name, value) VALUES (?1, ?2)",
        [KEY, &key],
    )?;
    Ok(())
}

/// The catalog's key.
pub(crate) fn key(conn: &Connection) -> Result<Vec<u8>> {
    let text: String = conn
        .prepare_cached("SELECT value FROM catalog_info WHERE name = ?1")?
        .query_row([KEY], |row| row.get(0))?;
    STANDARD.decode(text).map_err(|_| damaged())
}

/// The stored form of a password.
pub(crate) fn hide(key: &[u8], clear: &str) -> String {
    let nonce = rand::random::<[u8; NONCE_LEN]>();
    let mut stored = nonce.to_vec();
    stored.extend(clear.bytes().zip(stream(key, &nonce)).map(|(a, b)| a ^ b));
    STANDARD.encode(stored)
}

/// The password of a stored form.
pub(crate) fn reveal(key: &[u8], stored: &str) -> Result<String> {
    let bytes = STANDARD.decode(stored).map_err(|_| damaged())?;
    let (nonce, hidden) = bytes.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
    let clear = hidden
        .iter()
        .zip(stream(key, nonce))
        .map(|(a, b)| a ^ b)
        .collect();
    String::from_utf8(clear).map_err(|_| damaged())
}

/// SHA-256 of key, nonce and a counter, block after block.
fn stream(key: &[u8], nonce: &[u8]) -> impl Iterator<Item = u8> {
    let seed = [key, nonce].concat();
    (0_u64..).flat_map(move |counter| {
        let mut hash = Sha256::new();
        hash.update(&seed);
        hash.update(counter.to_be_bytes());
        <[u8; 32]>::from(hash.finalize())
    })
}

fn damaged() -> CatalogError {
    CatalogError::new(code::CAT_SQL_ERR, "a stored password is damaged")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hidden_passwords_come_back() {
        let key = [7; 32];
        for clear in ["abc", "", "pässwörd with 40 or more bytes in it, x"] {
            let stored = hide(&key, clear);
            assert!(!stored.contains("abc"));
            assert_eq!(reveal(&key, &stored).unwrap(), clear);
            assert_ne!(hide(&key, clear), stored);
        }
        assert!(reveal(&key, "AAAA").is_err());
        assert!(reveal(&key, "not base64!").is_err());
    }
}
