//! What commands about jobs have in common: finding one by name, its exit code, following it to its end.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use ingest::broker::{
    Broker, BrokerError, EventKind, Job, JobEvent, JobId, JobState, Queues, WorkerId,
};

use crate::exit::{Exit, Result};
use crate::ui;
use crate::ui::json::{self, StatusJson};
use crate::ui::progress::Progress;
use crate::workers;

/// How long a job is not looked at: at first hardly, since it may be a short one, then a twentieth of the time that it is followed.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(250);
/// How often its workers are looked at.
const WORKERS_EVERY: Duration = Duration::from_secs(2);

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

/// A job for machines: one line.
///
/// # Errors
/// Those of the broker.
pub async fn as_json(broker: &dyn Broker, job: &Job) -> Result<String> {
    let events = broker.events(job.id).await?;
    let living = broker.workers().await?;
    Ok(json::line(&StatusJson::new(job, &events, &living)))
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
    let began = Instant::now();
    let mut last: Option<JobEvent> = None;
    let mut outages = Outages::default();
    loop {
        match look(broker, id, &mut last, &mut outages).await {
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
        let pause = began.elapsed() / 20;
        tokio::time::sleep(pause.clamp(*PAUSE.start(), *PAUSE.end())).await;
    }
}

/// One look; says the notes that came since the last one.
async fn look(
    broker: &dyn Broker,
    id: JobId,
    last: &mut Option<JobEvent>,
    outages: &mut Outages,
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
    outages.look(broker, id).await?;
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
pub async fn hint_at_worker(broker: &dyn Broker, job: &Job, flag: &str) -> Result<()> {
    let living = broker.workers().await?;
    if living.is_empty() {
        let queues = queues_flag(job);
        ui::note(&format!(
            "no worker is running; start one with: irods_sync worker{queues}{flag}"
        ));
    } else if let Some(why) = workers::unserved_queues(job, &living) {
        ui::note(&why);
    }
    Ok(())
}

/// What a worker needs to serve the queues of a job: nothing, or a space and the flag.
pub fn queues_flag(job: &Job) -> String {
    if job.queues == Queues::default() {
        return String::new();
    }
    let mut names = vec![&job.queues.file, &job.queues.path, &job.queues.restart];
    names.dedup();
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    format!(" -Q {}", ui::shell_word(names.join(",").as_bytes()))
}

/// Which workers of a job wait for the zone; that is said when it changes.
#[derive(Debug, Default)]
struct Outages {
    looked: Option<Instant>,
    waiting: BTreeSet<WorkerId>,
}

impl Outages {
    async fn look(&mut self, broker: &dyn Broker, job: JobId) -> Result<(), BrokerError> {
        if self.looked.is_some_and(|at| at.elapsed() < WORKERS_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let living = broker.workers().await?;
        let mut waiting = BTreeSet::new();
        for worker in &living {
            let told = workers::waiting_for_zone(job, std::slice::from_ref(worker));
            for line in told {
                if !self.waiting.contains(&worker.info.id) {
                    ui::note(&line);
                }
                waiting.insert(worker.info.id.clone());
            }
        }
        for worker in living
            .iter()
            .filter(|worker| self.waiting.contains(&worker.info.id))
        {
            if !waiting.contains(&worker.info.id) {
                let name = workers::name_of(worker);
                ui::note(&format!("{} goes on", ui::plain(name.as_bytes())));
            }
        }
        self.waiting = waiting;
        Ok(())
    }
}
