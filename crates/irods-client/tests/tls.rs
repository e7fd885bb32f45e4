//! TLS: what client and server agree on, whom the client trusts, and that everything goes on as before inside it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use irods_client::environment::{TlsPolicy, VerifyServer};
use irods_client::error::TlsFailure;
use irods_client::register::Register;
use irods_client::transfer::Put;
use irods_client::{ConnectOptions, Connection, Environment, Error, Pool, PoolOptions, Scope};
use std::io::Read;
use support::certificates::{Authority, self_signed};
use support::{Replay, Scenario, quick};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::version::{TLS12, TLS13};

const LOGIN: &str = "prc_connect_auth_disconnect";

/// A server with a policy and a certificate; `None` without recordings.
async fn serve(scenario: &str, policy: &'static str, tls: Option<TlsAcceptor>) -> Option<Replay> {
    let mut scenario = Scenario::load(scenario)?;
    scenario.policy = Some(policy);
    scenario.tls = tls;
    scenario.any_digest = true;
    Some(scenario.serve().await)
}

fn environment(server: &Replay, policy: TlsPolicy, authority: &Authority) -> Environment {
    let mut environment = server.environment();
    environment.tls = policy;
    environment.tls_settings.ca_file = Some(authority.file.clone());
    environment
}

async fn open(environment: &Environment) -> irods_client::Result<Connection> {
    Connection::open(environment, &quick()).await
}

/// The failure of an attempt to connect, and how it reads.
async fn failure(environment: &Environment) -> (TlsFailure, String) {
    let error = open(environment).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Worker, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    match error {
        Error::Tls { failure, .. } => (failure, text),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn client_and_server_negotiate() {
    let authority = Authority::new();
    let [require, dont_care, refuse] = ["CS_NEG_REQUIRE", "CS_NEG_DONT_CARE", "CS_NEG_REFUSE"];
    for (client, server, tls) in [
        (TlsPolicy::Require, require, Some(true)),
        (TlsPolicy::Require, dont_care, Some(true)),
        (TlsPolicy::Require, refuse, None),
        (TlsPolicy::DontCare, require, Some(true)),
        (TlsPolicy::DontCare, dont_care, Some(true)),
        (TlsPolicy::DontCare, refuse, Some(false)),
        (TlsPolicy::Refuse, require, None),
        (TlsPolicy::Refuse, dont_care, Some(false)),
        (TlsPolicy::Refuse, refuse, Some(false)),
        (TlsPolicy::Off, require, Some(false)),
    ] {
        let acceptor = Some(authority.server(&["127.0.0.1"]));
        let Some(replay) = serve(LOGIN, server, acceptor).await else {
            return;
        };
        let outcome = open(&environment(&replay, client, &authority)).await;
        match (outcome, tls) {
            (Ok(connection), Some(tls)) => {
                assert_eq!(connection.is_encrypted(), tls, "{client:?} {server}");
                connection.disconnect().await;
            }
            (Err(error), None) => {
                let text = error.to_string();
                assert!(matches!(error, Error::Negotiation { .. }), "{text}");
                assert!(
                    text.contains(server) && text.contains(client.keyword()),
                    "{text}"
                );
                let said = replay.log.clone();
                support::until(move || said.lock().unwrap().choices == ["CS_NEG_FAILURE"]).await;
            }
            (outcome, _) => panic!("{client:?} {server}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn everything_goes_on_inside_tls() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let acceptor = authority.server_of_version("127.0.0.1", version);
        let Some(replay) = serve("icmdxml_iput_40m", "CS_NEG_REQUIRE", Some(acceptor)).await else {
            return;
        };
        let environment = environment(&replay, TlsPolicy::Require, &authority);
        let mut c = open(&environment).await.unwrap();
        assert!(c.is_encrypted());
        let parameters = replay.log.lock().unwrap().parameters.clone().unwrap();
        assert_eq!(parameters.kind, "AES-256-CBC");
        let sizes = (
            parameters.message_len,
            parameters.error_len,
            parameters.bytes_len,
        );
        assert_eq!(sizes, (32, 8, 16));
        let size = 40 * 1024 * 1024;
        let source = std::io::repeat(7).take(size);
        let object = "/tempZone/home/rods/goldi/f0";
        c.put(object, source, size, &Put::default()).await.unwrap();
        replay.assert_all_recorded();
        c.disconnect().await;
        let log = replay.log.clone();
        support::until(move || log.lock().unwrap().tls_goodbyes == 1).await;
    }
}

#[tokio::test]
async fn a_pool_keeps_encrypted_connections() {
    let authority = Authority::new();
    let acceptor = authority.server(&["127.0.0.1"]);
    let Some(replay) = serve("prc_register", "CS_NEG_REQUIRE", Some(acceptor)).await else {
        return;
    };
    let environment = environment(&replay, TlsPolicy::Require, &authority);
    let pool = Pool::new(environment, quick(), PoolOptions::default());
    let what = Register {
        file: "/srv/ingest/data/small.bin".into(),
        ..Register::default()
    };
    let object = "/tempZone/home/rods/golden/reg";
    pool.get()
        .await
        .unwrap()
        .register(object, &what)
        .await
        .unwrap();
    // The session tickets that the server sent meanwhile do not make it look as if it had something to say.
    for _ in 0..3 {
        assert!(pool.get().await.unwrap().is_encrypted());
    }
    let logins = pool.counts().total() - pool.counts().requests();
    assert_eq!(logins, 2, "one login of two calls");
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused_and_the_file_named() {
    let [known, unknown] = [Authority::new(), Authority::new()];
    let acceptor = unknown.server(&["127.0.0.1"]);
    let Some(replay) = serve(LOGIN, "CS_NEG_REQUIRE", Some(acceptor)).await else {
        return;
    };
    let mut environment = environment(&replay, TlsPolicy::Require, &known);
    for verify in [VerifyServer::HostName, VerifyServer::Certificate] {
        environment.tls_settings.verify = verify;
        let (failure, text) = failure(&environment).await;
        assert!(matches!(failure, TlsFailure::Untrusted { .. }), "{text}");
        let file = known.file.to_str().unwrap();
        assert!(
            text.contains(file) && text.contains("is not trusted"),
            "{text}"
        );
    }
    environment.tls_settings.ca_file = None;
    let (failure, text) = failure(&environment).await;
    assert!(
        matches!(
            failure,
            TlsFailure::Untrusted { .. } | TlsFailure::Settings { .. }
        ),
        "{text}"
    );
    assert!(text.contains("irods_ssl_ca_certificate_file"), "{text}");
    environment.tls_settings.verify = VerifyServer::None;
    assert!(open(&environment).await.unwrap().is_encrypted());
}

#[tokio::test]
async fn a_directory_of_certificates_is_as_good_as_a_file() {
    let [one, other] = [Authority::new(), Authority::new()];
    std::fs::copy(&one.file, other.dir.path().join("0a1b2c3d.0")).unwrap();
    std::fs::write(other.dir.path().join("readme"), "no certificate").unwrap();
    let acceptor = one.server(&["127.0.0.1"]);
    let Some(replay) = serve(LOGIN, "CS_NEG_REQUIRE", Some(acceptor)).await else {
        return;
    };
    let mut environment = environment(&replay, TlsPolicy::Require, &one);
    environment.tls_settings.ca_file = None;
    environment.tls_settings.ca_path = Some(other.dir.path().to_owned());
    open(&environment).await.unwrap();
}

#[tokio::test]
async fn another_host_s_certificate_is_refused_by_host_name_only() {
    let authority = Authority::new();
    let acceptor = authority.server(&["irods.example.org", "10.0.0.7"]);
    let Some(replay) = serve(LOGIN, "CS_NEG_REQUIRE", Some(acceptor)).await else {
        return;
    };
    let mut environment = environment(&replay, TlsPolicy::Require, &authority);
    let (failure, text) = failure(&environment).await;
    let TlsFailure::WrongHost { host, names } = failure else {
        panic!("{text}")
    };
    assert_eq!(host, "127.0.0.1");
    assert_eq!(names, ["irods.example.org", "10.0.0.7"]);
    assert!(
        text.contains("not for 127.0.0.1 but for irods.example.org"),
        "{text}"
    );
    environment.tls_settings.verify = VerifyServer::Certificate;
    assert!(open(&environment).await.unwrap().is_encrypted());
}

#[tokio::test]
async fn certificates_by_the_recipe_of_irods_are_taken() {
    let authority = Authority::new();
    let own = |name: &str| authority.dir.path().join(name);
    // (server, host asked for, whether it is the right one)
    for (acceptor, host, right) in [
        (self_signed("localhost", &own("one.pem")), "localhost", true),
        (
            self_signed("elsewhere", &own("other.pem")),
            "localhost",
            false,
        ),
        (
            authority.server_by_common_name("LOCALHOST"),
            "localhost",
            true,
        ),
        (
            authority.server_by_common_name("elsewhere"),
            "localhost",
            false,
        ),
        (authority.server(&["localhost"]), "localhost", true),
    ] {
        let Some(replay) = serve(LOGIN, "CS_NEG_REQUIRE", Some(acceptor)).await else {
            return;
        };
        let all = ["one.pem", "other.pem", "ca.pem"].map(|f| std::fs::read(own(f)).unwrap());
        let file = own("all.pem");
        std::fs::write(&file, all.concat()).unwrap();
        let mut environment = environment(&replay, TlsPolicy::DontCare, &authority);
        environment.tls_settings.ca_file = Some(file);
        environment.host = host.to_owned();
        if right {
            assert!(open(&environment).await.unwrap().is_encrypted());
        } else {
            let (failure, text) = failure(&environment).await;
            assert!(matches!(failure, TlsFailure::WrongHost { .. }), "{text}");
            assert!(text.contains("elsewhere"), "{text}");
        }
    }
    let acceptor = authority.expired_server("127.0.0.1");
    let replay = serve(LOGIN, "CS_NEG_REQUIRE", Some(acceptor))
        .await
        .unwrap();
    let (failure, text) = failure(&environment(&replay, TlsPolicy::Require, &authority)).await;
    assert!(matches!(failure, TlsFailure::Untrusted { .. }), "{text}");
    assert!(text.contains("expired"), "{text}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let acceptor = authority.server(&["127.0.0.1"]);
    let Some(replay) = serve(LOGIN, "CS_NEG_REQUIRE", Some(acceptor)).await else {
        return;
    };
    let dir = authority.dir.path();
    std::fs::write(dir.join("empty.pem"), "").unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n";
    std::fs::write(dir.join("damaged.pem"), damaged).unwrap();
    std::fs::create_dir(dir.join("empty")).unwrap();
    for (file, path) in [
        (Some("none.pem"), None),
        (Some("empty.pem"), None),
        (Some("damaged.pem"), None),
        (None, Some("none")),
        (None, Some("empty")),
    ] {
        let mut environment = environment(&replay, TlsPolicy::Require, &authority);
        environment.tls_settings.ca_file = file.map(|f| dir.join(f));
        environment.tls_settings.ca_path = path.map(|p| dir.join(p));
        let (failure, text) = failure(&environment).await;
        assert!(matches!(failure, TlsFailure::Settings { .. }), "{text}");
        let name = dir.join(file.or(path).unwrap());
        assert!(text.contains(name.to_str().unwrap()), "{text}");
        assert!(text.contains("irods_ssl_ca_certificate_"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_goes_on_in_the_clear_is_found_out() {
    use irods_client::protocol::header::kind;
    use irods_client::protocol::message::{CsNeg, Version};
    use irods_client::protocol::{Packing, Pi};
    use support::Peer;
    let authority = Authority::new();
    // Says more than it should before TLS begins, or does not begin it.
    for early in [true, false] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut peer = Peer::new(stream);
            peer.frame().await;
            let offer = CsNeg {
                status: 1,
                result: "CS_NEG_REQUIRE".into(),
            };
            let offer = offer.to_bytes(Packing::STARTUP).unwrap();
            peer.reply_as(kind::CS_NEG, 0, &offer).await;
            peer.frame().await;
            let version = Version {
                rel_version: "rods4.3.4".into(),
                ..Version::default()
            };
            let version = version.to_bytes(Packing::STARTUP).unwrap();
            let head = irods_client::protocol::frame::encode(kind::VERSION, 0, &version, &[], 0);
            let mut all = head.unwrap();
            let injected = irods_client::protocol::frame::encode(kind::API_REPLY, 0, &[], &[], 0);
            let injected = injected.unwrap();
            if early {
                all.extend_from_slice(&injected);
            }
            peer.write(&all).await;
            peer.raw(1).await;
            peer.write(&injected).await;
            peer.raw(usize::MAX).await;
        });
        let mut environment = Environment::new("127.0.0.1", port, "u", "z", "s3cret");
        environment.tls = TlsPolicy::Require;
        environment.tls_settings.ca_file = Some(authority.file.clone());
        let error = Connection::open(&environment, &ConnectOptions { ..quick() }).await;
        let error = error.unwrap_err();
        match &error {
            Error::Protocol { .. } => assert!(early),
            Error::Tls { .. } => assert!(!early),
            other => panic!("{other}"),
        }
        assert_eq!(error.scope(), Scope::Worker);
    }
}
