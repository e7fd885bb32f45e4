//! `DATA_OBJ_REPL`, `DATA_OBJ_PHYMV`, `DATA_OBJ_TRIM`: more, moved and fewer replicas of one object.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use irods_protocol::message::{DataObjInp, KeyValPair, TransferStat};
use irods_protocol::{codes, keywords};

use super::open::{self, Rewrite};
use super::unlink::remove_files;
use super::{blocking, close, object_path};
use crate::after::{After, Checksum};
use crate::catalog::access::{self, Level};
use crate::catalog::data_objects::{self, DataObject};
use crate::catalog::replicas::{self, Field, Replica, Status, Which};
use crate::catalog::resources::Resource;
use crate::catalog::{CatalogError, Connection, Identity, resources};
use crate::descriptor::Descriptor;
use crate::placement::{self, For};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::store::Store;
use crate::vault::Access;
use crate::writing::Leave;
use crate::zone::Shared;

/// Replicas that a trim keeps unless told otherwise.
const DEFAULT_COPIES: usize = 2;
/// Unregistration: the file stays.
const UNREG_OPERATION: i32 = 26;

/// Copies all bytes of a file that is open into another, from their starts; gives their number.
pub(super) async fn pour(from: Arc<File>, to: Arc<File>) -> Result<i64, Failure> {
    let copied = blocking(move || -> io::Result<u64> {
        let (mut from, mut to) = (from.as_ref(), to.as_ref());
        from.rewind()?;
        to.rewind()?;
        let copied = io::copy(&mut from.take(u64::MAX), &mut to)?;
        to.flush()?;
        Ok(copied)
    })
    .await?;
    let copied = copied.map_err(|error| Failure::io(codes::UNIX_FILE_WRITE_ERR, &error, "copy"))?;
    Ok(i64::try_from(copied).unwrap_or(i64::MAX))
}

/// Where a replication reads and writes.
struct Plan {
    object: DataObject,
    source: (Replica, Resource),
    target: Target,
}

#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart once a call"
)]
enum Target {
    /// A further replica.
    New(Resource),
    /// One that is to be brought up to date.
    Update(Replica, Resource),
    /// It is there and good already.
    Nothing,
}

/// `DATA_OBJ_REPL`.
pub(super) async fn replicate(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let after = After::of(&input.cond_input)?;
    let zone = Arc::clone(&session.zone);
    // With or without updateRepl (recorded exchanges icmd_irepl_itrim and prc_stale_update).
    if input.cond_input.has(keywords::ALL) {
        let bytes_written = update_all(&zone, who, path, &input.cond_input).await?;
        let stat = TransferStat {
            bytes_written,
            ..TransferStat::default()
        };
        return Reply::with(request.packing, &stat);
    }
    let plan = {
        let (who, wishes) = (who.clone(), input.cond_input.clone());
        session
            .catalog()
            .read(move |conn| plan(conn, &who, &path, &wishes))
            .await?
    };
    match run(&zone, who, plan, after, input).await? {
        Some(bytes_written) => Reply::with(
            request.packing,
            &TransferStat {
                bytes_written,
                ..TransferStat::default()
            },
        ),
        None => Ok(Reply::done()),
    }
}

/// Brings every stale replica up to date; gives the bytes of one.
async fn update_all(
    zone: &Arc<Shared>,
    who: Identity,
    path: String,
    wishes: &KeyValPair,
) -> Result<i64, Failure> {
    let (reader, wishes) = (who.clone(), wishes.clone());
    let source = zone
        .catalog
        .read(move |conn| {
            let object = data_objects::visible(conn, &reader, &path)?;
            access::require(conn, &reader, object.id, Level::MODIFY_OBJECT)?;
            let wishes = only(&wishes, &[keywords::RESC_NAME, keywords::REPL_NUM]);
            let (source, _) = placement::existing(conn, &object, &wishes, For::Reading)?;
            if source.status != Status::Good {
                return Err(CatalogError::new(codes::SYS_NO_GOOD_REPLICA, path));
            }
            Ok(source)
        })
        .await?;
    spread(zone, who, source.data_id, source.number, true).await?;
    Ok(source.size)
}

fn plan(
    conn: &Connection,
    who: &Identity,
    path: &str,
    wishes: &KeyValPair,
) -> Result<Plan, CatalogError> {
    let object = data_objects::visible(conn, who, path)?;
    if object.replicas.iter().any(|r| !r.status.at_rest()) {
        return Err(CatalogError::new(codes::LOCKED_DATA_OBJECT_ACCESS, path));
    }
    access::require(conn, who, object.id, Level::READ_OBJECT)?;
    let target = placement::for_new(
        conn,
        &only(
            wishes,
            &[
                keywords::DEST_RESC_NAME,
                keywords::DEF_RESC_NAME,
                keywords::RESC_HIER,
            ],
        ),
    )?;
    let source = placement::existing(
        conn,
        &object,
        &only(wishes, &[keywords::RESC_NAME, keywords::REPL_NUM]),
        For::Reading,
    )?;
    if source.0.status != Status::Good {
        return Err(CatalogError::new(codes::SYS_NO_GOOD_REPLICA, path));
    }
    let root = target
        .hierarchy
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let there = object
        .replicas
        .iter()
        .find(|r| r.resc_id == target.id || r.resc_hier.split(';').next() == Some(&root));
    let target = match there {
        None => Target::New(target),
        Some(replica) if replica.status == Status::Good => Target::Nothing,
        Some(replica) => Target::Update(replica.clone(), resources::by_id(conn, replica.resc_id)?),
    };
    Ok(Plan {
        object,
        source,
        target,
    })
}

fn only(wishes: &KeyValPair, kept: &[&str]) -> KeyValPair {
    KeyValPair(
        wishes
            .0
            .iter()
            .filter(|(key, _)| kept.contains(&key.as_str()))
            .cloned()
            .collect(),
    )
}

async fn run(
    zone: &Arc<Shared>,
    who: Identity,
    plan: Plan,
    after: After,
    input: DataObjInp,
) -> Result<Option<i64>, Failure> {
    let Plan {
        object,
        source: (source, source_resource),
        target,
    } = plan;
    let after = After {
        checksum: wanted(&after.checksum, &source.checksum),
        ..After::default()
    };
    let from = {
        let (store, file) = (
            Store::of(&source_resource),
            PathBuf::from(&source.physical_path),
        );
        blocking(move || store.open(&file, Access::READ))
            .await?
            .map_err(|error| {
                Failure::io(codes::UNIX_FILE_OPEN_ERR, &error, &source.physical_path)
            })?
    };
    let (replica, file, writing) = match target {
        Target::Nothing => return Ok(None),
        Target::Update(replica, resource) => {
            open::begin_rewrite(
                zone,
                Rewrite {
                    who,
                    object,
                    replica,
                    resource,
                    after,
                    truncate: true,
                },
            )
            .await?
        }
        Target::New(resource) => {
            let guard = open::lock(zone, &object.path).await;
            let begun = open::begin_another(zone, who, object, resource, after).await?;
            drop(guard);
            begun
        }
    };
    let poured = pour(Arc::new(from), Arc::clone(&file)).await;
    writing.note(poured.as_ref().err().map(|failure| failure.code));
    writing.keep_siblings();
    let descriptor = Descriptor {
        input,
        replica,
        file,
        position: 0,
        readable: false,
        writing: Some(writing),
    };
    let closed = close::leave(zone, descriptor, Leave::Finish).await;
    let bytes = poured?;
    closed?;
    Ok(Some(bytes))
}

/// Copies a replica that has just been written to where its hierarchy wants copies, and with `all` over
/// every replica that it made stale.
///
/// # Errors
/// The first copy that fails; the replica itself stays good.
pub(super) async fn spread(
    zone: &Arc<Shared>,
    who: Identity,
    data_id: i64,
    number: i64,
    all: bool,
) -> Result<(), Failure> {
    let plans = zone
        .catalog
        .read(move |conn| {
            let missing = || CatalogError::new(codes::CAT_NO_ROWS_FOUND, "the object is gone");
            let object = data_objects::by_id(conn, data_id)?.ok_or_else(missing)?;
            let replica = object.replica(number).cloned().ok_or_else(missing)?;
            let mut targets = placement::copies(conn, &object, &replica)?;
            if all {
                for other in object.replicas.iter().filter(|r| r.status == Status::Stale) {
                    if targets.iter().all(|target| target.id != other.resc_id) {
                        targets.push(resources::by_id(conn, other.resc_id)?);
                    }
                }
            }
            let source = (
                replica,
                resources::by_id(conn, object.replica(number).map_or(0, |r| r.resc_id))?,
            );
            let plans = targets.into_iter().filter_map(|resource| {
                let there = object.replicas.iter().find(|r| r.resc_id == resource.id);
                let target = match there {
                    None => Target::New(resource),
                    Some(replica) if replica.status == Status::Good => return None,
                    Some(replica) => Target::Update(replica.clone(), resource),
                };
                Some(Plan {
                    object: object.clone(),
                    source: source.clone(),
                    target,
                })
            });
            Ok(plans.collect::<Vec<_>>())
        })
        .await?;
    for plan in plans {
        run(
            zone,
            who.clone(),
            plan,
            After::default(),
            DataObjInp::default(),
        )
        .await?;
    }
    Ok(())
}

/// The checksum of a copy: what the call asks for, else the source's is checked.
fn wanted(asked: &Checksum, source: &str) -> Checksum {
    match asked {
        Checksum::None if crate::checksum::Scheme::of(source).is_some() => {
            Checksum::Verify(source.to_owned())
        }
        other => other.clone(),
    }
}

/// `DATA_OBJ_PHYMV`: a replica on another resource in place of one.
pub(super) async fn move_replica(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let plan = {
        let (who, wishes) = (who.clone(), input.cond_input.clone());
        session
            .catalog()
            .read(move |conn| {
                let plan = plan(conn, &who, &path, &wishes)?;
                access::require(conn, &who, plan.object.id, Level::MODIFY_OBJECT)?;
                Ok(plan)
            })
            .await?
    };
    let (data_id, number) = (plan.object.id, plan.source.0.number);
    let target = match &plan.target {
        Target::New(resource) | Target::Update(_, resource) => resource.id,
        Target::Nothing => return Err(Failure::code(codes::SYS_COPY_ALREADY_IN_RESC)),
    };
    let zone = Arc::clone(&session.zone);
    let bytes_written = run(&zone, who, plan, After::default(), input)
        .await?
        .unwrap_or(0);
    let old = zone
        .catalog
        .write(move |conn| {
            let old = data_objects::remove_replica(conn, data_id, number)?;
            // It is the same replica elsewhere (recorded exchange icmd_irepl_itrim).
            let kept = [(Field::Number, number.to_string())];
            replicas::modify(conn, data_id, Which::Resource(target), &kept)?;
            Ok(old)
        })
        .await?;
    remove_files(&zone, vec![old]).await;
    Reply::with(
        request.packing,
        &TransferStat {
            bytes_written,
            ..TransferStat::default()
        },
    )
}

/// `DATA_OBJ_TRIM`: the result is how many replicas went.
pub(super) async fn trim(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let wishes = input.cond_input;
    let keep_file = input.opr_type == UNREG_OPERATION;
    let gone = session
        .catalog()
        .write(move |conn| trim_rows(conn, &who, &path, &wishes))
        .await?;
    let count = i32::try_from(gone.len()).unwrap_or(i32::MAX);
    if !keep_file {
        remove_files(&session.zone, gone).await;
    }
    Ok(Reply::code(count.min(1)))
}

fn trim_rows(
    conn: &Connection,
    who: &Identity,
    path: &str,
    wishes: &KeyValPair,
) -> Result<Vec<Replica>, CatalogError> {
    let bad = |message: &str| CatalogError::new(codes::USER_INCOMPATIBLE_PARAMS, message);
    let object = data_objects::visible(conn, who, path)?;
    access::require(conn, who, object.id, Level::MODIFY_OBJECT)?;
    if object.replicas.iter().any(|r| !r.status.at_rest()) {
        return Err(CatalogError::new(codes::LOCKED_DATA_OBJECT_ACCESS, path));
    }
    let number = |keyword| wishes.get(keyword).filter(|text| !text.is_empty());
    let copies = match number(keywords::COPIES) {
        Some(text) => text
            .parse()
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| bad("copies must be a positive number"))?,
        None => DEFAULT_COPIES,
    };
    let age: u64 = match number(keywords::AGE) {
        Some(text) => text
            .parse()
            .map_err(|_| bad("age must be a number of minutes"))?,
        None => 0,
    };
    let mut candidates: Vec<&Replica> =
        match (number(keywords::REPL_NUM), number(keywords::RESC_NAME)) {
            (Some(_), Some(_)) => return Err(bad("replNum and rescName exclude each other")),
            (Some(text), None) => {
                let wanted: i64 = text.parse().map_err(|_| bad("replNum is no number"))?;
                let found = object.replica(wanted);
                vec![
                    found.ok_or_else(|| {
                        CatalogError::new(codes::SYS_REPLICA_DOES_NOT_EXIST, path)
                    })?,
                ]
            }
            (None, Some(name)) => {
                resources::get(conn, name)?;
                object
                    .replicas
                    .iter()
                    .filter(|r| r.resc_hier.split(';').any(|part| part == name))
                    .collect()
            }
            (None, None) => object.replicas.iter().collect(),
        };
    let now: u64 = crate::catalog::time::now().parse().unwrap_or(0);
    candidates.retain(|r| {
        r.modify_time
            .parse::<u64>()
            .map_or(0, |t| now.saturating_sub(t))
            / 60
            >= age
    });
    // Stale ones go first, then those with high numbers.
    candidates.sort_by_key(|r| (r.status == Status::Good, -r.number));
    let mut left = object.replicas.len();
    let mut good = object
        .replicas
        .iter()
        .filter(|r| r.status == Status::Good)
        .count();
    let mut gone = Vec::new();
    for replica in candidates {
        let is_good = replica.status == Status::Good;
        if left <= copies || left <= 1 || (is_good && good <= 1) {
            continue;
        }
        left -= 1;
        good -= usize::from(is_good);
        if !wishes.has(keywords::DRYRUN) {
            data_objects::remove_replica(conn, object.id, replica.number)?;
            gone.push(replica.clone());
        }
    }
    Ok(gone)
}
