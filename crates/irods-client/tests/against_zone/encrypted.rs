//! TLS and PAM against a zone that has them.

use std::io::Cursor;

use irods_client::collection::RemoveCollection;
use irods_client::environment::{Password, TlsPolicy};
use irods_client::protocol::codes;
use irods_client::protocol::version::Version;
use irods_client::protocol::{Form, api};
use irods_client::transfer::{PARALLEL_FROM, Put, PutChecksum};
use irods_client::{ConnectOptions, Connection, Environment, Error};
use irods_zone::{Certificate, Harsh, TlsOptions};

use crate::{TestZone, at, bytes, content, in_both_packings};

in_both_packings! {
    everything_works_inside_tls => tls_xml, tls_native;
}

fn tls(required: bool) -> Option<TlsOptions> {
    Some(TlsOptions {
        certificate: Certificate::SelfMade,
        required,
    })
}

async fn everything_works_inside_tls(form: Form) {
    // What the environment file of the zone says is all that a client needs.
    let zone = TestZone::with(|options| options.tls = tls(true)).await;
    let mut c = zone.connect(form).await;
    assert!(c.is_encrypted());
    let sent = bytes(9 * 1024 * 1024 + 5);
    for single_message_max in [0, 32 * 1024 * 1024] {
        let how = Put {
            overwrite: true,
            checksum: PutChecksum::Verify,
            single_message_max,
            ..Put::default()
        };
        let size = sent.len() as u64;
        c.put(&at("o"), Cursor::new(sent.clone()), size, &how)
            .await
            .unwrap();
        assert!(content(&mut c, &at("o")).await == sent);
    }
    // A removal that reports its progress in the middle.
    c.create_collection(&at("c"), false).await.unwrap();
    for n in 0..25 {
        let object = at(&format!("c/{n}"));
        c.put_bytes(&object, b"x", &Put::default()).await.unwrap();
    }
    c.remove_collection(&at("c"), RemoveCollection::Force, &mut |_| {})
        .await
        .unwrap();
    assert!(c.is_usable());
    c.disconnect().await;

    let mut environment = zone.environment.clone();
    for policy in [TlsPolicy::Off, TlsPolicy::Refuse] {
        environment.tls = policy;
        let error = Connection::open(&environment, &ConnectOptions::default()).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Negotiation { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_inside_tls() {
    let zone = TestZone::with(|options| options.tls = tls(false)).await;
    let pool = zone.pool(3);
    let mut c = pool.get().await.unwrap();
    let sent = bytes(PARALLEL_FROM + 5);
    let size = sent.len() as u64;
    c.put_in_streams(
        &at("o"),
        Cursor::new(sent.clone()),
        size,
        &Put::default(),
        3,
    )
    .await
    .unwrap();
    assert!(c.is_encrypted());
    assert!(content(&mut c, &at("o")).await == sent);
}

const SITE: &str = "site; pass=word\\";

/// A zone of a release where rods has a password of the site.
async fn site(release: Version) -> (TestZone, Environment) {
    let files = tempfile::tempdir().unwrap();
    let passwords = files.path().join("passwords");
    std::fs::write(&passwords, format!("rods:{SITE}\n")).unwrap();
    let zone = TestZone::with(|options| {
        options.tls = tls(false);
        options.pam_password_file = Some(passwords);
        options.harsh = Some(Harsh {
            release,
            delay: std::time::Duration::ZERO,
            locale_order: false,
            strict: false,
            locked: 0,
            lost: 0,
            cut: 0,
            seed: 0,
        });
    })
    .await;
    std::mem::forget(files);
    let mut environment = zone.environment.clone();
    environment.scheme = "pam_password".into();
    environment.password = Password::new(SITE);
    (zone, environment)
}

#[tokio::test]
async fn passwords_of_the_site() {
    let options = ConnectOptions::default();
    for (release, call, in_the_clear) in [
        (Version::new(5, 0, 2), api::AUTHENTICATION, false),
        (Version::new(4, 3, 4), api::AUTHENTICATION, false),
        (Version::new(4, 2, 11), api::AUTH_PLUG_REQ, true),
    ] {
        let (zone, environment) = site(release).await;
        let mut c = Connection::open(&environment, &options).await.unwrap();
        assert_eq!(c.server_version(), release);
        assert!(c.stat(crate::HOME).await.unwrap().is_some());
        assert!(zone.zone.call_counts()[&call] > 0);
        // The password that was made is good for a native login as well.
        let mut kept = environment.clone();
        kept.scheme = "native".into();
        kept.password = c.password().clone();
        Connection::open(&kept, &options).await.unwrap();

        let mut wrong = environment.clone();
        wrong.password = Password::new("wrong");
        let error = Connection::open(&wrong, &options).await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{error}");
        assert!(error.is(codes::PAM_AUTH_PASSWORD_FAILED), "{error}");

        let mut clear = environment.clone();
        clear.tls = TlsPolicy::Off;
        match Connection::open(&clear, &options).await {
            Ok(c) => assert!(in_the_clear && !c.is_encrypted()),
            Err(error) => {
                assert!(!in_the_clear, "{error}");
                assert!(error.to_string().contains("inside TLS only"), "{error}");
            }
        }
    }
}
