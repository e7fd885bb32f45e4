//! One connection to the zone: what was asked on it and not answered yet, and what its descriptors, cursors and
//! challenge are called on either side.

use std::collections::VecDeque;
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

use crate::recording::Message;
use crate::translate::Handles;

/// A reply that takes longer is a failure of the zone.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request without a reply.
pub struct Pending {
    pub call: i32,
    /// Whether the order of rows is part of the answer.
    pub ordered: bool,
    /// What an upload would send over data ports.
    pub size: i64,
}

/// One connection of the recording, open to the zone.
pub struct Connection {
    stream: Option<TcpStream>,
    decoder: FrameDecoder,
    pub packing: Packing,
    pub handles: Handles,
    pub pending: VecDeque<Pending>,
    /// A frame that came where the recording has another one first.
    pub early: Option<Frame>,
    pub asked_for_progress: bool,
}

impl Pending {
    /// Of a request as the zone sees it.
    pub fn of(call: i32, packing: Packing, body: &[u8]) -> Self {
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
        Self {
            call,
            ordered,
            size,
        }
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
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

    pub async fn write(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream
            && stream.write_all(bytes).await.is_err()
        {
            self.stream = None;
        }
    }

    pub async fn receive(&mut self) -> Option<Frame> {
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
    pub async fn leave(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        // The zone may have closed first.
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    }

    /// What later requests of this connection refer to.
    pub fn learn(&mut self, call: i32, recorded: &Message, ours: &Frame) {
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
    pub async fn instead_of_ports(&mut self, pending: &Pending, recorded: &Message, ours: &Frame) {
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
