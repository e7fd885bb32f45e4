//! The actions, as calls to the zone. Each is one event with its hooks around it, and each leaves the zone as it was or as
//! it should be, never something that looks whole and is not.
//!
//! What a crash may leave: a registered object without its AVUs (they are added when the entry is redelivered); an object
//! that is being uploaded, which the server makes stale; nothing else.

use std::ops::ControlFlow;
use std::time::Duration;

use irods_client::Scope;
use irods_client::connection::Identity;
use irods_client::metadata::Entity;
use irods_client::protocol::path;

use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::Subject;
use crate::core::choice::EntryOptions;
use crate::error::{EntryError, SyncError, TIMED_OUT};
use crate::patience::Backoff;
use crate::plan::compare::CatalogNames;
use crate::plan::{CatalogState, Effect, Operation, Replica, ReplicaStatus};
use crate::profile::{About, Stage};
use crate::shutdown::Urgency;
use crate::source::Stat;
use crate::zone::Session;

mod annotate;
mod claim;
mod claimed;
mod compare_checksums;
mod create_all;
mod create_dirs;
mod delete;
mod direct;
mod register_file;
mod sync_file;
mod update_metadata;
mod upload_file;

pub(crate) use annotate::decorate;
use annotate::{annotate, annotate_again};
pub(crate) use claim::{Holder, Meeting, Owner, Standing, claim, is_claimed, stand, taken};
pub(crate) use claimed::{Claims, claims, claims_patiently, names_within};
pub(crate) use compare_checksums::compare_checksums;
pub(crate) use create_all::{Created, create_all};
pub(crate) use create_dirs::{Wanted, create_dirs};
pub(crate) use delete::{Removals, delete_collection_if_empty, delete_object};
pub(crate) use direct::Leaves;
pub(crate) use upload_file::grants_come_along;

/// A file that something is to be done with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileAction<'a> {
    pub(crate) context: &'a JobContext,
    /// Directory and name in the source.
    pub(crate) directory: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) subject: Subject<'a>,
    /// What counts for it.
    pub(crate) options: &'a EntryOptions,
    /// Of what is registered, or of what an upload reads.
    pub(crate) stat: &'a Stat,
    /// What the file holds, if it was read already.
    pub(crate) content: Option<&'a [u8]>,
    /// The text of a link.
    pub(crate) link: Option<&'a [u8]>,
    /// Its row may be written as it is: its name is free, and the zone has checked another one of its directory.
    pub(crate) direct: bool,
}

/// Does what the plan decided, once more with its collection made where that was missing. `created` if the object comes to be.
pub(crate) async fn perform(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    effect: Effect,
    created: bool,
) -> Result<Counts, SyncError> {
    if action.subject.operation == Operation::NoOp {
        return Ok(made(action));
    }
    if created && effect == Effect::Nothing {
        // Found as it should be: an earlier attempt, whose end nobody saw, made it.
        complete(zone, action).await?;
        return Ok(made(action));
    }
    // Nothing of another file is written over. Its AVUs are asked for before it is written then, not after.
    let have = match effect {
        Effect::PutOver | Effect::Append { .. } => Some(claim::check(zone, action).await?),
        _ => None,
    };
    let counts = match once(zone, action, effect).await {
        Err(SyncError::Entry(error)) if error.is_collection_missing() => {
            Box::pin(make_parents(zone, action)).await?;
            once(zone, action, effect).await?
        }
        done => done?,
    };
    match effect {
        Effect::Register => {
            claim(zone, action, None).await?;
            annotate(zone, action).await?;
        }
        // Its AVUs came with it.
        Effect::PutNew => {
            claim(zone, action, None).await?;
            if !grants_come_along(action.options, action.stat.size) {
                let object = Entity::DataObject(action.subject.target);
                annotate::grant(zone, object, action.options).await?;
            }
        }
        // Nothing was done to it, so it is what it was; but for a link that leads elsewhere.
        Effect::Nothing if !annotate::is_special(action) => {
            let object = Entity::DataObject(action.subject.target);
            decorate(zone, object, action.options).await?;
        }
        _ => annotate_again(zone, action, have).await?,
    }
    // Registered by an earlier attempt, whose end nobody saw, and finished by this one.
    match created && matches!(effect, Effect::UpdateReplica { .. }) {
        true => Ok(made(action)),
        false => Ok(counts),
    }
}

/// What a data object that is as it should be may lack, since whoever made it was interrupted, or cared for less.
pub(crate) async fn complete(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
) -> Result<(), SyncError> {
    annotate(zone, action).await?;
    keep_checksum(zone, action).await
}

/// Has the zone compute and keep a checksum, if the job wants one and there is none.
async fn keep_checksum(zone: &mut dyn Session, action: &FileAction<'_>) -> Result<(), SyncError> {
    if action.context.spec.options.checksum.keeps() {
        zone.checksum(action.subject.target).await?;
    }
    Ok(())
}

/// What takes long, or is rare, has a place of its own: the future of every file would be as large as the largest otherwise.
async fn once(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    effect: Effect,
) -> Result<Counts, SyncError> {
    // The hook before it may have taken longer than the lease.
    action.context.tenure.hold.check()?;
    match effect {
        Effect::Nothing => Ok(Counts {
            metadata_only: 1,
            ..Counts::default()
        }),
        Effect::CreateCollection => {
            Box::pin(make_parents(zone, action)).await?;
            Ok(Counts::default())
        }
        Effect::Register if action.direct => direct::register(zone, action).await,
        Effect::Register => register_file::register_file(zone, action, false).await,
        Effect::RegisterReplica => register_file::register_file(zone, action, true).await,
        Effect::UpdateReplica { number } => {
            Box::pin(update_metadata::update_metadata(zone, action, number)).await
        }
        Effect::PutNew => Box::pin(upload_file::upload_file(zone, action, false)).await,
        Effect::PutOver => Box::pin(upload_file::upload_file(zone, action, true)).await,
        Effect::Append { from } => Box::pin(sync_file::sync_file(zone, action, from)).await,
    }
}

/// The collection that the file's object is in.
async fn make_parents(zone: &mut dyn Session, action: &FileAction<'_>) -> Result<(), SyncError> {
    let wanted = Wanted {
        collection: path::parent(action.subject.target).unwrap_or("/"),
        source: &create_dirs::source_parent(action.subject.path),
        operation: action.subject.operation,
        user: action.options.user.as_ref(),
        counted: false,
    };
    create_dirs(action.context, zone, wanted).await
}

/// What the catalog holds under a logical path.
pub(crate) async fn look(zone: &mut dyn Session, logical: &str) -> Result<CatalogState, SyncError> {
    let replicas = zone.replicas(logical).await?;
    if !replicas.is_empty() {
        return Ok(CatalogState::DataObject(
            replicas.into_iter().map(replica).collect(),
        ));
    }
    match zone.collection_exists(logical).await? {
        true => Ok(CatalogState::Collection),
        false => Ok(CatalogState::Absent),
    }
}

/// All names of a collection with what comparing needs.
pub(crate) async fn list_collection(
    context: &JobContext,
    user: Option<&Identity>,
    collection: &str,
) -> Result<CatalogNames, SyncError> {
    patiently(context, user, |mut zone, _| async move {
        let mut names = CatalogNames::default();
        let mut add = |page| {
            for (name, row) in page {
                let name: bstr::BString = name;
                names.add_replica(&name, &replica(row));
            }
            ControlFlow::Continue(())
        };
        zone.list_replicas(collection, &mut add).await?;
        for name in zone.list_subcollections(collection).await? {
            names.add_collection(&name);
        }
        Ok(names)
    })
    .await
}

/// A row of the catalog, as decisions take it.
pub(crate) fn replica(row: irods_client::collection::Replica) -> Replica {
    Replica {
        number: u32::try_from(row.number).unwrap_or(u32::MAX),
        status: status(row.status),
        size: row.size,
        mtime: row.mtime,
        checksum: Some(row.checksum).filter(|checksum| !checksum.is_empty()),
        hierarchy: row.hierarchy,
        physical_path: row.path.to_string(),
    }
}

fn status(status: irods_client::collection::ReplicaStatus) -> ReplicaStatus {
    use irods_client::collection::ReplicaStatus as Row;
    match status {
        Row::Stale => ReplicaStatus::Stale,
        Row::Good => ReplicaStatus::Good,
        Row::Intermediate => ReplicaStatus::Intermediate,
        Row::ReadLocked | Row::WriteLocked | Row::Other(_) => ReplicaStatus::Locked,
    }
}

/// Counts of one file that came into being.
fn made(action: &FileAction<'_>) -> Counts {
    let size = action.stat.size;
    match action.subject.operation.uploads() {
        true => Counts {
            uploaded: 1,
            bytes_uploaded: size,
            ..Counts::default()
        },
        false if action.subject.operation.registers() => Counts {
            registered: 1,
            bytes_registered: size,
            ..Counts::default()
        },
        false => Counts {
            skipped_unchanged: 1,
            ..Counts::default()
        },
    }
}

/// So often may a connection that was made break during the same piece of work before that counts as its failure: some
/// inputs make real servers drop the connection, and waiting would be for ever. With the delays in between that takes more than a
/// minute; a zone that cannot be connected to at all is waited for without end.
const MAX_BROKEN: u32 = 13;

/// Work on one entry, as long as that may take. What was sent by then may be carried out all the same.
pub(crate) async fn in_time<T>(
    limit: Duration,
    logical: &str,
    work: impl Future<Output = Result<T, SyncError>>,
) -> Result<T, SyncError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(SyncError::Entry(EntryError::new(
            TIMED_OUT,
            format!("{logical} took more than {} s", limit.as_secs()),
        ))),
    }
}

/// Does a piece of work on a connection, waiting with all others while the zone is not there ([`crate::breaker`]). The work is told whether it may have been done
/// already, in part or whole. `user` is whom it acts for, if that is not the worker's own: whatever that one may not do is the entry's
/// failure.
pub(crate) async fn patiently<T, F>(
    context: &JobContext,
    user: Option<&Identity>,
    mut work: impl FnMut(Box<dyn Session>, bool) -> F,
) -> Result<T, SyncError>
where
    F: Future<Output = Result<T, SyncError>>,
{
    let mut backoff = Backoff::new();
    let mut broken = 0;
    // What a transfer left behind is told even if something harmless breaks after it.
    let mut transfer = None;
    loop {
        let turn = tokio::select! {
            biased;
            turn = context.breaker.turn() => turn,
            () = context.shutdown.wait_for(Urgency::Drain) => return Err(SyncError::Drained),
        };
        let connected = context
            .stages
            .begin(Stage::Connect, "connection", About::NOTHING);
        let zone = match connected.end(connect(context, user).await) {
            Ok(zone) => {
                turn.reached();
                zone
            }
            // It was not asked.
            Err(Refused::Shortage(error)) => return Err(error.into()),
            Err(Refused::User(error)) => {
                turn.reached();
                return Err(SyncError::Entry(error));
            }
            Err(Refused::Worker(error)) => match SyncError::from(error) {
                SyncError::Lost(error) => {
                    turn.lost(&error.to_string());
                    continue;
                }
                // A refusal is an answer.
                other => {
                    turn.reached();
                    return Err(other);
                }
            },
        };
        // Waiting for the connection may have taken longer than the lease.
        context.tenure.hold.check()?;
        let error = match work(zone, broken > 0).await {
            Err(SyncError::Lost(error)) => error,
            Err(SyncError::NotAllowed(error)) if user.is_some() => {
                return Err(SyncError::Entry(error));
            }
            done => return done,
        };
        broken += 1;
        if matches!(error, irods_client::Error::Transfer { .. }) {
            transfer = Some(error.to_string());
        }
        if broken >= MAX_BROKEN {
            let told = transfer.unwrap_or_else(|| error.to_string());
            return Err(SyncError::Entry(EntryError::new(
                "CONNECTION_BROKEN",
                format!("the connection broke {broken} times: {told}"),
            )));
        }
        tracing::warn!(%error, "a connection to the zone broke");
        tokio::select! {
            biased;
            () = backoff.wait() => {}
            () = context.shutdown.wait_for(Urgency::Drain) => return Err(SyncError::Drained),
        }
    }
}

/// Why there is no connection.
enum Refused {
    Worker(irods_client::Error),
    /// Nobody was asked.
    Shortage(irods_client::Error),
    User(EntryError),
}

/// A connection on which the user is acted for. That this cannot be is the entry's affair where the worker itself gets one.
async fn connect(
    context: &JobContext,
    user: Option<&Identity>,
) -> Result<Box<dyn Session>, Refused> {
    let own = async || {
        context
            .zone
            .get()
            .await
            .map_err(|error| match error.is_shortage() {
                true => Refused::Shortage(error),
                false => Refused::Worker(error),
            })
    };
    let Some(user) = user else {
        return own().await;
    };
    match context.zone.get_acting_for(user).await {
        Ok(zone) => Ok(zone),
        Err(error) if error.is_shortage() => Err(Refused::Shortage(error)),
        Err(error) if error.scope() == Scope::ConnectionLost => Err(Refused::Worker(error)),
        Err(error) => {
            own().await?;
            let message = format!("cannot act as {}#{}: {error}", user.user, user.zone);
            Err(Refused::User(EntryError::new("AS_USER_REFUSED", message)))
        }
    }
}
