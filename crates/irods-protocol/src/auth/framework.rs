//! The JSON texts of call 110000, with which servers from 4.3 on are logged in to.
//!
//! Both sides pass one object to and fro and add keys to it: the client says in `next_operation`
//! what the server is to do, the server answers with the object and its result. So keys that are
//! not known here are kept. Servers end the text with a NUL (recorded exchange
//! prc_connect_auth_disconnect); reading takes it or leaves it. Which scheme is used in which
//! order is the connection's business.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::native;
use crate::codes;

/// Names of schemes.
pub mod scheme {
    /// Challenge and response.
    pub const NATIVE: &str = "native";
    /// A password of the server's operating system, exchanged for one of iRODS. Needs TLS.
    pub const PAM_PASSWORD: &str = "pam_password";
}

/// What a client can ask a server to do in the schemes above.
pub mod operation {
    /// Give a challenge, or check a PAM password.
    pub const AUTH_REQUEST: &str = "auth_agent_auth_request";
    /// Check a response.
    pub const AUTH_RESPONSE: &str = "auth_agent_auth_response";
}

/// Names of keys.
mod key {
    pub(super) const SCHEME: &str = "scheme";
    pub(super) const NEXT_OPERATION: &str = "next_operation";
    pub(super) const USER_NAME: &str = "user_name";
    pub(super) const ZONE_NAME: &str = "zone_name";
    pub(super) const REQUEST_RESULT: &str = "request_result";
    pub(super) const DIGEST: &str = "digest";
    pub(super) const PASSWORD: &str = "a_pw";
    pub(super) const TIME_TO_LIVE: &str = "a_ttl";
}

/// Why a text is no message of the framework.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthMessageError {
    /// It is not JSON, or no object.
    #[error("the authentication message is no JSON object")]
    NotAnObject,
    /// A key that is needed is missing or holds no text.
    #[error("the authentication message has no text under {0:?}")]
    Missing(&'static str),
    /// The digest is not the base64 of 16 bytes.
    #[error("the digest of the authentication message is malformed")]
    Digest,
}

impl AuthMessageError {
    /// The code that a real server answers for it.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::NotAnObject => codes::SYS_INTERNAL_ERR,
            Self::Missing(_) => codes::SYS_INVALID_INPUT_PARAM,
            Self::Digest => codes::CAT_INVALID_AUTHENTICATION,
        }
    }
}

/// A message of the framework, in either direction. Its `Debug` form shows the keys alone.
#[derive(Clone, PartialEq)]
pub struct AuthMessage(Map<String, Value>);

impl fmt::Debug for AuthMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl AuthMessage {
    /// Reads a message; NULs and white space behind it are ignored.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub fn parse(text: &[u8]) -> Result<Self, AuthMessageError> {
        let end = text
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let object = serde_json::from_slice(text.get(..end).unwrap_or_default());
        object.map(Self).map_err(|_| AuthMessageError::NotAnObject)
    }

    /// The text of the message, keys in order, without a NUL at its end.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Displaying a value cannot fail.
        Value::Object(self.0.clone()).to_string()
    }

    /// First message of the native scheme.
    #[must_use]
    pub fn native_request(user: &str, zone: &str) -> Self {
        Self::request(scheme::NATIVE, user, zone)
    }

    /// The only message of the PAM scheme. `hours` is how long the password that the server
    /// answers with is to live; `None` leaves it to the server. Send it inside TLS alone.
    #[must_use]
    pub fn pam_request(user: &str, zone: &str, password: &str, hours: Option<u32>) -> Self {
        let hours = hours.map(|hours| hours.to_string()).unwrap_or_default();
        Self::request(scheme::PAM_PASSWORD, user, zone)
            .with(key::PASSWORD, password)
            .with(key::TIME_TO_LIVE, &hours)
    }

    /// Second message of the native scheme: the answer to the challenge in this message.
    ///
    /// # Errors
    /// There is no challenge in it.
    pub fn native_response(self, password: &str) -> Result<Self, AuthMessageError> {
        let digest = native::response(self.request_result()?.as_bytes(), password);
        Ok(self
            .with(key::DIGEST, &STANDARD.encode(digest))
            .with(key::NEXT_OPERATION, operation::AUTH_RESPONSE))
    }

    /// A server's answer: the message, without a password that came in it, with a result (a
    /// challenge, or a generated password).
    #[must_use]
    pub fn answered(mut self, result: &str) -> Self {
        self.0.remove(key::PASSWORD);
        self.with(key::REQUEST_RESULT, result)
    }

    /// The scheme that the client wants.
    ///
    /// # Errors
    /// There is none in the message.
    pub fn scheme(&self) -> Result<&str, AuthMessageError> {
        self.text_of(key::SCHEME)
    }

    /// What the client wants done, see [`operation`].
    ///
    /// # Errors
    /// There is none in the message.
    pub fn next_operation(&self) -> Result<&str, AuthMessageError> {
        self.text_of(key::NEXT_OPERATION)
    }

    /// The user who logs in.
    ///
    /// # Errors
    /// There is none in the message.
    pub fn user_name(&self) -> Result<&str, AuthMessageError> {
        self.text_of(key::USER_NAME)
    }

    /// That user's zone.
    ///
    /// # Errors
    /// There is none in the message.
    pub fn zone_name(&self) -> Result<&str, AuthMessageError> {
        self.text_of(key::ZONE_NAME)
    }

    /// What the server answered: a challenge, or a generated password.
    ///
    /// # Errors
    /// There is none in the message.
    pub fn request_result(&self) -> Result<&str, AuthMessageError> {
        self.text_of(key::REQUEST_RESULT)
    }

    /// The PAM password that the client sent.
    ///
    /// # Errors
    /// There is none in the message.
    pub fn password(&self) -> Result<&str, AuthMessageError> {
        self.text_of(key::PASSWORD)
    }

    /// How many hours the client wants a generated password to live, as it wrote it; empty if it leaves that to the
    /// server.
    #[must_use]
    pub fn time_to_live(&self) -> &str {
        self.text_of(key::TIME_TO_LIVE).unwrap_or_default()
    }

    /// The client's answer to the challenge.
    ///
    /// # Errors
    /// There is none in the message, or it has not 16 bytes.
    pub fn digest(&self) -> Result<[u8; 16], AuthMessageError> {
        let bytes = STANDARD.decode(self.text_of(key::DIGEST)?);
        bytes
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(AuthMessageError::Digest)
    }

    fn request(scheme: &str, user: &str, zone: &str) -> Self {
        Self(Map::new())
            .with(key::SCHEME, scheme)
            .with(key::NEXT_OPERATION, operation::AUTH_REQUEST)
            .with(key::USER_NAME, user)
            .with(key::ZONE_NAME, zone)
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.0.insert(key.to_owned(), Value::from(value));
        self
    }

    fn text_of(&self, key: &'static str) -> Result<&str, AuthMessageError> {
        self.0
            .get(key)
            .and_then(Value::as_str)
            .ok_or(AuthMessageError::Missing(key))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CHALLENGE: &str = "9b87bd720b7d4897dd19257fb0fac8787f8c22b1f6eba84a30d93e1152c111d5";

    #[test]
    fn goes_through_the_recorded_login() {
        // Recorded exchange prc_connect_auth_disconnect, the server's answers to the byte.
        let answer = format!(
            r#"{{"next_operation":"auth_agent_auth_request","request_result":"{CHALLENGE}","scheme":"native","user_name":"rods","zone_name":"tempZone"}}"#
        );
        let request = AuthMessage::native_request("rods", "tempZone");
        assert_eq!(request.clone().answered(CHALLENGE).to_text(), answer);

        let received = AuthMessage::parse(format!("{answer}\0").as_bytes()).unwrap();
        let response = received.native_response("rods").unwrap();
        assert_eq!(
            response.to_text(),
            format!(
                r#"{{"digest":"GJesLqzALZmAw5NGpWhJgw==","next_operation":"auth_agent_auth_response","request_result":"{CHALLENGE}","scheme":"native","user_name":"rods","zone_name":"tempZone"}}"#
            )
        );
        assert!(native::verify(
            CHALLENGE.as_bytes(),
            "rods",
            &response.digest().unwrap()
        ));
        assert_eq!(response.next_operation(), Ok(operation::AUTH_RESPONSE));
    }

    #[test]
    fn keeps_keys_that_it_does_not_know() {
        let text = r#"{"force_password_prompt":true,"next_operation":"x","scheme":"native","pstate":{"a":[1]}}"#;
        let echo = AuthMessage::parse(text.as_bytes())
            .unwrap()
            .answered("c")
            .to_text();
        assert!(echo.contains(r#""force_password_prompt":true"#) && echo.contains(r#"{"a":[1]}"#));
    }

    #[test]
    fn a_password_is_not_echoed_and_not_printed() {
        let request = AuthMessage::pam_request("u", "z", "s3cret", Some(2));
        assert_eq!(request.password(), Ok("s3cret"));
        assert_eq!(request.time_to_live(), "2");
        assert!(!format!("{request:?}").contains("s3cret"));
        assert!(request.to_text().contains(r#""a_ttl":"2""#));
        let answer = request.answered("generated");
        assert!(answer.password().is_err() && !answer.to_text().contains("s3cret"));
        assert_eq!(answer.request_result(), Ok("generated"));
    }

    #[test]
    fn malformed_messages_have_the_code_of_a_real_server() {
        for bad in ["", "\0", "[]", "{", "7", "{}x"] {
            let error = AuthMessage::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error.code(), codes::SYS_INTERNAL_ERR, "{bad:?}");
        }
        let empty = AuthMessage::parse(br#"{"scheme":5,"digest":"AAAA"}"#).unwrap();
        assert_eq!(empty.scheme(), Err(AuthMessageError::Missing("scheme")));
        assert_eq!(empty.digest(), Err(AuthMessageError::Digest));
        assert_eq!(
            empty.scheme().unwrap_err().code(),
            codes::SYS_INVALID_INPUT_PARAM
        );
        let deep = "[".repeat(100_000);
        assert!(AuthMessage::parse(deep.as_bytes()).is_err());
    }
}
