//! `DATA_OBJ_GET`: a small object in one message; a large one is opened, without ports, and the client
//! reads over this connection until `OPR_COMPLETE`.

use std::sync::Arc;

use irods_protocol::codes;
use irods_protocol::keywords;
use irods_protocol::limits::SINGLE_BUFFER_MAX;
use irods_protocol::message::{DataObjInp, PortalOprOut};

use super::open::{self, Mode};
use super::{blocking, io};
use crate::checksum::{self, Scheme};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// `DATA_OBJ_GET`. For a small object the result is its size, for a large one the descriptor (recorded exchange
/// icmdxml_iget).
pub(super) async fn get(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let verify = input.cond_input.has(keywords::VERIFY_CHKSUM);
    let number = open::open_as(session, input, Mode::READ).await?;
    let descriptor = session.descriptors.get(number)?;
    let known = descriptor.replica.checksum.clone();
    let file = Arc::clone(&descriptor.file);
    let small = blocking(move || {
        let size = file.metadata()?.len();
        if size > SINGLE_BUFFER_MAX {
            Ok(None)
        } else {
            io::read_at(&file, 0, size).map(Some)
        }
    })
    .await?
    .map_err(|error: std::io::Error| Failure::io(codes::UNIX_FILE_READ_ERR, &error, "read"))?;
    // One that is asked for and not stored is computed (recorded exchange icmd_iget).
    let chksum = match (verify, &small) {
        (false, _) => String::new(),
        (true, Some(bytes)) if known.is_empty() => {
            let bytes = bytes.clone();
            blocking(move || checksum::of_bytes(Scheme::Sha2, &bytes)).await?
        }
        (true, _) => known,
    };
    let out = PortalOprOut {
        chksum,
        l1desc_inx: if small.is_some() { 0 } else { number },
        ..PortalOprOut::default()
    };
    let mut reply = Reply::with(request.packing, &out)?;
    reply.int_info = number;
    if let Some(bytes) = small {
        session.descriptors.take(number)?;
        reply.int_info = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        reply.bytes = bytes;
    }
    Ok(reply)
}
