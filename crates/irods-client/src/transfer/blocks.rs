//! Reading a source ahead of the network, on a thread of its own, hashing on the way.

use std::io::{self, Read};
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::BLOCK;
use crate::environment::HashScheme;

/// Blocks read and not yet sent.
const AHEAD: usize = 2;
/// Bytes that are hashed as soon as they are read, while the processor's cache has them.
const PIECE: usize = 256 * 1024;
/// Blocks whose memory is kept while nothing is in it.
const SPARES: usize = 8;

/// A checksum in the making, in the form of the catalog.
#[derive(Debug, Clone)]
pub(super) enum Checksum {
    /// `sha2:` and base64.
    Sha256(Sha256),
    /// Hexadecimal, without a prefix.
    Md5(Md5),
}

impl Checksum {
    pub(super) fn new(scheme: HashScheme) -> Self {
        match scheme {
            HashScheme::Sha256 => Checksum::Sha256(Sha256::new()),
            HashScheme::Md5 => Checksum::Md5(Md5::new()),
        }
    }

    pub(super) fn of(scheme: HashScheme, bytes: &[u8]) -> String {
        let mut checksum = Checksum::new(scheme);
        checksum.update(bytes);
        checksum.text()
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Checksum::Sha256(hash) => hash.update(bytes),
            Checksum::Md5(hash) => hash.update(bytes),
        }
    }

    fn text(self) -> String {
        match self {
            Checksum::Sha256(hash) => format!("sha2:{}", STANDARD.encode(hash.finalize())),
            Checksum::Md5(hash) => hash.finalize().iter().map(|b| format!("{b:02x}")).collect(),
        }
    }
}

/// What was read in the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// Bytes read, at most the size that was asked for.
    pub(super) bytes: u64,
    /// There was more.
    pub(super) more: bool,
    /// Checksum of what was read, if wanted.
    pub(super) checksum: Option<String>,
}

/// Bytes of a source; their memory is used again for later ones.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    spare: mpsc::Sender<Vec<u8>>,
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // Too many, or nobody reads any more.
        let _ = self.spare.try_send(std::mem::take(&mut self.bytes));
    }
}

/// A source being read ahead. Dropping it ends the reading at the next block.
#[derive(Debug)]
pub(super) struct ReadAhead {
    blocks: mpsc::Receiver<Block>,
    reader: JoinHandle<io::Result<Summary>>,
}

impl ReadAhead {
    /// Reads up to `size` bytes; whether there are more is found out too.
    pub(super) fn start(
        source: impl Read + Send + 'static,
        size: u64,
        scheme: Option<HashScheme>,
    ) -> Self {
        let (sender, blocks) = mpsc::channel(AHEAD);
        let reader = tokio::task::spawn_blocking(move || read(source, size, scheme, &sender));
        ReadAhead { blocks, reader }
    }

    /// The next block, never empty; `None` at the end, and after a failure.
    pub(super) async fn next(&mut self) -> Option<Block> {
        self.blocks.recv().await
    }

    /// What was read; to be asked after the last block.
    pub(super) async fn finish(self) -> io::Result<Summary> {
        drop(self.blocks);
        self.reader
            .await
            .unwrap_or_else(|e| Err(io::Error::other(e)))
    }
}

/// Reads everything into memory at once: for what goes into one message.
pub(super) async fn read_whole(
    source: impl Read + Send + 'static,
    size: u64,
    scheme: Option<HashScheme>,
) -> io::Result<(Vec<u8>, Summary)> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut source = source;
        let mut checksum = scheme.map(Checksum::new);
        let bytes = read_block(&mut source, size, usize::MAX, Vec::new(), checksum.as_mut())?;
        let summary = Summary {
            bytes: bytes.len() as u64,
            more: bytes.len() as u64 == size && has_more(&mut source)?,
            checksum: checksum.map(Checksum::text),
        };
        Ok((bytes, summary))
    });
    reading.await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

fn read(
    mut source: impl Read,
    size: u64,
    scheme: Option<HashScheme>,
    sender: &mpsc::Sender<Block>,
) -> io::Result<Summary> {
    let (spare, mut spares) = mpsc::channel(SPARES);
    let mut checksum = scheme.map(Checksum::new);
    let mut left = size;
    while left > 0 {
        let memory = spares.try_recv().unwrap_or_default();
        let bytes = read_block(&mut source, left, BLOCK, memory, checksum.as_mut())?;
        if bytes.is_empty() {
            break;
        }
        left -= bytes.len() as u64;
        let spare = spare.clone();
        let block = Block { bytes, spare };
        if sender.blocking_send(block).is_err() {
            // Nobody wants the rest.
            break;
        }
    }
    Ok(Summary {
        bytes: size - left,
        more: left == 0 && has_more(&mut source)?,
        checksum: checksum.map(Checksum::text),
    })
}

/// Reads until the block is full, `size` bytes are there, or the source ends; into this memory, whatever is in it, and hashes what
/// it reads.
fn read_block(
    source: &mut impl Read,
    size: u64,
    block: usize,
    mut bytes: Vec<u8>,
    mut checksum: Option<&mut Checksum>,
) -> io::Result<Vec<u8>> {
    let want = usize::try_from(size).unwrap_or(usize::MAX).min(block);
    bytes.reserve(want.min(BLOCK).saturating_sub(bytes.len()));
    let mut filled = 0;
    while filled < want {
        let end = want.min(filled + PIECE);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        let read = read_some(source, &mut bytes[filled..end])?;
        if read == 0 {
            break;
        }
        if let Some(checksum) = &mut checksum {
            checksum.update(&bytes[filled..filled + read]);
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn has_more(source: &mut impl Read) -> io::Result<bool> {
    Ok(read_some(source, &mut [0])? > 0)
}

/// One read, which no signal interrupts.
fn read_some(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHA256: HashScheme = HashScheme::Sha256;

    async fn all(bytes: Vec<u8>, size: u64) -> (Vec<usize>, Summary) {
        let mut ahead = ReadAhead::start(io::Cursor::new(bytes), size, Some(SHA256));
        let mut blocks = Vec::new();
        while let Some(block) = ahead.next().await {
            blocks.push(block.len());
        }
        (blocks, ahead.finish().await.unwrap())
    }

    #[tokio::test]
    async fn reads_what_was_announced_and_tells_when_that_was_wrong() {
        let five = 5 * 1024 * 1024;
        let (blocks, summary) = all(vec![7; five], five as u64).await;
        assert_eq!(blocks, [BLOCK, five - BLOCK]);
        assert!(summary.bytes == five as u64 && !summary.more);
        assert_eq!(
            summary.checksum.unwrap(),
            Checksum::of(SHA256, &vec![7; five])
        );

        let (_, grown) = all(vec![7; 20], 10).await;
        assert!(grown.bytes == 10 && grown.more);
        let (_, shrunk) = all(vec![7; 5], 10).await;
        assert!(shrunk.bytes == 5 && !shrunk.more);
        let (blocks, empty) = all(Vec::new(), 0).await;
        assert!(blocks.is_empty() && empty.bytes == 0 && !empty.more);
        let (bytes, whole) = read_whole(io::Cursor::new(vec![1; 9]), 8, None)
            .await
            .unwrap();
        assert!(bytes.len() == 8 && whole.more && whole.checksum.is_none());
    }

    #[test]
    fn checksums_have_the_catalog_s_form() {
        // Recorded exchanges have both forms; these are the well-known values of no bytes.
        assert_eq!(
            Checksum::of(SHA256, b""),
            "sha2:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
        assert_eq!(
            Checksum::of(HashScheme::Md5, b""),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
    }
}
