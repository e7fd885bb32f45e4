//! `MOD_ACCESS_CONTROL` and `ATOMIC_APPLY_ACL_OPERATIONS`.

use irods_protocol::codes;
use irods_protocol::message::ModAccessControlInp;
use serde::Deserialize;
use serde_json::json;

use super::metadata::refused;
use super::replica::{json_input, json_reply};
use crate::catalog::access::{self, Change, Level};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// `MOD_ACCESS_CONTROL`; the level may be prefixed by `admin:`.
pub(super) async fn modify(session: &mut Session, request: &Request) -> Answer {
    let input: ModAccessControlInp = request.input()?;
    let level = input.access_level.unwrap_or_default();
    let (admin, level) = match level.strip_prefix("admin:") {
        Some(level) => (true, level),
        None => (false, level.as_str()),
    };
    if level.starts_with("resource:") {
        return Err(Failure::new(
            codes::SYS_NOT_SUPPORTED,
            "permissions of resources are not served",
        ));
    }
    let mut who = session.user()?;
    if admin {
        who = who.in_admin_mode()?;
    }
    let change = change(
        level,
        input.user_name.unwrap_or_default(),
        input.zone.unwrap_or_default(),
    )?;
    let path = input.path.unwrap_or_default();
    let recursive = input.recursive_flag != 0;
    session
        .catalog()
        .write(move |conn| access::modify(conn, &who, &path, &change, recursive))
        .await?;
    Ok(Reply::done())
}

fn change(level: &str, user: String, zone: String) -> Result<Change, Failure> {
    Ok(match level {
        "inherit" => Change::Inherit,
        "noinherit" => Change::NoInherit,
        level => Change::Grant {
            user,
            zone,
            level: Level::parse(level)?,
        },
    })
}

#[derive(Deserialize)]
struct AtomicInput {
    #[serde(default)]
    admin_mode: bool,
    logical_path: String,
    operations: Vec<AtomicOperation>,
}

#[derive(Deserialize)]
struct AtomicOperation {
    entity_name: String,
    acl: String,
    #[serde(default)]
    zone: Option<String>,
}

impl AtomicOperation {
    /// As it was sent.
    fn as_json(&self) -> serde_json::Value {
        let mut sent = json!({ "acl": self.acl, "entity_name": self.entity_name });
        if let (Some(zone), Some(members)) = (&self.zone, sent.as_object_mut()) {
            members.insert("zone".to_owned(), json!(zone));
        }
        sent
    }
}

/// `ATOMIC_APPLY_ACL_OPERATIONS`: all or nothing.
pub(super) async fn apply_atomic(session: &mut Session, request: &Request) -> Answer {
    let input: AtomicInput = match json_input(request) {
        Ok(input) => input,
        Err(failure) => {
            let failure = Failure::new(codes::SYS_INVALID_INPUT_PARAM, failure.message);
            return refused(request, None, failure);
        }
    };
    let mut who = session.user()?;
    if input.admin_mode {
        who = who.in_admin_mode()?;
    }
    let mut changes = Vec::with_capacity(input.operations.len());
    for (index, operation) in input.operations.iter().enumerate() {
        let zone = operation.zone.clone().unwrap_or_default();
        match change(&operation.acl, operation.entity_name.clone(), zone) {
            Ok(change) => changes.push(change),
            Err(_) => {
                let message = format!("Invalid ACL [acl={}]", operation.acl);
                let failure = Failure::new(codes::SYS_INVALID_INPUT_PARAM, message);
                return refused(request, Some((index, operation.as_json())), failure);
            }
        }
    }
    let path = input.logical_path;
    let outcome = session
        .catalog()
        .write(move |conn| {
            access::apply_all(conn, &who, &path, &changes).map_err(|(index, mut error)| {
                error.message = format!("{index}\n{}", error.message);
                error
            })
        })
        .await;
    match outcome {
        Ok(()) => json_reply(request, &json!({})),
        Err(error) => {
            let (index, message) = error
                .message
                .split_once('\n')
                .unwrap_or(("0", &error.message));
            let at = index.parse::<usize>().unwrap_or(0);
            let operation = input.operations.get(at).map(|o| (at, o.as_json()));
            // Codes of a 5.0.90 server (recorded exchange raw_atomic_acl).
            let (operation, code) = match error.code {
                codes::CAT_INVALID_ARGUMENT => (None, codes::OBJ_PATH_DOES_NOT_EXIST),
                codes::CAT_INVALID_USER => (operation, codes::SYS_INVALID_INPUT_PARAM),
                code => (operation, code),
            };
            refused(request, operation, Failure::new(code, message))
        }
    }
}
