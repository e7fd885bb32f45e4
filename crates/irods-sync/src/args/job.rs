//! Flags that say what a job is, and what of the source it takes.

use std::path::PathBuf;

use clap::{Args, builder::TypedValueParser};
use ingest::broker::Queues;
use ingest::core::rules::Rules;
use ingest::plan::{DeleteMode, Operation};
use ingest::source::Matching;
use ingest::sync_task::{ChecksumPolicy, JobOptions};

use super::{StartArgs, at_least_one};

/// What the job is.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Job")]
pub struct JobFlags {
    /// TOML file with flags of the job in its table job, and rules that choose operation, resource, target, AVUs and permissions for single
    /// entries (docs/operations.md)
    #[arg(long, value_name = "FILE")]
    pub job_file: Option<PathBuf>,
    /// The rules of that file.
    #[arg(skip)]
    pub rules: Option<Rules>,
    /// Name of the job [default: one is made and printed]
    #[arg(long, value_name = "NAME", value_parser = job_name)]
    pub job_name: Option<String>,
    /// What is done with a new or changed file
    ///
    /// REGISTER_SYNC: register it where it is, no byte moves, and keep size and time in the catalog in step.
    /// REGISTER_AS_REPLICA_SYNC: the same, as one more replica of objects that exist, on --resource. PUT: upload what does not exist, never touch what does. PUT_SYNC: upload what is new or changed.
    /// PUT_APPEND: upload what is new, and of what grew the new end. NO_OP: scan, change nothing.
    #[arg(long, value_name = "OPERATION", default_value_t = Operation::RegisterSync, hide_default_value = true,
        value_parser = operations())]
    pub operation: Operation,
    /// What is done with what the source no longer has
    ///
    /// DO_NOT_DELETE: nothing. UNREGISTER: take it out of the catalog, leave the bytes (REGISTER_SYNC,
    /// REGISTER_AS_REPLICA_SYNC). TRASH: move it to the trash collection; NO_TRASH: remove it for good (PUT_SYNC,
    /// PUT_APPEND). Nothing is deleted for an empty, missing or differently mounted source.
    #[arg(long, value_name = "MODE", default_value_t = DeleteMode::DoNotDelete, hide_default_value = true,
        value_parser = delete_modes())]
    pub delete_mode: DeleteMode,
    /// End a job that wants to delete more than this. Looked at before each task, so tasks that run at the same time may
    /// delete a little more
    #[arg(long, value_name = "N")]
    pub max_delete: Option<u64>,
    /// Resource to register on or upload to [default: the zone chooses]
    #[arg(long, visible_alias = "to_resource", value_name = "RESOURCE")]
    pub resource: Option<String>,
    /// Where a file is put below DEST: {mtime:%Y/%m}/{name} [default: {path}]
    ///
    /// path, dir, name, stem, ext; size, mode, mtime, ctime. Times are UTC and take a form after a colon. Two files for one target are refused. For
    /// some files only: --job_file.
    #[arg(long, value_name = "TEMPLATE")]
    pub target_template: Option<String>,
    /// User that everything is done as, NAME or NAME#ZONE; the own one must be a rodsadmin
    #[arg(long, value_name = "USER")]
    pub as_user: Option<String>,
    /// Python file with a class named event_handler, as the Python tool takes it; what it chooses for the whole job goes
    /// before the flags
    #[arg(long, value_name = "FILE")]
    pub event_handler: Option<PathBuf>,
    /// Run again and again: a pass begins so many seconds after the last one began, or when that has ended
    #[arg(short, long, value_name = "SECONDS", value_parser = at_least_one)]
    pub interval: Option<u64>,
    /// Run the job in this process, to its end; with a broker in Redis and no --concurrency: wait for workers to do so
    #[arg(long)]
    pub synchronous: bool,
    /// Show how far it is, with --synchronous
    #[arg(long)]
    pub progress: bool,
    /// Measure what the job's time is spent on, and write it when this command ends to FILE.json and, for people, to FILE.html; watch and
    /// status write it as well (docs/profile.md)
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// How often a file that failed is tried again
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_retries: u32,
    /// Seconds before a failed file is tried again; each further time twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub delay: u64,
    /// Seconds that one file may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = at_least_one)]
    pub timeout: u64,
    /// Connections that the upload of one file of 32 MiB or more may take, 1 to 16
    ///
    /// They pay where the network takes longer for a block than the server does; on the same machine they gain nothing. Servers before 4.2.9
    /// get one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = streams)]
    pub transfer_streams: usize,
    /// Register new files by writing their rows into the catalog: faster, with fewer of the zone's checks and events
    ///
    /// For REGISTER_SYNC with --resource. The first file of each task goes the usual way, so whoever may not register a path cannot do so like this;
    /// for the others the zone looks neither for the file nor at its site's policy, and rules that site has for registrations do not run.
    #[arg(long)]
    pub direct_register: bool,
    /// Tasks of files that may be in hand at the same time, over all workers [default: what the workers can do]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_in_flight: Option<u32>,
    /// Queue of its tasks of files; only workers that are told to serve it (-Q) take from it
    #[arg(long, value_name = "NAME", default_value = "file", value_parser = queue_name)]
    pub file_queue: String,
    /// Queue of its directories, and of what is deleted
    #[arg(long, value_name = "NAME", default_value = "path", value_parser = queue_name)]
    pub path_queue: String,
    /// Queue of what begins its passes
    #[arg(long, value_name = "NAME", default_value = "restart", value_parser = queue_name)]
    pub restart_queue: String,
}

/// Most connections for one file.
pub const MAX_STREAMS: usize = 16;

/// What of the source, and how it is compared.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Scan")]
pub struct ScanFlags {
    /// Files in one task
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub files_per_task: usize,
    /// Take everything for changed, whatever earlier runs remember
    #[arg(long)]
    pub ignore_cache: bool,
    /// The target is empty: do not ask whether objects exist
    #[arg(long)]
    pub initial_ingest: bool,
    /// Decide from the catalog what is new or changed, remembering nothing
    #[arg(long)]
    pub compare_catalog: bool,
    /// Have the zone compute and keep a checksum of each file: none, register or verify [default: none; alone: verify]
    ///
    /// register: of what is registered or uploaded. verify: that of an upload is also compared with one computed here from the bytes that are
    /// sent, while they are; where they differ, the file has failed. No file is read twice for it, so of what is registered in place, and of what
    /// is appended to, there is nothing to compare.
    #[arg(long, value_name = "POLICY", num_args = 0..=1, require_equals = true, hide_possible_values = true,
        default_value = "none", default_missing_value = "verify", hide_default_value = true, value_parser = policies())]
    pub checksum: ChecksumPolicy,
    /// What is left out.
    #[command(flatten)]
    pub exclude: ExcludeFlags,
}

/// What of the source is left out, and what is taken for what.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub struct ExcludeFlags {
    /// Leave out entries of these kinds, separated by commas: regular, directory, character, block, socket, pipe, link
    #[arg(
        long,
        value_name = "KINDS",
        default_value = "none",
        hide_default_value = true
    )]
    pub exclude_file_type: String,
    /// Leave out files whose absolute path matches one of these regular expressions, from its beginning (see --exclude_match)
    #[arg(long, value_name = "RE", num_args = 1..)]
    pub exclude_file_name: Vec<String>,
    /// Leave out such directories with all that is below them
    #[arg(long, value_name = "RE", num_args = 1..)]
    pub exclude_directory_name: Vec<String>,
    /// Where in the path these expressions must match: start, as in the Python tool ('.*/core$'), or search, anywhere in it
    /// ('/core$')
    #[arg(long, value_name = "WHERE", default_value = "start", hide_possible_values = true, value_parser = matchings())]
    pub exclude_match: Matching,
    /// Take symbolic links for what they lead to, wherever that is: a link to a directory becomes a collection
    ///
    /// A link that leads back to a directory that it lies in is in the list of failures; one that leads nowhere stays a link: registered as such, and
    /// a failure of an upload. Without this flag links to directories are not followed, and links to files are uploaded as what they lead to.
    #[arg(long)]
    pub follow_symlinks: bool,
}

/// A name that can be typed again and shown as it is.
fn job_name(text: &str) -> Result<String, &'static str> {
    match text.is_empty() || text.starts_with('-') || text.contains(char::is_control) {
        true => Err("a name that does not begin with - and has no control characters is accepted"),
        false => Ok(text.to_owned()),
    }
}

/// A name that can be one of several with commas between.
pub(super) fn queue_name(text: &str) -> Result<String, &'static str> {
    match text.is_empty() || text.len() > 200 || text.contains(|c: char| c == ',' || c.is_control())
    {
        true => Err("a name of 1 to 200 bytes without commas and control characters is accepted"),
        false => Ok(text.to_owned()),
    }
}

fn streams(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=MAX_STREAMS) => Ok(number),
        _ => Err(format!(
            "a whole number from 1 to {MAX_STREAMS} is accepted"
        )),
    }
}

/// The operations by name.
pub(super) fn operations() -> impl TypedValueParser<Value = Operation> {
    named(Operation::ALL, |operation| operation.name())
}

fn delete_modes() -> impl TypedValueParser<Value = DeleteMode> {
    named(DeleteMode::ALL, |mode| mode.name())
}

/// One of a few values, by their names.
fn named<T: Clone + Send + Sync + 'static>(
    all: impl IntoIterator<Item = T>,
    name: fn(&T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let all: Vec<T> = all.into_iter().collect();
    let names: Vec<&'static str> = all.iter().map(name).collect();
    let found = move |given: String| all.iter().find(|value| name(value) == given).cloned();
    clap::builder::PossibleValuesParser::new(names)
        .try_map(move |given| found(given).ok_or("no such value"))
}

fn policies() -> impl TypedValueParser<Value = ChecksumPolicy> {
    named(ChecksumPolicy::ALL, |policy| policy.name())
}

fn matchings() -> impl TypedValueParser<Value = Matching> {
    named(Matching::ALL, |matching| matching.name())
}

impl StartArgs {
    /// The job's options as the engine knows them.
    pub fn options(&self) -> JobOptions {
        JobOptions {
            operation: self.job.operation,
            resource: self.job.resource.clone(),
            files_per_task: self.scan.files_per_task,
            ignore_cache: self.scan.ignore_cache,
            initial_ingest: self.scan.initial_ingest,
            compare_catalog: self.scan.compare_catalog,
            checksum: self.scan.checksum,
            delete_mode: self.job.delete_mode,
            max_delete: self.job.max_delete,
            max_retries: self.job.max_retries,
            delay: self.job.delay,
            timeout: self.job.timeout,
            transfer_streams: self.job.transfer_streams,
            profile: self.job.profile.is_some(),
            direct_register: self.job.direct_register,
            queues: Queues {
                file: self.job.file_queue.clone(),
                path: self.job.path_queue.clone(),
                restart: self.job.restart_queue.clone(),
            },
            max_in_flight: self.job.max_in_flight,
            bucket: self.s3.access(&self.source),
            rules: Rules::with_flags(
                self.job.rules.clone(),
                self.job.target_template.clone(),
                self.job.as_user.clone(),
            ),
            ..self.scan.exclude.options()
        }
    }
}

impl ExcludeFlags {
    fn options(&self) -> JobOptions {
        JobOptions {
            exclude_file_type: match self.exclude_file_type.as_str() {
                "none" => String::new(),
                kinds => kinds.to_owned(),
            },
            exclude_file_name: expressions(&self.exclude_file_name),
            exclude_directory_name: expressions(&self.exclude_directory_name),
            exclude_match: self.exclude_match,
            follow_symlinks: self.follow_symlinks,
            ..JobOptions::default()
        }
    }
}

/// The word `none` by itself excludes nothing, as in the Python tool.
fn expressions(given: &[String]) -> Vec<String> {
    match given {
        [none] if none == "none" => Vec::new(),
        given => given.to_vec(),
    }
}
