//! Reads a recorded scenario, line by line, in the order in which it happened.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What happened on a connection.
#[derive(Debug, Clone)]
pub enum Event {
    /// The client sent a message.
    Request(Message),
    /// The server sent one.
    Reply(Message),
    /// The client sent four bytes without a header.
    BareInt(i32),
    /// The client closed.
    ClientLeft,
    /// The server closed.
    ServerLeft,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub kind: String,
    pub int_info: i32,
    pub message: Vec<u8>,
    pub error: Vec<u8>,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Line {
    pub seq: u64,
    pub connection: u64,
    pub event: Event,
}

pub struct Scenario {
    pub lines: Vec<Line>,
}

/// The folder of the recordings, if it is there.
pub fn golden_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("IRODS_GOLDEN_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
        PathBuf::from,
    );
    if dir.join("index.json").is_file() {
        return Some(dir);
    }
    eprintln!(
        "SKIPPED: no recordings at {} (set IRODS_GOLDEN_DIR)",
        dir.display()
    );
    None
}

/// The names in the index, in its order.
pub fn names(dir: &Path) -> Vec<String> {
    let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    let name = |entry: &Value| entry["scenario"].as_str().unwrap().to_owned();
    index.iter().map(name).collect()
}

pub fn read(dir: &Path, name: &str) -> Scenario {
    let text = std::fs::read_to_string(dir.join(format!("{name}.jsonl"))).unwrap();
    Scenario {
        lines: text.lines().filter_map(line).collect(),
    }
}

fn line(text: &str) -> Option<Line> {
    let line: Value = serde_json::from_str(text).unwrap();
    let event = if let Some(int) = line["bare_int"].as_i64() {
        Event::BareInt(int as i32)
    } else if line["header"].is_string() {
        let message = message(&line);
        match line["dir"].as_str() {
            Some("c2s") => Event::Request(message),
            _ => Event::Reply(message),
        }
    } else {
        match line["event"].as_str() {
            Some("c2s eof") => Event::ClientLeft,
            Some("s2c eof") => Event::ServerLeft,
            // Connecting happens with the first message; data ports are not replayed.
            _ => return None,
        }
    };
    Some(Line {
        seq: line["seq"].as_u64().unwrap(),
        connection: line["conn"].as_u64().unwrap(),
        event,
    })
}

fn message(line: &Value) -> Message {
    let header = line["header"].as_str().unwrap();
    let body = |key: &str| {
        STANDARD
            .decode(line[key].as_str().unwrap_or_default())
            .unwrap()
    };
    let bytes = body("bs_b64");
    let bytes = match line["bs_len"].as_u64() {
        Some(len) if len as usize > bytes.len() => whole(&bytes, len as usize),
        _ => bytes,
    };
    Message {
        kind: element(header, "type").to_owned(),
        int_info: element(header, "intInfo").parse().unwrap(),
        message: body("msg_b64"),
        error: body("error_b64"),
        bytes,
    }
}

/// A byte stream of which the beginning was kept: the recorded files repeat after 256 bytes.
fn whole(head: &[u8], len: usize) -> Vec<u8> {
    assert_eq!(head.len(), 256);
    let mut whole = head.repeat(len / head.len() + 1);
    whole.truncate(len);
    whole
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once("</").unwrap().0
}
