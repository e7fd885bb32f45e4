//! `DATA_OBJ_COPY`: a new object with the bytes of another.

use std::sync::Arc;

use irods_protocol::codes;
use irods_protocol::keywords;
use irods_protocol::message::{DataObjCopyInp, TransferStat};

use super::close;
use super::open::{self, Mode};
use super::replicate::pour;
use crate::catalog::{CatalogError, data_objects};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::writing::Leave;

/// `DATA_OBJ_COPY`. An existing destination needs `forceFlag`.
pub(super) async fn copy(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjCopyInp = request.input()?;
    let stat = run(session, input).await?;
    Reply::with(request.packing, &stat)
}

/// The copying.
pub(super) async fn run(
    session: &mut Session,
    input: DataObjCopyInp,
) -> Result<TransferStat, Failure> {
    if input.source.obj_path == input.destination.obj_path {
        return Err(Failure::code(codes::SAME_SRC_DEST_PATHS_ERR));
    }
    for path in [&input.source.obj_path, &input.destination.obj_path] {
        // Seen on a 5.0.90 server, where other calls answer another code.
        super::object_path(path)
            .map_err(|failure| Failure::new(codes::USER_INPUT_PATH_ERR, failure.message))?;
    }
    let who = session.acting(&input.destination.cond_input)?;
    let force = input.destination.cond_input.has(keywords::FORCE_FLAG);
    let target = input.destination.obj_path.clone();
    session
        .catalog()
        .read(
            move |conn| match data_objects::visible(conn, &who, &target) {
                Ok(_) if !force => Err(CatalogError::new(
                    codes::OVERWRITE_WITHOUT_FORCE_FLAG,
                    format!("{target} exists"),
                )),
                Err(error) if error.code != codes::CAT_NO_ROWS_FOUND => Err(error),
                _ => Ok(()),
            },
        )
        .await?;
    let source = open::open_as(session, input.source, Mode::READ).await?;
    let source = session.descriptors.take(source)?;
    let mut destination = input.destination;
    destination.data_size = -1;
    let opened = open::open_as(session, destination, Mode::OVERWRITE).await?;
    let opened = session.descriptors.take(opened)?;
    let poured = pour(Arc::clone(&source.file), Arc::clone(&opened.file)).await;
    if let Some(writing) = &opened.writing {
        writing.note(poured.as_ref().err().map(|failure| failure.code));
    }
    let closed = close::leave(&session.zone, opened, Leave::Finish).await;
    let bytes_written = poured?;
    closed?;
    Ok(TransferStat {
        bytes_written,
        ..TransferStat::default()
    })
}
