//! Logging in: challenge and response, in the two calls of old (703, 704) and in the JSON of 4.3
//! (110000); temporary passwords; acting as another user on the same connection.
//!
//! An unknown user and a wrong password are answered alike, after the same delay. The user who logs
//! in is the one of the start-up pack, whatever the message says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use irods_protocol::auth::framework::{AuthMessage, AuthMessageError, operation, scheme};
use irods_protocol::auth::{native, temporary};
use irods_protocol::limits::MAX_PASSWORD_LEN;
use irods_protocol::message::{
    AuthRequestOut, AuthResponseInp, BinBytesBuf, GetLimitedPasswordInp, GetLimitedPasswordOut,
    GetTempPasswordForOtherInp, GetTempPasswordOut, SwitchUserInp,
};
use irods_protocol::pack::{Packer, Unpacker};
use irods_protocol::{PackError, Pi, UnpackError, codes, keywords};

use crate::catalog::users::{self, Password};
use crate::catalog::{CatalogError, Connection, Identity};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::{Login, Session};

/// Delay before a failed login is answered.
pub(super) const FAILED: Duration = Duration::from_millis(300);
/// Life of a temporary password in seconds (server source 4.3, default).
const TEMPORARY_SECONDS: u64 = 120;
/// Longest life of a limited password in hours.
const LIMITED_MAX_HOURS: i32 = 24 * 365;
/// The user without password.
const ANONYMOUS: &str = "anonymous";
/// Seen with each challenge of a 5.0.90 server.
const DEPRECATED: (i32, &str) = (
    -3_002_000,
    "The legacy authentication plugin interface has been deprecated. Please update client to not use legacy authentication plugins.",
);

fn new_challenge(session: &mut Session) -> String {
    let challenge = native::challenge(rand::random());
    session.challenge = Some(challenge.clone());
    challenge
}

/// `SSL_START`: whether the handshake may follow this answer. The connection does it.
pub(super) fn start_tls(session: &Session) -> Answer {
    if session.zone.tls.is_none() {
        let text = "this zone has no certificate";
        return Err(Failure::new(codes::SSL_INIT_ERROR, text));
    }
    if session.secure {
        return Err(Failure::new(
            codes::SYS_NOT_ALLOWED,
            "TLS has begun already",
        ));
    }
    Ok(Reply::done())
}

/// `SSL_END`: whether TLS may end after this answer.
pub(super) fn end_tls(session: &Session) -> Answer {
    if !session.secure {
        return Err(Failure::new(codes::SYS_NOT_ALLOWED, "TLS has not begun"));
    }
    if session.zone.tls.as_ref().is_some_and(|tls| tls.required) {
        return Err(Failure::new(
            codes::SYS_NOT_ALLOWED,
            "this zone requires TLS",
        ));
    }
    Ok(Reply::done())
}

/// `AUTH_REQUEST`.
pub(super) fn request(session: &mut Session, request: &Request) -> Answer {
    let challenge = new_challenge(session).into_bytes();
    let reply = Reply::with(request.packing, &AuthRequestOut { challenge })?;
    Ok(reply.note(DEPRECATED.0, DEPRECATED.1))
}

/// `AUTH_RESPONSE`.
pub(super) async fn response(session: &mut Session, request: &Request) -> Answer {
    let input: AuthResponseInp = request.input()?;
    let named = input.username.unwrap_or_default();
    let (user, zone) = users::split_name(&named);
    check(session, user, zone, &input.response).await?;
    Ok(Reply::done())
}

/// `AUTHENTICATION`.
pub(super) async fn framework(session: &mut Session, request: &Request) -> Answer {
    let input: BinBytesBuf = request.input()?;
    let message = AuthMessage::parse(&input.0)?;
    let answer = match message.scheme()? {
        scheme::NATIVE => native_step(session, message).await?,
        scheme::PAM_PASSWORD if session.zone.pam_password_file.is_some() => {
            super::pam::framework(session, message).await?
        }
        other => {
            let text = format!("the authentication scheme {other:?} is not offered");
            return Err(Failure::new(codes::PLUGIN_ERROR, text));
        }
    };
    // Real servers send the NUL along.
    let mut text = answer.to_text().into_bytes();
    text.push(0);
    Reply::with(request.packing, &BinBytesBuf(text))
}

async fn native_step(session: &mut Session, message: AuthMessage) -> Result<AuthMessage, Failure> {
    match message.next_operation()? {
        operation::AUTH_REQUEST => {
            message.user_name()?;
            message.zone_name()?;
            let challenge = new_challenge(session);
            Ok(message.answered(&challenge))
        }
        operation::AUTH_RESPONSE => {
            check(
                session,
                message.user_name()?,
                message.zone_name()?,
                &message.digest()?,
            )
            .await?;
            Ok(message)
        }
        other => Err(Failure::new(
            codes::SYS_INVALID_INPUT_PARAM,
            format!("no such operation: {other:?}"),
        )),
    }
}

impl From<AuthMessageError> for Failure {
    fn from(error: AuthMessageError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Checks an answer to the challenge and logs in.
async fn check(
    session: &mut Session,
    user: &str,
    zone: &str,
    answer: &[u8],
) -> Result<(), Failure> {
    let outcome = attempt(session, user, zone, answer).await;
    if let Err(failure) = &outcome {
        tracing::info!(user, zone, code = failure.code, "login refused");
        tokio::time::sleep(FAILED).await;
    }
    session.login = Some(outcome?);
    Ok(())
}

async fn attempt(
    session: &mut Session,
    user: &str,
    zone: &str,
    answer: &[u8],
) -> Result<Login, Failure> {
    let refused = || Failure::code(codes::CAT_INVALID_AUTHENTICATION);
    // A challenge is good for one answer.
    let challenge = session.challenge.take().ok_or_else(refused)?;
    let names = session.names.clone();
    let (proxy_name, proxy_zone) = names.proxy.clone();
    if user != proxy_name || !(zone.is_empty() || zone == proxy_zone) {
        return Err(refused());
    }
    let (name, of_zone) = (proxy_name.clone(), proxy_zone.clone());
    let passwords = session
        .catalog()
        .read(move |conn| users::passwords(conn, &name, &of_zone))
        .await?;
    let matching = matching(&passwords, challenge.as_bytes(), answer);
    let password = match matching {
        Some(password) if password.expires.is_some_and(|at| at < now()) => {
            return Err(Failure::code(codes::CAT_PASSWORD_EXPIRED));
        }
        Some(password) => password.clear.clone(),
        None if proxy_name == ANONYMOUS && passwords.is_empty() => String::new(),
        None => return Err(refused()),
    };
    if let Some(row) = matching.filter(|p| p.single_use).map(|p| p.row) {
        session
            .catalog()
            .write(move |conn| users::use_up(conn, row))
            .await?;
    }
    let (proxy, client) = session
        .catalog()
        .read(move |conn| {
            let proxy = users::identity(conn, &proxy_name, &proxy_zone)
                .map_err(|_| CatalogError::new(codes::CAT_INVALID_AUTHENTICATION, ""))?;
            let client = client_of(conn, &proxy, &names.client)?;
            Ok((proxy, client))
        })
        .await?;
    Ok(Login {
        proxy,
        client,
        challenge,
        password,
    })
}

/// The password that the answer was made of. All are tried, so that time tells nothing.
fn matching<'a>(
    passwords: &'a [Password],
    challenge: &[u8],
    answer: &[u8],
) -> Option<&'a Password> {
    passwords.iter().fold(None, |found, p| {
        if native::verify(challenge, &p.clear, answer) {
            Some(p)
        } else {
            found
        }
    })
}

/// The user that a proxy acts for.
fn client_of(
    conn: &Connection,
    proxy: &Identity,
    client: &(String, String),
) -> Result<Identity, CatalogError> {
    let (name, zone) = client;
    if *name == proxy.name && *zone == proxy.zone {
        return Ok(proxy.clone());
    }
    if !proxy.is_rodsadmin() {
        return Err(CatalogError::new(codes::SYS_PROXYUSER_NO_PRIV, ""));
    }
    users::identity(conn, name, zone)
        .map_err(|_| CatalogError::new(codes::CAT_INVALID_CLIENT_USER, ""))
}

/// `SWITCH_USER`: another client user for the rest of the connection. The proxy stays who logged in,
/// unless it is to change along; then there is no way back.
pub(super) async fn switch_user(session: &mut Session, request: &Request) -> Answer {
    let input: SwitchUserInp = request.input()?;
    let login = session
        .login
        .clone()
        .ok_or(Failure::code(codes::SYS_NO_API_PRIV))?;
    if !login.proxy.is_rodsadmin() {
        return Err(Failure::code(codes::SYS_PROXYUSER_NO_PRIV));
    }
    let (name, zone) = (input.username.clone(), input.zone.clone());
    let user = session
        .catalog()
        .read(move |conn| users::identity(conn, &name, &zone))
        .await?;
    if input.cond_input.has(keywords::CLOSE_OPEN_REPLICAS) {
        session.end().await;
    }
    let proxy = if input.cond_input.has(keywords::SWITCH_PROXY_USER) {
        user.clone()
    } else {
        login.proxy
    };
    session.login = Some(Login {
        proxy,
        client: user,
        ..login
    });
    session.cursors = Default::default();
    Ok(Reply::done())
}

/// `GET_TEMP_PASSWORD`: one login within two minutes.
pub(super) async fn temporary_password(session: &mut Session, request: &Request) -> Answer {
    let user = session.user()?;
    let own = password_of(session, &user).await?;
    let salt = issue(session, user.user_id, &own, TEMPORARY_SECONDS, true).await?;
    Reply::with(
        request.packing,
        &GetTempPasswordOut {
            string_to_hash_with: salt,
        },
    )
}

/// `GET_TEMP_PASSWORD_FOR_OTHER`: the same for another user, made with the administrator's password.
pub(super) async fn temporary_password_for_other(
    session: &mut Session,
    request: &Request,
) -> Answer {
    let input: GetTempPasswordForOtherInp = request.input()?;
    let user = session.user()?;
    let own = password_of(session, &user).await?;
    let target = input.target_user.unwrap_or_default();
    let other = session
        .catalog()
        .read(move |conn| {
            let (name, zone) = users::split_name(&target);
            users::identity(conn, name, zone)
        })
        .await?;
    let salt = issue(session, other.user_id, &own, TEMPORARY_SECONDS, true).await?;
    Reply::with(request.packing, &GetTempPasswordForOtherOut(salt))
}

/// `GET_LIMITED_PASSWORD`: any number of logins for some hours.
pub(super) async fn limited_password(session: &mut Session, request: &Request) -> Answer {
    let input: GetLimitedPasswordInp = request.input()?;
    if !(1..=LIMITED_MAX_HOURS).contains(&input.ttl) {
        return Err(Failure::code(codes::PAM_AUTH_PASSWORD_INVALID_TTL));
    }
    let user = session.user()?;
    let own = password_of(session, &user).await?;
    let seconds = u64::try_from(input.ttl).unwrap_or(1) * 3600;
    let salt = issue(session, user.user_id, &own, seconds, false).await?;
    Reply::with(
        request.packing,
        &GetLimitedPasswordOut {
            string_to_hash_with: salt,
        },
    )
}

async fn issue(
    session: &Session,
    user_id: i64,
    own: &str,
    seconds: u64,
    single_use: bool,
) -> Result<String, Failure> {
    let salt: String = native::challenge(rand::random()).chars().take(43).collect();
    let clear = temporary::password(&salt, own);
    session
        .catalog()
        .write(move |conn| {
            users::add_temporary_password(conn, user_id, &clear, now() + seconds, single_use)
        })
        .await?;
    Ok(salt)
}

/// The permanent password of a user, as clients that hash with it know it.
pub(super) async fn password_of(session: &Session, user: &Identity) -> Result<String, Failure> {
    let (name, zone) = (user.name.clone(), user.zone.clone());
    let passwords = session
        .catalog()
        .read(move |conn| users::passwords(conn, &name, &zone))
        .await?;
    let permanent = passwords.into_iter().find(|p| p.expires.is_none());
    permanent
        .map(|p| p.clear)
        .ok_or(Failure::code(codes::CAT_INVALID_USER))
}

/// `getTempPasswordForOtherOut_PI`, which has the field of its sister under another name.
struct GetTempPasswordForOtherOut(String);

impl Pi for GetTempPasswordForOtherOut {
    const NAME: &'static str = "getTempPasswordForOtherOut_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.text("stringToHashWith", MAX_PASSWORD_LEN, self.0.as_bytes())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            u.text("stringToHashWith", MAX_PASSWORD_LEN).map(Self)
        })
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}
