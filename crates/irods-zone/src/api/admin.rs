//! `GENERAL_ADMIN`: what `iadmin` does. A verb, a noun, and what they take.

use irods_protocol::auth::scramble;
use irods_protocol::codes;
use irods_protocol::message::GeneralAdminInp;

use crate::catalog::resources::{self, NewResource, ResourceField};
use crate::catalog::users::{self, UserChange};
use crate::catalog::zones::{self, ZoneField};
use crate::catalog::{
    CatalogError, Connection, Identity, UserType, collections, metadata, quotas, specific, tokens,
};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::{Login, Session};

/// `GENERAL_ADMIN`.
pub(super) async fn general(session: &mut Session, request: &Request) -> Answer {
    let input: GeneralAdminInp = request.input()?;
    let args = [
        input.arg0, input.arg1, input.arg2, input.arg3, input.arg4, input.arg5, input.arg6,
        input.arg7, input.arg8, input.arg9,
    ]
    .map(Option::unwrap_or_default);
    let login = session
        .login
        .clone()
        .ok_or(Failure::code(codes::SYS_NO_API_PRIV))?;
    let note = note(&args);
    let done = session
        .catalog()
        .write(move |conn| run(conn, &login, &args))
        .await;
    match (done, note) {
        (Ok(()), Some((status, text))) => Ok(Reply::done().note(status, text)),
        (Ok(()), None) => Ok(Reply::done()),
        (Err(error), _) => Err(error.into()),
    }
}

/// Status of an entry of the error stack that clients print as it is.
const FOR_STDOUT: i32 = 1_000_000;

/// What a call that succeeds says (recorded exchange icmd_iadmin).
fn note(args: &[String; 10]) -> Option<(i32, String)> {
    let [verb, noun, _, _, place, ..] = args;
    match (verb.as_str(), noun.as_str()) {
        ("lt", "resc_type") => {
            let names = tokens::RESOURCE_TYPES.iter();
            let lines: String = names.map(|(name, _)| format!("{name}\n")).collect();
            Some((FOR_STDOUT, lines))
        }
        ("add", "resource") if place.split(':').next() == Some("localhost") => Some((
            0,
            "Warning, resource host address 'localhost' will not work properly as it maps to the local host from each \
             client."
                .to_owned(),
        )),
        _ => None,
    }
}

fn invalid(message: impl Into<String>) -> CatalogError {
    CatalogError::new(codes::CAT_INVALID_ARGUMENT, message)
}

fn run(conn: &Connection, login: &Login, args: &[String; 10]) -> Result<(), CatalogError> {
    let who = &login.client;
    let arg = |n: usize| args.get(n).map_or("", String::as_str);
    match (arg(0), arg(1)) {
        ("add", "user") => {
            let (name, zone) = user_and_zone(arg(2), arg(4));
            let user_type = UserType::parse(arg(3))?;
            if user_type == UserType::RodsGroup {
                return Err(CatalogError::new(
                    codes::CAT_INVALID_USER_TYPE,
                    "groups are made by: add group",
                ));
            }
            users::add_user(conn, who, name, zone, user_type, arg(5)).map(drop)
        }
        ("add", "group") => users::add_group(conn, who, arg(2)).map(drop),
        ("add", "resource") => add_resource(conn, who, args),
        ("add", "childtoresc") => resources::add_child(conn, who, arg(2), arg(3), arg(4)),
        ("add", "zone") => zones::add(conn, who, arg(2), arg(3), arg(4), arg(5)).map(drop),
        ("add", "token") => tokens::add(conn, arg(2), arg(3), arg(4)),
        ("add", "dir") => {
            let (name, zone) = users::split_name(arg(3));
            let owner = if name.is_empty() {
                who.clone()
            } else {
                users::identity(conn, name, zone)?
            };
            collections::create_for(conn, &owner, arg(2)).map(drop)
        }
        ("add", "specificQuery") => specific::add(conn, who, arg(2), arg(3)),
        ("modify", "user") => modify_user(conn, login, args),
        ("modify", "group") => match arg(3) {
            "add" => {
                let (name, zone) = user_and_zone(arg(4), arg(5));
                users::add_member(conn, who, arg(2), name, zone)
            }
            "remove" => {
                let (name, zone) = user_and_zone(arg(4), arg(5));
                users::remove_member(conn, who, arg(2), name, zone)
            }
            other => Err(invalid(format!("a group has no {other:?}"))),
        },
        ("modify", "resource") => match arg(3) {
            // Replicas of a coordinating resource are brought in order elsewhere.
            "rebalance" => resources::get(conn, arg(2)).map(drop),
            option => resources::modify(conn, who, arg(2), ResourceField::parse(option)?, arg(4)),
        },
        ("modify", "resourcedatapaths") => {
            resources::modify_data_paths(conn, who, arg(2), arg(3), arg(4)).map(drop)
        }
        ("modify", "zone") => match arg(3) {
            "conn" => zones::modify(conn, who, arg(2), ZoneField::Connection, arg(4)),
            "comment" => zones::modify(conn, who, arg(2), ZoneField::Comment, arg(4)),
            other => Err(invalid(format!("a zone's {other:?} cannot be changed"))),
        },
        ("set-quota", "group") => {
            let bytes = arg(4).parse().ok().filter(|&bytes| bytes >= 0);
            let bytes =
                bytes.ok_or_else(|| invalid(format!("no number of bytes: {:?}", arg(4))))?;
            quotas::set_limit(conn, who, arg(2), arg(3), bytes)
        }
        ("calculate-usage", _) => quotas::calculate(conn, who),
        ("lt", "resc_type") => Ok(()),
        ("rm", "user" | "group") => {
            let (name, zone) = user_and_zone(arg(2), arg(3));
            users::remove(conn, who, name, zone)
        }
        ("rm", "resource") => resources::remove(conn, who, arg(2), arg(3) == "--dryrun"),
        ("rm", "childfromresc") => resources::remove_child(conn, who, arg(2), arg(3)),
        ("rm", "zone") => zones::remove(conn, who, arg(2)),
        ("rm", "token") => tokens::remove(conn, arg(2), arg(3)),
        ("rm", "dir") => collections::remove_empty(conn, &who.in_admin_mode()?, arg(2)),
        ("rm", "specificQuery") => specific::remove(conn, who, arg(2)),
        ("rm", "unusedAVUs") => metadata::remove_unused(conn, who).map(drop),
        (verb, noun) => Err(invalid(format!("cannot {verb} {noun}"))),
    }
}

/// A user's name and zone; the zone may be part of the name or given beside it.
fn user_and_zone<'a>(name: &'a str, zone: &'a str) -> (&'a str, &'a str) {
    match users::split_name(name) {
        (name, "") => (name, zone),
        pair => pair,
    }
}

/// The place of a resource is `host:path`.
fn add_resource(
    conn: &Connection,
    who: &Identity,
    args: &[String; 10],
) -> Result<(), CatalogError> {
    let [_, _, name, resc_type, place, context, ..] = args;
    let (host, vault_path) = place.split_once(':').unwrap_or((place, ""));
    let stores = tokens::RESOURCE_TYPES
        .iter()
        .any(|(known, stores)| *stores && known == resc_type);
    if stores && !crate::vault::is_plain(vault_path) {
        return Err(invalid(format!(
            "the vault of {name} must be an absolute path without . and .."
        )));
    }
    let new = NewResource {
        name: name.clone(),
        resc_type: resc_type.clone(),
        host: host.to_owned(),
        vault_path: vault_path.to_owned(),
        context: context.clone(),
    };
    resources::add(conn, who, &new).map(drop)
}

fn modify_user(conn: &Connection, login: &Login, args: &[String; 10]) -> Result<(), CatalogError> {
    let [_, _, name, option, value, more, ..] = args;
    let (user, zone) = users::split_name(name);
    let change = match option.as_str() {
        "type" => UserChange::Type(UserType::parse(value)?),
        "comment" => UserChange::Comment(value.clone()),
        "info" => UserChange::Info(value.clone()),
        "addAuth" => UserChange::AddAuth(value.clone()),
        "rmAuth" => UserChange::RemoveAuth(value.clone()),
        "password" if more == "no-scramble" => UserChange::Password(value.clone()),
        "password" => UserChange::Password(new_password(login, value)?),
        other => return Err(invalid(format!("a user's {other:?} cannot be changed"))),
    };
    users::modify(conn, &login.client, user, zone, &change)
}

/// The clear text of a new password as it is sent: scrambled with the password of who sends it.
pub(super) fn new_password(login: &Login, scrambled: &str) -> Result<String, CatalogError> {
    scramble::read_new_password(scrambled, &login.password, login.challenge.as_bytes())
        .map_err(|error| CatalogError::new(error.code(), error.to_string()))
}
