//! `retry`: what a job gave up on is queued again.

use std::os::unix::ffi::OsStringExt;

use ingest::broker::FailureFilter;

use crate::args::RetryArgs;
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::{jobs, ui};

/// Queues entries of the ledger again.
///
/// # Errors
/// There is no such job, it is being stopped, or the broker cannot be used.
pub async fn handle_retry(config: &Config, args: RetryArgs) -> Result<Exit> {
    let broker = config.broker.open().await?;
    let job = jobs::find(&*broker, &args.job).await?;
    let path = match args.path {
        None => None,
        Some(path) => {
            let path = std::path::absolute(path).map_err(Failed::usage)?;
            Some(path.into_os_string().into_vec())
        }
    };
    let filter = FailureFilter {
        path,
        code_name: args.error,
    };
    let retried = broker.retry(job.id, &filter).await?;
    ui::say(&format!("{} queued again", ui::thousands(retried.queued)));
    if retried.left > 0 {
        let left = ui::thousands(retried.left);
        ui::note(&format!(
            "{left} are being tried again already, or only by starting the job again"
        ));
    }
    if retried.not_listed > 0 {
        let count = ui::thousands(retried.not_listed);
        ui::note(&format!(
            "{count} more failed than are listed; starting the job again tries them all"
        ));
    }
    if retried.queued > 0 {
        jobs::hint_at_worker(&*broker, &job, &config.broker.flag()).await?;
    }
    Ok(Exit::Done)
}
