//! Checksums as the catalog writes them: `sha2:` + base64 of SHA-256, or MD5 in lower-case hex
//! without a prefix (server source 4.3). Which scheme an expected value uses is seen in its prefix.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};

/// The schemes that this zone computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// The default.
    Sha2,
    /// What old clients send.
    Md5,
}

impl Scheme {
    /// The scheme of a checksum; none for schemes that this zone does not compute.
    pub fn of(checksum: &str) -> Option<Self> {
        if checksum.starts_with("sha2:") {
            return Some(Self::Sha2);
        }
        (checksum.len() == 32 && checksum.bytes().all(|b| b.is_ascii_hexdigit()))
            .then_some(Self::Md5)
    }
}

/// A checksum in the making.
pub(crate) enum Hasher {
    /// SHA-256.
    Sha2(Sha256),
    /// MD5.
    Md5(Md5),
}

impl Hasher {
    /// Of no bytes.
    pub fn new(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Sha2 => Self::Sha2(Sha256::new()),
            Scheme::Md5 => Self::Md5(Md5::new()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha2(hash) => hash.update(bytes),
            Self::Md5(hash) => hash.update(bytes),
        }
    }

    /// Adds bytes of a file, up to an offset or its end. Blocks.
    pub fn read(&mut self, file: &File, mut from: u64, to: u64) -> io::Result<()> {
        let mut buffer = vec![0_u8; 256 * 1024];
        while from < to {
            let most = usize::try_from(to - from).unwrap_or(usize::MAX);
            let room = buffer.len().min(most);
            match file.read_at(&mut buffer[..room], from) {
                Ok(0) => break,
                Ok(n) => {
                    self.update(buffer.get(..n).unwrap_or_default());
                    from += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The text for the catalog.
    pub fn finish(self) -> String {
        match self {
            Self::Sha2(hash) => format!("sha2:{}", STANDARD.encode(hash.finalize())),
            Self::Md5(hash) => hash.finalize().iter().map(|b| format!("{b:02x}")).collect(),
        }
    }
}

/// Checksum of bytes in memory.
pub(crate) fn of_bytes(scheme: Scheme, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(scheme);
    hasher.update(bytes);
    hasher.finish()
}

/// Checksum of a whole file. Blocks.
pub(crate) fn of_file(scheme: Scheme, file: &File) -> io::Result<String> {
    let mut hasher = Hasher::new(scheme);
    hasher.read(file, 0, u64::MAX)?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn writes_what_the_catalog_of_a_real_server_holds() {
        // SHA-256 and MD5 of nothing, as published.
        assert_eq!(
            of_bytes(Scheme::Sha2, b""),
            "sha2:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
        assert_eq!(
            of_bytes(Scheme::Md5, b""),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(Scheme::of("sha2:x"), Some(Scheme::Sha2));
        assert_eq!(
            Scheme::of("d41d8cd98f00b204e9800998ecf8427e"),
            Some(Scheme::Md5)
        );
        assert_eq!(Scheme::of("adler32:00000001"), None);
        assert_eq!(Scheme::of(""), None);
    }

    #[test]
    fn a_file_gives_the_checksum_of_its_bytes() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        assert_eq!(
            of_file(Scheme::Sha2, &file).unwrap(),
            of_bytes(Scheme::Sha2, &bytes)
        );
    }
}
