//! `DATA_OBJ_OPEN`, `DATA_OBJ_CREATE`, and opening for the other calls that read or write.
//!
//! A new object's file is made first, then its row (intermediate, size 0); an existing object's row
//! becomes intermediate first, then its file is touched. So no crash leaves a good replica whose
//! bytes are not there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use irods_protocol::message::{DataObjInp, KeyValPair};
use irods_protocol::{codes, keywords};

use super::{blocking, object_path};
use crate::after::After;
use crate::catalog::access::{self, Level};
use crate::catalog::data_objects::{self, DataObject};
use crate::catalog::replicas::{self, Field, NewReplica, Outcome, Replica, Status, Which};
use crate::catalog::resources::Resource;
use crate::catalog::{CatalogError, Connection, Identity, collections, tickets};
use crate::descriptor::Descriptor;
use crate::locks::PathGuard;
use crate::placement::{self, For};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::store::Store;
use crate::vault::{self, Access};
use crate::writing::{Begin, Writing};
use crate::zone::Shared;

const WRONLY: i32 = 1;
const RDWR: i32 = 2;
const CREAT: i32 = 64;
const TRUNC: i32 = 512;

/// How an object is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub read: bool,
    pub write: bool,
    pub create: bool,
    pub truncate: bool,
}

impl Mode {
    /// Of the flags of the call (Linux values on every platform).
    ///
    /// # Errors
    /// `USER_INCOMPATIBLE_OPEN_FLAGS` for truncation without writing.
    pub fn of(flags: i32) -> Result<Self, Failure> {
        let mode = Self {
            read: flags & 3 != WRONLY,
            write: matches!(flags & 3, WRONLY | RDWR),
            create: flags & CREAT != 0,
            truncate: flags & TRUNC != 0,
        };
        if mode.truncate && !mode.write {
            return Err(Failure::code(codes::USER_INCOMPATIBLE_OPEN_FLAGS));
        }
        Ok(mode)
    }

    /// Creates, or truncates and overwrites.
    pub const OVERWRITE: Self = Self {
        read: true,
        write: true,
        create: true,
        truncate: true,
    };
    /// Reads.
    pub const READ: Self = Self {
        read: true,
        write: false,
        create: false,
        truncate: false,
    };
}

/// `DATA_OBJ_OPEN`.
pub(super) async fn open(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let mode = Mode::of(input.open_flags)?;
    Ok(Reply::code(open_as(session, input, mode).await?))
}

/// `DATA_OBJ_CREATE`; an existing object is truncated (server source 4.2.9 and later).
pub(super) async fn create(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    Ok(Reply::code(open_as(session, input, Mode::OVERWRITE).await?))
}

/// What is to be opened.
#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart once a call"
)]
enum Plan {
    /// An existing replica.
    Existing {
        object: DataObject,
        replica: Replica,
        resource: Resource,
    },
    /// One more replica of an existing object.
    Another {
        object: DataObject,
        resource: Resource,
    },
    /// A new object.
    New(Resource),
}

/// Opens and returns the descriptor.
pub(super) async fn open_as(
    session: &mut Session,
    input: DataObjInp,
    mode: Mode,
) -> Result<i32, Failure> {
    session.descriptors.room()?;
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let mut after = After::of(&input.cond_input)?;
    after.size = declared_size(&input);
    // Held until the catalog knows a new object.
    let guard = if mode.create {
        Some(lock(&session.zone, &path).await)
    } else {
        None
    };
    let plan = {
        let (who, path, wishes) = (who.clone(), path.clone(), input.cond_input.clone());
        session
            .catalog()
            .read(move |conn| plan(conn, &who, &path, &wishes, mode))
            .await?
    };
    if who.ticket.is_some() {
        let (who, path) = (who.clone(), path.clone());
        let id = match &plan {
            Plan::Existing { object, .. } | Plan::Another { object, .. } => Some(object.id),
            Plan::New(_) => None,
        };
        session
            .catalog()
            .write(move |conn| count_ticket(conn, &who, id, &path, mode.write))
            .await?;
    }
    let zone = Arc::clone(&session.zone);
    let descriptor = match plan {
        Plan::New(resource) => create_new(&zone, who, path, input, resource, after).await?,
        Plan::Another { object, resource } => {
            let (replica, file, writing) =
                begin_another(&zone, who, object, resource, after).await?;
            Descriptor {
                input,
                replica,
                file,
                position: 0,
                readable: mode.read,
                writing: Some(writing),
            }
        }
        Plan::Existing {
            replica, resource, ..
        } if !mode.write => read_existing(replica, resource, input).await?,
        Plan::Existing {
            object,
            replica,
            resource,
        } => {
            let writing = Rewrite {
                who,
                object,
                replica,
                resource,
                after,
                truncate: mode.truncate,
            };
            write_existing(&zone, writing, input, mode).await?
        }
    };
    drop(guard);
    Ok(session.descriptors.add(descriptor))
}

/// Counts the use of a ticket for an object, or for a collection that gets a new one.
fn count_ticket(
    conn: &Connection,
    who: &Identity,
    object: Option<i64>,
    path: &str,
    writes: bool,
) -> Result<(), CatalogError> {
    let id = match object {
        Some(id) => Some(id),
        None => {
            let parent = irods_protocol::path::split(path).map_or("/", |(parent, _)| parent);
            collections::find(conn, parent)?.map(|collection| collection.id)
        }
    };
    id.map_or(Ok(()), |id| tickets::use_once(conn, who, id, writes))
}

/// Keeps others from making or removing the file at an object's natural place.
pub(super) async fn lock(zone: &Shared, path: &str) -> PathGuard {
    zone.path_locks
        .lock(&vault::natural_path(Path::new("/"), path))
        .await
}

/// The same for a physical path.
pub(super) async fn lock_file(zone: &Shared, vault_path: &Path, file: &Path) -> PathGuard {
    let key = file
        .strip_prefix(vault_path)
        .map_or_else(|_| file.to_owned(), |inside| Path::new("/").join(inside));
    zone.path_locks.lock(&key).await
}

fn declared_size(input: &DataObjInp) -> Option<i64> {
    let text = input
        .cond_input
        .get(keywords::DATA_SIZE)
        .and_then(|text| text.trim().parse().ok());
    text.or(Some(input.data_size))
        .filter(|&size| size > 0 && !input.cond_input.has(keywords::NO_CHK_COPY_LEN))
}

fn plan(
    conn: &Connection,
    who: &Identity,
    path: &str,
    wishes: &KeyValPair,
    mode: Mode,
) -> Result<Plan, CatalogError> {
    let object = match data_objects::visible(conn, who, path) {
        Ok(object) => object,
        Err(error) if error.code == codes::CAT_NO_ROWS_FOUND && mode.create => {
            let resource = placement::for_new(conn, wishes)?;
            data_objects::check_creatable(conn, who, path)?;
            return Ok(Plan::New(resource));
        }
        Err(error) if error.code == codes::CAT_NO_ROWS_FOUND => {
            return Err(CatalogError::new(codes::OBJ_PATH_DOES_NOT_EXIST, ""));
        }
        Err(error) => return Err(error),
    };
    if mode.write {
        access::require(conn, who, object.id, Level::MODIFY_OBJECT)?;
    }
    let purpose = match mode.write {
        true => For::Writing {
            token: wishes.has(keywords::REPLICA_TOKEN),
        },
        false => For::Reading,
    };
    if mode.write
        && mode.create
        && let Some(resource) = placement::elsewhere(conn, &object, wishes)?
    {
        return Ok(Plan::Another { object, resource });
    }
    let (replica, resource) = placement::existing(conn, &object, wishes, purpose)?;
    Ok(Plan::Existing {
        object,
        replica,
        resource,
    })
}

async fn read_existing(
    replica: Replica,
    resource: Resource,
    input: DataObjInp,
) -> Result<Descriptor, Failure> {
    let file = open_file(&replica, &resource, Access::READ).await?;
    Ok(Descriptor {
        input,
        replica,
        file: Arc::new(file),
        position: 0,
        readable: true,
        writing: None,
    })
}

async fn open_file(
    replica: &Replica,
    resource: &Resource,
    access: Access,
) -> Result<File, Failure> {
    let (store, file) = (Store::of(resource), PathBuf::from(&replica.physical_path));
    blocking(move || {
        store
            .open(&file, access)
            .map_err(|error| Failure::io(codes::UNIX_FILE_OPEN_ERR, &error, file.display()))
    })
    .await?
}

/// Makes the file of a new object at its natural place or, if that is taken, elsewhere.
pub(super) async fn make_file(
    zone: &Arc<Shared>,
    path: &str,
    resource: &Resource,
) -> Result<(File, PathBuf), Failure> {
    if resource.is_s3() {
        return Err(Failure::new(
            codes::SYS_NOT_SUPPORTED,
            "this zone reads what is registered on an s3 resource, and writes nothing there",
        ));
    }
    let vault_path = PathBuf::from(&resource.vault_path);
    let natural = vault::natural_path(&vault_path, path);
    let (resc_id, text) = (resource.id, vault::text(&natural));
    let taken = zone
        .catalog
        .read(move |conn| replicas::by_physical_path(conn, resc_id, &text))
        .await?
        .is_some();
    blocking(move || {
        let attempt = |file: &Path| vault::make(&vault_path, file);
        let first = if taken {
            vault::other_path(&vault_path)
        } else {
            natural
        };
        let (made, place) = match attempt(&first) {
            Err(error) if vault::is_place_taken(&error) => {
                let other = vault::other_path(&vault_path);
                (attempt(&other), other)
            }
            made => (made, first),
        };
        made.map(|file| (file, place.clone()))
            .map_err(|error| Failure::io(codes::UNIX_FILE_CREATE_ERR, &error, place.display()))
    })
    .await?
}

async fn create_new(
    zone: &Arc<Shared>,
    who: Identity,
    path: String,
    input: DataObjInp,
    resource: Resource,
    after: After,
) -> Result<Descriptor, Failure> {
    let (file, place) = make_file(zone, &path, &resource).await?;
    let mut new = NewReplica::new(resource.id, vault::text(&place), 0, Status::Intermediate);
    new.data_type = input
        .cond_input
        .get(keywords::DATA_TYPE)
        .unwrap_or_default()
        .to_owned();
    new.mode = input.create_mode.to_string();
    let made = {
        let (who, path) = (who.clone(), path.clone());
        zone.catalog
            .write(move |conn| {
                let id = data_objects::create(conn, &who, &path, &new)?;
                let replica = replicas::list(conn, id)?.into_iter().next();
                replica.ok_or_else(|| {
                    CatalogError::new(codes::SYS_INTERNAL_ERR, "a new object without replica")
                })
            })
            .await
    };
    let replica = match made {
        Ok(replica) => replica,
        Err(error) => {
            discard(PathBuf::from(&resource.vault_path), place).await;
            return Err(error.into());
        }
    };
    let file = Arc::new(file);
    let writing = zone.writings.begin(Begin {
        data_id: replica.data_id,
        number: replica.number,
        path,
        who,
        file: Arc::clone(&file),
        physical_path: place,
        created: true,
        truncated: true,
        had_checksum: false,
        after,
    });
    Ok(Descriptor {
        input,
        replica,
        file,
        position: 0,
        readable: true,
        writing: Some(writing),
    })
}

/// Makes one more replica of an object, in flight. The caller holds the lock of the object's path.
pub(super) async fn begin_another(
    zone: &Arc<Shared>,
    who: Identity,
    object: DataObject,
    resource: Resource,
    after: After,
) -> Result<(Replica, Arc<File>, Arc<Writing>), Failure> {
    let (file, place) = make_file(zone, &object.path, &resource).await?;
    let mut new = NewReplica::new(resource.id, vault::text(&place), 0, Status::Intermediate);
    if let Some(best) = object.best() {
        new.data_type.clone_from(&best.data_type);
        new.mode.clone_from(&best.mode);
    }
    let data_id = object.id;
    let added = zone
        .catalog
        .write(move |conn| {
            let number = replicas::add_for_write(conn, data_id, &new)?;
            let all = replicas::list(conn, data_id)?;
            let found = all.into_iter().find(|r| r.number == number);
            found.ok_or_else(|| {
                CatalogError::new(codes::SYS_INTERNAL_ERR, "the new replica is gone")
            })
        })
        .await;
    let replica = match added {
        Ok(replica) => replica,
        Err(error) => {
            discard(PathBuf::from(&resource.vault_path), place).await;
            return Err(error.into());
        }
    };
    let file = Arc::new(file);
    let writing = zone.writings.begin(Begin {
        data_id,
        number: replica.number,
        path: object.path,
        who,
        file: Arc::clone(&file),
        physical_path: place,
        created: true,
        truncated: true,
        had_checksum: false,
        after,
    });
    Ok((replica, file, writing))
}

/// Removes a file that no row knows. The caller holds its lock.
pub(super) async fn discard(vault_path: PathBuf, file: PathBuf) {
    let removed =
        blocking(move || vault::remove(&vault_path, &file).map_err(|error| (error, file))).await;
    if let Ok(Err((error, file))) = removed {
        tracing::warn!(file = %file.display(), %error, "a file without object stays");
    }
}

/// An existing replica that is to be written.
pub(super) struct Rewrite {
    pub who: Identity,
    pub object: DataObject,
    pub replica: Replica,
    pub resource: Resource,
    pub after: After,
    pub truncate: bool,
}

async fn write_existing(
    zone: &Arc<Shared>,
    rewrite: Rewrite,
    input: DataObjInp,
    mode: Mode,
) -> Result<Descriptor, Failure> {
    if let Some(token) = input.cond_input.get(keywords::REPLICA_TOKEN) {
        let replica = rewrite.replica;
        let writing = zone
            .writings
            .join(replica.data_id, replica.number, token)
            .ok_or(Failure::code(codes::INTERMEDIATE_REPLICA_ACCESS))?;
        let file = Arc::clone(&writing.file);
        return Ok(Descriptor {
            input,
            replica,
            file,
            position: 0,
            readable: mode.read,
            writing: Some(writing),
        });
    }
    let (replica, file, writing) = begin_rewrite(zone, rewrite).await?;
    Ok(Descriptor {
        input,
        replica,
        file,
        position: 0,
        readable: mode.read,
        writing: Some(writing),
    })
}

/// Marks the replica as being written, then opens (and cuts) its file.
pub(super) async fn begin_rewrite(
    zone: &Arc<Shared>,
    rewrite: Rewrite,
) -> Result<(Replica, Arc<File>, Arc<Writing>), Failure> {
    let Rewrite {
        who,
        object,
        replica,
        resource,
        after,
        truncate,
    } = rewrite;
    let (data_id, number) = (replica.data_id, replica.number);
    zone.catalog
        .write(move |conn| {
            replicas::open_for_write(conn, data_id, number)?;
            if truncate {
                let emptied = [
                    (Field::Size, "0".to_owned()),
                    (Field::Checksum, String::new()),
                ];
                replicas::modify(conn, data_id, Which::Number(number), &emptied)?;
            }
            Ok(())
        })
        .await?;
    let access = Access {
        read: true,
        write: true,
        truncate,
    };
    let opened = match open_file(&replica, &resource, access).await {
        // A file may be writable and not readable.
        Err(error) if error.code == codes::UNIX_FILE_OPEN_ERR - 13 => {
            open_file(
                &replica,
                &resource,
                Access {
                    read: false,
                    ..access
                },
            )
            .await
        }
        opened => opened,
    };
    let file = match opened {
        Ok(file) => Arc::new(file),
        Err(failure) => {
            let (size, checksum) = (replica.size, replica.checksum);
            zone.catalog
                .write(move |conn| {
                    replicas::close_after_write(conn, data_id, number, &Outcome::Unchanged)?;
                    let restored = [(Field::Size, size.to_string()), (Field::Checksum, checksum)];
                    replicas::modify(conn, data_id, Which::Number(number), &restored)
                })
                .await?;
            return Err(failure);
        }
    };
    let writing = zone.writings.begin(Begin {
        data_id,
        number,
        path: object.path,
        who,
        file: Arc::clone(&file),
        physical_path: PathBuf::from(&replica.physical_path),
        created: false,
        truncated: truncate,
        had_checksum: !replica.checksum.is_empty(),
        after,
    });
    Ok((replica, file, writing))
}
