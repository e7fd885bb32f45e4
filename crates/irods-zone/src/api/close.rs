//! Ending what was opened: `DATA_OBJ_CLOSE`, `OPR_COMPLETE`, and what happens to replicas whose
//! writer is gone.
//!
//! Bytes first, then the row: the file is complete (and with `durable` on disk) before the catalog
//! says that the replica is good. A new object whose size is not the declared one is answered with
//! `SYS_COPY_LEN_ERR`; real servers answer the size, which clients take for success.

use std::path::Path;
use std::sync::Arc;

use irods_protocol::codes;
use irods_protocol::message::{IntPi, OpenedDataObjInp};

use super::{blocking, replicate};
use crate::after::Checksum;
use crate::catalog::replicas::{self, Field, Outcome, Status, Which};
use crate::catalog::time;
use crate::descriptor::Descriptor;
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::writing::{Leave, Summary, Writing};
use crate::zone::Shared;

/// `DATA_OBJ_CLOSE`.
pub(super) async fn close(session: &mut Session, request: &Request) -> Answer {
    let input: OpenedDataObjInp = request.input()?;
    let descriptor = session.descriptors.take(input.l1desc_inx)?;
    leave(&session.zone, descriptor, Leave::Finish).await?;
    Ok(Reply::done())
}

/// `OPR_COMPLETE`: the client has sent or read all bytes of a large put or get. A negative number
/// says that it failed; which descriptor it meant is then unknown and stays open.
pub(super) async fn complete(session: &mut Session, request: &Request) -> Answer {
    let input: IntPi = request.input()?;
    if input.my_int < 0 {
        return Ok(Reply::done());
    }
    let descriptor = session.descriptors.take(input.my_int)?;
    leave(&session.zone, descriptor, Leave::Finish).await?;
    Ok(Reply::done())
}

/// Closes what a lost connection had open.
pub(crate) async fn abandon(zone: &Arc<Shared>, descriptor: Descriptor) {
    let path = descriptor.input.obj_path.clone();
    if descriptor.writing.is_some() {
        tracing::info!(%path, "its writer is gone");
    }
    match leave(zone, descriptor, Leave::Fail(codes::SYS_SOCK_READ_ERR)).await {
        Ok(()) => {}
        Err(failure) if failure.code == codes::SYS_SOCK_READ_ERR => {}
        Err(failure) => {
            tracing::error!(%path, code = failure.code, message = %failure.message, "cannot be made stale")
        }
    }
}

/// Gives a descriptor up; finishes its replica if that is due.
pub(super) async fn leave(
    zone: &Arc<Shared>,
    descriptor: Descriptor,
    how: Leave,
) -> Result<(), Failure> {
    let Some(writing) = descriptor.writing else {
        return Ok(());
    };
    let Some(summary) = zone.writings.leave(&writing, how) else {
        return Ok(());
    };
    let outcome = finish(zone, &writing, summary).await;
    zone.writings.forget(writing.data_id, writing.number);
    outcome
}

/// What was found out about the bytes of a replica.
struct Found {
    size: i64,
    checksum: String,
    failure: Option<Failure>,
}

async fn finish(
    zone: &Arc<Shared>,
    writing: &Arc<Writing>,
    summary: Summary,
) -> Result<(), Failure> {
    let changed = writing.created || writing.truncated || summary.wrote;
    let found = if changed {
        let (durable, writing) = (zone.durable, Arc::clone(writing));
        blocking(move || examine(&writing, summary, durable)).await?
    } else {
        Found {
            size: 0,
            checksum: String::new(),
            failure: None,
        }
    };
    let failure = summary.failed.map(Failure::code).or(found.failure);
    let copied = failure.is_none() && summary.copy;
    let fields = [
        (Field::Size, found.size.to_string()),
        (Field::Checksum, found.checksum.clone()),
        (Field::Status, Status::Good.number().to_string()),
        (Field::ModifyTime, time::now()),
    ];
    let outcome = match (&failure, changed) {
        (None, true) if copied => Outcome::Unchanged,
        (Some(_), _) => Outcome::Failed {
            size: found.size,
            checksum: found.checksum,
        },
        (None, false) => Outcome::Unchanged,
        (None, true) => Outcome::Written {
            size: found.size,
            checksum: found.checksum,
            modify_time: None,
        },
    };
    let extras = failure.is_none() && writing.after.has_extras();
    let spread = changed && failure.is_none() && !copied;
    let (who, data_id, number, all) = (
        writing.who.clone(),
        writing.data_id,
        writing.number,
        writing.after.all,
    );
    let writing = Arc::clone(writing);
    let refused = zone
        .catalog
        .write(move |conn| {
            let (data_id, number) = (writing.data_id, writing.number);
            replicas::close_after_write(conn, data_id, number, &outcome)?;
            if copied {
                replicas::modify(conn, data_id, Which::Number(number), &fields)?;
            }
            // A refused AVU or permission does not take the object back.
            let applied = if extras {
                writing.after.apply(conn, &writing.who, &writing.path)
            } else {
                Ok(())
            };
            Ok(applied.err())
        })
        .await?;
    zone.writings.forget(data_id, number);
    if spread {
        // A copy is itself written and finished.
        Box::pin(replicate::spread(zone, who, data_id, number, all)).await?;
    }
    match (failure, refused) {
        (Some(failure), _) => Err(failure),
        (None, Some(refused)) => Err(refused.into()),
        (None, None) => Ok(()),
    }
}

/// Looks at the file after the last write. Blocks.
fn examine(writing: &Writing, summary: Summary, durable: bool) -> Found {
    let lost = |base, error: &std::io::Error| Found {
        size: 0,
        checksum: String::new(),
        failure: Some(Failure::io(base, error, &writing.path)),
    };
    let size = match writing.file.metadata() {
        Ok(about) => i64::try_from(about.len()).unwrap_or(i64::MAX),
        Err(error) => return lost(codes::UNIX_FILE_STAT_ERR, &error),
    };
    if summary.failed.is_some() {
        // Part of a new object is of no use to anybody; its room may be.
        let emptied = writing.created && writing.file.set_len(0).is_ok();
        return Found {
            size: if emptied { 0 } else { size },
            checksum: String::new(),
            failure: None,
        };
    }
    if durable && let Err(error) = sync(&writing.file, &writing.physical_path) {
        return lost(codes::UNIX_FILE_FSYNC_ERR, &error);
    }
    let declared = writing
        .after
        .size
        .filter(|&declared| writing.created && declared > 0);
    if let Some(declared) = declared
        && declared != size
    {
        let message = format!("{declared} bytes were declared, {size} have come");
        return Found {
            size,
            checksum: String::new(),
            failure: Some(Failure::new(codes::SYS_COPY_LEN_ERR, message)),
        };
    }
    let whole = u64::try_from(size).unwrap_or_default();
    let scheme = writing.scheme(summary);
    let checksum = match scheme.map(|scheme| writing.checksum(scheme, whole)) {
        Some(Ok(checksum)) => checksum,
        Some(Err(error)) => return lost(codes::UNIX_FILE_READ_ERR, &error),
        None => String::new(),
    };
    let failure = match &writing.after.checksum {
        Checksum::Verify(expected) if *expected != checksum => Some(Failure::new(
            codes::USER_CHKSUM_MISMATCH,
            format!("what has come has the checksum {checksum}"),
        )),
        _ => None,
    };
    Found {
        size,
        checksum,
        failure,
    }
}

/// Makes a file and its name survive power loss.
pub(super) fn sync(file: &std::fs::File, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
