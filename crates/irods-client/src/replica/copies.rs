//! More, moved and fewer replicas. The server moves the bytes; the answer comes when it is done.

use irods_protocol::message::{DataObjInp, KeyValPair};
use irods_protocol::{api, keywords, path};

use super::ReplicaRef;
use crate::collection::{UNREGISTER, bad_path};
use crate::connection::{Connection, Reply, Request};
use crate::data_object::object_input;
use crate::error::{Call, Result};

/// `oprType` of replicating and of moving.
const REPLICATE: i32 = 6;
const MOVE: i32 = 15;

/// How to replicate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicate {
    /// Resource that gets a replica: a root or a leaf; the server's default if not given. A good replica that is there already
    /// stays as it is; a stale one is brought up to date.
    pub to: Option<String>,
    /// What is copied; a good replica of the server's choice if not given.
    pub from: Option<ReplicaRef>,
    /// Instead of making one, bring all stale replicas up to date.
    pub update_all: bool,
    /// The server reads what it has written and compares the checksum with the source's.
    pub verify_checksum: bool,
    /// As administrator, on somebody else's object.
    pub as_admin: bool,
}

/// How to trim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// Good replicas that stay at least; 2 is what servers keep unless told otherwise.
    pub keep: u32,
    /// Out of the catalog only: the file stays.
    pub unregister: bool,
    /// As administrator, on somebody else's object.
    pub as_admin: bool,
}

impl Default for Trim {
    fn default() -> Self {
        Trim {
            keep: 2,
            unregister: false,
            as_admin: false,
        }
    }
}

impl Connection {
    /// Makes a further replica of a data object, or brings replicas up to date.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`]; `SYS_NO_GOOD_REPLICA`; `SYS_NOT_ALLOWED` where the source is not good or the target is
    /// being written; `SYS_RESC_DOES_NOT_EXIST`; `USER_CHKSUM_MISMATCH`.
    pub async fn replicate(&mut self, object: &str, how: &Replicate) -> Result<()> {
        let mut keywords = KeyValPair::new();
        if let Some(to) = &how.to {
            keywords.set(keywords::DEST_RESC_NAME, to.clone());
        }
        if let Some(from) = &how.from {
            from.set(&mut keywords);
        }
        if how.update_all {
            keywords.set(keywords::UPDATE_REPL, "");
            keywords.set(keywords::ALL, "");
        }
        if how.verify_checksum {
            keywords.set(keywords::VERIFY_CHKSUM, "");
        }
        if how.as_admin {
            keywords.set(keywords::IRODS_ADMIN, "");
        }
        let mut input = object_input(object, keywords);
        input.opr_type = REPLICATE;
        self.copies(api::DATA_OBJ_REPL, input).await.map(drop)
    }

    /// Moves a replica from one resource to another; its number stays.
    ///
    /// # Errors
    /// As [`Connection::replicate`]; `SYS_COPY_ALREADY_IN_RESC` or `SYS_NOT_ALLOWED` where the target has a replica.
    pub async fn move_replica(&mut self, object: &str, from: &str, to: &str) -> Result<()> {
        let keywords = KeyValPair::new()
            .with(keywords::RESC_NAME, from)
            .with(keywords::DEST_RESC_NAME, to);
        let mut input = object_input(object, keywords);
        input.opr_type = MOVE;
        self.copies(api::DATA_OBJ_PHYMV, input).await.map(drop)
    }

    /// Removes one replica; whether that was done. It is not where fewer than `keep` would stay, or no good one (recorded
    /// exchange prc_replicate_trim).
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`]; `USER_INCOMPATIBLE_PARAMS`; `SYS_REPLICA_DOES_NOT_EXIST`; `CAT_NO_ACCESS_PERMISSION`.
    pub async fn trim(&mut self, object: &str, which: &ReplicaRef, how: &Trim) -> Result<bool> {
        let mut keywords = KeyValPair::new();
        which.set(&mut keywords);
        keywords.set(keywords::COPIES, how.keep.to_string());
        if how.as_admin {
            keywords.set(keywords::IRODS_ADMIN, "");
        }
        let mut input = object_input(object, keywords);
        if how.unregister {
            input.opr_type = UNREGISTER;
        }
        let reply = self.copies(api::DATA_OBJ_TRIM, input).await?;
        Ok(reply.code > 0)
    }

    async fn copies(&mut self, number: i32, mut input: DataObjInp) -> Result<Reply> {
        let call = Call::Api(number);
        path::check(&input.obj_path).map_err(|e| bad_path(call, &input.obj_path, &e))?;
        input.data_size = -1;
        let request = Request::new(number, &input.obj_path).patient();
        self.call(request, Some(&input)).await
    }
}
