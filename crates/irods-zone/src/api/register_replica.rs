//! Registering a file as one more replica of a data object (`PHY_PATH_REG` with `regRepl`).
//!
//! Server source 4.3: the row is a copy of an existing replica's, with the present time (`dataModify` is not looked at) and the
//! status of the one that was copied. Then the server compares: a size that was given or differs, or another checksum than the
//! copied one, makes the new replica the only good one. Without a checksum to compare none is computed.

use std::path::PathBuf;

use irods_protocol::keywords;
use irods_protocol::message::KeyValPair;

use super::blocking;
use super::register::{computed, given_size, replica_of, size_of};
use crate::catalog::replicas::{NewReplica, Replica, Status};
use crate::catalog::{CatalogError, Connection, Identity, access, data_objects, replicas};
use crate::checksum::Scheme;
use crate::placement;
use crate::reply::Failure;
use crate::session::Session;
use crate::store::Store;

/// What is known of the file before the row is written.
struct Facts {
    /// None: as the object has it.
    size: Option<i64>,
    checksum: String,
}

/// Registers the file and tells the new replica.
pub(super) async fn register(
    session: &Session,
    who: Identity,
    path: String,
    file: String,
    wishes: KeyValPair,
) -> Result<Replica, Failure> {
    let given = given_size(&wishes);
    let mut facts = Facts {
        size: given,
        checksum: String::new(),
    };
    if !wishes.has(keywords::REGISTER_AS_INTERMEDIATE) {
        let (caller, object, keywords) = (who.clone(), path.clone(), wishes.clone());
        let read = move |conn: &Connection| {
            let object = data_objects::visible(conn, &caller, &object)?;
            let resource = placement::for_registration(conn, &keywords)?;
            let checksum = object.best().map(|best| best.checksum.clone());
            Ok((checksum.unwrap_or_default(), Store::of(&resource)))
        };
        let (checksum, store) = session.catalog().read(read).await?;
        let file = PathBuf::from(&file);
        facts = blocking(move || {
            let size = match given {
                Some(size) => size,
                None => size_of(&store, &file)?,
            };
            let checksum = match checksum.as_str() {
                "" => checksum,
                there => {
                    let scheme = Scheme::of(there).unwrap_or(Scheme::Sha2);
                    computed(&store, &file, scheme)?
                }
            };
            Ok::<_, Failure>(Facts {
                size: Some(size),
                checksum,
            })
        })
        .await??;
    }
    let insert = move |conn: &Connection| insert(conn, &who, &path, file, &facts, &wishes);
    Ok(session.catalog().write(insert).await?)
}

fn insert(
    conn: &Connection,
    who: &Identity,
    path: &str,
    file: String,
    facts: &Facts,
    wishes: &KeyValPair,
) -> Result<Replica, CatalogError> {
    let resource = placement::for_registration(conn, wishes)?;
    let object = data_objects::visible(conn, who, path)?;
    access::require(conn, who, object.id, access::Level::MODIFY_OBJECT)?;
    let (like_size, like_status, like_checksum) = match object.best() {
        Some(best) => (best.size, best.status, best.checksum.clone()),
        None => (0, Status::Good, String::new()),
    };
    let size = facts.size.unwrap_or(like_size);
    let intermediate = wishes.has(keywords::REGISTER_AS_INTERMEDIATE);
    let status = match intermediate {
        true => Status::Intermediate,
        false => like_status,
    };
    let mut new = NewReplica::new(resource.id, file, size, status);
    new.data_type = wishes
        .get(keywords::DATA_TYPE)
        .unwrap_or_default()
        .to_owned();
    let other =
        size != like_size || (!facts.checksum.is_empty() && facts.checksum != like_checksum);
    new.checksum = match facts.checksum.is_empty() {
        true => like_checksum,
        false => facts.checksum.clone(),
    };
    let number = replicas::add(conn, object.id, &new)?;
    if !intermediate && (wishes.has(keywords::DATA_SIZE) || other) {
        replicas::make_only_good(conn, object.id, number)?;
    }
    replica_of(conn, object.id, number)
}
