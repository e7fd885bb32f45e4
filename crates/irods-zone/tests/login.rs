//! Connecting and logging in: both ways, the refusals, and who acts for whom.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Fixture, HOME, Peer, object};
use irods_protocol::header::kind;
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api, codes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn both_ways_lead_in_and_in_both_packings() {
    let f = Fixture::new().await;
    let secret = f.password();
    for packing in [Packing::XML, Packing::NATIVE] {
        let mut peer = Peer::start(f.zone.address(), packing, "rods", "rods").await;
        assert_eq!(peer.stat(HOME).await.unwrap_err(), codes::SYS_NO_API_PRIV);
        assert_eq!(peer.authenticate("rods", &secret).await, 0);
        assert_eq!(peer.stat(HOME).await.unwrap().obj_type, 2);
        let mut peer = Peer::start(f.zone.address(), packing, "rods", "rods").await;
        assert_eq!(peer.authenticate_legacy("rods#tempZone", &secret).await, 0);
        assert_eq!(peer.stat(HOME).await.unwrap().owner_name, "rods");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_alike() {
    let f = Fixture::new().await;
    for (user, secret) in [
        ("rods", "wrong"),
        ("nobody", "wrong"),
        ("public", ""),
        ("anonymous", ""),
    ] {
        let mut peer = Peer::start(f.zone.address(), Packing::XML, user, user).await;
        assert_eq!(
            peer.authenticate(user, secret).await,
            codes::CAT_INVALID_AUTHENTICATION,
            "{user}"
        );
        assert_eq!(
            peer.authenticate_legacy(user, secret).await,
            codes::CAT_INVALID_AUTHENTICATION,
            "{user}"
        );
        assert_eq!(peer.stat(HOME).await.unwrap_err(), codes::SYS_NO_API_PRIV);
    }
}

#[tokio::test]
async fn nobody_logs_in_as_the_user_of_somebody_elses_start_up() {
    let f = Fixture::new().await;
    drop(f.user("alice").await);
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    assert_eq!(
        peer.authenticate("alice", "alice-secret").await,
        codes::CAT_INVALID_AUTHENTICATION
    );
    assert_eq!(
        peer.authenticate_legacy("alice", "alice-secret").await,
        codes::CAT_INVALID_AUTHENTICATION
    );
}

#[tokio::test]
async fn an_answer_counts_once() {
    let f = Fixture::new().await;
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    let challenge: AuthRequestOut = peer.bare(api::AUTH_REQUEST).await.ok().output();
    let response =
        irods_protocol::auth::native::response(&challenge.challenge, &f.password()).to_vec();
    let input = AuthResponseInp {
        response,
        username: Some("rods".into()),
    };
    assert_eq!(peer.call(api::AUTH_RESPONSE, &input).await.code, 0);
    assert_eq!(
        peer.call(api::AUTH_RESPONSE, &input).await.code,
        codes::CAT_INVALID_AUTHENTICATION
    );
}

#[tokio::test]
async fn administrators_alone_act_for_others() {
    let f = Fixture::new().await;
    drop(f.user("alice").await);
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "alice").await;
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
    assert_eq!(peer.mkdir("/tempZone/home/alice/c").await, 0);
    assert_eq!(
        peer.stat("/tempZone/home/alice/c")
            .await
            .unwrap()
            .owner_name,
        "alice"
    );
    // It is the client's rights that count.
    assert_eq!(
        peer.stat(HOME).await.unwrap_err(),
        codes::USER_FILE_DOES_NOT_EXIST
    );
    let refused = peer
        .call(api::GENERAL_ADMIN, &GeneralAdminInp::default())
        .await;
    assert_eq!(refused.code, codes::SYS_NO_API_PRIV);

    let mut peer = Peer::start(f.zone.address(), Packing::XML, "alice", "rods").await;
    assert_eq!(
        peer.authenticate("alice", "alice-secret").await,
        codes::SYS_PROXYUSER_NO_PRIV
    );
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "nobody").await;
    assert_eq!(
        peer.authenticate("rods", &f.password()).await,
        codes::CAT_INVALID_CLIENT_USER
    );
}

#[tokio::test]
async fn switching_the_user_and_back() {
    let f = Fixture::new().await;
    let mut alice = f.user("alice").await;
    let mut rods = f.rods().await;
    let to = |name: &str| SwitchUserInp {
        username: name.into(),
        zone: "tempZone".into(),
        ..SwitchUserInp::default()
    };
    assert_eq!(rods.call(api::SWITCH_USER, &to("alice")).await.code, 0);
    assert_eq!(
        rods.stat(HOME).await.unwrap_err(),
        codes::USER_FILE_DOES_NOT_EXIST
    );
    assert_eq!(
        rods.call(api::SWITCH_USER, &to("nobody")).await.code,
        codes::CAT_INVALID_USER
    );
    assert_eq!(rods.call(api::SWITCH_USER, &to("rods")).await.code, 0);
    assert!(rods.stat(HOME).await.is_ok());
    assert_eq!(
        alice.call(api::SWITCH_USER, &to("rods")).await.code,
        codes::SYS_PROXYUSER_NO_PRIV
    );
}

#[tokio::test]
async fn a_negotiation_is_answered_by_plain_tcp() {
    let f = Fixture::new().await;
    for (choice, expected) in [
        ("cs_neg_result_kw=CS_NEG_USE_TCP;", 0),
        (
            "cs_neg_result_kw=CS_NEG_USE_SSL;",
            codes::SERVER_NEGOTIATION_ERROR,
        ),
    ] {
        let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
        let pack = StartupPack {
            irods_prot: 1,
            proxy_user: "rods".into(),
            client_user: "rods".into(),
            rel_version: "rods5.0.2".into(),
            option: "iputrequest_server_negotiation".into(),
            ..StartupPack::default()
        };
        peer.send(
            kind::CONNECT,
            0,
            &pack.to_bytes(Packing::STARTUP).unwrap(),
            b"",
        )
        .await;
        let policy = peer.receive().await.unwrap();
        assert_eq!(policy.kind, kind::CS_NEG);
        assert_eq!(
            CsNeg::from_bytes(Packing::STARTUP, &policy.message)
                .unwrap()
                .result,
            "CS_NEG_REFUSE"
        );
        let answer = CsNeg {
            status: 1,
            result: choice.into(),
        };
        peer.send(
            kind::CS_NEG,
            0,
            &answer.to_bytes(Packing::STARTUP).unwrap(),
            b"",
        )
        .await;
        let version = peer.receive().await.unwrap();
        assert_eq!(
            Version::from_bytes(Packing::STARTUP, &version.message)
                .unwrap()
                .status,
            expected
        );
    }
}

#[tokio::test]
async fn a_heartbeat_is_answered() {
    let f = Fixture::new().await;
    let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
    peer.send(kind::HEARTBEAT, 0, b"", b"").await;
    let mut answer = Vec::new();
    peer.stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"HEARTBEAT");
}

#[tokio::test]
async fn temporary_passwords_work_once() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    let salt: GetTempPasswordOut = rods.bare(api::GET_TEMP_PASSWORD).await.ok().output();
    let temporary =
        irods_protocol::auth::temporary::password(&salt.string_to_hash_with, &f.password());
    drop(Peer::login(f.zone.address(), "rods", &temporary).await);
    let mut again = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    assert_eq!(
        again.authenticate("rods", &temporary).await,
        codes::CAT_INVALID_AUTHENTICATION
    );
}

#[tokio::test]
async fn a_changed_password_counts_from_the_next_login_on() {
    let f = Fixture::new().await;
    let mut alice = Peer::start(f.zone.address(), Packing::XML, "alice", "alice").await;
    let mut rods = f.rods().await;
    rods.admin(&["add", "user", "alice", "rodsuser"]).await;
    rods.admin(&[
        "modify",
        "user",
        "alice",
        "password",
        "first",
        "no-scramble",
    ])
    .await;
    let challenge: AuthRequestOut = alice.bare(api::AUTH_REQUEST).await.ok().output();
    let response = irods_protocol::auth::native::response(&challenge.challenge, "first").to_vec();
    let input = AuthResponseInp {
        response,
        username: Some("alice".into()),
    };
    assert_eq!(alice.call(api::AUTH_RESPONSE, &input).await.code, 0);
    let scrambled =
        irods_protocol::auth::scramble::new_password("second", "first", &challenge.challenge, 7)
            .unwrap();
    let change = |user: &str| UserAdminInp {
        arg0: Some("userpw".into()),
        arg1: Some(user.into()),
        arg2: Some("password".into()),
        arg3: Some(scrambled.clone()),
        ..UserAdminInp::default()
    };
    assert!(alice.call(api::USER_ADMIN, &change("rods")).await.code < 0);
    assert_eq!(alice.call(api::USER_ADMIN, &change("alice")).await.code, 0);
    drop(Peer::login(f.zone.address(), "alice", "second").await);
}

#[tokio::test]
async fn calls_are_counted_and_unknown_ones_answered_at_once() {
    let f = Fixture::new().await;
    let mut rods = f.rods().await;
    for _ in 0..3 {
        rods.stat(HOME).await.unwrap();
    }
    for number in [4711, -1, i32::MAX, api::EXEC_MY_RULE] {
        assert_eq!(
            rods.call(number, &object("/x")).await.code,
            codes::SYS_UNMATCHED_API_NUM
        );
    }
    assert_eq!(f.zone.call_counts().get(&api::OBJ_STAT), Some(&3));
    rods.stream.shutdown().await.unwrap();
}
