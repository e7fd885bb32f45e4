//! `failures`: what a job gave up on.

use ingest::broker::FailureRecord;

use crate::args::JobOutputArgs;
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::ui::json::FailureJson;
use crate::{jobs, ui};

/// Entries that are read at a time.
const PAGE: usize = 500;

/// Prints the ledger, in the order of the paths.
///
/// # Errors
/// There is no such job, or the broker cannot be used.
pub async fn handle_failures(config: &Config, args: &JobOutputArgs) -> Result<Exit> {
    let broker = config.broker.open().await?;
    let job = jobs::find(&*broker, &args.job).await?;
    let mut after: Option<Vec<u8>> = None;
    let mut any = false;
    let not_listed = loop {
        let page = broker.failures(job.id, after.as_deref(), PAGE).await?;
        for record in &page.entries {
            ui::say(&match args.json {
                true => serde_json::to_string(&FailureJson::new(record))
                    .map_err(Failed::could_not_run)?,
                false => describe(record),
            });
        }
        any |= !page.entries.is_empty();
        match page.entries.into_iter().next_back() {
            Some(last) if page.more => after = Some(last.failure.path),
            _ => break page.not_listed,
        }
    };
    if not_listed > 0 {
        let count = ui::thousands(not_listed);
        ui::note(&format!(
            "{count} more failed than are listed; starting the job again tries them all"
        ));
    }
    if !args.json {
        let name = ui::shell_word(job.name.as_bytes());
        match any {
            true => ui::note(&format!(
                "to try them again: irods_sync retry {name}{}",
                config.broker.flag()
            )),
            false => ui::note("nothing failed"),
        }
    }
    Ok(Exit::Done)
}

fn describe(record: &FailureRecord) -> String {
    let failure = &record.failure;
    let code = failure
        .code
        .map(|code| format!(" ({code})"))
        .unwrap_or_default();
    let tries = match failure.attempts {
        0 | 1 => "tried once".to_owned(),
        n => format!("tried {n} times"),
    };
    let again = if record.retrying {
        ", being tried again"
    } else {
        ""
    };
    format!(
        "{}\n    {}: {}{code}: {} [{tries}{again}]",
        ui::plain(&failure.path),
        ui::plain(failure.operation.as_bytes()),
        ui::plain(failure.code_name.as_bytes()),
        ui::plain(failure.message.as_bytes()),
    )
}
