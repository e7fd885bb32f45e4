//! `watch`: a job, live, until it ends.

use ingest::broker::{Broker, Job};

use crate::args::JobOutputArgs;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::jobs;
use crate::signals::{self, Signals};
use crate::ui::progress::Progress;
use crate::ui::{self, summary};

/// Follows a job; the exit code is the job's. Ctrl-C ends the watching, not the job.
///
/// # Errors
/// There is no such job, or the broker cannot be used.
pub async fn handle_watch(config: &Config, args: &JobOutputArgs) -> Result<Exit> {
    let signals = signals::listen()?;
    let found = async {
        let broker = config.broker.open().await?;
        let job = jobs::find(&*broker, &args.job).await?;
        Ok((broker, job))
    };
    let (broker, job) = signals
        .unless_told("the broker had not answered", found)
        .await?;
    to_the_end(
        config,
        &*broker,
        &job,
        Progress::shown(),
        args.json,
        &signals,
    )
    .await
}

/// Follows a job that others run, and says how it ended, with `json` to machines.
///
/// # Errors
/// The broker cannot be used.
pub async fn to_the_end(
    config: &Config,
    broker: &dyn Broker,
    job: &Job,
    mut progress: Progress,
    json: bool,
    signals: &Signals,
) -> Result<Exit> {
    let followed = async {
        if !job.state.has_ended() {
            jobs::hint_at_worker(broker, job, &config.broker.flag()).await?;
        }
        jobs::follow(broker, job.id, &mut progress).await
    };
    let followed = signals.before(followed).await;
    progress.finish();
    let Some(ended) = followed else {
        ui::note("irods_sync: no longer watching; the job goes on");
        return Ok(Exit::Interrupted);
    };
    let Some(job) = ended? else {
        ui::note("irods_sync: the job has ended and was removed");
        return Ok(Exit::Done);
    };
    if json {
        ui::say(&jobs::as_json(broker, &job).await?);
        return Ok(jobs::exit_of(&job));
    }
    let mut lines = vec![format!(
        "job {}: {}",
        ui::plain(job.name.as_bytes()),
        job.state.name()
    )];
    if let Some(why) = &job.failed {
        lines.push(format!("  because      {}", ui::plain(why.as_bytes())));
    }
    lines.extend(summary::of_job(&job));
    ui::say(&lines.join("\n"));
    Ok(jobs::exit_of(&job))
}
