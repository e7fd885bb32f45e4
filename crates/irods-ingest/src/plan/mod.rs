//! The decision: entry + what is remembered + catalog state + options -> [`Decision`]. Pure, no I/O.
//!
//! [`decide_file`] and [`decide_directory`] are the only places where it is decided what happens to an entry; what acts and
//! what only prints both call them; [`table`] prints them as Markdown. The rules:
//!
//! - *Optimistic.* With the catalog [`Unknown`](CatalogState::Unknown) the plan takes the likely case, where the
//!   operation's own error says otherwise. When the zone then says that the name exists (or does not), the
//!   executor looks and decides again with the known state. [`Decision::Look`] is for where no such error would come: the
//!   choice among replicas, changes that call no operation, uploads over what is there, hooks (which run before the operation), and entries whose
//!   last attempt may have been done.
//! - *PUT never overwrites* an object that has a good replica; no operation touches a replica that is locked.
//! - *Nothing is uploaded over its own source*: an object that is registered from the file, under whatever name, is refused.
//! - *An interrupted upload*, an object without a good replica, is uploaded again as a whole. An intermediate
//!   replica may have a live writer: only a redelivered entry, whose own last attempt may be that writer, replaces it.
//! - *Redelivery.* An object that equals what would have been made is finished as create: its hooks run, nothing is sent.
//!   If the scan saw it before the first attempt, it is a modification, and is done once more.
//! - *Unproven equality is inequality*: see [`sameness`].
//! - A metadata change (only ctime moved) never updates the catalog: it fires the modify hooks, or creates what is missing.
//! - PUT_APPEND trusts, as it always did, that the object is a prefix of the file. It checks what it can: a file that is
//!   shorter than the object is refused, and so is one of equal size and another checksum.

use crate::signature::Verdict;
use crate::source::{EntryKind, Stat};

pub mod compare;
mod decision;
mod facts;
pub mod guard;
mod operation;
pub mod table;

pub use decision::{Decision, Effect, Event, Reason, Refusal};
pub use facts::{
    CatalogState, Checksums, DirectoryFacts, FileFacts, Options, Replica, ReplicaStatus,
};
pub use operation::{DeleteMode, Incompatible, Operation, UnknownName, check_compatible};

/// Both times of a file must precede the object's by this many seconds to prove that the file did not change since
/// it was uploaded: clocks of sources and zones differ.
pub const CLOCK_MARGIN_SECONDS: i64 = 300;

use Decision::{Act, CompareChecksums, Look, Refuse, Skip};
use Event::{Create, Modify};

/// What is to happen to an entry that is not a directory.
pub fn decide_file(facts: &FileFacts<'_>) -> Decision {
    let verdict = match effective_verdict(facts.verdict, facts.options) {
        Verdict::Unchanged => return Skip(Reason::Unchanged),
        verdict => verdict,
    };
    let kind = facts.stat.kind;
    if facts.operation.uploads() && !matches!(kind, EntryKind::Regular | EntryKind::Symlink) {
        return Refuse(Refusal::NotUploadable(kind));
    }
    match facts.catalog {
        CatalogState::Collection => Refuse(Refusal::FileOverCollection),
        CatalogState::Absent => make(facts.operation, facts.options),
        CatalogState::Unknown => guess(facts, verdict),
        CatalogState::DataObject(replicas) => {
            // It exists, so `--ignore_cache` makes it changed; unless the last attempt may have made it.
            let verdict = match facts.options.ignore_cache && !facts.options.may_have_made_it() {
                true => Verdict::DataChanged,
                false => verdict,
            };
            match facts.operation {
                Operation::NoOp => no_op(facts.options, event_of_existing(facts.options, verdict)),
                Operation::RegisterSync => register_existing(facts, verdict, replicas),
                Operation::RegisterAsReplicaSync => replica_of_existing(facts, verdict, replicas),
                Operation::Put | Operation::PutSync | Operation::PutAppend => {
                    match put_existing(facts, verdict, replicas) {
                        Decision::Act {
                            effect: Effect::PutOver | Effect::Append { .. },
                            ..
                        } if is_own_source(facts, replicas) => Refuse(Refusal::OwnSource),
                        decision => decision,
                    }
                }
            }
        }
    }
}

/// What is to happen to a directory. Its entries are another matter: they are looked at whatever is decided here.
pub fn decide_directory(facts: &DirectoryFacts<'_>) -> Decision {
    let verdict = match effective_verdict(facts.verdict, facts.options) {
        Verdict::Unchanged => return Skip(Reason::Unchanged),
        verdict => verdict,
    };
    let create = act(Create, Effect::CreateCollection);
    match (facts.catalog, facts.operation) {
        (CatalogState::DataObject(_), _) => Refuse(Refusal::DirectoryOverDataObject),
        (CatalogState::Absent, Operation::NoOp) => no_op(facts.options, Create),
        (CatalogState::Absent, _) => create,
        (CatalogState::Collection, operation) => {
            let event = event_of_existing(facts.options, verdict);
            match operation {
                Operation::NoOp => no_op(facts.options, event),
                _ => act(event, Effect::Nothing),
            }
        }
        (CatalogState::Unknown, Operation::NoOp) if !facts.options.hooks => Skip(Reason::NoOp),
        (CatalogState::Unknown, _) if facts.options.hooks => Look,
        (CatalogState::Unknown, _) => create,
    }
}

/// How sure it is that an uploaded replica holds what the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// Sizes agree, and checksums agree or the file is older than the object by a safe margin.
    Same,
    /// Sizes or checksums differ.
    Different,
    /// Sizes agree; nothing proves or disproves the rest.
    Unproven,
}

/// Compares a file with an uploaded replica by size, checksums and times.
pub fn sameness(stat: &Stat, replica: &Replica, checksums: Checksums) -> Sameness {
    if stat.size != replica.size {
        return Sameness::Different;
    }
    match checksums {
        Checksums::Agree => Sameness::Same,
        Checksums::Differ => Sameness::Different,
        Checksums::Unknown if precedes(stat, replica.mtime) => Sameness::Same,
        Checksums::Unknown => Sameness::Unproven,
    }
}

/// Both times of the file lie before the object's modification time by the safe margin.
pub(crate) fn precedes(stat: &Stat, object_mtime: i64) -> bool {
    let newest = stat.mtime.max(stat.ctime).seconds;
    newest < object_mtime.saturating_sub(CLOCK_MARGIN_SECONDS)
}

/// `--ignore_cache` turns whatever is remembered into "changed"; what was never seen stays new.
pub(crate) fn effective_verdict(verdict: Verdict, options: Options) -> Verdict {
    match (options.ignore_cache, verdict) {
        (_, Verdict::New) => Verdict::New,
        (true, _) => Verdict::DataChanged,
        (false, verdict) => verdict,
    }
}

fn act(event: Event, effect: Effect) -> Decision {
    Decision::Act { event, effect }
}

/// NO_OP: the hooks, if there are any, and nothing else.
fn no_op(options: Options, event: Event) -> Decision {
    match options.hooks {
        true => act(event, Effect::Nothing),
        false => Skip(Reason::NoOp),
    }
}

/// The event for something that exists. It may be this entry's own last attempt that made it.
fn event_of_existing(options: Options, verdict: Verdict) -> Event {
    match options.may_have_made_it() && verdict == Verdict::New {
        true => Create,
        false => Modify,
    }
}

/// The name is free.
fn make(operation: Operation, options: Options) -> Decision {
    match operation {
        Operation::RegisterSync | Operation::RegisterAsReplicaSync => act(Create, Effect::Register),
        Operation::Put | Operation::PutSync | Operation::PutAppend => act(Create, Effect::PutNew),
        Operation::NoOp => no_op(options, Create),
    }
}

/// Nobody knows what the catalog holds: take the likely case if a wrong guess does no harm.
fn guess(facts: &FileFacts<'_>, verdict: Verdict) -> Decision {
    let options = facts.options;
    match (facts.operation, verdict) {
        (Operation::NoOp, _) if !options.hooks => Skip(Reason::NoOp),
        _ if options.redelivered => Look,
        (operation, _) if options.initial_ingest => make(operation, options),
        _ if options.hooks => Look,
        (Operation::RegisterAsReplicaSync, _) => Look,
        (operation, Verdict::New) => make(operation, options),
        _ => Look,
    }
}

/// REGISTER_SYNC of an object that exists.
fn register_existing(facts: &FileFacts<'_>, verdict: Verdict, replicas: &[Replica]) -> Decision {
    if verdict == Verdict::MetadataChanged {
        return act(Modify, Effect::Nothing);
    }
    let wanted = |replica: &&Replica| {
        replica.physical_path == facts.physical_path
            && facts.resource.is_none_or(|name| replica.is_under(name))
    };
    match replicas.iter().rfind(wanted) {
        None => Refuse(Refusal::WrongResourceOrPath),
        Some(replica) => registered(facts, verdict, replica),
    }
}

/// REGISTER_AS_REPLICA_SYNC of an object that exists.
fn replica_of_existing(facts: &FileFacts<'_>, verdict: Verdict, replicas: &[Replica]) -> Decision {
    let Some(resource) = facts.resource else {
        return Refuse(Refusal::NoResource);
    };
    let mut there = replicas.iter().filter(|replica| replica.is_under(resource));
    let ours = there
        .clone()
        .rfind(|replica| replica.physical_path == facts.physical_path);
    match (ours, there.next(), verdict) {
        (Some(_), _, Verdict::MetadataChanged) => act(Modify, Effect::Nothing),
        (Some(replica), _, _) => match registered(facts, verdict, replica) {
            // Registered by an attempt that did not come to make the others stale.
            Act {
                event: Create,
                effect: Effect::Nothing,
            } if replicas.iter().any(|other| {
                other.status == ReplicaStatus::Good && other.number != replica.number
            }) =>
            {
                let number = replica.number;
                act(Create, Effect::UpdateReplica { number })
            }
            decision => decision,
        },
        (None, Some(_), _) => Refuse(Refusal::OtherReplicaOnResource),
        (None, None, _) => act(Create, Effect::RegisterReplica),
    }
}

/// The replica is registered under the right path: bring its size and time up to date.
fn registered(facts: &FileFacts<'_>, verdict: Verdict, replica: &Replica) -> Decision {
    let equal = replica.size == facts.stat.size && replica.mtime == facts.stat.mtime.seconds;
    match (replica.status, verdict) {
        (ReplicaStatus::Locked | ReplicaStatus::Intermediate, _) => Refuse(Refusal::Busy),
        (ReplicaStatus::Good, Verdict::New) if equal && facts.options.may_have_made_it() => {
            act(Create, Effect::Nothing)
        }
        (ReplicaStatus::Good, Verdict::New) if equal && !facts.options.redelivered => {
            Skip(Reason::AlreadyEqual)
        }
        _ => act(
            Modify,
            Effect::UpdateReplica {
                number: replica.number,
            },
        ),
    }
}

/// A replica is registered in place from this very file: to open it for writing is to empty the file that is about to be read.
/// Where the zone's files are not this machine's, the path alone tells.
fn is_own_source(facts: &FileFacts<'_>, replicas: &[Replica]) -> bool {
    facts.own_source
        || replicas
            .iter()
            .any(|replica| replica.physical_path == facts.physical_path)
}

/// PUT, PUT_SYNC, PUT_APPEND of an object that exists.
fn put_existing(facts: &FileFacts<'_>, verdict: Verdict, replicas: &[Replica]) -> Decision {
    let has = |status| replicas.iter().any(|replica| replica.status == status);
    let good = replicas
        .iter()
        .find(|replica| replica.status == ReplicaStatus::Good);
    let options = facts.options;
    // Somebody is at work on it, unless the writer is the attempt that this one repeats.
    let busy =
        has(ReplicaStatus::Locked) || (has(ReplicaStatus::Intermediate) && !options.redelivered);
    let left_alone = facts.operation == Operation::Put && good.is_some();
    if busy && !left_alone {
        return Refuse(Refusal::Busy);
    }
    match (facts.operation, good) {
        // What an interrupted upload left: the file has all of it.
        (_, None) if verdict == Verdict::New => act(Create, Effect::PutOver),
        (_, None) => act(Modify, Effect::PutOver),
        (_, Some(_)) if verdict == Verdict::MetadataChanged => act(Modify, Effect::Nothing),
        (Operation::Put, Some(_)) if !(options.may_have_made_it() && verdict == Verdict::New) => {
            Skip(Reason::Exists)
        }
        (_, Some(replica)) if verdict == Verdict::New => match same_or_ask(facts, replica) {
            Ok(Sameness::Same) if options.may_have_made_it() => act(Create, Effect::Nothing),
            Ok(Sameness::Same) if !options.redelivered => Skip(Reason::AlreadyEqual),
            Ok(_) => put_different(facts, replica),
            Err(ask) => ask,
        },
        (_, Some(replica)) => put_different(facts, replica),
    }
}

/// [`sameness`], or the way to find out: comparing checksums costs less than an upload where the object has one, and
/// is worth it in any case where the last attempt may have made the object.
fn same_or_ask(facts: &FileFacts<'_>, replica: &Replica) -> Result<Sameness, Decision> {
    match sameness(facts.stat, replica, facts.checksums) {
        Sameness::Unproven if replica.checksum.is_some() || facts.options.may_have_made_it() => {
            Err(CompareChecksums)
        }
        known => Ok(known),
    }
}

/// The object has a good replica and does not (provably) equal the file.
fn put_different(facts: &FileFacts<'_>, replica: &Replica) -> Decision {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (
        facts.operation,
        facts.stat.size.cmp(&replica.size),
        facts.checksums,
    ) {
        (Operation::PutSync, _, _) => act(Modify, Effect::PutOver),
        (Operation::PutAppend, Less, _) => Refuse(Refusal::ShorterThanObject),
        (Operation::PutAppend, Equal, Checksums::Differ) => Refuse(Refusal::Diverged),
        (Operation::PutAppend, Equal, _) => act(Modify, Effect::Nothing),
        (Operation::PutAppend, Greater, _) => act(Modify, Effect::Append { from: replica.size }),
        (_, _, _) => Skip(Reason::Exists),
    }
}

#[cfg(test)]
mod tests;
