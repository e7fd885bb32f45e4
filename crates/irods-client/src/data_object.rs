//! Data objects as the catalog has them: stat, replicas, removal, renaming, checksums, times.
//!
//! Bytes go through [`crate::transfer`], registration through [`crate::register`].

use irods_protocol::message::{DataObjCopyInp, DataObjInp, KeyValPair, RodsObjStat, StrPi};
use irods_protocol::{api, codes, columns, keywords, path};
use serde_json::json;

use crate::collection::{REPLICA_COLUMNS, Replica, UNREGISTER, bad_path};
use crate::connection::{Connection, Request};
use crate::error::{Call, Result, Violation};
use crate::query::Query;

/// `oprType` of renaming an object and a collection.
const RENAME_DATA_OBJECT: i32 = 11;
const RENAME_COLLECTION: i32 = 12;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A data object.
    DataObject,
    /// A collection.
    Collection,
}

/// What is known of a path: for a data object, that of its best replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What the path names.
    pub kind: ObjectKind,
    /// Catalog id.
    pub id: i64,
    /// Size in bytes; 0 for collections.
    pub size: u64,
    /// Stored checksum, empty if none.
    pub checksum: String,
    /// Owner's name.
    pub owner: String,
    /// Owner's zone.
    pub owner_zone: String,
    /// Creation time, seconds since 1970.
    pub ctime: i64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
}

/// How to remove a data object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remove {
    /// Into the trash.
    ToTrash,
    /// For good, with the files; files outside a vault stay even so.
    Force,
    /// Out of the catalog; the files stay.
    Unregister,
}

/// How to ask for a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumMode {
    /// The stored one; computed and stored if there is none.
    Stored,
    /// Computed again, and stored.
    Recompute,
}

impl Connection {
    /// What a path names, if it is there and visible. One call.
    ///
    /// # Errors
    /// As [`Connection::call`], but finding nothing is no error.
    pub async fn stat(&mut self, path: &str) -> Result<Option<Stat>> {
        let input = DataObjInp {
            obj_path: path.to_owned(),
            ..DataObjInp::default()
        };
        let request = Request::new(api::OBJ_STAT, path);
        let reply = match self.call(request, Some(&input)).await {
            Ok(reply) => reply,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let stat: RodsObjStat = self.decode(api::OBJ_STAT, &reply)?;
        let kind = match stat.obj_type {
            1 => ObjectKind::DataObject,
            2 => ObjectKind::Collection,
            0 => return Ok(None),
            other => {
                let what = format!("an object of unknown type {other}");
                let call = Call::Api(api::OBJ_STAT);
                return Err(self.violation(call, Violation::Content(what)));
            }
        };
        Ok(Some(Stat {
            kind,
            id: stat.data_id.trim().parse().unwrap_or(-1),
            size: u64::try_from(stat.obj_size).unwrap_or(0),
            checksum: stat.chksum,
            owner: stat.owner_name,
            owner_zone: stat.owner_zone,
            ctime: stat.create_time.trim().parse().unwrap_or(0),
            mtime: stat.modify_time.trim().parse().unwrap_or(0),
        }))
    }

    /// The replicas of a data object; none if it is not there or not visible. One query.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn replicas(&mut self, object: &str) -> Result<Vec<Replica>> {
        let call = Call::Api(api::GEN_QUERY);
        path::check(object).map_err(|e| bad_path(call, object, &e))?;
        let (collection, name) = path::split(object).unwrap_or(("/", object));
        let query = Query::select(&REPLICA_COLUMNS)
            .equals(columns::COLL_NAME, collection)
            .equals(columns::DATA_NAME, name);
        let mut replicas = self.query(query).all(|row| Replica::from_row(&row)).await?;
        replicas.sort_by_key(|r| r.number);
        Ok(replicas)
    }

    /// Removes a data object with all its replicas.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`]; `LOCKED_DATA_OBJECT_ACCESS` while it is being written; `CANT_UNREG_IN_VAULT_FILE` where an
    /// ordinary user unregisters a file of a vault.
    pub async fn remove_data_object(&mut self, object: &str, how: Remove) -> Result<()> {
        let call = Call::Api(api::DATA_OBJ_UNLINK);
        path::check(object).map_err(|e| bad_path(call, object, &e))?;
        let mut input = DataObjInp {
            obj_path: object.to_owned(),
            ..DataObjInp::default()
        };
        match how {
            Remove::ToTrash => {}
            Remove::Force => input.cond_input.set(keywords::FORCE_FLAG, ""),
            Remove::Unregister => {
                input.opr_type = UNREGISTER;
                let text = UNREGISTER.to_string();
                input.cond_input.set(keywords::OPR_TYPE, text);
            }
        }
        let request = Request::new(api::DATA_OBJ_UNLINK, object);
        self.call(request, Some(&input)).await.map(drop)
    }

    /// Renames or moves a data object or a collection.
    ///
    /// # Errors
    /// [`crate::Error::already_exists`] where the new name is taken; [`crate::Error::is_not_found`].
    pub async fn rename(&mut self, kind: ObjectKind, from: &str, to: &str) -> Result<()> {
        let call = Call::Api(api::DATA_OBJ_RENAME);
        for path in [from, to] {
            path::check(path).map_err(|e| bad_path(call, path, &e))?;
        }
        let opr_type = match kind {
            ObjectKind::DataObject => RENAME_DATA_OBJECT,
            ObjectKind::Collection => RENAME_COLLECTION,
        };
        let end = |path: &str| DataObjInp {
            obj_path: path.to_owned(),
            opr_type,
            ..DataObjInp::default()
        };
        let input = DataObjCopyInp {
            source: end(from),
            destination: end(to),
        };
        // The vault's files follow the name.
        let request = Request::new(api::DATA_OBJ_RENAME, from).patient();
        self.call(request, Some(&input)).await.map(drop)
    }

    /// The checksum of a data object as the catalog stores it (`sha2:...`, or hexadecimal MD5).
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`]; `SYS_NO_GOOD_REPLICA`; `USER_CHKSUM_MISMATCH` where the replicas differ.
    pub async fn checksum(&mut self, object: &str, mode: ChecksumMode) -> Result<String> {
        let mut input = DataObjInp {
            obj_path: object.to_owned(),
            ..DataObjInp::default()
        };
        if mode == ChecksumMode::Recompute {
            input.cond_input.set(keywords::FORCE_CHKSUM, "");
        }
        let request = Request::new(api::DATA_OBJ_CHKSUM, object).patient();
        let mut reply = self.call(request, Some(&input)).await?;
        if reply.message.is_empty() {
            // Replicas that differ are told by the error stack beside a result of 0 (server source 4.3).
            reply.code = reply
                .messages
                .iter()
                .map(|m| m.status)
                .find(|&status| status < 0)
                .unwrap_or(codes::USER_CHKSUM_MISMATCH);
            self.checked(request, reply)?;
            return Ok(String::new());
        }
        let text: StrPi = self.decode(api::DATA_OBJ_CHKSUM, &reply)?;
        Ok(text.my_str.unwrap_or_default())
    }

    /// Sets the modification time of a data object or collection, seconds since 1970, or now. With `create`, a missing data
    /// object is made, empty; without, a missing one is no error and nothing happens.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] where the collection is missing; servers before 4.2.9 lack the call.
    pub async fn touch(&mut self, path: &str, mtime: Option<i64>, create: bool) -> Result<()> {
        let mut options = json!({ "no_create": !create });
        if let Some(seconds) = mtime {
            options["seconds_since_epoch"] = seconds.into();
        }
        let input = json!({ "logical_path": path, "options": options });
        let request = Request::new(api::TOUCH, path);
        self.call_json(request, &input).await.map(drop)
    }
}

/// The input of most calls on a data object.
pub(crate) fn object_input(object: &str, keywords: KeyValPair) -> DataObjInp {
    DataObjInp {
        obj_path: object.to_owned(),
        cond_input: keywords,
        ..DataObjInp::default()
    }
}
