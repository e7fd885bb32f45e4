//! `MOD_DATA_OBJ_META` and `DATA_OBJECT_MODIFY_INFO`: columns of replicas' rows.

use irods_protocol::message::{DataObjInfo, KeyValPair, ModDataObjMeta};
use irods_protocol::{codes, keywords};

use crate::catalog::access::{self, Level};
use crate::catalog::data_objects::{self, DataObject};
use crate::catalog::replicas::{self, Field, Which};
use crate::catalog::{CatalogError, Connection, Identity, resources};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// Keywords and the columns that they change.
const FIELDS: &[(&str, Field)] = &[
    (keywords::CHKSUM, Field::Checksum),
    (keywords::DATA_CREATE, Field::CreateTime),
    (keywords::DATA_EXPIRY, Field::Expiry),
    (keywords::REPL_STATUS, Field::Status),
    (keywords::DATA_MODE, Field::Mode),
    (keywords::DATA_OWNER, Field::OwnerName),
    (keywords::DATA_OWNER_ZONE, Field::OwnerZone),
    (keywords::FILE_PATH, Field::PhysicalPath),
    (keywords::REPL_NUM, Field::Number),
    (keywords::DATA_SIZE, Field::Size),
    (keywords::STATUS_STRING, Field::StatusText),
    (keywords::DATA_TYPE, Field::DataType),
    (keywords::VERSION, Field::Version),
    (keywords::DATA_MODIFY, Field::ModifyTime),
    (keywords::DATA_COMMENTS, Field::Comments),
    (keywords::RESC_ID, Field::ResourceId),
    (keywords::DATA_ACCESS_TIME, Field::AccessTime),
];

/// What everybody who may modify an object's metadata can change.
const INFO: &[&str] = &[
    keywords::DATA_COMMENTS,
    keywords::DATA_EXPIRY,
    keywords::DATA_MODIFY,
    keywords::DATA_TYPE,
    keywords::ALL,
    keywords::IRODS_ADMIN,
];

/// `MOD_DATA_OBJ_META`.
pub(super) async fn modify(session: &mut Session, request: &Request) -> Answer {
    let input: ModDataObjMeta = request.input()?;
    run(session, input).await
}

/// `DATA_OBJECT_MODIFY_INFO`: the same for few columns.
pub(super) async fn modify_info(session: &mut Session, request: &Request) -> Answer {
    let input: ModDataObjMeta = request.input()?;
    let wishes = input.reg_param.as_ref();
    if let Some((bad, _)) =
        wishes.and_then(|w| w.0.iter().find(|(key, _)| !INFO.contains(&key.as_str())))
    {
        return Err(Failure::new(
            codes::USER_BAD_KEYWORD_ERR,
            format!("{bad} cannot be changed by this call"),
        ));
    }
    run(session, input).await
}

async fn run(session: &mut Session, input: ModDataObjMeta) -> Answer {
    let missing = || Failure::code(codes::SYS_API_INPUT_ERR);
    let info = input.data_obj_info.ok_or_else(missing)?;
    let wishes = input.reg_param.ok_or_else(missing)?;
    let who = session.acting(&wishes)?;
    if wishes.0.is_empty() {
        return Ok(Reply::done());
    }
    session
        .catalog()
        .write(move |conn| {
            let object = object(conn, &who, &info)?;
            let level = match wishes.has(keywords::DATA_EXPIRY) {
                true => Level::DELETE_OBJECT,
                false => Level::MODIFY_METADATA,
            };
            access::require(conn, &who, object.id, level)?;
            let number = named(conn, &object, &info)?;
            let which = if wishes.has(keywords::ALL) {
                Which::All
            } else {
                Which::Number(number)
            };
            let changes = changes(conn, &wishes)?;
            if !changes.is_empty() {
                replicas::modify(conn, object.id, which, &changes)?;
            }
            if wishes.has(keywords::ALL_REPL_STATUS) {
                // With `all` a real server makes each replica the good one in turn, so the last one stays that (recorded
                // exchange prc_mod_data_obj_meta).
                let last = object.replicas.last().filter(|_| which == Which::All);
                let good = last.map_or(number, |replica| replica.number);
                replicas::make_only_good(conn, object.id, good)?;
            }
            Ok(())
        })
        .await?;
    Ok(Reply::done())
}

fn object(
    conn: &Connection,
    who: &Identity,
    info: &DataObjInfo,
) -> Result<DataObject, CatalogError> {
    if !info.obj_path.is_empty() {
        return data_objects::visible(conn, who, &info.obj_path);
    }
    let missing = || CatalogError::new(codes::CAT_NO_ROWS_FOUND, "no such data object");
    let object = data_objects::by_id(conn, info.data_id)?.ok_or_else(missing)?;
    data_objects::visible(conn, who, &object.path)
}

/// Number of the replica that the call is about: by its hierarchy, else by its number.
fn named(conn: &Connection, object: &DataObject, info: &DataObjInfo) -> Result<i64, CatalogError> {
    if info.resc_hier.is_empty() {
        return Ok(info.repl_num.into());
    }
    let leaf = resources::by_hierarchy(conn, &info.resc_hier)?;
    let found = object
        .replicas
        .iter()
        .find(|replica| replica.resc_id == leaf.id);
    found
        .map(|replica| replica.number)
        .ok_or_else(|| CatalogError::new(codes::CAT_NO_ROWS_FOUND, "no such replica"))
}

fn changes(conn: &Connection, wishes: &KeyValPair) -> Result<Vec<(Field, String)>, CatalogError> {
    let mut changes = Vec::new();
    for (key, value) in &wishes.0 {
        if let Some((_, field)) = FIELDS.iter().find(|(known, _)| known == key) {
            changes.push((*field, value.clone()));
        } else if key == keywords::RESC_HIER {
            changes.push((
                Field::ResourceId,
                resources::by_hierarchy(conn, value)?.id.to_string(),
            ));
        }
    }
    Ok(changes)
}
