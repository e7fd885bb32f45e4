//! `retry`: what a job gave up on is queued again.

use std::os::unix::ffi::OsStringExt;

use ingest::broker::FailureFilter;

use crate::args::{self, RetryArgs};
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::{jobs, ui};

/// Queues entries of the ledger again.
///
/// # Errors
/// There is no such job, it is being stopped, nothing that failed is what was asked for, or the broker cannot be used.
pub async fn handle_retry(config: &Config, args: RetryArgs) -> Result<Exit> {
    let broker = config.broker.open().await?;
    let job = jobs::find(&*broker, &args.job).await?;
    let mut asked = Vec::new();
    let path = match args.path {
        None => None,
        Some(path) => {
            let path = args::listed_path(&path).map_err(Failed::usage)?;
            asked.push(format!("--path {}", path.display()));
            Some(path.into_os_string().into_vec())
        }
    };
    if let Some(error) = &args.error {
        asked.push(format!("--error {error}"));
    }
    let filter = FailureFilter {
        path,
        code_name: args.error,
    };
    let retried = broker.retry(job.id, &filter).await?;
    // Most likely a slip of the pen, which must not look like success.
    if !asked.is_empty() && (retried.queued, retried.left) == (0, 0) {
        return Err(Failed::usage(nothing_matches(
            &job.name,
            &asked.join(" "),
            retried.not_listed,
        )));
    }
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

fn nothing_matches(job: &str, asked: &str, not_listed: u64) -> String {
    let more = match not_listed {
        0 => String::new(),
        count => format!(
            " ({} more failed than are listed; starting the job again tries them all)",
            ui::thousands(count)
        ),
    };
    format!("nothing listed as failed in job {job:?} matches {asked}{more}")
}
