//! ETags as hashes of content: the MD5 of what was uploaded at once; the MD5 of the parts' MD5s, with their number, of what was
//! uploaded in parts. Pure.
//!
//! What else an ETag may be (with a key service's keys, on other people's servers) proves nothing, and is left alone.

use md5::{Digest, Md5};

/// The content as it comes, and the hash that it should have.
#[derive(Debug)]
pub(super) struct Expected {
    hash: [u8; 16],
    parts: Option<Parts>,
    running: Md5,
}

#[derive(Debug)]
struct Parts {
    /// Bytes of all parts but the last.
    size: u64,
    /// Bytes that the current one has still room for.
    room: u64,
    hashes: Md5,
}

impl Expected {
    /// Whether this is the ETag of an upload in parts.
    pub(super) fn is_of_parts(etag: &str) -> bool {
        matches!(parse(etag), Some((_, Some(_))))
    }

    /// `None` where nothing is to be expected: the ETag is no such hash, or parts of `part` bytes would not be as many as it says
    /// for `total` bytes.
    pub(super) fn new(etag: &str, part: u64, total: u64) -> Option<Self> {
        let (hash, count) = parse(etag)?;
        let parts = match count {
            None => None,
            Some(count) if part > 0 && total.div_ceil(part) == count => Some(Parts {
                size: part,
                room: part,
                hashes: Md5::new(),
            }),
            Some(_) => return None,
        };
        Some(Expected {
            hash,
            parts,
            running: Md5::new(),
        })
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let Some(parts) = &mut self.parts else {
            return self.running.update(bytes);
        };
        while !bytes.is_empty() {
            let room = usize::try_from(parts.room).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.running.update(now);
            parts.room -= now.len() as u64;
            if parts.room == 0 {
                parts.hashes.update(self.running.finalize_reset());
                parts.room = parts.size;
            }
            bytes = later;
        }
    }

    /// Whether what came is what was expected, all of it having come.
    pub(super) fn holds(&self) -> bool {
        let running = self.running.clone().finalize();
        let found = match &self.parts {
            None => running,
            Some(parts) => {
                let mut hashes = parts.hashes.clone();
                if parts.room < parts.size {
                    hashes.update(running);
                }
                hashes.finalize()
            }
        };
        found.as_slice() == self.hash
    }
}

/// The hash and, with `-N` behind it, the number of parts.
fn parse(etag: &str) -> Option<([u8; 16], Option<u64>)> {
    let etag = etag.trim_matches('"');
    let (hex, parts) = match etag.split_once('-') {
        Some((hex, parts)) => (hex, Some(parts.parse().ok()?)),
        None => (etag, None),
    };
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    let mut hash = [0; 16];
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().as_chunks::<2>().0) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some((hash, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(etag: &str, part: u64, pieces: &[&[u8]]) -> Option<bool> {
        let total = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut expected = Expected::new(etag, part, total)?;
        for piece in pieces {
            expected.update(piece);
        }
        Some(expected.holds())
    }

    #[test]
    fn one_hash_of_all() {
        // md5sum of "hello".
        let etag = "\"5d41402abc4b2a76b9719d911017c592\"";
        assert_eq!(holds(etag, 0, &[b"he", b"llo"]), Some(true));
        assert_eq!(holds(etag, 0, &[b"he", b"lla"]), Some(false));
        assert_eq!(
            holds("\"d41d8cd98f00b204e9800998ecf8427e\"", 0, &[]),
            Some(true)
        );
    }

    #[test]
    fn a_hash_of_hashes() {
        // md5sum of the 16 + 16 bytes of the md5sums of "hello" and "world".
        let etag = "\"065947336a2f2a95ba8899f3675c3be6-2\"";
        assert_eq!(holds(etag, 5, &[b"hel", b"lowor", b"ld"]), Some(true));
        assert_eq!(holds(etag, 5, &[b"hello", b"worle"]), Some(false));
        // Parts of another size would be another number of them.
        assert_eq!(holds(etag, 4, &[b"hello", b"world"]), None);
    }

    #[test]
    fn what_is_no_hash_proves_nothing() {
        for etag in [
            "",
            "\"abc\"",
            "5d41402abc4b2a76b9719d911017c59z",
            "5d41402abc4b2a76b9719d911017c592-x",
            "ü5d41402abc4b2a76b9719d911017c59",
        ] {
            assert_eq!(holds(etag, 5, &[b"hello"]), None, "{etag}");
        }
    }
}
