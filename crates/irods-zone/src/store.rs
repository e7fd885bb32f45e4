//! Where a resource has its bytes: in a vault directory, or in a bucket of an S3 server.
//!
//! A resource of type `s3` has the context of the S3 resource plugin of iRODS (`S3_DEFAULT_HOSTNAME`, `S3_AUTH_FILE`, `S3_REGIONNAME`,
//! `S3_PROTO`), and a physical path on it is `/BUCKET/KEY`. This zone reads what is registered there, and nothing else: it makes,
//! changes and removes no object of a bucket. Everything here blocks.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::catalog::resources::Resource;
use crate::s3;
use crate::vault::{self, Access};

/// The store of one resource.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// Files, those in this directory being its own.
    Vault(PathBuf),
    /// Objects.
    Bucket(s3::Server),
}

impl Store {
    /// That of a resource.
    pub fn of(resource: &Resource) -> Self {
        match resource.is_s3() {
            true => Store::Bucket(s3::Server::of(resource)),
            false => Store::Vault(PathBuf::from(&resource.vault_path)),
        }
    }

    /// What is at a physical path. An object is copied to a file that has no name and goes when it is closed.
    pub fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        match self {
            Store::Vault(vault) => vault::open(vault, path, access),
            Store::Bucket(_) if access.write => Err(Errno::ROFS.into()),
            Store::Bucket(server) => server.copy(path),
        }
    }

    /// How many bytes are there.
    pub fn size(&self, path: &Path) -> io::Result<u64> {
        match self {
            Store::Vault(_) => Ok(std::fs::metadata(path)?.len()),
            Store::Bucket(server) => server.size(path),
        }
    }
}
