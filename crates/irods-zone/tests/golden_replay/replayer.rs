//! Plays the client side of a recording against a zone, message by message, and compares what comes back.
//!
//! Where the recorded server moved bytes over data ports, the zone says that the client is to send or read them on
//! the connection (no threads); the player does so, as any client would, and notes the difference.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use irods_protocol::auth::framework::AuthMessage;
use irods_protocol::frame::{self, Frame, FrameDecoder};
use irods_protocol::header::kind;
use irods_protocol::limits::Limits;
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::compare::{Difference, compare};
use crate::recording::{Event, Line, Message, Scenario};
use crate::render;
use crate::translate::{self, Handles, Names, Places};

/// A reply that takes longer is a failure of the zone.
const PATIENCE: Duration = Duration::from_secs(30);
const PROGRESS: i32 = 99_999_996;

/// One message of the server, compared.
#[derive(Debug)]
pub struct Compared {
    pub seq: u64,
    /// Name of the call, or kind of the message.
    pub call: String,
    pub differences: Vec<Difference>,
}

struct Pending {
    call: i32,
    ordered: bool,
    /// What an upload would send over data ports.
    size: i64,
}

struct Connection {
    stream: Option<TcpStream>,
    decoder: FrameDecoder,
    packing: Packing,
    handles: Handles,
    pending: VecDeque<Pending>,
    /// A frame that came where the recording has another one first.
    early: Option<Frame>,
    asked_for_progress: bool,
}

pub struct Player<'a> {
    pub address: SocketAddr,
    pub places: &'a Places,
    pub names: Names,
    pub compared: Vec<Compared>,
    connections: HashMap<u64, Connection>,
}

impl<'a> Player<'a> {
    pub fn new(address: SocketAddr, places: &'a Places, names: Names) -> Self {
        Self {
            address,
            places,
            names,
            compared: Vec::new(),
            connections: HashMap::new(),
        }
    }

    pub async fn play(&mut self, scenario: &Scenario) {
        for line in &scenario.lines {
            let mut connection = match self.connections.remove(&line.connection) {
                Some(connection) => connection,
                None => Connection::open(self.address).await,
            };
            match &line.event {
                Event::Request(message) => self.request(&mut connection, message).await,
                Event::Reply(message) => self.reply(&mut connection, line, message).await,
                Event::BareInt(int) if connection.asked_for_progress => {
                    connection.asked_for_progress = false;
                    connection.write(&int.to_be_bytes()).await;
                }
                Event::BareInt(_) => {}
                Event::ClientLeft => {
                    self.unanswered(&mut connection, line).await;
                    connection.leave().await;
                }
                Event::ServerLeft => self.unanswered(&mut connection, line).await,
            }
            self.connections.insert(line.connection, connection);
        }
    }

    async fn request(&mut self, connection: &mut Connection, message: &Message) {
        let mut body = message.message.clone();
        match message.kind.as_str() {
            kind::CONNECT => {
                let pack = StartupPack::from_bytes(Packing::STARTUP, &body).unwrap();
                connection.packing = match pack.irods_prot {
                    1 => Packing::XML,
                    _ => Packing::NATIVE,
                };
            }
            kind::API_REQ => {
                let call = message.int_info;
                let packing = connection.packing;
                body = match body.as_slice() {
                    [] => body,
                    body => translate::request(
                        call,
                        packing,
                        body,
                        self.places,
                        &self.names,
                        &mut connection.handles,
                    ),
                };
                connection.pending.push_back(pending(call, packing, &body));
            }
            _ => {}
        }
        let mut out = frame::encode(
            &message.kind,
            message.int_info,
            &body,
            b"",
            message.bytes.len(),
        )
        .unwrap();
        out.extend_from_slice(&message.bytes);
        connection.write(&out).await;
    }

    async fn reply(&mut self, connection: &mut Connection, line: &Line, recorded: &Message) {
        let (call, pending) = match (recorded.kind.as_str(), recorded.int_info) {
            (kind::API_REPLY, PROGRESS) => (connection.pending.front(), None),
            (kind::API_REPLY, _) => {
                let pending = connection.pending.pop_front().unwrap();
                (None, Some(pending))
            }
            (other, _) => return self.start_up(connection, line, recorded, other).await,
        };
        let number = call.map_or_else(|| pending.as_ref().unwrap().call, |p| p.call);
        let name = api::name_of(number).map_or_else(|| number.to_string(), str::to_owned);
        let mut differences = Vec::new();
        match connection.receive().await {
            None => differences.push(Difference {
                field: "connection".into(),
                recorded: format!("replied {}", recorded.int_info),
                ours: "closed".into(),
            }),
            Some(ours) if recorded.int_info == PROGRESS && ours.int_info != PROGRESS => {
                differences.push(Difference {
                    field: "progress".into(),
                    recorded: "told".into(),
                    ours: String::new(),
                });
                connection.early = Some(ours);
            }
            Some(ours) => {
                connection.asked_for_progress = ours.int_info == PROGRESS;
                let ordered = pending.as_ref().is_some_and(|p| p.ordered);
                differences = self.differences(connection, number, recorded, &ours, ordered);
                if let Some(pending) = pending {
                    connection.learn(number, recorded, &ours);
                    connection.instead_of_ports(&pending, recorded, &ours).await;
                }
            }
        }
        self.compared.push(Compared {
            seq: line.seq,
            call: name,
            differences,
        });
    }

    fn differences(
        &mut self,
        connection: &Connection,
        call: i32,
        recorded: &Message,
        ours: &Frame,
        ordered: bool,
    ) -> Vec<Difference> {
        let packing = connection.packing;
        let there = render::reply(
            call,
            packing,
            &recorded.message,
            &recorded.error,
            &recorded.bytes,
            ordered,
        );
        let here = render::reply(
            call,
            packing,
            &ours.message,
            &ours.error,
            &ours.bytes,
            ordered,
        );
        let mut differences = compare(&there, &here, self.places, &mut self.names);
        let handle = matches!(
            call,
            api::DATA_OBJ_OPEN | api::DATA_OBJ_CREATE | api::REPLICA_OPEN
        );
        let (a, b) = (recorded.int_info, ours.int_info);
        if a != b && !(handle && a > 2 && b > 2) {
            let result = Difference {
                field: "result".into(),
                recorded: a.to_string(),
                ours: b.to_string(),
            };
            differences.insert(0, result);
        }
        differences
    }

    async fn start_up(
        &mut self,
        connection: &mut Connection,
        line: &Line,
        recorded: &Message,
        call: &str,
    ) {
        let mut differences = Vec::new();
        let mut unlike = |field: &str, recorded: String, ours: String| {
            if recorded != ours {
                differences.push(Difference {
                    field: field.into(),
                    recorded,
                    ours,
                });
            }
        };
        match connection.receive().await {
            None => unlike("connection", call.to_owned(), "closed".into()),
            Some(ours) => {
                unlike("kind", recorded.kind.clone(), ours.kind.clone());
                // All but the release.
                let text = |body: &[u8]| match Version::from_bytes(Packing::STARTUP, body) {
                    Ok(version) => format!(
                        "{:?}",
                        Version {
                            rel_version: String::new(),
                            ..version
                        }
                    ),
                    Err(_) => format!("{:?}", CsNeg::from_bytes(Packing::STARTUP, body)),
                };
                unlike("message", text(&recorded.message), text(&ours.message));
            }
        }
        self.compared.push(Compared {
            seq: line.seq,
            call: call.to_owned(),
            differences,
        });
    }

    /// What the recorded server left unanswered the zone may have answered.
    async fn unanswered(&mut self, connection: &mut Connection, line: &Line) {
        while let Some(pending) = connection.pending.pop_front() {
            let ours = match connection.receive().await {
                None => continue,
                Some(frame) => frame.int_info,
            };
            let name = api::name_of(pending.call);
            self.compared.push(Compared {
                seq: line.seq,
                call: name.map_or_else(|| pending.call.to_string(), str::to_owned),
                differences: vec![Difference {
                    field: "connection".into(),
                    recorded: "closed".into(),
                    ours: format!("replied {ours}"),
                }],
            });
        }
    }
}

fn pending(call: i32, packing: Packing, body: &[u8]) -> Pending {
    // A query's order is part of its answer where it asks for one, and a page's content then is too.
    const ORDERED: i32 = 0x400 | 0x800;
    let ordered = call == api::GEN_QUERY
        && GenQueryInp::from_bytes(packing, body).is_ok_and(|input| {
            input
                .selects
                .0
                .iter()
                .any(|(_, flags)| flags & ORDERED != 0)
        });
    let size = match call {
        api::DATA_OBJ_PUT => DataObjInp::from_bytes(packing, body).map_or(0, |i| i.data_size),
        _ => 0,
    };
    Pending {
        call,
        ordered,
        size,
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: Some(stream),
            decoder: FrameDecoder::new(Limits::SESSION),
            packing: Packing::XML,
            handles: Handles::default(),
            pending: VecDeque::new(),
            early: None,
            asked_for_progress: false,
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream
            && stream.write_all(bytes).await.is_err()
        {
            self.stream = None;
        }
    }

    async fn receive(&mut self) -> Option<Frame> {
        if let Some(frame) = self.early.take() {
            return Some(frame);
        }
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let read = self.stream.as_mut()?.read_buf(self.decoder.space());
            match timeout(PATIENCE, read).await {
                Ok(Ok(0) | Err(_)) => self.stream = None,
                Ok(Ok(_)) => {}
                Err(_) => panic!("no answer within {PATIENCE:?}"),
            }
        }
    }

    /// Closes, and waits until the zone has seen it.
    async fn leave(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        // The zone may have closed first.
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    }

    /// What later requests of this connection refer to.
    fn learn(&mut self, call: i32, recorded: &Message, ours: &Frame) {
        let packing = self.packing;
        match call {
            api::DATA_OBJ_OPEN | api::DATA_OBJ_CREATE | api::REPLICA_OPEN => {
                self.handles
                    .descriptors
                    .insert(recorded.int_info, ours.int_info);
            }
            api::GEN_QUERY | api::SPECIFIC_QUERY => {
                let cursor = |body: &[u8]| {
                    GenQueryOut::from_bytes(packing, body).map_or(0, |page| page.continue_inx)
                };
                let there = cursor(&recorded.message);
                if there > 0 {
                    self.handles.cursors.insert(there, cursor(&ours.message));
                }
            }
            api::AUTH_REQUEST => {
                let challenge =
                    |body: &[u8]| AuthRequestOut::from_bytes(packing, body).unwrap().challenge;
                let both = (challenge(&recorded.message), challenge(&ours.message));
                self.handles.challenge = Some(both);
            }
            api::AUTHENTICATION => {
                let challenge = |body: &[u8]| {
                    let BinBytesBuf(text) = BinBytesBuf::from_bytes(packing, body).ok()?;
                    let message = AuthMessage::parse(&text).ok()?;
                    Some(message.request_result().ok()?.as_bytes().to_vec())
                };
                if let (Some(there), Some(ours)) =
                    (challenge(&recorded.message), challenge(&ours.message))
                {
                    self.handles.challenge = Some((there, ours));
                }
            }
            api::DATA_OBJ_PUT | api::DATA_OBJ_GET => {
                let open = |body: &[u8]| {
                    PortalOprOut::from_bytes(packing, body).map_or(0, |out| out.l1desc_inx)
                };
                let there = open(&recorded.message);
                if there > 0 {
                    let ours = open(&ours.message);
                    self.handles.descriptors.insert(there, ours);
                }
            }
            _ => {}
        }
    }

    /// Moves the bytes of a transfer that the recording has on data ports. The recorded files are all zero.
    async fn instead_of_ports(&mut self, pending: &Pending, recorded: &Message, ours: &Frame) {
        let packing = self.packing;
        let threads = |body: &[u8]| {
            PortalOprOut::from_bytes(packing, body)
                .map_or((0, 0), |o| (o.num_threads, o.l1desc_inx))
        };
        let ((there, _), (here, descriptor)) = (threads(&recorded.message), threads(&ours.message));
        if there == 0 || here != 0 || pending.call != api::DATA_OBJ_PUT {
            return;
        }
        let block = vec![0; 4 << 20];
        let mut left = pending.size as usize;
        while left > 0 {
            let len = left.min(block.len());
            let input = OpenedDataObjInp {
                l1desc_inx: descriptor,
                len: len as i32,
                ..OpenedDataObjInp::default()
            };
            let body = input.to_bytes(packing).unwrap();
            let mut out =
                frame::encode(kind::API_REQ, api::DATA_OBJ_WRITE, &body, b"", len).unwrap();
            out.extend_from_slice(&block[..len]);
            self.write(&out).await;
            let answer = self.receive().await.unwrap();
            assert_eq!(answer.int_info, len as i32);
            left -= len;
        }
    }
}
