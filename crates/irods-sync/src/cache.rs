//! `cache clear`: the signatures of a source are removed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ingest::signature::CacheKey;
use ingest::source;

use crate::args::{S3Flags, bucket_path};
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::ui;

/// Removes the signatures of all jobs of a source. The source need not exist any more.
///
/// # Errors
/// Those of the broker.
pub async fn handle_clear(config: &Config, source: &Path, s3: &S3Flags) -> Result<Exit> {
    let broker = config.broker.open().await?;
    let bucket = s3.access(source);
    let root = match &bucket {
        Some(_) => bucket_path(source)?,
        // Jobs know their source by its path without links.
        None => source
            .canonicalize()
            .or_else(|_| std::path::absolute(source))
            .map_err(Failed::usage)?,
    };
    let root = source::cache_root(root.as_os_str().as_bytes(), bucket.as_ref());
    let prefix = CacheKey::root_prefix(&root);
    let cleared = broker.clear_signatures(&prefix).await?;
    ui::say(&format!("{} directories forgotten", ui::thousands(cleared)));
    if let (0, Some(access)) = (cleared, &bucket) {
        ui::note(&format!(
            "that was looked for at {}; a bucket of another server is named with the --s3_endpoint_domain that start had",
            access.endpoint
        ));
    }
    Ok(Exit::Done)
}
