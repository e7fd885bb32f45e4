//! One Python process that runs a handler's hooks, and the messages to it.
//!
//! Messages go over a socket of their own: four bytes of length, most significant first, then JSON; each request has one answer, but for
//! that for what is chosen: it has one for each entry. What the handler prints goes to the log. The process ends with its [`Host`].

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{Python, Store};

/// Where the modules of the Python tool are, for those that import them.
const PACKAGE: &str = "irods_capability_automated_ingest";

/// What the interpreter is started with.
const BOOT: &str = include_str!("shim/boot.py");

/// Longest message. An answer has nothing but a description or a traceback.
const MAX_MESSAGE: usize = 16 << 20;

/// Longest line that goes to the log as one.
const MAX_LINE: usize = 16 << 10;

/// The modules that handler files import, by name.
pub(super) fn modules() -> BTreeMap<String, &'static str> {
    [
        ("core", include_str!("shim/core.py")),
        ("utils", include_str!("shim/utils.py")),
        ("redis_utils", include_str!("shim/redis_utils.py")),
        ("redis_key", include_str!("shim/redis_key.py")),
        ("sync_logging", include_str!("shim/sync_logging.py")),
        ("_changes", include_str!("shim/changes.py")),
        ("_settings", include_str!("shim/settings.py")),
        ("_charmap", include_str!("shim/charmap.py")),
        ("_host", include_str!("shim/host.py")),
    ]
    .map(|(name, text)| (format!("{PACKAGE}.{name}"), text))
    .into()
}

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    /// The interpreter.
    #[error("cannot start {0}: {1}")]
    Start(String, std::io::Error),
    /// The process ended, by itself or because of what it was given to run.
    #[error("the Python process of the handler ended")]
    Ended,
    /// It took too long.
    #[error("it took more than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The handler raised; its words.
    #[error("{summary}\n{traceback}")]
    Raised {
        /// The last line.
        summary: String,
        /// The whole.
        traceback: String,
    },
    /// It cannot be used; why.
    #[error("{0}")]
    Unsuitable(String),
    /// The entry is to be left out; why.
    #[error("{0}")]
    Skipped(String),
    /// An answer that is none.
    #[error("the Python process of the handler answers nonsense")]
    Nonsense,
}

/// What a host says.
#[derive(Debug)]
pub(super) enum Said {
    /// The answer to the request.
    Answer(Value),
    /// What the event is about is to be done, with these changes, and how that went to be told.
    Act(Value),
}

/// A process that has loaded the handler.
#[derive(Debug)]
pub(super) struct Host {
    stream: BufReader<UnixStream>,
    /// Killed when this is dropped.
    _process: Child,
}

impl Host {
    /// Starts the process and has it load the handler; what the handler is, comes back.
    pub(super) async fn start(
        python: &Python,
        hello: &Value,
        limit: Duration,
    ) -> Result<(Self, Value), HostError> {
        let failed = |error| HostError::Start(python.program.display().to_string(), error);
        let (ours, theirs) = BlockingStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut command = Command::new(&python.program);
        command
            .args(["-X", "utf8", "-c", BOOT])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // What a terminal sends to all of its group, Ctrl-C, is for the worker, which lets hooks finish.
            .process_group(0);
        for (name, value) in &python.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Store::File(path) = &python.store {
            command.env("IRODS_SYNC_HANDLER_STORE", path);
        }
        let mut process = command.spawn().map_err(failed)?;
        // The child's end of the socket is in the command until here.
        drop(command);
        if let Some(out) = process.stdout.take() {
            tokio::spawn(log_lines(out));
        }
        if let Some(err) = process.stderr.take() {
            tokio::spawn(log_lines(err));
        }
        let mut host = Host {
            stream: BufReader::new(UnixStream::from_std(ours).map_err(failed)?),
            _process: process,
        };
        let description = host.call(hello, limit).await?;
        Ok((host, description))
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call(
        &mut self,
        request: &Value,
        limit: Duration,
    ) -> Result<Value, HostError> {
        match self.say(request, limit).await? {
            Said::Answer(value) => Ok(value),
            Said::Act(_) => Err(HostError::Nonsense),
        }
    }

    /// Sends a request, or how what was asked for in the middle of one went, and waits for what comes back.
    pub(super) async fn say(
        &mut self,
        message: &Value,
        limit: Duration,
    ) -> Result<Said, HostError> {
        self.send(message, limit).await?;
        self.hear(limit).await
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: &Value, limit: Duration) -> Result<(), HostError> {
        in_time(limit, self.write(message)).await
    }

    /// Waits for what comes.
    pub(super) async fn hear(&mut self, limit: Duration) -> Result<Said, HostError> {
        let mut answer = in_time(limit, self.read()).await?;
        if let Some(changes) = answer.get_mut("act") {
            return Ok(Said::Act(changes.take()));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match &mut answer {
            Value::Object(object) => match object.remove("ok") {
                Some(value) => Ok(Said::Answer(value)),
                None => Err(match (object.get("unsuitable"), object.get("error")) {
                    _ if let Some(why) = object.get("skip") => HostError::Skipped(text(why)),
                    (Some(why), _) => HostError::Unsuitable(text(why)),
                    (None, Some(error)) => HostError::Raised {
                        summary: text(error),
                        traceback: object.get("traceback").map(text).unwrap_or_default(),
                    },
                    (None, None) => HostError::Nonsense,
                }),
            },
            _ => Err(HostError::Nonsense),
        }
    }

    async fn write(&mut self, message: &Value) -> std::io::Result<()> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, message)?;
        let length = u32::try_from(bytes.len() - 4).map_err(std::io::Error::other)?;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&bytes).await
    }

    async fn read(&mut self) -> std::io::Result<Value> {
        let length = self.stream.read_u32().await? as usize;
        if length > MAX_MESSAGE {
            return Err(std::io::Error::other("an answer that is too long"));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(serde_json::from_slice(&body)?)
    }
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, HostError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(HostError::Ended),
        Err(_) => Err(HostError::TimedOut(limit)),
    }
}

/// Passes what a handler prints to the log. Lines of the handler's logger begin with their level.
async fn log_lines(output: impl AsyncRead + Unpin) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut output)
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let (level, message) = match text.strip_prefix('\u{1}').and_then(|t| t.split_once('\t')) {
            Some(parts) => parts,
            None => ("info", text),
        };
        match level {
            "debug" => tracing::debug!(target: "handler", "{message}"),
            "info" => tracing::info!(target: "handler", "{message}"),
            "warning" => tracing::warn!(target: "handler", "{message}"),
            _ => tracing::error!(target: "handler", "{message}"),
        }
    }
}
