//! `list --workers`: who takes tasks, what each does, how fast, and whether it waits.

use std::collections::HashMap;
use std::time::Duration;

use ingest::broker::{Broker, Job, JobId, Queues, Timestamp, Worker};
use ingest::worker::status::{WorkerStatus, unserved};
use serde::Serialize;

use crate::exit::{Exit, Failed, Result};
use crate::ui::json::rfc3339;
use crate::ui::{self, text::rate};

/// A worker as `list --workers --json` shows it. Times are UTC, RFC 3339, by the broker's clock; durations seconds.
#[derive(Debug, Serialize)]
struct WorkerJson {
    name: String,
    id: String,
    host: String,
    pid: u32,
    version: String,
    since: String,
    /// When it was last heard of.
    heard: String,
    /// None: all.
    queues: Option<Vec<String>>,
    /// The only job that it is for.
    only_job: Option<String>,
    concurrency: usize,
    draining: bool,
    waiting_for_zone: Option<WaitingJson>,
    files_per_second: f64,
    bytes_per_second: f64,
    /// Requests to S3 servers made again since it was started.
    requests_repeated: u64,
    /// Tasks in hand, by the broker's account.
    in_hand: u64,
    tasks: Vec<TaskJson>,
}

#[derive(Debug, Serialize)]
struct WaitingJson {
    since: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct TaskJson {
    job: String,
    what: String,
    path: String,
    seconds: f64,
}

/// Prints the workers that live.
///
/// # Errors
/// Those of the broker.
pub async fn list_workers(broker: &dyn Broker, json: bool) -> Result<Exit> {
    let workers = broker.workers().await?;
    let jobs = broker.jobs().await?;
    let names: HashMap<JobId, String> = jobs.into_iter().map(|job| (job.id, job.name)).collect();
    if workers.is_empty() && !json {
        ui::note("no worker is running");
    }
    for worker in &workers {
        let worker = WorkerJson::new(worker, &names);
        ui::say(&match json {
            true => serde_json::to_string(&worker).map_err(Failed::could_not_run)?,
            false => worker.describe().join("\n"),
        });
    }
    Ok(Exit::Done)
}

/// What it is called: as it was told, else by host and process.
pub fn name_of(worker: &Worker) -> String {
    let given = WorkerStatus::of(worker).name;
    given.unwrap_or_else(|| format!("{}:{}", worker.info.host, worker.info.pid))
}

/// Since when a worker has been waiting for the zone, and what the zone, or the way to it, said last.
pub fn waiting_since(worker: &Worker) -> Option<(Timestamp, String)> {
    let waiting = WorkerStatus::of(worker).waiting_for_zone?;
    let time = Duration::try_from_secs_f64(waiting.seconds).unwrap_or_default();
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Some((
        Timestamp(worker.heard.0.saturating_sub(millis)),
        waiting.why,
    ))
}

/// Lines about workers that have tasks of a job in hand and wait for the zone.
pub fn waiting_for_zone(job: JobId, workers: &[Worker]) -> Vec<String> {
    let concerned = workers
        .iter()
        .filter(|worker| worker.leases.iter().any(|(of, _)| *of == job));
    let told = concerned.filter_map(|worker| Some((name_of(worker), waiting_since(worker)?)));
    told.map(|(name, (since, why))| {
        let (name, why) = (ui::plain(name.as_bytes()), ui::plain(why.as_bytes()));
        format!(
            "{name} is waiting for the zone since {}: {why}",
            rfc3339(since)
        )
    })
    .collect()
}

/// What keeps a job from being done, if that is that nobody serves its queues.
pub fn unserved_queues(job: &Job, workers: &[Worker]) -> Option<String> {
    let queues = unserved(job, workers);
    if queues.is_empty() {
        return None;
    }
    let usual = queues.iter().all(|queue| Queues::DEFAULT.contains(queue));
    if usual && workers.is_empty() {
        return Some("no worker is running".to_owned());
    }
    let names: Vec<String> = queues
        .iter()
        .map(|queue| ui::plain(queue.as_bytes()))
        .collect();
    let (what, names) = (
        if names.len() == 1 { "queue" } else { "queues" },
        names.join(", "),
    );
    Some(format!(
        "no worker serves its {what} {names} (irods_sync worker -Q {})",
        names.replace(", ", ",")
    ))
}

impl WorkerJson {
    fn new(worker: &Worker, names: &HashMap<JobId, String>) -> Self {
        let status = WorkerStatus::of(worker);
        let name = |job: JobId| names.get(&job).cloned().unwrap_or_else(|| job.to_string());
        let waiting = waiting_since(worker).map(|(since, why)| WaitingJson {
            since: rfc3339(since),
            why,
        });
        let tasks = status.tasks.iter().map(|task| TaskJson {
            job: name(task.job),
            what: task.what.clone(),
            path: task.path.clone(),
            seconds: task.seconds,
        });
        let info = &worker.info;
        Self {
            name: name_of(worker),
            id: info.id.0.clone(),
            host: info.host.clone(),
            pid: info.pid,
            version: info.version.clone(),
            since: rfc3339(worker.since),
            heard: rfc3339(worker.heard),
            only_job: status.only.map(name),
            concurrency: status.concurrency,
            draining: status.draining,
            waiting_for_zone: waiting,
            files_per_second: status.files_per_second,
            bytes_per_second: status.bytes_per_second,
            requests_repeated: status.requests_repeated,
            in_hand: worker.leases.iter().map(|(_, count)| count).sum(),
            tasks: tasks.collect(),
            queues: status.queues,
        }
    }

    fn describe(&self) -> Vec<String> {
        let plain = |text: &str| ui::plain(text.as_bytes());
        let mut lines = vec![format!(
            "worker {}: {}",
            plain(&self.name),
            match (&self.waiting_for_zone, self.draining) {
                (_, true) => "finishing what is in hand",
                (Some(_), false) => "waiting for the zone",
                (None, false) if self.in_hand == 0 => "idle",
                (None, false) => "working",
            }
        )];
        if let Some(waiting) = &self.waiting_for_zone {
            lines.push(format!(
                "  because      the zone is away since {}: {}",
                waiting.since,
                plain(&waiting.why)
            ));
        }
        lines.push(format!(
            "  on           {}, process {}, irods_sync {}, since {}",
            plain(&self.host),
            self.pid,
            plain(&self.version),
            self.since
        ));
        let queues = match (&self.only_job, &self.queues) {
            (Some(job), _) => format!("job {} alone", plain(job)),
            (None, None) => "all queues".to_owned(),
            (None, Some(queues)) => format!("queues {}", plain(&queues.join(", "))),
        };
        lines.push(format!(
            "  serves       {queues}, {} at a time",
            self.concurrency
        ));
        lines.push(format!(
            "  does         {}",
            rate(self.files_per_second, self.bytes_per_second)
        ));
        if self.requests_repeated > 0 {
            let number = ui::thousands(self.requests_repeated);
            lines.push(format!("  S3           {number} requests made again"));
        }
        for task in &self.tasks {
            let time = ui::seconds(Duration::try_from_secs_f64(task.seconds).unwrap_or_default());
            let path = if task.path.is_empty() {
                "."
            } else {
                &task.path
            };
            lines.push(format!(
                "  task         {} of {}, {}, for {time}",
                plain(&task.what),
                plain(&task.job),
                plain(path)
            ));
        }
        if self.in_hand > self.tasks.len() as u64 {
            lines.push(format!(
                "               {} tasks in hand",
                ui::thousands(self.in_hand)
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ingest::broker::{WorkerId, WorkerInfo};

    use super::*;

    #[test]
    fn a_worker_is_told_for_people_and_for_machines() {
        let status = r#"{"name":"big\u001b","queues":["file","path"],"concurrency":4,"waiting_for_zone":{"seconds":60,"why":"refused\n"},
            "tasks":[{"job":7,"what":"sync_files","path":"a/b","seconds":3.5}],"files_per_second":12.34,"bytes_per_second":2097152,
            "requests_repeated":1234}"#;
        let worker = Worker {
            info: WorkerInfo {
                id: WorkerId("h:1:x".into()),
                host: "h".into(),
                pid: 1,
                process: String::new(),
                version: "0.1.0".into(),
                status: status.into(),
            },
            since: Timestamp(1_000_000),
            heard: Timestamp(2_000_000),
            lives_until: Timestamp(2_030_000),
            leases: vec![(JobId(7), 2)],
        };
        let names = HashMap::from([(JobId(7), "j".to_owned())]);
        let shown = WorkerJson::new(&worker, &names);
        insta::assert_snapshot!(format!(
            "{}\n{}\n{}",
            shown.describe().join("\n"),
            serde_json::to_string(&shown).unwrap(),
            waiting_for_zone(JobId(7), std::slice::from_ref(&worker)).join("\n")
        ));
        assert!(waiting_for_zone(JobId(8), &[worker]).is_empty());
    }
}
