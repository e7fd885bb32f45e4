//! A place to run the program in: a directory of its own with source, zone and broker, and nothing of the user's.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod bucket;
pub mod handler;
pub mod http;
pub mod job_file;
pub mod mirror;
pub mod proxy;
pub mod random;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use irods_client::environment::Sources;
use irods_client::metadata::{Avu, Entity};
use irods_client::{ConnectOptions, Connection, Environment};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_irods_sync");
/// Far beyond what anything takes; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Site {
    dir: tempfile::TempDir,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        Site { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of the source, old enough that no clock's granularity makes it suspicious.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path("src").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        path
    }

    pub fn files(&self, count: usize) {
        for number in 0..count {
            self.file(
                &format!("d{}/f{number}", number / 100),
                format!("content {number}").as_bytes(),
            );
        }
    }

    /// The program, in this directory and without the user's environment.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(words.split_whitespace())
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &str) -> Ran {
        ran(&mut self.command(words))
    }

    /// `start` of the source into `/tempZone/home/rods/t` of the embedded zone.
    pub fn start(&self, more: &str) -> Ran {
        self.run(&format!(
            "start src /tempZone/home/rods/t --embedded_zone zone {more}"
        ))
    }

    pub fn spawn(&self, words: &str) -> Running {
        Running::spawn(&mut self.command(words))
    }

    /// The state of a job.
    pub fn status(&self, job: &str) -> serde_json::Value {
        let ran = self.run(&format!("status {job} --json"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// Serves the zone, so that it can be looked into.
    pub fn zone(&self) -> Running {
        let mut zone = self.spawn("zone zone");
        zone.wait_for_line("is open at");
        zone
    }

    /// Runs a script of `tests-python` with python-irodsclient against the zone, which must be running; `None`, with a word on
    /// standard error, where there is no such interpreter.
    pub fn python(&self, script: &str, arguments: &[&str]) -> Option<Ran> {
        let Some(python) = std::env::var_os("IRODS_TEST_PYTHON") else {
            eprintln!("SKIPPED: IRODS_TEST_PYTHON names no interpreter with python-irodsclient");
            return None;
        };
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-python");
        let scratch = self.path("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        let mut command = Command::new(python);
        command
            .arg(scripts.join(script))
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .env("SCRATCH", scratch)
            .env(
                "IRODS_ENVIRONMENT_FILE",
                self.path("zone/irods_environment.json"),
            );
        Some(ran(&mut command).expect(0))
    }

    /// Asks the zone, which must be running.
    pub fn ask<T>(&self, what: impl AsyncFnOnce(&mut Connection) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let environment = environment(&self.path("zone/irods_environment.json"));
            let options = ConnectOptions::default();
            let mut zone = Connection::open(&environment, &options).await.unwrap();
            what(&mut zone).await
        })
    }

    /// The AVUs of a data object. The zone must be running.
    pub fn avus(&self, object: &str) -> Vec<Avu> {
        let entity = Entity::DataObject(object);
        self.ask(async |zone| zone.list_avus(entity).await.unwrap())
    }

    /// Data objects below a collection of the zone, with their sizes. The zone must be running.
    pub fn objects(&self, collection: &str) -> BTreeMap<String, i64> {
        self.ask(async |zone| {
            let mut found = BTreeMap::new();
            let mut collections = vec![collection.to_owned()];
            while let Some(collection) = collections.pop() {
                for (name, replicas) in zone.list_data_objects(&collection).await.unwrap() {
                    assert_eq!(replicas.len(), 1, "{name}");
                    found.insert(format!("{collection}/{name}"), replicas[0].size as i64);
                }
                for name in zone.list_subcollections(&collection).await.unwrap() {
                    collections.push(format!("{collection}/{name}"));
                }
            }
            found
        })
    }
}

pub fn environment(file: &Path) -> Environment {
    let name = file.to_str().unwrap();
    Environment::read(&Sources {
        variable: &|variable| (variable == "IRODS_ENVIRONMENT_FILE").then(|| name.to_owned()),
        uid: rustix::process::getuid().as_raw(),
    })
    .unwrap()
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Ran {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\nstdout: {}\nstderr: {}",
            self.out,
            self.err
        );
        self
    }

    /// The number before a word of the summary, such as `registered,`.
    #[track_caller]
    pub fn number(&self, word: &str) -> u64 {
        let words: Vec<&str> = self.out.split_whitespace().collect();
        let at = words
            .windows(2)
            .find(|pair| pair[1].trim_end_matches([',', ':']) == word);
        let number = at.unwrap_or_else(|| panic!("no {word} in {}", self.out))[0];
        number.replace(',', "").parse().unwrap()
    }
}

/// A process that is killed when the test ends.
pub struct Running(pub Child);

impl Running {
    pub fn spawn(command: &mut Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running(child)
    }

    /// Reads lines of stdout until one contains `text`.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) {
        let out = self.0.stdout.take().unwrap();
        let mut lines = BufReader::new(out).lines();
        let found = lines.any(|line| line.is_ok_and(|line| line.contains(text)));
        if !found {
            let mut err = String::new();
            std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut err).unwrap();
            panic!("ended without saying {text:?}: {err}");
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; whatever it still says must fit into a pipe.
    pub fn end(mut self) -> ExitStatus {
        let mut status = None;
        until("the process to end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for its end and gives what it said.
    pub fn output(mut self) -> Ran {
        let read = |stream: Option<Box<dyn std::io::Read>>| {
            let mut text = String::new();
            if let Some(mut stream) = stream {
                stream.read_to_string(&mut text).unwrap();
            }
            text
        };
        let out = read(self.0.stdout.take().map(|s| Box::new(s) as _));
        let err = read(self.0.stderr.take().map(|s| Box::new(s) as _));
        let code = self.0.wait().unwrap().code();
        Ran { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
