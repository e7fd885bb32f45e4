//! Messages over one byte stream, with a time limit on each step.
//!
//! What arrives is bounded by the decoder's limits, what is sent by the peer's willingness to read:
//! a peer that stops in the middle of a message, either way, is given up after `stall`. The bytes of a large write may be left on
//! the wire when the rest of its message is handed on; whatever was not asked for of them is thrown away before the next message.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use irods_protocol::frame::{self, Frame, FrameDecoder};
use irods_protocol::header::{Header, kind};
use irods_protocol::limits::Limits;
use irods_protocol::{FrameError, PackError, api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::pipe::{Filled, Pipe};
use crate::wire::Wire;

/// Byte streams up to this size are sent in one piece with their header.
const SMALL: usize = 16 * 1024;

/// Most bytes that are thrown away after the last word to a peer that is still sending.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// Writes of at least so many bytes go from the wire into their file: what a few extra system calls are nothing against.
const APART_FROM: i32 = 256 * 1024;

/// So many of them are written at once, or what fits into a pipe of what comes in small packets.
const WORTH_WRITING: usize = 256 * 1024;

/// Longest shared secret; clients send 32 bytes.
const MAX_SECRET: usize = 1024;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The stream failed, or ended inside a message.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no message.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What was to be sent is no message.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The peer took too long.
    #[error("the peer took too long")]
    TimedOut,
    /// Bytes came in clear where TLS was to begin: somebody may have put them there.
    #[error("bytes came in clear before TLS began")]
    EarlyBytes,
    /// The harsh mode has it so.
    #[error("the harsh mode ends the connection")]
    Harsh,
    /// The parameters that follow a TLS handshake make no sense.
    #[error("the encryption parameters make no sense")]
    Parameters,
}

/// One end of a connection.
pub(crate) struct Connection {
    stream: Wire,
    decoder: FrameDecoder,
    stall: Duration,
    /// Part of the next message is here.
    begun: bool,
    /// What [`Connection::read_ahead`] came to.
    ahead: Option<Result<Option<Frame>, ConnectionError>>,
    /// Bytes of the message before that are still on the wire.
    apart: usize,
    /// What they go through. Others need pipes as well, so it is there only with them.
    pipe: Option<Pipe>,
}

impl Connection {
    /// Starts with the limits of login.
    pub fn new(stream: Wire, stall: Duration) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(Limits::LOGIN),
            stall,
            begun: false,
            ahead: None,
            apart: 0,
            pipe: None,
        }
    }

    /// Changes what is accepted from the next message on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.decoder.set_limits(limits);
    }

    /// The next message; none if the peer has closed. `idle` is how long its first byte may take.
    pub async fn receive(&mut self, idle: Duration) -> Result<Option<Frame>, ConnectionError> {
        match self.ahead.take() {
            Some(received) => received,
            None => self.take(idle, FrameDecoder::next_frame).await,
        }
    }

    /// The same; of a large write, what is not here yet of its bytes stays on the wire, where that saves copying them. They are
    /// [`Connection::apart`], and for [`Connection::apart_into`].
    pub async fn receive_apart(
        &mut self,
        idle: Duration,
    ) -> Result<Option<Frame>, ConnectionError> {
        self.skip_apart().await?;
        if self.stream.plain().is_none() || self.ahead.is_some() {
            return self.receive(idle).await;
        }
        let mut pipe = None;
        let next = |decoder: &mut FrameDecoder| {
            decoder.next_frame_apart(|header| {
                if is_large_write(header) {
                    pipe = Pipe::new().ok();
                }
                pipe.is_some()
            })
        };
        let received = self.take(idle, next).await?;
        Ok(received.map(|(frame, apart)| {
            self.apart = apart;
            self.pipe = pipe;
            frame
        }))
    }

    /// Whether the connection ended inside a message that was handed on; [`Connection::receive_apart`] tells how.
    pub fn is_lost(&self) -> bool {
        self.apart > 0 && matches!(self.ahead, Some(Err(_)))
    }

    /// Bytes of the last message that are still on the wire.
    pub fn apart(&self) -> usize {
        self.apart
    }

    /// Writes them to a place in a file. Where the file does not take them, the connection goes on without them; where the peer does
    /// not send them, or the zone stops meanwhile, it is at its end, as [`Connection::receive_apart`] will tell.
    pub async fn apart_into(
        &mut self,
        file: &Arc<File>,
        mut at: u64,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let (Some(stream), Some(mut pipe)) = (self.stream.plain(), self.pipe.take()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let stall = self.stall;
        while self.apart > 0 {
            let filled = tokio::select! {
                filled = timeout(stall, pipe.fill(stream, self.apart)) => filled,
                () = stop.cancelled() => Ok(Err(io::Error::other("the zone stops"))),
            };
            let error = match filled {
                Ok(Ok(Filled::Some)) if pipe.held() < WORTH_WRITING.min(self.apart) => continue,
                Ok(Ok(Filled::Some | Filled::Full)) => {
                    self.apart -= pipe.held().min(self.apart);
                    at += pipe.pour(file, at).await?;
                    continue;
                }
                Ok(Ok(Filled::End)) => ConnectionError::Io(io::ErrorKind::UnexpectedEof.into()),
                Ok(Err(error)) => error.into(),
                Err(_) => ConnectionError::TimedOut,
            };
            let told = io::Error::new(io::ErrorKind::ConnectionAborted, error.to_string());
            self.ahead = Some(Err(error));
            return Err(told);
        }
        Ok(())
    }

    /// Throws away what is still on the wire of the last message.
    async fn skip_apart(&mut self) -> Result<(), ConnectionError> {
        self.pipe = None;
        if self.apart == 0 || self.ahead.is_some() {
            return Ok(());
        }
        let mut sink = vec![0; SMALL];
        while self.apart > 0 {
            let room = sink.len().min(self.apart);
            let read = timeout(self.stall, self.stream.read(&mut sink[..room])).await;
            match read.map_err(|_| ConnectionError::TimedOut)?? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                read => self.apart -= read,
            }
        }
        Ok(())
    }

    /// Reads what [`Connection::receive`] will give next, as far as it comes; nothing is lost if this is dropped. So two messages of a
    /// connection may be in memory.
    pub async fn read_ahead(&mut self) {
        if self.ahead.is_none() {
            self.ahead = Some(self.take(Duration::MAX, FrameDecoder::next_frame).await);
        }
    }

    async fn take<T>(
        &mut self,
        idle: Duration,
        mut next: impl FnMut(&mut FrameDecoder) -> Result<Option<T>, FrameError>,
    ) -> Result<Option<T>, ConnectionError> {
        loop {
            if let Some(taken) = next(&mut self.decoder)? {
                self.begun = self.decoder.buffered() > 0;
                return Ok(Some(taken));
            }
            let wait = if self.begun {
                self.stall.min(idle)
            } else {
                idle
            };
            let read = self.stream.read_buf(self.decoder.space());
            match timeout(wait, read)
                .await
                .map_err(|_| ConnectionError::TimedOut)??
            {
                0 if self.begun => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                0 => return Ok(None),
                _ => self.begun = true,
            }
        }
    }

    /// Whether nobody on the way can read along.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// The server's side of a handshake.
    pub async fn start_tls(
        &mut self,
        acceptor: &TlsAcceptor,
        within: Duration,
    ) -> Result<(), ConnectionError> {
        if self.decoder.buffered() > 0 {
            return Err(ConnectionError::EarlyBytes);
        }
        let handshake = timeout(within, self.stream.start_tls(acceptor)).await;
        Ok(handshake.map_err(|_| ConnectionError::TimedOut)??)
    }

    /// Ends TLS and goes on in clear.
    pub async fn end_tls(&mut self) -> Result<(), ConnectionError> {
        let end = timeout(self.stall, self.stream.end_tls()).await;
        Ok(end.map_err(|_| ConnectionError::TimedOut)??)
    }

    /// Takes the two messages that clients send after the handshake that the negotiation led to: parameters,
    /// whose lengths are none, and a secret. Both are for transfers over ports of their own, which this zone
    /// has none of, so they are checked and forgotten (server source 4.2 to 5.0).
    pub async fn encryption_parameters(&mut self, within: Duration) -> Result<(), ConnectionError> {
        let gone = || ConnectionError::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        let mut headers: Vec<Header> = Vec::with_capacity(2);
        for _ in 0..2 {
            let header = self.take(within, FrameDecoder::next_bare_header).await?;
            headers.push(header.ok_or_else(gone)?);
        }
        let key_sizes: Vec<usize> = headers
            .iter()
            .filter_map(|header| usize::try_from(header.message_len).ok())
            .filter(|size| (1..=MAX_SECRET).contains(size))
            .collect();
        let (&[parameters, secret], Some(last)) = (key_sizes.as_slice(), headers.last()) else {
            return Err(ConnectionError::Parameters);
        };
        if parameters != secret || last.kind != "SHARED_SECRET" {
            return Err(ConnectionError::Parameters);
        }
        self.take(within, |decoder| Ok(decoder.next_raw(secret)))
            .await?
            .ok_or_else(gone)?;
        Ok(())
    }

    /// Sends one message.
    pub async fn send(
        &mut self,
        kind: &str,
        int_info: i32,
        message: &[u8],
        error: &[u8],
        bytes: &[u8],
    ) -> Result<(), ConnectionError> {
        let mut head = frame::encode(kind, int_info, message, error, bytes.len())?;
        if bytes.len() <= SMALL {
            head.extend_from_slice(bytes);
            return self.send_raw(&head).await;
        }
        self.send_raw(&head).await?;
        self.send_raw(bytes).await
    }

    /// Sends bytes that are no message.
    pub async fn send_raw(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        while !bytes.is_empty() {
            let write = self.stream.write(bytes);
            let sent = timeout(self.stall, write)
                .await
                .map_err(|_| ConnectionError::TimedOut)??;
            if sent == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(timeout(self.stall, self.stream.flush())
            .await
            .map_err(|_| ConnectionError::TimedOut)??)
    }

    /// Closes when the peer has said goodbye: inside TLS it waits for ours.
    pub async fn leave(mut self) {
        if self.is_tls() {
            // The connection is over either way.
            let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
        }
    }

    /// Closes after a last word: reads on for a moment, since closing on unread bytes would take the
    /// word back.
    pub async fn close(mut self) {
        let linger = async {
            self.stream.shutdown().await?;
            let mut sink = [0_u8; 8192];
            let mut left = LINGER_BYTES;
            while left > 0 {
                match self.stream.read(&mut sink).await? {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
            io::Result::Ok(())
        };
        // The connection is over either way.
        let _ = timeout(Duration::from_secs(1), linger).await;
    }
}

fn is_large_write(header: &Header) -> bool {
    header.kind == kind::API_REQ
        && header.int_info == api::DATA_OBJ_WRITE
        && header.bytes_len >= APART_FROM
}

/// Bytes of a frame as a structure of the start-up exchange.
pub(crate) fn startup<T: irods_protocol::Pi>(message: &Bytes) -> Option<T> {
    T::from_bytes(irods_protocol::Packing::STARTUP, message).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use irods_protocol::api::{DATA_OBJ_WRITE, OBJ_STAT};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn bytes_that_their_file_does_not_take_are_thrown_away() {
        let stall = Duration::from_secs(60);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let mut connection =
            Connection::new(Wire::Plain(listener.accept().await.unwrap().0), stall);
        connection.set_limits(Limits::SESSION);
        let bytes = vec![7; 6 << 20];
        let sending = tokio::spawn(async move {
            for (number, bytes) in [(DATA_OBJ_WRITE, &bytes[..]), (OBJ_STAT, b"")] {
                let head = frame::encode(kind::API_REQ, number, b"m", b"", bytes.len()).unwrap();
                peer.write_all(&[&head, bytes].concat()).await.unwrap();
            }
            peer
        });
        let write = connection.receive_apart(stall).await.unwrap().unwrap();
        assert_eq!(write.bytes.len() + connection.apart(), 6 << 20);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"as it was").unwrap();
        let unwritable = Arc::new(File::open(&path).unwrap());
        let stop = CancellationToken::new();
        let refused = connection.apart_into(&unwritable, 0, &stop).await;
        assert!(refused.is_err() && !connection.is_lost());
        let next = connection.receive_apart(stall).await.unwrap().unwrap();
        assert_eq!((next.int_info, &next.message[..]), (OBJ_STAT, &b"m"[..]));
        assert_eq!(std::fs::read(&path).unwrap(), b"as it was");
        drop(sending.await.unwrap());
    }
}
