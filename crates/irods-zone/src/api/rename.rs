//! `DATA_OBJ_RENAME`: objects and collections get another name; their files stay where they are.

use std::sync::Arc;

use irods_protocol::message::DataObjCopyInp;
use irods_protocol::{codes, keywords};

use super::{collection_path, unlink};
use crate::catalog::{CatalogError, collections, data_objects};
use crate::reply::{Answer, Reply, Request};
use crate::session::Session;

/// `oprType` for an object.
const OBJECT: i32 = 11;
/// `oprType` for a collection.
const COLLECTION: i32 = 12;

/// `DATA_OBJ_RENAME`. With `forceFlag` an object at the destination is removed first.
pub(super) async fn rename(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjCopyInp = request.input()?;
    let who = session.acting(&input.source.cond_input)?;
    let from = collection_path(&input.source.obj_path)?;
    let to = collection_path(&input.destination.obj_path)?;
    let wanted = input.source.opr_type;
    let force = input.source.cond_input.has(keywords::FORCE_FLAG)
        || input.destination.cond_input.has(keywords::FORCE_FLAG);
    let zone = Arc::clone(&session.zone);
    let replaced = zone
        .catalog
        .write(move |conn| {
            if from == to {
                return Err(CatalogError::new(
                    codes::SAME_SRC_DEST_PATHS_ERR,
                    format!("{from} is where it is"),
                ));
            }
            let is_object = match wanted {
                OBJECT => true,
                COLLECTION => false,
                _ => data_objects::find(conn, &from)?.is_some(),
            };
            if !is_object && wanted != COLLECTION && collections::find(conn, &from)?.is_none() {
                return Err(CatalogError::new(
                    codes::CAT_NO_ROWS_FOUND,
                    format!("no {from}"),
                ));
            }
            if !is_object {
                return collections::rename(conn, &who, &from, &to).map(|()| None);
            }
            let replaced = match force && data_objects::find(conn, &to)?.is_some() {
                true => Some(data_objects::remove(conn, &who, &to)?),
                false => None,
            };
            data_objects::rename(conn, &who, &from, &to)?;
            Ok(replaced)
        })
        .await?;
    if let Some(object) = replaced {
        unlink::remove_files(&zone, object.replicas).await;
    }
    Ok(Reply::done())
}
