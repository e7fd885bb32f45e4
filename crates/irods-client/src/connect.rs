//! From nothing to a connection on which one can log in: TCP, start-up pack, negotiation, version, TLS.
//!
//! The order is `RODS_CONNECT`, perhaps `RODS_CS_NEG_T` both ways, `RODS_VERSION`, perhaps TLS, then the login calls (recorded
//! exchange prc_connect_auth_disconnect). What the version message says is in the clear and unproven in any case; it only
//! chooses which calls are made.

use std::sync::Arc;

use irods_protocol::header::kind;
use irods_protocol::message::Version as VersionPi;
use irods_protocol::message::{CsNeg, StartupPack};
use irods_protocol::version::Version;
use irods_protocol::{Form, Packing, Pi, codes, frame};
use tokio::time::Instant;

use crate::connection::{Connection, Identity, State};
use crate::counts::CallCounts;
use crate::environment::{Environment, TlsPolicy};
use crate::error::{Call, Error, Result, ServerError, Violation, unsendable};
use crate::login;
use crate::observe::CallObserver;
use crate::tls::Connector;
use crate::wire::{Timeouts, Wire};

/// What this client says it is. Servers choose their XML dialect by it (corrected from 4.2.9 on).
const RELEASE: Version = Version::new(5, 0, 2);
/// Appended to the application's name to ask for a negotiation.
const ASK_NEGOTIATION: &str = "request_server_negotiation";

/// How to connect, apart from whom to.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Wire form of everything after the start-up, unless the environment names one.
    pub form: Form,
    /// The name that `ips` shows for this client.
    pub application: String,
    /// Limits on every wait.
    pub timeouts: Timeouts,
    /// Where calls are counted.
    pub counts: Arc<CallCounts>,
    /// Who hears of each call.
    pub observer: Option<Arc<dyn CallObserver>>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            form: Form::Xml,
            application: "irods_sync".to_owned(),
            timeouts: Timeouts::default(),
            counts: Arc::default(),
            observer: None,
        }
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server cannot be reached, is no iRODS server, does not agree on TLS or is not who it should be, or refuses the user.
    pub async fn open(environment: &Environment, options: &ConnectOptions) -> Result<Connection> {
        let mut connection = login::open(environment, options).await?;
        connection.wire.logged_in();
        connection.timeouts = options.timeouts;
        tracing::debug!(
            peer = %connection.peer,
            server = %connection.server,
            user = %connection.identity.user,
            tls = connection.is_encrypted(),
            "logged in"
        );
        Ok(connection)
    }

    /// Goes on inside TLS.
    pub(crate) async fn start_tls(&mut self, environment: &Environment) -> Result<Connector> {
        let prepared = Connector::prepare(environment).await;
        let connector = prepared.map_err(|e| self.failed(Call::Tls, "", e.into()))?;
        let started = self.wire.start_tls(&connector, self.timeouts.connect).await;
        started.map_err(|e| self.failed(Call::Tls, "", e))?;
        Ok(connector)
    }
}

/// TCP, start-up pack, negotiation, version, TLS.
pub(crate) async fn start(
    environment: &Environment,
    options: &ConnectOptions,
) -> Result<Connection> {
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
        observer: options.observer.clone(),
        identity: identity(environment),
        hash_scheme: environment.hash_scheme,
        password: environment.password.clone(),
        has_ticket: false,
        abandoned_cursors: Vec::new(),
        last_used: Instant::now(),
    };
    let negotiate = environment.tls != TlsPolicy::Off;
    let pack = startup_pack(environment, options, &connection.identity, negotiate);
    connection.say(Call::Startup, kind::CONNECT, &pack).await?;
    let tls = match negotiate {
        true => self::negotiate(&mut connection, environment).await?,
        false => false,
    };
    let version: VersionPi = connection.hear(Call::Startup, kind::VERSION).await?;
    if version.status < 0 {
        return Err(refused(environment, version.status));
    }
    connection.server = version.rel_version.parse().map_err(|e| {
        let what = Violation::Content(format!("{e}"));
        connection.violation(Call::Startup, what)
    })?;
    connection.packing = Packing {
        form: form(environment, options),
        apos_is_apostrophe: connection.server.xml_apostrophe_fixed(),
        access_time: connection.server.data_obj_info_has_access_time(),
    };
    if tls {
        let connector = connection.start_tls(environment).await?;
        let parameters = connector.parameters(&environment.tls_settings);
        let sent = match parameters {
            Ok(parameters) => connection.wire.send(parameters, &[]).await,
            Err(failure) => Err(failure.into()),
        };
        sent.map_err(|e| connection.failed(Call::Tls, "", e))?;
    }
    Ok(connection)
}

fn form(environment: &Environment, options: &ConnectOptions) -> Form {
    environment.form.unwrap_or(options.form)
}

/// On whose behalf an environment's connections act.
pub(crate) fn identity(environment: &Environment) -> Identity {
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
        irods_prot: match form(environment, options) {
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

/// What both sides make of their policies: TLS or not, or no agreement (server source 4.2 to 5.0, the same table in all).
fn agree(client: TlsPolicy, server: &str) -> Option<bool> {
    match (client, server) {
        (TlsPolicy::Off | TlsPolicy::Refuse, "CS_NEG_REQUIRE") => None,
        (TlsPolicy::Require, "CS_NEG_REFUSE") => None,
        (TlsPolicy::Require | TlsPolicy::DontCare, "CS_NEG_REQUIRE" | "CS_NEG_DONT_CARE") => {
            Some(true)
        }
        (TlsPolicy::Off | TlsPolicy::Refuse, "CS_NEG_REFUSE" | "CS_NEG_DONT_CARE") => Some(false),
        (TlsPolicy::DontCare, "CS_NEG_REFUSE") => Some(false),
        _ => None,
    }
}

/// Takes part in the negotiation; whether there will be TLS.
async fn negotiate(connection: &mut Connection, environment: &Environment) -> Result<bool> {
    let offer: CsNeg = connection.hear(Call::Negotiation, kind::CS_NEG).await?;
    let agreed = agree(environment.tls, &offer.result).filter(|_| offer.status == 1);
    let (status, result) = match agreed {
        Some(true) => (1, "cs_neg_result_kw=CS_NEG_USE_SSL;"),
        Some(false) => (1, "cs_neg_result_kw=CS_NEG_USE_TCP;"),
        None => (0, "CS_NEG_FAILURE"),
    };
    let answer = CsNeg {
        status,
        result: result.to_owned(),
    };
    connection
        .say(Call::Negotiation, kind::CS_NEG, &answer)
        .await?;
    agreed.ok_or_else(|| no_agreement(environment, &offer.result))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_policies_decide() {
        let [require, dont_care, refuse] = ["CS_NEG_REQUIRE", "CS_NEG_DONT_CARE", "CS_NEG_REFUSE"];
        for (client, server, outcome) in [
            (TlsPolicy::Require, require, Some(true)),
            (TlsPolicy::Require, dont_care, Some(true)),
            (TlsPolicy::Require, refuse, None),
            (TlsPolicy::DontCare, require, Some(true)),
            (TlsPolicy::DontCare, dont_care, Some(true)),
            (TlsPolicy::DontCare, refuse, Some(false)),
            (TlsPolicy::Refuse, require, None),
            (TlsPolicy::Refuse, dont_care, Some(false)),
            (TlsPolicy::Refuse, refuse, Some(false)),
            (TlsPolicy::Require, "", None),
            (TlsPolicy::DontCare, "CS_NEG_USE_SSL", None),
            (TlsPolicy::Refuse, "CS_NEG_FAILURE", None),
        ] {
            assert_eq!(agree(client, server), outcome, "{client:?}, {server}");
        }
    }
}
