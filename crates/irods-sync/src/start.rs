//! `start`: checks everything, queues a job, and with `--synchronous` runs it to its end.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::broker::{Broker, BrokerError, Created, Departure, InUse, Job, WorkerInfo};
use ingest::core::python::Allowed;
use ingest::core::{EventHandler as _, NoHandler};
use ingest::naming;
use ingest::source::FileSystem;
use ingest::sync_task::job::{self, JobRequest, StartError};
use ingest::sync_task::{JobSpec, LogTasks};
use ingest::worker::{Worker, WorkerError, WorkerOptions};

use crate::args::{self, StartArgs};
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::signals::Signals;
use crate::ui::progress::Progress;
use crate::ui::{self, summary};
use crate::zone_access::{Joining, ZoneAccess};
use crate::{handler, jobs, presence, profile, signals, watch, workers};

/// What a signal means that comes before the job is queued.
const NOT_QUEUED: &str = "nothing was queued";

/// Starts a job.
///
/// # Errors
/// Whatever keeps the job from being queued; nothing was changed then. Or what keeps this process from running it.
pub async fn handle_start(config: &Config, args: StartArgs) -> Result<Exit> {
    let waits = args.job.synchronous && args.job.interval.is_none();
    // Where others may take the tasks, this process is one of them only if it is told how much to do.
    let runs_here = waits && (!config.broker.is_shared() || args.worker.concurrency.is_some());
    let signals = signals::listen()?;
    check_here(&args)?;
    let opened = async {
        let broker = config.broker.open().await?;
        presence::bury_the_dead(&*broker).await?;
        let connections = if runs_here {
            args.worker.connections()
        } else {
            1
        };
        let zone = ZoneAccess::open(&args.zone, connections, Joining::UntilDone).await?;
        Ok((broker, zone))
    };
    let (broker, zone) = signals.unless_told(NOT_QUEUED, opened).await?;
    let info = runs_here.then(presence::me);
    let exit = match create(config, &*broker, &zone, &args, info.as_ref(), &signals).await {
        Err(failed) => Err(failed),
        Ok(created) => {
            say_what_was_created(&args, &created);
            let job = created.job();
            match info {
                Some(info) => run_here(config, &args, broker, &zone, info, job, &signals).await,
                None if waits => wait_for_workers(config, &args, &*broker, job, &signals).await,
                None => queued(config, &args, &*broker, job).await,
            }
        }
    };
    zone.close(&signals.shutdown).await;
    exit
}

/// What can be checked without asking anybody, so that a slip of the pen does not even make an embedded zone.
pub fn check_here(args: &StartArgs) -> Result<()> {
    profile::check(args.job.profile.as_deref())?;
    match args.s3.access(&args.source) {
        Some(bucket) => {
            args::bucket_path(&args.source)?;
            bucket.check().map_err(Failed::usage)?;
        }
        None => check_directory(args)?,
    }
    naming::target_collection(&args.target).map_err(StartError::from)?;
    args.options().filter().map_err(StartError::from)?;
    Ok(())
}

fn check_directory(args: &StartArgs) -> Result<()> {
    let source = FileSystem::open(&args.source)?;
    if let Some(dir) = &args.zone.embedded_zone {
        let zone = resolved(dir).map_err(Failed::usage)?;
        if zone.starts_with(source.root()) || source.root().starts_with(&zone) {
            let (zone, source) = (zone.display(), source.root().display());
            return Err(Failed::usage(format!(
                "the embedded zone {zone} and the source {source} lie one in the other: the zone would take in itself"
            )));
        }
    }
    Ok(())
}

/// A path without links, also where its last elements do not exist yet.
fn resolved(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for ancestor in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return Ok(found.join(rest));
        }
    }
    Ok(path)
}

/// What is asked for.
pub fn request<'a>(args: &'a StartArgs, owner: Option<&WorkerInfo>) -> JobRequest<'a> {
    JobRequest {
        name: args.job.job_name.clone(),
        source: &args.source,
        target: &args.target,
        options: args.options(),
        interval: args.job.interval.map(Duration::from_secs),
        owner: owner.map(|info| info.id.clone()),
        hooks: NoHandler.job_hooks(),
    }
}

/// Checks and queues the job. With `owner`, that is the process that runs it. A signal counts until all is checked.
async fn create(
    config: &Config,
    broker: &dyn Broker,
    zone: &ZoneAccess,
    args: &StartArgs,
    owner: Option<&WorkerInfo>,
    signals: &Signals,
) -> Result<Created> {
    let mut request = request(args, owner);
    let checked = async {
        handler::add(config, args, zone, &mut request).await?;
        Ok(job::check(&zone.pool, &request).await?)
    };
    let spec = signals.unless_told(NOT_QUEUED, checked).await?;
    if let Some(owner) = owner {
        // An owner counts only if it is known to live.
        let lives_for = WorkerOptions::new(owner.clone(), 1).lease_for;
        broker.heartbeat(owner, lives_for).await?;
    }
    let created = init(broker, &spec, &request).await;
    if let (Err(_), Some(owner)) = (&created, owner) {
        broker.worker_gone(&owner.id, Departure::Left).await?;
    }
    created
}

/// Queues a checked job. An owner that was just killed takes the system a moment to end.
async fn init(broker: &dyn Broker, spec: &JobSpec, request: &JobRequest<'_>) -> Result<Created> {
    const TRIES: u32 = 5;
    let mut tries = 1;
    loop {
        match job::init(broker, spec, request).await {
            Err(BrokerError::NameInUse {
                why: InUse::Owned(_),
                ..
            }) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
                presence::bury_the_dead(broker).await?;
            }
            done => return Ok(done?),
        }
    }
}

fn say_what_was_created(args: &StartArgs, created: &Created) {
    let name = ui::plain(created.job().name.as_bytes());
    if let Created::Resumed(_) = created {
        ui::note(&format!("going on with the unfinished job {name}"));
    }
    if args.job.synchronous && args.job.interval.is_some() {
        ui::note("a periodic job does not end by itself, so --synchronous is ignored");
    }
}

/// The job waits for workers.
async fn queued(config: &Config, args: &StartArgs, broker: &dyn Broker, job: &Job) -> Result<Exit> {
    ui::say(&match args.json {
        true => jobs::as_json(broker, job).await?,
        false => ui::plain(job.name.as_bytes()),
    });
    let name = ui::shell_word(job.name.as_bytes());
    let broker_flag = config.broker.flag();
    let living = broker.workers().await?;
    if living.is_empty() {
        let zone_flag = zone_flag(args.zone.embedded_zone.as_deref());
        let queues = jobs::queues_flag(job);
        ui::note(&format!(
            "queued; to run it: irods_sync worker{queues}{zone_flag}{broker_flag}"
        ));
    } else if let Some(why) = workers::unserved_queues(job, &living) {
        ui::note(&format!("queued, but {why}"));
    }
    let profile_flag = profile_flag(args);
    ui::note(&format!(
        "to follow it:      irods_sync watch {name}{profile_flag}{broker_flag}"
    ));
    Ok(Exit::Done)
}

/// Workers do the work, and this process waits for it to end.
async fn wait_for_workers(
    config: &Config,
    args: &StartArgs,
    broker: &dyn Broker,
    job: &Job,
    signals: &Signals,
) -> Result<Exit> {
    let progress = match args.job.progress {
        true => Progress::shown(),
        false => Progress::silent(),
    };
    let output = watch::Output {
        json: args.json,
        profile: args.job.profile.as_deref(),
    };
    watch::to_the_end(config, broker, job, progress, output, signals).await
}

fn profile_flag(args: &StartArgs) -> String {
    match &args.job.profile {
        Some(file) => format!(" --profile {}", ui::shell_word(file.as_os_str().as_bytes())),
        None => String::new(),
    }
}

fn zone_flag(embedded: Option<&Path>) -> String {
    match embedded {
        Some(dir) => format!(
            " --embedded_zone {}",
            ui::shell_word(dir.as_os_str().as_bytes())
        ),
        None => String::new(),
    }
}

/// This process does the work.
async fn run_here(
    config: &Config,
    args: &StartArgs,
    broker: Arc<dyn Broker>,
    zone: &ZoneAccess,
    info: WorkerInfo,
    job: &Job,
    signals: &Signals,
) -> Result<Exit> {
    let began = Instant::now();
    signals.have_in_hand("the files");
    let calls_before = zone.pool.counts().requests();
    let worked = work(config, args, broker.clone(), zone, info, job, signals).await;
    let calls = zone.pool.counts().requests() - calls_before;
    let now = match (broker.job(job.id).await, worked) {
        (Ok(now), Err(error)) if !now.state.has_ended() => return Err(gave_up(&now, error)),
        (Ok(now), _) => now,
        (Err(_), Err(error)) => return Err(error.into()),
        (Err(error), Ok(())) => return Err(error.into()),
    };
    let said = match args.json {
        true => jobs::as_json(&*broker, &now).await?,
        false => {
            let done = now
                .pass_totals
                .files_done()
                .saturating_sub(job.pass_totals.files_done());
            let pace = summary::pace(began.elapsed(), done);
            let mut lines = vec![format!(
                "job {}: {}",
                ui::plain(now.name.as_bytes()),
                word(&now)
            )];
            if let Some(why) = &now.failed {
                lines.push(format!("  because      {}", ui::plain(why.as_bytes())));
            }
            lines.extend(summary::of_job(&now));
            lines.push(format!("{pace}, {} iRODS calls", ui::thousands(calls)));
            lines.push(next(config, args, zone, &now));
            lines.join("\n")
        }
    };
    ui::say(&said);
    let written = match &args.job.profile {
        Some(file) => profile::write_ended(&*broker, &now, file).await?,
        None => Exit::Done,
    };
    if !now.state.has_ended() {
        return Ok(Exit::Interrupted);
    }
    if let Some(why) = now
        .failed
        .as_ref()
        .filter(|_| jobs::exit_of(&now) == Exit::CouldNotRun)
    {
        return Err(Failed::could_not_run(why.clone()));
    }
    Ok(match written {
        Exit::Done => jobs::exit_of(&now),
        _ => jobs::exit_of(&now).without_output(),
    })
}

/// Runs a worker for this job alone until the job has ended or a signal arrives.
async fn work(
    config: &Config,
    args: &StartArgs,
    broker: Arc<dyn Broker>,
    zone: &ZoneAccess,
    info: WorkerInfo,
    job: &Job,
    signals: &Signals,
) -> Result<(), WorkerError> {
    let mut options = args.worker.options(info);
    options.filter.only = Some(job.id);
    options.until_ended = Some(job.id);
    let worker = Worker::new(
        broker.clone(),
        zone.pool.clone(),
        Arc::new(NoHandler),
        Arc::new(LogTasks),
        options,
        signals.shutdown.clone(),
    );
    // It does this job alone, which this very command started.
    let worker = worker.with_python(handler::python(config, &args.handler, zone), Allowed::All);
    let mut progress = match args.job.progress {
        true => Progress::shown(),
        false => Progress::silent(),
    };
    let worked = {
        let mut worked = std::pin::pin!(worker.run());
        tokio::select! {
            worked = &mut worked => worked,
            // What is shown is not what is done: where showing ends, for whatever reason, the work goes on.
            _ = jobs::follow(&*broker, job.id, &mut progress), if args.job.progress => worked.await,
        }
    };
    progress.finish();
    worked
}

fn gave_up(job: &Job, error: WorkerError) -> Failed {
    let name = ui::plain(job.name.as_bytes());
    Failed::could_not_run(format!("job {name} is not finished: {error}"))
}

fn word(job: &Job) -> &'static str {
    match job.state.has_ended() {
        true => job.state.name(),
        false => "interrupted; what is left stays queued",
    }
}

/// What to try next.
fn next(config: &Config, args: &StartArgs, zone: &ZoneAccess, job: &Job) -> String {
    let name = ui::shell_word(job.name.as_bytes());
    let flag = config.broker.flag();
    if !job.state.has_ended() {
        return format!(
            "next: the same command goes on with it, and so does irods_sync worker{}{flag}",
            zone_flag(args.zone.embedded_zone.as_deref())
        );
    }
    if job.failures > 0 || job.failures_not_listed > 0 {
        return format!("next: irods_sync failures {name}{flag}");
    }
    match (&args.zone.embedded_zone, &zone.environment_file) {
        (Some(dir), Some(file)) => format!(
            "next: irods_sync zone {}\n      and any iRODS client reads it with IRODS_ENVIRONMENT_FILE={}",
            ui::shell_word(dir.as_os_str().as_bytes()),
            ui::shell_word(file.as_os_str().as_bytes())
        ),
        _ => format!("next: ils -l {}", ui::shell_word(args.target.as_bytes())),
    }
}
