//! Every recorded log-in and password change: our arithmetic comes to what the clients sent, and
//! to the server's verdict.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::HashMap;

use irods_protocol::auth::framework::{AuthMessage, operation};
use irods_protocol::auth::{native, scramble};
use irods_protocol::message::{
    AuthRequestOut, AuthResponseInp, BinBytesBuf, GeneralAdminInp, UserAdminInp,
};
use irods_protocol::{Pi, api, codes};
use support::{Dir, Message};

/// The passwords of the recorded zone's users; gbob's changes within a recording.
const PASSWORDS: [(&str, &str); 4] = [
    ("rods", "rods"),
    ("alice", "apass"),
    ("gbob", "bobpass"),
    ("gbob", "bobpass2"),
];

fn framework(message: &Message) -> Option<AuthMessage> {
    if message.api != Some(api::AUTHENTICATION) || message.message.is_empty() {
        return None;
    }
    let BinBytesBuf(text) = BinBytesBuf::from_bytes(message.packing, &message.message).unwrap();
    Some(AuthMessage::parse(&text).unwrap())
}

#[test]
fn verdicts_are_the_servers() {
    let Some(messages) = support::recordings() else {
        return;
    };
    let (mut accepted, mut refused) = (0, 0);
    for message in messages
        .iter()
        .filter(|message| message.dir == Dir::ToServer)
    {
        let Some(response) = framework(message) else {
            continue;
        };
        if response.next_operation() != Ok(operation::AUTH_RESPONSE) {
            continue;
        }
        let challenge = response.request_result().unwrap().as_bytes();
        let digest = response.digest().unwrap();
        let user = response.user_name().unwrap();
        let known = PASSWORDS
            .iter()
            .filter(|(name, _)| *name == user && response.zone_name() == Ok("tempZone"))
            .any(|(_, password)| native::verify(challenge, password, &digest));
        match message.answer.unwrap() {
            // A proxy without privilege is refused although its password is right.
            0 | codes::SYS_PROXYUSER_NO_PRIV => {
                assert!(known, "{}: {user} was let in", message.place);
                accepted += 1;
            }
            code => {
                assert_eq!(code, codes::CAT_INVALID_AUTHENTICATION, "{}", message.place);
                assert!(!known, "{}: {user} was refused", message.place);
                refused += 1;
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted >= 510, "only {accepted} log-ins");
    assert!(refused >= 4, "only {refused} refused log-ins");
}

#[test]
fn the_client_side_sends_what_clients_sent() {
    let Some(messages) = support::recordings() else {
        return;
    };
    // The server's answer is enough to make the client's next message.
    let mut answers: HashMap<&str, AuthMessage> = HashMap::new();
    let mut compared = 0;
    for message in &messages {
        let (scenario, _) = message.place.split_once(':').unwrap();
        let Some(text) = framework(message) else {
            continue;
        };
        if message.dir == Dir::ToClient {
            answers.insert(scenario, text);
        } else if text.next_operation() == Ok(operation::AUTH_RESPONSE)
            && text.user_name() == Ok("rods")
            && message.answer == Some(0)
        {
            let ours = answers
                .remove(scenario)
                .unwrap()
                .native_response("rods")
                .unwrap();
            assert_eq!(ours.digest(), text.digest(), "{}", message.place);
            compared += 1;
        }
    }
    assert!(compared >= 490, "only {compared} log-ins");
}

#[test]
fn the_old_calls_come_to_the_same() {
    let Some(messages) = support::recordings() else {
        return;
    };
    let of_call = |call, dir| {
        messages
            .iter()
            .find(|message| message.api == Some(call) && message.dir == dir)
            .unwrap()
    };
    let challenge = of_call(api::AUTH_REQUEST, Dir::ToClient);
    let challenge = AuthRequestOut::from_bytes(challenge.packing, &challenge.message).unwrap();
    let response = of_call(api::AUTH_RESPONSE, Dir::ToServer);
    let response = AuthResponseInp::from_bytes(response.packing, &response.message).unwrap();
    assert_eq!(response.username.as_deref(), Some("rods"));
    assert_eq!(
        response.response,
        native::response(&challenge.challenge, "rods")
    );
}

#[test]
fn new_passwords_are_read() {
    let Some(messages) = support::recordings() else {
        return;
    };
    let mut challenges: HashMap<(&str, u64), String> = HashMap::new();
    let mut read = Vec::new();
    for message in &messages {
        let (scenario, _) = message.place.split_once(':').unwrap();
        let key = (scenario, message.connection);
        if let Some(Ok(challenge)) = framework(message).as_ref().map(AuthMessage::request_result) {
            challenges.insert(key, challenge.to_owned());
        }
        if message.dir == Dir::ToClient {
            continue;
        }
        // Own password of the caller, and what it sent as a new one.
        let (own, scrambled) = match message.api {
            Some(api::GENERAL_ADMIN) => {
                let input = GeneralAdminInp::from_bytes(message.packing, &message.message).unwrap();
                if input.arg3.as_deref() != Some("password") {
                    continue;
                }
                ("rods", input.arg4.unwrap())
            }
            Some(api::USER_ADMIN) => {
                let input = UserAdminInp::from_bytes(message.packing, &message.message).unwrap();
                ("bobpass", input.arg3.unwrap())
            }
            _ => continue,
        };
        let challenge = challenges[&key].as_bytes();
        read.push(scramble::read_new_password(&scrambled, own, challenge).unwrap());
    }
    assert_eq!(read, ["carlpw", "carlpw", "bobpass", "bobpass2"]);
}
