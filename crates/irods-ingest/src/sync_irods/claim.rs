//! Whose an object is. Several files may be meant for one, by rules, by handlers, or by several jobs; an object that was put somewhere
//! else than where its file belongs is therefore claimed, by an AVU that names the file. Who finds the claim of another file leaves the
//! object alone, also where nothing chooses.
//!
//! An object that nobody has claimed is that of the file that belongs there, as it always was. A file that is put there by choice does not
//! take it, whatever it holds: what it uploads itself has its claim from the first byte on, so what has none was not made by it. Only
//! what is not good may be left of an attempt that died when it had just begun. A registered object needs no claim: its physical path says the same, and registering
//! over another path is refused in any case.
//!
//! Of two who claim an object at the same time at most one gets it. A claim is added first; whoever then finds it the only one has the object. Of two
//! who find both, the second in byte order takes its own back; the first waits until it has done so, and takes back its own if it does not, since
//! then it came too late.

use irods_client::metadata::{Avu, Entity};
use sha2::{Digest, Sha256};

use super::FileAction;
use super::annotate::add;
use crate::error::{EntryError, SyncError};
use crate::naming;
use crate::patience::Backoff;
use crate::plan::{Operation, Replica, ReplicaStatus};
use crate::zone::Session;

/// The attribute of the AVU.
pub(super) const ATTRIBUTE: &str = "irods_sync::source";

/// Longest path that is written as it is: values are limited, paths are not.
const MAX_VALUE: usize = 1024;

/// So often is it looked whether the other claim has gone, with ever longer pauses: for some 5 s.
const LOOKS: u32 = 6;

/// Whether the object is to be claimed at all.
pub(crate) fn is_claimed(action: &FileAction<'_>) -> bool {
    let operation = action.subject.operation;
    let claims = operation.uploads() || operation == Operation::RegisterAsReplicaSync;
    claims
        && action
            .context
            .claims(action.subject.path, action.subject.target)
}

/// The AVU that an object of the file gets.
pub(super) fn claim_of(action: &FileAction<'_>) -> Avu {
    Avu::new(ATTRIBUTE, value(action.subject.path), "")
}

/// Whose an object is, as its AVUs say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    /// The file's own, as far as it has settled that with others who came at the same time.
    Ours,
    Other(String),
}

impl Owner {
    pub(crate) fn of(avus: &[Avu], path: &[u8]) -> Self {
        match Said::by(avus, &value(path)) {
            Said { ours: true, .. } => Owner::Ours,
            Said { other: None, .. } => Owner::Nobody,
            Said {
                other: Some(other), ..
            } => Owner::Other(other.to_owned()),
        }
    }
}

/// What the claims of an object say.
struct Said<'a> {
    ours: bool,
    /// The first of the others.
    other: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn by(avus: &'a [Avu], ours: &str) -> Self {
        let claims = avus.iter().filter(|avu| avu.attribute == ATTRIBUTE);
        let (own, others): (Vec<&str>, Vec<&str>) = claims
            .map(|avu| avu.value.as_str())
            .partition(|value| *value == ours);
        Said {
            ours: !own.is_empty(),
            other: others.into_iter().min(),
        }
    }
}

/// Who has an object that is not this file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    File(String),
    /// Nobody says.
    Unknown,
}

/// What is known of a file and of an object that is there in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meeting<'a> {
    pub(crate) operation: Operation,
    /// The file belongs there by its name.
    pub(crate) at_home: bool,
    /// An attempt whose end nobody knows may have made the object.
    pub(crate) redelivered: bool,
    pub(crate) replicas: &'a [Replica],
}

/// How a file stands to an object in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is its own, or becomes so.
    Ours,
    /// It stays as it is and is not claimed: since the operation wants that, or since somebody is writing it.
    LeftAlone,
    /// It is another one's.
    Taken(Holder),
}

/// How a file that is put somewhere by choice stands to the object there.
pub(crate) fn stand(owner: Owner, met: &Meeting<'_>) -> Standing {
    let any = |found: fn(ReplicaStatus) -> bool| met.replicas.iter().any(|r| found(r.status));
    let in_flight = any(|s| matches!(s, ReplicaStatus::Intermediate | ReplicaStatus::Locked));
    let good = any(|status| status == ReplicaStatus::Good);
    match (owner, met.operation) {
        (Owner::Ours, _) => Standing::Ours,
        (Owner::Other(other), _) => Standing::Taken(Holder::File(other)),
        (Owner::Nobody, _) if in_flight => Standing::LeftAlone,
        (Owner::Nobody, Operation::RegisterAsReplicaSync) => Standing::Ours,
        // What exists is then found, and compared; a difference is told.
        (Owner::Nobody, Operation::Put) if met.at_home => Standing::LeftAlone,
        (Owner::Nobody, _) if met.at_home || met.redelivered && !good => Standing::Ours,
        (Owner::Nobody, _) => Standing::Taken(Holder::Unknown),
    }
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
        Owner::Other(other) => Err(taken_by(action, Holder::File(other))),
        Owner::Nobody | Owner::Ours => Ok(avus),
    }
}

/// Claims the object, where that is done at all. `have` are its AVUs, if they are known.
///
/// # Errors
/// Another file has claimed it.
pub(crate) async fn claim(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    have: Option<Vec<Avu>>,
) -> Result<(), SyncError> {
    if !is_claimed(action) {
        return Ok(());
    }
    let ours = claim_of(action);
    let object = Entity::DataObject(action.subject.target);
    let mut avus = match have {
        Some(avus) => avus,
        None => zone.list_avus(object).await?,
    };
    let mut added = false;
    let (mut looks, mut pause) = (0, Backoff::new());
    loop {
        let Said {
            ours: claimed,
            other,
        } = Said::by(&avus, &ours.value);
        match (claimed, other) {
            (true, None) => return Ok(()),
            (false, None) if added => return Ok(()),
            (false, None) => {
                add(zone, object, &ours).await?;
                added = true;
            }
            (true, Some(other)) if ours.value.as_str() < other && looks < LOOKS => {
                looks += 1;
                pause.wait().await;
            }
            (claimed, Some(other)) => {
                if claimed {
                    zone.remove_avu(object, &ours).await?;
                }
                return Err(taken_by(action, Holder::File(other.to_owned())));
            }
        }
        avus = zone.list_avus(object).await?;
    }
}

fn taken_by(action: &FileAction<'_>, by: Holder) -> SyncError {
    SyncError::Entry(taken(action.subject.target, action.subject.path, &by))
}

/// The error of who comes to an object that is another one's.
pub(crate) fn taken(target: &str, path: &[u8], by: &Holder) -> EntryError {
    match by {
        Holder::File(other) => EntryError::target_taken(target, path, other.as_bytes()),
        Holder::Unknown => EntryError::target_unclaimed(target, path, (ATTRIBUTE, &value(path))),
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
