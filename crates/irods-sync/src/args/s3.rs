//! Flags of buckets.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::Args;
use ingest::source::s3::{AWS, Access, Bucket};

use crate::exit::{Failed, Result};

/// How the S3 server of a bucket is reached.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(
    next_help_heading = "S3: for a source s3://BUCKET[/PREFIX], or /BUCKET[/PREFIX] with --s3_keypair"
)]
pub struct S3Flags {
    /// File with the access key in its first line and the secret key in its second; every worker reads it under this path
    /// [default: keys as the AWS tools find them: AWS_ACCESS_KEY_ID and its like, profiles, web identity, roles]
    #[arg(long, value_name = "FILE")]
    pub s3_keypair: Option<PathBuf>,
    /// Host of the server, with its port if that is not the usual one
    #[arg(long, value_name = "HOST", default_value = AWS)]
    pub s3_endpoint_domain: String,
    /// Region that requests are signed for
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    pub s3_region_name: String,
    /// Proxy on the way to the server: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub s3_proxy_url: Option<String>,
    /// Use HTTP, not HTTPS
    #[arg(long)]
    pub s3_insecure_connection: bool,
    /// Size of the parts of objects that were uploaded in several, 5 to 5000, for comparing their checksums (--checksum) where the
    /// server does not tell it
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u32).range(5..=5000))]
    pub s3_multipart_chunksize_in_mib: u32,
}

impl S3Flags {
    /// How the bucket is reached, if `source` is one.
    pub fn access(&self, source: &Path) -> Option<Access> {
        if self.s3_keypair.is_none() && !is_s3_url(source) {
            return None;
        }
        // Without a current directory no relative path leads anywhere, which is then said of this one.
        let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let keypair = self.s3_keypair.as_ref().map(absolute).unwrap_or_default();
        Some(Access {
            endpoint: self.s3_endpoint_domain.clone(),
            region: self.s3_region_name.clone(),
            insecure: self.s3_insecure_connection,
            proxy: self.s3_proxy_url.clone(),
            chunk_mib: self.s3_multipart_chunksize_in_mib,
            keypair: keypair.into_os_string().into_vec(),
        })
    }
}

/// The path of a bucket.
///
/// # Errors
/// None is named.
pub fn bucket_path(source: &Path) -> Result<PathBuf> {
    let path = source.to_str().and_then(Bucket::absolute);
    path.ok_or_else(|| {
        let source = source.display();
        Failed::usage(format!(
            "{source} names no bucket: s3://BUCKET[/PREFIX] is expected, without empty elements, . and .."
        ))
    })
}

/// The path of something in a source, as ledgers have it. A key need be no path that is taken in.
///
/// # Errors
/// There is no current directory.
pub fn listed_path(path: &Path) -> std::io::Result<PathBuf> {
    match path.as_os_str().as_bytes().strip_prefix(b"s3:/") {
        Some(absolute) if is_s3_url(path) => Ok(OsStr::from_bytes(absolute).into()),
        _ => std::path::absolute(path),
    }
}

/// Whether this is the way to write a bucket, not a path.
fn is_s3_url(source: &Path) -> bool {
    source.as_os_str().as_bytes().starts_with(b"s3://")
}
