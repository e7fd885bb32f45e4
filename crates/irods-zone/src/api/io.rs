//! `DATA_OBJ_READ`, `DATA_OBJ_WRITE`, `DATA_OBJ_LSEEK` on open replicas.
//!
//! Each descriptor has a position of its own; the file is read and written at it, so that several
//! connections can share one file. Bytes go between socket and file without being copied in between, those of large writes without
//! coming into this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use irods_protocol::codes;
use irods_protocol::message::{FileLseekOut, OpenedDataObjInp};
use rustix::buffer::spare_capacity;

use super::blocking;
use crate::connection::Connection;
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// Most bytes that one read answers; clients take less than they asked for.
const MAX_READ: u64 = 32 * 1024 * 1024;

/// Open flag: each write goes to the end, wherever the position is.
const APPEND: i32 = 1024;

/// `DATA_OBJ_READ`: the result is the number of bytes, 0 at the end.
pub(super) async fn read(session: &mut Session, request: &Request) -> Answer {
    let input: OpenedDataObjInp = request.input()?;
    let descriptor = session.descriptors.get(input.l1desc_inx)?;
    if !descriptor.readable {
        return Err(Failure::code(
            codes::UNIX_FILE_READ_ERR - rustix::io::Errno::BADF.raw_os_error(),
        ));
    }
    let wanted = u64::try_from(input.len).unwrap_or(0).min(MAX_READ);
    let (file, at) = (Arc::clone(&descriptor.file), descriptor.position);
    let bytes = blocking(move || read_at(&file, at, wanted))
        .await?
        .map_err(|error| Failure::io(codes::UNIX_FILE_READ_ERR, &error, "read"))?;
    descriptor.position += bytes.len() as u64;
    let count = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    Ok(Reply {
        int_info: count,
        bytes,
        ..Reply::default()
    })
}

/// Reads up to `wanted` bytes, fewer only at the end of the file. Blocks.
pub(super) fn read_at(file: &File, mut at: u64, wanted: u64) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(at);
    let wanted = usize::try_from(wanted.min(left)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(n) => at += n as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The capacity may be more than was asked for.
    bytes.truncate(wanted);
    Ok(bytes)
}

/// `DATA_OBJ_WRITE`: the byte stream goes to the position; the result is the number of bytes. With a connection, the request has only
/// the first of them, and the others are [`Connection::apart`].
pub(super) async fn write(
    session: &mut Session,
    request: &Request,
    rest: Option<&mut Connection>,
) -> Answer {
    let input: OpenedDataObjInp = request.input()?;
    let descriptor = session.descriptors.get(input.l1desc_inx)?;
    let Some(writing) = descriptor.writing.clone() else {
        return Err(Failure::code(
            codes::UNIX_FILE_WRITE_ERR - rustix::io::Errno::BADF.raw_os_error(),
        ));
    };
    let here = request.bytes.len();
    let count = here + rest.as_ref().map_or(0, |connection| connection.apart());
    let (file, position, bytes) = (
        Arc::clone(&descriptor.file),
        descriptor.position,
        request.bytes.clone(),
    );
    let append = descriptor.input.open_flags & APPEND != 0;
    let ours = Arc::clone(&writing);
    let first = blocking(move || {
        let at = match append {
            true => ours.extend(count as u64)?,
            false => position,
        };
        write_at(&file, at, &bytes).map(|()| at)
    })
    .await?;
    let written = match (first, rest) {
        (Ok(at), Some(connection)) => {
            let (rest_at, stop) = (at + here as u64, &session.zone.stop);
            let rest = connection.apart_into(&descriptor.file, rest_at, stop);
            rest.await.map(|()| at)
        }
        (first, _) => first,
    };
    let written =
        written.map_err(|error| Failure::io(codes::UNIX_FILE_WRITE_ERR, &error, &writing.path));
    match &written {
        Ok(at) => writing.wrote(*at, count as u64),
        Err(failure) => writing.note(Some(failure.code)),
    }
    descriptor.position = written? + count as u64;
    Ok(Reply::code(i32::try_from(count).unwrap_or(i32::MAX)))
}

/// Writes all bytes. Blocks.
pub(super) fn write_at(file: &File, at: u64, bytes: &Bytes) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

/// `DATA_OBJ_LSEEK`: whence 0 from the start, 1 from the position, 2 from the end. A reader gets no
/// further than the end.
pub(super) async fn seek(session: &mut Session, request: &Request) -> Answer {
    let input: OpenedDataObjInp = request.input()?;
    let descriptor = session.descriptors.get(input.l1desc_inx)?;
    let file = Arc::clone(&descriptor.file);
    let size = blocking(move || file.metadata().map(|about| about.len()))
        .await?
        .map_err(|error| Failure::io(codes::UNIX_FILE_LSEEK_ERR, &error, "seek"))?;
    let base = match input.whence {
        0 => 0,
        1 => descriptor.position,
        2 => size,
        _ => return Err(invalid()),
    };
    let mut position = base
        .checked_add_signed(input.offset)
        .filter(|&p| i64::try_from(p).is_ok())
        .ok_or_else(invalid)?;
    if descriptor.writing.is_none() {
        // Seen on a 5.0.90 server (recorded exchange prc_open_edges).
        position = position.min(size);
    }
    descriptor.position = position;
    let offset = i64::try_from(position).unwrap_or(i64::MAX);
    Reply::with(request.packing, &FileLseekOut { offset })
}

fn invalid() -> Failure {
    Failure::code(codes::UNIX_FILE_LSEEK_ERR - rustix::io::Errno::INVAL.raw_os_error())
}
