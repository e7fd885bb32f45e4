//! What the zone tells about itself and its resources.

use irods_protocol::limits::MAX_NAME_LEN;
use irods_protocol::message::{
    BinBytesBuf, BytesBuf, DataObjInp, GetHierFromLeafIdInp, GetHierarchyForRescInp,
    GetHierarchyForRescOut, MiscSvrInfo, StrPi,
};
use irods_protocol::pack::{Packer, Unpacker};
use irods_protocol::{PackError, Packing, Pi, UnpackError, codes, keywords};
use serde_json::{Value, json};

use super::object_path;
use crate::agent::API_VERSION;
use crate::catalog::{data_objects, resources};
use crate::placement::{self, For};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::zone::ZONE_NAME;

/// `serverType` of a server with the catalog.
const CATALOG_ENABLED: i32 = 1;

/// `GET_MISC_SVR_INFO`.
pub(super) fn server(session: &Session) -> Answer {
    let out = MiscSvrInfo {
        server_type: CATALOG_ENABLED,
        server_boot_time: i32::try_from(session.zone.started).unwrap_or(i32::MAX),
        rel_version: session.zone.release.to_wire(),
        api_version: API_VERSION.to_owned(),
        rods_zone: ZONE_NAME.to_owned(),
        cert_info: BinBytesBuf(br#"{"ssl_enabled":false}"#.to_vec()),
    };
    Reply::with(session.packing, &out)
}

/// `GET_LIBRARY_FEATURES`.
pub(super) fn library_features(session: &Session) -> Answer {
    Reply::with(
        session.packing,
        &StrPi {
            my_str: Some(r#"{"IRODS_HAS_API_ENDPOINT_SWITCH_USER":1}"#.to_owned()),
        },
    )
}

/// `CLIENT_HINTS`.
pub(super) fn client_hints(session: &Session) -> Answer {
    let hints = json!({
        "hash_scheme": "SHA256",
        "match_hash_policy": "compatible",
        "plugins": [],
        "rules": [],
        "specific_queries": [],
        "server_rules": [],
    });
    report(session.packing, &hints)
}

fn report(packing: Packing, value: &Value) -> Answer {
    Reply::with(packing, &BytesBuf(value.to_string().into_bytes()))
}

/// `ZONE_REPORT`: the resources of the one server.
pub(super) async fn zone_report(session: &mut Session) -> Answer {
    let all = session.catalog().read(resources::list).await?;
    let resources: Vec<Value> = all
        .iter()
        .map(|r| {
            json!({
                "name": r.name, "type": r.resc_type, "host_name": r.host, "vault_path": r.vault_path,
                "context_string": r.context, "parent_resource": r.parent, "free_space": r.free_space,
                "comment": r.comment, "information": r.info, "status": r.status,
            })
        })
        .collect();
    let server = json!({
        "version": { "irods_version": session.zone.release.to_string(), "catalog_schema_version": 0 },
        "host_system_information": { "hostname": session.zone.host },
        "resources": resources,
        "plugins": [],
    });
    report(
        session.packing,
        &json!({ "zones": [{ "name": ZONE_NAME, "servers": [server] }] }),
    )
}

/// `GET_HIER_FOR_RESC`.
pub(super) async fn hierarchy_of_resource(session: &mut Session, request: &Request) -> Answer {
    let input: GetHierarchyForRescInp = request.input()?;
    let found = session
        .catalog()
        .read(move |conn| resources::get(conn, &input.resc_name))
        .await?;
    Reply::with(
        request.packing,
        &GetHierarchyForRescOut {
            resc_hier: found.hierarchy,
        },
    )
}

/// `GET_HIER_FROM_LEAF_ID`.
pub(super) async fn hierarchy_of_leaf(session: &mut Session, request: &Request) -> Answer {
    let input: GetHierFromLeafIdInp = request.input()?;
    let found = session
        .catalog()
        .read(move |conn| resources::by_id(conn, input.resc_id))
        .await?;
    Reply::with(request.packing, &LeafHierarchy(found.hierarchy))
}

/// `GetHierarchyFromLeafIdOut_PI`.
struct LeafHierarchy(String);

impl Pi for LeafHierarchy {
    const NAME: &'static str = "GetHierarchyFromLeafIdOut_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.text("hier_", MAX_NAME_LEN, self.0.as_bytes())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| u.text("hier_", MAX_NAME_LEN).map(Self))
    }
}

/// `GET_RESOURCE_INFO_FOR_OPERATION`: where an operation would go. The host is always this zone's.
pub(super) async fn resource_for_operation(session: &mut Session, request: &Request) -> Answer {
    let input: DataObjInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = object_path(&input.obj_path)?;
    let wishes = input.cond_input;
    let operation = wishes
        .get(keywords::RESOURCE_INFO_OP_TYPE)
        .unwrap_or_default()
        .to_owned();
    if !matches!(operation.as_str(), "CREATE" | "OPEN" | "WRITE" | "UNLINK") {
        return Err(Failure::new(
            codes::SYS_INVALID_INPUT_PARAM,
            format!("no such operation: {operation:?}"),
        ));
    }
    let hierarchy = session
        .catalog()
        .read(move |conn| {
            let object = match data_objects::visible(conn, &who, &path) {
                Err(error)
                    if error.code == codes::CAT_NO_ROWS_FOUND
                        && matches!(operation.as_str(), "CREATE" | "WRITE") =>
                {
                    return Ok(placement::for_new(conn, &wishes)?.hierarchy);
                }
                found => found?,
            };
            Ok(placement::existing(conn, &object, &wishes, For::Reading)?
                .0
                .resc_hier)
        })
        .await?;
    let text = json!({ "host": session.zone.host, "resource_hierarchy": hierarchy });
    Reply::with(
        request.packing,
        &StrPi {
            my_str: Some(text.to_string()),
        },
    )
}

/// `GET_HOST_FOR_PUT`, `GET_HOST_FOR_GET`: stay.
pub(super) fn host(session: &Session) -> Answer {
    Reply::with(
        session.packing,
        &StrPi {
            my_str: Some("thisAddress".to_owned()),
        },
    )
}
