//! `BULK_DATA_OBJ_REG` and `BULK_DATA_OBJ_PUT`: many objects in one message, as tables of rows.
//!
//! A bulk registration is one transaction: all rows or none. A bulk put stores one object after the other and
//! stops at the first that fails; what came before it stays (recorded exchanges raw_bulk_data_obj_reg and
//! raw_bulk_data_obj_put).

use bstr::BString;
use irods_protocol::message::{BulkOprInp, DataObjInp, GenQueryOut, KeyValPair, SqlResult};
use irods_protocol::{codes, columns, keywords, path};

use super::{collection_path, object_path, put, register};
use crate::catalog::access::{self, Level};
use crate::catalog::replicas::{self, Field, NewReplica, Status, Which};
use crate::catalog::{CatalogError, Connection, Identity, collections, data_objects, resources};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::vault;

/// Column of a bulk put: where a file's bytes end in the byte stream.
const END: i32 = 999_998;
/// Column of a bulk registration: `register` or `modify`.
const OPERATION: i32 = 999_999;
/// Width that real servers announce for ids.
const ID_WIDTH: i32 = 64;

/// The values of a column.
///
/// # Errors
/// `UNMATCHED_KEY_OR_INDEX` if it is not there or not of the table's height.
fn column(table: &GenQueryOut, number: i32) -> Result<&[BString], Failure> {
    let values = table.column(number).unwrap_or_default();
    if usize::try_from(table.row_cnt) == Ok(values.len()) {
        return Ok(values);
    }
    let name = columns::name_of(number).map_or_else(|| number.to_string(), str::to_owned);
    let message = format!("the table has no column {name}");
    Err(Failure::new(codes::UNMATCHED_KEY_OR_INDEX, message))
}

fn text(value: &BString) -> Result<&str, Failure> {
    std::str::from_utf8(value)
        .map_err(|_| Failure::new(codes::SYS_INVALID_INPUT_PARAM, "a value is not UTF-8"))
}

fn number(value: &BString) -> Result<i64, Failure> {
    let text = text(value)?;
    text.trim().parse().map_err(|_| {
        let message = format!("{text:?} is no number");
        Failure::new(codes::SYS_INVALID_INPUT_PARAM, message)
    })
}

/// A row of a bulk registration.
struct Row {
    path: String,
    number: i64,
    replica: NewReplica,
    modify: bool,
}

/// `BULK_DATA_OBJ_REG`. The ids in the answer are empty, as on real servers.
pub(super) async fn register(session: &mut Session, request: &Request) -> Answer {
    let table: GenQueryOut = request.input()?;
    let who = session.user()?;
    register::require_registrar(&who)?;
    if table.row_cnt == 0 {
        return Ok(Reply::done());
    }
    let rows = rows(&table)?;
    session
        .catalog()
        .write(move |conn| rows.iter().try_for_each(|row| store(conn, &who, row)))
        .await?;
    let ids = SqlResult {
        attri_inx: columns::DATA_ID,
        reslen: ID_WIDTH,
        values: vec![BString::default(); usize::try_from(table.row_cnt).unwrap_or(0)],
    };
    let out = GenQueryOut {
        row_cnt: table.row_cnt,
        continue_inx: -1,
        total_row_count: 0,
        columns: vec![ids],
    };
    Reply::with(request.packing, &out)
}

fn rows(table: &GenQueryOut) -> Result<Vec<Row>, Failure> {
    let of = |number| column(table, number);
    let (paths, types, sizes) = (
        of(columns::DATA_NAME)?,
        of(columns::DATA_TYPE_NAME)?,
        of(columns::DATA_SIZE)?,
    );
    let (files, modes, operations) = (
        of(columns::DATA_PATH)?,
        of(columns::DATA_MODE)?,
        of(OPERATION)?,
    );
    let (numbers, resources) = (of(columns::DATA_REPL_NUM)?, of(columns::DATA_RESC_ID)?);
    let checksums = of(columns::DATA_CHECKSUM).ok();
    (0..paths.len())
        .map(|row| {
            let file = text(&files[row])?;
            if !vault::is_plain(file) {
                return Err(Failure::new(
                    codes::SYS_INVALID_FILE_PATH,
                    "a physical path must be absolute, without . and ..",
                ));
            }
            let size = number(&sizes[row])?.max(0);
            let mut replica = NewReplica::new(number(&resources[row])?, file, size, Status::Good);
            text(&types[row])?.clone_into(&mut replica.data_type);
            text(&modes[row])?.clone_into(&mut replica.mode);
            if let Some(checksums) = checksums {
                text(&checksums[row])?.clone_into(&mut replica.checksum);
            }
            Ok(Row {
                path: object_path(text(&paths[row])?)?,
                number: number(&numbers[row])?,
                replica,
                modify: text(&operations[row])? == "modify",
            })
        })
        .collect()
}

fn store(conn: &Connection, who: &Identity, row: &Row) -> Result<(), CatalogError> {
    resources::by_id(conn, row.replica.resc_id)?;
    if !row.modify && row.number == 0 {
        return data_objects::create(conn, who, &row.path, &row.replica).map(drop);
    }
    let object = data_objects::visible(conn, who, &row.path)?;
    access::require(conn, who, object.id, Level::MODIFY_OBJECT)?;
    if !row.modify {
        return replicas::add(conn, object.id, &row.replica).map(drop);
    }
    let changes = [
        (Field::Size, row.replica.size.to_string()),
        (Field::PhysicalPath, row.replica.physical_path.clone()),
        (Field::Checksum, row.replica.checksum.clone()),
    ];
    replicas::modify(conn, object.id, Which::Number(row.number), &changes)
}

/// `BULK_DATA_OBJ_PUT`. Missing collections are made.
pub(super) async fn put(session: &mut Session, request: Request) -> Answer {
    let input: BulkOprInp = request.input()?;
    let wishes = input.cond_input;
    if wishes.has(keywords::FORCE_FLAG) {
        let code = codes::USER_INCOMPATIBLE_PARAMS;
        return Ok(Reply::code(code).note(code, "Force flag keyword is not allowed for bulk puts."));
    }
    let table = &input.attri_array;
    // The modes are not kept (recorded exchange icmd_iput_r).
    let (paths, ends) = (column(table, columns::DATA_NAME)?, column(table, END)?);
    let checksums = column(table, columns::DATA_CHECKSUM).ok();
    let mut made = String::new();
    let mut start = 0;
    for row in 0..paths.len() {
        let path = object_path(text(&paths[row])?)?;
        let end = usize::try_from(number(&ends[row])?).unwrap_or(usize::MAX);
        if end < start || end > request.bytes.len() {
            return Err(Failure::new(
                codes::SYS_COPY_LEN_ERR,
                format!("{path}: its bytes are not in the message"),
            ));
        }
        let bytes = request.bytes.slice(start..end);
        start = end;
        let parent = path::split(&path).map_or("/", |(parent, _)| parent);
        if parent != made {
            make_collection(session, parent).await?;
            parent.clone_into(&mut made);
        }
        let mut wishes = wishes.clone();
        if let Some(checksums) = checksums
            && !checksums[row].is_empty()
        {
            wishes.set(keywords::VERIFY_CHKSUM, text(&checksums[row])?);
        }
        let one = DataObjInp {
            obj_path: path,
            data_size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            cond_input: wishes,
            ..DataObjInp::default()
        };
        put::store(session, one, bytes).await?;
    }
    Ok(Reply::done())
}

async fn make_collection(session: &Session, path: &str) -> Result<(), Failure> {
    let who = session.acting(&KeyValPair::new())?;
    let path = collection_path(path)?;
    let seen = path.clone();
    let known = session
        .catalog()
        .read(move |conn| Ok(collections::find(conn, &seen)?.is_some()))
        .await?;
    if !known {
        session
            .catalog()
            .write(move |conn| collections::create_recursive(conn, &who, &path).map(drop))
            .await?;
    }
    Ok(())
}
