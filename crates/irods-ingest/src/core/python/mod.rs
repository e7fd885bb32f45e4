//! Event handlers of the Python tool, unmodified: a class named `event_handler` in a file of its own.
//!
//! Hooks run in Python processes (`host`), one for each task that is in one at the same time, started when first needed. What a
//! setting can but answer always (its code names a constant) is asked once, when the job is started; all others are asked
//! for the entries of a chunk together (`choose`). A handler that wants something that is not possible is refused, never ignored.
//!
//! The modules that handler files import are written anew here (`shim/`) and need Python 3.8 or later, and python-irodsclient only
//! in hooks that use their session.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::choice::{Candidate, Choice, Chooses};
use super::{Changes, Event, EventDone, EventHandler, HookError, JobHooks, JobPass, Subject};
use crate::broker::{Broker, JobId};
use crate::plan::{DeleteMode, Operation};
use crate::profile::{About, Measured, Stage, Stages};
use crate::spec::{JobOptions, JobSpec};

mod choose;
mod host;
mod meta;

use host::{Host, HostError, Said};

/// Longest that a handler may take to be loaded.
const LOADING: Duration = Duration::from_secs(30);

/// Longest text of a handler: it is kept with its job.
const MAX_TEXT: usize = 256 << 10;

/// So many entries of a task may each take longer than an entry may before the rest of them is not asked for.
const MAX_HUNG: usize = 3;

/// Most entries of which something is kept from the pre hook for the post hook.
const MAX_KEPT: usize = 100_000;

/// A handler, as it travels with its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handler {
    /// The path that it was read from, for tracebacks.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Names of its hooks, such as `pre_coll_create`, and of the events that it has done itself, such as `on_coll_create`.
    pub hooks: BTreeSet<String>,
    /// Names of the settings that may differ from entry to entry, such as `operation`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub chooses: BTreeSet<String>,
    /// Whether its hooks may put files anywhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub places_files: bool,
}

impl Handler {
    /// Whether entries may be applied as other users, for which the worker's own must be a `rodsadmin`.
    pub fn chooses_users(&self) -> bool {
        self.chooses.contains("as_user")
    }

    /// Which of its hooks are around passes.
    pub fn job_hooks(&self) -> JobHooks {
        JobHooks {
            pre_job: self.hooks.contains("pre_job"),
            post_job: self.hooks.contains("post_job"),
        }
    }
}

/// How handlers are run.
#[derive(Debug, Clone)]
pub struct Python {
    /// The interpreter, a path or a name in PATH.
    pub program: PathBuf,
    /// What is set in its environment besides what this process has; `None` takes a variable away.
    pub environment: Vec<(String, Option<String>)>,
    /// Where `get_redis` finds what handlers keep.
    pub store: Store,
}

/// Where handlers keep what must outlive a call.
#[derive(Debug, Clone)]
pub enum Store {
    /// A file of this machine.
    File(PathBuf),
    /// The broker's Redis: host, port, database, if it has a host.
    Redis(Option<(String, u16, i64)>),
}

/// Which handlers a worker runs. Whoever can write to the broker can queue a job with a handler, and a handler is a program.
#[derive(Debug, Clone)]
pub enum Allowed {
    /// Any.
    All,
    /// Those whose text is that of a file in this directory.
    In(PathBuf),
    /// None.
    None,
}

impl Allowed {
    /// # Errors
    /// Why this handler is not run.
    pub fn check(&self, handler: &Handler) -> Result<(), String> {
        let directory = match self {
            Allowed::All => return Ok(()),
            Allowed::None => {
                return Err(
                    "the job has an event handler, which this worker was not told to run"
                        .to_owned(),
                );
            }
            Allowed::In(directory) => directory,
        };
        let files = std::fs::read_dir(directory)
            .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
        let same = |file: std::io::Result<std::fs::DirEntry>| {
            let text = file.and_then(|file| match std::fs::metadata(file.path())?.is_file() {
                true => std::fs::read(file.path()),
                // To open a pipe may take for ever.
                false => Err(std::io::ErrorKind::InvalidInput.into()),
            });
            text.is_ok_and(|text| text == handler.text.as_bytes())
        };
        match files.into_iter().any(same) {
            true => Ok(()),
            false => Err(format!(
                "no file in {} is the job's event handler {}",
                directory.display(),
                handler.path
            )),
        }
    }
}

/// Why a handler cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("event handler {path}: {message}")]
pub struct HandlerError {
    /// Of the file.
    pub path: String,
    /// What is wrong; may have several lines.
    pub message: String,
}

/// What a handler is, as its host says.
#[derive(Debug, Clone, Deserialize)]
struct Description {
    hooks: BTreeSet<String>,
    replaces: BTreeSet<String>,
    chooses: BTreeSet<String>,
    settings: Settings,
    places_files: bool,
}

/// What a handler says of the whole job: what can but be the same for all entries, and what it answers for the root, which the Python
/// tool asks for before it does anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Settings {
    pub(super) operation: Option<Operation>,
    delete_mode: Option<DeleteMode>,
    pub(super) to_resource: Option<String>,
    max_retries: Option<u32>,
    timeout: Option<u64>,
}

impl Settings {
    /// Writes what the handler says over a job's options.
    pub fn apply(self, options: &mut JobOptions) {
        options.operation = self.operation.unwrap_or(options.operation);
        options.delete_mode = self.delete_mode.unwrap_or(options.delete_mode);
        options.resource = self.to_resource.or(options.resource.take());
        options.max_retries = self.max_retries.unwrap_or(options.max_retries);
        options.timeout = self.timeout.unwrap_or(options.timeout);
    }
}

/// Loads a handler file for a job that is about to be started: what it has, and what it chooses. `spec` is the job without it.
///
/// # Errors
/// It cannot be loaded, or wants what is not possible.
pub async fn load(
    python: &Python,
    path: &str,
    text: &str,
    spec: &JobSpec,
) -> Result<(Handler, Settings), HandlerError> {
    let failed = |message: String| HandlerError {
        path: path.to_owned(),
        message,
    };
    if text.len() > MAX_TEXT {
        return Err(failed(format!("it is longer than {MAX_TEXT} bytes")));
    }
    let handler = Handler {
        path: path.to_owned(),
        text: text.to_owned(),
        hooks: BTreeSet::new(),
        chooses: BTreeSet::new(),
        places_files: false,
    };
    let hello = hello(python, &handler, "", spec);
    let (_, description) = Host::start(python, &hello, LOADING)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let description: Description = serde_json::from_value(description)
        .map_err(|error| failed(format!("its host answers nonsense: {error}")))?;
    let loaded = Handler {
        hooks: &description.hooks | &description.replaces,
        chooses: description.chooses,
        places_files: description.places_files,
        ..handler
    };
    Ok((loaded, description.settings))
}

/// A job's handler that runs in Python.
#[derive(Debug)]
pub struct PythonHandler {
    handler: Handler,
    python: Python,
    /// Whose name handlers are told; none of what is only looked at.
    job: Option<(JobId, Arc<dyn Broker>)>,
    spec: Arc<JobSpec>,
    stages: Stages,
    /// Hosts that wait for something to do.
    idle: Mutex<Vec<Host>>,
    /// What pre hooks left in `meta`, by event and target, for the post hooks: no business of this process.
    kept: Mutex<HashMap<(Event, String), String>>,
}

impl PythonHandler {
    /// The handler of this job. No process is started before a hook runs.
    pub fn new(
        python: Python,
        handler: Handler,
        job: Option<(JobId, Arc<dyn Broker>)>,
        spec: Arc<JobSpec>,
    ) -> Self {
        PythonHandler {
            handler,
            python,
            job,
            spec,
            stages: Stages::default(),
            idle: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// The same, and it says how long its calls take.
    pub(crate) fn measured(self, stages: Stages) -> Self {
        PythonHandler { stages, ..self }
    }

    async fn start_host(&self) -> Result<Host, HookError> {
        let failed = |message: String| HookError {
            message,
            skip: false,
        };
        let name = match &self.job {
            Some((job, broker)) => {
                let job = broker.job(*job).await;
                job.map_err(|error| failed(error.to_string()))?.name
            }
            None => String::new(),
        };
        let hello = hello(&self.python, &self.handler, &name, &self.spec);
        let about = About::path(self.handler.path.as_bytes());
        let measured = self.stages.begin(Stage::Handler, "start", about);
        let started = measured.end(Host::start(&self.python, &hello, LOADING).await);
        Ok(started.map_err(|error| failed(error.to_string()))?.0)
    }

    fn has(&self, hook: &str) -> bool {
        self.handler.hooks.contains(hook)
    }

    /// A host that has nothing to do.
    async fn host(&self) -> Result<Host, HookError> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.pop()
        };
        match idle {
            Some(host) => Ok(host),
            None => self.start_host().await,
        }
    }

    /// What became of a call. The host of one that fails otherwise than by an exception of the handler's, or that is given up, ends.
    fn done<T>(&self, host: Host, answered: Result<T, HostError>) -> Result<T, HookError> {
        use HostError::{Raised, Skipped, Unsuitable};
        // Whoever raised is as good as before; everything else costs the host.
        if matches!(
            answered,
            Ok(_) | Err(Raised { .. } | Skipped(_) | Unsuitable(_))
        ) {
            self.rest(host);
        }
        answered.map_err(|error| hook_error(&error))
    }

    async fn call(&self, request: Value) -> Result<Value, HookError> {
        let mut host = self.host().await?;
        let limit = self.spec.options.file_timeout();
        let (hook, about) = asked(&request);
        let measured = self.stages.begin(Stage::Handler, hook, about);
        let answered = host.call(&request, limit).await;
        ended(measured, &answered);
        self.done(host, answered)
    }
}

/// An event that the handler has done itself.
struct Conversation<'a> {
    handler: &'a PythonHandler,
    hook: String,
    request: Value,
    /// Until the call has ended.
    host: Option<Host>,
}

#[async_trait]
impl EventDone for Conversation<'_> {
    async fn next(
        &mut self,
        acted: Option<Result<(), String>>,
    ) -> Result<Option<Changes>, HookError> {
        let message = match acted {
            None => std::mem::take(&mut self.request),
            Some(acted) => json!({ "error": acted.err() }),
        };
        let limit = self.handler.spec.options.file_timeout();
        let Some(mut host) = self.host.take() else {
            return Ok(None);
        };
        let (_, about) = asked(&message);
        let measured = (self.handler.stages).begin(Stage::Handler, &self.hook, about);
        let said = host.say(&message, limit).await;
        ended(measured, &said);
        match said.and_then(|said| match said {
            Said::Act(told) => meta::changes(told).map(Some),
            Said::Answer(_) => Ok(None),
        }) {
            Ok(Some(changes)) => {
                self.host = Some(host);
                Ok(Some(changes))
            }
            ended => self.handler.done(host, ended),
        }
    }
}

#[async_trait]
impl EventHandler for PythonHandler {
    fn has_hooks(&self, event: Event) -> bool {
        ["pre", "post", "on"]
            .iter()
            .any(|when| self.has(&format!("{when}_{}", event.name())))
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.prepare(event, subject).await.map(drop)
    }

    async fn prepare(&self, event: Event, subject: Subject<'_>) -> Result<Changes, HookError> {
        let place = (event, subject.target.to_owned());
        // Of an attempt that failed in between there may be something left.
        self.kept().remove(&place);
        if !self.has(&format!("pre_{}", event.name())) {
            return Ok(Changes::default());
        }
        let left = self.call(request("pre", event, subject, None)).await?;
        let left = meta::left(left).map_err(|error| hook_error(&error))?;
        if let Some(kept) = left.kept
            && self.has(&format!("post_{}", event.name()))
        {
            self.keep(place, kept)?;
        }
        Ok(left.changes)
    }

    async fn post(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let kept = self.kept().remove(&(event, subject.target.to_owned()));
        if !self.has(&format!("post_{}", event.name())) {
            return Ok(());
        }
        self.call(request("post", event, subject, kept))
            .await
            .map(drop)
    }

    fn replaces(&self, event: Event) -> bool {
        self.has(&format!("on_{}", event.name()))
    }

    async fn begin<'a>(
        &'a self,
        event: Event,
        subject: Subject<'_>,
    ) -> Result<Box<dyn EventDone + 'a>, HookError> {
        Ok(Box::new(Conversation {
            hook: format!("on_{}", event.name()),
            request: request("on", event, subject, None),
            host: Some(self.host().await?),
            handler: self,
        }))
    }

    fn chooses(&self) -> Option<Chooses> {
        choose::chooses(&self.handler)
    }

    async fn choose(&self, asked: &[Candidate<'_>]) -> Result<Vec<Choice>, HookError> {
        if self.handler.chooses.is_empty() {
            return Ok(vec![Choice::default(); asked.len()]);
        }
        let mut choices = Vec::with_capacity(asked.len());
        let mut hung = 0;
        while let left @ [_, ..] = &asked[choices.len()..] {
            if hung == MAX_HUNG {
                let why =
                    format!("not asked for: {hung} entries of its task took too long before it");
                let wrong = left.iter().map(|_| self.wrong_choice(why.clone()));
                choices.extend(wrong);
                break;
            }
            match self.choose_some(left, &mut choices).await {
                Ok(()) => {}
                // The entry whose turn it was. The others have another process.
                Err(error) => {
                    hung += usize::from(matches!(error, HostError::TimedOut(_)));
                    choices.push(self.wrong_choice(error.to_string()));
                }
            }
        }
        Ok(choices)
    }

    fn job_hooks(&self) -> JobHooks {
        self.handler.job_hooks()
    }

    async fn pre_job(&self, _: JobPass<'_>) -> Result<(), HookError> {
        self.call(json!({ "hook": "pre_job", "meta": {} }))
            .await
            .map(drop)
    }

    async fn post_job(&self, _: JobPass<'_>) -> Result<(), HookError> {
        self.call(json!({ "hook": "post_job", "meta": {} }))
            .await
            .map(drop)
    }
}

impl PythonHandler {
    /// Asks one process for all of these, and adds what it answers until it fails.
    async fn choose_some(
        &self,
        asked: &[Candidate<'_>],
        choices: &mut Vec<Choice>,
    ) -> Result<(), HostError> {
        let mut host = match self.host().await {
            Ok(host) => host,
            // It will not start for the next one either.
            Err(error) => {
                let wrong = asked
                    .iter()
                    .map(|_| self.wrong_choice(error.message.clone()));
                choices.extend(wrong);
                return Ok(());
            }
        };
        let limit = self.spec.options.file_timeout();
        let first = asked.first().map_or(&b""[..], |entry| entry.path);
        let measured = self
            .stages
            .begin(Stage::Handler, "choose", About::path(first));
        host.send(&choose::request(&self.handler, asked), limit)
            .await?;
        for entry in asked {
            let Said::Answer(answer) = host.hear(limit).await? else {
                return Err(HostError::Nonsense);
            };
            choices.push(choose::choice(&self.handler, entry, answer)?);
        }
        measured.done();
        self.rest(host);
        Ok(())
    }

    fn wrong_choice(&self, why: String) -> Choice {
        Choice {
            wrong: Some(why),
            chosen_by: Some(self.handler.path.clone()),
            ..Choice::default()
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<(Event, String), String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, place: (Event, String), left: String) -> Result<(), HookError> {
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            return Err(HookError {
                message: format!(
                    "{MAX_KEPT} pre hooks left something in meta that no post hook took"
                ),
                skip: false,
            });
        }
        kept.insert(place, left);
        Ok(())
    }

    /// A host that has nothing to do.
    fn rest(&self, host: Host) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(host);
    }
}

/// The hook that a request is of, and the path that it is about.
fn asked(request: &Value) -> (&str, About<'_>) {
    let hook = request["hook"].as_str().unwrap_or_default();
    let path = request["meta"]["path"].as_str().unwrap_or_default();
    (hook, About::path(path.as_bytes()))
}

/// That an entry is to be left out is an answer.
fn ended<T>(measured: Measured<'_>, answered: &Result<T, HostError>) {
    if matches!(answered, Ok(_) | Err(HostError::Skipped(_))) {
        measured.done();
    }
}

fn hook_error(error: &HostError) -> HookError {
    HookError {
        skip: matches!(error, HostError::Skipped(_)),
        message: error.to_string(),
    }
}

/// The call of a hook, with what the one before it left.
fn request(when: &str, event: Event, subject: Subject<'_>, kept: Option<String>) -> Value {
    // Of the calls that the Python tool makes, those that upload have the operation as a further argument.
    let uploads = match event {
        Event::DataObjCreate => subject.operation.uploads(),
        Event::DataObjModify => {
            matches!(subject.operation, Operation::PutSync | Operation::PutAppend)
        }
        _ => false,
    };
    let arguments = match uploads {
        true => vec![subject.operation.name()],
        false => Vec::new(),
    };
    let user = subject.user.map(|user| [&user.zone, &user.user]);
    json!({
        "hook": format!("{when}_{}", event.name()),
        "meta": meta::entry_meta(event, subject),
        "args": arguments,
        "options": meta::options(event, subject.operation),
        "user": user,
        "kept": kept,
    })
}

/// The first message to a host.
fn hello(python: &Python, handler: &Handler, job_name: &str, spec: &JobSpec) -> Value {
    json!({
        "modules": host::modules(),
        "path": handler.path,
        "text": handler.text,
        "meta": meta::job_meta(python, handler, job_name, spec),
    })
}
