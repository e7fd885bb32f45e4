//! `forget`: what is kept of an ended job is removed.

use ingest::sync_task::job;

use crate::args::JobArg;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::jobs;

/// Removes totals, ledger and events of an ended job. Its signatures stay: see `cache clear`.
///
/// # Errors
/// There is no such job, it has not ended, or the broker cannot be used.
pub async fn handle_forget(config: &Config, args: &JobArg) -> Result<Exit> {
    let broker = config.broker.open().await?;
    let found = jobs::find(&*broker, &args.job).await?;
    job::cleanup(&*broker, found.id).await?;
    Ok(Exit::Done)
}
