//! `list`: jobs as one line of JSON, exactly in the shape that scripts around the Python tool read; or, for machines that want to
//! know more, each job on a line of its own.

use std::time::{Duration, SystemTime};

use ingest::broker::{BrokerError, Job, JobState, Timestamp};
use serde::Serialize;

use crate::args::ListArgs;
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::ui::{self, json::StatusJson};
use crate::workers;

/// All jobs that have not finished. The order of the fields is part of the shape.
#[derive(Debug, Default, Serialize)]
struct ListJson {
    periodic: Vec<JobJson>,
    singlepass: Vec<JobJson>,
    stopped: Vec<JobJson>,
}

#[derive(Debug, Serialize)]
struct JobJson {
    job_name: String,
    total_tasks: u64,
    remaining_tasks: u64,
    failed_tasks: u64,
    retried_tasks: u64,
    elapsed_time: String,
    start_time: String,
}

/// Prints the list.
///
/// # Errors
/// Those of the broker.
pub async fn handle_list(config: &Config, args: &ListArgs) -> Result<Exit> {
    let broker = config.broker.open().await?;
    if args.workers {
        return workers::list_workers(&*broker, args.json).await;
    }
    let jobs = broker.jobs().await?;
    let living = broker.workers().await?;
    if args.json {
        for job in &jobs {
            let events = match broker.events(job.id).await {
                // Removed since.
                Err(BrokerError::UnknownJob { .. }) => continue,
                events => events?,
            };
            let line = serde_json::to_string(&StatusJson::new(job, &events, &living));
            ui::say(&line.map_err(Failed::could_not_run)?);
        }
        return Ok(Exit::Done);
    }
    let line =
        ui::json::python_line(&list(&jobs, SystemTime::now())).map_err(Failed::could_not_run)?;
    ui::say(&line);
    for job in &jobs {
        if let Some(why) = workers::unserved_queues(job, &living) {
            let name = ui::plain(job.name.as_bytes());
            ui::note(&format!("job {name} waits: {why}"));
        }
    }
    Ok(Exit::Done)
}

fn list(jobs: &[Job], now: SystemTime) -> ListJson {
    let mut list = ListJson::default();
    for job in jobs {
        let category = match (job.state, job.interval) {
            (JobState::Finished | JobState::Failed, _) => continue,
            (JobState::Stopped, _) => &mut list.stopped,
            (_, Some(_)) => &mut list.periodic,
            (_, None) => &mut list.singlepass,
        };
        category.push(JobJson::new(job, now));
    }
    list
}

impl JobJson {
    fn new(job: &Job, now: SystemTime) -> Self {
        let remaining = job.outstanding.total();
        let end = job.ended.map_or(now, Timestamp::to_system_time);
        let elapsed = job.started.map(|started| {
            end.duration_since(started.to_system_time())
                .unwrap_or_default()
        });
        Self {
            job_name: job.name.clone(),
            total_tasks: job.pass_totals.tasks.saturating_add(remaining),
            remaining_tasks: remaining,
            failed_tasks: job.pass_totals.failed,
            retried_tasks: job.pass_totals.retried,
            elapsed_time: timedelta(elapsed.unwrap_or_default()),
            // Before anybody has begun it, that of the Python tool, whose readers parse a time.
            start_time: ui::json::rfc3339(job.started.unwrap_or(Timestamp(0))),
        }
    }
}

/// A duration as Python's `str(timedelta)` writes it.
fn timedelta(time: Duration) -> String {
    let seconds = time.as_secs();
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    let micros = match time.subsec_micros() {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    };
    format!(
        "{days}{}:{:02}:{:02}{micros}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use ingest::broker::{Counts, JobId, Outstanding, Queues};

    use super::*;

    #[test]
    fn a_job_that_nobody_has_begun_has_the_times_of_the_python_tool() {
        let job = |state| Job {
            id: JobId(1),
            name: "j".into(),
            identity: String::new(),
            spec: Vec::new(),
            state,
            failed: None,
            pass: 1,
            interval: None,
            owner: None,
            owner_lives: false,
            queues: Queues::default(),
            max_in_flight: None,
            created: Timestamp(1_700_000_000_000),
            started: None,
            ended: None,
            next_pass: None,
            pass_totals: Counts::default(),
            totals: Counts::default(),
            outstanding: Outstanding::default(),
            failures: 0,
            failures_not_listed: 0,
        };
        for state in [JobState::Queued, JobState::Stopped] {
            let shown = JobJson::new(&job(state), SystemTime::now());
            assert_eq!(shown.elapsed_time, "0:00:00");
            assert_eq!(shown.start_time, "1970-01-01T00:00:00.000+00:00");
        }
    }

    #[test]
    fn durations_are_written_as_python_does() {
        for (micros, text) in [
            (0, "0:00:00"),
            (1_016_622, "0:00:01.016622"),
            (86_399_000_000, "23:59:59"),
            (86_400_000_000, "1 day, 0:00:00"),
            (2 * 86_400_000_000 + 3_661_000_001, "2 days, 1:01:01.000001"),
        ] {
            assert_eq!(timedelta(Duration::from_micros(micros)), text);
        }
    }
}
