//! `cache clear`: the signatures of a source are removed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ingest::signature::CacheKey;

use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::ui;

/// Removes the signatures of all jobs of a source. The source need not exist any more.
///
/// # Errors
/// Those of the broker.
pub async fn handle_clear(config: &Config, source: &Path) -> Result<Exit> {
    let broker = config.broker.open().await?;
    // Jobs know their source by its path without links.
    let root = source
        .canonicalize()
        .or_else(|_| std::path::absolute(source))
        .map_err(Failed::usage)?;
    let prefix = CacheKey::root_prefix(root.as_os_str().as_bytes());
    let cleared = broker.clear_signatures(&prefix).await?;
    ui::say(&format!("{} directories forgotten", ui::thousands(cleared)));
    Ok(Exit::Done)
}
