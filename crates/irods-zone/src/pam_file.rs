//! The password file behind `pam_password`, in place of an operating system's accounts.
//!
//! A line each `USER:SECRET`. The secret is the hash that `openssl passwd -6` or `-5` prints (SHA-crypt,
//! `$6$...` or `$5$...`, as in `/etc/shadow`), or the password itself where it does not begin with `$`.
//! Empty lines and lines that begin with `#` say nothing. The file is read at every login, so that a
//! change counts at once; it is never written.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use sha_crypt::{PasswordHashRef, PasswordVerifier, ShaCrypt};
use sha2::{Digest, Sha256};

/// Longest file that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Longest password that is hashed; more would only cost time.
const MAX_PASSWORD: usize = 512;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PamFileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is too large")]
    TooLarge,
    #[error("line {0} is not USER:PASSWORD or USER:HASH with a hash of `openssl passwd -6`")]
    Line(usize),
}

/// Secrets by user.
pub(crate) struct PamFile(BTreeMap<String, String>);

impl PamFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, PamFileError> {
        let mut text = String::new();
        let mut file = std::fs::File::open(path)?;
        file.by_ref()
            .take(MAX_BYTES + 1)
            .read_to_string(&mut text)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(PamFileError::TooLarge);
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, PamFileError> {
        let mut secrets = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, secret) = line
                .split_once(':')
                .filter(|(user, secret)| {
                    !user.is_empty() && !secret.is_empty() && is_usable(secret)
                })
                .ok_or(PamFileError::Line(number + 1))?;
            secrets.insert(user.to_owned(), secret.to_owned());
        }
        Ok(Self(secrets))
    }

    /// Whether a password is the user's. Takes long on purpose where the secret is a hash.
    pub fn accepts(&self, user: &str, password: &str) -> bool {
        let Some(secret) = self.0.get(user).filter(|_| password.len() <= MAX_PASSWORD) else {
            return false;
        };
        match hash_of(secret) {
            Some(hash) => ShaCrypt::SHA512
                .verify_password(password.as_bytes(), hash)
                .is_ok(),
            // Equal hashes, so that the time says nothing about where they differ.
            None => Sha256::digest(secret) == Sha256::digest(password),
        }
    }
}

fn is_usable(secret: &str) -> bool {
    !secret.starts_with('$') || hash_of(secret).is_some()
}

fn hash_of(secret: &str) -> Option<&PasswordHashRef> {
    let known = secret.starts_with("$5$") || secret.starts_with("$6$");
    PasswordHashRef::new(secret).ok().filter(|_| known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HASH6: &str =
        "As4wrv0kZlfch1du9WeH7qhskyLriQWySXrZzynnvi46nFnNxjdpl6ksRegrrKexvhIa/Iny8S8uF3fVWTMuC1";
    const HASH5: &str = "HEqIcXsQ/VGqsnpY.FzO0H2YCzkgwtok90ffVQH3RpB";

    #[test]
    fn passwords_and_hashes_are_known() {
        // Made with: openssl passwd -6 -salt saltsalt s3cret, and -5 with another salt.
        let text = "# people\n\
            alice:s3c:ret\n\n\
            bob:$6$saltsalt$HASH6\n\
            carol:$5$pepper$HASH5\r\n";
        let text = text.replace("HASH6", HASH6).replace("HASH5", HASH5);
        let file = PamFile::parse(&text).unwrap();
        for (user, password, accepted) in [
            ("alice", "s3c:ret", true),
            ("alice", "s3c", false),
            ("alice", "", false),
            ("bob", "s3cret", true),
            ("bob", "s3cre", false),
            ("carol", "s3cret", true),
            ("carol", "S3cret", false),
            ("dave", "s3cret", false),
            ("", "", false),
        ] {
            assert_eq!(file.accepts(user, password), accepted, "{user} {password}");
        }
        assert!(!file.accepts("bob", &"x".repeat(100_000)));
    }

    #[test]
    fn lines_that_say_nothing_clear_are_refused() {
        for bad in [
            "alice",
            ":x",
            "alice:",
            "alice:$1$abc$def",
            "alice:$6",
            "a:b\n\nc",
        ] {
            assert!(PamFile::parse(bad).is_err(), "{bad:?}");
        }
        assert!(matches!(
            PamFile::parse("a:b\n\nc"),
            Err(PamFileError::Line(3))
        ));
    }
}
