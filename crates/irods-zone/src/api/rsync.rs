//! `DATA_OBJ_RSYNC`: whether two files or objects are the same by checksum, and copying one object over another.
//!
//! Where a local file is one of the two, the client has computed its checksum, and moves the bytes itself if the answer
//! tells it to (server source 4.3).

use irods_protocol::message::{DataObjCopyInp, DataObjInp};
use irods_protocol::{codes, keywords};

use super::{checksum, copy, object_path};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// They differ: the client is to send the file.
const SEND: i32 = 99_999_990;
/// They differ: the client is to fetch the object.
const FETCH: i32 = 99_999_991;
/// They differed; the destination is now the same.
const MODIFIED: i32 = 99_999_992;

/// `DATA_OBJ_RSYNC`.
pub(super) async fn rsync(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let wish = |keyword| input.cond_input.get(keyword).unwrap_or_default().to_owned();
    let theirs = wish(keywords::RSYNC_CHKSUM);
    let differs = match wish(keywords::RSYNC_MODE).as_str() {
        "LOCAL_TO_IRODS" => SEND,
        "IRODS_TO_LOCAL" => FETCH,
        "IRODS_TO_IRODS" => return between(session, input).await,
        other => {
            let message = format!("rsyncMode cannot be {other:?}");
            return Err(Failure::new(codes::USER_RSYNC_NO_MODE_INPUT_ERR, message));
        }
    };
    let ours = of_object(session, &input, &input.obj_path, &theirs).await?;
    Ok(Reply::code(if ours == theirs { 0 } else { differs }))
}

async fn between(session: &mut Session, mut input: DataObjInp) -> Answer {
    let to = input.cond_input.get(keywords::RSYNC_DEST_PATH);
    let to = object_path(to.unwrap_or_default())?;
    let from = of_object(session, &input, &input.obj_path, "").await?;
    match of_object(session, &input, &to, &from).await {
        Ok(there) if there == from => return Ok(Reply::done()),
        Ok(_) => input.cond_input.set(keywords::FORCE_FLAG, ""),
        Err(missing) if missing.code == codes::CAT_NO_ROWS_FOUND => {}
        Err(failure) => return Err(failure),
    }
    let destination = DataObjInp {
        obj_path: to,
        cond_input: input.cond_input.clone(),
        ..DataObjInp::default()
    };
    let source = DataObjInp {
        obj_path: input.obj_path,
        ..DataObjInp::default()
    };
    let pair = DataObjCopyInp {
        source,
        destination,
    };
    copy::run(session, pair).await?;
    Ok(Reply::code(MODIFIED))
}

async fn of_object(
    session: &Session,
    input: &DataObjInp,
    path: &str,
    like: &str,
) -> Result<String, Failure> {
    let who = session.acting(&input.cond_input)?;
    checksum::of_object(session, who, object_path(path)?, like).await
}
