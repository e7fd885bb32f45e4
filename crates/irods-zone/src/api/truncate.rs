//! `DATA_OBJ_TRUNCATE` and `REPLICA_TRUNCATE`: another size for a replica that is not open.

use std::sync::Arc;

use irods_protocol::codes;
use irods_protocol::message::{DataObjInp, StrPi};
use serde_json::json;

use super::open::{self, Mode};
use super::{blocking, close};
use crate::catalog::replicas::Replica;
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::writing::Leave;

/// Seen with each truncation by a 5.0.90 server.
const DEPRECATED: (i32, &str) = (
    -3_001_000,
    "rxDataObjTruncate has been deprecated. Use rx_replica_truncate instead.",
);

/// `DATA_OBJ_TRUNCATE`.
pub(super) async fn truncate(session: &mut Session, request: &Request) -> Answer {
    run(session, request).await?;
    Ok(Reply::done().note(DEPRECATED.0, DEPRECATED.1))
}

/// `REPLICA_TRUNCATE`: answered with the replica, or with what was wrong.
pub(super) async fn replica_truncate(session: &mut Session, request: &Request) -> Answer {
    let (code, text) = match run(session, request).await {
        Ok(replica) => (
            0,
            json!({ "message": "", "replica_number": replica.number, "resource_hierarchy": replica.resc_hier }),
        ),
        Err(failure) => (
            failure.code,
            json!({ "message": failure.message, "replica_number": null, "resource_hierarchy": null }),
        ),
    };
    Ok(Reply::with(
        request.packing,
        &StrPi {
            my_str: Some(text.to_string()),
        },
    )?
    .result(code))
}

async fn run(session: &mut Session, request: &Request) -> Result<Replica, Failure> {
    let mut input: DataObjInp = request.input()?;
    let size = u64::try_from(input.data_size).map_err(|_| {
        Failure::code(codes::UNIX_FILE_TRUNCATE_ERR - rustix::io::Errno::INVAL.raw_os_error())
    })?;
    input.data_size = -1;
    let mode = Mode {
        read: true,
        write: true,
        create: false,
        truncate: false,
    };
    let number = open::open_as(session, input, mode).await?;
    let descriptor = session.descriptors.take(number)?;
    let replica = descriptor.replica.clone();
    let file = Arc::clone(&descriptor.file);
    let cut = blocking(move || file.set_len(size))
        .await?
        .map_err(|error| {
            Failure::io(
                codes::UNIX_FILE_TRUNCATE_ERR,
                &error,
                &replica.physical_path,
            )
        });
    if let Some(writing) = &descriptor.writing {
        writing.note(cut.as_ref().err().map(|failure| failure.code));
    }
    let closed = close::leave(&session.zone, descriptor, Leave::Finish).await;
    cut.and(closed).map(|()| replica)
}
