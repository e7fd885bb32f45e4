//! Whatever comes in a login message is answered; nobody gets in who does not know the password.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Fixture, HOME, Peer};
use irods_protocol::message::BinBytesBuf;
use irods_protocol::{Packing, Pi, api, codes};
use irods_zone::{Certificate, TlsOptions};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// JSON, and mostly what the framework's keys could be taken for.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("native".to_owned()),
        Just("pam_password".to_owned()),
        Just("pam_interactive".to_owned()),
        Just("auth_agent_auth_request".to_owned()),
        Just("auth_agent_auth_response".to_owned()),
        Just("rods".to_owned()),
        Just("tempZone".to_owned()),
        Just("AAAAAAAAAAAAAAAAAAAAAA==".to_owned()),
        ".{0,40}",
    ];
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let value = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(".{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let key = prop_oneof![
        Just("scheme".to_owned()),
        Just("next_operation".to_owned()),
        Just("user_name".to_owned()),
        Just("zone_name".to_owned()),
        Just("digest".to_owned()),
        Just("a_pw".to_owned()),
        Just("a_ttl".to_owned()),
        Just("request_result".to_owned()),
        ".{0,12}",
    ];
    let object = btree_map(key, value, 0..9).prop_map(|map| json!(map).to_string().into_bytes());
    prop_oneof![
        6 => object.clone(),
        2 => (object, any::<prop::sample::Index>()).prop_map(|(mut text, at)| {
            let at = at.index(text.len());
            text.truncate(at);
            text
        }),
        1 => vec(any::<u8>(), 0..300),
        1 => (1_usize..20_000).prop_map(|n| b"[".repeat(n)),
    ]
}

#[tokio::test]
async fn no_login_message_does_harm_or_lets_in() {
    let files = tempfile::tempdir().unwrap();
    let passwords = files.path().join("passwords");
    std::fs::write(&passwords, "rods:not this one\n").unwrap();
    let f = Fixture::with(|options| {
        options.pam_password_file = Some(passwords);
        options.tls = Some(TlsOptions {
            certificate: Certificate::SelfMade,
            required: false,
        });
    })
    .await;
    let mut runner = TestRunner::deterministic();
    let strategy = message();
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    let mut slow = 0;
    for _ in 0..600 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        let input = BinBytesBuf(text.clone());
        assert!(input.to_bytes(Packing::XML).is_ok());
        let answer = peer.call(api::AUTHENTICATION, &input).await;
        if answer.code >= 0 {
            // A challenge, to which nobody knows the answer.
            assert_eq!(answer.json()["scheme"], "native");
        }
        slow += u32::from(answer.code == codes::CAT_INVALID_AUTHENTICATION);
        let said = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(
            peer.call(api::OBJ_STAT, &common::object(HOME)).await.code,
            codes::SYS_NO_API_PRIV,
            "{said}"
        );
    }
    assert!(slow < 100, "most messages should fail before the password");
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
}
