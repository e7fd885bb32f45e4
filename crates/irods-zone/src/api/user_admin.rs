//! `USER_ADMIN`: one's own password, and what group administrators do.

use irods_protocol::auth::scramble;
use irods_protocol::codes;
use irods_protocol::message::UserAdminInp;

use super::admin::new_password;
use crate::catalog::users::{self, UserChange};
use crate::catalog::{CatalogError, Connection, UserType};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::{Login, Session};

/// `USER_ADMIN`.
pub(super) async fn user_admin(session: &mut Session, request: &Request) -> Answer {
    let input: UserAdminInp = request.input()?;
    let args = [
        input.arg0, input.arg1, input.arg2, input.arg3, input.arg4, input.arg5,
    ]
    .map(Option::unwrap_or_default);
    let login = session
        .login
        .clone()
        .ok_or(Failure::code(codes::SYS_NO_API_PRIV))?;
    session
        .catalog()
        .write(move |conn| run(conn, &login, &args))
        .await?;
    Ok(Reply::done())
}

fn run(conn: &Connection, login: &Login, args: &[String; 6]) -> Result<(), CatalogError> {
    let who = &login.client;
    let [verb, a1, a2, a3, a4, a5] = args.each_ref().map(String::as_str);
    match (verb, a1, a2) {
        ("userpw", user, "password") => {
            let (name, zone) = users::split_name(user);
            if name != who.name || !(zone.is_empty() || zone == who.zone) {
                return Err(CatalogError::new(
                    codes::CAT_INVALID_USER,
                    "everybody changes his own password",
                ));
            }
            let change = UserChange::Password(new_password(login, a3)?);
            users::modify(conn, who, name, zone, &change)
        }
        ("mkuser", user, password) => {
            let (name, zone) = users::split_name(user);
            let id = users::add_user(conn, who, name, zone, UserType::RodsUser, "")?;
            if password.is_empty() {
                return Ok(());
            }
            let clear = scramble::read_initial_password(password, &login.password)
                .map_err(|error| CatalogError::new(error.code(), error.to_string()))?;
            users::set_password(conn, id, &clear)
        }
        ("mkgroup", group, _) => users::add_group(conn, who, group).map(drop),
        ("modify", "group", group) => match a3 {
            "add" => users::add_member(conn, who, group, a4, a5),
            "remove" => users::remove_member(conn, who, group, a4, a5),
            other => Err(CatalogError::new(
                codes::CAT_INVALID_ARGUMENT,
                format!("a group has no {other:?}"),
            )),
        },
        _ => Err(CatalogError::new(
            codes::CAT_INVALID_ARGUMENT,
            format!("cannot {verb} {a1}"),
        )),
    }
}
