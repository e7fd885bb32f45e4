//! `watch`: a job, live, until it ends.

use std::path::Path;

use ingest::broker::{Broker, Job};

use crate::args::JobProfileArgs;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::jobs;
use crate::profile;
use crate::signals::{self, Signals};
use crate::ui::progress::Progress;
use crate::ui::{self, summary};

/// Follows a job; the exit code is the job's. Ctrl-C ends the watching, not the job.
///
/// # Errors
/// There is no such job, or the broker cannot be used.
pub async fn handle_watch(config: &Config, args: &JobProfileArgs) -> Result<Exit> {
    profile::check(args.profile.as_deref())?;
    let signals = signals::listen()?;
    let found = async {
        let broker = config.broker.open().await?;
        let job = jobs::find(&*broker, &args.shown.job).await?;
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
        Output {
            json: args.shown.json,
            profile: args.profile.as_deref(),
        },
        &signals,
    )
    .await
}

/// What is said when a job has ended.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// To machines.
    pub json: bool,
    /// Where its profile is written.
    pub profile: Option<&'a Path>,
}

/// Follows a job that others run, and says how it ended.
///
/// # Errors
/// The broker cannot be used.
pub async fn to_the_end(
    config: &Config,
    broker: &dyn Broker,
    job: &Job,
    mut progress: Progress,
    output: Output<'_>,
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
    if output.json {
        ui::say(&jobs::as_json(broker, &job).await?);
        return told(broker, &job, output, signals).await;
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
    told(broker, &job, output, signals).await
}

/// The exit code of a job that has ended, once its profile is written.
async fn told(
    broker: &dyn Broker,
    job: &Job,
    output: Output<'_>,
    signals: &Signals,
) -> Result<Exit> {
    let exit = jobs::exit_of(job);
    let Some(file) = output.profile else {
        return Ok(exit);
    };
    let written = profile::write_ended(broker, job, file);
    Ok(match signals.before(written).await {
        None => Exit::Interrupted,
        Some(written) => match written? {
            Exit::Done => exit,
            _ => exit.without_output(),
        },
    })
}
