//! Comparing a file with its data object by checksum, without moving it.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irods_client::Pooled;
use irods_client::data_object::ChecksumMode;
use sha2::{Digest, Sha256};

use super::{FileAction, upload_file};
use crate::error::{EntryError, SyncError};
use crate::plan::Checksums;

/// The scheme that both sides can compute.
const SHA2: &str = "sha2:";

/// Compares with the checksum that the server has, or computes if it has none. One of a scheme that is not SHA-256 proves
/// nothing, so it counts as different.
pub(crate) async fn compare_checksums(
    zone: &mut Pooled,
    action: &FileAction<'_>,
) -> Result<Checksums, SyncError> {
    let theirs = zone
        .checksum(action.subject.target, ChecksumMode::Stored)
        .await?;
    let Some(theirs) = theirs.strip_prefix(SHA2) else {
        return Ok(Checksums::Differ);
    };
    let file = upload_file::open(action, 0).await?;
    let ours = tokio::task::spawn_blocking(move || sha2_of(file))
        .await
        .map_err(|_| SyncError::Worker("reading a file did not end".into()))?
        .map_err(|error| {
            let path = bstr::BStr::new(action.subject.path);
            SyncError::Entry(EntryError::new(
                "SOURCE_ERROR",
                format!("cannot read {path}: {error}"),
            ))
        })?;
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
