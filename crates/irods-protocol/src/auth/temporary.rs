//! Temporary passwords: the server gives a text, and both sides hash it with a password that they
//! share (the user's own; an administrator's own where it is for another user).

use super::{c_str, hex, md5_padded};

/// Bytes that text and password are padded to before they are hashed.
const HASHED_LEN: usize = 100;

/// The temporary password of a text that `GET_TEMP_PASSWORD` and its like answered with: 32
/// hexadecimal digits (server source 4.2 to 5.0).
#[must_use]
pub fn password(string_to_hash_with: &str, own_password: &str) -> String {
    let parts = [
        c_str(string_to_hash_with.as_bytes()),
        c_str(own_password.as_bytes()),
    ];
    hex(&md5_padded(&parts, HASHED_LEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_hash_of_both_in_order() {
        // The text of recorded exchange prc_users; value by python-irodsclient 3.3.0.
        assert_eq!(
            password("d6656c1886787fbbbd1d2d53f2783bfeee4866ebf6d", "rods"),
            "a16c35dbd2c448128926621508213e2e"
        );
        assert_ne!(password("a", "b"), password("b", "a"));
        assert_eq!(password("a\0x", "b\0y"), password("a", "b"));
    }
}
