//! What a peer or a file says on the way to a log-in.
#![no_main]

use irods_protocol::auth::framework::AuthMessage;
use irods_protocol::auth::{password_file, scramble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = AuthMessage::parse(data) {
        let again = AuthMessage::parse(message.to_text().as_bytes());
        assert!(again.as_ref() == Ok(&message));
        let _ = (message.digest().is_ok(), message.scheme().is_ok());
        let _ = message.native_response("secret");
    }
    let _ = password_file::decode(data, 1000);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = scramble::read_new_password(text, "secret", b"0123456789abcdef");
        let _ = scramble::read_initial_password(text, "secret");
        let _ = text.parse::<irods_protocol::version::Version>();
        let _ = irods_protocol::path::check(text);
    }
});
