//! What can be typed: commands and flags, as types. What the values mean is settled elsewhere ([`crate::config`]).
//!
//! Flags are spelled with underscores, as people who come from the Python tool type them; hyphens work too (see [`argv`]).

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ingest::broker::Queues;
use ingest::source::s3::Requests;

pub mod argv;
mod help;
mod job;
pub mod job_file;
mod log;
mod s3;
mod zone;

pub use job::{JobFlags, MAX_STREAMS, ScanFlags};
pub use log::{LogFlags, LogFormat};
pub use s3::{S3Flags, bucket_path, listed_path};
pub use zone::{TlsFlags, ZoneArgs};

/// Keep a collection in an iRODS zone in step with a directory tree.
#[derive(Debug, Parser)]
#[command(
    name = "irods_sync",
    version,
    about = help::ABOUT,
    long_about = help::LONG_ABOUT,
    after_help = help::EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = false,
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub common: CommonFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct CommonFlags {
    /// Say more: errors with their causes, and what is being done; -vv says everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Where jobs are kept: the broker.
    #[command(flatten)]
    pub broker: BrokerFlags,
    /// What is logged.
    #[command(flatten)]
    pub log: LogFlags,
}

/// Where jobs are kept.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Broker: where jobs are queued and accounted for")]
pub struct BrokerFlags {
    /// sqlite:PATH, a file that the processes of this machine share, or redis://HOST:PORT/DB (rediss:// with TLS) for
    /// workers on many machines; a password is better put into CELERY_BROKER_URL [default: CELERY_BROKER_URL if it is
    /// set, else irods_sync/broker.sqlite3 in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, global = true, value_name = "URL")]
    pub broker: Option<String>,
    /// Host of a Redis server [default: localhost, if one of these three is given]
    #[arg(long, global = true, value_name = "HOST")]
    pub redis_host: Option<String>,
    /// Port of a Redis server [default: 6379]
    #[arg(long, global = true, value_name = "PORT")]
    pub redis_port: Option<u16>,
    /// Number of a Redis database [default: 0]
    #[arg(long, global = true, value_name = "NUMBER")]
    pub redis_db: Option<u32>,
}

/// Which zone is talked to.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(
    next_help_heading = "Zone: as for every iRODS client, from irods_environment.json, .irodsA and IRODS_*"
)]
pub struct ZoneFlags {
    /// Use the embedded zone in DIR instead, made on first use: it is started for as long as this command runs, or
    /// joined if it runs already
    #[arg(long, value_name = "DIR")]
    pub embedded_zone: Option<PathBuf>,
    /// Close a connection that was idle for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = at_least_one)]
    pub irods_idle_disconnect_seconds: u64,
}

/// How work is done.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Worker")]
pub struct WorkerFlags {
    /// Tasks at the same time, each on a connection of its own; auto: as many, up to 32, as are found to get the most done [default: the
    /// number of cores]
    #[arg(long, value_name = "N|auto", value_parser = concurrency)]
    pub concurrency: Option<Concurrency>,
    /// Connections to the zone at the same time; tasks that find none free wait [default: as many as tasks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_connections: Option<u16>,
    /// Bytes that this process may upload in a second, over all its connections: 100MiB, 64K, 1GB
    #[arg(long, value_name = "BYTES", value_parser = bytes_a_second)]
    pub max_rate: Option<NonZeroU64>,
    /// Requests of this process to S3 servers at the same time; further ones wait
    #[arg(long, value_name = "N", default_value_t = Requests::MOST, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub s3_max_requests: u16,
    /// Make a request to an S3 server again that it says nothing to for so long, before its answer or in it
    #[arg(long, value_name = "SECONDS", default_value_t = Requests::SILENCE.as_secs(), value_parser = at_least_one)]
    pub s3_timeout: u64,
}

/// Tasks at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// So many.
    Given(u16),
    /// What is found to be best.
    Auto,
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.parse() {
        Ok(given @ 1..=1024) => Ok(Concurrency::Given(given)),
        _ if text == "auto" => Ok(Concurrency::Auto),
        _ => Err("auto and 1 to 1024 are accepted".to_owned()),
    }
}

fn bytes_a_second(text: &str) -> Result<NonZeroU64, String> {
    let bytes = text.strip_suffix("/s").unwrap_or(text);
    let bytes = ingest::units::parse_bytes(bytes)?;
    NonZeroU64::new(bytes).ok_or_else(|| "1 byte a second is the least".to_owned())
}

/// A whole number from 1 on.
fn at_least_one(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 on is accepted".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// How event handlers are run.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Event handlers")]
pub struct HandlerFlags {
    /// Interpreter for event handlers, Python 3.8 or later; python-irodsclient is needed by hooks that use their session
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub python: PathBuf,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Queue a job that brings a directory tree into a collection; with --synchronous: and run it to its end
    Start(Box<StartArgs>),
    /// What start, with the same arguments, would do and why; changes nothing
    Plan(Box<PlanArgs>),
    /// Compare source and zone, both ways, entry by entry, as start with the same arguments would have made it; exits with 1 where they differ
    Verify(Box<VerifyArgs>),
    /// Stop a job: nothing new is begun, what is in flight finishes; exits when it has
    Stop(StopArgs),
    /// List jobs as one line of JSON: periodic, singlepass, stopped; with --workers: the workers and what they do
    List(ListArgs),
    /// Follow a job until it ends; the exit code is the job's
    Watch(JobProfileArgs),
    /// State and totals of a job, also after it has ended
    Status(JobProfileArgs),
    /// Take tasks of all jobs from the broker until told to stop (Ctrl-C or SIGTERM: finishes what is in hand)
    Worker(WorkerArgs),
    /// What a job gave up on: path, error, attempts
    Failures(JobOutputArgs),
    /// Queue again what a job gave up on
    Retry(RetryArgs),
    /// Remove what is kept of an ended job: totals, failures, events
    Forget(JobArg),
    /// The cache of signatures, by which a rescan knows what is unchanged
    Cache {
        /// What to do with it.
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Run an embedded zone in the foreground; prints how any iRODS client connects to it
    Zone(ZoneArgs),
}

/// What can be done with the cache of signatures.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Forget the signatures of a source: its next scan takes every file for changed
    Clear {
        /// The source directory or bucket, as given to start
        #[arg(value_name = "SRC")]
        source: PathBuf,
        /// Whose bucket.
        #[command(flatten)]
        s3: S3Flags,
    },
}

/// `start`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(after_help = help::START_EXAMPLES)]
pub struct StartArgs {
    /// Directory whose tree is brought into the zone, which every worker must see under this path; or a bucket: s3://BUCKET[/PREFIX]
    #[arg(value_name = "SRC")]
    pub source: PathBuf,
    /// Collection that mirrors it: /ZONE/...; made if it does not exist
    #[arg(value_name = "DEST")]
    pub target: String,
    /// For machines, one line of JSON: start, the job as status --json shows it, when it has ended or is queued; plan, an entry a line,
    /// the totals last
    #[arg(long)]
    pub json: bool,
    /// What the job is.
    #[command(flatten)]
    pub job: JobFlags,
    /// What of the source.
    #[command(flatten)]
    pub scan: ScanFlags,
    /// How a bucket is reached.
    #[command(flatten)]
    pub s3: S3Flags,
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneFlags,
    /// How, if this command does the work.
    #[command(flatten)]
    pub worker: WorkerFlags,
    /// How its event handler is run.
    #[command(flatten)]
    pub handler: HandlerFlags,
}

/// `list`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct ListArgs {
    /// The workers instead of the jobs: who they are, what each does, how fast, and whether it waits
    #[arg(long)]
    pub workers: bool,
    /// All jobs that are kept, those that have finished too, one a line, each as status --json shows it; or all workers so
    #[arg(long)]
    pub json: bool,
}

/// `plan`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(after_help = help::PLAN_EXAMPLES)]
pub struct PlanArgs {
    /// Of which job.
    #[command(flatten)]
    pub start: StartArgs,
}

/// `verify`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(after_help = help::VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// Of which job.
    #[command(flatten)]
    pub start: StartArgs,
}

/// A command about a job.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct JobArg {
    /// Name of the job
    #[arg(value_name = "JOB")]
    pub job: String,
}

/// A command that shows something of a job.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct JobOutputArgs {
    /// Name of the job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// For machines: JSON, one value a line; of watch, the job as status --json shows it, when it has ended
    #[arg(long)]
    pub json: bool,
}

/// A command that shows something of a job, and its profile.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct JobProfileArgs {
    /// Which job.
    #[command(flatten)]
    pub shown: JobOutputArgs,
    /// Write the profile of a job that was started with --profile to FILE.json and FILE.html; watch does so when the job has ended
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

/// `stop`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct StopArgs {
    /// Name of the job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Take what is in flight away from the workers instead of waiting for it
    #[arg(long)]
    pub now: bool,
}

/// `worker`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(after_help = help::WORKER_EXAMPLES)]
pub struct WorkerArgs {
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneFlags,
    /// How.
    #[command(flatten)]
    pub worker: WorkerFlags,
    /// What from, and as whom.
    #[command(flatten)]
    pub fleet: FleetFlags,
    /// How event handlers are run.
    #[command(flatten)]
    pub handler: HandlerFlags,
    /// Run event handlers that come with jobs out of Redis: whoever can write to it can run programs here then. With a broker
    /// in a file they are run anyway
    #[arg(long, help_heading = "Event handlers")]
    pub allow_uploaded_handlers: bool,
    /// Run those event handlers out of Redis that are, to the byte, a file in DIR
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "allow_uploaded_handlers",
        help_heading = "Event handlers"
    )]
    pub handler_dir: Option<PathBuf>,
}

/// A worker among others.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Worker")]
pub struct FleetFlags {
    /// Queues that it takes tasks from, with commas between; see --file_queue and its like of start
    #[arg(short = 'Q', long, value_name = "NAMES", value_delimiter = ',', default_values = Queues::DEFAULT,
        value_parser = job::queue_name)]
    pub queues: Vec<String>,
    /// What it is called in list --workers [default: host and process number]
    #[arg(long, value_name = "NAME", value_parser = job::queue_name)]
    pub name: Option<String>,
}

/// `retry`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct RetryArgs {
    /// Name of the job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Only this path of the source, or s3://BUCKET/KEY, and what is below it
    #[arg(long, value_name = "P")]
    pub path: Option<PathBuf>,
    /// Only what failed with this error, by the name that failures shows
    #[arg(long, value_name = "NAME")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_reference_s() {
        let cli = Cli::try_parse_from(["irods_sync", "start", "/src", "/z/t"]).unwrap();
        let Command::Start(start) = cli.command else {
            panic!("not start");
        };
        assert_eq!(start.scan.files_per_task, 50);
        assert_eq!(start.zone.irods_idle_disconnect_seconds, 60);
        let options = start.options();
        assert_eq!(options, ingest::sync_task::JobOptions::default());
    }
}
