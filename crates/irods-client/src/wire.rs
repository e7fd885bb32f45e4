//! One connection, in the clear or inside TLS, as a stream of messages, with a limit on every wait.
//!
//! A peer that sends or takes bytes too slowly is as lost as one that is silent: a message must move at
//! [`MIN_BYTES_PER_SECOND`] on average besides never pausing for longer than [`Timeouts::idle`]. What the messages mean is not
//! known here.

use std::io;
use std::time::Duration;

use irods_protocol::frame::{Frame, FrameDecoder};
use irods_protocol::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::error::{LossCause, TlsFailure, Violation};
use crate::stream::Stream;
use crate::tls::Connector;

/// How long each kind of wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection, and for each answer until the login is done.
    pub connect: Duration,
    /// For the first byte of the answer to an ordinary call.
    pub reply: Duration,
    /// For the first byte of the answer to a call in which the server reads, writes or removes files of any size before it
    /// answers: checksums, replication, recursive removal, registration with a checksum.
    pub work: Duration,
    /// Between two bytes of one message, either way.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 30 s, 5 minutes, 12 hours, 60 s. TCP keep-alive notices a host that is gone during the long one.
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(30),
            reply: Duration::from_secs(5 * 60),
            work: Duration::from_secs(12 * 60 * 60),
            idle: Duration::from_secs(60),
        }
    }
}

/// Slowest average at which a message that has begun may move.
pub const MIN_BYTES_PER_SECOND: u64 = 1024;

/// Bodies up to this size are copied behind their header, so that one packet carries both.
const JOIN_BELOW: usize = 64 * 1024;

/// Why a message did not get through.
#[derive(Debug)]
pub(crate) enum WireError {
    Lost(LossCause),
    Violation(Violation),
    Tls(TlsFailure),
}

impl From<TlsFailure> for WireError {
    fn from(failure: TlsFailure) -> Self {
        WireError::Tls(failure)
    }
}

impl<T: Into<Violation>> From<T> for WireError {
    fn from(violation: T) -> Self {
        WireError::Violation(violation.into())
    }
}

fn lost(cause: impl Into<LossCause>) -> WireError {
    WireError::Lost(cause.into())
}

/// TLS calls a connection that ends without a goodbye an unexpected end.
fn broken(error: io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => lost(LossCause::Closed),
        _ => lost(error),
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    decoder: FrameDecoder,
    idle: Duration,
    /// Whether any byte of the current request has been handed to the operating system.
    sent: bool,
}

impl Wire {
    pub(crate) async fn connect(
        host: &str,
        port: u16,
        timeouts: &Timeouts,
    ) -> Result<Wire, WireError> {
        let after = timeouts.connect;
        let stream = timeout(after, TcpStream::connect((host, port)))
            .await
            .map_err(|_| lost(LossCause::TimedOut { after }))?
            .map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(20));
        socket2::SockRef::from(&stream)
            .set_tcp_keepalive(&keepalive)
            .map_err(lost)?;
        Ok(Wire {
            stream: Stream::Plain(stream),
            decoder: FrameDecoder::new(Limits::LOGIN),
            idle: timeouts.idle,
            sent: false,
        })
    }

    /// Whether everything goes inside TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// Goes on inside TLS. What came before it in the clear, and was not asked for, is not taken for a part of it.
    pub(crate) async fn start_tls(
        &mut self,
        connector: &Connector,
        after: Duration,
    ) -> Result<(), WireError> {
        if self.decoder.buffered() > 0 {
            let what = "bytes in the clear where TLS begins".to_owned();
            return Err(Violation::Content(what).into());
        }
        let stream = self.stream.take_plain().map_err(lost)?;
        let stream = timeout(after, connector.connect(stream))
            .await
            .map_err(|_| lost(LossCause::TimedOut { after }))?
            .map_err(|e| match connector.failure(&e) {
                Some(failure) => WireError::Tls(failure),
                None => broken(e),
            })?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// From here on, messages may have the sizes of a session rather than of a login.
    pub(crate) fn logged_in(&mut self) {
        self.decoder.set_limits(Limits::SESSION);
    }

    /// A new request begins: nothing of it was sent.
    pub(crate) fn begin(&mut self) {
        self.sent = false;
    }

    /// Whether any byte of the request may have reached the peer.
    pub(crate) fn sent(&self) -> bool {
        self.sent
    }

    /// Sends `head`, then `body`.
    pub(crate) async fn send(&mut self, head: Vec<u8>, body: &[u8]) -> Result<(), WireError> {
        self.send_within(self.idle, head, body).await
    }

    /// The same to a peer that may do something else for so long before it takes more.
    pub(crate) async fn send_within(
        &mut self,
        idle: Duration,
        mut head: Vec<u8>,
        body: &[u8],
    ) -> Result<(), WireError> {
        if body.len() <= JOIN_BELOW {
            head.extend_from_slice(body);
            return self.write_all(idle, &head).await;
        }
        self.write_all(idle, &head).await?;
        self.write_all(idle, body).await
    }

    async fn write_all(&mut self, idle: Duration, mut bytes: &[u8]) -> Result<(), WireError> {
        let pace = Pace::start(idle);
        let mut done = 0;
        while !bytes.is_empty() {
            let after = pace.next_wait(done);
            let n = timeout(after, self.stream.write(bytes))
                .await
                .map_err(|_| lost(LossCause::TimedOut { after: idle }))?
                .map_err(broken)?;
            if n == 0 {
                return Err(lost(LossCause::Closed));
            }
            self.sent = true;
            done += n;
            bytes = bytes.get(n..).unwrap_or_default();
        }
        // TLS takes bytes before it sends them.
        timeout(pace.next_wait(done), self.stream.flush())
            .await
            .map_err(|_| lost(LossCause::TimedOut { after: idle }))?
            .map_err(broken)
    }

    /// Receives the next message; its first byte may take `first`.
    pub(crate) async fn receive(&mut self, first: Duration) -> Result<Frame, WireError> {
        let mut received = self.decoder.buffered();
        let mut pace = Pace::start(self.idle);
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let after = if received == 0 {
                first
            } else {
                pace.next_wait(received)
            };
            let n = timeout(after, self.stream.read_buf(self.decoder.space()))
                .await
                .map_err(|_| {
                    let after = if received == 0 { first } else { self.idle };
                    lost(LossCause::TimedOut { after })
                })?
                .map_err(broken)?;
            if n == 0 {
                return Err(lost(LossCause::Closed));
            }
            if received == 0 {
                pace = Pace::start(self.idle);
            }
            received += n;
        }
    }

    /// Whether an idle connection is still good: open, and nothing said by a server that was not asked.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.decoder.buffered() == 0 && self.stream.is_quiet()
    }

    /// Writes a last message and closes; what fails is of no interest any more.
    pub(crate) async fn close(mut self, last: Vec<u8>) {
        if self.write_all(self.idle, &last).await.is_ok() {
            let _ = timeout(self.idle, self.stream.shutdown()).await;
        }
    }
}

/// The two limits of a message on its way: no long pause, no crawling.
#[derive(Debug, Clone, Copy)]
struct Pace {
    started: Instant,
    idle: Duration,
}

impl Pace {
    fn start(idle: Duration) -> Pace {
        Pace {
            started: Instant::now(),
            idle,
        }
    }

    /// How long to wait for the next byte after `done` bytes.
    fn next_wait(&self, done: usize) -> Duration {
        let earned = Duration::from_secs(done as u64 / MIN_BYTES_PER_SECOND);
        let left = (self.started + self.idle + earned).saturating_duration_since(Instant::now());
        left.min(self.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_trickle_runs_out_of_time_although_it_never_pauses() {
        let pace = Pace::start(Duration::from_secs(10));
        assert_eq!(pace.next_wait(0), Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(pace.next_wait(9), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pace.next_wait(11), Duration::ZERO);
        assert_eq!(pace.next_wait(1 << 20), Duration::from_secs(10));
    }
}
