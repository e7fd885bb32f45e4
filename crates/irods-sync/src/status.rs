//! `status`: one job, whether it runs or has ended.

use std::time::SystemTime;

use ingest::broker::{Job, JobEvent, Queues, Timestamp, Worker};
use ingest::sync_task::JobSpec;

use crate::args::JobProfileArgs;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::jobs;
use crate::profile;
use crate::ui::json::{latest, rfc3339};
use crate::ui::{self, summary};
use crate::workers;

/// Prints the state of a job.
///
/// # Errors
/// There is no such job, or the broker cannot be used.
pub async fn handle_status(config: &Config, args: &JobProfileArgs) -> Result<Exit> {
    profile::check(args.profile.as_deref())?;
    let broker = config.broker.open().await?;
    let job = jobs::find(&*broker, &args.shown.job).await?;
    let text = match args.shown.json {
        true => jobs::as_json(&*broker, &job).await?,
        false => {
            let events = broker.events(job.id).await?;
            let living = broker.workers().await?;
            describe(&job, &events, &living, &config.broker.flag()).join("\n")
        }
    };
    ui::say(&text);
    match &args.profile {
        Some(file) => profile::write(&*broker, &job, file).await,
        None => Ok(Exit::Done),
    }
}

/// Lines of the job's log that people are shown: the latest.
const MAX_EVENTS: usize = 10;

fn describe(job: &Job, events: &[JobEvent], living: &[Worker], flag: &str) -> Vec<String> {
    let name = ui::plain(job.name.as_bytes());
    let mut lines = vec![format!("job {name}: {}", job.state.name())];
    if let Some(why) = &job.failed {
        lines.push(format!("  because      {}", ui::plain(why.as_bytes())));
    }
    if let Ok(spec) = serde_json::from_slice::<JobSpec>(&job.spec) {
        let (source, target) = (
            ui::plain(spec.source_bytes()),
            ui::plain(spec.target.as_bytes()),
        );
        lines.push(format!(
            "  {:<12} {source} -> {target}",
            spec.options.operation.name()
        ));
    }
    lines.push(format!("  created      {}", rfc3339(job.created)));
    if let Some(started) = job.started {
        let end = job
            .ended
            .map_or_else(SystemTime::now, Timestamp::to_system_time);
        let time = end
            .duration_since(started.to_system_time())
            .unwrap_or_default();
        let pass = match job.interval {
            Some(interval) => format!("pass {}, every {}, ", job.pass, ui::seconds(interval)),
            None => String::new(),
        };
        lines.push(format!(
            "  started      {} ({pass}{})",
            rfc3339(started),
            ui::seconds(time)
        ));
    }
    if let Some(next) = job.next_pass {
        lines.push(format!("  next pass    {}", rfc3339(next)));
    }
    if let Some(owner) = job.owner.as_ref().filter(|_| job.owner_lives) {
        lines.push(format!("  run by       {}", ui::plain(owner.0.as_bytes())));
    }
    lines.extend(summary::of_job(job));
    if !job.state.has_ended() {
        let left = job.outstanding;
        lines.push(format!(
            "  tasks left   {} ready, {} waiting for another try, {} in hand",
            ui::thousands(left.ready),
            ui::thousands(left.delayed),
            ui::thousands(left.leased)
        ));
    }
    if let Some(cap) = job.max_in_flight {
        lines.push(format!("  in flight    at most {cap} tasks of files"));
    }
    if job.queues != Queues::default() {
        let Queues {
            file,
            path,
            restart,
        } = &job.queues;
        let names = ui::plain(format!("{file}, {path}, {restart}").as_bytes());
        lines.push(format!("  queues       {names}"));
    }
    if let Some(why) = workers::unserved_queues(job, living) {
        lines.push(format!("  waits        {why}"));
    }
    lines.extend(
        workers::waiting_for_zone(job.id, living)
            .into_iter()
            .map(|line| format!("  zone         {line}")),
    );
    for (number, event) in latest(events, MAX_EVENTS).enumerate() {
        let label = if number == 0 { "log" } else { "" };
        let text = match event.text.is_empty() {
            true => String::new(),
            false => format!(": {}", ui::plain(event.text.as_bytes())),
        };
        let (time, kind) = (rfc3339(event.time), event.kind.name());
        lines.push(format!("  {label:<12} {time} {kind}{text}"));
    }
    if job.failures > 0 {
        let name = ui::shell_word(job.name.as_bytes());
        lines.push(format!("what failed: irods_sync failures {name}{flag}"));
    }
    lines
}
