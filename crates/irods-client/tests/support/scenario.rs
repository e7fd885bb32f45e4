//! A server on loopback that plays the server's side of a recorded scenario.
//!
//! A request is answered by the next recorded request with the same API number and equal content; recorded requests in between,
//! which another client made for its own reasons, are passed over. Content is compared after unpacking, without what clients
//! are free to choose (see `normal`). A request that was not recorded is answered with -12000 and remembered.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irods_client::protocol::frame::{self, Frame};
use irods_client::protocol::header::{Header, kind};
use irods_client::protocol::message::{CsNeg, StartupPack, Version};
use irods_client::protocol::{Packing, Pi};
use irods_client::{Connection, Environment};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::normal::normal;
use super::{Peer, quick};

/// One message of a recording.
#[derive(Debug, Clone)]
pub struct Message {
    pub kind: String,
    pub int_info: i32,
    pub message: Vec<u8>,
    pub error: Vec<u8>,
    pub bytes: Vec<u8>,
    bytes_len: usize,
}

/// What came back for a request.
#[derive(Debug, Clone)]
enum Answer {
    Frame(Message),
    /// The client says this, bare, before the next frame comes.
    ClientSays(i32),
}

#[derive(Debug, Clone)]
struct Exchange {
    request: Message,
    answers: Vec<Answer>,
}

pub struct Scenario {
    startup: Vec<Message>,
    exchanges: Vec<Exchange>,
    /// Announced instead of the recorded release.
    pub release: Option<&'static str>,
    /// Answers a client that asks for a negotiation by this, whatever was recorded.
    pub policy: Option<&'static str>,
    /// What TLS is accepted with, where the client chooses it.
    pub tls: Option<TlsAcceptor>,
    /// Each connection logs in by the first login recorded.
    pub relogin: bool,
    /// The password is not the recorded one: digests need not agree.
    pub any_digest: bool,
}

fn golden(file: &str) -> Option<String> {
    let dir = std::env::var_os("IRODS_GOLDEN_DIR").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/golden"
            ))
        },
        PathBuf::from,
    );
    match std::fs::read_to_string(dir.join(file)) {
        Ok(text) => Some(text),
        Err(e) => {
            eprintln!("SKIPPED: no recording {file} in {}: {e}", dir.display());
            None
        }
    }
}

fn message(line: &Value) -> Message {
    let header = line["header"].as_str().unwrap();
    let field = |name: &str| {
        let start = header.find(&format!("<{name}>")).unwrap() + name.len() + 2;
        let end = header[start..].find('<').unwrap();
        header[start..start + end].to_owned()
    };
    let body = |key: &str| {
        let text = line[key].as_str().unwrap_or_default();
        STANDARD.decode(text).unwrap()
    };
    let mut bytes = body("bs_b64");
    let bytes_len = line["bs_len"].as_u64().map_or(bytes.len(), |n| n as usize);
    bytes.resize(bytes_len, 0);
    Message {
        kind: field("type"),
        int_info: field("intInfo").parse().unwrap(),
        message: body("msg_b64"),
        error: body("error_b64"),
        bytes,
        bytes_len,
    }
}

impl Scenario {
    /// `None`, loudly, if the recordings are not there.
    pub fn load(name: &str) -> Option<Scenario> {
        Self::load_connection(name, None)
    }

    /// Only one connection of a recording.
    pub fn load_connection(name: &str, connection: Option<u64>) -> Option<Scenario> {
        let text = golden(&format!("{name}.jsonl"))?;
        let lines = text
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        let mut scenario = Scenario {
            startup: Vec::new(),
            exchanges: Vec::new(),
            release: None,
            policy: None,
            tls: None,
            any_digest: false,
            relogin: false,
        };
        let mut started = false;
        for line in lines {
            if connection.is_some_and(|c| line["conn"].as_u64() != Some(c)) {
                continue;
            }
            if let Some(int) = line["bare_int"].as_i64() {
                let last = scenario.exchanges.last_mut().unwrap();
                last.answers.push(Answer::ClientSays(int as i32));
            }
            if !line["header"].is_string() {
                continue;
            }
            let message = message(&line);
            match (line["dir"].as_str().unwrap(), message.kind.as_str()) {
                ("c2s", kind::API_REQ) => scenario.exchanges.push(Exchange {
                    request: message,
                    answers: Vec::new(),
                }),
                ("s2c", kind::API_REPLY) => {
                    let last = scenario.exchanges.last_mut().unwrap();
                    last.answers.push(Answer::Frame(message));
                }
                ("s2c", _) if !started => {
                    started = message.kind == kind::VERSION;
                    scenario.startup.push(message);
                }
                _ => {}
            }
        }
        Some(scenario)
    }

    /// Serves any number of connections, one after the other.
    pub async fn serve(self) -> Replay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Log::default()));
        let player = Player {
            scenario: self,
            next: 0,
            log: log.clone(),
        };
        let task = tokio::spawn(player.run(listener));
        Replay { port, log, task }
    }
}

#[derive(Debug, Default)]
pub struct Log {
    pub unmatched: Vec<String>,
    pub goodbyes: usize,
    pub startup: Option<StartupPack>,
    /// What clients chose in negotiations.
    pub choices: Vec<String>,
    /// The encryption parameters of the last client inside TLS.
    pub parameters: Option<Header>,
    /// Connections that ended with TLS's own goodbye.
    pub tls_goodbyes: usize,
}

pub struct Replay {
    pub port: u16,
    pub log: Arc<Mutex<Log>>,
    task: tokio::task::JoinHandle<()>,
}

impl Replay {
    pub fn environment(&self) -> Environment {
        Environment::new("127.0.0.1", self.port, "rods", "tempZone", "rods")
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.environment(), &quick())
            .await
            .unwrap()
    }

    /// Every request was a recorded one.
    pub fn assert_all_recorded(&self) {
        let log = self.log.lock().unwrap();
        assert!(
            log.unmatched.is_empty(),
            "not recorded: {:#?}",
            log.unmatched
        );
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Player {
    scenario: Scenario,
    next: usize,
    log: Arc<Mutex<Log>>,
}

impl Player {
    async fn run(mut self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut wire = Peer::new(stream);
            if self.play(&mut wire).await.is_none() {
                // The client closed, at whatever point.
            }
        }
    }

    async fn play(&mut self, wire: &mut Peer) -> Option<()> {
        loop {
            let frame = wire.frame().await?;
            match frame.kind.as_str() {
                kind::CONNECT => {
                    if self.scenario.relogin {
                        self.next = 0;
                    }
                    let pack = StartupPack::from_bytes(Packing::STARTUP, &frame.message).unwrap();
                    let negotiate = pack.option.contains("request_server_negotiation");
                    self.log.lock().unwrap().startup = Some(pack);
                    let mut tls = false;
                    if let Some(policy) = self.scenario.policy.filter(|_| negotiate) {
                        let offer = CsNeg {
                            status: 1,
                            result: policy.to_owned(),
                        };
                        let offer = offer.to_bytes(Packing::STARTUP).unwrap();
                        wire.reply_as(kind::CS_NEG, 0, &offer).await?;
                        let answer = wire.frame().await?;
                        let answer = CsNeg::from_bytes(Packing::STARTUP, &answer.message).unwrap();
                        self.log.lock().unwrap().choices.push(answer.result.clone());
                        if answer.status != 1 {
                            return None;
                        }
                        tls = answer.result.contains("CS_NEG_USE_SSL");
                    }
                    for message in self.scenario.startup.clone() {
                        if message.kind == kind::CS_NEG {
                            if negotiate && self.scenario.policy.is_none() {
                                wire.send(&message).await?;
                                assert_eq!(wire.frame().await?.kind, kind::CS_NEG);
                            }
                            continue;
                        }
                        wire.send(&self.announced(message)).await?;
                    }
                    if tls {
                        let acceptor = self.scenario.tls.clone().unwrap();
                        wire.accept_tls(&acceptor).await?;
                        let parameters = wire.bare_header().await?;
                        let secret = wire.bare_header().await?;
                        assert_eq!(secret.kind, "SHARED_SECRET");
                        wire.raw(secret.message_len as usize).await?;
                        self.log.lock().unwrap().parameters = Some(parameters);
                    }
                }
                kind::DISCONNECT => {
                    self.log.lock().unwrap().goodbyes += 1;
                    if wire.tls && matches!(wire.stream.read(&mut [0]).await, Ok(0)) {
                        self.log.lock().unwrap().tls_goodbyes += 1;
                    }
                    return Some(());
                }
                kind::API_REQ => self.answer(wire, &frame).await?,
                other => panic!("a client sent {other}"),
            }
        }
    }

    fn announced(&self, mut version: Message) -> Message {
        if let Some(release) = self.scenario.release {
            let mut pi = Version::from_bytes(Packing::STARTUP, &version.message).unwrap();
            pi.rel_version = release.to_owned();
            version.message = pi.to_bytes(Packing::STARTUP).unwrap();
        }
        version
    }

    async fn answer(&mut self, wire: &mut Peer, frame: &Frame) -> Option<()> {
        let any_digest = self.scenario.any_digest;
        let asked = normal(frame.int_info, &frame.message, any_digest);
        let found = self.scenario.exchanges[self.next..].iter().position(|e| {
            e.request.int_info == frame.int_info
                && e.request.bytes_len == frame.bytes.len()
                && normal(frame.int_info, &e.request.message, any_digest) == asked
        });
        let Some(found) = found else {
            self.log
                .lock()
                .unwrap()
                .unmatched
                .push(format!("{} {asked}", frame.int_info));
            let head = frame::encode(kind::API_REPLY, -12_000, &[], &[], 0).unwrap();
            return wire.write(&head).await;
        };
        let exchange = self.scenario.exchanges[self.next + found].clone();
        self.next += found + 1;
        for answer in &exchange.answers {
            match answer {
                Answer::Frame(message) => wire.send(message).await?,
                Answer::ClientSays(int) => {
                    let raw = wire.raw(4).await?;
                    assert_eq!(raw, int.to_be_bytes());
                }
            }
        }
        Some(())
    }
}
