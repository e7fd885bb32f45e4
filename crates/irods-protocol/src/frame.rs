//! A whole message: header, packed structure, packed error stack, byte stream; in this order on the wire, although the
//! header lists the lengths differently.
//!
//! [`FrameDecoder`] takes bytes as they come and yields frames. Memory follows what was received, never what a header
//! claims. [`encode`] writes a frame, the byte stream apart so that large ones need not be copied.

use bytes::{Bytes, BytesMut};

use crate::error::{FrameError, PackError};
use crate::header::Header;
use crate::limits::Limits;
use crate::pack::{Packer, Packing, Pi};

/// One message as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Message type, see [`crate::header::kind`].
    pub kind: String,
    /// API number in requests, result code in replies.
    pub int_info: i32,
    /// Packed main structure, empty if none.
    pub message: Bytes,
    /// Packed `RError_PI`, empty if none.
    pub error: Bytes,
    /// Raw byte stream.
    pub bytes: Bytes,
}

/// Incremental reader of frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buf: BytesMut,
    pending: Option<Pending>,
    limits: Limits,
}

/// A frame whose header was taken.
#[derive(Debug)]
struct Pending {
    /// What is to be waited for.
    header: Header,
    /// Bytes of its stream that are not; then it says that there are none.
    apart: i32,
}

/// How far the buffer is grown at least before each read.
const READ_STEP: usize = 64 * 1024;
/// How far it is grown at most for what was announced; the blocks of large files are smaller.
const LARGEST_STEP: usize = 8 * 1024 * 1024;

impl FrameDecoder {
    /// A decoder without bytes.
    pub fn new(limits: Limits) -> Self {
        FrameDecoder {
            buf: BytesMut::new(),
            pending: None,
            limits,
        }
    }

    /// Changes what is accepted from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The buffer to append received bytes to, with room for the next read. Where it has to grow, it does so by what is
    /// missing of the frame, but at most by 8 MiB or what has already been received: a peer gets no memory by
    /// announcing length, since room that nothing was read into costs addresses alone. A frame of the usual sizes thus
    /// has one place from its beginning, which later ones have as well, once it is gone.
    pub fn space(&mut self) -> &mut BytesMut {
        if self.buf.capacity() - self.buf.len() < READ_STEP {
            let missing = self
                .pending
                .as_ref()
                .map_or(0, |p| body_len(&p.header).saturating_sub(self.buf.len()));
            self.buf
                .reserve(missing.clamp(READ_STEP, LARGEST_STEP.max(self.buf.len())));
        }
        &mut self.buf
    }

    /// Bytes received and not yet part of a frame that was taken.
    pub fn buffered(&self) -> usize {
        self.buf.len()
    }

    /// Takes a header that has no body whatever its lengths say (the encryption parameters after a TLS handshake).
    ///
    /// # Errors
    /// As [`Header::take`].
    pub fn next_bare_header(&mut self) -> Result<Option<Header>, FrameError> {
        Header::take(&mut self.buf)
    }

    /// Takes `n` raw bytes (answers to removal progress, shared secrets), if they are there.
    pub fn next_raw(&mut self, n: usize) -> Option<Bytes> {
        (self.buf.len() >= n).then(|| self.buf.split_to(n).freeze())
    }

    /// Takes the next complete frame; `None` while more bytes are needed.
    ///
    /// # Errors
    /// A malformed header, or a section over the limits: the stream cannot be followed any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(Pending { header, apart }) = &mut self.pending {
            header.bytes_len += std::mem::take(apart);
        }
        let next = self.next_frame_apart(|_| false)?;
        Ok(next.map(|(frame, _)| frame))
    }

    /// The same; where `apart` says so of a header, the frame's byte stream is not waited for: the frame has the bytes of it that
    /// are here already, and so many more are still to come before the next frame.
    ///
    /// # Errors
    /// As [`FrameDecoder::next_frame`].
    pub fn next_frame_apart(
        &mut self,
        apart: impl FnOnce(&Header) -> bool,
    ) -> Result<Option<(Frame, usize)>, FrameError> {
        let Pending { header, apart } = match self.pending.take() {
            Some(pending) => pending,
            None => match Header::take(&mut self.buf)? {
                None => return Ok(None),
                Some(mut header) => {
                    check("message", header.message_len, self.limits.message)?;
                    check("error", header.error_len, self.limits.error)?;
                    check("byte stream", header.bytes_len, self.limits.bytes)?;
                    let apart = match apart(&header) {
                        true => std::mem::take(&mut header.bytes_len),
                        false => 0,
                    };
                    Pending { header, apart }
                }
            },
        };
        if self.buf.len() < body_len(&header) {
            self.pending = Some(Pending { header, apart });
            return Ok(None);
        }
        let apart = apart.max(0) as usize;
        let mut section = |len: i32| self.buf.split_to(len.max(0) as usize).freeze();
        let mut frame = Frame {
            message: section(header.message_len),
            error: section(header.error_len),
            bytes: section(header.bytes_len),
            kind: header.kind,
            int_info: header.int_info,
        };
        if apart > 0 {
            frame.bytes = self.buf.split_to(apart.min(self.buf.len())).freeze();
        }
        let left = apart.saturating_sub(frame.bytes.len());
        Ok(Some((frame, left)))
    }
}

fn body_len(h: &Header) -> usize {
    [h.message_len, h.error_len, h.bytes_len]
        .iter()
        .map(|&n| n.max(0) as usize)
        .sum()
}

fn check(section: &'static str, len: i32, max: usize) -> Result<(), FrameError> {
    match usize::try_from(len) {
        Ok(n) if n <= max => Ok(()),
        _ => Err(FrameError::Length { section, len, max }),
    }
}

/// Writes length prefix, header, message and error; the caller sends `bytes_len` bytes right behind.
///
/// # Errors
/// A section that a 32-bit length cannot express.
pub fn encode(
    kind: &str,
    int_info: i32,
    message: &[u8],
    error: &[u8],
    bytes_len: usize,
) -> Result<Vec<u8>, PackError> {
    let len = |field, n: usize| i32::try_from(n).map_err(|_| PackError::TooMany { field });
    let header = Header {
        kind: kind.to_owned(),
        message_len: len("msgLen", message.len())?,
        error_len: len("errorLen", error.len())?,
        bytes_len: len("bsLen", bytes_len)?,
        int_info,
    };
    let mut out = encode_header(&header)?;
    out.reserve(message.len() + error.len());
    out.extend_from_slice(message);
    out.extend_from_slice(error);
    Ok(out)
}

/// Writes length prefix and header alone.
///
/// # Errors
/// A type name that is too long.
pub fn encode_header(header: &Header) -> Result<Vec<u8>, PackError> {
    let mut packer = Packer::new(Packing::STARTUP);
    header.pack(&mut packer)?;
    let text = packer.into_bytes();
    let mut out = Vec::with_capacity(4 + text.len());
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&text);
    Ok(out)
}
