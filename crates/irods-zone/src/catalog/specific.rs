//! Specific queries: SQL that administrators registered, run by alias or by its exact text.
//!
//! What can be registered is checked once, on a scratch copy of the schema: one SELECT that reads the
//! catalog's public tables. Arguments are bound; nothing of a call becomes SQL.

use rusqlite::hooks::{AuthAction, Authorization};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use irods_protocol::columns::option;

use super::error::{CatalogError, Result, code};
use super::query::{Compiled, Cursors, Output, Page, Request};
use super::{Identity, time};

/// A request to run a registered query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecificQuery {
    /// Alias, or the registered SQL itself.
    pub sql: String,
    /// Values of the placeholders.
    pub arguments: Vec<String>,
    /// Rows per page; 0 or less closes `continue_inx`.
    pub max_rows: i32,
    /// 0, or what the page before answered.
    pub continue_inx: i32,
    /// Rows to skip.
    pub row_offset: i32,
    /// Option bits as in a general query.
    pub options: i32,
}

/// The queries that every zone has, by the aliases that clients use (recorded exchange
/// icmdxml_iquest). What they answer is the same; their text is in this database's dialect.
const BUILTIN: &[(&str, &str)] = &[
    ("ls", "select alias, sqlStr from R_SPECIFIC_QUERY"),
    (
        "lsl",
        "select alias, sqlStr from R_SPECIFIC_QUERY where sqlStr like ?",
    ),
    (
        "ShowCollAcls",
        "select distinct u.user_name, u.zone_name, t.token_name, u.user_type_name from R_COLL_MAIN c join R_OBJT_ACCESS a on a.object_id = c.coll_id join R_USER_MAIN u on u.user_id = a.user_id join R_TOKN_MAIN t on t.token_id = a.access_type_id and t.token_namespace = 'access_type' where c.coll_name = ?",
    ),
    (
        "listQueryByAliasLike",
        "select alias, sqlStr from R_SPECIFIC_QUERY where alias like ?",
    ),
    (
        "findQueryByAlias",
        "select alias, sqlStr from R_SPECIFIC_QUERY where alias = ?",
    ),
    (
        "ilsLACollections",
        "select c.parent_coll_name, c.coll_name, c.create_ts, c.modify_ts, c.coll_id, c.coll_owner_name, c.coll_owner_zone, c.coll_type, u.user_name, u.zone_name, a.access_type_id, u.user_id from R_COLL_MAIN c join R_OBJT_ACCESS a on a.object_id = c.coll_id join R_USER_MAIN u on u.user_id = a.user_id where c.parent_coll_name = ? order by c.coll_name, u.user_name, a.access_type_id desc LIMIT ? OFFSET ?",
    ),
    (
        "ilsLADataObjects",
        "select c.coll_name, d.data_name, d.create_ts, d.modify_ts, d.data_id, d.data_size, d.data_repl_num, d.data_owner_name, d.data_owner_zone, u.user_name, u.user_id, a.access_type_id, u.user_type_name, u.zone_name from R_COLL_MAIN c join R_DATA_MAIN d on d.coll_id = c.coll_id join R_OBJT_ACCESS a on a.object_id = d.data_id join R_USER_MAIN u on u.user_id = a.user_id where c.coll_name = ? order by c.coll_name, d.data_name, u.user_name, a.access_type_id desc LIMIT ? OFFSET ?",
    ),
    (
        "listSharedCollectionsOwnedByUser",
        "select distinct c.coll_id, c.parent_coll_name, c.coll_name, c.coll_owner_name, c.coll_owner_zone, m.meta_attr_name, m.meta_attr_value, m.meta_attr_unit from R_COLL_MAIN c join R_OBJT_METAMAP o on o.object_id = c.coll_id join R_META_MAIN m on m.meta_id = o.meta_id where m.meta_attr_unit = 'iRODSUserTagging:Share' and c.coll_owner_name = ? and c.coll_owner_zone = ? order by c.parent_coll_name, c.coll_name",
    ),
    (
        "listSharedCollectionsSharedWithUser",
        "select distinct c.coll_id, c.parent_coll_name, c.coll_name, c.coll_owner_name, c.coll_owner_zone, m.meta_attr_name, m.meta_attr_value, m.meta_attr_unit, u.user_name, u.zone_name, a.access_type_id from R_COLL_MAIN c join R_OBJT_METAMAP o on o.object_id = c.coll_id join R_META_MAIN m on m.meta_id = o.meta_id join R_OBJT_ACCESS a on a.object_id = c.coll_id join R_USER_MAIN u on u.user_id = a.user_id where m.meta_attr_unit = 'iRODSUserTagging:Share' and u.user_name = ? and u.zone_name = ? and c.coll_owner_name <> ? order by c.parent_coll_name, c.coll_name",
    ),
    (
        "listUserACLForDataObjViaGroup",
        "select u.user_name, u.user_id, a.access_type_id, u.user_type_name, u.zone_name, c.coll_name, d.data_name, g.user_name, d.data_name, c.coll_name from R_COLL_MAIN c join R_DATA_MAIN d on d.coll_id = c.coll_id join R_OBJT_ACCESS a on a.object_id = d.data_id join R_USER_GROUP m on m.group_user_id = a.user_id join R_USER_MAIN u on u.user_id = m.user_id join R_USER_MAIN g on g.user_id = m.group_user_id where c.coll_name = ? and d.data_name = ? and u.user_name = ? order by c.coll_name, d.data_name, u.user_name, a.access_type_id desc",
    ),
    (
        "listUserACLForCollectionViaGroup",
        "select u.user_name, u.user_id, a.access_type_id, u.user_type_name, u.zone_name, c.coll_name, g.user_name, c.coll_name from R_COLL_MAIN c join R_OBJT_ACCESS a on a.object_id = c.coll_id join R_USER_GROUP m on m.group_user_id = a.user_id join R_USER_MAIN u on u.user_id = m.user_id join R_USER_MAIN g on g.user_id = m.group_user_id where c.coll_name = ? and u.user_name = ? order by c.coll_name, u.user_name, a.access_type_id desc",
    ),
    (
        "DataObjInCollReCur",
        "select d.data_id, c.coll_name, d.data_name, d.data_repl_num, r.resc_name, d.data_path, d.resc_id from R_COLL_MAIN c join R_DATA_MAIN d on d.coll_id = c.coll_id join R_RESC_MAIN r on r.resc_id = d.resc_id where c.coll_name = ? or c.coll_name like ? order by c.coll_name, d.data_name, d.data_repl_num",
    ),
    (
        "listGroupsForUser",
        "select m.group_user_id, g.user_name from R_USER_GROUP m join R_USER_MAIN g on g.user_id = m.group_user_id where g.user_type_name = 'rodsgroup' and m.user_id = (select user_id from R_USER_MAIN where user_name = ? and user_type_name <> 'rodsgroup')",
    ),
];

/// Writes the built-in queries into a new catalog.
pub(crate) fn insert_builtin(conn: &Connection) -> rusqlite::Result<()> {
    let mut insert = conn
        .prepare("INSERT INTO r_specific_query (alias, sqlstr, create_ts) VALUES (?1, ?2, ?3)")?;
    let now = time::now();
    for (alias, sql) in BUILTIN {
        insert.execute(params![alias, sql, now])?;
    }
    Ok(())
}

/// Runs a registered query and gives its first or next page. Every user may; the name is logged.
///
/// # Errors
/// `CAT_UNKNOWN_SPECIFIC_QUERY`, `CAT_NO_ROWS_FOUND`, `CAT_INVALID_ARGUMENT` for another number of
/// arguments than placeholders, `CAT_STATEMENT_TABLE_FULL`.
pub fn run(
    conn: &Connection,
    who: &Identity,
    cursors: &Cursors,
    query: &SpecificQuery,
) -> Result<Page> {
    tracing::debug!(user = %who.name, query = %query.sql, "specific query");
    let request = Request {
        max_rows: query.max_rows,
        row_offset: query.row_offset,
        auto_close: query.options & option::AUTO_CLOSE != 0,
        count_all: query.options & option::RETURN_TOTAL_ROW_COUNT != 0,
    };
    if query.continue_inx == 0 {
        return cursors.open(conn, compile(conn, query)?, &request);
    }
    if query.max_rows > 0 {
        return cursors.next(conn, query.continue_inx, &request);
    }
    cursors.close(query.continue_inx)?;
    Ok(Page::default())
}

fn compile(conn: &Connection, query: &SpecificQuery) -> Result<Compiled> {
    let sql: String = conn
        .prepare_cached("SELECT sqlstr FROM r_specific_query WHERE alias = ?1 OR sqlstr = ?1")?
        .query_row([&query.sql], |row| row.get(0))
        .optional()?
        .ok_or_else(|| unknown(&query.sql))?;
    let (columns, placeholders) = {
        let statement = conn.prepare_cached(&sql)?;
        (statement.column_count(), statement.parameter_count())
    };
    if placeholders != query.arguments.len() {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            format!(
                "the query takes {placeholders} arguments, not {}",
                query.arguments.len()
            ),
        ));
    }
    Ok(Compiled {
        sql,
        values: query.arguments.iter().cloned().map(Value::Text).collect(),
        columns: vec![(0, Output::Plain); columns],
        pages_in_sql: false,
    })
}

fn unknown(name: &str) -> CatalogError {
    CatalogError::new(
        code::CAT_UNKNOWN_SPECIFIC_QUERY,
        format!(
            "The SQL is not pre-defined.\n  See 'iadmin h asq' (add specific query): {name:.100}"
        ),
    )
}

/// Registers a query (`iadmin asq`). An empty alias makes the SQL its own alias.
///
/// # Errors
/// `CAT_INVALID_ARGUMENT` if it is not one SELECT on public tables, or the alias is taken.
pub fn add(conn: &Connection, who: &Identity, sql: &str, alias: &str) -> Result<()> {
    who.require_rodsadmin()?;
    check(sql)?;
    let alias = if alias.is_empty() { sql } else { alias };
    let taken: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM r_specific_query WHERE alias = ?1)")?
        .query_row([alias], |row| row.get(0))?;
    if taken {
        // Code and words of a real server; python-irodsclient's own tests compare them.
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "Alias is not unique",
        ));
    }
    conn.prepare_cached(
        "INSERT INTO r_specific_query (alias, sqlstr, create_ts) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![alias, sql, time::now()])?;
    Ok(())
}

/// Removes a query by alias or SQL (`iadmin rsq`).
pub fn remove(conn: &Connection, who: &Identity, alias: &str) -> Result<()> {
    who.require_rodsadmin()?;
    let removed = conn
        .prepare_cached("DELETE FROM r_specific_query WHERE alias = ?1 OR sqlstr = ?1")?
        .execute([alias])?;
    if removed == 0 {
        Err(unknown(alias))
    } else {
        Ok(())
    }
}

/// Fails unless the text is one statement that only reads, and only public tables.
fn check(sql: &str) -> Result<()> {
    let refused = |reason: String| {
        CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            format!("refused as a specific query: {reason}"),
        )
    };
    let mut scratch = Connection::open_in_memory()?;
    scratch.execute_batch(include_str!("schema.sql"))?;
    scratch.authorizer(Some(
        |context: rusqlite::hooks::AuthContext<'_>| match context.action {
            AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
            AuthAction::Read { table_name, .. } if is_public(table_name) => Authorization::Allow,
            AuthAction::Function { function_name } if function_name != "load_extension" => {
                Authorization::Allow
            }
            _ => Authorization::Deny,
        },
    ))?;
    let statement = scratch
        .prepare(sql)
        .map_err(|error| refused(error.to_string()))?;
    if statement.column_count() == 0 || !statement.readonly() {
        return Err(refused("it is no SELECT".to_owned()));
    }
    Ok(())
}

/// Passwords and the catalog's own book-keeping are not public.
fn is_public(table: &str) -> bool {
    let lower = table.to_ascii_lowercase();
    // Sub-queries are read under no or a made-up name.
    !lower.starts_with("sqlite_") && !lower.starts_with("catalog_") && lower != "r_user_password"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;
    use super::*;

    fn query(sql: &str, arguments: &[&str]) -> SpecificQuery {
        SpecificQuery {
            sql: sql.to_owned(),
            arguments: arguments.iter().map(|s| (*s).to_owned()).collect(),
            max_rows: 256,
            ..SpecificQuery::default()
        }
    }

    #[test]
    fn every_builtin_query_runs() {
        let conn = testing::catalog();
        for (alias, sql) in BUILTIN {
            check(sql).unwrap();
            let arguments = vec!["1"; sql.matches('?').count()];
            match run(
                &conn,
                &testing::rods(&conn),
                &Cursors::default(),
                &query(alias, &arguments),
            ) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, code::CAT_NO_ROWS_FOUND, "{alias}: {error}"),
            }
        }
        let all = run(
            &conn,
            &testing::rods(&conn),
            &Cursors::default(),
            &query("ls", &[]),
        )
        .unwrap();
        assert_eq!(all.row_count, 13);
        assert_eq!(all.columns[0].values[0], "ls");
    }

    #[test]
    fn show_coll_acls_answers_as_recorded() {
        let conn = testing::catalog();
        let page = run(
            &conn,
            &testing::rods(&conn),
            &Cursors::default(),
            &query("ShowCollAcls", &["/z/home/rods"]),
        )
        .unwrap();
        let row: Vec<&str> = page.columns.iter().map(|c| c.values[0].as_str()).collect();
        assert_eq!(row, ["rods", "z", "own", "rodsadmin"]);
    }

    #[test]
    fn queries_are_registered_run_and_removed() {
        let conn = testing::catalog();
        let rods = testing::rods(&conn);
        let sql = "select user_name, user_id from R_USER_MAIN where user_name = ?";
        add(&conn, &rods, sql, "q").unwrap();
        for name in ["q", sql] {
            let page = run(
                &conn,
                &testing::rods(&conn),
                &Cursors::default(),
                &query(name, &["rods"]),
            )
            .unwrap();
            assert_eq!(page.columns[0].values, ["rods"]);
        }
        let error = run(
            &conn,
            &testing::rods(&conn),
            &Cursors::default(),
            &query("q", &[]),
        )
        .unwrap_err();
        assert_eq!(error.code, code::CAT_INVALID_ARGUMENT);
        remove(&conn, &rods, "q").unwrap();
        let error = run(
            &conn,
            &testing::rods(&conn),
            &Cursors::default(),
            &query("q", &["rods"]),
        )
        .unwrap_err();
        assert_eq!(error.code, code::CAT_UNKNOWN_SPECIFIC_QUERY);
        let alice = testing::alice(&conn);
        let error = add(&conn, &alice, sql, "q").unwrap_err();
        assert_eq!(error.code, code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL);
    }

    #[test]
    fn only_selects_on_public_tables_are_accepted() {
        for sql in [
            "delete from r_data_main",
            "select rcat_password from r_user_password",
            "select value from catalog_info",
            "select * from (select rcat_password from R_USER_PASSWORD)",
            "select name from sqlite_master",
            "select load_extension('x')",
            "select 1; delete from r_data_main",
            "pragma journal_mode = delete",
            "attach 'x' as y",
            "insert into r_zone_main select * from r_zone_main returning 1",
            "not sql",
            "",
        ] {
            let error = check(sql).unwrap_err();
            assert_eq!(error.code, code::CAT_INVALID_ARGUMENT, "{sql}");
        }
        check("with x as (select user_id from r_user_main) select count(*) from x").unwrap();
    }

    #[test]
    fn pages_of_a_specific_query() {
        let conn = testing::catalog();
        let cursors = Cursors::default();
        let mut request = SpecificQuery {
            max_rows: 5,
            ..query("ls", &[])
        };
        let mut seen = Vec::new();
        loop {
            let page = run(&conn, &testing::rods(&conn), &cursors, &request).unwrap();
            seen.extend(page.columns[0].values.clone());
            if page.continue_inx == 0 {
                break;
            }
            request.continue_inx = page.continue_inx;
        }
        assert_eq!(seen.len(), 13);
    }
}
