//! Whose an object is. Several files may be meant for one, by rules, by handlers, or by several jobs; an object that was put somewhere
//! else than where its file belongs is therefore claimed, by an AVU that names the file. Who finds the claim of another file leaves the
//! object alone, also where nothing chooses.
//!
//! An object that nobody has claimed is that of the file that belongs there, as it always was. A file that is put there by choice takes it only
//! where it certainly made it, or holds the same. A registered object needs no claim: its physical path says the same, and registering
//! over another path is refused in any case.
//!
//! Claims are added first and read afterwards, so of two who come at the same time at least one sees both; it is that of the first in byte
//! order, and the other one is taken back. Only those whose files are equal can come so far.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use irods_client::connection::Identity;
use irods_client::metadata::{Avu, Entity};
use sha2::{Digest, Sha256};

use super::annotate::add;
use super::{FileAction, patiently};
use crate::context::JobContext;
use crate::error::{EntryError, SyncError};
use crate::naming;
use crate::plan::{Checksums, Operation, Replica, ReplicaStatus, Sameness, sameness};
use crate::signature::Verdict;
use crate::source::Stat;
use crate::zone::Session;

/// The attribute of the AVU.
const ATTRIBUTE: &str = "irods_sync::source";

/// Longest path that is written as it is: values are limited, paths are not.
const MAX_VALUE: usize = 1024;

/// Whose an object is that nobody has claimed.
pub(crate) const BEFORE: &str = "something that was there before";

/// Whether the object is to be claimed at all.
pub(crate) fn is_claimed(action: &FileAction<'_>) -> bool {
    let operation = action.subject.operation;
    let claims = operation.uploads() || operation == Operation::RegisterAsReplicaSync;
    claims
        && action
            .context
            .claims(action.subject.path, action.subject.target)
}

/// Whose an object is, as its AVUs say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    Ours,
    Other(String),
}

impl Owner {
    pub(crate) fn of(avus: &[Avu], path: &[u8]) -> Self {
        let claims = avus.iter().filter(|avu| avu.attribute == ATTRIBUTE);
        match claims.map(|avu| &avu.value).min() {
            None => Owner::Nobody,
            Some(first) if *first == value(path) => Owner::Ours,
            Some(first) => Owner::Other(first.clone()),
        }
    }
}

/// What is known of a file and of an object that is there in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meeting<'a> {
    pub(crate) operation: Operation,
    /// The file belongs there by its name.
    pub(crate) at_home: bool,
    /// How the file compares with what is remembered of it under this very target; new if it may have had another.
    pub(crate) verdict: Verdict,
    /// An attempt whose end nobody knows may have made the object.
    pub(crate) redelivered: bool,
    pub(crate) stat: &'a Stat,
    pub(crate) replicas: &'a [Replica],
    pub(crate) checksums: Checksums,
}

/// How a file stands to an object in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is its own, or becomes so.
    Ours,
    /// It stays as it is, which is what the operation wants; that it is there is no failure.
    LeftAlone,
    /// Comparing checksums will tell.
    CompareChecksums,
    /// It is another one's: whose.
    Taken(String),
}

/// How a file that is put somewhere by choice stands to the object there.
pub(crate) fn stand(owner: Owner, met: &Meeting<'_>) -> Standing {
    let is_good = |replica: &&Replica| replica.status == ReplicaStatus::Good;
    let good = met.replicas.iter().find(is_good);
    match (owner, met.operation) {
        (Owner::Ours, _) => return Standing::Ours,
        (Owner::Other(other), _) => return Standing::Taken(other),
        // What exists is then found, and compared; a difference is told.
        (Owner::Nobody, Operation::Put) if met.at_home || met.redelivered => {
            return Standing::LeftAlone;
        }
        (Owner::Nobody, Operation::Put) => {}
        (Owner::Nobody, Operation::RegisterAsReplicaSync) => return Standing::Ours,
        (Owner::Nobody, _) if met.at_home || met.verdict != Verdict::New => return Standing::Ours,
        (Owner::Nobody, _) => match good.map(|good| sameness(met.stat, good, met.checksums)) {
            None if met.redelivered => return Standing::Ours,
            Some(Sameness::Same) => return Standing::Ours,
            Some(Sameness::Unproven) => return Standing::CompareChecksums,
            Some(Sameness::Different) | None => {}
        },
    }
    Standing::Taken(BEFORE.to_owned())
}

/// The AVUs of an object that is to be written over.
///
/// # Errors
/// It is another file's.
pub(super) async fn check(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<Vec<Avu>, SyncError> {
    let object = Entity::DataObject(action.subject.target);
    let avus = zone.list_avus(object).await?;
    match Owner::of(&avus, action.subject.path) {
        Owner::Other(other) => Err(taken(action, &other)),
        Owner::Nobody | Owner::Ours => Ok(avus),
    }
}

/// Claims the object, where that is done at all.
///
/// # Errors
/// Another file has claimed it.
pub(crate) async fn claim(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    if !is_claimed(action) {
        return Ok(());
    }
    let ours = Avu::new(ATTRIBUTE, value(action.subject.path), "");
    let object = Entity::DataObject(action.subject.target);
    add(zone, object, &ours).await?;
    match check(zone, action).await {
        Ok(_) => Ok(()),
        Err(taken @ SyncError::Entry(_)) => {
            zone.remove_avu(object, &ours).await?;
            Err(taken)
        }
        Err(other) => Err(other),
    }
}

/// The error of who comes to an object that is another file's.
pub(crate) fn taken(action: &FileAction<'_>, by: &str) -> SyncError {
    let (target, of) = (action.subject.target, action.subject.path);
    SyncError::Entry(EntryError::target_taken(target, of, by.as_bytes()))
}

/// Names of claimed data objects of a collection, each with all that its AVUs say.
pub(crate) type Claims = BTreeMap<String, Vec<String>>;

/// The claims of some data objects of a collection: one query. Where other objects have so many that this takes longer than asking
/// for each of these, each is asked for.
pub(crate) async fn claims(
    zone: &mut dyn Session,
    collection: &str,
    objects: &[String],
) -> irods_client::Result<Claims> {
    let wanted: HashSet<&[u8]> = objects.iter().map(|name| name.as_bytes()).collect();
    let mut found = Claims::new();
    let mut pages = 0;
    let mut page = |values: Vec<(bstr::BString, String)>| {
        pages += 1;
        for (name, value) in values {
            if wanted.contains(name.as_slice()) {
                found.entry(name.to_string()).or_default().push(value);
            }
        }
        match pages > objects.len() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    zone.list_values(collection, ATTRIBUTE, &mut page).await?;
    if pages > objects.len() {
        found.clear();
        for name in objects {
            let object = naming::join(collection, name);
            let avus = zone.list_avus(Entity::DataObject(&object)).await?;
            let claims = avus.into_iter().filter(|avu| avu.attribute == ATTRIBUTE);
            let values: Vec<String> = claims.map(|avu| avu.value).collect();
            if !values.is_empty() {
                found.insert(name.clone(), values);
            }
        }
    }
    Ok(found)
}

/// The same in a job, as the user who acts there.
pub(crate) async fn claims_patiently(
    context: &JobContext,
    user: Option<&Identity>,
    collection: &str,
    objects: &[String],
) -> Result<Claims, SyncError> {
    patiently(context, user, |mut zone, _| async move {
        Ok(claims(zone.as_mut(), collection, objects).await?)
    })
    .await
}

/// The names, of which there may be one, under which what is claimed so lies in a directory or below it; none if it lies elsewhere. The
/// directory is given by its absolute path.
pub(crate) fn names_within(directory: &[u8], claim: &str) -> Vec<Vec<u8>> {
    let directory = naming::physical_path(directory);
    let directory = directory.strip_suffix('/').unwrap_or(&directory);
    let below = claim.strip_prefix(directory);
    match below.and_then(|below| below.strip_prefix('/')) {
        Some(below) => naming::source_names(below.split('/').next().unwrap_or(below)),
        None => Vec::new(),
    }
}

/// What the AVU of a file says.
fn value(path: &[u8]) -> String {
    let text = naming::physical_path(path);
    match text.len() > MAX_VALUE {
        false => text,
        true => {
            let digest = Sha256::digest(path);
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}
