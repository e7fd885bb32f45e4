//! What a handler in Python chooses for entries: one message for all that are asked for, and one for each answer.

use std::collections::BTreeSet;

use irods_client::connection::Identity;
use irods_client::metadata::Avu;
use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::host::HostError;
use super::{Handler, meta};
use crate::core::choice::{Candidate, Choice, Chooses, ChosenAvu, Targets};
use crate::naming;
use crate::plan::{DeleteMode, Operation};

/// What may be chosen, if anything is.
pub(super) fn chooses(handler: &Handler) -> Option<Chooses> {
    if handler.chooses.is_empty() && !handler.places_files {
        return None;
    }
    Some(Chooses {
        targets: match handler.chooses.contains(CHARACTER_MAP) {
            _ if handler.places_files => Targets::Anywhere,
            true => Targets::Names,
            false => Targets::Own,
        },
        users: handler.chooses_users(),
        // A mapped name has an AVU that says so.
        claims: false,
        digest: xxh3_64(handler.text.as_bytes()),
    })
}

const CHARACTER_MAP: &str = "character_map";

/// The question.
pub(super) fn request(handler: &Handler, asked: &[Candidate<'_>]) -> Value {
    let entries: Vec<Value> = asked.iter().map(meta::candidate).collect();
    let names: &BTreeSet<String> = &handler.chooses;
    json!({ "choose": entries, "names": names })
}

/// What was chosen for one entry; a setting that was not asked for has no field.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    operation: Option<Operation>,
    delete_mode: Option<DeleteMode>,
    #[serde(deserialize_with = "crate::core::changes::given")]
    to_resource: Option<Option<String>>,
    target_path: Option<String>,
    /// Zone and user.
    as_user: Option<(String, String)>,
    max_retries: Option<u32>,
    delay: Option<u64>,
    timeout: Option<u64>,
    name: Option<String>,
    /// Of a file that has, or is below what has, another name: its path in base64.
    mapped_from: Option<String>,
    skip: Option<String>,
    wrong: Option<String>,
}

/// The answer for one entry.
pub(super) fn choice(
    handler: &Handler,
    entry: &Candidate<'_>,
    answer: Value,
) -> Result<Choice, HostError> {
    let answer: Answer = serde_json::from_value(answer).map_err(|_| HostError::Nonsense)?;
    Ok(Choice {
        operation: answer.operation,
        delete_mode: answer.delete_mode,
        resource: answer.to_resource,
        target: answer.name.map(|name| match entry.target.rsplit_once('/') {
            Some((collection, _)) => naming::join(collection, &name),
            None => name,
        }),
        physical_path: answer.target_path,
        user: answer.as_user.map(|(zone, user)| Identity { user, zone }),
        max_retries: answer.max_retries,
        delay: answer.delay,
        timeout: answer.timeout,
        avus: answer.mapped_from.map(mapped_avu).into_iter().collect(),
        skip: answer.skip,
        chosen_by: Some(handler.path.clone()),
        wrong: answer.wrong,
        ..Choice::default()
    })
}

/// The AVU that keeps the true path of a data object whose name, or that of a collection above it, was mapped, as existing
/// catalogs have it.
fn mapped_avu(value: String) -> ChosenAvu {
    ChosenAvu {
        avu: Avu::new(
            "irods::automated_ingest::character_map",
            value,
            "python3.base64.b64encode(full_path_of_source_file)",
        ),
        replaces: false,
    }
}
