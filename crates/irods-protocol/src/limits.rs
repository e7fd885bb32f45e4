//! Sizes that packing instructions name, and caps on everything a peer controls.
//!
//! The first group is the protocol's: a `str x[N]` field holds at most N-1 bytes (server source, `rodsDef.h` and
//! `packStruct`). The second is ours: real servers allocate what the header says, we do not.

/// Capacity of `MsgHeader_PI.type`.
pub const HEADER_TYPE_LEN: usize = 128;
/// Capacity of names of users, zones, resources, and of checksums.
pub const NAME_LEN: usize = 64;
/// Capacity of a stored checksum text.
pub const CHKSUM_LEN: usize = 64;
/// Capacity of a time text.
pub const TIME_LEN: usize = 32;
/// Capacity of short texts.
pub const SHORT_STR_LEN: usize = 32;
/// Capacity of comments and host addresses.
pub const LONG_NAME_LEN: usize = 256;
/// Capacity of logical and physical paths.
pub const MAX_NAME_LEN: usize = 1088;
/// Capacity of one message of an error stack.
pub const ERR_MSG_LEN: usize = 1024;
/// Capacity of a rule text.
pub const META_STR_LEN: usize = 20480;
/// Number of `SqlResult_PI` slots in every `GenQueryOut_PI`.
pub const MAX_SQL_ATTR: usize = 50;
/// Bytes of a native authentication challenge.
pub const CHALLENGE_LEN: usize = 64;
/// Bytes of a native authentication response.
pub const RESPONSE_LEN: usize = 16;
/// Bytes that a password is padded to before it is hashed.
pub const MAX_PASSWORD_LEN: usize = 50;
/// Largest file that clients send in one message: 32 MiB.
pub const SINGLE_BUFFER_MAX: u64 = 32 * 1024 * 1024;

/// Largest header text; real servers refuse more with `SYS_HEADER_READ_LEN_ERR`.
pub const MAX_HEADER_LEN: usize = 1088;

/// Most elements of a counted array. Query pages have hundreds of rows, bulk calls 50.
pub const MAX_ARRAY: usize = 65_536;

/// What a decoder accepts from its peer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Packed main structure.
    pub message: usize,
    /// Packed error stack.
    pub error: usize,
    /// Raw byte stream.
    pub bytes: usize,
}

impl Limits {
    /// Before authentication: start-up packs, negotiation and login messages only.
    pub const LOGIN: Limits = Limits {
        message: 64 * 1024,
        error: 256 * 1024,
        bytes: 0,
    };
    /// After authentication. A query page of 50 columns x 256 rows of full-length paths is 14 MB; single-buffer puts
    /// carry 32 MiB and python-irodsclient reads and writes 8 MiB blocks.
    pub const SESSION: Limits = Limits {
        message: 64 * 1024 * 1024,
        error: 1024 * 1024,
        bytes: 256 * 1024 * 1024,
    };
}
