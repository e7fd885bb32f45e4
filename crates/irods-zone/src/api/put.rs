//! `DATA_OBJ_PUT`: a whole file in one message, or the opening of a large one.
//!
//! With `dataIncluded` a new object costs one transaction: its file is written first, then its row
//! appears, good, with checksum, metadata and permissions. Without, the answer has no ports
//! (`numThreads` 0), so that the client writes over this connection and ends with `OPR_COMPLETE`.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use irods_protocol::message::{DataObjInp, PortalOprOut};
use irods_protocol::{codes, keywords};

use super::open::{self, Mode, Rewrite};
use super::{blocking, close, io, object_path, replicate};
use crate::after::{After, Checksum};
use crate::catalog::access::{self, Level};
use crate::catalog::replicas::{NewReplica, Status};
use crate::catalog::resources::Resource;
use crate::catalog::{CatalogError, Connection, Identity, collections, data_objects};
use crate::checksum::{self, Scheme};
use crate::placement::{self, For};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::vault;
use crate::writing::Leave;
use crate::zone::Shared;

/// Type bits of a regular file in a mode.
const REGULAR_FILE: i32 = 0o100_000;

/// `DATA_OBJ_PUT`.
pub(super) async fn put(session: &mut Session, request: Request) -> Answer {
    let input: DataObjInp = request.input()?;
    if !input.cond_input.has(keywords::DATA_INCLUDED) {
        let who = session.acting(&input.cond_input)?;
        let path = object_path(&input.obj_path)?;
        return open_large(session, &request, input, who, path).await;
    }
    store(session, input, request.bytes).await?;
    Ok(Reply::done())
}

/// Stores a whole file.
pub(super) async fn store(
    session: &Session,
    input: DataObjInp,
    bytes: Bytes,
) -> Result<(), Failure> {
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let after = After::of(&input.cond_input)?;
    let guard = open::lock(&session.zone, &path).await;
    let plan = plan(session, &who, &path, &input).await?;
    let zone = Arc::clone(&session.zone);
    let declared = input.data_size;
    let put = Put {
        who,
        path,
        bytes,
        after,
        declared,
        input,
    };
    match plan {
        Plan::New(resource) => {
            let in_hierarchy = resource.parent.is_some();
            let who = put.who.clone();
            let data_id = put.create(&zone, resource).await?;
            drop(guard);
            if in_hierarchy {
                replicate::spread(&zone, who, data_id, 0, false).await?;
            }
        }
        Plan::Over(rewrite) => {
            // The state of the replica keeps others out from here on.
            drop(guard);
            put.overwrite(&zone, rewrite).await?;
        }
    }
    Ok(())
}

#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart once a call"
)]
enum Plan {
    New(Resource),
    Over(Rewrite),
}

async fn plan(
    session: &Session,
    who: &Identity,
    path: &str,
    input: &DataObjInp,
) -> Result<Plan, Failure> {
    let (who, path, wishes) = (who.clone(), path.to_owned(), input.cond_input.clone());
    let plan = session.catalog().read(move |conn| {
        let Some(object) = existing(conn, &who, &path, wishes.has(keywords::FORCE_FLAG))? else {
            let resource = placement::for_new(conn, &wishes)?;
            data_objects::check_creatable(conn, &who, &path)?;
            return Ok(Plan::New(resource));
        };
        access::require(conn, &who, object.id, Level::MODIFY_OBJECT)?;
        let (replica, resource) = placement::existing(conn, &object, &wishes, For::Putting)?;
        let after = After::default();
        Ok(Plan::Over(Rewrite {
            who,
            object,
            replica,
            resource,
            after,
            truncate: true,
        }))
    });
    Ok(plan.await?)
}

/// The object to overwrite; none if the name is free.
fn existing(
    conn: &Connection,
    who: &Identity,
    path: &str,
    force: bool,
) -> Result<Option<data_objects::DataObject>, CatalogError> {
    let taken = || {
        CatalogError::new(
            codes::OVERWRITE_WITHOUT_FORCE_FLAG,
            format!("{path} exists"),
        )
    };
    match data_objects::visible(conn, who, path) {
        Ok(object) if force => Ok(Some(object)),
        Ok(_) => Err(taken()),
        // Real servers say the same of a collection (recorded exchange raw_data_obj_put).
        Err(error) if error.code == codes::CAT_NO_ROWS_FOUND => {
            match collections::find(conn, path)? {
                Some(_) => Err(taken()),
                None => Ok(None),
            }
        }
        Err(error) => Err(error),
    }
}

async fn open_large(
    session: &mut Session,
    request: &Request,
    input: DataObjInp,
    who: Identity,
    path: String,
) -> Answer {
    let force = input.cond_input.has(keywords::FORCE_FLAG);
    session
        .catalog()
        .read(move |conn| existing(conn, &who, &path, force))
        .await?;
    let l1desc_inx = open::open_as(session, input, Mode::OVERWRITE).await?;
    Reply::with(
        request.packing,
        &PortalOprOut {
            l1desc_inx,
            ..PortalOprOut::default()
        },
    )
}

/// One file in one message.
struct Put {
    who: Identity,
    path: String,
    bytes: Bytes,
    after: After,
    declared: i64,
    input: DataObjInp,
}

impl Put {
    /// Gives the id of the new object.
    async fn create(self, zone: &Arc<Shared>, resource: Resource) -> Result<i64, Failure> {
        let (file, place) = open::make_file(zone, &self.path, &resource).await?;
        let vault_path = PathBuf::from(&resource.vault_path);
        let (bytes, wanted, durable, at) = (
            self.bytes.clone(),
            self.after.checksum.clone(),
            zone.durable,
            place.clone(),
        );
        let length_fits = self.declared < 0 || usize::try_from(self.declared) == Ok(bytes.len());
        let written = blocking(move || {
            if !length_fits {
                // Seen on a 5.0.90 server: such an object has no bytes.
                return Ok(String::new());
            }
            io::write_at(&file, 0, &bytes)
                .map_err(|error| Failure::io(codes::UNIX_FILE_WRITE_ERR, &error, at.display()))?;
            if durable {
                close::sync(&file, &at).map_err(|error| {
                    Failure::io(codes::UNIX_FILE_FSYNC_ERR, &error, at.display())
                })?;
            }
            Ok(checksum_of(&wanted, &bytes))
        })
        .await?;
        let checksum = match written {
            Ok(checksum) => checksum,
            Err(failure) => {
                open::discard(vault_path, place).await;
                return Err(failure);
            }
        };
        let failure = self.judge(length_fits, &checksum);
        let size = if length_fits { self.bytes.len() } else { 0 };
        let status = if failure.is_none() {
            Status::Good
        } else {
            Status::Stale
        };
        let mut new = NewReplica::new(
            resource.id,
            vault::text(&place),
            i64::try_from(size).unwrap_or(i64::MAX),
            status,
        );
        new.checksum = checksum;
        new.data_type = self
            .input
            .cond_input
            .get(keywords::DATA_TYPE)
            .unwrap_or_default()
            .to_owned();
        // Kept only with the bits of a file type (recorded exchanges icmd_iput_r and raw_data_obj_put).
        if self.input.create_mode & REGULAR_FILE != 0 {
            new.mode = self.input.create_mode.to_string();
        }
        let extras = failure.is_none() && self.after.has_extras();
        let (who, path, after) = (self.who, self.path, self.after);
        let stored = zone
            .catalog
            .write(move |conn| {
                let id = data_objects::create(conn, &who, &path, &new)?;
                // A refused AVU or permission does not take the object back (seen on a 5.0.90 server).
                let applied = if extras {
                    after.apply(conn, &who, &path)
                } else {
                    Ok(())
                };
                Ok((id, applied.err()))
            })
            .await;
        match (stored, failure) {
            (Err(error), _) => {
                open::discard(vault_path, place).await;
                Err(error.into())
            }
            (Ok(_), Some(failure)) => Err(failure),
            (Ok((_, Some(refused))), None) => Err(refused.into()),
            (Ok((id, None)), None) => Ok(id),
        }
    }

    async fn overwrite(self, zone: &Arc<Shared>, mut rewrite: Rewrite) -> Result<(), Failure> {
        let length_fits =
            self.declared < 0 || usize::try_from(self.declared) == Ok(self.bytes.len());
        rewrite.after = self.after;
        let (replica, file, writing) = open::begin_rewrite(zone, rewrite).await?;
        let bytes = self.bytes;
        let outcome = if length_fits {
            let file = Arc::clone(&file);
            blocking(move || io::write_at(&file, 0, &bytes))
                .await?
                .map_err(|error| {
                    Failure::io(codes::UNIX_FILE_WRITE_ERR, &error, &replica.physical_path)
                })
        } else {
            Err(Failure::code(codes::SYS_COPY_LEN_ERR))
        };
        writing.note(outcome.as_ref().err().map(|failure| failure.code));
        let descriptor = crate::descriptor::Descriptor {
            input: self.input,
            replica,
            file,
            position: 0,
            readable: false,
            writing: Some(writing),
        };
        let finished = close::leave(zone, descriptor, Leave::Finish).await;
        outcome.and(finished)
    }

    /// What is wrong with what has come.
    fn judge(&self, length_fits: bool, checksum: &str) -> Option<Failure> {
        if !length_fits {
            let message = format!(
                "{} bytes were declared, {} have come",
                self.declared,
                self.bytes.len()
            );
            return Some(Failure::new(codes::SYS_COPY_LEN_ERR, message));
        }
        match &self.after.checksum {
            Checksum::Verify(expected) if expected != checksum => Some(Failure::new(
                codes::USER_CHKSUM_MISMATCH,
                format!("what has come has the checksum {checksum}"),
            )),
            _ => None,
        }
    }
}

fn checksum_of(wanted: &Checksum, bytes: &[u8]) -> String {
    match wanted {
        Checksum::None => String::new(),
        Checksum::Register => checksum::of_bytes(Scheme::Sha2, bytes),
        Checksum::Verify(expected) => {
            checksum::of_bytes(Scheme::of(expected).unwrap_or(Scheme::Sha2), bytes)
        }
    }
}
