//! From nothing to a logged-in connection: TCP, start-up pack, negotiation, version, login.
//!
//! The order is `RODS_CONNECT`, perhaps `RODS_CS_NEG_T` both ways, `RODS_VERSION`, then the login calls (recorded exchange
//! prc_connect_auth_disconnect). TLS is not offered yet: where either side insists on it, connecting fails with
//! [`Error::Negotiation`].

use std::sync::Arc;

use irods_protocol::auth::framework::{AuthMessage, AuthMessageError};
use irods_protocol::auth::native;
use irods_protocol::header::kind;
use irods_protocol::message::Version as VersionPi;
use irods_protocol::message::{
    AuthRequestOut, AuthResponseInp, BinBytesBuf, CsNeg, IntPi, RErrMsg, StartupPack,
};
use irods_protocol::version::Version;
use irods_protocol::{Form, Packing, Pi, api, codes, frame};
use tokio::time::Instant;

use crate::connection::{Connection, Identity, Request, State};
use crate::counts::CallCounts;
use crate::environment::{Environment, TlsPolicy};
use crate::error::{Call, Error, Result, ServerError, Violation, unsendable};
use crate::wire::{Timeouts, Wire};

/// What this client says it is. Servers choose their XML dialect by it (corrected from 4.2.9 on).
const RELEASE: Version = Version::new(5, 0, 2);
/// Appended to the application's name to ask for a negotiation.
const ASK_NEGOTIATION: &str = "request_server_negotiation";
const NATIVE: &str = "native";

/// How to connect, apart from whom to.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Wire form of everything after the start-up.
    pub form: Form,
    /// The name that `ips` shows for this client.
    pub application: String,
    /// Limits on every wait.
    pub timeouts: Timeouts,
    /// Where calls are counted.
    pub counts: Arc<CallCounts>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            form: Form::Xml,
            application: "irods_sync".to_owned(),
            timeouts: Timeouts::default(),
            counts: Arc::default(),
        }
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server cannot be reached, is no iRODS server, insists on TLS, or refuses the user.
    pub async fn open(environment: &Environment, options: &ConnectOptions) -> Result<Connection> {
        if environment.tls == TlsPolicy::Require {
            return Err(no_agreement(
                environment,
                "nothing (this client cannot do TLS yet)",
            ));
        }
        if environment.scheme != NATIVE {
            return Err(Error::Authentication {
                peer: environment.peer(),
                user: environment.user.clone(),
                zone: environment.zone.clone(),
                scheme: environment.scheme.clone(),
                reason: Box::new(ServerError {
                    code: codes::USER_AUTH_SCHEME_ERR,
                    call: Call::Connect,
                    path: String::new(),
                    messages: vec![RErrMsg {
                        status: 0,
                        msg: "this client knows native authentication only".to_owned(),
                    }],
                }),
            });
        }
        let mut connection = start(environment, options).await?;
        log_in(&mut connection, environment).await?;
        connection.wire.logged_in();
        connection.timeouts = options.timeouts;
        tracing::debug!(
            peer = %connection.peer,
            server = %connection.server,
            user = %connection.identity.user,
            "logged in"
        );
        Ok(connection)
    }
}

/// TCP, start-up pack, negotiation, version.
async fn start(environment: &Environment, options: &ConnectOptions) -> Result<Connection> {
    let timeouts = &options.timeouts;
    let wire = Wire::connect(&environment.host, environment.port, timeouts).await;
    let wire = match wire {
        Ok(wire) => wire,
        Err(e) => return Err(crate::connection::not_connected(environment.peer(), e)),
    };
    let mut connection = Connection {
        wire,
        state: State::Ready,
        peer: environment.peer(),
        server: RELEASE,
        packing: Packing::STARTUP,
        // Until the login is done, no answer may take longer than connecting.
        timeouts: Timeouts {
            reply: timeouts.connect,
            work: timeouts.connect,
            ..*timeouts
        },
        counts: options.counts.clone(),
        identity: identity(environment),
        hash_scheme: environment.hash_scheme,
        abandoned_cursors: Vec::new(),
        last_used: Instant::now(),
    };
    let negotiate = environment.tls != TlsPolicy::Off;
    let pack = startup_pack(environment, options, &connection.identity, negotiate);
    connection.say(Call::Startup, kind::CONNECT, &pack).await?;
    if negotiate {
        refuse_tls(&mut connection, environment).await?;
    }
    let version: VersionPi = connection.hear(Call::Startup, kind::VERSION).await?;
    if version.status < 0 {
        return Err(refused(environment, version.status));
    }
    connection.server = version.rel_version.parse().map_err(|e| {
        let what = Violation::Content(format!("{e}"));
        connection.violation(Call::Startup, what)
    })?;
    connection.packing = Packing {
        form: options.form,
        apos_is_apostrophe: connection.server.xml_apostrophe_fixed(),
        access_time: connection.server.data_obj_info_has_access_time(),
    };
    Ok(connection)
}

fn identity(environment: &Environment) -> Identity {
    let user = environment.client_user.as_ref();
    let zone = environment.client_zone.as_ref();
    Identity {
        user: user.unwrap_or(&environment.user).clone(),
        zone: zone.unwrap_or(&environment.zone).clone(),
    }
}

fn startup_pack(
    environment: &Environment,
    options: &ConnectOptions,
    client: &Identity,
    negotiate: bool,
) -> StartupPack {
    StartupPack {
        irods_prot: match options.form {
            Form::Native => 0,
            Form::Xml => 1,
        },
        reconn_flag: 0,
        connect_cnt: 0,
        proxy_user: environment.user.clone(),
        proxy_rcat_zone: environment.zone.clone(),
        client_user: client.user.clone(),
        client_rcat_zone: client.zone.clone(),
        rel_version: RELEASE.to_wire(),
        api_version: "d".to_owned(),
        // icommands put the two together without a separator (recorded exchange icmd_ils).
        option: format!(
            "{}{}",
            options.application,
            if negotiate { ASK_NEGOTIATION } else { "" }
        ),
    }
}

/// Takes part in the negotiation as one who cannot do TLS.
async fn refuse_tls(connection: &mut Connection, environment: &Environment) -> Result<()> {
    let offer: CsNeg = connection.hear(Call::Negotiation, kind::CS_NEG).await?;
    if offer.status != 1 || offer.result == "CS_NEG_REQUIRE" {
        let failure = CsNeg {
            status: 0,
            result: "CS_NEG_FAILURE".to_owned(),
        };
        connection
            .say(Call::Negotiation, kind::CS_NEG, &failure)
            .await?;
        return Err(no_agreement(environment, &offer.result));
    }
    let choice = CsNeg {
        status: 1,
        result: "cs_neg_result_kw=CS_NEG_USE_TCP;".to_owned(),
    };
    connection
        .say(Call::Negotiation, kind::CS_NEG, &choice)
        .await
}

fn no_agreement(environment: &Environment, server: &str) -> Error {
    Error::Negotiation {
        peer: environment.peer(),
        server: server.to_owned(),
        client: environment.tls.keyword(),
    }
}

/// The server's refusal in its version message. A server that requires TLS answers a start-up pack without negotiation with
/// -130000 (server source 4.2 to 5.0).
fn refused(environment: &Environment, code: i32) -> Error {
    match codes::split(code).base {
        codes::SYS_INVALID_INPUT_PARAM | codes::SERVER_NEGOTIATION_ERROR => no_agreement(
            environment,
            &format!("{} (TLS required)", codes::Code(code)),
        ),
        _ => ServerError {
            code,
            call: Call::Startup,
            path: String::new(),
            messages: Vec::new(),
        }
        .into(),
    }
}

impl Connection {
    /// Sends a start-up message.
    async fn say<T: Pi>(&mut self, call: Call, kind: &str, body: &T) -> Result<()> {
        let message = body
            .to_bytes(Packing::STARTUP)
            .and_then(|message| frame::encode(kind, 0, &message, &[], 0))
            .map_err(|e| unsendable(call, "", &e))?;
        self.wire.begin();
        let sent = self.wire.send(message, &[]).await;
        sent.map_err(|e| self.failed(call, "", e))
    }

    /// Receives a start-up message.
    async fn hear<T: Pi>(&mut self, call: Call, kind: &'static str) -> Result<T> {
        let frame = self.wire.receive(self.timeouts.connect).await;
        let frame = frame.map_err(|e| self.failed(call, "", e))?;
        if frame.kind != kind {
            // A server that refuses early answers with its version message, whatever was due.
            let refusal = VersionPi::from_bytes(Packing::STARTUP, &frame.message);
            if frame.kind == kind::VERSION
                && let Ok(version) = refusal
                && version.status < 0
            {
                return Err(ServerError {
                    code: version.status,
                    call,
                    path: String::new(),
                    messages: Vec::new(),
                }
                .into());
            }
            let got = frame.kind;
            return Err(self.violation(call, Violation::Type { due: kind, got }));
        }
        T::from_bytes(Packing::STARTUP, &frame.message).map_err(|e| self.violation(call, e.into()))
    }
}

/// Native login, by the flow that the server's release has.
async fn log_in(connection: &mut Connection, environment: &Environment) -> Result<()> {
    let outcome = if connection.server.has_auth_framework() {
        log_in_by_framework(connection, environment).await
    } else {
        log_in_by_challenge(connection, environment).await
    };
    outcome.map_err(|e| match e {
        Error::Server(reason) => Error::Authentication {
            peer: environment.peer(),
            user: environment.user.clone(),
            zone: environment.zone.clone(),
            scheme: NATIVE.to_owned(),
            reason,
        },
        other => other,
    })
}

/// Call 110000, servers from 4.3.0 on.
async fn log_in_by_framework(connection: &mut Connection, environment: &Environment) -> Result<()> {
    let password = environment.password.reveal();
    let request = AuthMessage::native_request(&environment.user, &environment.zone);
    let answer = auth_round(connection, &request).await?;
    let response = answer
        .native_response(password)
        .map_err(|e| bad_answer(connection, &e))?;
    auth_round(connection, &response).await.map(drop)
}

async fn auth_round(connection: &mut Connection, message: &AuthMessage) -> Result<AuthMessage> {
    let request = Request::new(api::AUTHENTICATION, "");
    let input = BinBytesBuf(message.to_text().into_bytes());
    let answer: BinBytesBuf = connection.ask(request, Some(&input)).await?;
    AuthMessage::parse(&answer.0).map_err(|e| bad_answer(connection, &e))
}

fn bad_answer(connection: &mut Connection, error: &AuthMessageError) -> Error {
    let what = Violation::Content(error.to_string());
    connection.violation(Call::Api(api::AUTHENTICATION), what)
}

/// Calls 703 and 704, servers before 4.3.0.
async fn log_in_by_challenge(connection: &mut Connection, environment: &Environment) -> Result<()> {
    let request = Request::new(api::AUTH_REQUEST, "");
    let challenge: AuthRequestOut = connection.ask(request, None::<&IntPi>).await?;
    let response = native::response(&challenge.challenge, environment.password.reveal());
    let answer = AuthResponseInp {
        response: response.to_vec(),
        username: Some(format!("{}#{}", environment.user, environment.zone)),
    };
    let request = Request::new(api::AUTH_RESPONSE, "");
    connection.call(request, Some(&answer)).await.map(drop)
}
