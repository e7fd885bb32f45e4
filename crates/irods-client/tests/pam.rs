//! PAM logins against a server that speaks the flow of its release: inside TLS, never in the clear, and with the password that
//! comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};

use irods_client::environment::{Password, TlsPolicy};
use irods_client::protocol::auth::framework::AuthMessage;
use irods_client::protocol::auth::native;
use irods_client::protocol::header::kind;
use irods_client::protocol::message::{
    AuthPlugReqInp, AuthPlugReqOut, AuthRequestOut, AuthResponseInp, BinBytesBuf, CsNeg,
    PamAuthRequestInp, PamAuthRequestOut, StartupPack, Version,
};
use irods_client::protocol::{Packing, Pi, api, codes};
use irods_client::{Connection, Environment, Error, Pool, PoolOptions, Scope};
use support::certificates::Authority;
use support::{Peer, quick};
use tokio_rustls::TlsAcceptor;

const PAM: &str = "pam; pass=word\\";
const MADE: &str = "made-by-the-server";
const CHALLENGE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[derive(Debug, Default)]
struct Seen {
    /// (API number, whether inside TLS)
    calls: Vec<(i32, bool)>,
    connections: usize,
}

struct Server {
    environment: Environment,
    seen: Arc<Mutex<Seen>>,
    made: Arc<Mutex<String>>,
    _authority: Authority,
}

impl Server {
    fn calls(&self) -> Vec<(i32, bool)> {
        self.seen.lock().unwrap().calls.clone()
    }
}

async fn server(release: &'static str, policy: TlsPolicy) -> Server {
    let authority = Authority::new();
    let acceptor = authority.server(&["127.0.0.1"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let made = Arc::new(Mutex::new(MADE.to_owned()));
    let mut environment = Environment::new("127.0.0.1", port, "u", "z", PAM);
    environment.scheme = "pam_password".into();
    environment.tls = policy;
    environment.tls_settings.ca_file = Some(authority.file.clone());
    let log = seen.clone();
    let password = made.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            log.lock().unwrap().connections += 1;
            let agent = Agent {
                peer: Peer::new(stream),
                release,
                acceptor: acceptor.clone(),
                seen: log.clone(),
                made: password.clone(),
            };
            tokio::spawn(agent.serve());
        }
    });
    Server {
        environment,
        seen,
        made,
        _authority: authority,
    }
}

struct Agent {
    peer: Peer,
    release: &'static str,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Seen>>,
    made: Arc<Mutex<String>>,
}

impl Agent {
    async fn serve(mut self) -> Option<()> {
        let frame = self.peer.frame().await?;
        let pack = StartupPack::from_bytes(Packing::STARTUP, &frame.message).unwrap();
        let mut tls = false;
        if pack.option.contains("request_server_negotiation") {
            let offer = CsNeg {
                status: 1,
                result: "CS_NEG_DONT_CARE".into(),
            };
            let offer = offer.to_bytes(Packing::STARTUP).unwrap();
            self.peer.reply_as(kind::CS_NEG, 0, &offer).await?;
            let answer = self.peer.frame().await?;
            let answer = CsNeg::from_bytes(Packing::STARTUP, &answer.message).unwrap();
            tls = answer.result.contains("USE_SSL");
        }
        let version = Version {
            rel_version: self.release.into(),
            ..Version::default()
        };
        let version = version.to_bytes(Packing::STARTUP).unwrap();
        self.peer.reply_as(kind::VERSION, 0, &version).await?;
        if tls {
            self.peer.accept_tls(&self.acceptor).await?;
            self.peer.bare_header().await?;
            let secret = self.peer.bare_header().await?;
            self.peer.raw(secret.message_len as usize).await?;
        }
        loop {
            let frame = self.peer.frame().await?;
            if frame.kind == kind::DISCONNECT {
                return Some(());
            }
            let call = (frame.int_info, self.peer.is_tls());
            self.seen.lock().unwrap().calls.push(call);
            let (code, answer) = self.answer(frame.int_info, &frame.message);
            self.peer.reply_as(kind::API_REPLY, code, &answer).await?;
            if frame.int_info == api::SSL_START {
                self.peer.accept_tls(&self.acceptor).await?;
            }
        }
    }

    fn answer(&self, number: i32, message: &[u8]) -> (i32, Vec<u8>) {
        let made = self.made.lock().unwrap().clone();
        let right = |digest: &[u8]| match native::verify(CHALLENGE.as_bytes(), &made, digest) {
            true => 0,
            false => codes::CAT_INVALID_AUTHENTICATION,
        };
        match number {
            api::SSL_START => (0, Vec::new()),
            api::AUTHENTICATION => {
                let text = BinBytesBuf::from_bytes(Packing::XML, message).unwrap().0;
                let message = AuthMessage::parse(&text).unwrap();
                let (code, answer) = match (message.scheme().unwrap(), message.digest()) {
                    ("pam_password", _) if message.password() == Ok(PAM) => {
                        (0, message.answered(&made))
                    }
                    ("pam_password", _) => (codes::PAM_AUTH_PASSWORD_FAILED, message.answered("")),
                    (_, Ok(digest)) => (right(&digest), message),
                    _ => (0, message.answered(CHALLENGE)),
                };
                let answer = BinBytesBuf(answer.to_text().into_bytes());
                (code, answer.to_bytes(Packing::XML).unwrap())
            }
            api::AUTH_PLUG_REQ => {
                let input = AuthPlugReqInp::from_bytes(Packing::XML, message).unwrap();
                assert_eq!(input.auth_scheme, "pam");
                if input.context != r"a_user=u;a_pw=pam\; pass\=word\\;a_ttl=" {
                    return (codes::PAM_AUTH_PASSWORD_FAILED, Vec::new());
                }
                let output = AuthPlugReqOut { result: made };
                (0, output.to_bytes(Packing::XML).unwrap())
            }
            api::PAM_AUTH_REQUEST => {
                let input = PamAuthRequestInp::from_bytes(Packing::XML, message).unwrap();
                assert_eq!(input.pam_user.as_deref(), Some("u"));
                assert!(input.pam_password.unwrap().len() > 1000);
                let output = PamAuthRequestOut {
                    irods_pam_password: Some(made),
                };
                (0, output.to_bytes(Packing::XML).unwrap())
            }
            api::AUTH_REQUEST => {
                let output = AuthRequestOut {
                    challenge: CHALLENGE.as_bytes().to_vec(),
                };
                (0, output.to_bytes(Packing::XML).unwrap())
            }
            api::AUTH_RESPONSE => {
                let input = AuthResponseInp::from_bytes(Packing::XML, message).unwrap();
                (right(&input.response), Vec::new())
            }
            _ => (codes::SYS_UNMATCHED_API_NUM, Vec::new()),
        }
    }
}

async fn open(environment: &Environment) -> irods_client::Result<Connection> {
    Connection::open(environment, &quick()).await
}

const FRAMEWORK: i32 = api::AUTHENTICATION;

#[tokio::test]
async fn by_the_framework_from_4_3_on() {
    let server = server("rods4.3.4", TlsPolicy::Require).await;
    let connection = open(&server.environment).await.unwrap();
    assert!(connection.is_encrypted());
    assert_eq!(server.calls(), [(FRAMEWORK, true); 3]);
    // What iinit would keep.
    let file = server._authority.dir.path().join(".irodsA");
    connection.password().save(&file, 7).unwrap();
    assert!(!format!("{connection:?}").contains(MADE));

    let mut environment = server.environment.clone();
    environment.password = connection.password().clone();
    open(&environment).await.unwrap();
    assert_eq!(server.calls(), [(FRAMEWORK, true); 5], "without PAM");
    environment.password = Password::new("wrong");
    let error = open(&environment).await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    assert!(error.is(codes::PAM_AUTH_PASSWORD_FAILED), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("pam_password authentication") && !text.contains("wrong"),
        "{text}"
    );
}

#[tokio::test]
async fn never_in_the_clear() {
    let server = server("rods4.3.4", TlsPolicy::Refuse).await;
    let error = open(&server.environment).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Worker);
    let text = error.to_string();
    assert!(
        text.contains("inside TLS only") && text.contains("CS_NEG_REQUIRE"),
        "{text}"
    );
    assert_eq!(server.calls(), [], "nothing was sent");
}

#[tokio::test]
async fn by_the_plugin_before_4_3() {
    // The negotiation chose TLS.
    let tls = server("rods4.2.12", TlsPolicy::DontCare).await;
    open(&tls.environment).await.unwrap();
    let [plug, ask, answer] = [api::AUTH_PLUG_REQ, api::AUTH_REQUEST, api::AUTH_RESPONSE];
    assert_eq!(tls.calls(), [(plug, true), (ask, true), (answer, true)]);
    // It did not, so TLS is begun for the password's sake.
    let plain = server("rods4.2.12", TlsPolicy::Off).await;
    open(&plain.environment).await.unwrap();
    assert_eq!(
        plain.calls(),
        [
            (api::SSL_START, false),
            (plug, true),
            (ask, false),
            (answer, false)
        ]
    );
    assert_eq!(plain.seen.lock().unwrap().connections, 2);
    // A password that is too long for the usual call.
    let mut long = plain.environment.clone();
    long.password = Password::new("x".repeat(1100));
    open(&long).await.unwrap();
    assert!(plain.calls().contains(&(api::PAM_AUTH_REQUEST, true)));
    // The server has to prove itself here as well.
    long.tls_settings.ca_file = None;
    let before = plain.calls().len();
    let error = open(&long).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
    assert_eq!(plain.calls().len(), before + 1, "only the start of TLS");
}

#[tokio::test]
async fn a_pool_asks_pam_once() {
    let server = server("rods4.3.4", TlsPolicy::Require).await;
    let options = PoolOptions {
        size: 3,
        ..PoolOptions::default()
    };
    let pool = Pool::new(server.environment.clone(), quick(), options);
    let three = [
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
    ];
    assert_eq!(server.calls().len(), 3 + 2 + 2);
    drop(three);
    pool.close_idle().await;
    // The password that was made expires: the pool asks for another one.
    *server.made.lock().unwrap() = "another".into();
    pool.get().await.unwrap();
    assert_eq!(server.calls().len(), 7 + 2 + 3);
}

#[tokio::test]
async fn schemes_that_are_not_known_are_refused_by_name() {
    let server = server("rods4.3.4", TlsPolicy::Require).await;
    for scheme in ["pam_interactive", "krb", "gsi", "openid"] {
        let mut environment = server.environment.clone();
        environment.scheme = scheme.into();
        let text = open(&environment).await.unwrap_err().to_string();
        assert!(
            text.contains(scheme) && text.contains("native and pam_password"),
            "{text}"
        );
    }
    assert_eq!(server.seen.lock().unwrap().connections, 0);
}
