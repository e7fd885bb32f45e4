//! `GEN_QUERY`, `GENQUERY2` and `SPECIFIC_QUERY`: pages of the catalog.
//!
//! A page without rows is answered with `CAT_NO_ROWS_FOUND` *and* an empty table (recorded exchange
//! prc_genquery1); python-irodsclient reads the table when it closes a query.

use bstr::BString;
use irods_protocol::message::{
    GenQuery2Inp, GenQueryInp, GenQueryOut, SpecificQueryInp, SqlResult, StrPi,
};
use irods_protocol::{codes, columns};
use serde_json::{Value, json};

use crate::catalog::CatalogError;
use crate::catalog::query::{self, GenQuery, Page, genquery2};
use crate::catalog::specific::{self, SpecificQuery};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// Most rows of one page; clients ask for 256 or 500.
const MAX_ROWS: i32 = 10_000;

/// `GEN_QUERY`.
pub(super) async fn general(session: &mut Session, request: &Request) -> Answer {
    let input: GenQueryInp = request.input()?;
    let who = session.user()?;
    let cursors = session.cursors.clone();
    let query = GenQuery {
        selects: input.selects.0,
        conditions: input.conditions.0,
        max_rows: input.max_rows.min(MAX_ROWS),
        continue_inx: input.continue_inx,
        row_offset: input.partial_start_index,
        options: input.options,
        locale_order: session.zone.orders_by_locale(),
    };
    let old = !session.zone.release.data_obj_info_has_access_time();
    if old
        && query
            .selects
            .iter()
            .any(|(column, _)| *column == columns::DATA_ACCESS_TIME)
    {
        return Err(Failure::code(codes::CAT_UNKNOWN_TABLE));
    }
    let page = session
        .catalog()
        .read(move |conn| query::run(conn, &who, &cursors, &query))
        .await;
    answer(session, request, page)
}

/// `GENQUERY2`: rows, the statement, or the columns, as JSON.
pub(super) async fn text(session: &mut Session, request: &Request) -> Answer {
    let input: GenQuery2Inp = request.input()?;
    let who = session.user()?;
    let query = input.query_string.unwrap_or_default();
    let answer = if input.column_mappings != 0 {
        let columns = genquery2::mappings().into_iter();
        let named = columns.map(|(name, table, column)| {
            (name.to_owned(), json!({ table.to_uppercase(): column }))
        });
        Value::Object(named.collect())
    } else if input.sql_only != 0 {
        Value::String(genquery2::sql(&who, &query)?)
    } else {
        let rows = session
            .catalog()
            .read(move |conn| genquery2::run(conn, &who, &query))
            .await?;
        json!(rows)
    };
    let my_str = Some(match answer {
        Value::String(sql) => sql,
        json => json.to_string(),
    });
    Reply::with(request.packing, &StrPi { my_str })
}

/// `SPECIFIC_QUERY`.
pub(super) async fn specific(session: &mut Session, request: &Request) -> Answer {
    let input: SpecificQueryInp = request.input()?;
    let who = session.user()?;
    let cursors = session.cursors.clone();
    let arguments = [
        input.arg1,
        input.arg2,
        input.arg3,
        input.arg4,
        input.arg5,
        input.arg6,
        input.arg7,
        input.arg8,
        input.arg9,
        input.arg10,
    ];
    let query = SpecificQuery {
        sql: input.sql.unwrap_or_default(),
        arguments: arguments
            .into_iter()
            .map_while(|a| a.filter(|a| !a.is_empty()))
            .collect(),
        max_rows: input.max_rows.min(MAX_ROWS),
        continue_inx: input.continue_inx,
        row_offset: input.row_offset,
        options: input.options,
    };
    let page = session
        .catalog()
        .read(move |conn| specific::run(conn, &who, &cursors, &query))
        .await;
    match page {
        // Unlike a general query, one that fails is answered without a table.
        Err(error) if error.code != codes::CAT_NO_ROWS_FOUND => Err(error.into()),
        page => answer(session, request, page),
    }
}

fn answer(session: &Session, request: &Request, page: Result<Page, CatalogError>) -> Answer {
    let blanks = !session.zone.release.access_names_have_underscores();
    let (code, note, page) = match page {
        Ok(page) => (0, None, page),
        Err(error) if error.code == codes::CAT_NO_ROWS_FOUND => (error.code, None, Page::default()),
        Err(error) => (error.code, Some(error.message), Page::default()),
    };
    let columns = page.columns.into_iter().map(|column| SqlResult {
        attri_inx: column.attri_inx,
        reslen: column.reslen,
        values: match column.attri_inx {
            columns::DATA_ACCESS_NAME | columns::COLL_ACCESS_NAME if blanks => {
                let old = column.values.iter().map(|name| name.replace('_', " "));
                old.map(BString::from).collect()
            }
            _ => column.values.into_iter().map(BString::from).collect(),
        },
    });
    let out = GenQueryOut {
        row_cnt: page.row_count,
        continue_inx: page.continue_inx,
        total_row_count: page.total_row_count,
        columns: columns.collect(),
    };
    let reply = Reply::with(request.packing, &out)?.result(code);
    Ok(match note {
        Some(text) if !text.is_empty() => reply.note(0, text),
        _ => reply,
    })
}
