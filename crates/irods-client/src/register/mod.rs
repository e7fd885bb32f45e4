//! Registering files in place: the catalog learns of a file, no byte moves.
//!
//! [`Connection::register`] is the way with all of the server's checks; what is in `direct` writes rows as they are given.

use irods_protocol::message::{DataObjInp, KeyValPair};
use irods_protocol::{api, keywords, path};

use crate::collection::bad_path;
use crate::connection::{Connection, Request};
use crate::error::{Call, Result};

mod direct;

pub use direct::{BULK_MAX, Leaf, NewRow};

/// A file to register.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    /// Physical path as the server sees it.
    pub file: String,
    /// Size in bytes. If given, the server does not look at the file at all: it need not even exist.
    pub size: Option<u64>,
    /// Modification time to store, seconds since 1970; now if not given.
    pub mtime: Option<i64>,
    /// Where the file belongs: a root or leaf resource, or a whole hierarchy; the server's default if not given.
    pub target: Option<Target>,
    /// The server reads the file and stores its checksum.
    pub checksum: bool,
    /// As one more replica of an existing object, on a resource that has none.
    pub as_replica: bool,
    /// Data type; `generic` if not given.
    pub data_type: Option<String>,
}

/// Where a replica belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A resource by name: standalone, a root (its children vote), or a leaf. A coordinating resource in the middle is refused
    /// with `HIERARCHY_ERROR`.
    Resource(String),
    /// A full hierarchy, `root;child;leaf`.
    Hierarchy(String),
}

impl Target {
    pub(crate) fn set(&self, keywords: &mut KeyValPair) {
        match self {
            // `rescName` fails on a child resource where `destRescName` works (seen on a 5.0.90 server).
            Target::Resource(name) => keywords.set(keywords::DEST_RESC_NAME, name.clone()),
            Target::Hierarchy(hierarchy) => keywords.set(keywords::RESC_HIER, hierarchy.clone()),
        }
    }
}

impl Connection {
    /// Registers a file as a data object, or as a replica of one. One call; no existence check: the server's own error says
    /// what is wrong.
    ///
    /// # Errors
    /// [`crate::Error::already_exists`] where the name is taken; [`crate::Error::is_not_found`] where the collection is
    /// missing (for a replica: the object); `UNIX_FILE_STAT_ERR` where the server looked for the file in vain;
    /// `PATH_REG_NOT_ALLOWED` where policy keeps ordinary users from registering.
    pub async fn register(&mut self, object: &str, what: &Register) -> Result<()> {
        let input = what.input(object)?;
        self.call(what.request(object), Some(&input))
            .await
            .map(drop)
    }
}

impl Register {
    pub(crate) fn request<'a>(&self, object: &'a str) -> Request<'a> {
        let request = Request::new(api::PHY_PATH_REG, object);
        match self.checksum {
            true => request.patient(),
            false => request,
        }
    }

    pub(crate) fn input(&self, object: &str) -> Result<DataObjInp> {
        let call = Call::Api(api::PHY_PATH_REG);
        path::check(object).map_err(|e| bad_path(call, object, &e))?;
        let mut keywords = KeyValPair::new();
        keywords.set(keywords::FILE_PATH, self.file.clone());
        if let Some(size) = self.size {
            keywords.set(keywords::DATA_SIZE, size.to_string());
        }
        if let Some(mtime) = self.mtime {
            keywords.set(keywords::DATA_MODIFY, mtime.to_string());
        }
        if let Some(target) = &self.target {
            target.set(&mut keywords);
        }
        if self.checksum {
            keywords.set(keywords::REG_CHKSUM, "");
        }
        if self.as_replica {
            keywords.set(keywords::REG_REPL, "");
        }
        if let Some(data_type) = &self.data_type {
            keywords.set(keywords::DATA_TYPE, data_type.clone());
        }
        Ok(DataObjInp {
            obj_path: object.to_owned(),
            cond_input: keywords,
            ..DataObjInp::default()
        })
    }
}
