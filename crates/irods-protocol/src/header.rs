//! The length prefix and `MsgHeader_PI` that open every message, in both directions and whatever packing was chosen.

use bytes::{Buf, BytesMut};

use crate::error::FrameError;
use crate::limits::{HEADER_TYPE_LEN, MAX_HEADER_LEN};
use crate::pack::{Packing, Pi, Unpacker, pi};

pi! {
    /// The raw header. Lengths are as the peer says, unchecked.
    Header "MsgHeader_PI" {
        kind "type" (str HEADER_TYPE_LEN),
        message_len "msgLen" (int),
        error_len "errorLen" (int),
        bytes_len "bsLen" (int),
        int_info "intInfo" (int),
    }
}

/// Message types (`MsgHeader_PI.type`).
pub mod kind {
    /// Start-up pack, client to server.
    pub const CONNECT: &str = "RODS_CONNECT";
    /// Client-server negotiation, both ways.
    pub const CS_NEG: &str = "RODS_CS_NEG_T";
    /// Answer to the start-up pack.
    pub const VERSION: &str = "RODS_VERSION";
    /// API request; `intInfo` is the API number.
    pub const API_REQ: &str = "RODS_API_REQ";
    /// API reply; `intInfo` is the result.
    pub const API_REPLY: &str = "RODS_API_REPLY";
    /// The client leaves; no reply.
    pub const DISCONNECT: &str = "RODS_DISCONNECT";
    /// Liveness probe: answered by the 9 bytes `HEARTBEAT`.
    pub const HEARTBEAT: &str = "HEARTBEAT";
}

impl Header {
    /// Takes one header off the front of `buf`; `None` while more bytes are needed.
    ///
    /// # Errors
    /// A length outside 1..=1088, or a text that is no header.
    pub fn take(buf: &mut BytesMut) -> Result<Option<Header>, FrameError> {
        let Some((prefix, rest)) = buf.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix);
        if len == 0 || len as usize > MAX_HEADER_LEN {
            return Err(FrameError::HeaderLength(len));
        }
        let Some(text) = rest.get(..len as usize) else {
            return Ok(None);
        };
        let header = Header::unpack(&mut Unpacker::new(Packing::STARTUP, text))?;
        buf.advance(4 + len as usize);
        Ok(Some(header))
    }
}
