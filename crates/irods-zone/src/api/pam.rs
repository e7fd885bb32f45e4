//! Logging in with a password of the site (`pam_password`): it is exchanged for one of iRODS, with which the
//! client then logs in as with any other. Only inside TLS.
//!
//! Three ways lead here: the JSON of 4.3 (110000), `AUTH_PLUG_REQ` (1201) and `PAM_AUTH_REQUEST` (725) of old.
//! A generated password lives for as many hours as the client asks for, from the last exchange that asked for
//! as many; until then the same one is given again, since clients exchange anew for every connection.

use std::path::PathBuf;

use irods_protocol::auth::framework::{AuthMessage, operation};
use irods_protocol::codes;
use irods_protocol::message::{
    AuthPlugReqInp, AuthPlugReqOut, PamAuthRequestInp, PamAuthRequestOut,
};

use super::auth::{FAILED, now};
use super::blocking;
use crate::catalog::users;
use crate::pam_file::PamFile;
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// Longest life of a generated password, and its life where the client names none: two weeks (server source 4.3,
/// default).
const MAX_HOURS: u32 = 14 * 24;
/// Scheme names that `AUTH_PLUG_REQ` is asked for (server source 4.2).
const SCHEMES: [&str; 3] = ["pam", "PAM", "pam_password"];

/// The JSON way: the message with a generated password in place of the site's.
pub(super) async fn framework(
    session: &Session,
    message: AuthMessage,
) -> Result<AuthMessage, Failure> {
    match message.next_operation()? {
        operation::AUTH_REQUEST => {
            let user = message.user_name()?;
            message.zone_name()?;
            let password = message.password()?;
            let generated = exchange(session, user, password, message.time_to_live()).await?;
            Ok(message.answered(&generated))
        }
        other => Err(Failure::new(
            codes::SYS_INVALID_INPUT_PARAM,
            format!("no such operation: {other:?}"),
        )),
    }
}

/// `AUTH_PLUG_REQ`.
pub(super) async fn plugin(session: &Session, request: &Request) -> Answer {
    let input: AuthPlugReqInp = request.input()?;
    if !SCHEMES.contains(&input.auth_scheme.as_str()) {
        return Err(Failure::new(
            codes::PLUGIN_ERROR,
            format!(
                "the authentication scheme {:?} is not offered",
                input.auth_scheme
            ),
        ));
    }
    let pairs = context(&input.context);
    let value = |key: &str| {
        let found = pairs.iter().find(|(k, _)| k == key);
        found.map(|(_, v)| v.as_str()).unwrap_or_default()
    };
    let result = exchange(session, value("a_user"), value("a_pw"), value("a_ttl")).await?;
    Reply::with(request.packing, &AuthPlugReqOut { result })
}

/// `PAM_AUTH_REQUEST`.
pub(super) async fn request(session: &Session, request: &Request) -> Answer {
    let input: PamAuthRequestInp = request.input()?;
    let user = input.pam_user.unwrap_or_default();
    let password = input.pam_password.unwrap_or_default();
    let hours = input.time_to_live.to_string();
    let generated = exchange(session, &user, &password, &hours).await?;
    Reply::with(
        request.packing,
        &PamAuthRequestOut {
            irods_pam_password: Some(generated),
        },
    )
}

/// Checks the site's password and gives the generated one.
async fn exchange(
    session: &Session,
    user: &str,
    password: &str,
    hours: &str,
) -> Result<String, Failure> {
    if !session.secure {
        let text = "a password of the site is only accepted inside TLS";
        return Err(Failure::new(codes::SYS_NOT_ALLOWED, text));
    }
    let Some(path) = session.zone.pam_password_file.clone() else {
        return Err(Failure::code(codes::PAM_AUTH_NOT_BUILT_INTO_SERVER));
    };
    let hours = hours_of(hours)?;
    let (proxy, zone) = session.names.proxy.clone();
    let refused = Failure::code(codes::PAM_AUTH_PASSWORD_FAILED);
    if user != proxy || !accepted(path, user.to_owned(), password.to_owned()).await? {
        tracing::info!(user, "login refused");
        tokio::time::sleep(FAILED).await;
        return Err(refused);
    }
    let generated = session
        .catalog()
        .write(move |conn| {
            let user = users::identity(conn, &proxy, &zone)?;
            users::exchanged_password(conn, user.user_id, hours, now())
        })
        .await?;
    Ok(generated)
}

async fn accepted(path: PathBuf, user: String, password: String) -> Result<bool, Failure> {
    blocking(move || match PamFile::read(&path) {
        Ok(file) => Ok(file.accepts(&user, &password)),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the password file cannot be used");
            Err(Failure::code(codes::PAM_AUTH_PASSWORD_FAILED))
        }
    })
    .await?
}

/// The life that a client asks for; 0 and nothing leave it to the server.
fn hours_of(text: &str) -> Result<u32, Failure> {
    let invalid = || {
        Failure::new(
            codes::PAM_AUTH_PASSWORD_INVALID_TTL,
            format!("{text:?} is not from 1 to {MAX_HOURS} hours"),
        )
    };
    match text.trim() {
        "" => Ok(MAX_HOURS),
        number => match number.parse().map_err(|_| invalid())? {
            0 => Ok(MAX_HOURS),
            hours if hours <= MAX_HOURS => Ok(hours),
            _ => Err(invalid()),
        },
    }
}

/// `key=value` pairs between semicolons; a backslash takes the next character for itself.
fn context(text: &str) -> Vec<(String, String)> {
    let mut pairs = vec![(String::new(), String::new())];
    let mut in_value = false;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            ';' => {
                pairs.push(Default::default());
                in_value = false;
                continue;
            }
            '=' if !in_value => {
                in_value = true;
                continue;
            }
            '\\' => letters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some((key, value)) = pairs.last_mut() {
            if in_value { value } else { key }.push(letter);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn contexts_are_read_with_their_escapes() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(
            context(r"a_user=alice;a_pw=p\;w\=d\\x=y;a_ttl=60"),
            [
                pair("a_user", "alice"),
                pair("a_pw", r"p;w=d\x=y"),
                pair("a_ttl", "60")
            ]
        );
        assert_eq!(context(""), [pair("", "")]);
        assert_eq!(context(r"=;\"), [pair("", ""), pair(r"\", "")]);
    }

    #[test]
    fn lives_are_bounded() {
        assert_eq!(
            (hours_of("").unwrap(), hours_of(" 0 ").unwrap()),
            (336, 336)
        );
        assert_eq!((hours_of("1").unwrap(), hours_of("336").unwrap()), (1, 336));
        for bad in ["-1", "337", "x", "1.5", "99999999999999"] {
            let failure = hours_of(bad).unwrap_err();
            assert_eq!(failure.code, codes::PAM_AUTH_PASSWORD_INVALID_TTL, "{bad}");
        }
    }
}
