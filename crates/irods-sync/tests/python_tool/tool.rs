//! The Python ingest tool, unmodified: its worker under Celery, a Redis of its own, and its command line.
//!
//! Jobs are queued and then waited for by what the tool keeps in Redis. (Its own `--synchronous` fails if a job ends before
//! it looks for the first time.)

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::server::Server;
use crate::support::{Running, Site, until};

/// What one run of the tool is to do.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub source: &'a str,
    pub target: &'a str,
    pub operation: &'a str,
    pub delete_mode: &'a str,
    pub resource: Option<&'a str>,
    /// A handler that chooses all of that itself.
    pub text: Option<&'a str>,
    pub flags: &'a str,
}

pub struct PythonTool<'s> {
    site: &'s Site,
    redis: Server,
    python: PathBuf,
    worker: Child,
    /// Begins the names of its jobs, and so of what it leaves in the folder for temporary files.
    prefix: String,
    jobs: AtomicU64,
}

impl<'s> PythonTool<'s> {
    /// Starts a worker against the zone of the site, which must be running. None, and a line about it, where there is no tool.
    pub fn start(site: &'s Site) -> Option<Self> {
        let Some(python) = std::env::var_os("IRODS_TEST_INGEST_TOOL").map(PathBuf::from) else {
            eprintln!("SKIPPED: IRODS_TEST_INGEST_TOOL names no interpreter with the Python tool");
            return None;
        };
        let redis = Server::start(&[])?;
        // The shell kills all of it as soon as its input ends, also when the test is killed.
        let script =
            r#"setsid "$@" >worker.log 2>&1 </dev/null & w=$!; read end; kill -9 -$w; wait $w"#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .arg(&python)
            .args(["-m", "celery", "-A", "irods_capability_automated_ingest"])
            .args([
                "worker",
                "-l",
                "error",
                "-Q",
                "restart,path,file",
                "-c",
                "2",
            ])
            .args(["--without-mingle", "--without-gossip"]);
        environment(&mut command, site, &redis);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let worker = command.spawn().unwrap();
        let scratch = site.path("").canonicalize().unwrap();
        let unique = scratch.file_name().unwrap().to_str().unwrap();
        let alphanumeric = |c: &char| c.is_ascii_alphanumeric();
        let prefix: String = unique.chars().filter(alphanumeric).collect();
        Some(PythonTool {
            site,
            redis,
            python,
            worker,
            prefix,
            jobs: AtomicU64::new(0),
        })
    }

    /// Runs several jobs at the same time, to their ends. How many of the tasks of each failed.
    pub fn run(&self, orders: &[Order<'_>]) -> Vec<u64> {
        let start = |order: &Order<'_>| {
            let number = self.jobs.fetch_add(1, Ordering::Relaxed);
            let job = format!("{}x{number}", self.prefix);
            let handler = self.site.path(&format!("handler{number}.py"));
            let text = order
                .text
                .map_or_else(|| handler_text(order), str::to_owned);
            std::fs::write(&handler, text).unwrap();
            let mut command = Command::new(&self.python);
            command
                .args(["-m", "irods_capability_automated_ingest.irods_sync"])
                .args(["start", order.source, order.target, "--job_name", &job])
                .arg("--event_handler")
                .arg(handler)
                .args(order.flags.split_whitespace());
            environment(&mut command, self.site, &self.redis);
            (Running::spawn(&mut command), job)
        };
        let started: Vec<_> = orders.iter().map(start).collect();
        let mut jobs = Vec::new();
        for (process, job) in started {
            process.output().expect(0);
            jobs.push(job);
        }
        let wait = |job: String| {
            until(&format!("{job} of the Python tool"), || {
                self.ask(&format!("EXISTS cleanup:/{job}")) == ":0"
            });
            self.ask(&format!("INCRBY failures:/{job} 0"))[1..]
                .parse()
                .unwrap()
        };
        jobs.into_iter().map(wait).collect()
    }

    /// The first line of Redis's answer.
    fn ask(&self, words: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis.port())).unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What the worker complained of.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.site.path("worker.log")).unwrap_or_default()
    }
}

impl Drop for PythonTool<'_> {
    fn drop(&mut self) {
        drop(self.worker.stdin.take());
        let _ = self.worker.wait();
        // It writes each handler there and leaves it.
        for entry in std::fs::read_dir("/tmp").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let ours = format!("event_handler{}x", self.prefix);
            if name.to_string_lossy().starts_with(&ours) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn environment(command: &mut Command, site: &Site, redis: &Server) {
    let zone = site.path("zone/irods_environment.json");
    let broker = format!("redis://127.0.0.1:{}/0", redis.port());
    command
        .current_dir(site.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", site.path("home"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1")
        .env("IRODS_ENVIRONMENT_FILE", zone)
        .env("CELERY_BROKER_URL", broker)
        .stdin(Stdio::null());
}

/// A handler as its users write them.
fn handler_text(order: &Order<'_>) -> String {
    let (operation, delete_mode) = (order.operation, order.delete_mode);
    let resource = match order.resource {
        Some(name) => format!("'{name}'"),
        None => "None".to_owned(),
    };
    format!(
        "from irods_capability_automated_ingest.core import Core
from irods_capability_automated_ingest.utils import DeleteMode, Operation

class event_handler(Core):
    @staticmethod
    def operation(session, meta, **options):
        return Operation.{operation}

    @staticmethod
    def delete_mode(meta):
        return DeleteMode.{delete_mode}

    @staticmethod
    def to_resource(session, meta, **options):
        return {resource}
"
    )
}
