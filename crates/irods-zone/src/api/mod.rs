//! The calls that this zone serves, a file a group, and who may make which.
//!
//! A handler takes the session and the request and answers with a reply or a failure; none but that of a write, whose bytes may
//! be on their way, touches the connection. Everything that the catalog decides (who may see, make and remove what)
//! is asked of the catalog under the client user's identity.

mod access;
mod admin;
mod auth;
mod bulk;
mod checksum;
pub(crate) mod close;
mod collection;
mod copy;
mod get;
mod info;
mod io;
mod metadata;
mod modify;
mod open;
mod pam;
mod put;
mod query;
mod register;
mod register_replica;
mod remove_collection;
mod rename;
mod replica;
mod replicate;
mod rsync;
mod stat;
mod ticket;
mod touch;
mod truncate;
mod unlink;
mod user_admin;

use irods_protocol::api::{self, Privilege};
use irods_protocol::{codes, path};

use crate::connection::Connection;
use crate::reply::{Answer, Failure, Request};
use crate::session::Session;
use crate::zone::ZONE_NAME;

/// Checks the privilege, counts the call and runs its handler.
pub(crate) async fn call(session: &mut Session, number: i32, request: Request) -> Answer {
    let zone = std::sync::Arc::clone(&session.zone);
    let known = admit(session, number)?;
    if !request.bytes.is_empty() && !takes_stream(number) {
        return Err(Failure::new(
            codes::SYS_API_INPUT_ERR,
            "this call takes no byte stream",
        ));
    }
    match number {
        api::SSL_START => auth::start_tls(session),
        api::SSL_END => auth::end_tls(session),
        api::AUTH_PLUG_REQ => pam::plugin(session, &request).await,
        api::PAM_AUTH_REQUEST => pam::request(session, &request).await,
        api::AUTH_REQUEST => auth::request(session, &request),
        api::AUTH_RESPONSE => auth::response(session, &request).await,
        api::AUTHENTICATION => auth::framework(session, &request).await,
        api::SWITCH_USER => auth::switch_user(session, &request).await,
        api::GET_TEMP_PASSWORD => auth::temporary_password(session, &request).await,
        api::GET_TEMP_PASSWORD_FOR_OTHER => {
            auth::temporary_password_for_other(session, &request).await
        }
        api::GET_LIMITED_PASSWORD => auth::limited_password(session, &request).await,
        api::OBJ_STAT => stat::obj_stat(session, &request).await,
        api::COLL_CREATE => collection::create(session, &request).await,
        api::MOD_COLL => collection::modify(session, &request).await,
        api::RM_COLL => remove_collection::remove(session, &request).await,
        api::GEN_QUERY => query::general(session, &request).await,
        api::GENQUERY2 => query::text(session, &request).await,
        api::SPECIFIC_QUERY => query::specific(session, &request).await,
        api::PHY_PATH_REG => register::register(session, &request).await,
        api::REGISTER_PHYSICAL_PATH => register::register_and_tell(session, &request).await,
        api::REG_DATA_OBJ => register::register_row(session, &request).await,
        api::DATA_OBJ_CREATE => open::create(session, &request).await,
        api::DATA_OBJ_OPEN => open::open(session, &request).await,
        api::DATA_OBJ_READ => io::read(session, &request).await,
        api::DATA_OBJ_WRITE => io::write(session, &request, None).await,
        api::DATA_OBJ_LSEEK => io::seek(session, &request).await,
        api::DATA_OBJ_CLOSE => close::close(session, &request).await,
        api::OPR_COMPLETE => close::complete(session, &request).await,
        api::DATA_OBJ_PUT => put::put(session, request).await,
        api::BULK_DATA_OBJ_PUT => bulk::put(session, request).await,
        api::BULK_DATA_OBJ_REG => bulk::register(session, &request).await,
        api::DATA_OBJ_RSYNC => rsync::rsync(session, &request).await,
        api::DATA_OBJ_GET => get::get(session, &request).await,
        api::DATA_OBJ_UNLINK => unlink::unlink(session, &request).await,
        api::DATA_OBJ_RENAME => rename::rename(session, &request).await,
        api::DATA_OBJ_COPY => copy::copy(session, &request).await,
        api::DATA_OBJ_REPL => replicate::replicate(session, &request).await,
        api::DATA_OBJ_PHYMV => replicate::move_replica(session, &request).await,
        api::DATA_OBJ_TRIM => replicate::trim(session, &request).await,
        api::DATA_OBJ_CHKSUM => checksum::checksum(session, &request).await,
        api::DATA_OBJ_TRUNCATE => truncate::truncate(session, &request).await,
        api::REPLICA_TRUNCATE => truncate::replica_truncate(session, &request).await,
        api::MOD_DATA_OBJ_META => modify::modify(session, &request).await,
        api::DATA_OBJECT_MODIFY_INFO => modify::modify_info(session, &request).await,
        api::MOD_AVU_METADATA => metadata::modify(session, &request).await,
        api::ATOMIC_APPLY_METADATA_OPERATIONS => metadata::apply_atomic(session, &request).await,
        api::MOD_ACCESS_CONTROL => access::modify(session, &request).await,
        api::ATOMIC_APPLY_ACL_OPERATIONS => access::apply_atomic(session, &request).await,
        api::GET_FILE_DESCRIPTOR_INFO => replica::descriptor_info(session, &request),
        api::REPLICA_OPEN => replica::open(session, &request).await,
        api::REPLICA_CLOSE => replica::close(session, &request).await,
        api::TOUCH => touch::touch(session, &request).await,
        api::GENERAL_ADMIN => admin::general(session, &request).await,
        api::TICKET_ADMIN => ticket::admin(session, &request).await,
        api::USER_ADMIN => user_admin::user_admin(session, &request).await,
        api::GET_MISC_SVR_INFO => info::server(session),
        api::GET_LIBRARY_FEATURES => info::library_features(session),
        api::CLIENT_HINTS => info::client_hints(session),
        api::ZONE_REPORT => info::zone_report(session).await,
        api::GET_HIER_FOR_RESC => info::hierarchy_of_resource(session, &request).await,
        api::GET_HIER_FROM_LEAF_ID => info::hierarchy_of_leaf(session, &request).await,
        api::GET_RESOURCE_INFO_FOR_OPERATION => {
            info::resource_for_operation(session, &request).await
        }
        api::GET_HOST_FOR_PUT | api::GET_HOST_FOR_GET => info::host(session),
        _ => {
            if zone.counters.is_news(number) {
                let name = known.map_or("unknown", |known| known.name);
                tracing::warn!(
                    api = number,
                    name,
                    "asked for a call that this zone does not serve"
                );
            }
            Err(Failure::code(codes::SYS_UNMATCHED_API_NUM))
        }
    }
}

/// `DATA_OBJ_WRITE` whose bytes are, but for those of the request, still on the wire. What it leaves there, the connection throws away.
pub(crate) async fn write_apart(
    session: &mut Session,
    request: Request,
    connection: &mut Connection,
) -> Answer {
    admit(session, api::DATA_OBJ_WRITE)?;
    io::write(session, &request, Some(connection)).await
}

/// Checks the privilege and counts the call.
fn admit(session: &Session, number: i32) -> Result<Option<&'static api::Api>, Failure> {
    let known = api::by_number(number);
    if let Some(known) = known {
        permit(session, known)?;
        session.zone.counters.count(number);
    }
    Ok(known)
}

/// Calls whose requests carry a byte stream.
fn takes_stream(number: i32) -> bool {
    matches!(
        number,
        api::DATA_OBJ_PUT | api::DATA_OBJ_WRITE | api::BULK_DATA_OBJ_PUT
    )
}

fn permit(session: &Session, call: &api::Api) -> Result<(), Failure> {
    let (level, admin) = match &session.login {
        None => (Privilege::None, false),
        Some(login) if login.client.is_rodsadmin() => (Privilege::LocalAdmin, true),
        Some(_) => (Privilege::LocalUser, false),
    };
    if call.privilege > level || (session.is_logged_in() && !call.allowlisted && !admin) {
        return Err(Failure::code(codes::SYS_NO_API_PRIV));
    }
    Ok(())
}

/// A logical path of this zone, without slashes at its end.
///
/// # Errors
/// `USER_INPUT_PATH_ERR` if it is none, `SYS_INVALID_INPUT_PARAM` if it is another zone's (recorded
/// exchange prc_coll_create_errors).
fn collection_path(text: &str) -> Result<String, Failure> {
    let trimmed = text.trim_end_matches('/');
    path::check(trimmed)
        .map_err(|error| Failure::new(codes::USER_INPUT_PATH_ERR, format!("{text:?}: {error}")))?;
    if path::zone(trimmed) != Some(ZONE_NAME) {
        let message =
            format!("a valid zone name does not appear at the root of the object path [{text}]");
        return Err(Failure::new(codes::SYS_INVALID_INPUT_PARAM, message));
    }
    Ok(trimmed.to_owned())
}

/// The same for a data object, whose path ends with its name.
fn object_path(text: &str) -> Result<String, Failure> {
    if !text.starts_with('/') {
        return Err(Failure::new(
            codes::SYS_INVALID_FILE_PATH,
            format!("{text:?} is not absolute"),
        ));
    }
    if text.ends_with('/') {
        return Err(Failure::new(
            codes::USER_INPUT_PATH_ERR,
            format!("{text:?} ends with /"),
        ));
    }
    collection_path(text)
}

/// Runs work that blocks away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "file work panicked");
        Failure::code(codes::SYS_INTERNAL_ERR)
    })
}
