//! `OBJ_STAT`: what is at a path.

use irods_protocol::message::{DataObjInp, RodsObjStat};
use irods_protocol::{codes, keywords};

use crate::catalog::stat::{self, ObjectKind};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// `OBJ_STAT`. The result and `objType` are 1 for data objects, 2 for collections.
pub(super) async fn obj_stat(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let wanted = match input.cond_input.get(keywords::SEL_OBJ_TYPE) {
        None | Some("") => None,
        Some("dataObj") => Some(ObjectKind::DataObject),
        Some("collection") => Some(ObjectKind::Collection),
        Some(other) => {
            return Err(Failure::new(
                codes::SYS_INVALID_INPUT_PARAM,
                format!("selObjType {other:?}"),
            ));
        }
    };
    let path = input.obj_path;
    let found = session
        .catalog()
        .read(move |conn| stat::stat(conn, &who, &path, wanted))
        .await?;
    let obj_type = match found.kind {
        ObjectKind::DataObject => 1,
        ObjectKind::Collection => 2,
    };
    let out = RodsObjStat {
        obj_size: found.size,
        obj_type,
        data_mode: found.mode,
        data_id: found.id.to_string(),
        chksum: found.checksum,
        owner_name: found.owner_name,
        owner_zone: found.owner_zone,
        create_time: found.create_time,
        modify_time: found.modify_time,
        spec_coll: None,
    };
    Ok(Reply::with(request.packing, &out)?.result(obj_type))
}
