//! From what Redis says to what a broker answers.
//!
//! A lost connection, a server that loads, fails over, is full or refuses writes for now: all this passes, so it is
//! [`BrokerError::Unavailable`]. Wrong credentials and missing permissions do not.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::broker::BrokerError;

/// An error inside the engine, before it is told which Redis it is about.
#[derive(Debug)]
pub(super) enum Fault {
    Redis(RedisError),
    Corrupt(String),
    Answer(BrokerError),
}

pub(super) type Tried<T> = std::result::Result<T, Fault>;

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        Self::Answer(error)
    }
}

/// How Redis says that a user lacks a right; from 7 on it has sentences of its own for what a script may not do.
const NO_RIGHT: [&str; 4] = [
    "NOPERM",
    "no permissions",
    "can't run this command",
    "can't access at least one",
];

/// How Redis says that a password is wrong or missing. Asked for much at once by somebody who gave none, it speaks of the length.
const NO_PASSWORD: [&str; 3] = ["NOAUTH", "WRONGPASS", "unauthenticated"];

/// How it says, and how the client puts it, that it has no database of that number.
const NO_DATABASE: [&str; 3] = [
    "DB index is out of range",
    "invalid DB index",
    "refused to switch database",
];

/// What an error means for the caller.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Passes,
    Stays,
    Damage,
}

/// Redis 6.2 puts the error of a command of a script into the text of another one, so the text is looked at as well.
fn meaning(kind: ErrorKind, text: &str) -> Meaning {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match kind {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::RESP3NotSupported
        | ErrorKind::Server(
            ServerErrorKind::NoPerm
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::CrossSlot,
        ) => Meaning::Stays,
        _ if says(&["non local key"]) || says(&NO_RIGHT) => Meaning::Stays,
        _ if says(&NO_PASSWORD) || says(&NO_DATABASE) => Meaning::Stays,
        ErrorKind::Server(ServerErrorKind::ResponseError) | ErrorKind::Extension => {
            let passes = [
                "OOM ",
                "MISCONF",
                "BUSY",
                "READONLY",
                "LOADING",
                "NOREPLICAS",
                "MASTERDOWN",
                "CLUSTERDOWN",
                "max number of clients",
            ];
            match says(&passes) {
                true => Meaning::Passes,
                false => Meaning::Damage,
            }
        }
        ErrorKind::UnexpectedReturnType => Meaning::Damage,
        _ => Meaning::Passes,
    }
}

/// What an operator can make of an error, before what Redis itself says.
fn explained(text: &str, detail: String) -> String {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let meaning = if says(&NO_PASSWORD) || says(&["AuthenticationFailed"]) {
        "it refuses the user or the password"
    } else if says(&NO_DATABASE) {
        "it has no database of that number"
    } else if says(&NO_RIGHT) {
        "it does not let this user do what is needed"
    } else if says(&["OOM "]) {
        "its memory is full: give it more (maxmemory), or let workers empty its queue"
    } else if says(&["READONLY"]) {
        "it is a replica, which takes no changes: the address must be that of the primary"
    } else if says(&["MISCONF"]) {
        "it cannot write to its disk, and takes no changes"
    } else {
        return detail;
    };
    format!("{meaning} ({detail})")
}

impl Fault {
    pub(super) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt(detail.into())
    }

    pub(super) fn into_error(self, broker: &str) -> BrokerError {
        let broker = broker.to_owned();
        match self {
            Self::Answer(error) => error,
            Self::Corrupt(detail) => BrokerError::Corrupt { broker, detail },
            Self::Redis(error) => {
                let detail = error.to_string();
                let text = format!("{} {detail}", error.code().unwrap_or_default());
                let detail = explained(&text, detail);
                match meaning(error.kind(), &text) {
                    Meaning::Passes => BrokerError::Unavailable { broker, detail },
                    Meaning::Stays => BrokerError::Unusable { broker, detail },
                    Meaning::Damage => BrokerError::Corrupt { broker, detail },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_inside_scripts_are_told_apart_by_their_text() {
        let server = ErrorKind::Server(ServerErrorKind::ResponseError);
        let old = |text: &str| {
            meaning(
                server,
                &format!("Error running script (call to f_1): @user_script:3: -{text}"),
            )
        };
        assert_eq!(
            old("OOM command not allowed when used memory > 'maxmemory'."),
            Meaning::Passes
        );
        assert_eq!(
            old("READONLY You can't write against a read only replica."),
            Meaning::Passes
        );
        assert_eq!(old("WRONGTYPE Operation against a key"), Meaning::Damage);
        assert_eq!(old("NOPERM this user has no permissions"), Meaning::Stays);
        assert_eq!(
            old("The user executing the script can't run this command or subcommand"),
            Meaning::Stays
        );
        assert_eq!(meaning(ErrorKind::Io, "broken pipe"), Meaning::Passes);
    }

    #[test]
    fn what_is_refused_is_not_called_damaged() {
        let server = ErrorKind::Server(ServerErrorKind::ResponseError);
        for (text, says) in [
            (
                "ERR Protocol error: unauthenticated multibulk length",
                "it refuses the user or the password (",
            ),
            (
                "ERR Protocol error: unauthenticated bulk length",
                "it refuses the user or the password (",
            ),
            (
                "ERR DB index is out of range",
                "it has no database of that number (",
            ),
        ] {
            assert_eq!(meaning(server, text), Meaning::Stays, "{text}");
            let told = explained(text, text.to_owned());
            assert!(told.starts_with(says), "{told}");
        }
    }
}
