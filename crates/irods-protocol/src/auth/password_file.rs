//! The client's password file, `~/.irods/.irodsA`.
//!
//! A dot, five obfuscated header characters that tell the table row and the file's time, the row
//! again in clear, the obfuscated password, a NUL. The obfuscation depends on the numeric user id.
//! C++ clients refuse a file whose header disagrees with its modification time by more than 20
//! seconds; reading here is lenient, as in python-irodsclient, so that copied files work.

use super::{c_str, text, turn};

/// Longest password that the file holds, in bytes.
pub const LONGEST: usize = 42;

/// Rows of the obfuscation table; a row is five bits a character, three bits apart.
const ROWS: [u32; 16] = [
    0xd768_b678,
    0xedfd_af56,
    0x2420_231b,
    0x9870_98d8,
    0xc1bd_feee,
    0xf572_341f,
    0x478d_ef3a,
    0xa830_d343,
    0x774d_fa2a,
    0x6720_731e,
    0x346f_a320,
    0x6ffd_f43a,
    0x7723_a320,
    0xdf67_d02e,
    0x86ad_240a,
    0xe76d_342e,
];
/// Bits of the user id that count.
const UID_MASK: u32 = 0xf5f;
/// Characters in front of the password: the dot, the header, the row.
const HEADER_LEN: usize = 5;
const ROW_AT: usize = 6;
const PASSWORD_AT: usize = 7;

/// Why a password file cannot be read, or not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFileError {
    /// It does not start as one.
    #[error("not a password file of iRODS")]
    Malformed,
    /// The password is longer than [`LONGEST`] bytes, or has a NUL character.
    #[error("the password file holds at most 42 bytes without NUL")]
    Unstorable,
}

/// Content of a password file. `seconds` is the modification time that the file will have (Unix
/// time); `random` chooses the table's row.
///
/// # Errors
/// A password that the file cannot hold.
pub fn encode(
    password: &str,
    uid: u32,
    seconds: u64,
    random: u8,
) -> Result<Vec<u8>, PasswordFileError> {
    if password.len() > LONGEST || password.contains('\0') {
        return Err(PasswordFileError::Unstorable);
    }
    let row = random & 15;
    let nibble = |shift: u32| b'a' + u8::try_from((seconds >> shift) & 15).unwrap_or(0);
    let header = [
        b'S' - 2 * (row & 7),
        nibble(4),
        nibble(0),
        nibble(12),
        nibble(8),
    ];
    let clear = [&header, password.as_bytes()].concat();
    let steps = steps(row, uid);
    let hidden = clear
        .iter()
        .zip(steps)
        .map(|(&byte, by)| turn(byte, by, false).unwrap_or(byte));
    let mut content = vec![b'.'];
    content.extend(hidden);
    content.insert(ROW_AT, b'e' + row);
    content.push(0);
    Ok(content)
}

/// The password of a file's content, for the user with that id. Another user's id gives another
/// text, not an error. What follows a NUL is ignored, and a line end where there is no NUL.
///
/// # Errors
/// The content is no password file.
pub fn decode(content: &[u8], uid: u32) -> Result<String, PasswordFileError> {
    let content = match content.contains(&0) {
        true => c_str(content),
        false => content.trim_ascii_end(),
    };
    let row = content
        .get(ROW_AT)
        .and_then(|row| row.checked_sub(b'e'))
        .filter(|&row| row < 16);
    let (Some(b'.'), Some(row), Some(hidden)) = (content.first(), row, content.get(PASSWORD_AT..))
    else {
        return Err(PasswordFileError::Malformed);
    };
    let steps = steps(row, uid).skip(HEADER_LEN);
    let clear: Vec<u8> = hidden
        .iter()
        .zip(steps)
        .map(|(&byte, by)| turn(byte, by, true).unwrap_or(byte))
        .collect();
    if clear.len() > LONGEST || std::str::from_utf8(&clear).is_err() {
        return Err(PasswordFileError::Malformed);
    }
    Ok(text(clear))
}

/// How far each character is turned.
fn steps(row: u8, uid: u32) -> impl Iterator<Item = usize> {
    let bits = ROWS.get(usize::from(row)).copied().unwrap_or_default();
    let shifts = (0..=28).step_by(3).cycle();
    shifts.map(move |shift: u32| {
        let by = ((bits >> shift) & 0x1f) + (uid & UID_MASK);
        usize::try_from(by).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_python_irodsclient() {
        for (password, uid, seconds, content) in [
            ("rods", 0, 0, ".qpz\"le)/%0\0"),
            ("rods", 1000, 1700000000, ".jis*fe\"(x)\0"),
            ("a b'!/~", 998, 1732431234, ".hos%pei t52E~\0"),
            (
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                65534,
                1,
                ".xw()se6FGCFD4EG06FGCFD4EG06FGCFD4EG06FGCFD4EG06F\0",
            ),
        ] {
            let ours = encode(password, uid, seconds, 0).unwrap();
            assert_eq!(ours, content.as_bytes(), "{password:?}");
            assert_eq!(decode(content.as_bytes(), uid).as_deref(), Ok(password));
        }
    }

    #[test]
    fn tells_what_is_no_password_file() {
        for bad in [
            "",
            ".",
            "rods",
            ".aaaaa",
            "aaaaaaepassword",
            ".aaaaa\u{7f}x",
            ".aaaaa!x",
        ] {
            assert_eq!(
                decode(bad.as_bytes(), 0),
                Err(PasswordFileError::Malformed),
                "{bad:?}"
            );
        }
        assert_eq!(decode(b".aaaaae\n", 0).as_deref(), Ok(""));
        assert_eq!(
            encode(&"x".repeat(43), 0, 0, 0),
            Err(PasswordFileError::Unstorable)
        );
        assert_eq!(encode("a\0b", 0, 0, 0), Err(PasswordFileError::Unstorable));
    }

    proptest! {
        #[test]
        fn comes_back(password in "[!-~]{0,42}", uid: u32, seconds: u64, random: u8) {
            let content = encode(&password, uid, seconds, random).unwrap();
            prop_assert_eq!(decode(&content, uid), Ok(password));
        }

        #[test]
        fn any_bytes_are_a_password_or_an_error(content: Vec<u8>, uid: u32) {
            let _ = decode(&content, uid);
        }
    }
}
