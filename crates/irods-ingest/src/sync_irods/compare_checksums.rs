//! Comparing a file with its data object by checksum, without moving it.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{FileAction, upload_file};
use crate::error::SyncError;
use crate::plan::Checksums;
use crate::source::SourceError;
use crate::zone::Session;

/// The scheme that both sides can compute.
const SHA2: &str = "sha2:";

/// Compares with the checksum that the server has, or computes if it has none. One of a scheme that is not SHA-256 proves
/// nothing, so it counts as different.
pub(crate) async fn compare_checksums(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<Checksums, SyncError> {
    let theirs = zone.checksum(action.subject.target).await?;
    let Some(theirs) = theirs.strip_prefix(SHA2) else {
        return Ok(Checksums::Differ);
    };
    let file = upload_file::open(action, 0).await?;
    let path = PathBuf::from(OsStr::from_bytes(action.subject.path));
    let read = action.context.at_source(move |_| {
        sha2_of(file).map_err(|source| SourceError::Io {
            doing: "read",
            path,
            source,
        })
    });
    let ours = read.await?;
    Ok(match ours == theirs {
        true => Checksums::Agree,
        false => Checksums::Differ,
    })
}

fn sha2_of(mut file: impl Read) -> std::io::Result<String> {
    let mut sha2 = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(STANDARD.encode(sha2.finalize())),
            n => sha2.update(&block[..n]),
        }
    }
}
