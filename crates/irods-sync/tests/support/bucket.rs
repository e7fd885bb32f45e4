//! An S3 server of other people's making, with one bucket, for one test.
//!
//! `IRODS_TEST_S3` names an interpreter that has it (moto, and boto3 to fill it); the script is in `tests-python`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use ingest::broker::Counts;

use super::{Ran, Running, Site, ran};

/// Whatever has this in it has told a secret.
pub const SECRET: &str = "f00dS3cretKeyf00d";

pub struct Bucket {
    server: Child,
    answers: BufReader<ChildStdout>,
    pub port: u16,
}

impl Bucket {
    /// Starts the server; `None`, with a word on standard error, where there is none to start.
    pub fn start() -> Option<Self> {
        let Some(python) = std::env::var_os("IRODS_TEST_S3") else {
            eprintln!("SKIPPED: IRODS_TEST_S3 names no interpreter with moto");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-python/bucket.py");
        let mut server = Command::new(python)
            .arg(script)
            .env_clear()
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(server.stdout.take().unwrap());
        let mut bucket = Bucket {
            server,
            answers,
            port: 0,
        };
        bucket.port = bucket.answer().as_u64().unwrap().try_into().unwrap();
        Some(bucket)
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the S3 server ended: {line:?}"))
    }

    fn ask(&mut self, wish: &Value) {
        writeln!(self.server.stdin.as_mut().unwrap(), "{wish}").unwrap();
        assert_eq!(self.answer(), json!("done"));
    }

    pub fn put(&mut self, key: &str, content: &str) {
        self.ask(&json!({"put": {key: content}}));
    }

    pub fn put_in_parts(&mut self, key: &str, parts: &[&str]) {
        self.ask(&json!({"parts": {key: parts}}));
    }

    pub fn delete(&mut self, keys: &[&str]) {
        self.ask(&json!({"delete": keys}));
    }

    /// That many objects; the keys are `PREFIX0000000` and so on, and the contents.
    pub fn fill(&mut self, prefix: &str, count: usize) {
        self.ask(&json!({"many": prefix, "count": count}));
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Another server of other people's making (rclone), beside the interpreter that `IRODS_TEST_S3` names, for objects that none should hold
/// in memory: its buckets are the directories of one.
pub struct Streaming {
    _server: Running,
    pub port: u16,
}

impl Streaming {
    /// Starts the server; `None`, with a word on standard error, where there is none to start.
    pub fn start(directory: &Path) -> Option<Self> {
        let python = std::env::var_os("IRODS_TEST_S3").map(PathBuf::from);
        let rclone = python.map(|python| python.with_file_name("rclone"));
        let Some(rclone) = rclone.filter(|rclone| rclone.is_file()) else {
            eprintln!("SKIPPED: beside what IRODS_TEST_S3 names there is no rclone");
            return None;
        };
        let mut command = Command::new(rclone);
        command
            .args([
                "serve",
                "s3",
                "--addr",
                "127.0.0.1:0",
                "--config",
                "/dev/null",
            ])
            .args([
                "--auth-key",
                &format!("access,{SECRET}"),
                "--vfs-cache-mode",
                "off",
            ])
            .arg(directory)
            .env_clear()
            .env("HOME", directory)
            .stdin(Stdio::null());
        let mut server = Running::spawn(&mut command);
        let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
        let told = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("[http://127.0.0.1:")?;
            port.trim_end_matches("/]").parse().ok()
        });
        let port = told.expect("the S3 server says where it is");
        // Whatever else it says is of no concern, but must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Streaming {
            _server: server,
            port,
        })
    }
}

impl Site {
    /// The flags by which the program reaches a server at that port, with keys in a file.
    pub fn s3_flags(&self, port: u16) -> String {
        std::fs::write(self.path("keys"), format!("access \n{SECRET}\n")).unwrap();
        format!("--s3_keypair keys --s3_endpoint_domain 127.0.0.1:{port} --s3_insecure_connection")
    }

    /// `start` of `s3://bucket/p` into `/tempZone/home/rods/t` of the embedded zone.
    pub fn start_bucket(&self, port: u16, more: &str) -> Ran {
        ran(&mut self.bucket_command(port, more))
    }

    /// The same, with a library that tries twice and not longer.
    pub fn start_impatiently(&self, port: u16, more: &str) -> Ran {
        let more = format!("--job_name j --operation PUT_SYNC --s3_timeout 3 {more}");
        ran(self
            .bucket_command(port, &more)
            .env("AWS_MAX_ATTEMPTS", "2"))
    }

    fn bucket_command(&self, port: u16, more: &str) -> Command {
        let flags = self.s3_flags(port);
        self.command(&format!(
            "start s3://bucket/p /tempZone/home/rods/t --embedded_zone zone --synchronous {flags} {more}"
        ))
    }

    /// The totals of the job `j`, but for what is not the same each time.
    pub fn counts(&self) -> Counts {
        let totals: Counts = serde_json::from_value(self.status("j")["totals"].take()).unwrap();
        Counts {
            tasks: 0,
            bytes_uploaded: 0,
            ..totals
        }
    }
}
