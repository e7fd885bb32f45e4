//! Logging in, by the scheme of the environment and the flow that the server's release has.
//!
//! The native scheme proves the password without sending it. PAM sends a password of the server's operating system, inside TLS
//! alone, and gets one of iRODS for it, with which the native login follows. A password file keeps passwords of iRODS, so with
//! one there is no PAM exchange whatever the scheme. Schemes that are not known here are refused before anything is sent.

use irods_protocol::auth::framework::{AuthMessage, AuthMessageError};
use irods_protocol::auth::native;
use irods_protocol::limits::MAX_NAME_LEN;
use irods_protocol::message::{
    AuthPlugReqInp, AuthPlugReqOut, AuthRequestOut, AuthResponseInp, BinBytesBuf, IntPi,
    PamAuthRequestInp, PamAuthRequestOut, RErrMsg, SslInp,
};
use irods_protocol::{api, codes};

use crate::connect::{ConnectOptions, start};
use crate::connection::{Connection, Request};
use crate::environment::{Environment, Password};
use crate::error::{Call, Error, Result, ServerError, Violation};

/// The schemes that this client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Native,
    Pam,
}

impl Scheme {
    fn of(environment: &Environment) -> Result<Scheme> {
        match environment.scheme.as_str() {
            "native" => Ok(Scheme::Native),
            // The first is the name of servers before 4.3.
            "pam" | "pam_password" => Ok(Scheme::Pam),
            _ => Err(refused_here(
                environment,
                codes::USER_AUTH_SCHEME_ERR,
                "this client knows the schemes native and pam_password only",
            )),
        }
    }
}

/// A connection that is logged in.
pub(crate) async fn open(
    environment: &Environment,
    options: &ConnectOptions,
) -> Result<Connection> {
    let scheme = Scheme::of(environment)?;
    let mut connection = start(environment, options).await?;
    if scheme == Scheme::Pam && !environment.password.is_native() {
        let exchanged = if connection.server.has_auth_framework() {
            pam_by_framework(&mut connection, environment).await
        } else {
            pam_by_plugin(&mut connection, environment).await
        };
        let password = exchanged.map_err(|e| authentication(environment, e))?;
        if !connection.server.has_auth_framework() {
            // As python-irodsclient does: the exchange may have begun TLS in the middle of the connection.
            connection.disconnect().await;
            connection = start(environment, options).await?;
        }
        connection.password = Password::native(password);
    }
    let outcome = if connection.server.has_auth_framework() {
        native_by_framework(&mut connection, environment).await
    } else {
        native_by_challenge(&mut connection, environment).await
    };
    outcome.map_err(|e| authentication(environment, e))?;
    Ok(connection)
}

/// What the server says no to is the user, whatever the call.
pub(crate) fn authentication(environment: &Environment, error: Error) -> Error {
    match error {
        Error::Server(reason) => Error::Authentication {
            peer: environment.peer(),
            user: environment.user.clone(),
            zone: environment.zone.clone(),
            scheme: environment.scheme.clone(),
            reason,
        },
        other => other,
    }
}

/// A login that is not even tried.
fn refused_here(environment: &Environment, code: i32, why: &str) -> Error {
    let reason = ServerError {
        code,
        call: Call::Connect,
        path: String::new(),
        messages: vec![RErrMsg {
            status: 0,
            msg: why.to_owned(),
        }],
    };
    authentication(environment, reason.into())
}

/// Call 110000, servers from 4.3.0 on.
async fn native_by_framework(connection: &mut Connection, environment: &Environment) -> Result<()> {
    let request = AuthMessage::native_request(&environment.user, &environment.zone);
    let answer = auth_round(connection, &request).await?;
    let response = answer
        .native_response(connection.password.reveal())
        .map_err(|e| bad_answer(connection, &e))?;
    auth_round(connection, &response).await.map(drop)
}

/// Call 110000 with a PAM password, servers from 4.3.0 on; the password that the server made.
async fn pam_by_framework(
    connection: &mut Connection,
    environment: &Environment,
) -> Result<String> {
    if !connection.is_encrypted() {
        return Err(refused_here(
            environment,
            codes::SYS_NOT_ALLOWED,
            "a PAM password is sent inside TLS only: set irods_client_server_negotiation to request_server_negotiation and \
             irods_client_server_policy to CS_NEG_REQUIRE",
        ));
    }
    let password = environment.password.reveal();
    let request = AuthMessage::pam_request(&environment.user, &environment.zone, password, None);
    let answer = auth_round(connection, &request).await?;
    let generated = answer.request_result().map(str::to_owned);
    generated.map_err(|e| bad_answer(connection, &e))
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
async fn native_by_challenge(connection: &mut Connection, environment: &Environment) -> Result<()> {
    let request = Request::new(api::AUTH_REQUEST, "");
    let challenge: AuthRequestOut = connection.ask(request, None::<&IntPi>).await?;
    let response = native::response(&challenge.challenge, connection.password.reveal());
    let answer = AuthResponseInp {
        response: response.to_vec(),
        username: Some(format!("{}#{}", environment.user, environment.zone)),
    };
    let request = Request::new(api::AUTH_RESPONSE, "");
    connection.call(request, Some(&answer)).await.map(drop)
}

/// Call 1201, servers before 4.3.0, or 725 where the password does not fit into the former; the password that the server made.
/// A connection in the clear goes on inside TLS first (call 1100).
async fn pam_by_plugin(connection: &mut Connection, environment: &Environment) -> Result<String> {
    if !connection.is_encrypted() {
        let request = Request::new(api::SSL_START, "");
        let input = SslInp {
            arg0: Some(String::new()),
        };
        connection.call(request, Some(&input)).await?;
        connection.start_tls(environment).await?;
    }
    let password = environment.password.reveal();
    let context = format!(
        "a_user={};a_pw={};a_ttl=",
        environment.user,
        escaped(password)
    );
    if context.len() < MAX_NAME_LEN {
        let input = AuthPlugReqInp {
            auth_scheme: "pam".to_owned(),
            context,
        };
        let request = Request::new(api::AUTH_PLUG_REQ, "");
        let output: AuthPlugReqOut = connection.ask(request, Some(&input)).await?;
        return Ok(output.result);
    }
    let input = PamAuthRequestInp {
        pam_user: Some(environment.user.clone()),
        pam_password: Some(password.to_owned()),
        time_to_live: 0,
    };
    let request = Request::new(api::PAM_AUTH_REQUEST, "");
    let output: PamAuthRequestOut = connection.ask(request, Some(&input)).await?;
    Ok(output.irods_pam_password.unwrap_or_default())
}

/// The characters that separate the fields, behind a backslash (python-irodsclient 3.3).
fn escaped(password: &str) -> String {
    let mut text = String::with_capacity(password.len());
    for c in password.chars() {
        if matches!(c, '\\' | ';' | '=') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_a_password_are_escaped() {
        assert_eq!(escaped(r"a=b;c\d"), r"a\=b\;c\\d");
        assert_eq!(escaped("plain"), "plain");
    }
}
