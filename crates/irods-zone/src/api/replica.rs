//! `GET_FILE_DESCRIPTOR_INFO`, `REPLICA_OPEN`, `REPLICA_CLOSE`: the JSON calls around open replicas,
//! which clients use to write one replica over several connections.

use irods_protocol::message::{BinBytesBuf, DataObjInp, KeyValPair};
use irods_protocol::{codes, keywords};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{close, open};
use crate::catalog::replicas::Replica;
use crate::descriptor::Descriptor;
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::writing::Leave;

/// Reads the JSON text of a request.
///
/// # Errors
/// `INPUT_ARG_NOT_WELL_FORMED_ERR`.
pub(super) fn json_input<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, Failure> {
    let input: BinBytesBuf = request.input()?;
    let end = input
        .0
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    serde_json::from_slice(input.0.get(..end).unwrap_or_default())
        .map_err(|error| Failure::new(codes::INPUT_ARG_NOT_WELL_FORMED_ERR, error.to_string()))
}

/// Packs a JSON text, with the NUL that real servers send along.
///
/// # Errors
/// Those of packing.
pub(super) fn json_reply(request: &Request, value: &Value) -> Answer {
    let mut text = value.to_string().into_bytes();
    text.push(0);
    Reply::with(request.packing, &BinBytesBuf(text))
}

#[derive(Deserialize)]
struct DescriptorInput {
    fd: i32,
}

/// `GET_FILE_DESCRIPTOR_INFO`.
pub(super) fn descriptor_info(session: &mut Session, request: &Request) -> Answer {
    let input: DescriptorInput = json_input(request)?;
    let info = info(session.descriptors.get(input.fd)?);
    json_reply(request, &info)
}

/// `REPLICA_OPEN`: `DATA_OBJ_OPEN` answered with the descriptor's information.
pub(super) async fn open(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let mode = open::Mode::of(input.open_flags)?;
    let number = open::open_as(session, input, mode).await?;
    let info = info(session.descriptors.get(number)?);
    Ok(json_reply(request, &info)?.result(number))
}

#[derive(Deserialize)]
struct CloseInput {
    fd: i32,
    #[serde(default = "yes")]
    update_size: bool,
    #[serde(default = "yes")]
    update_status: bool,
    #[serde(default)]
    compute_checksum: bool,
}

const fn yes() -> bool {
    true
}

/// `REPLICA_CLOSE`: with `update_status` as `DATA_OBJ_CLOSE`; without, the replica stays in flight for
/// the others that have it open.
pub(super) async fn close(session: &mut Session, request: &Request) -> Answer {
    let input: CloseInput = json_input(request)?;
    if input.compute_checksum && !(input.update_status && input.update_size) {
        return Err(Failure::code(codes::USER_INCOMPATIBLE_PARAMS));
    }
    let descriptor = session.descriptors.take(input.fd)?;
    if input.compute_checksum
        && let Some(writing) = &descriptor.writing
    {
        writing.want_checksum();
    }
    let how = if input.update_status {
        Leave::Finish
    } else {
        Leave::Detach
    };
    close::leave(&session.zone, descriptor, how).await?;
    Ok(Reply::done())
}

/// What a client may want to know of an open replica; the shape of a 5.0.90 server (recorded
/// exchange prc_replica_open_close).
fn info(descriptor: &Descriptor) -> Value {
    let input = &descriptor.input;
    let writing = descriptor.writing.as_ref();
    let open_type = match writing {
        None => 2,
        Some(writing) if writing.created => 1,
        Some(_) => 3,
    };
    let mut replica = descriptor.replica.clone();
    if writing.is_some() {
        replica.status = crate::catalog::replicas::Status::Intermediate;
    }
    let status = replica.status.number();
    let mut object = data_object_info(&input.obj_path, &replica, &input.cond_input);
    if let Some(object) = object.as_object_mut() {
        object.insert("write_flag".to_owned(), json!(i32::from(open_type == 3)));
        object.insert("is_replica_current".to_owned(), json!(open_type == 2));
    }
    json!({
        "bytes_written": -1,
        "checksum": "",
        "checksum_flag": 0,
        "copies_needed": 0,
        "data_object_info": object,
        "data_object_input": {
            "condition_input": pairs(&input.cond_input),
            "create_mode": input.create_mode,
            "data_size": input.data_size,
            "number_of_threads": input.num_threads,
            "object_path": input.obj_path,
            "offset": input.offset,
            "open_flags": input.open_flags,
            "operation_type": input.opr_type,
            "special_collection": null,
        },
        "data_object_input_replica_flag": 1,
        "data_size": input.data_size,
        "in_pdmo": "",
        "in_use": true,
        "l3descInx": 3,
        "lock_file_descriptor": 0,
        "open_type": open_type,
        "operation_status": 0,
        "operation_type": 0,
        "other_data_object_info": null,
        "plugin_data": null,
        "purge_cache_flag": 0,
        "remote_l1_descriptor_index": 0,
        "remote_zone_host": null,
        "replica_status": status,
        "replica_token": writing.map_or("", |writing| writing.token.as_str()),
        "replication_data_object_info": null,
        "source_l1_descriptor_index": 0,
        "stage_flag": 0,
    })
}

/// One replica in the same shape.
pub(super) fn data_object_info(path: &str, replica: &Replica, wishes: &KeyValPair) -> Value {
    json!({
        "checksum": replica.checksum,
        "collection_id": replica.coll_id,
        "condition_input": pairs(wishes),
        "data_access": "",
        "data_access_index": 0,
        "data_comments": replica.comments,
        "data_create": replica.create_time,
        "data_expiry": replica.expiry,
        "data_id": replica.data_id,
        "data_map_id": 0,
        "data_mode": replica.mode,
        "data_modify": replica.modify_time,
        "data_owner_name": replica.owner_name,
        "data_owner_zone": replica.owner_zone,
        "data_size": replica.size,
        "data_type": replica.data_type,
        "destination_resource_name": "",
        "file_path": replica.physical_path,
        "flags": 0,
        "in_pdmo": "",
        "is_replica_current": false,
        "next": null,
        "object_path": path,
        "other_flags": 0,
        "registering_user_id": 0,
        "replica_number": replica.number,
        "replica_status": replica.status.number(),
        "resource_hierarchy": replica.resc_hier,
        "resource_id": replica.resc_id,
        "resource_name": replica.resc_name,
        "special_collection": null,
        "status_string": "",
        "sub_path": "",
        "version": replica.version,
        "write_flag": 0,
    })
}

fn pairs(wishes: &KeyValPair) -> Vec<Value> {
    let shown = wishes
        .0
        .iter()
        .filter(|(key, _)| key != keywords::REPLICA_TOKEN);
    shown
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}
