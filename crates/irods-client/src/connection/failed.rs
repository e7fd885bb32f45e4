//! What a connection makes of a failure: an error that names the peer and the call, and the end of its own use.

use super::{Connection, State};
use crate::error::{Call, Delivery, Error, Loss, Violation};
use crate::wire::WireError;

impl Connection {
    pub(crate) fn failed(&mut self, call: Call, subject: &str, error: WireError) -> Error {
        match error {
            WireError::Violation(what) => self.violation(call, what),
            WireError::Tls(failure) => {
                self.state = State::Dead;
                Error::Tls {
                    peer: self.peer.clone(),
                    failure,
                }
            }
            WireError::Lost(cause) => {
                self.state = State::Dead;
                Loss {
                    peer: self.peer.clone(),
                    call,
                    path: subject.to_owned(),
                    cause,
                    delivery: if matches!(call, Call::Api(_)) && self.wire.sent() {
                        Delivery::Possible
                    } else {
                        Delivery::None
                    },
                }
                .into()
            }
        }
    }

    /// The peer cannot be trusted to be in step with us any more.
    pub(crate) fn violation(&mut self, call: Call, what: Violation) -> Error {
        self.state = State::Dead;
        Error::Protocol {
            peer: self.peer.clone(),
            call,
            what,
        }
    }
}

/// The error of a connection that did not come to be.
pub(crate) fn not_connected(peer: String, error: WireError) -> Error {
    match error {
        WireError::Violation(what) => Error::Protocol {
            peer,
            call: Call::Connect,
            what,
        },
        WireError::Tls(failure) => Error::Tls { peer, failure },
        WireError::Lost(cause) => Loss {
            peer,
            call: Call::Connect,
            path: String::new(),
            cause,
            delivery: Delivery::None,
        }
        .into(),
    }
}
