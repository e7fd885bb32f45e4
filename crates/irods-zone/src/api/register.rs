//! Registering files that are where they are: `PHY_PATH_REG`, `REGISTER_PHYSICAL_PATH`,
//! `REG_DATA_OBJ`. No byte moves.
//!
//! Only rodsadmins register: which files of the server's machine become readable through the zone is
//! theirs to say (`PATH_REG_NOT_ALLOWED`, as real servers are packaged). `REG_DATA_OBJ`, which real
//! servers leave open to everybody, follows the same rule here.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use irods_protocol::message::{BinBytesBuf, DataObjInfo, DataObjInp, KeyValPair};
use irods_protocol::{codes, keywords};

use super::{blocking, object_path, register_replica};
use crate::after::{After, Checksum};
use crate::catalog::replicas::{NewReplica, Replica, Status};
use crate::catalog::resources::Resource;
use crate::catalog::{CatalogError, Connection, Identity, data_objects, replicas};
use crate::checksum::{self, Scheme};
use crate::placement;
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::store::Store;
use crate::vault::{self, Access};

/// Files and directories that one call with `collection` registers at most.
const MAX_TREE: usize = 1_000_000;
/// Most directories below each other.
const MAX_DEPTH: usize = 200;

/// What a file is registered as.
struct Facts {
    size: i64,
    checksum: String,
    modified: Option<String>,
}

/// `PHY_PATH_REG`.
pub(super) async fn register(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    run(session, input).await?;
    Ok(Reply::done())
}

/// `REGISTER_PHYSICAL_PATH`: the same, answered with the replica.
pub(super) async fn register_and_tell(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let path = input.obj_path.clone();
    let text = match run(session, input).await? {
        Some(replica) => {
            super::replica::data_object_info(&path, &replica, &KeyValPair::new()).to_string()
        }
        None => "{}".to_owned(),
    };
    Reply::with(request.packing, &BinBytesBuf(text.into_bytes()))
}

async fn run(session: &Session, input: DataObjInp) -> Result<Option<Replica>, Failure> {
    let wishes = input.cond_input;
    let who = session.acting(&wishes)?;
    let path = object_path(&input.obj_path)?;
    let file = wishes
        .get(keywords::FILE_PATH)
        .filter(|file| vault::is_plain(file))
        .ok_or_else(|| {
            Failure::new(
                codes::SYS_INVALID_FILE_PATH,
                "filePath must be an absolute path without . and ..",
            )
        })?
        .to_owned();
    require_registrar(&who)?;
    if wishes.has(keywords::COLLECTION_TYPE) {
        return Err(Failure::new(
            codes::SYS_NOT_SUPPORTED,
            "special collections are not served",
        ));
    }
    if wishes.has(keywords::COLLECTION) {
        let resource = resource(session, &wishes).await?;
        register_tree(session, who, path, file.into(), resource, &wishes).await?;
        return Ok(None);
    }
    if wishes.has(keywords::REG_REPL) {
        let replica = register_replica::register(session, who, path, file, wishes).await?;
        return Ok(Some(replica));
    }
    let facts = match given(&wishes)? {
        Some(facts) => facts,
        None => facts(&resource(session, &wishes).await?, &file, &wishes).await?,
    };
    let replica = session
        .catalog()
        .write(move |conn| insert(conn, &who, &path, file, facts, &wishes))
        .await?;
    Ok(Some(replica))
}

async fn resource(session: &Session, wishes: &KeyValPair) -> Result<Resource, Failure> {
    let wishes = wishes.clone();
    let found = session
        .catalog()
        .read(move |conn| placement::for_registration(conn, &wishes))
        .await?;
    Ok(found)
}

pub(super) fn require_registrar(who: &Identity) -> Result<(), Failure> {
    if who.is_rodsadmin() {
        Ok(())
    } else {
        Err(Failure::code(codes::PATH_REG_NOT_ALLOWED))
    }
}

/// What the client says of the file, if that is enough: then the file is not looked at (server
/// source 4.3), and the whole call is one transaction.
fn given(wishes: &KeyValPair) -> Result<Option<Facts>, Failure> {
    let unchecked = After::of(wishes)?.checksum == Checksum::None;
    Ok(given_size(wishes).filter(|_| unchecked).map(|size| Facts {
        size,
        checksum: String::new(),
        modified: modified(wishes),
    }))
}

pub(super) fn given_size(wishes: &KeyValPair) -> Option<i64> {
    wishes
        .get(keywords::DATA_SIZE)
        .map(|text| text.trim().parse().unwrap_or(0).max(0))
}

pub(super) fn size_of(store: &Store, file: &Path) -> Result<i64, Failure> {
    let found = store
        .size(file)
        .map_err(|error| Failure::io(codes::UNIX_FILE_STAT_ERR, &error, file.display()))?;
    Ok(i64::try_from(found).unwrap_or(i64::MAX))
}

fn modified(wishes: &KeyValPair) -> Option<String> {
    wishes
        .get(keywords::DATA_MODIFY)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// Size, time and checksum of a file.
async fn facts(resource: &Resource, file: &str, wishes: &KeyValPair) -> Result<Facts, Failure> {
    let after = After::of(wishes)?;
    let given = given_size(wishes);
    let modified = modified(wishes);
    let (store, file) = (Store::of(resource), PathBuf::from(file));
    blocking(move || {
        let there = size_of(&store, &file)?;
        let checksum = match &after.checksum {
            Checksum::None => String::new(),
            wanted => checksum_of(&store, &file, wanted)?,
        };
        Ok(Facts {
            size: given.unwrap_or(there),
            checksum,
            modified,
        })
    })
    .await?
}

fn checksum_of(store: &Store, file: &Path, wanted: &Checksum) -> Result<String, Failure> {
    let scheme = match wanted {
        Checksum::Verify(expected) => Scheme::of(expected).unwrap_or(Scheme::Sha2),
        _ => Scheme::Sha2,
    };
    let computed = computed(store, file, scheme)?;
    match wanted {
        Checksum::Verify(expected) if *expected != computed => Err(Failure::new(
            codes::USER_CHKSUM_MISMATCH,
            format!("{} has the checksum {computed}", file.display()),
        )),
        _ => Ok(computed),
    }
}

pub(super) fn computed(store: &Store, file: &Path, scheme: Scheme) -> Result<String, Failure> {
    let opened = store
        .open(file, Access::READ)
        .map_err(|error| Failure::io(codes::UNIX_FILE_OPEN_ERR, &error, file.display()))?;
    checksum::of_file(scheme, &opened)
        .map_err(|error| Failure::io(codes::UNIX_FILE_READ_ERR, &error, file.display()))
}

/// Writes the row of a new object. Nothing is copied to the rest of a hierarchy (recorded exchange prc_resources).
fn insert(
    conn: &Connection,
    who: &Identity,
    path: &str,
    file: String,
    facts: Facts,
    wishes: &KeyValPair,
) -> Result<Replica, CatalogError> {
    let resource = placement::for_registration(conn, wishes)?;
    let mut new = NewReplica::new(resource.id, file, facts.size, Status::Good);
    if wishes.has(keywords::REGISTER_AS_INTERMEDIATE) {
        new.status = Status::Intermediate;
    }
    new.checksum = facts.checksum;
    new.modify_time = facts.modified;
    new.data_type = wishes
        .get(keywords::DATA_TYPE)
        .unwrap_or_default()
        .to_owned();
    let data_id = data_objects::create(conn, who, path, &new)?;
    replica_of(conn, data_id, 0)
}

pub(super) fn replica_of(
    conn: &Connection,
    data_id: i64,
    number: i64,
) -> Result<Replica, CatalogError> {
    let all = replicas::list(conn, data_id)?;
    let found = all.into_iter().find(|replica| replica.number == number);
    found.ok_or_else(|| CatalogError::new(codes::SYS_REPLICA_DOES_NOT_EXIST, "the replica is gone"))
}

/// One entry of a directory tree.
struct Entry {
    path: String,
    file: PathBuf,
    /// None for a directory.
    size: Option<i64>,
    modified: u64,
}

/// Registers a directory tree: its directories as collections, its regular files as objects.
/// Existing objects are left alone with `forceFlag`, else the first ends the call.
async fn register_tree(
    session: &Session,
    who: Identity,
    path: String,
    directory: PathBuf,
    resource: Resource,
    wishes: &KeyValPair,
) -> Result<(), Failure> {
    let entries = blocking(move || list_tree(path, directory)).await??;
    let force = wishes.has(keywords::FORCE_FLAG);
    let with_checksum = After::of(wishes)?.checksum != Checksum::None;
    for chunk in entries.chunks(500) {
        let mut rows = Vec::with_capacity(chunk.len());
        for entry in chunk {
            let checksum = match entry.size {
                Some(_) if with_checksum => {
                    let (store, file) = (Store::of(&resource), entry.file.clone());
                    blocking(move || checksum_of(&store, &file, &Checksum::Register)).await??
                }
                _ => String::new(),
            };
            let new = entry.size.map(|size| {
                let mut new =
                    NewReplica::new(resource.id, vault::text(&entry.file), size, Status::Good);
                new.checksum = checksum;
                new.modify_time = Some(crate::catalog::time::from_seconds(entry.modified));
                new
            });
            rows.push((entry.path.clone(), new));
        }
        let who = who.clone();
        session
            .catalog()
            .write(move |conn| {
                for (path, new) in &rows {
                    match new {
                        None => drop(crate::catalog::collections::create_recursive(
                            conn, &who, path,
                        )?),
                        Some(_) if force && data_objects::find(conn, path)?.is_some() => {}
                        Some(new) => drop(data_objects::create(conn, &who, path, new)?),
                    }
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

fn list_tree(path: String, directory: PathBuf) -> Result<Vec<Entry>, Failure> {
    let fail = |file: &Path| {
        let file = file.to_owned();
        move |error: std::io::Error| {
            Failure::io(codes::UNIX_FILE_OPENDIR_ERR, &error, file.display())
        }
    };
    let mut found = vec![Entry {
        path: path.clone(),
        file: directory.clone(),
        size: None,
        modified: 0,
    }];
    let mut todo = vec![(path, directory, 0)];
    while let Some((path, directory, depth)) = todo.pop() {
        for entry in std::fs::read_dir(&directory).map_err(fail(&directory))? {
            let entry = entry.map_err(fail(&directory))?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(Failure::new(
                    codes::SYS_INVALID_FILE_PATH,
                    format!("{} is not UTF-8", entry.path().display()),
                ));
            };
            let kind = entry.file_type().map_err(fail(&entry.path()))?;
            let path = format!("{path}/{name}");
            if kind.is_dir() {
                if depth >= MAX_DEPTH {
                    return Err(Failure::new(
                        codes::SYS_INVALID_FILE_PATH,
                        "the directories are too deep",
                    ));
                }
                found.push(Entry {
                    path: path.clone(),
                    file: entry.path(),
                    size: None,
                    modified: 0,
                });
                todo.push((path, entry.path(), depth + 1));
            } else if kind.is_file() {
                let about = entry.metadata().map_err(fail(&entry.path()))?;
                let modified = about
                    .modified()
                    .ok()
                    .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
                found.push(Entry {
                    path,
                    file: entry.path(),
                    size: Some(i64::try_from(about.len()).unwrap_or(i64::MAX)),
                    modified: modified.map_or(0, |d| d.as_secs()),
                });
            }
            if found.len() > MAX_TREE {
                return Err(Failure::new(
                    codes::SYS_INVALID_FILE_PATH,
                    format!("more than {MAX_TREE} entries"),
                ));
            }
        }
    }
    Ok(found)
}

/// `REG_DATA_OBJ`: a row as given; the file is not looked at.
pub(super) async fn register_row(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInfo = request.input()?;
    let who = session.user()?;
    require_registrar(&who)?;
    let path = object_path(&input.obj_path)?;
    if !vault::is_plain(&input.file_path) {
        return Err(Failure::new(
            codes::SYS_INVALID_FILE_PATH,
            "filePath must be an absolute path without . and ..",
        ));
    }
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let new = NewReplica {
        resc_id: input.resc_id,
        physical_path: input.file_path.clone(),
        size: input.data_size,
        status: Status::from_number(input.repl_status.into()),
        data_type: input.data_type.clone(),
        checksum: input.chksum.clone(),
        mode: input.data_mode.clone(),
        comments: input.data_comments.clone(),
        create_time: given(&input.data_create),
        modify_time: given(&input.data_modify),
    };
    let (name, zone) = (who.name.clone(), who.zone.clone());
    let replica = session
        .catalog()
        .write(move |conn| {
            crate::catalog::resources::by_id(conn, new.resc_id)?;
            let id = data_objects::create(conn, &who, &path, &new)?;
            replica_of(conn, id, 0)
        })
        .await?;
    let out = DataObjInfo {
        data_id: replica.data_id,
        coll_id: replica.coll_id,
        data_expiry: replica.expiry,
        data_create: replica.create_time,
        data_access_time: replica.access_time,
        data_owner_name: name,
        data_owner_zone: zone,
        ..input
    };
    Reply::with(request.packing, &out)
}
