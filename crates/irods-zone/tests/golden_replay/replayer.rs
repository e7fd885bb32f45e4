//! Plays the client side of a recording against a zone, message by message, and compares what comes back.
//!
//! Where the recorded server moved bytes over data ports, the zone says that the client is to send or read them on
//! the connection (no threads); the player does so, as any client would, and notes the difference.

use std::collections::HashMap;
use std::net::SocketAddr;

use irods_protocol::frame::{self, Frame};
use irods_protocol::header::kind;
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api};

use crate::compare::{Difference, compare};
use crate::connection::{Connection, Pending};
use crate::recording::{Event, Line, Message, Scenario};
use crate::render;
use crate::translate::{self, Names, Places};

const PROGRESS: i32 = 99_999_996;

/// One message of the server, compared.
#[derive(Debug)]
pub struct Compared {
    pub seq: u64,
    /// Name of the call, or kind of the message.
    pub call: String,
    pub differences: Vec<Difference>,
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
                connection
                    .pending
                    .push_back(Pending::of(call, packing, &body));
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
