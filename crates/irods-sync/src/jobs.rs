//! What commands about jobs have in common: finding one by name, its exit code, following it to its end.

use std::time::Duration;

use ingest::broker::{Broker, BrokerError, EventKind, Job, JobEvent, JobId, JobState};

use crate::exit::{Exit, Result};
use crate::ui;
use crate::ui::progress::Progress;

/// How often a job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The job of that name.
///
/// # Errors
/// There is none.
pub async fn find(broker: &dyn Broker, name: &str) -> Result<Job> {
    let found = broker.find_job(name).await?;
    Ok(found.ok_or_else(|| BrokerError::UnknownJob {
        job: format!("{name:?}"),
    })?)
}

/// The exit code of a job that has ended.
pub fn exit_of(job: &Job) -> Exit {
    match job.state {
        JobState::Stopped => Exit::Stopped,
        JobState::Failed => Exit::CouldNotRun,
        _ if job.failures > 0 || job.failures_not_listed > 0 => Exit::SomeFailed,
        _ => Exit::Done,
    }
}

/// Shows a job until it has ended, with what workers note about it; answers how it ended, or nothing if somebody has
/// removed it since.
///
/// # Errors
/// The broker cannot be used. One that does not answer for the moment is waited for.
pub async fn follow(
    broker: &dyn Broker,
    id: JobId,
    progress: &mut Progress,
) -> Result<Option<Job>> {
    let mut last: Option<JobEvent> = None;
    loop {
        match look(broker, id, &mut last).await {
            Ok(job) => {
                progress.show(&job);
                if job.state.has_ended() {
                    return Ok(Some(job));
                }
            }
            Err(BrokerError::UnknownJob { .. }) => return Ok(None),
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "waiting for the broker")
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One look; says the notes that came since the last one.
async fn look(
    broker: &dyn Broker,
    id: JobId,
    last: &mut Option<JobEvent>,
) -> Result<Job, BrokerError> {
    // There may be no worker to do it.
    broker.tick().await?;
    let job = broker.job(id).await?;
    let events = broker.events(id).await?;
    for event in after(&events, last.as_ref()) {
        if event.kind == EventKind::Note {
            ui::note(&ui::plain(event.text.as_bytes()));
        }
    }
    if let Some(event) = events.into_iter().next_back() {
        *last = Some(event);
    }
    Ok(job)
}

/// The events that follow the one that was seen last; all if that is not among them any more.
fn after<'a>(events: &'a [JobEvent], last: Option<&JobEvent>) -> &'a [JobEvent] {
    let seen = last.and_then(|last| events.iter().rposition(|event| event == last));
    seen.and_then(|index| events.get(index + 1..))
        .unwrap_or(if seen.is_some() { &[] } else { events })
}

/// Says how to run a worker, if none runs that could take tasks.
///
/// # Errors
/// Those of the broker.
pub async fn hint_at_worker(broker: &dyn Broker, flag: &str) -> Result<()> {
    if broker.workers().await?.is_empty() {
        ui::note(&format!(
            "no worker is running; start one with: irods_sync worker{flag}"
        ));
    }
    Ok(())
}
