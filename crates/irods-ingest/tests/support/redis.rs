//! A Redis of a test's own: on a free port of the loopback interface and a socket, in a folder that goes with it.
//!
//! It is started under a shell that kills it as soon as its input ends, so it does not outlive a test that is killed.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the program is, if it is there: `REDIS_SERVER`, else in the path.
fn program() -> Option<PathBuf> {
    let found = match std::env::var_os("REDIS_SERVER") {
        Some(program) => PathBuf::from(program),
        None => std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("redis-server"))
            .find(|program| program.exists())?,
    };
    Some(found)
}

#[derive(Debug)]
pub(crate) struct Server {
    folder: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// Starts one; none, and a line about it, where there is no program for it.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        if program().is_none() {
            eprintln!("SKIPPED: there is no redis-server in the path and REDIS_SERVER is not set");
            return None;
        }
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            port: 0,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            process: None,
        };
        // Somebody else may take a port that was free a moment ago.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            server.port = free.local_addr().unwrap().port();
            drop(free);
            if server.run() {
                return Some(server);
            }
        }
        panic!("redis-server does not start");
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Whether it came up.
    fn run(&mut self) -> bool {
        let _ = std::fs::remove_file(self.socket());
        let script = r#""$@" >>log 2>&1 & redis=$!; read end; kill -9 $redis; wait $redis"#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .arg(program().unwrap())
            .args([
                "--bind",
                "127.0.0.1",
                "--unixsocket",
                "socket",
                "--save",
                "",
            ])
            .args(["--port", &self.port.to_string()])
            .args(&self.settings)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if std::os::unix::net::UnixStream::connect(self.socket()).is_ok() {
                return true;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if log.contains("Failed listening") {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.stdin.take().map(|mut input| input.write_all(b"\n"));
            process.wait().unwrap();
        }
    }

    /// The file to which it appends what it does. Up to Redis 6 it is one, from 7 on the last of several.
    pub(crate) fn log_of_changes(&self) -> PathBuf {
        let folder = self.folder.path().join("appendonlydir");
        let latest = std::fs::read_dir(folder).ok().and_then(|entries| {
            let paths = entries.map(|entry| entry.unwrap().path());
            paths
                .filter(|path| path.to_string_lossy().ends_with("incr.aof"))
                .max()
        });
        latest.unwrap_or_else(|| self.folder.path().join("appendonly.aof"))
    }

    /// Starts it again with the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.run(), "redis-server does not start again");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address, by the socket.
    pub(crate) fn url(&self, parameters: &str) -> String {
        format!("redis+unix://{}?{parameters}", self.socket().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
