//! TLS: negotiated at the start, or begun and ended in the middle; with a certificate of the zone's own or of the site.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::path::Path;

use common::tls::{handshake, try_handshake};
use common::{Fixture, HOME, Peer};
use irods_protocol::frame::{self, FrameDecoder};
use irods_protocol::header::{Header, kind};
use irods_protocol::limits::Limits;
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api, codes};
use irods_zone::{Certificate, StartError, TlsOptions, Zone, ZoneOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn with_tls(required: bool) -> impl FnOnce(&mut ZoneOptions) {
    move |options| {
        options.tls = Some(TlsOptions {
            certificate: Certificate::SelfMade,
            required,
        });
    }
}

/// Start-up with a choice of what to answer to the zone's policy; gives the policy and the version.
async fn negotiate(peer: &mut Peer, choice: &str) -> (String, Version) {
    let pack = StartupPack {
        irods_prot: 1,
        proxy_user: "rods".into(),
        client_user: "rods".into(),
        rel_version: "rods5.0.2".into(),
        option: "testrequest_server_negotiation".into(),
        ..StartupPack::default()
    };
    let packed = pack.to_bytes(Packing::STARTUP).unwrap();
    peer.send(kind::CONNECT, 0, &packed, b"").await;
    let offer = peer.receive().await.unwrap();
    assert_eq!(offer.kind, kind::CS_NEG);
    let offer = CsNeg::from_bytes(Packing::STARTUP, &offer.message).unwrap();
    let answer = CsNeg {
        status: 1,
        result: format!("cs_neg_result_kw={choice};"),
    };
    let answer = answer.to_bytes(Packing::STARTUP).unwrap();
    peer.send(kind::CS_NEG, 0, &answer, b"").await;
    let version = peer.receive().await.unwrap();
    assert_eq!(version.kind, kind::VERSION);
    let version = Version::from_bytes(Packing::STARTUP, &version.message).unwrap();
    (offer.result, version)
}

fn bare(kind: &str, message: i32, error: i32, bytes: i32) -> Vec<u8> {
    let header = Header {
        kind: kind.into(),
        message_len: message,
        error_len: error,
        bytes_len: bytes,
        int_info: 0,
    };
    frame::encode_header(&header).unwrap()
}

fn parameters() -> Vec<u8> {
    let mut bytes = bare("AES-256-CBC", 32, 8, 16);
    bytes.extend(bare("SHARED_SECRET", 32, 0, 0));
    bytes.extend([7; 32]);
    bytes
}

/// Start-up, handshake and parameters; not logged in.
async fn encrypted(f: &Fixture) -> Peer {
    let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
    let (_, version) = negotiate(&mut peer, "CS_NEG_USE_SSL").await;
    assert_eq!(version.status, 0);
    let ca = f.zone_dir().join("tls_ca.pem");
    let mut tls = handshake(peer.stream, &ca).await;
    tls.write_all(&parameters()).await.unwrap();
    Peer::over(tls, Packing::XML)
}

async fn is_closed(peer: &mut Peer) -> bool {
    let mut sink = Vec::new();
    peer.stream.read_to_end(&mut sink).await.is_err() || sink.is_empty()
}

#[tokio::test]
async fn a_zone_that_requires_tls_takes_nobody_without() {
    let f = Fixture::with(with_tls(true)).await;
    let mut peer = encrypted(&f).await;
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
    let path = format!("{HOME}/o");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    assert_eq!(peer.put(&path, &content).await, 0);
    assert_eq!(peer.get(&path).await.unwrap(), content);

    let mut clear = Peer::connect(f.zone.address(), Packing::XML).await;
    let (offer, version) = negotiate(&mut clear, "CS_NEG_USE_TCP").await;
    assert_eq!(offer, "CS_NEG_REQUIRE");
    assert_eq!(version.status, codes::SERVER_NEGOTIATION_ERROR);
    assert!(is_closed(&mut clear).await);

    let mut silent = Peer::connect(f.zone.address(), Packing::XML).await;
    let pack = StartupPack {
        irods_prot: 1,
        proxy_user: "rods".into(),
        ..StartupPack::default()
    };
    let packed = pack.to_bytes(Packing::STARTUP).unwrap();
    silent.send(kind::CONNECT, 0, &packed, b"").await;
    let version = silent.receive().await.unwrap();
    let version = Version::from_bytes(Packing::STARTUP, &version.message).unwrap();
    assert_eq!(version.status, codes::SYS_INVALID_INPUT_PARAM);
    assert!(is_closed(&mut silent).await);
}

#[tokio::test]
async fn where_the_client_may_choose_both_work() {
    let f = Fixture::with(with_tls(false)).await;
    let mut clear = Peer::connect(f.zone.address(), Packing::XML).await;
    let (offer, version) = negotiate(&mut clear, "CS_NEG_USE_TCP").await;
    assert_eq!((offer.as_str(), version.status), ("CS_NEG_DONT_CARE", 0));
    assert_eq!(clear.authenticate("rods", &f.password()).await, 0);
    let mut peer = encrypted(&f).await;
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
    assert!(f.rods().await.stat(HOME).await.is_ok());
}

#[tokio::test]
async fn a_zone_without_a_certificate_refuses_tls() {
    let f = Fixture::new().await;
    let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
    let (offer, version) = negotiate(&mut peer, "CS_NEG_USE_SSL").await;
    assert_eq!(offer, "CS_NEG_REFUSE");
    assert_eq!(version.status, codes::SERVER_NEGOTIATION_ERROR);
    assert!(is_closed(&mut peer).await);
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    assert_eq!(peer.bare(api::SSL_START).await.code, codes::SSL_INIT_ERROR);
    assert_eq!(peer.bare(api::SSL_END).await.code, codes::SYS_NOT_ALLOWED);
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
}

#[tokio::test]
async fn what_comes_in_clear_before_the_handshake_is_never_taken_for_encrypted() {
    let f = Fixture::with(with_tls(false)).await;
    let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
    let request = frame::encode(kind::API_REQ, api::SSL_START, b"", b"", 0).unwrap();
    let injected = frame::encode(kind::API_REQ, api::GET_MISC_SVR_INFO, b"", b"", 0).unwrap();
    let pack = StartupPack {
        irods_prot: 1,
        proxy_user: "rods".into(),
        ..StartupPack::default()
    };
    let packed = pack.to_bytes(Packing::STARTUP).unwrap();
    peer.send(kind::CONNECT, 0, &packed, b"").await;
    peer.receive().await.unwrap();
    peer.stream
        .write_all(&[request, injected].concat())
        .await
        .unwrap();
    assert_eq!(peer.answer().await.code, 0);
    assert!(is_closed(&mut peer).await);
}

#[tokio::test]
async fn nonsense_in_place_of_parameters_ends_the_connection() {
    let f = Fixture::with(with_tls(true)).await;
    let secret = |size: i32| bare("SHARED_SECRET", size, 0, 0);
    let cases = [
        [bare("AES-256-CBC", 32, 8, 16), secret(16)].concat(),
        [bare("AES-256-CBC", i32::MAX, 8, 16), secret(i32::MAX)].concat(),
        [bare("AES-256-CBC", -1, 8, 16), secret(-1)].concat(),
        [
            bare("AES-256-CBC", 32, 8, 16),
            bare("RODS_API_REQ", 32, 0, 0),
        ]
        .concat(),
        vec![0xff; 5000],
    ];
    let ca = f.zone_dir().join("tls_ca.pem");
    for nonsense in cases {
        let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
        negotiate(&mut peer, "CS_NEG_USE_SSL").await;
        let mut tls = handshake(peer.stream, &ca).await;
        tls.write_all(&nonsense).await.unwrap();
        tls.flush().await.unwrap();
        assert!(is_closed(&mut Peer::over(tls, Packing::XML)).await);
    }
    // No handshake at all.
    let mut peer = Peer::connect(f.zone.address(), Packing::XML).await;
    negotiate(&mut peer, "CS_NEG_USE_SSL").await;
    peer.stream.write_all(&parameters()).await.unwrap();
    let mut sink = Vec::new();
    let _ = peer.stream.read_to_end(&mut sink).await;
    let mut good = encrypted(&f).await;
    assert_eq!(good.authenticate("rods", &f.password()).await, 0);
}

#[tokio::test]
async fn tls_begins_and_ends_in_the_middle_of_a_connection() {
    let f = Fixture::with(with_tls(false)).await;
    let mut stream = TcpStream::connect(f.zone.address()).await.unwrap();
    let mut decoder = FrameDecoder::new(Limits::SESSION);
    let pack = StartupPack {
        irods_prot: 1,
        proxy_user: "rods".into(),
        client_user: "rods".into(),
        rel_version: "rods5.0.2".into(),
        ..StartupPack::default()
    };
    let packed = pack.to_bytes(Packing::STARTUP).unwrap();
    let mut ask = frame::encode(kind::CONNECT, 0, &packed, b"", 0).unwrap();
    for number in [None, Some(api::SSL_START)] {
        if let Some(number) = number {
            ask = frame::encode(kind::API_REQ, number, b"", b"", 0).unwrap();
        }
        stream.write_all(&ask).await.unwrap();
        while decoder.next_frame().unwrap().is_none() {
            stream.read_buf(decoder.space()).await.unwrap();
        }
    }
    let ca = f.zone_dir().join("tls_ca.pem");
    let tls = handshake(stream, &ca).await;
    let mut peer = Peer::over(tls, Packing::XML);
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
    assert_eq!(peer.bare(api::SSL_START).await.code, codes::SYS_NOT_ALLOWED);
    assert!(peer.stat(HOME).await.is_ok());
    assert_eq!(peer.bare(api::SSL_END).await.code, 0);
    drop(peer);

    // The same through a connection that can be taken out of TLS again.
    let mut stream = TcpStream::connect(f.zone.address()).await.unwrap();
    let mut decoder = FrameDecoder::new(Limits::SESSION);
    let connect = frame::encode(kind::CONNECT, 0, &packed, b"", 0).unwrap();
    let begin = frame::encode(kind::API_REQ, api::SSL_START, b"", b"", 0).unwrap();
    for ask in [connect, begin] {
        stream.write_all(&ask).await.unwrap();
        while decoder.next_frame().unwrap().is_none() {
            stream.read_buf(decoder.space()).await.unwrap();
        }
    }
    let mut tls = handshake(stream, &ca).await;
    let end = frame::encode(kind::API_REQ, api::SSL_END, b"", b"", 0).unwrap();
    tls.write_all(&end).await.unwrap();
    while decoder.next_frame().unwrap().is_none() {
        tls.read_buf(decoder.space()).await.unwrap();
    }
    // The zone's goodbye, then ours.
    assert_eq!(tls.read(&mut [0; 16]).await.unwrap(), 0);
    tls.get_mut().1.send_close_notify();
    tls.flush().await.unwrap();
    let (stream, _) = tls.into_inner();
    let mut peer = Peer::over(stream, Packing::XML);
    assert_eq!(peer.authenticate("rods", &f.password()).await, 0);
    assert!(peer.stat(HOME).await.is_ok());
}

#[tokio::test]
async fn a_self_made_certificate_stays_until_it_no_longer_fits() {
    use std::os::unix::fs::PermissionsExt;
    let f = Fixture::with(with_tls(true)).await;
    let dir = f.zone_dir();
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let first = read("tls_certificate.pem");
    let mode = std::fs::metadata(dir.join("tls_key.pem")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let environment: serde_json::Value =
        serde_json::from_slice(&read("irods_environment.json")).unwrap();
    let ca = dir.canonicalize().unwrap().join("tls_ca.pem");
    assert_eq!(
        environment["irods_ssl_ca_certificate_file"],
        ca.to_str().unwrap()
    );
    assert_eq!(environment["irods_client_server_policy"], "CS_NEG_REQUIRE");
    let Fixture { dir: kept, zone } = f;
    zone.stop().await;

    let start = |host: Option<&str>| {
        let mut options = ZoneOptions::new(kept.path().join("zone"));
        with_tls(true)(&mut options);
        options.host = host.map(str::to_owned);
        Zone::start(options)
    };
    start(None).await.unwrap().stop().await;
    assert_eq!(read("tls_certificate.pem"), first);
    start(Some("data.example.org")).await.unwrap().stop().await;
    assert_ne!(read("tls_certificate.pem"), first);

    // Without TLS nothing of it is left in the environment.
    let plain = Zone::start(ZoneOptions::new(kept.path().join("zone")))
        .await
        .unwrap();
    let environment: serde_json::Value =
        serde_json::from_slice(&read("irods_environment.json")).unwrap();
    assert_eq!(environment["irods_client_server_policy"], "CS_NEG_REFUSE");
    assert_eq!(environment.get("irods_ssl_ca_certificate_file"), None);
    plain.stop().await;
}

#[tokio::test]
async fn a_sites_own_certificate_is_shown_and_bad_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["zone.example.org".to_owned()]).unwrap();
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let start = |chain: &Path, key: &Path| {
        let mut options = ZoneOptions::new(dir.path().join("zone"));
        options.tls = Some(TlsOptions {
            certificate: Certificate::Files {
                chain: chain.to_owned(),
                key: key.to_owned(),
            },
            required: true,
        });
        Zone::start(options)
    };
    let zone = start(&chain, &key).await.unwrap();
    let mut peer = Peer::connect(zone.address(), Packing::XML).await;
    negotiate(&mut peer, "CS_NEG_USE_SSL").await;
    assert!(
        try_handshake(peer.stream, &chain, "zone.example.org")
            .await
            .is_ok()
    );
    let mut peer = Peer::connect(zone.address(), Packing::XML).await;
    negotiate(&mut peer, "CS_NEG_USE_SSL").await;
    assert!(
        try_handshake(peer.stream, &chain, "other.example.org")
            .await
            .is_err()
    );
    zone.stop().await;

    let other = rcgen::KeyPair::generate().unwrap();
    let wrong = dir.path().join("wrong.pem");
    std::fs::write(&wrong, other.serialize_pem()).unwrap();
    let missing = dir.path().join("missing.pem");
    for (chain, key, named) in [
        (&chain, &wrong, "chain.pem"),
        (&chain, &missing, "missing.pem"),
        (&chain, &chain, "chain.pem"),
        (&key, &key, "key.pem"),
        (&missing, &key, "missing.pem"),
    ] {
        match start(chain, key).await.err() {
            Some(StartError::Tls { path, .. }) => assert!(path.ends_with(named), "{path:?}"),
            other => panic!("{other:?}"),
        }
    }
}
