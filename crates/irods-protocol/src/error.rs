//! Why bytes are not a message, and why a value cannot become bytes.

use thiserror::Error;

use crate::codes;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnpackError {
    /// The bytes end inside a field.
    #[error("message ends inside {field}")]
    Truncated {
        /// Field or structure, by its wire name.
        field: &'static str,
    },
    /// A required element is not there, or not closed.
    #[error("no well-formed {field} where one is required")]
    Missing {
        /// Field or structure, by its wire name.
        field: &'static str,
    },
    /// A text longer than its field allows.
    #[error("{field} is longer than {max} bytes")]
    TooLong {
        /// Field, by its wire name.
        field: &'static str,
        /// Bytes that the field can hold.
        max: usize,
    },
    /// A count that is negative or that the received bytes cannot hold.
    #[error("{field} counts {count} elements, more than the message holds")]
    BadCount {
        /// Field, by its wire name.
        field: &'static str,
        /// What the message claims.
        count: i64,
    },
    /// Text that is no number.
    #[error("{field} is not a number")]
    NotANumber {
        /// Field, by its wire name.
        field: &'static str,
    },
    /// Text that is not base64.
    #[error("{field} is not base64")]
    NotBase64 {
        /// Field, by its wire name.
        field: &'static str,
    },
    /// A text that is not UTF-8. Catalogs on PostgreSQL refuse such names too.
    #[error("{field} is not UTF-8")]
    NotUtf8 {
        /// Field, by its wire name.
        field: &'static str,
    },
}

impl UnpackError {
    /// The code that a real server answers for it.
    pub fn code(&self) -> i32 {
        match self {
            UnpackError::TooLong { .. } => codes::USER_PACKSTRUCT_INPUT_ERR,
            UnpackError::NotUtf8 { .. } => codes::CAT_SQL_ERR,
            _ => codes::SYS_PACK_INSTRUCT_FORMAT_ERR,
        }
    }
}

/// A value that no peer could read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PackError {
    /// A text longer than its field allows.
    #[error("{field} takes at most {max} bytes, {len} were given")]
    TooLong {
        /// Field, by its wire name.
        field: &'static str,
        /// Bytes that the field can hold.
        max: usize,
        /// Bytes that were given.
        len: usize,
    },
    /// NUL ends every text on the wire, so none can contain it.
    #[error("{field} contains a NUL byte")]
    Nul {
        /// Field, by its wire name.
        field: &'static str,
    },
    /// More elements or bytes than a 32-bit count can say.
    #[error("{field} has too many elements")]
    TooMany {
        /// Field, by its wire name.
        field: &'static str,
    },
    /// Another number of elements or bytes than the structure says elsewhere.
    #[error("{field} takes {expected} elements, {len} were given")]
    Count {
        /// Field, by its wire name.
        field: &'static str,
        /// Elements or bytes that belong there.
        expected: usize,
        /// Elements or bytes that were given.
        len: usize,
    },
    /// The text that stands for "no text" in native form.
    #[error("{field} is the text that native packing uses for an absent one")]
    NullMarker {
        /// Field, by its wire name.
        field: &'static str,
    },
}

/// A frame that cannot be read. The connection is of no use afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Header length outside 1..=1088.
    #[error("header of {0} bytes; 1 to 1088 are possible")]
    HeaderLength(u32),
    /// The header text is no `MsgHeader_PI`.
    #[error("malformed header: {0}")]
    Header(#[from] UnpackError),
    /// A section's length is negative or over what we accept.
    #[error("{section} of {len} bytes; at most {max} are accepted here")]
    Length {
        /// `message`, `error` or `byte stream`.
        section: &'static str,
        /// What the header says.
        len: i32,
        /// What is accepted.
        max: usize,
    },
}
