//! `stop`: no new work for a job; returns when what was in flight has finished.

use ingest::broker::JobState;
use ingest::sync_task::job;

use crate::args::StopArgs;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::ui::progress::Progress;
use crate::{jobs, presence, signals, ui};

/// Stops a job and waits until it has. Stopping what has ended already is done at once.
///
/// # Errors
/// There is no such job, or the broker cannot be used.
pub async fn handle_stop(config: &Config, args: &StopArgs) -> Result<Exit> {
    let signals = signals::listen()?;
    let found = async {
        let broker = config.broker.open().await?;
        let job = jobs::find(&*broker, &args.job).await?;
        if !job.state.has_ended() {
            // What a dead worker had in hand would be waited for.
            presence::bury_the_dead(&*broker).await?;
        }
        Ok((broker, job))
    };
    let (broker, found) = signals
        .unless_told("the job was not stopped", found)
        .await?;
    if found.state.has_ended() {
        ui::note(&format!("the job has already {}", ended(found.state)));
        return Ok(Exit::Done);
    }
    let told = async { Ok(job::interrupt(&*broker, found.id, args.now).await?) };
    let unknown = "the broker did not say whether the job is being stopped";
    signals.unless_told(unknown, told).await?;
    let mut silent = Progress::silent();
    let followed = jobs::follow(&*broker, found.id, &mut silent);
    let Some(ended) = signals.before(followed).await else {
        ui::note(
            "irods_sync: no longer waiting; the job stops when what is in flight has finished",
        );
        return Ok(Exit::Interrupted);
    };
    if let Some(job) = ended?
        && job.state != JobState::Stopped
    {
        ui::note(&format!(
            "the job has {} before it could be stopped",
            self::ended(job.state)
        ));
    }
    Ok(Exit::Done)
}

fn ended(state: JobState) -> &'static str {
    match state {
        JobState::Stopped => "been stopped",
        state => state.name(),
    }
}
