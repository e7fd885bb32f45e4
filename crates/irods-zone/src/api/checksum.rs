//! `DATA_OBJ_CHKSUM`: the stored checksum, computed where it is missing or has to be; or a report on
//! how checksums, sizes and files agree.

use std::path::PathBuf;
use std::sync::Arc;

use irods_protocol::message::{DataObjInp, KeyValPair, StrPi};
use irods_protocol::{codes, keywords};
use serde_json::{Value, json};

use super::{blocking, object_path};
use crate::catalog::data_objects::{self, DataObject};
use crate::catalog::replicas::{self, Field, Replica, Status, Which};
use crate::catalog::resources::Resource;
use crate::catalog::{CatalogError, Connection, Identity, resources};
use crate::checksum::{self, Scheme};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::store::Store;
use crate::vault::Access;
use crate::zone::Shared;

/// Codes inside the report of a verification (recorded exchange prc_checksum).
const NO_CHECKSUM: i32 = -862_000;

/// `DATA_OBJ_CHKSUM`.
pub(super) async fn checksum(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let wishes = input.cond_input;
    let who = session.acting(&wishes)?;
    let path = object_path(&input.obj_path)?;
    check(&wishes)?;
    let verify = wishes.has(keywords::VERIFY_CHKSUM);
    let replicas = {
        let wishes = wishes.clone();
        session
            .catalog()
            .read(move |conn| chosen(conn, &who, &path, &wishes, verify))
            .await?
    };
    let zone = Arc::clone(&session.zone);
    if verify {
        return report(request, replicas, wishes.has(keywords::NO_COMPUTE)).await;
    }
    let force = wishes.has(keywords::FORCE_CHKSUM);
    let mut checksums = Vec::with_capacity(replicas.len());
    for (replica, resource) in replicas {
        checksums.push(of_replica(&zone, &replica, &resource, force).await?);
    }
    let first = checksums.first().cloned().unwrap_or_default();
    if checksums.iter().any(|other| *other != first) {
        return Ok(Reply::done().note(
            codes::USER_CHKSUM_MISMATCH,
            "the replicas have different checksums",
        ));
    }
    Reply::with(
        request.packing,
        &StrPi {
            my_str: Some(first),
        },
    )
}

/// Keywords that exclude each other.
fn check(wishes: &KeyValPair) -> Result<(), Failure> {
    let chosen = [
        keywords::REPL_NUM,
        keywords::RESC_NAME,
        keywords::CHKSUM_ALL,
    ];
    if chosen.iter().filter(|keyword| wishes.has(keyword)).count() > 1 {
        return Err(Failure::code(codes::USER_INCOMPATIBLE_PARAMS));
    }
    Ok(())
}

fn chosen(
    conn: &Connection,
    who: &Identity,
    path: &str,
    wishes: &KeyValPair,
    verify: bool,
) -> Result<Vec<(Replica, Resource)>, CatalogError> {
    let object = data_objects::visible(conn, who, path)?;
    let picked: Vec<Replica> = if let Some(number) = wishes.get(keywords::REPL_NUM) {
        let number = number.parse().map_err(|_| {
            CatalogError::new(codes::SYS_INVALID_INPUT_PARAM, "replNum is no number")
        })?;
        object.replica(number).cloned().into_iter().collect()
    } else if let Some(name) = wishes
        .get(keywords::RESC_NAME)
        .filter(|name| !name.is_empty())
    {
        resources::get(conn, name)?;
        let in_it = |r: &&Replica| r.resc_hier.split(';').any(|part| part == name);
        object.replicas.iter().filter(in_it).cloned().collect()
    } else {
        return good(conn, &object, verify || wishes.has(keywords::CHKSUM_ALL));
    };
    if picked.is_empty() {
        return Err(CatalogError::new(codes::SYS_REPLICA_DOES_NOT_EXIST, path));
    }
    with_resources(conn, picked)
}

fn good(
    conn: &Connection,
    object: &DataObject,
    all: bool,
) -> Result<Vec<(Replica, Resource)>, CatalogError> {
    let mut good: Vec<Replica> = object
        .replicas
        .iter()
        .filter(|r| r.status == Status::Good)
        .cloned()
        .collect();
    if good.is_empty() {
        return Err(CatalogError::new(
            codes::SYS_NO_GOOD_REPLICA,
            object.path.clone(),
        ));
    }
    if !all {
        good.truncate(1);
    }
    with_resources(conn, good)
}

fn with_resources(
    conn: &Connection,
    replicas: Vec<Replica>,
) -> Result<Vec<(Replica, Resource)>, CatalogError> {
    let pairs = replicas.into_iter().map(|replica| {
        let resource = resources::by_id(conn, replica.resc_id)?;
        Ok((replica, resource))
    });
    pairs.collect()
}

/// The checksum of an object's first good replica, of the kind of `like` where that is one. One that had to be computed is
/// stored if it is the replica's first.
pub(super) async fn of_object(
    session: &Session,
    who: Identity,
    path: String,
    like: &str,
) -> Result<String, Failure> {
    let found = session
        .catalog()
        .read(move |conn| good(conn, &data_objects::visible(conn, &who, &path)?, false))
        .await?;
    let (replica, resource) = found
        .first()
        .ok_or(Failure::code(codes::SYS_NO_GOOD_REPLICA))?;
    match (Scheme::of(like), Scheme::of(&replica.checksum)) {
        (Some(wanted), Some(stored)) if wanted != stored => {
            compute(replica, resource, wanted).await
        }
        _ => of_replica(&session.zone, replica, resource, false).await,
    }
}

/// The checksum of a replica; one that had to be computed is stored.
async fn of_replica(
    zone: &Arc<Shared>,
    replica: &Replica,
    resource: &Resource,
    force: bool,
) -> Result<String, Failure> {
    if !replica.checksum.is_empty() && !force {
        return Ok(replica.checksum.clone());
    }
    if !replica.status.at_rest() {
        return Err(Failure::code(codes::LOCKED_DATA_OBJECT_ACCESS));
    }
    let scheme = Scheme::of(&replica.checksum).unwrap_or(Scheme::Sha2);
    let computed = compute(replica, resource, scheme).await?;
    let (data_id, number, checksum) = (replica.data_id, replica.number, computed.clone());
    zone.catalog
        .write(move |conn| {
            // Only for the bytes that were read: a replica that is being written gets its own.
            let still = replicas::list(conn, data_id)?;
            if still
                .iter()
                .any(|r| r.number == number && r.status.at_rest())
            {
                replicas::modify(
                    conn,
                    data_id,
                    Which::Number(number),
                    &[(Field::Checksum, checksum)],
                )?;
            }
            Ok(())
        })
        .await?;
    Ok(computed)
}

/// Reads a replica's file and computes. Used wherever bytes at rest are checked.
pub(super) async fn compute(
    replica: &Replica,
    resource: &Resource,
    scheme: Scheme,
) -> Result<String, Failure> {
    let (store, file) = (Store::of(resource), PathBuf::from(&replica.physical_path));
    blocking(move || {
        let opened = store
            .open(&file, Access::READ)
            .map_err(|error| Failure::io(codes::UNIX_FILE_OPEN_ERR, &error, file.display()))?;
        checksum::of_file(scheme, &opened)
            .map_err(|error| Failure::io(codes::UNIX_FILE_READ_ERR, &error, file.display()))
    })
    .await?
}

async fn report(request: &Request, replicas: Vec<(Replica, Resource)>, no_compute: bool) -> Answer {
    let mut findings: Vec<Value> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (replica, resource) in &replicas {
        let number = replica.number;
        let (store, file) = (Store::of(resource), PathBuf::from(&replica.physical_path));
        match blocking(move || store.size(&file)).await? {
            Ok(size) if i64::try_from(size) == Ok(replica.size) => {}
            Ok(size) => findings.push(finding(
                "error",
                codes::USER_FILE_SIZE_MISMATCH,
                format!("ERROR: Physical size does not match size in catalog for replica [{number}]: {size} and {}.", replica.size),
            )),
            Err(error) => findings.push(finding(
                "error",
                codes::UNIX_FILE_STAT_ERR - error.raw_os_error().unwrap_or(0),
                format!("ERROR: Could not stat replica [{number}]: {error}."),
            )),
        }
        if replica.checksum.is_empty() {
            findings.push(finding(
                "warning",
                NO_CHECKSUM,
                format!("WARNING: No checksum available for replica [{number}]."),
            ));
            continue;
        }
        if !seen.contains(&replica.checksum) {
            seen.push(replica.checksum.clone());
        }
        if no_compute {
            continue;
        }
        let scheme = Scheme::of(&replica.checksum).unwrap_or(Scheme::Sha2);
        match compute(replica, resource, scheme).await {
            Ok(computed) if computed == replica.checksum => {}
            Ok(computed) => findings.push(finding(
                "error",
                codes::USER_CHKSUM_MISMATCH,
                format!("ERROR: Computed checksum [{computed}] does not match what is recorded in catalog [{}] for replica [{number}].", replica.checksum),
            )),
            Err(failure) => findings.push(finding("error", failure.code, format!("ERROR: {}", failure.message))),
        }
    }
    if seen.len() > 1 {
        findings.push(finding(
            "warning",
            codes::USER_CHKSUM_MISMATCH,
            "WARNING: Data object has replicas with different checksums.".to_owned(),
        ));
    }
    if findings.is_empty() {
        return Ok(Reply::done());
    }
    let text = StrPi {
        my_str: Some(Value::Array(findings).to_string()),
    };
    Ok(Reply::with(request.packing, &text)?.result(codes::CHECK_VERIFICATION_RESULTS))
}

fn finding(severity: &str, code: i32, message: String) -> Value {
    json!({ "error_code": code, "message": message, "severity": severity })
}
