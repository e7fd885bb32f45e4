//! What can go wrong, and how far it reaches.
//!
//! Rules: "the server said no" ([`ServerError`]) is never mixed with "the server could not be asked" ([`Loss`]); an error names
//! the call and the path it was about; no error carries a secret; [`Error::scope`] is the one place that says whom an error
//! stops. Nothing here retries.

use std::io;

use irods_protocol::message::{RErrMsg, RError};
use irods_protocol::version::Version;
use irods_protocol::{PackError, codes};
use rustix::io::Errno;

use crate::environment::EnvironmentError;

mod kinds;

pub use kinds::{Call, Delivery, Left, Loss, LossCause, ServerError, TlsFailure, Violation};

/// Result of everything here that talks to a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with a negative code.
    #[error(transparent)]
    Server(Box<ServerError>),
    /// The server could not be asked, or its answer did not arrive.
    #[error(transparent)]
    Lost(Box<Loss>),
    /// The peer sent what no iRODS server sends. The connection is closed.
    #[error("{peer}: {what} ({call})")]
    Protocol {
        /// `host:port`.
        peer: String,
        /// What was being done.
        call: Call,
        /// What is wrong with it.
        what: Violation,
    },
    /// The client's environment is incomplete or wrong.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The credentials were refused.
    #[error("{user}#{zone} could not log in to {peer} ({scheme} authentication): {reason}")]
    Authentication {
        /// `host:port`.
        peer: String,
        /// Who logged in (the proxy user, if there is one).
        user: String,
        /// That user's zone.
        zone: String,
        /// Authentication scheme, as in `irods_authentication_scheme`.
        scheme: String,
        /// The server's answer.
        reason: Box<ServerError>,
    },
    /// Client and server cannot agree on whether to use TLS.
    #[error("{peer}: no agreement on TLS: the server says {server}, this client {client}")]
    Negotiation {
        /// `host:port`.
        peer: String,
        /// The server's policy or answer.
        server: String,
        /// This client's policy.
        client: &'static str,
    },
    /// Both sides want TLS and it did not come about.
    #[error("{peer}: TLS: {failure}")]
    Tls {
        /// `host:port`.
        peer: String,
        /// Why.
        failure: TlsFailure,
    },
    /// The server's release lacks the call. Such calls are never sent: servers from 4.3.0 on do not answer them.
    #[error("{peer} runs iRODS {server}, which has no {call}; it came with {since}")]
    Unsupported {
        /// `host:port`.
        peer: String,
        /// The call.
        call: Call,
        /// The server's release.
        server: Version,
        /// First release with the call.
        since: Version,
    },
    /// The request cannot be sent as it is: a text that is too long or contains NUL, a path that is not logical.
    #[error("{call} of {path:?} cannot be sent: {reason}")]
    Input {
        /// The call.
        call: Call,
        /// The path or name.
        path: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// The local side of a transfer failed.
    #[error("reading the data for {path}: {source}")]
    Local {
        /// Logical path of the transfer.
        path: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The transfer as such failed; see what it left behind.
    #[error("{cause}; {left}")]
    Transfer {
        /// Why.
        cause: Box<Error>,
        /// What is there now under the path.
        left: Left,
    },
    /// The bytes that arrived are not the bytes that were meant.
    #[error("{path}: {what}: expected {expected}, found {found}")]
    Mismatch {
        /// Logical path.
        path: String,
        /// Which property: `size`, `checksum`, `size of the source`.
        what: &'static str,
        /// What should be.
        expected: String,
        /// What is.
        found: String,
    },
}

/// How far an error reaches: who has to stop because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The one object or collection that it names. Others may well succeed.
    Entry,
    /// Everything that this process would ask with these credentials and this environment.
    Worker,
    /// Everything that anybody would ask with the same parameters (no such resource).
    Job,
    /// The zone, or the way to it, is gone for now: wait and ask again; it counts as no attempt.
    ConnectionLost,
}

impl Error {
    /// The server's code, if the server said no.
    pub fn code(&self) -> Option<i32> {
        self.server().map(|e| e.code)
    }

    /// The server's answer, if the server said no, also where it is the reason of another error.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Error::Server(e) => Some(e),
            Error::Authentication { reason, .. } => Some(reason),
            Error::Transfer { cause, .. } => cause.server(),
            _ => None,
        }
    }

    /// Whether the server said exactly this, whatever errno is folded in.
    pub fn is(&self, code: i32) -> bool {
        self.code().is_some_and(|c| codes::split(c).base == code)
    }

    /// The object or collection is not there, or not visible to this user: servers do not tell these apart.
    pub fn is_not_found(&self) -> bool {
        [
            codes::CAT_NO_ROWS_FOUND,
            codes::CAT_UNKNOWN_COLLECTION,
            codes::CAT_UNKNOWN_FILE,
            codes::OBJ_PATH_DOES_NOT_EXIST,
            codes::USER_FILE_DOES_NOT_EXIST,
        ]
        .iter()
        .any(|&c| self.is(c))
    }

    /// The name is taken, by an object or a collection. `OVERWRITE_WITHOUT_FORCE_FLAG` is among these; a server answers it also
    /// where a *collection* has the name (seen on a 5.0.90 server).
    pub fn already_exists(&self) -> bool {
        [
            codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME,
            codes::CAT_NAME_EXISTS_AS_COLLECTION,
            codes::CAT_NAME_EXISTS_AS_DATAOBJ,
            codes::OVERWRITE_WITHOUT_FORCE_FLAG,
        ]
        .iter()
        .any(|&c| self.is(c))
    }

    /// The server could not be asked, or did not answer.
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Error::Lost(_) => true,
            Error::Transfer { cause, .. } => cause.is_connection_loss(),
            _ => false,
        }
    }

    /// This machine, or the server's, lacks what the request needs: file descriptors, memory. It says nothing of what the request
    /// was about.
    pub fn is_shortage(&self) -> bool {
        match self {
            Error::Server(e) => matches!(codes::split(e.code).errno, ENFILE | EMFILE),
            Error::Local { source, .. } => is_shortage(source),
            Error::Lost(loss) => matches!(&loss.cause, LossCause::Io(error) if is_shortage(error)),
            Error::Transfer { cause, .. } => cause.is_shortage(),
            _ => false,
        }
    }

    /// Whether the request that failed may nevertheless have been carried out.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Error::Lost(loss) => loss.delivery == Delivery::Possible,
            Error::Protocol { call, .. } => matches!(call, Call::Api(_)),
            Error::Transfer { cause, .. } => cause.may_have_happened(),
            _ => false,
        }
    }

    /// How far this error reaches. Whatever is not known to reach further stops at its entry.
    pub fn scope(&self) -> Scope {
        match self {
            _ if self.is_shortage() => Scope::Worker,
            Error::Server(e) => server_scope(e),
            Error::Lost(_) => Scope::ConnectionLost,
            Error::Protocol { call, .. } => match call {
                // Not an iRODS server, or none that we understand.
                Call::Connect | Call::Startup | Call::Negotiation | Call::Tls => Scope::Worker,
                Call::Api(_) => Scope::Entry,
            },
            Error::Environment(_)
            | Error::Authentication { .. }
            | Error::Negotiation { .. }
            | Error::Tls { .. }
            | Error::Unsupported { .. } => Scope::Worker,
            Error::Input { .. } | Error::Local { .. } | Error::Mismatch { .. } => Scope::Entry,
            Error::Transfer { cause, .. } => cause.scope(),
        }
    }
}

/// As servers fold them into their codes, which are Linux's numbers.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Whether the operating system says that this process or this machine lacks file descriptors or memory: whatever it was asked
/// for would have met the same.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)
    )
}

/// The scope of what a server answers.
fn server_scope(error: &ServerError) -> Scope {
    match codes::split(error.code).base {
        // The zone itself has lost its catalog, or has no agent to spare; that passes.
        codes::CATALOG_NOT_CONNECTED
        | codes::CAT_CONNECT_ERR
        | codes::SYS_AGENT_INIT_ERR
        | codes::SYS_MAX_CONNECT_COUNT_EXCEEDED
        | codes::SYS_SVR_TO_SVR_CONNECT_FAILED
        | codes::SYS_SOCK_READ_TIMEDOUT
        | codes::SYS_SOCK_READ_ERR => Scope::ConnectionLost,
        // About who asks: the same for everything that this worker asks.
        codes::CAT_INVALID_AUTHENTICATION
        | codes::CAT_PASSWORD_EXPIRED
        | codes::CAT_INVALID_CLIENT_USER
        | codes::SYS_PROXYUSER_NO_PRIV
        | codes::SYS_USER_NOT_ALLOWED_TO_CONN
        | codes::SYS_NO_API_PRIV
        | codes::PATH_REG_NOT_ALLOWED
        | codes::SERVER_NEGOTIATION_ERROR
        | codes::CLIENT_NEGOTIATION_ERROR => Scope::Worker,
        // About what every entry of a job names alike.
        codes::SYS_RESC_DOES_NOT_EXIST
        | codes::CAT_INVALID_RESOURCE
        | codes::USER_INVALID_RESC_INPUT => Scope::Job,
        _ => match error.call {
            Call::Api(_) => Scope::Entry,
            Call::Connect | Call::Startup | Call::Negotiation | Call::Tls => Scope::Worker,
        },
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Error::Server(Box::new(error))
    }
}

impl From<Loss> for Error {
    fn from(loss: Loss) -> Self {
        Error::Lost(Box::new(loss))
    }
}

/// Builds [`Error::Input`] from a value that cannot be packed.
pub(crate) fn unsendable(call: Call, path: &str, reason: &PackError) -> Error {
    Error::Input {
        call,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// The entries of an error stack that say something.
pub(crate) fn messages(stack: RError) -> Vec<RErrMsg> {
    let mut messages = stack.0;
    messages.retain(|m| m.status != 0 || !m.msg.is_empty());
    messages
}

#[cfg(test)]
mod tests {
    use irods_protocol::api;

    use super::*;

    fn said(code: i32) -> Error {
        ServerError {
            code,
            call: Call::Api(api::PHY_PATH_REG),
            path: "/z/a".into(),
            messages: vec![RErrMsg {
                status: 0,
                msg: "collection '/z' is unknown".into(),
            }],
        }
        .into()
    }

    #[test]
    fn a_server_error_prints_call_path_name_number_and_messages() {
        assert_eq!(
            said(-814_000).to_string(),
            "PHY_PATH_REG of /z/a: CAT_UNKNOWN_COLLECTION (-814000): collection '/z' is unknown"
        );
        assert!(said(-510_002).to_string().contains("ENOENT"));
    }

    #[test]
    fn codes_are_compared_without_their_errno() {
        assert!(said(-516_002).is(codes::UNIX_FILE_STAT_ERR));
        assert!(said(-310_000).is_not_found() && said(-814_000).is_not_found());
        assert!(
            !said(-516_002).is_not_found(),
            "a missing file in a vault is no missing object"
        );
        assert!(said(-809_000).already_exists() && said(-312_000).already_exists());
        assert!(!said(-818_000).already_exists());
    }

    #[test]
    fn a_shortage_here_is_no_fault_of_what_was_asked_for() {
        let io = |errno: Errno| io::Error::from(errno);
        let local = |errno| Error::Local {
            path: "/z/a".into(),
            source: io(errno),
        };
        let lost = |errno| {
            Error::from(Loss {
                peer: "h:1".into(),
                call: Call::Connect,
                path: String::new(),
                cause: LossCause::Io(io(errno)),
                delivery: Delivery::None,
            })
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS] {
            let transfer = Error::Transfer {
                cause: Box::new(lost(errno)),
                left: Left::Nothing,
            };
            for error in [local(errno), lost(errno), transfer] {
                assert_eq!(error.scope(), Scope::Worker, "{error}");
            }
        }
        // The server's files: UNIX_FILE_CREATE_ERR of EMFILE, and of ENOSPC.
        assert_eq!(said(-511_024).scope(), Scope::Worker);
        assert_eq!(said(-511_028).scope(), Scope::Entry);
        assert_eq!(local(Errno::IO).scope(), Scope::Entry);
        assert_eq!(lost(Errno::CONNREFUSED).scope(), Scope::ConnectionLost);
    }

    #[test]
    fn scopes() {
        for (code, scope) in [
            (-826_000, Scope::Worker),
            (-13_000, Scope::Worker),
            (-78_000, Scope::Job),
            (-803_000, Scope::ConnectionLost),
            (-818_000, Scope::Entry),
            (-516_002, Scope::Entry),
            (-99_999, Scope::Entry),
        ] {
            assert_eq!(said(code).scope(), scope, "{code}");
        }
        let lost: Error = Loss {
            peer: "h:1".into(),
            call: Call::Api(api::OBJ_STAT),
            path: "/z/a".into(),
            cause: LossCause::Closed,
            delivery: Delivery::Possible,
        }
        .into();
        assert_eq!(lost.scope(), Scope::ConnectionLost);
        assert!(lost.may_have_happened() && lost.is_connection_loss());
        assert_eq!(
            lost.to_string(),
            "h:1: OBJ_STAT of /z/a: the server closed the connection; the server may have carried it out"
        );
        let transfer = Error::Transfer {
            cause: Box::new(said(-78_000)),
            left: Left::Nothing,
        };
        assert_eq!(transfer.scope(), Scope::Job);
        assert_eq!(transfer.code(), Some(-78_000));
    }
}
