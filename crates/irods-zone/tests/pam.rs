//! Passwords of the site, exchanged for generated ones inside TLS, in the three ways that clients know.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Fixture, Peer};
use irods_protocol::auth::framework::AuthMessage;
use irods_protocol::message::*;
use irods_protocol::{Packing, api, codes};
use irods_zone::{Certificate, StartError, TlsOptions, Zone, ZoneOptions};

/// Hash of s3cret, made with `openssl passwd -6`.
const HASH: &str = "$6$saltsalt$As4wrv0kZlfch1du9WeH7qhskyLriQWySXrZzynnvi46nFnNxjdpl6ksRegrrKexvhIa/Iny8S8uF3fVWTMuC1";

struct Site {
    f: Fixture,
    _files: tempfile::TempDir,
}

async fn site() -> Site {
    let files = tempfile::tempdir().unwrap();
    let passwords = files.path().join("passwords");
    let lines = format!("alice:alices own; with = and \\\nbob:{HASH}\nnobody:known\n");
    std::fs::write(&passwords, lines).unwrap();
    let f = Fixture::with(|options| {
        options.tls = Some(TlsOptions {
            certificate: Certificate::SelfMade,
            required: false,
        });
        options.pam_password_file = Some(passwords);
    })
    .await;
    let mut rods = f.rods().await;
    rods.admin(&["add", "user", "alice", "rodsuser"]).await;
    rods.admin(&["add", "user", "bob", "rodsuser"]).await;
    Site { f, _files: files }
}

impl Site {
    /// Start-up as a user, inside TLS, not logged in.
    async fn secure(&self, user: &str) -> Peer {
        let mut peer = self.clear(user).await;
        assert_eq!(peer.bare(api::SSL_START).await.code, 0);
        let ca = self.f.zone_dir().join("tls_ca.pem");
        Peer::over(common::tls::handshake(peer.stream, &ca).await, Packing::XML)
    }

    async fn clear(&self, user: &str) -> Peer {
        Peer::start(self.f.zone.address(), Packing::XML, user, user).await
    }
}

/// The JSON way.
async fn exchange(
    peer: &mut Peer,
    user: &str,
    password: &str,
    hours: Option<u32>,
) -> Result<String, i32> {
    let request = AuthMessage::pam_request(user, "tempZone", password, hours);
    let answer = peer.json(api::AUTHENTICATION, &request.to_text()).await;
    if answer.code < 0 {
        let said = String::from_utf8_lossy(&answer.frame.error).into_owned();
        assert!(password.len() < 4 || !said.contains(password));
        return Err(answer.code);
    }
    let json = answer.json();
    assert_eq!(json.get("a_pw"), None);
    Ok(json["request_result"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_password_of_the_site_lets_in_by_a_generated_one() {
    let site = site().await;
    for (user, password) in [("alice", "alices own; with = and \\"), ("bob", "s3cret")] {
        let mut peer = site.secure(user).await;
        let generated = exchange(&mut peer, user, password, Some(2)).await.unwrap();
        assert_ne!(generated, password);
        assert_eq!(peer.authenticate(user, &generated).await, 0);
        assert!(peer.stat(&format!("/tempZone/home/{user}")).await.is_ok());
        // It is good for more than one login, also outside TLS, and is given again.
        let mut later = site.clear(user).await;
        assert_eq!(later.authenticate(user, &generated).await, 0);
        let mut again = site.secure(user).await;
        assert_eq!(
            exchange(&mut again, user, password, Some(2)).await,
            Ok(generated.clone())
        );
        let other = exchange(&mut again, user, password, None).await.unwrap();
        assert_ne!(other, generated);
        // Of another user it is worth nothing, and the site's own is no password of iRODS.
        let mut rods = site.clear("rods").await;
        assert_eq!(
            rods.authenticate("rods", &generated).await,
            codes::CAT_INVALID_AUTHENTICATION
        );
        let mut direct = site.clear(user).await;
        assert_eq!(
            direct.authenticate(user, password).await,
            codes::CAT_INVALID_AUTHENTICATION
        );
    }
}

#[tokio::test]
async fn outside_tls_and_with_wrong_passwords_it_is_refused() {
    let site = site().await;
    let mut clear = site.clear("bob").await;
    assert_eq!(
        exchange(&mut clear, "bob", "s3cret", None).await,
        Err(codes::SYS_NOT_ALLOWED)
    );
    let mut peer = site.secure("bob").await;
    for (user, password, hours, code) in [
        ("bob", "wrong", None, codes::PAM_AUTH_PASSWORD_FAILED),
        ("bob", "", None, codes::PAM_AUTH_PASSWORD_FAILED),
        // Not who the connection is for, or nobody.
        (
            "alice",
            "alices own; with = and \\",
            None,
            codes::PAM_AUTH_PASSWORD_FAILED,
        ),
        ("carol", "x", None, codes::PAM_AUTH_PASSWORD_FAILED),
        (
            "bob",
            "s3cret",
            Some(100_000),
            codes::PAM_AUTH_PASSWORD_INVALID_TTL,
        ),
    ] {
        assert_eq!(
            exchange(&mut peer, user, password, hours).await,
            Err(code),
            "{user} {password}"
        );
    }
    let mut nobody = site.secure("nobody").await;
    assert_eq!(
        exchange(&mut nobody, "nobody", "known", None).await,
        Err(codes::CAT_INVALID_USER)
    );
}

#[tokio::test]
async fn the_calls_of_old_do_the_same() {
    let site = site().await;
    let plugin = |context: &str| AuthPlugReqInp {
        auth_scheme: "pam".into(),
        context: context.into(),
    };
    let context = r"a_user=alice;a_pw=alices own\; with \= and \\;a_ttl=60";
    let mut clear = site.clear("alice").await;
    let code = clear.call(api::AUTH_PLUG_REQ, &plugin(context)).await.code;
    assert_eq!(code, codes::SYS_NOT_ALLOWED);
    let mut peer = site.secure("alice").await;
    let answer = peer.call(api::AUTH_PLUG_REQ, &plugin(context)).await.ok();
    let generated = answer.output::<AuthPlugReqOut>().result;
    assert_eq!(
        clear.authenticate_legacy("alice", &generated).await,
        0,
        "{generated}"
    );
    let wrong = peer
        .call(api::AUTH_PLUG_REQ, &plugin("a_user=alice;a_pw=x;a_ttl=1"))
        .await;
    assert_eq!(wrong.code, codes::PAM_AUTH_PASSWORD_FAILED);
    let gsi = AuthPlugReqInp {
        auth_scheme: "gsi".into(),
        context: String::new(),
    };
    let code = peer.call(api::AUTH_PLUG_REQ, &gsi).await.code;
    assert_eq!(code, codes::PLUGIN_ERROR);

    let input = |password: &str| PamAuthRequestInp {
        pam_user: Some("bob".into()),
        pam_password: Some(password.into()),
        time_to_live: 1,
    };
    let mut clear = site.clear("bob").await;
    let code = clear
        .call(api::PAM_AUTH_REQUEST, &input("s3cret"))
        .await
        .code;
    assert_eq!(code, codes::SYS_NOT_ALLOWED);
    let mut peer = site.secure("bob").await;
    let answer = peer.call(api::PAM_AUTH_REQUEST, &input("s3cret")).await;
    let generated = answer.ok().output::<PamAuthRequestOut>();
    let generated = generated.irods_pam_password.unwrap();
    assert_eq!(peer.authenticate("bob", &generated).await, 0);
}

#[tokio::test]
async fn without_a_password_file_the_scheme_is_not_offered() {
    let f = Fixture::new().await;
    let mut peer = Peer::start(f.zone.address(), Packing::XML, "rods", "rods").await;
    assert_eq!(
        exchange(&mut peer, "rods", "x", None).await,
        Err(codes::PLUGIN_ERROR)
    );
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad");
    std::fs::write(&bad, "alice\n").unwrap();
    let mut options = ZoneOptions::new(dir.path().join("zone"));
    options.pam_password_file = Some(bad);
    assert!(matches!(
        Zone::start(options).await,
        Err(StartError::Password { .. })
    ));
}
