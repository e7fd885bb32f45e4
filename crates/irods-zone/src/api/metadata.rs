//! `MOD_AVU_METADATA` and `ATOMIC_APPLY_METADATA_OPERATIONS`.

use irods_protocol::codes;
use irods_protocol::message::ModAvuMetadataInp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::replica::{json_input, json_reply};
use crate::catalog::metadata::{self, Avu, EntityKind, Operation};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// `MOD_AVU_METADATA`.
pub(super) async fn modify(session: &mut Session, request: &Request) -> Answer {
    let input: ModAvuMetadataInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let args = [
        input.arg0, input.arg1, input.arg2, input.arg3, input.arg4, input.arg5, input.arg6,
        input.arg7, input.arg8, input.arg9,
    ]
    .map(Option::unwrap_or_default);
    session
        .catalog()
        .write(move |conn| {
            let [operation, kind, name, a3, a4, a5, rest @ ..] = args;
            let kind = EntityKind::parse(&kind)?;
            let avu = Avu {
                attribute: a3.clone(),
                value: a4.clone(),
                units: a5.clone(),
            };
            match operation.as_str() {
                "add" | "adda" => metadata::add(conn, &who, kind, &name, &avu),
                "set" => metadata::set(conn, &who, kind, &name, &avu),
                "rm" => metadata::remove(conn, &who, kind, &name, &avu),
                "rmw" => metadata::remove_matching(conn, &who, kind, &name, &avu),
                "rmi" => {
                    let id = a3.parse().map_err(|_| invalid("an AVU's id is a number"))?;
                    metadata::remove_by_id(conn, &who, kind, &name, id)
                }
                "cp" => {
                    // arg2 is the other kind, then come both names.
                    let other = EntityKind::parse(&name)?;
                    metadata::copy(conn, &who, (kind, &a3), (other, &a4))
                }
                "mod" => {
                    let (old, new) = changed(avu, &a5, &rest)?;
                    metadata::modify(conn, &who, kind, &name, &old, &new)
                }
                other => Err(invalid(&format!("no such operation: {other:?}"))),
            }
        })
        .await?;
    Ok(Reply::done())
}

fn invalid(message: &str) -> crate::catalog::CatalogError {
    crate::catalog::CatalogError::new(codes::CAT_INVALID_ARGUMENT, message)
}

/// Old and new AVU of `mod`: the old units are optional, the rest are `n:`, `v:` and `u:` parts.
fn changed(given: Avu, fifth: &str, rest: &[String]) -> crate::catalog::Result<(Avu, Avu)> {
    let is_part = |text: &str| {
        ["n:", "v:", "u:"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
    };
    let mut old = given;
    let mut parts: Vec<&str> = rest
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    if is_part(fifth) {
        old.units = String::new();
        parts.insert(0, fifth);
    }
    let mut new = old.clone();
    for part in parts {
        match part.split_at_checked(2) {
            Some(("n:", name)) => new.attribute = name.to_owned(),
            Some(("v:", value)) => new.value = value.to_owned(),
            Some(("u:", units)) => new.units = units.to_owned(),
            _ => return Err(invalid(&format!("{part:?} is not n:, v: or u:"))),
        }
    }
    Ok((old, new))
}

#[derive(Deserialize)]
struct AtomicInput {
    #[serde(default)]
    admin_mode: bool,
    entity_name: String,
    entity_type: String,
    operations: Vec<AtomicOperation>,
}

#[derive(Deserialize)]
struct AtomicOperation {
    operation: String,
    attribute: String,
    value: String,
    #[serde(default)]
    units: String,
}

/// `ATOMIC_APPLY_METADATA_OPERATIONS`: all or nothing. A failure is answered with a text that names
/// the operation (recorded exchange prc_avu_atomic).
pub(super) async fn apply_atomic(session: &mut Session, request: &Request) -> Answer {
    let input: AtomicInput = json_input(request)?;
    let mut who = session.user()?;
    if input.admin_mode {
        who = who.in_admin_mode()?;
    }
    let kind = EntityKind::parse(&input.entity_type)?;
    let mut operations = Vec::with_capacity(input.operations.len());
    for (index, operation) in input.operations.iter().enumerate() {
        let avu = Avu {
            attribute: operation.attribute.clone(),
            value: operation.value.clone(),
            units: operation.units.clone(),
        };
        operations.push(match operation.operation.as_str() {
            "add" => Operation::Add(avu),
            "remove" => Operation::Remove(avu),
            other => {
                let failure = Failure::new(
                    codes::SYS_INVALID_INPUT_PARAM,
                    format!("Invalid metadata operation {other:?}"),
                );
                return refused(request, Some((index, json!(other))), failure);
            }
        });
    }
    let name = input.entity_name.clone();
    let outcome = session
        .catalog()
        .write(move |conn| {
            // The failure has to undo the work and still say which operation it was.
            metadata::apply_atomic(conn, &who, kind, &name, &operations).map_err(
                |(index, mut error)| {
                    error.message =
                        format!("{}\n{}", index.map_or(-1, |i| i as i64), error.message);
                    error
                },
            )
        })
        .await;
    match outcome {
        Ok(()) => json_reply(request, &json!({})),
        Err(error) => {
            let (index, message) = error
                .message
                .split_once('\n')
                .unwrap_or(("-1", &error.message));
            let at = index.parse::<usize>().ok();
            let named = at.and_then(|at| Some((at, json!(input.operations.get(at)?.operation))));
            let missing = [
                codes::CAT_UNKNOWN_FILE,
                codes::CAT_UNKNOWN_COLLECTION,
                codes::CAT_NO_ROWS_FOUND,
            ];
            let failure = match named {
                None if missing.contains(&error.code) => Failure::new(
                    codes::SYS_INVALID_INPUT_PARAM,
                    format!("Entity does not exist [entity_name={}]", input.entity_name),
                ),
                _ => Failure::new(error.code, message),
            };
            refused(request, named, failure)
        }
    }
}

/// The answer to operations that were not applied.
pub(super) fn refused(
    request: &Request,
    operation: Option<(usize, Value)>,
    failure: Failure,
) -> Answer {
    let (index, operation) = operation.map_or((0, Value::Null), |(index, text)| (index, text));
    let text = json!({
        "error_message": failure.message,
        "operation": operation,
        "operation_index": index,
    });
    Ok(json_reply(request, &text)?.result(failure.code))
}
