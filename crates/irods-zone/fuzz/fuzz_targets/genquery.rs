//! Queries of both languages: whatever is asked, the database is only read from, by one statement that it understands.
#![no_main]

use irods_zone::catalog::query::{self, Cursors, GenQuery, genquery2};
use irods_zone::catalog::{Catalog, Connection, Identity, Options, bootstrap, code, users};
use libfuzzer_sys::fuzz_target;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// The first byte of each line but the last says which column the line is a condition on; the last line is a query as text.
fn conditions(text: &str) -> Vec<(i32, String)> {
    let columns = irods_zone_columns();
    let lines = text.lines().filter_map(|line| {
        let mut rest = line.chars();
        let column = rest.next()? as usize % columns.len();
        Some((columns[column], rest.as_str().to_owned()))
    });
    lines.take(8).collect()
}

/// Columns of users, resources, data objects, collections, AVUs and permissions.
fn irods_zone_columns() -> Vec<i32> {
    [201..210, 301..319, 401..425, 500..513, 600..606, 610..616, 700..704, 710..714, 900..902]
        .into_iter()
        .flatten()
        .collect()
}

fn catalog() -> (Connection, [Identity; 1]) {
    let path = std::env::temp_dir().join(format!("irods-zone-fuzz-{}", std::process::id()));
    drop(Catalog::open(&path, &Options::default()).expect("a catalog"));
    let mut conn = Connection::open(&path).expect("its file");
    let zone = bootstrap::Zone {
        name: "z".to_owned(),
        admin: "rods".to_owned(),
        password: "secret".to_owned(),
        resource: "demo".to_owned(),
        host: "localhost".to_owned(),
        vault_path: "/vault".to_owned(),
    };
    if !bootstrap::is_done(&conn).expect("readable") {
        bootstrap::run(&conn, &zone).expect("a zone");
    }
    let rods = users::identity(&conn, "rods", "").expect("rods");
    let allowed = |context: AuthContext<'_>| match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        _ => Authorization::Deny,
    };
    conn.authorizer(Some(allowed)).expect("an authorizer");
    (conn, [rods])
}

thread_local! {
    static CATALOG: (Connection, [Identity; 1]) = catalog();
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    CATALOG.with(|(conn, [rods])| {
        // As one who sees all, and as one who does not.
        for strict in [false, true] {
            let who = Identity {
                strict,
                ..rods.clone()
            };
            let ask = GenQuery {
                selects: vec![(403, 1), (501, 1)],
                conditions: conditions(text),
                max_rows: 10,
                ..GenQuery::default()
            };
            if let Err(error) = query::run(conn, &who, &Cursors::default(), &ask) {
                assert!(error.code != code::CAT_SQL_ERR, "{ask:?}: {error}");
            }
            if let Err(error) = genquery2::run(conn, &who, text) {
                assert!(error.code != code::CAT_SQL_ERR, "{text:?}: {error}");
            }
            if let Ok(sql) = genquery2::sql(&who, text) {
                assert!(sql.starts_with("SELECT ") && !sql.contains(';'), "{sql}");
                assert!(conn.prepare(&sql).is_ok_and(|statement| statement.readonly()), "{sql}");
            }
        }
    });
});
