//! One replica written over several connections: its token, opening it once more with that, and leaving without finishing it.
//!
//! The first to open a replica for writing finishes it by its close; all others leave by [`OpenReplica::detach`] before. The
//! calls are JSON calls of servers from 4.2.9 on (recorded exchange prc_replica_open_close).

use irods_protocol::{api, keywords};
use serde::Deserialize;
use serde_json::json;

use super::open::{OpenedBy, WRITE_ONLY, open_input};
use super::{OpenHow, OpenReplica};
use crate::connection::{Connection, Request};
use crate::error::{Call, Result, Violation};
use crate::register::Target;

/// What a server knows of an open replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInfo {
    /// What lets others open the same replica for writing; empty if it is open for reading.
    pub token: String,
    /// Hierarchy, `root;child;leaf`.
    pub hierarchy: String,
    /// Number of the replica.
    pub number: i32,
    /// Catalog id of the object.
    pub id: i64,
    /// Physical path.
    pub file: String,
    /// Size in bytes that the catalog knows of.
    pub size: i64,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default)]
    replica_token: String,
    data_object_info: Option<Info>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    resource_hierarchy: String,
    replica_number: i32,
    data_id: i64,
    file_path: String,
    data_size: i64,
}

impl Connection {
    /// Opens a data object as [`Connection::open_data_object`] does, and tells what was opened, in one call (20003).
    ///
    /// # Errors
    /// As [`Connection::open_data_object`]; servers before 4.2.9 lack the call.
    pub async fn open_replica(
        &mut self,
        object: &str,
        how: OpenHow,
        target: Option<&Target>,
    ) -> Result<(OpenReplica<'_>, OpenInfo)> {
        let input = open_input(api::REPLICA_OPEN, object, how, target)?;
        let request = Request::new(api::REPLICA_OPEN, object);
        let reply = self.call(request, Some(&input)).await?;
        let descriptor = self.decode_json(api::REPLICA_OPEN, &reply)?;
        let info = info(self, api::REPLICA_OPEN, descriptor)?;
        Ok((
            OpenReplica::of(self, object, OpenedBy::Open, reply.code),
            info,
        ))
    }

    /// Opens a replica that is being written once more, on another connection than the first. To be left by
    /// [`OpenReplica::detach`].
    ///
    /// # Errors
    /// `INTERMEDIATE_REPLICA_ACCESS` where the token is not the replica's, or no longer.
    pub async fn join_replica(
        &mut self,
        object: &str,
        first: &OpenInfo,
        size: Option<u64>,
    ) -> Result<OpenReplica<'_>> {
        let target = Target::Hierarchy(first.hierarchy.clone());
        let mut input = open_input(api::DATA_OBJ_OPEN, object, OpenHow::Update, Some(&target))?;
        input.open_flags = WRITE_ONLY;
        let token = first.token.clone();
        input.cond_input.set(keywords::REPLICA_TOKEN, token);
        if let Some(size) = size {
            input.data_size = i64::try_from(size).unwrap_or(i64::MAX);
            input.cond_input.set(keywords::DATA_SIZE, size.to_string());
        }
        let request = Request::new(api::DATA_OBJ_OPEN, object);
        let reply = self.call(request, Some(&input)).await?;
        Ok(OpenReplica::of(self, object, OpenedBy::Open, reply.code))
    }
}

impl OpenReplica<'_> {
    /// What the server knows of it (call 20000).
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn info(&mut self) -> Result<OpenInfo> {
        let number = api::GET_FILE_DESCRIPTOR_INFO;
        let request = Request::new(number, &self.path);
        let input = json!({ "fd": self.descriptor });
        let reply = self.connection.call_json(request, &input).await?;
        let descriptor = self.connection.decode_json(number, &reply)?;
        info(self.connection, number, descriptor)
    }

    /// Leaves it to those who have it open on other connections: nothing is finished, no size and no state is taken (call 20004).
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn detach(mut self) -> Result<()> {
        self.closed = true;
        let request = Request::new(api::REPLICA_CLOSE, &self.path);
        let input = json!({
            "fd": self.descriptor,
            "update_size": false,
            "update_status": false,
            "compute_checksum": false,
            "send_notifications": false,
        });
        self.connection.call_json(request, &input).await.map(drop)
    }
}

fn info(connection: &mut Connection, number: i32, descriptor: Descriptor) -> Result<OpenInfo> {
    let Some(info) = descriptor.data_object_info else {
        let what = "an open replica of which nothing is known".to_owned();
        return Err(connection.violation(Call::Api(number), Violation::Content(what)));
    };
    Ok(OpenInfo {
        token: descriptor.replica_token,
        hierarchy: info.resource_hierarchy,
        number: info.replica_number,
        id: info.data_id,
        file: info.file_path,
        size: info.data_size,
    })
}
