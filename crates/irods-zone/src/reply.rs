//! What a request brings and what a handler answers, before and after packing.
//!
//! A handler returns [`Reply`] or [`Failure`]; both become one `RODS_API_REPLY`. A reply may carry a
//! negative code together with a structure (an empty query page does), which is why it is not the
//! same as success.

use bytes::Bytes;
use irods_protocol::codes;
use irods_protocol::limits::ERR_MSG_LEN;
use irods_protocol::message::{RErrMsg, RError};
use irods_protocol::{PackError, Packing, Pi, UnpackError};

use crate::catalog::CatalogError;

/// Result of a handler.
pub(crate) type Answer = Result<Reply, Failure>;

/// One API request as received.
#[derive(Debug)]
pub(crate) struct Request {
    /// How its structure is packed.
    pub packing: Packing,
    /// Packed input structure, empty if none.
    pub message: Bytes,
    /// Byte stream, empty if none.
    pub bytes: Bytes,
}

impl Request {
    /// The input structure.
    ///
    /// # Errors
    /// `SYS_API_INPUT_ERR` where none was sent, the code of the unpacking where it is malformed.
    pub fn input<T: Pi>(&self) -> Result<T, Failure> {
        if self.message.is_empty() {
            return Err(Failure::new(
                codes::SYS_API_INPUT_ERR,
                format!("{} is missing", T::NAME),
            ));
        }
        Ok(T::from_bytes(self.packing, &self.message)?)
    }
}

/// What goes back to the client.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Result: a code, a count or a descriptor.
    pub int_info: i32,
    /// Packed output structure, empty if none.
    pub message: Vec<u8>,
    /// Entries of the error stack: status and text.
    pub notes: Vec<(i32, String)>,
    /// Byte stream.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// Success without anything else.
    pub fn done() -> Self {
        Self::default()
    }

    /// A bare result.
    pub fn code(int_info: i32) -> Self {
        Self {
            int_info,
            ..Self::default()
        }
    }

    /// Success with an output structure.
    pub fn with(packing: Packing, output: &impl Pi) -> Answer {
        Ok(Self {
            message: output.to_bytes(packing)?,
            ..Self::default()
        })
    }

    /// The same with another result.
    #[must_use]
    pub fn result(mut self, int_info: i32) -> Self {
        self.int_info = int_info;
        self
    }

    /// The same with an entry of the error stack.
    #[must_use]
    pub fn note(mut self, status: i32, text: impl Into<String>) -> Self {
        self.notes.push((status, text.into()));
        self
    }

    /// The packed error stack, empty if there is nothing to say.
    pub fn packed_notes(&self, packing: Packing) -> Vec<u8> {
        if self.notes.is_empty() {
            return Vec::new();
        }
        let entries = self.notes.iter().map(|(status, text)| RErrMsg {
            status: *status,
            msg: fitting(text),
        });
        RError(entries.collect())
            .to_bytes(packing)
            .unwrap_or_default()
    }
}

/// Cuts a text to what an entry of the error stack holds, at a character's border.
fn fitting(text: &str) -> String {
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let end = clean.floor_char_boundary(ERR_MSG_LEN - 1);
    clean[..end].to_owned()
}

/// Why a call failed: the code, and a sentence for the error stack unless it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// iRODS code, negative.
    pub code: i32,
    /// What was wrong, for people.
    pub message: String,
}

impl Failure {
    /// A failure with an explanation.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A failure that its code explains.
    pub fn code(code: i32) -> Self {
        Self {
            code,
            message: String::new(),
        }
    }

    /// A failed system call: the errno is folded into `base`.
    pub fn io(base: i32, error: &std::io::Error, what: impl std::fmt::Display) -> Self {
        Self {
            code: base - error.raw_os_error().unwrap_or(0),
            message: format!("{what}: {error}"),
        }
    }

    /// What the client gets.
    pub fn into_reply(self) -> Reply {
        let reply = Reply::code(self.code);
        if self.message.is_empty() {
            reply
        } else {
            reply.note(0, self.message)
        }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self {
            code: error.code,
            message: error.message,
        }
    }
}

impl From<UnpackError> for Failure {
    fn from(error: UnpackError) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        tracing::error!(%error, "a reply could not be packed");
        Self {
            code: codes::SYS_PACK_INSTRUCT_FORMAT_ERR,
            message: error.to_string(),
        }
    }
}
