//! Scrambling of passwords that are being set, so that they do not travel in clear.
//!
//! Each character is turned along a wheel by a step of a ring made from a key; with chaining, also
//! by the character before. Version 2 has a prefix to tell it by, a key made of the caller's own
//! password and the session's signature, and chaining. python-irodsclient sends version 2;
//! `iadmin` and older clients send the plain form with the caller's own password as key, and
//! servers take either (recorded exchanges prc_users and icmd_iadmin).

use super::native::session_signature;
use super::{c_str, hex, md5_padded, text, turn};
use md5::{Digest, Md5};

/// How a version 2 text starts, but for its first byte, which is arbitrary.
const V2_MARK: &[u8] = b".ObfV2";
/// Bytes that a key is padded to.
const KEY_LEN: usize = 100;
/// Bytes of the first key that count in version 2.
const V2_FIRST_KEY_LEN: usize = 90;
/// Bytes of a text that version 2 takes.
const V2_TEXT_LEN: usize = 150;
/// Steps of the ring that are used.
const RING_STEPS: usize = 61;
/// Padding of a new password, and the part of it that a server looks for.
const PADDING: &str = "1gCBizHWbwIYyWLoysGzTe6SyzqFKMniZX05faZHWAwQKXf6Fs";
const PADDING_MARK: &str = "1gCBizHWbwIYyWLo";
/// Length that short passwords are padded to, and the least padding.
const PADDED_LEN: usize = 40;
const LEAST_PADDING: usize = 16;
/// Lengths of a password in bytes.
const SHORTEST: usize = 3;
/// Longest password that can be set, in bytes.
pub const LONGEST: usize = 42;

/// Why a new password cannot be sent, or what arrived is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than 3 bytes.
    #[error("a password has at least 3 bytes")]
    TooShort,
    /// More than [`LONGEST`] bytes.
    #[error("a password has at most 42 bytes")]
    TooLong,
    /// It has a NUL character.
    #[error("a password has no NUL character")]
    Nul,
    /// It was not scrambled with the password that the caller is known by.
    #[error("the new password was not scrambled with the caller's present one")]
    WrongKey,
}

impl PasswordError {
    /// The code that a real server answers for it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::WrongKey => crate::codes::CAT_PASSWORD_ENCODING_ERROR,
            Self::TooLong => crate::codes::PASSWORD_EXCEEDS_MAX_SIZE,
            Self::TooShort | Self::Nul => crate::codes::CAT_INVALID_ARGUMENT,
        }
    }
}

/// A new password as the caller of the connection sends it: version 2. `challenge` is the one that
/// the connection logged in by; `random` makes the first character differ from time to time.
///
/// # Errors
/// A password that no server would take.
pub fn new_password(
    password: &str,
    own_password: &str,
    challenge: &[u8],
    random: u8,
) -> Result<String, PasswordError> {
    let padded = pad(password)?;
    Ok(encode_v2(
        &padded,
        own_password,
        &session_signature(challenge),
        random,
    ))
}

/// What a server makes of a new password that it was sent, in either form.
///
/// # Errors
/// What arrived is no acceptable password, or none at all.
pub fn read_new_password(
    scrambled: &str,
    own_password: &str,
    challenge: &[u8],
) -> Result<String, PasswordError> {
    unpad(&decode_v2(
        scrambled,
        own_password,
        &session_signature(challenge),
    ))
}

/// The first password of a user that a group administrator makes: padded, in the plain form.
///
/// # Errors
/// A password that no server would take.
pub fn initial_password(password: &str, own_password: &str) -> Result<String, PasswordError> {
    Ok(encode(&pad(password)?, own_password))
}

/// What a server makes of a first password that it was sent.
///
/// # Errors
/// What arrived is no acceptable password, or none at all.
pub fn read_initial_password(scrambled: &str, own_password: &str) -> Result<String, PasswordError> {
    unpad(&decode(scrambled, own_password))
}

/// Scrambles in the plain form.
#[must_use]
pub fn encode(clear: &str, key: &str) -> String {
    run(
        clear.as_bytes(),
        key.as_bytes(),
        Mode {
            chained: false,
            back: false,
        },
    )
}

/// Undoes [`encode`]; with another key it gives another text, never an error.
#[must_use]
pub fn decode(scrambled: &str, key: &str) -> String {
    run(
        scrambled.as_bytes(),
        key.as_bytes(),
        Mode {
            chained: false,
            back: true,
        },
    )
}

/// Scrambles in version 2. Of the text, the first 150 bytes count.
#[must_use]
pub fn encode_v2(clear: &str, first_key: &str, second_key: &str, random: u8) -> String {
    let clear = c_str(clear.as_bytes());
    let clear = clear.get(..V2_TEXT_LEN).unwrap_or(clear);
    let salt = [b'A' + random % 26];
    let prefixed = [&salt, V2_MARK, clear].concat();
    run(
        &prefixed,
        &key_v2(first_key, second_key),
        Mode {
            chained: true,
            back: false,
        },
    )
}

/// Undoes [`encode_v2`]. A text that is not of version 2 under these keys is taken for the plain
/// form under the first key, as servers do.
#[must_use]
pub fn decode_v2(scrambled: &str, first_key: &str, second_key: &str) -> String {
    let mode = Mode {
        chained: true,
        back: true,
    };
    let clear = run(scrambled.as_bytes(), &key_v2(first_key, second_key), mode);
    match clear.get(1..).and_then(|rest| rest.strip_prefix(".ObfV2")) {
        Some(rest) => rest.to_owned(),
        None => decode(scrambled, first_key),
    }
}

fn key_v2(first: &str, second: &str) -> Vec<u8> {
    let first = c_str(first.as_bytes());
    let first = first.get(..V2_FIRST_KEY_LEN).unwrap_or(first);
    hex(&md5_padded(&[first, c_str(second.as_bytes())], KEY_LEN)).into_bytes()
}

#[derive(Clone, Copy)]
struct Mode {
    chained: bool,
    back: bool,
}

fn run(input: &[u8], key: &[u8], mode: Mode) -> String {
    let ring = ring(key);
    let mut chain = 0_usize;
    let steps = ring.iter().take(RING_STEPS).cycle();
    let output = c_str(input).iter().zip(steps).map(|(&byte, &step)| {
        let Some(turned) = turn(byte, usize::from(step) + chain, mode.back) else {
            return byte;
        };
        if mode.chained {
            chain = usize::from(if mode.back { byte } else { turned });
        }
        turned
    });
    text(output.collect())
}

fn ring(key: &[u8]) -> [u8; 64] {
    let first = md5_padded(&[c_str(key)], KEY_LEN);
    let second: [u8; 16] = Md5::digest(first).into();
    let third: [u8; 16] = Md5::digest([first, second].concat()).into();
    let mut ring = [0; 64];
    for (to, from) in ring.iter_mut().zip([first, second, third, third].concat()) {
        *to = from;
    }
    ring
}

fn pad(password: &str) -> Result<String, PasswordError> {
    check(password)?;
    let room = PADDED_LEN.saturating_sub(password.len());
    let padding = if room >= LEAST_PADDING {
        PADDING.get(..room).unwrap_or_default()
    } else {
        ""
    };
    Ok(format!("{password}{padding}"))
}

fn unpad(decoded: &str) -> Result<String, PasswordError> {
    let password = match decoded.find(PADDING_MARK) {
        Some(end) => decoded.get(..end).unwrap_or_default(),
        // Longer than any password unpadded: the key was another one.
        None if decoded.len() > 45 => return Err(PasswordError::WrongKey),
        None => decoded,
    };
    check(password)?;
    Ok(password.to_owned())
}

fn check(password: &str) -> Result<(), PasswordError> {
    match password.len() {
        _ if password.contains('\0') => Err(PasswordError::Nul),
        ..SHORTEST => Err(PasswordError::TooShort),
        SHORTEST..=LONGEST => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_python_irodsclient_sent() {
        // Recorded exchange prc_users, challenges of its connections 1 and 2.
        let cases = [
            (
                "9b%axG$5Hbs31qsEXBkRY/BvHgg1*l2JcJWZQM7xg*q+VoH",
                "rods",
                "4c1992d9302185add1df6557cce0b3d5c011347fb64432a7f9b40256c4057724",
                "bobpass",
            ),
            (
                "YnNF5I972n9kYYL'VJ3w$fU\"FvnqZnL)g!hN0s6+gkpWb2C",
                "bobpass",
                "808bcc45fa831f0bd5c535467b8c5e844799a930a57b91493066dfa0e61d5c16",
                "bobpass2",
            ),
        ];
        for (sent, own, challenge, clear) in cases {
            assert_eq!(
                read_new_password(sent, own, challenge.as_bytes()).as_deref(),
                Ok(clear)
            );
        }
    }

    #[test]
    fn reads_what_iadmin_sent() {
        // Recorded exchange icmd_iadmin: the plain form, with any challenge.
        let sent = "A6Pf4--rmKnkPg8.VLIPYM*yn,onJ5F15Q.U$Q!c";
        assert_eq!(
            read_new_password(sent, "rods", b"any").as_deref(),
            Ok("carlpw")
        );
        assert_eq!(initial_password("carlpw", "rods").as_deref(), Ok(sent));
        assert_eq!(read_initial_password(sent, "rods").as_deref(), Ok("carlpw"));
    }

    #[test]
    fn agrees_with_python_irodsclient_on_other_characters() {
        assert_eq!(encode("hello, World/~!", "secret"), "vk5uay uL/PM-~+");
        let chained = run(
            b"hello, World/~!",
            b"secret",
            Mode {
                chained: true,
                back: false,
            },
        );
        assert_eq!(chained, "vA)KY+ ML.*#W~5");
    }

    #[test]
    fn refuses_what_cannot_be_a_password() {
        let new = |password: &str| new_password(password, "own", b"challenge", 0);
        assert_eq!(new("ab"), Err(PasswordError::TooShort));
        assert_eq!(new(&"a".repeat(43)), Err(PasswordError::TooLong));
        assert_eq!(new("abc\0def"), Err(PasswordError::Nul));
        assert!(new("abc").is_ok() && new(&"a".repeat(42)).is_ok());
        let sent = new("abcdef").unwrap();
        assert_eq!(
            read_new_password(&sent, "other", b"challenge"),
            Err(PasswordError::WrongKey)
        );
        assert_eq!(
            read_new_password(&sent, "own", b"Challenge"),
            Err(PasswordError::WrongKey)
        );
        assert_eq!(
            read_new_password("", "own", b"c"),
            Err(PasswordError::TooShort)
        );
    }

    #[test]
    fn padding_ends_where_it_would_be_too_short_to_find() {
        assert_eq!(pad("abc").unwrap().len(), 40);
        assert_eq!(pad(&"a".repeat(24)).unwrap().len(), 40);
        assert_eq!(pad(&"a".repeat(25)).unwrap().len(), 25);
    }

    proptest! {
        #[test]
        fn passwords_arrive(
            password in "[!-~]{3,42}", own in "\\PC{0,60}", challenge in "[0-9a-f]{64}", random: u8
        ) {
            let sent = new_password(&password, &own, challenge.as_bytes(), random).unwrap();
            let read = read_new_password(&sent, &own, challenge.as_bytes());
            prop_assert_eq!(read.as_deref(), Ok(password.as_str()));
        }

        #[test]
        fn any_text_decodes_to_something(scrambled: String, own: String, challenge: Vec<u8>) {
            let _ = read_new_password(&scrambled, &own, &challenge);
            let _ = read_initial_password(&scrambled, &own);
            prop_assert_eq!(decode(&encode(&scrambled, &own), &own), scrambled.split('\0').next().unwrap());
        }
    }
}
