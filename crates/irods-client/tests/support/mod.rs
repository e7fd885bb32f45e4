//! Servers on loopback for tests of the client: scripted ones ([`Peer`]), and ones that play a recording ([`Scenario`]).
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs
)]

pub mod certificates;
mod normal;
mod scenario;

pub use scenario::{Replay, Scenario};

use irods_client::protocol::frame::{self, Frame, FrameDecoder};
use irods_client::protocol::header::{Header, kind};
use irods_client::protocol::limits::Limits;
use irods_client::protocol::message::*;
use irods_client::protocol::{Packing, Pi, api};
use irods_client::{ConnectOptions, Environment, Timeouts};
use normal::unpack;
use scenario::Message;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A connection on which the client has logged in with whatever it said, to a server that announces a release.
async fn let_in_to(stream: TcpStream, release: &str) -> Option<Peer> {
    let mut peer = Peer::new(stream);
    assert_eq!(peer.frame().await?.kind, kind::CONNECT);
    let version = Version {
        rel_version: release.to_owned(),
        api_version: "d".to_owned(),
        ..Version::default()
    };
    let body = version.to_bytes(Packing::STARTUP).unwrap();
    peer.reply_as(kind::VERSION, 0, &body).await?;
    for _ in 0..2 {
        let frame = peer.frame().await?;
        let body = match frame.int_info {
            api::AUTH_REQUEST => {
                let challenge = vec![b'0'; 64];
                AuthRequestOut { challenge }.to_bytes(Packing::XML).unwrap()
            }
            api::AUTH_RESPONSE => Vec::new(),
            api::AUTHENTICATION => {
                let text = unpack::<BinBytesBuf>(&frame.message).0;
                let mut json: Value = serde_json::from_slice(&text).unwrap();
                json["request_result"] = "0".repeat(64).into();
                let body = BinBytesBuf(json.to_string().into_bytes());
                body.to_bytes(Packing::XML).unwrap()
            }
            other => panic!("a login by {other}"),
        };
        peer.reply_as(kind::API_REPLY, 0, &body).await?;
    }
    Some(peer)
}

/// Serves each connection by `serve`; the environment that leads there.
pub async fn server<F, S>(serve: S) -> Environment
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Environment::new("127.0.0.1", port, "u", "z", "s3cret")
}

/// A server that lets everybody in and goes on by `serve`.
pub async fn after_login<F, S>(serve: S) -> Environment
where
    S: Fn(Peer) -> F + Send + Clone + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    after_login_to("rods5.0.2", serve).await
}

/// The same, of a server that announces a release.
pub async fn after_login_to<F, S>(release: &'static str, serve: S) -> Environment
where
    S: Fn(Peer) -> F + Send + Clone + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    server(move |stream| {
        let serve = serve.clone();
        async move {
            if let Some(peer) = let_in_to(stream, release).await {
                serve(peer).await;
            }
        }
    })
    .await
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
