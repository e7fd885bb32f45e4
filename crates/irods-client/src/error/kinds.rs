//! What errors consist of: what was asked, what the server said, why it could not be asked, what no server says.

use std::fmt;
use std::io;
use std::time::Duration;

use irods_protocol::api;
use irods_protocol::codes::Code;
use irods_protocol::message::RErrMsg;
use irods_protocol::{FrameError, UnpackError};

/// What a failed transfer left in the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing: the object was not made, or has been removed again.
    Nothing,
    /// An object that is there and incomplete.
    Incomplete,
    /// The connection went away before that could be known; a stale or intermediate replica may be there.
    Unknown,
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Left::Nothing => "nothing was left behind",
            Left::Incomplete => "an incomplete data object was left behind",
            Left::Unknown => "an incomplete data object may have been left behind",
        })
    }
}

/// What was being done: an API call or a step of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Opening the TCP connection.
    Connect,
    /// Start-up pack and version.
    Startup,
    /// Client-server negotiation.
    Negotiation,
    /// TLS handshake.
    Tls,
    /// A call, by API number.
    Api(i32),
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Connect => out.write_str("connecting"),
            Call::Startup => out.write_str("start-up"),
            Call::Negotiation => out.write_str("negotiation"),
            Call::Tls => out.write_str("TLS handshake"),
            Call::Api(number) => match api::name_of(*number) {
                Some(name) => out.write_str(name),
                None => write!(out, "API {number}"),
            },
        }
    }
}

/// The server said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Result code, negative, perhaps with an errno folded in; see [`irods_protocol::codes`].
    pub code: i32,
    /// What was asked.
    pub call: Call,
    /// What it was about: a logical path, a resource, a user; empty if nothing in particular.
    pub path: String,
    /// The server's error stack, outermost first as sent; statuses may be 0 (plain text).
    pub messages: Vec<RErrMsg>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.call)?;
        if !self.path.is_empty() {
            write!(out, " of {}", self.path)?;
        }
        write!(out, ": {}", Code(self.code))?;
        for message in self.messages.iter().filter(|m| !m.msg.trim().is_empty()) {
            write!(out, ": {}", message.msg.trim())?;
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}

/// The server could not be asked.
#[derive(Debug, thiserror::Error)]
pub struct Loss {
    /// `host:port`.
    pub peer: String,
    /// What was being done.
    pub call: Call,
    /// What it was about; may be empty.
    pub path: String,
    /// Why.
    #[source]
    pub cause: LossCause,
    /// Whether the server may have received, and carried out, the request.
    pub delivery: Delivery,
}

impl fmt::Display for Loss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.peer, self.call)?;
        if !self.path.is_empty() {
            write!(out, " of {}", self.path)?;
        }
        write!(out, ": {}", self.cause)?;
        if self.delivery == Delivery::Possible {
            out.write_str("; the server may have carried it out")?;
        }
        Ok(())
    }
}

/// Whether a lost request may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// No byte of it was sent.
    None,
    /// Some or all of it was sent.
    Possible,
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LossCause {
    /// The operating system refused or broke the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server closed the connection where an answer was due. Servers do so instead of answering, e.g. to a hierarchy that
    /// names no resource (seen on a 5.0.90 server).
    #[error("the server closed the connection")]
    Closed,
    /// Nothing arrived, or too little.
    #[error("no answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// The limit that applied.
        after: Duration,
    },
    /// An earlier request on this connection was abandoned in the middle, so nothing more can be asked on it.
    #[error("the connection was given up in the middle of an earlier request")]
    Abandoned,
}

/// What no iRODS server sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not a message.
    #[error("not an iRODS message: {0}")]
    Frame(#[from] FrameError),
    /// A body that is not the structure that belongs there.
    #[error("unreadable message: {0}")]
    Unpack(#[from] UnpackError),
    /// A message of another type than the one due.
    #[error("a message of type {got:?} where {due} was due")]
    Type {
        /// What was due.
        due: &'static str,
        /// What came.
        got: String,
    },
    /// A well-formed message whose content makes no sense.
    #[error("{0}")]
    Content(String),
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// A setting of the environment that cannot be used.
    #[error("{place}: {reason}")]
    Settings {
        /// The key and its value.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody who is trusted here vouches for the server.
    #[error("the server's certificate is not trusted by {authorities}: {reason}")]
    Untrusted {
        /// Where the trusted certificates are from: keys and files.
        authorities: String,
        /// Why it is not.
        reason: String,
    },
    /// The certificate is good, but another host's.
    #[error(
        "the server's certificate is not for {host}{} (irods_ssl_verify_server is hostname)",
        if names.is_empty() { " and names no host".to_owned() } else { format!(" but for {}", names.join(", ")) }
    )]
    WrongHost {
        /// The host that was asked for.
        host: String,
        /// The hosts that it is for.
        names: Vec<String>,
    },
    /// The two sides do not understand each other.
    #[error("handshake failed: {0}")]
    Handshake(String),
}
