//! The byte stream under a connection: TCP, and TLS on it from the moment both ends agree.
//!
//! TLS begins and ends in the middle of a connection. What came in clear before it began is never
//! read as if it had come inside (the caller sees to it that nothing is left over).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Record types in which the end of TLS comes: an alert, or an encrypted record of TLS 1.3.
const ALERT_RECORDS: [u8; 2] = [21, 23];
/// Longest record (RFC 5246, 6.2.3).
const MAX_RECORD: u16 = 16_384 + 2048;

/// The stream of one connection.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A change between the two failed; nothing can be read or written.
    Lost,
}

impl Wire {
    /// Whether nobody on the way can read along.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The stream where nothing is done to its bytes on the way.
    pub fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            _ => None,
        }
    }

    /// The server's side of a handshake.
    pub async fn start_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let Self::Plain(stream) = std::mem::replace(self, Self::Lost) else {
            return Err(io::Error::other("TLS has begun already"));
        };
        *self = Self::Tls(Box::new(acceptor.accept(stream).await?));
        Ok(())
    }

    /// Ends TLS and goes on in clear: says so, and waits for the peer to say the same.
    pub async fn end_tls(&mut self) -> io::Result<()> {
        let Self::Tls(mut tls) = std::mem::replace(self, Self::Lost) else {
            return Err(io::Error::other("TLS has not begun"));
        };
        tls.get_mut().1.send_close_notify();
        tls.flush().await?;
        let (mut stream, _) = tls.into_inner();
        // One record, taken from the stream by its length: what follows it is in clear.
        let mut head = [0_u8; 5];
        stream.read_exact(&mut head).await?;
        let [kind, _, _, high, low] = head;
        let length = u16::from_be_bytes([high, low]);
        if !ALERT_RECORDS.contains(&kind) || length > MAX_RECORD {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut record = vec![0_u8; length.into()];
        stream.read_exact(&mut record).await?;
        *self = Self::Plain(stream);
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}
