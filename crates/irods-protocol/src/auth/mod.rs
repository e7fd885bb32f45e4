//! The arithmetic of logging in. No I/O and no randomness: what has to be random is an argument.
//!
//! - [`native`]: answers a challenge with a hash of it and the password; the session's signature.
//! - [`framework`]: the JSON texts of call 110000, in which servers from 4.3 on wrap the above.
//! - [`scramble`]: hides a password that is being set, from nobody who knows the old one.
//! - [`password_file`]: the client's `.irodsA`, which stores a password obfuscated.
//! - [`temporary`]: one-time passwords made of the own password and a text of the server's.
//!
//! Nothing here protects anything by itself: these schemes are from a time before TLS, and only TLS
//! makes them safe. No type prints a password in its `Debug` form.

pub mod framework;
pub mod native;
pub mod password_file;
pub mod scramble;
pub mod temporary;

use md5::{Digest, Md5};

/// The 77 characters that the obfuscations shift in, in their order. Anything else passes as it is.
const WHEEL: &[u8; 77] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!\"#$%&'()*+,-./";

/// Moves a character along the wheel, or back; `None` if it is not on it.
fn turn(byte: u8, by: usize, back: bool) -> Option<u8> {
    let at = WHEEL.iter().position(|&known| known == byte)?;
    let by = by % WHEEL.len();
    let by = if back { WHEEL.len() - by } else { by };
    WHEEL.get((at + by) % WHEEL.len()).copied()
}

/// The part of a text that C string functions see.
fn c_str(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// MD5 of texts put one behind the other, cut and padded with NUL to a length.
fn md5_padded(parts: &[&[u8]], length: usize) -> [u8; 16] {
    let mut buffer = parts.concat();
    buffer.resize(length, 0);
    Md5::digest(&buffer).into()
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The text of bytes that came from a text by changing ASCII characters into ASCII characters.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
