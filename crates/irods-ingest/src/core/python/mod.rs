//! Event handlers of the Python tool, unmodified: a class named `event_handler` in a file of its own.
//!
//! Hooks run in Python processes (`host`), one for each task that is in one at the same time, started when first needed. What the
//! handler chooses for the whole job (operation, resource, ...) is asked once, when the job is started, and becomes the
//! job's options. A handler that wants something that this version cannot do (choosing by entry, replacing an action) is
//! refused then, never ignored.
//!
//! The modules that handler files import are written anew here (`shim/`) and need Python 3.8 or later, and python-irodsclient only
//! in hooks that use their session.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Event, EventHandler, HookError, JobHooks, JobPass, Subject};
use crate::broker::{Broker, JobId};
use crate::plan::{DeleteMode, Operation};
use crate::source::EntryKind;
use crate::spec::{JobOptions, JobSpec};

mod host;

use host::{Host, HostError};

/// Longest that a handler may take to be loaded.
const LOADING: Duration = Duration::from_secs(30);

/// Longest text of a handler: it is kept with its job.
const MAX_TEXT: usize = 256 << 10;

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
    /// Names of its hooks, such as `pre_coll_create`.
    pub hooks: BTreeSet<String>,
}

impl Handler {
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
            let text = file.and_then(|file| std::fs::read(file.path()));
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
    settings: Settings,
}

/// What a handler chooses for a job; `None` where it has no such method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Settings {
    operation: Option<String>,
    delete_mode: Option<String>,
    to_resource: Option<String>,
    max_retries: Option<u32>,
    timeout: Option<u64>,
    delay: Option<u64>,
}

impl Settings {
    /// Writes what the handler chooses over a job's options.
    pub fn apply(&self, options: &mut JobOptions) {
        let operation = |name: &String| name.parse::<Operation>().ok();
        if let Some(operation) = self.operation.as_ref().and_then(operation) {
            options.operation = operation;
        }
        let mode = |name: &String| name.parse::<DeleteMode>().ok();
        if let Some(mode) = self.delete_mode.as_ref().and_then(mode) {
            options.delete_mode = mode;
        }
        if let Some(resource) = &self.to_resource {
            options.resource = Some(resource.clone());
        }
        options.max_retries = self.max_retries.unwrap_or(options.max_retries);
        options.timeout = self.timeout.unwrap_or(options.timeout);
        options.delay = self.delay.unwrap_or(options.delay);
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
    };
    let hello = hello(python, &handler, "", spec);
    let (_, description) = Host::start(python, &hello, LOADING)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let description: Description = serde_json::from_value(description)
        .map_err(|error| failed(format!("its host answers nonsense: {error}")))?;
    let hooks = description.hooks;
    Ok((Handler { hooks, ..handler }, description.settings))
}

/// A job's handler that runs in Python.
#[derive(Debug)]
pub struct PythonHandler {
    handler: Handler,
    python: Python,
    job: JobId,
    spec: Arc<JobSpec>,
    broker: Arc<dyn Broker>,
    /// Hosts that wait for something to do.
    idle: Mutex<Vec<Host>>,
    /// What pre hooks left in `meta`, by event and target, for the post hooks.
    kept: Mutex<HashMap<(Event, String), Value>>,
}

impl PythonHandler {
    /// The handler of this job. No process is started before a hook runs.
    pub fn new(
        python: Python,
        handler: Handler,
        job: JobId,
        spec: Arc<JobSpec>,
        broker: Arc<dyn Broker>,
    ) -> Self {
        PythonHandler {
            handler,
            python,
            job,
            spec,
            broker,
            idle: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    async fn start_host(&self) -> Result<Host, HookError> {
        let failed = |message: String| HookError { message };
        let job = self.broker.job(self.job).await;
        let job = job.map_err(|error| failed(error.to_string()))?;
        let hello = hello(&self.python, &self.handler, &job.name, &self.spec);
        let started = Host::start(&self.python, &hello, LOADING).await;
        Ok(started.map_err(|error| failed(error.to_string()))?.0)
    }

    fn has(&self, hook: &str) -> bool {
        self.handler.hooks.contains(hook)
    }

    /// Calls a hook. The host of a call that fails otherwise than by an exception of the hook's, or that is given up, ends.
    async fn call(&self, request: Value) -> Result<Value, HookError> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.pop()
        };
        let mut host = match idle {
            Some(host) => host,
            None => self.start_host().await?,
        };
        let limit = self.spec.options.file_timeout();
        let answered = host.call(&request, limit).await;
        // Whoever raised is as good as before; everything else, a call that is given up too, costs the host.
        if matches!(answered, Ok(_) | Err(HostError::Raised { .. })) {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(host);
        }
        answered.map_err(|error| HookError {
            message: error.to_string(),
        })
    }
}

#[async_trait]
impl EventHandler for PythonHandler {
    fn has_hooks(&self, event: Event) -> bool {
        ["pre", "post"]
            .iter()
            .any(|when| self.has(&format!("{when}_{}", event.name())))
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.around("pre", event, subject).await
    }

    async fn post(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.around("post", event, subject).await
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
    async fn around(
        &self,
        when: &str,
        event: Event,
        subject: Subject<'_>,
    ) -> Result<(), HookError> {
        let hook = format!("{when}_{}", event.name());
        let place = (event, subject.target.to_owned());
        // Of an attempt that failed in between there may be something left.
        let kept = self.kept().remove(&place).filter(|_| when == "post");
        if !self.has(&hook) {
            return Ok(());
        }
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
        let mut request = json!({
            "hook": hook,
            "meta": entry_meta(event, subject),
            "args": arguments,
            "options": options(event, subject.operation),
        });
        if let Some(kept) = kept {
            request["kept"] = kept;
        }
        let mut answer = self.call(request).await?;
        let left = answer["kept"].take();
        if when == "pre" && left.as_object().is_some_and(|left| !left.is_empty()) {
            let mut kept = self.kept();
            if kept.len() >= MAX_KEPT {
                return Err(HookError {
                    message: format!(
                        "{MAX_KEPT} pre hooks left something in meta that no post hook took"
                    ),
                });
            }
            kept.insert(place, left);
        }
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<(Event, String), Value>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keyword arguments of a hook.
fn options(event: Event, operation: Operation) -> Value {
    match event {
        Event::DataObjCreate | Event::DataObjModify if operation != Operation::NoOp => {
            json!({ "allow_redirect": false })
        }
        _ => json!({}),
    }
}

/// What handlers are told of the entry, besides what is the same for the whole job.
fn entry_meta(event: Event, subject: Subject<'_>) -> Value {
    let mut meta = json!({ "target": subject.target });
    match std::str::from_utf8(subject.path) {
        Ok(path) => meta["path"] = path.into(),
        Err(_) => meta["path_bytes"] = subject.path.into(),
    }
    match event {
        Event::CollCreate | Event::CollModify => {
            meta["entry_type"] = "dir".into();
            meta["task"] = "filesystem_sync_dir".into();
        }
        Event::CollDelete => meta["target_collection"] = subject.target.into(),
        Event::DataObjDelete => meta["data_objects_to_delete"] = json!([subject.target]),
        Event::DataObjCreate | Event::DataObjModify => {
            meta["entry_type"] = "file".into();
            meta["task"] = "sync_file".into();
            meta["is_empty_dir"] = Value::Null;
        }
    }
    if let Some(stat) = subject.stat {
        let time = |time: crate::source::Timestamp| {
            time.seconds as f64 + f64::from(time.nanos) / 1_000_000_000.0
        };
        meta["mtime"] = time(stat.mtime).into();
        meta["ctime"] = time(stat.ctime).into();
        meta["size"] = stat.size.into();
        meta["is_link"] = (stat.kind == EntryKind::Symlink).into();
        meta["is_socket"] = (stat.kind == EntryKind::Socket).into();
    }
    meta
}

/// The first message to a host.
fn hello(python: &Python, handler: &Handler, job_name: &str, spec: &JobSpec) -> Value {
    json!({
        "modules": host::modules(),
        "path": handler.path,
        "text": handler.text,
        "meta": job_meta(python, handler, job_name, spec),
    })
}

/// What handlers are told of the job, under the names that the Python tool has for it.
fn job_meta(python: &Python, handler: &Handler, job_name: &str, spec: &JobSpec) -> Value {
    let source = String::from_utf8_lossy(spec.source_bytes());
    let options = &spec.options;
    let redis = match &python.store {
        Store::File(_) | Store::Redis(None) => Value::Null,
        Store::Redis(Some((host, port, db))) => json!({ "host": host, "port": port, "db": db }),
    };
    let log = json!({ "filename": null, "when": null, "interval": null, "level": null });
    json!({
        "job_name": job_name,
        "target": spec.target,
        "root_target_collection": spec.target,
        "root": source,
        "src_path": source,
        "path": source,
        "interval": null,
        "ignore_cache": options.ignore_cache,
        "initial_ingest": options.initial_ingest,
        "synchronous": false,
        "progress": false,
        "profile": false,
        "files_per_task": options.files_per_task,
        "event_handler": handler.path,
        "restart_queue": options.queues.restart,
        "path_queue": options.queues.path,
        "file_queue": options.queues.file,
        "exclude_file_type": options.exclude_file_type,
        "exclude_file_name": options.exclude_file_name,
        "exclude_directory_name": options.exclude_directory_name,
        "config": { "log": log, "profile": log, "redis": redis },
    })
}
