//! A server on loopback that plays the server's side of a recorded scenario.
//!
//! A request is answered by the next recorded request with the same API number and equal content; recorded requests in between,
//! which another client made for its own reasons, are passed over. Content is compared after unpacking, without what clients
//! are free to choose (see `normal`). A request that was not recorded is answered with -12000 and remembered.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs
)]

pub mod certificates;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irods_client::protocol::frame::{self, Frame, FrameDecoder};
use irods_client::protocol::header::{Header, kind};
use irods_client::protocol::limits::Limits;
use irods_client::protocol::message::*;
use irods_client::protocol::{Packing, Pi, api};
use irods_client::{ConnectOptions, Connection, Environment, Timeouts};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// One message of a recording.
#[derive(Debug, Clone)]
pub struct Message {
    kind: String,
    int_info: i32,
    message: Vec<u8>,
    error: Vec<u8>,
    bytes: Vec<u8>,
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

/// A connection on which the client has logged in with whatever it said.
pub async fn let_in(stream: TcpStream) -> Option<Peer> {
    let mut peer = Peer::new(stream);
    assert_eq!(peer.frame().await?.kind, kind::CONNECT);
    let version = Version {
        rel_version: "rods5.0.2".to_owned(),
        api_version: "d".to_owned(),
        ..Version::default()
    };
    let body = version.to_bytes(Packing::STARTUP).unwrap();
    peer.reply_as(kind::VERSION, 0, &body).await?;
    for _ in 0..2 {
        let frame = peer.frame().await?;
        assert_eq!(frame.int_info, api::AUTHENTICATION);
        let mut json: Value =
            serde_json::from_slice(&unpack::<BinBytesBuf>(&frame.message).0).unwrap();
        json["request_result"] = "0".repeat(64).into();
        let body = BinBytesBuf(json.to_string().into_bytes());
        let body = body.to_bytes(Packing::XML).unwrap();
        peer.reply_as(kind::API_REPLY, 0, &body).await?;
    }
    Some(peer)
}

/// Waits for a condition, as long as a test may.
pub async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, waiting).await.unwrap();
}

/// Options whose waits end within a test's patience.
pub fn quick() -> ConnectOptions {
    let short = std::time::Duration::from_secs(20);
    ConnectOptions {
        timeouts: Timeouts {
            connect: short,
            reply: short,
            work: short,
            idle: short,
        },
        ..ConnectOptions::default()
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

/// The server's end of a connection.
pub struct Peer {
    stream: Box<dyn Io>,
    tls: bool,
    decoder: FrameDecoder,
}

/// A stream, in the clear or not.
pub trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Io for T {}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        Peer {
            stream: Box::new(stream),
            tls: false,
            decoder: FrameDecoder::new(Limits::SESSION),
        }
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Goes on inside TLS.
    pub async fn accept_tls(&mut self, acceptor: &TlsAcceptor) -> Option<()> {
        let clear = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(acceptor.accept(clear).await.ok()?);
        self.tls = true;
        Some(())
    }

    pub async fn bare_header(&mut self) -> Option<Header> {
        loop {
            if let Some(header) = self.decoder.next_bare_header().unwrap() {
                return Some(header);
            }
            if self.stream.read_buf(self.decoder.space()).await.ok()? == 0 {
                return None;
            }
        }
    }

    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(self.decoder.space()).await.ok()? == 0 {
                return None;
            }
        }
    }

    pub async fn raw(&mut self, n: usize) -> Option<Vec<u8>> {
        loop {
            if let Some(raw) = self.decoder.next_raw(n) {
                return Some(raw.to_vec());
            }
            if self.stream.read_buf(self.decoder.space()).await.ok()? == 0 {
                return None;
            }
        }
    }

    pub async fn send(&mut self, m: &Message) -> Option<()> {
        let mut all =
            frame::encode(&m.kind, m.int_info, &m.message, &m.error, m.bytes.len()).unwrap();
        all.extend_from_slice(&m.bytes);
        self.write(&all).await
    }

    pub async fn reply_as(&mut self, kind: &str, int_info: i32, message: &[u8]) -> Option<()> {
        let head = frame::encode(kind, int_info, message, &[], 0).unwrap();
        self.write(&head).await
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()?;
        self.stream.flush().await.ok()
    }
}

/// A request's content, printed, without what clients may choose: a user name with or without zone, zeros before numbers, an
/// announced size that is in the structure and as a keyword, a transfer's threads.
fn normal(number: i32, message: &[u8], any_digest: bool) -> String {
    let mut text = match number {
        api::DATA_OBJ_PUT | api::DATA_OBJ_OPEN | api::DATA_OBJ_UNLINK => {
            object(unpack(message), number)
        }
        api::OBJ_STAT | api::PHY_PATH_REG | api::DATA_OBJ_CHKSUM => object(unpack(message), number),
        api::DATA_OBJ_RENAME => format!("{:?}", unpack::<DataObjCopyInp>(message)),
        api::DATA_OBJ_READ => {
            // How much is read at a time is the client's choice.
            let mut input: OpenedDataObjInp = unpack(message);
            input.len = 0;
            format!("{input:?}")
        }
        api::DATA_OBJ_WRITE | api::DATA_OBJ_LSEEK => {
            format!("{:?}", unpack::<OpenedDataObjInp>(message))
        }
        api::DATA_OBJ_CLOSE => {
            let mut input: OpenedDataObjInp = unpack(message);
            input.cond_input = KeyValPair::new();
            format!("{input:?}")
        }
        api::RM_COLL | api::COLL_CREATE => {
            let mut input: CollInpNew = unpack(message);
            sort(&mut input.cond_input);
            format!("{input:?}")
        }
        api::GEN_QUERY => format!("{:?}", unpack::<GenQueryInp>(message)),
        api::MOD_AVU_METADATA => format!("{:?}", unpack::<ModAvuMetadataInp>(message)),
        api::MOD_ACCESS_CONTROL => format!("{:?}", unpack::<ModAccessControlInp>(message)),
        api::MOD_DATA_OBJ_META => {
            // python-irodsclient writes 0 for two pointers that nobody follows; absent means the same.
            let text = String::from_utf8(message.to_vec()).unwrap();
            let text = text
                .replace("<specColl>0</specColl>", "")
                .replace("<next>0</next>", "");
            let mut input: ModDataObjMeta = unpack(text.as_bytes());
            sort(input.reg_param.as_mut().unwrap());
            format!("{input:?}")
        }
        api::AUTH_RESPONSE => {
            let mut input: AuthResponseInp = unpack(message);
            input.username = input
                .username
                .map(|u| u.split('#').next().unwrap().to_owned());
            format!("{input:?}")
        }
        api::DATA_OBJ_REPL
        | api::DATA_OBJ_TRIM
        | api::DATA_OBJ_TRUNCATE
        | api::REPLICA_TRUNCATE => object(unpack(message), number),
        api::REG_DATA_OBJ => format!("{:?}", unpack::<DataObjInfo>(message)),
        api::SWITCH_USER => format!("{:?}", unpack::<SwitchUserInp>(message)),
        api::BULK_DATA_OBJ_REG => format!("{:?}", unpack::<GenQueryOut>(message)),
        api::TICKET_ADMIN => format!("{:?}", unpack::<TicketAdminInp>(message)),
        api::GET_FILE_DESCRIPTOR_INFO
        | api::REPLICA_CLOSE
        | api::ATOMIC_APPLY_METADATA_OPERATIONS
        | api::ATOMIC_APPLY_ACL_OPERATIONS => {
            let text = unpack::<BinBytesBuf>(message).0;
            let mut json: Value = serde_json::from_slice(&text).unwrap();
            if let Some(object) = json.as_object_mut() {
                // python-irodsclient writes the keyword without its last letter, so that servers ignore it; and absent
                // means no administrator.
                object.remove("send_notification");
                object.remove("send_notifications");
                object.entry("admin_mode").or_insert(false.into());
            }
            json.to_string()
        }
        api::AUTHENTICATION | api::TOUCH => {
            let text = unpack::<BinBytesBuf>(message).0;
            let mut json: Value = serde_json::from_slice(&text).unwrap();
            if any_digest && number == api::AUTHENTICATION {
                json = json["next_operation"].clone();
            }
            json.to_string()
        }
        api::OPR_COMPLETE => format!("{:?}", unpack::<IntPi>(message)),
        _ => format!("{message:?}"),
    };
    text.retain(|c| c != '\n');
    text
}

fn unpack<T: Pi>(message: &[u8]) -> T {
    T::from_bytes(Packing::XML, message).unwrap()
}

fn object(mut input: DataObjInp, number: i32) -> String {
    if number == api::DATA_OBJ_PUT {
        input.num_threads = 0;
        input.create_mode = 0;
        input
            .cond_input
            .0
            .retain(|(k, _)| k != "dataSize" && k != "defRescName");
    }
    if number == api::DATA_OBJ_UNLINK || number == api::OBJ_STAT {
        input.create_mode = 0;
        input.data_size = 0;
    }
    if number == api::DATA_OBJ_OPEN {
        input.cond_input.0.retain(|(k, _)| k != "numThreads");
    }
    // A checksum is asked for by the keyword; one recorded client gave it a value.
    for (k, v) in &mut input.cond_input.0 {
        if k == "regChksum" {
            v.clear();
        }
        if k == "rescName" && number != api::DATA_OBJ_TRIM {
            *k = "destRescName".to_owned();
        }
    }
    sort(&mut input.cond_input);
    format!("{input:?}")
}

fn sort(keywords: &mut KeyValPair) {
    for (_, v) in &mut keywords.0 {
        if v.len() == 11 && v.bytes().all(|b| b.is_ascii_digit()) {
            *v = v.trim_start_matches('0').to_owned();
        }
    }
    keywords.0.sort();
}
