//! Replicas of a data object: changing what the catalog says of one, and making, moving and removing them.
//!
//! Registering a file as a replica is in [`crate::register`], opening one in [`crate::transfer`].

use irods_protocol::message::{DataObjInfo, KeyValPair, ModDataObjMeta};
use irods_protocol::{api, keywords, path};

use crate::collection::bad_path;
use crate::connection::{Connection, Request};
use crate::error::{Call, Result};

mod copies;
mod truncate;

pub use copies::{Replicate, Trim};
pub use truncate::Truncated;

/// One replica of a data object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReplicaRef {
    /// By number.
    Number(i32),
    /// By the resource that it is on: a leaf, or the root of its hierarchy.
    Resource(String),
}

impl ReplicaRef {
    fn set(&self, keywords: &mut KeyValPair) {
        match self {
            ReplicaRef::Number(number) => keywords.set(keywords::REPL_NUM, number.to_string()),
            ReplicaRef::Resource(name) => keywords.set(keywords::RESC_NAME, name.clone()),
        }
    }
}

/// Which replicas of a data object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Which {
    /// All.
    All,
    /// By number.
    Number(i32),
    /// By hierarchy, `root;child;leaf`.
    Hierarchy(String),
}

/// What to change. What is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Size in bytes.
    pub size: Option<u64>,
    /// Modification time, seconds since 1970.
    pub mtime: Option<i64>,
    /// Checksum to store, unverified; empty text removes it.
    pub checksum: Option<String>,
    /// The replica becomes good, and all others at rest become stale. With [`Which::All`] all become good.
    pub good: bool,
}

impl Connection {
    /// Changes a replica's row.
    ///
    /// # Errors
    /// `SYS_NO_API_PRIV` for anybody but a `rodsadmin`: stock servers keep the call from ordinary users;
    /// [`crate::Error::is_not_found`].
    pub async fn modify_replica(
        &mut self,
        object: &str,
        which: &Which,
        changes: &Changes,
    ) -> Result<()> {
        let mut regs = KeyValPair::new();
        if let Some(size) = changes.size {
            regs.set(keywords::DATA_SIZE, size.to_string());
        }
        if let Some(mtime) = changes.mtime {
            regs.set(keywords::DATA_MODIFY, mtime.to_string());
        }
        if let Some(checksum) = &changes.checksum {
            regs.set(keywords::CHKSUM, checksum.clone());
        }
        if changes.good {
            regs.set(keywords::ALL_REPL_STATUS, "1");
        }
        self.modify(api::MOD_DATA_OBJ_META, object, which, regs)
            .await
    }

    /// Sets the modification time as an ordinary user may (call 20001, servers from 4.2.8).
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`]; `CAT_NO_ACCESS_PERMISSION`; the server lacks the call.
    pub async fn set_mtime(&mut self, object: &str, which: &Which, mtime: i64) -> Result<()> {
        let regs = KeyValPair::new().with(keywords::DATA_MODIFY, mtime.to_string());
        self.modify(api::DATA_OBJECT_MODIFY_INFO, object, which, regs)
            .await
    }

    async fn modify(
        &mut self,
        number: i32,
        object: &str,
        which: &Which,
        mut regs: KeyValPair,
    ) -> Result<()> {
        let call = Call::Api(number);
        path::check(object).map_err(|e| bad_path(call, object, &e))?;
        let mut info = DataObjInfo {
            obj_path: object.to_owned(),
            ..DataObjInfo::default()
        };
        match which {
            Which::All => regs.set(keywords::ALL, ""),
            Which::Number(number) => info.repl_num = *number,
            Which::Hierarchy(hierarchy) => info.resc_hier = hierarchy.clone(),
        }
        let input = ModDataObjMeta {
            data_obj_info: Some(info),
            reg_param: Some(regs),
        };
        let request = Request::new(number, object);
        self.call(request, Some(&input)).await.map(drop)
    }
}
