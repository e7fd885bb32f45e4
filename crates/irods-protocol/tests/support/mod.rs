//! Reads the recorded exchanges and says of each message what it is: which form it is packed in,
//! which call it belongs to, and whether a C++ peer wrote it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, dead_code)]

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irods_protocol::Packing;
use irods_protocol::header::kind;
use serde_json::Value;

/// Result in replies that only report progress and end no call.
const PROGRESS: i32 = 99_999_996;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dir {
    ToServer,
    ToClient,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub place: String,
    pub connection: u64,
    pub dir: Dir,
    /// Whether icommands or the server wrote it, so that its bytes are the norm.
    pub cpp: bool,
    /// How the body is packed.
    pub packing: Packing,
    pub header: Vec<u8>,
    pub kind: String,
    pub int_info: i32,
    /// The call that a request or reply belongs to.
    pub api: Option<i32>,
    /// What a request was answered with.
    pub answer: Option<i32>,
    pub message: Vec<u8>,
    pub error: Vec<u8>,
    /// The byte stream, or its beginning.
    pub bytes: Vec<u8>,
    pub bytes_len: usize,
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

/// Every message of every recording, in order; `None` where there are no recordings.
pub fn recordings() -> Option<Vec<Message>> {
    let mut files: Vec<PathBuf> = fs::read_dir(golden_dir()?)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    Some(files.iter().flat_map(read_file).collect())
}

#[derive(Default)]
struct Connection {
    native: bool,
    /// Calls without a reply yet: number, and place in the list.
    calls: VecDeque<(i32, usize)>,
}

fn read_file(path: &PathBuf) -> Vec<Message> {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut messages = Vec::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        // Other lines are events, bare integers and data ports.
        if line["header"].is_string() {
            let connection = connections
                .entry(line["conn"].as_u64().unwrap())
                .or_default();
            read_message(&name, connection, &line, &mut messages);
        }
    }
    messages
}

fn read_message(
    name: &str,
    connection: &mut Connection,
    line: &Value,
    messages: &mut Vec<Message>,
) {
    let header = line["header"].as_str().unwrap();
    let body = |key: &str| {
        STANDARD
            .decode(line[key].as_str().unwrap_or_default())
            .unwrap()
    };
    let kind_of_message = element(header, "type").to_owned();
    let int_info: i32 = element(header, "intInfo").parse().unwrap();
    let message = body("msg_b64");
    let api = match kind_of_message.as_str() {
        kind::API_REQ => {
            connection.calls.push_back((int_info, messages.len()));
            Some(int_info)
        }
        kind::API_REPLY if int_info == PROGRESS => connection.calls.front().map(|call| call.0),
        kind::API_REPLY => connection.calls.pop_front().map(|(call, request)| {
            messages[request].answer = Some(int_info);
            call
        }),
        _ => None,
    };
    if kind_of_message == kind::CONNECT {
        let text = String::from_utf8_lossy(&message);
        connection.native = element(&text, "irodsProt") == "0";
    }
    let dir = match line["dir"].as_str().unwrap() {
        "c2s" => Dir::ToServer,
        _ => Dir::ToClient,
    };
    let bytes = body("bs_b64");
    messages.push(Message {
        place: format!("{name}:{}", line["seq"]),
        connection: line["conn"].as_u64().unwrap(),
        dir,
        cpp: name.starts_with("icmd") || dir == Dir::ToClient,
        packing: match (api, connection.native) {
            (None, _) => Packing::STARTUP,
            (Some(_), true) => Packing::NATIVE,
            (Some(_), false) => Packing::XML,
        },
        header: header.as_bytes().to_vec(),
        kind: kind_of_message,
        int_info,
        api,
        answer: None,
        message,
        error: body("error_b64"),
        bytes_len: line["bs_len"]
            .as_u64()
            .map_or(bytes.len(), |len| len.try_into().unwrap()),
        bytes,
    });
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once("</").unwrap().0
}
