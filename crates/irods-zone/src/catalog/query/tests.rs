//! Queries against a small catalog, and against the recordings.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use irods_protocol::columns::{self, option, select};
use proptest::prelude::*;
use rusqlite::Connection;

use super::super::access::{self, Change, Level};
use super::super::error::{CatalogError, code};
use super::super::metadata::{self, Avu, EntityKind};
use super::super::{Identity, collections, testing};
use super::*;

fn query(selects: &[i32], conditions: &[(i32, &str)]) -> GenQuery {
    GenQuery {
        selects: selects
            .iter()
            .map(|column| (*column, select::PLAIN))
            .collect(),
        conditions: conditions
            .iter()
            .map(|(column, text)| (*column, (*text).to_owned()))
            .collect(),
        max_rows: 500,
        ..GenQuery::default()
    }
}

fn page(conn: &Connection, who: &Identity, query: &GenQuery) -> Result<Page, CatalogError> {
    run(conn, who, &Cursors::default(), query)
}

/// The only column of an answer; empty if there are no rows.
fn column(conn: &Connection, who: &Identity, query: &GenQuery) -> Vec<String> {
    match page(conn, who, query) {
        Ok(page) => page.columns[0].values.clone(),
        Err(error) if error.code == code::CAT_NO_ROWS_FOUND => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

fn avu(attribute: &str, value: &str) -> Avu {
    Avu {
        attribute: attribute.into(),
        value: value.into(),
        units: String::new(),
    }
}

const Q: &str = "/z/home/rods/q";

/// The collection of the recorded exchange prc_genquery1: f00.dat to f11.dat, sizes 0 to 11.
fn twelve() -> (Connection, Identity) {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    collections::create(&conn, &rods, Q).unwrap();
    for n in 0..12 {
        testing::object(&conn, &rods, &format!("{Q}/f{n:02}.dat"), n);
    }
    for (name, colour) in [("f01.dat", "red"), ("f02.dat", "blue")] {
        let path = format!("{Q}/{name}");
        metadata::add(
            &conn,
            &rods,
            EntityKind::DataObject,
            &path,
            &avu("color", colour),
        )
        .unwrap();
        metadata::add(
            &conn,
            &rods,
            EntityKind::DataObject,
            &path,
            &avu("shape", "round"),
        )
        .unwrap();
    }
    (conn, rods)
}

fn names(conn: &Connection, who: &Identity, conditions: &[(i32, &str)]) -> String {
    let mut all = vec![(columns::COLL_NAME, "= '/z/home/rods/q'")];
    all.extend(conditions);
    let found = column(conn, who, &query(&[columns::DATA_NAME], &all));
    found
        .iter()
        .map(|name| name[1..3].to_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn conditions_answer_as_recorded() {
    let (conn, rods) = twelve();
    let find = |column, text| names(&conn, &rods, &[(column, text)]);
    use columns::{DATA_NAME, DATA_SIZE};
    assert_eq!(
        find(DATA_NAME, "like 'f0%'"),
        "00 01 02 03 04 05 06 07 08 09"
    );
    assert_eq!(find(DATA_NAME, "not like 'f0%'"), "10 11");
    assert_eq!(find(DATA_NAME, "in ('f01.dat','f02.dat')"), "01 02");
    assert_eq!(find(DATA_SIZE, "between '3' '5'"), "03 04 05");
    assert_eq!(find(DATA_SIZE, "> '8'"), "09 10 11");
    assert_eq!(find(DATA_SIZE, "<= '1'"), "00 01");
    assert_eq!(find(DATA_SIZE, "> '5' || = '0'"), "00 06 07 08 09 10 11");
    assert_eq!(find(DATA_SIZE, "> '5' && < '8'"), "06 07");
    assert_eq!(find(DATA_SIZE, "n> '9'"), "10 11");
    assert_eq!(find(DATA_NAME, "<> 'f00.dat'").len(), 11 * 3 - 1);
    assert_eq!(find(DATA_NAME, "like 'F0%'"), "");
    assert_eq!(find(DATA_NAME, r"like 'f\_%'"), "");
    assert_eq!(find(DATA_NAME, "like 'f_1.dat'"), "01 11");
    assert_eq!(find(columns::META_DATA_ATTR_VALUE, "= 'red'"), "01");
    assert_eq!(find(DATA_NAME, "is null"), "");
    let upper = GenQuery {
        options: option::UPPER_CASE_WHERE,
        ..query(&[DATA_NAME], &[(DATA_NAME, "= 'F03.DAT'")])
    };
    assert_eq!(column(&conn, &rods, &upper), ["f03.dat"]);
}

#[test]
fn paths_compare_with_their_parents_and_beginnings() {
    let (conn, rods) = twelve();
    let find = |text| {
        column(
            &conn,
            &rods,
            &query(&[columns::COLL_NAME], &[(columns::COLL_NAME, text)]),
        )
    };
    let mut above = find("parent_of '/z/home/rods/q'");
    above.sort();
    assert_eq!(
        above,
        ["/", "/z", "/z/home", "/z/home/rods", "/z/home/rods/q"]
    );
    let mut begin = find("begin_of '/z/homes'");
    begin.sort();
    assert_eq!(begin, ["/", "/z", "/z/home"]);
    assert_eq!(find("= '/z/home/rods' || like '/z/home/rods/%'").len(), 2);
}

#[test]
fn several_avus_can_be_asked_for() {
    let (conn, rods) = twelve();
    use columns::{META_DATA_ATTR_NAME as NAME, META_DATA_ATTR_VALUE as VALUE};
    let found = |conditions: &[(i32, &str)]| names(&conn, &rods, conditions);
    assert_eq!(
        found(&[
            (NAME, "= 'color'"),
            (VALUE, "= 'red'"),
            (NAME, "= 'shape'"),
            (VALUE, "= 'round'")
        ]),
        "01"
    );
    assert_eq!(
        found(&[
            (NAME, "= 'color'"),
            (VALUE, "= 'red'"),
            (NAME, "= 'shape'"),
            (VALUE, "= 'square'")
        ]),
        ""
    );
    assert_eq!(found(&[(NAME, "= 'color'"), (NAME, "= 'shape'")]), "01 02");
    let both = query(
        &[columns::DATA_NAME, VALUE],
        &[
            (columns::COLL_NAME, "= '/z/home/rods/q'"),
            (NAME, "= 'color'"),
        ],
    );
    let answer = page(&conn, &rods, &both).unwrap();
    assert_eq!(answer.columns[1].values, ["red", "blue"]);
}

#[test]
fn aggregates_order_and_offset_answer_as_recorded() {
    let (conn, rods) = twelve();
    let q = [(columns::COLL_NAME, "= '/z/home/rods/q'".to_owned())];
    let ask = |selects: &[(i32, i32)]| {
        let query = GenQuery {
            selects: selects.to_vec(),
            conditions: q.to_vec(),
            max_rows: 500,
            ..GenQuery::default()
        };
        page(&conn, &rods, &query)
            .unwrap()
            .columns
            .iter()
            .map(|c| c.values.join(","))
            .collect::<Vec<_>>()
    };
    use columns::{COLL_NAME, DATA_ID, DATA_NAME, DATA_SIZE};
    assert_eq!(
        ask(&[(DATA_ID, select::COUNT), (DATA_SIZE, select::SUM)]),
        ["12", "66"]
    );
    assert_eq!(
        ask(&[
            (DATA_SIZE, select::MIN),
            (DATA_SIZE, select::MAX),
            (DATA_SIZE, select::AVG)
        ]),
        ["0", "11", "5.5000000000000000"]
    );
    assert_eq!(ask(&[(COLL_NAME, 1), (DATA_ID, select::COUNT)]), [Q, "12"]);
    let sizes = ask(&[
        (DATA_NAME, 0),
        (DATA_SIZE, select::PLAIN | select::ORDER_DESC),
    ]);
    assert!(sizes[1].starts_with("11,10,9,8"), "{}", sizes[1]);

    let ordered = GenQuery {
        selects: vec![(DATA_NAME, select::ORDER_ASC)],
        row_offset: 5,
        max_rows: 3,
        options: option::RETURN_TOTAL_ROW_COUNT,
        ..query(&[], &[(COLL_NAME, "= '/z/home/rods/q'")])
    };
    let answer = page(&conn, &rods, &ordered).unwrap();
    assert_eq!(answer.columns[0].values, ["f05.dat", "f06.dat", "f07.dat"]);
    assert_eq!(answer.total_row_count, 12);
}

#[test]
fn a_full_page_promises_another_and_the_next_call_ends_it() {
    let (conn, rods) = twelve();
    let cursors = Cursors::default();
    let mut ask = query(
        &[columns::DATA_NAME],
        &[(columns::COLL_NAME, "= '/z/home/rods/q'")],
    );
    ask.max_rows = 3;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = run(&conn, &rods, &cursors, &ask).unwrap();
        assert_eq!((page.row_count, page.continue_inx), (3, 1));
        seen.extend(page.columns[0].values.clone());
        ask.continue_inx = 1;
    }
    assert_eq!(seen.len(), 12);
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
    let end = run(&conn, &rods, &cursors, &ask).unwrap_err();
    assert_eq!(end.code, code::CAT_NO_ROWS_FOUND);
    // The slot is free again, and a page that is not full promises nothing.
    ask.continue_inx = 0;
    ask.max_rows = 5;
    let inx: Vec<i32> = (0..3)
        .map(|_| {
            let page = run(&conn, &rods, &cursors, &ask).unwrap();
            ask.continue_inx = page.continue_inx;
            page.continue_inx
        })
        .collect();
    assert_eq!(inx, [1, 1, 0]);
}

#[test]
fn closing_frees_the_cursor() {
    let (conn, rods) = twelve();
    let cursors = Cursors::default();
    let mut ask = GenQuery {
        max_rows: 1,
        ..query(&[columns::DATA_NAME], &[])
    };
    for expected in 1..=50 {
        assert_eq!(
            run(&conn, &rods, &cursors, &ask).unwrap().continue_inx,
            expected
        );
    }
    assert_eq!(
        run(&conn, &rods, &cursors, &ask).unwrap_err().code,
        code::CAT_STATEMENT_TABLE_FULL
    );
    ask.continue_inx = 7;
    ask.max_rows = 0;
    assert_eq!(run(&conn, &rods, &cursors, &ask).unwrap(), Page::default());
    assert_eq!(
        run(&conn, &rods, &cursors, &ask).unwrap_err().code,
        code::CAT_NO_ROWS_FOUND
    );
    ask.continue_inx = 0;
    ask.max_rows = 1;
    assert_eq!(run(&conn, &rods, &cursors, &ask).unwrap().continue_inx, 7);
    let closed = GenQuery {
        max_rows: 1,
        options: option::AUTO_CLOSE,
        ..query(&[columns::DATA_NAME], &[])
    };
    assert_eq!(
        run(&conn, &rods, &Cursors::default(), &closed)
            .unwrap()
            .continue_inx,
        -1
    );
}

#[test]
fn many_pages_are_complete_and_in_order() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    collections::create(&conn, &rods, Q).unwrap();
    for n in 0..2_000 {
        testing::object(&conn, &rods, &format!("{Q}/{n:05}"), n);
    }
    let cursors = Cursors::default();
    let mut ask = GenQuery {
        selects: vec![
            (columns::DATA_NAME, select::ORDER_ASC),
            (columns::DATA_SIZE, 1),
        ],
        max_rows: 37,
        ..query(&[], &[(columns::COLL_NAME, "= '/z/home/rods/q'")])
    };
    let mut seen = Vec::new();
    loop {
        let page = run(&conn, &rods, &cursors, &ask).unwrap();
        seen.extend(
            page.columns[1]
                .values
                .iter()
                .map(|size| size.parse::<i64>().unwrap()),
        );
        ask.continue_inx = page.continue_inx;
        if page.continue_inx == 0 {
            break;
        }
    }
    assert!(seen.into_iter().eq(0..2_000));
}

#[test]
fn ordinary_users_see_what_they_may_read() {
    let (conn, rods) = twelve();
    let alice = testing::alice(&conn);
    assert_eq!(names(&conn, &alice, &[]), "");
    let by_name = query(
        &[columns::DATA_NAME],
        &[(columns::DATA_NAME, "= 'f03.dat'")],
    );
    assert!(column(&conn, &alice, &by_name).is_empty());
    assert!(column(&conn, &alice, &query(&[columns::META_DATA_ATTR_NAME], &[])).is_empty());
    let levels = query(&[columns::DATA_ACCESS_DATA_ID], &[]);
    let own = column(&conn, &alice, &levels).len();
    assert!(own < column(&conn, &rods, &levels).len());

    let grant = |path: &str, user: &str, level| {
        let change = Change::Grant {
            user: user.into(),
            zone: String::new(),
            level,
        };
        access::modify(&conn, &rods, path, &change, false).unwrap();
    };
    grant(&format!("{Q}/f03.dat"), "public", Level::READ_OBJECT);
    assert_eq!(column(&conn, &alice, &by_name), ["f03.dat"]);
    // The collection counts as well, as soon as the query asks for it.
    assert_eq!(names(&conn, &alice, &[]), "");
    grant(Q, "alice", Level::READ_OBJECT);
    assert_eq!(names(&conn, &alice, &[]), "03");
    grant(&format!("{Q}/f01.dat"), "alice", Level::READ_METADATA);
    assert_eq!(names(&conn, &alice, &[]), "03");
    // Users and resources are everybody's to see.
    assert_eq!(
        column(&conn, &alice, &query(&[columns::USER_NAME], &[])).len(),
        3
    );
    assert_eq!(
        column(&conn, &alice, &query(&[columns::RESC_NAME], &[])),
        ["demo"]
    );
}

#[test]
fn users_groups_and_permissions_join() {
    let (conn, rods) = twelve();
    let acl = query(
        &[
            columns::USER_NAME,
            columns::USER_ZONE,
            columns::DATA_ACCESS_NAME,
            columns::USER_TYPE,
        ],
        &[
            (columns::DATA_NAME, "= 'f03.dat'"),
            (columns::DATA_TOKEN_NAMESPACE, "= 'access_type'"),
        ],
    );
    let answer = page(&conn, &rods, &acl).unwrap();
    let row: Vec<&str> = answer
        .columns
        .iter()
        .map(|c| c.values[0].as_str())
        .collect();
    assert_eq!(row, ["rods", "z", "own", "rodsadmin"]);
    let members = query(
        &[columns::USER_NAME],
        &[
            (columns::USER_TYPE, "<> 'rodsgroup'"),
            (columns::USER_GROUP_NAME, "= 'public'"),
        ],
    );
    let mut found = column(&conn, &rods, &members);
    found.sort();
    assert_eq!(found, ["alice", "rods"]);
    let hierarchy = query(
        &[columns::DATA_RESC_HIER],
        &[(columns::DATA_NAME, "= 'f03.dat'")],
    );
    let answer = page(&conn, &rods, &hierarchy).unwrap();
    assert_eq!(
        (
            answer.columns[0].values[0].as_str(),
            answer.columns[0].reslen
        ),
        ("demo", 5)
    );
}

#[test]
fn what_cannot_be_asked_fails_as_recorded() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let failing = |query: &GenQuery| page(&conn, &rods, query).unwrap_err().code;
    assert_eq!(failing(&query(&[9_999_999], &[])), code::CAT_UNKNOWN_TABLE);
    assert_eq!(
        failing(&query(
            &[
                columns::USER_NAME,
                columns::RESC_NAME,
                columns::RULE_EXEC_ID
            ],
            &[]
        )),
        code::CAT_FAILED_TO_LINK_TABLES
    );
    assert_eq!(
        failing(&query(&[columns::ZONE_NAME, columns::TOKEN_ID], &[])),
        code::CAT_FAILED_TO_LINK_TABLES
    );
    assert_eq!(failing(&query(&[], &[])), code::CAT_INVALID_ARGUMENT);
    assert_eq!(
        failing(&query(
            &[columns::DATA_NAME],
            &[(columns::DATA_NAME, "= x")]
        )),
        code::CAT_INVALID_ARGUMENT
    );
    assert_eq!(
        failing(&query(
            &[columns::TICKET_ID, columns::TICKET_DATA_NAME],
            &[]
        )),
        code::CAT_NO_ROWS_FOUND
    );
    assert_eq!(
        failing(&query(
            &[columns::QUOTA_LIMIT, columns::QUOTA_USER_NAME],
            &[]
        )),
        code::CAT_NO_ROWS_FOUND
    );
}

#[test]
fn widths_grow_as_recorded() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let long = "x".repeat(56);
    testing::object(&conn, &rods, &format!("/z/home/rods/{long}"), 1);
    testing::object(&conn, &rods, "/z/home/rods/a", 1);
    let widths = |order| {
        let mut both = query(&[columns::DATA_NAME, columns::DATA_SIZE], &[]);
        both.selects[0].1 = order;
        let page = page(&conn, &rods, &both).unwrap();
        let widths = page.columns.iter().map(|c| c.reslen);
        widths.collect::<Vec<_>>()
    };
    assert_eq!(widths(select::PLAIN | select::ORDER_DESC), [57, 57]);
    assert_eq!(widths(select::PLAIN | select::ORDER_ASC), [107, 107]);
}

/// The queries that clients send most go through indexes.
#[test]
fn common_queries_use_indexes() {
    let (conn, rods) = twelve();
    use columns::{
        COLL_NAME, COLL_PARENT_NAME, DATA_COLL_ID, DATA_ID, DATA_NAME, DATA_SIZE,
        META_DATA_ATTR_NAME,
    };
    for conditions in [
        vec![(COLL_NAME, "= '/z/home/rods'")],
        vec![(COLL_NAME, "= '/z/home/rods' || like '/z/home/rods/%'")],
        vec![(COLL_NAME, "like '/z/home/rods/%'")],
        vec![(COLL_NAME, "= '/z/home/rods'"), (DATA_NAME, "= 'x'")],
        vec![(DATA_COLL_ID, "= '10007'"), (DATA_NAME, "= 'x'")],
        vec![(DATA_ID, "= '10020'")],
        vec![(COLL_PARENT_NAME, "= '/z/home'")],
        vec![(META_DATA_ATTR_NAME, "= 'color'")],
    ] {
        let ask = query(&[DATA_NAME, DATA_SIZE, COLL_NAME], &conditions);
        let compiled = super::compile::compile(&rods, &ask).unwrap();
        let explained = compiled.planned(&conn, || {
            let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", compiled.sql))?;
            let values = rusqlite::params_from_iter(&compiled.values);
            let steps = explain.query_map(values, |row| row.get(3))?;
            Ok(steps.collect::<Result<_, _>>()?)
        });
        let plan: Vec<String> = explained.unwrap();
        assert!(
            plan.iter().all(|step| !step.starts_with("SCAN")),
            "{conditions:?}: {plan:?}"
        );
    }
}

/// Rows are compared only where one could appear twice.
#[test]
fn distinct_is_left_out_where_it_changes_nothing() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    use columns::{
        COLL_ID, COLL_NAME, DATA_ACCESS_NAME, DATA_NAME, DATA_REPL_NUM, DATA_RESC_HIER, DATA_SIZE,
        META_DATA_ATTR_NAME, USER_NAME, USER_ZONE,
    };
    let home = (COLL_NAME, "= '/z/home/rods'");
    for (expected, ask) in [
        (
            false,
            query(
                &[DATA_NAME, DATA_REPL_NUM, DATA_SIZE, DATA_RESC_HIER],
                &[home],
            ),
        ),
        (false, query(&[COLL_NAME, DATA_NAME, DATA_REPL_NUM], &[])),
        (false, query(&[COLL_ID], &[])),
        (
            false,
            query(&[COLL_NAME], &[(columns::COLL_PARENT_NAME, "= '/z'")]),
        ),
        (false, query(&[USER_NAME, USER_ZONE], &[])),
        (true, query(&[DATA_NAME, DATA_SIZE], &[home])),
        (
            true,
            query(&[DATA_NAME, DATA_REPL_NUM], &[(COLL_NAME, "like '/z/%'")]),
        ),
        (
            true,
            query(&[DATA_NAME, DATA_REPL_NUM, META_DATA_ATTR_NAME], &[home]),
        ),
        (
            true,
            query(&[DATA_NAME, DATA_REPL_NUM, DATA_ACCESS_NAME], &[home]),
        ),
        (true, query(&[USER_NAME], &[])),
    ] {
        let compiled = super::compile::compile(&rods, &ask).unwrap();
        assert_eq!(
            compiled.sql.contains("DISTINCT"),
            expected,
            "{}",
            compiled.sql
        );
    }
}

/// The most that one query may hold stays within the database's limits.
#[test]
fn the_largest_queries_run() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let chain = vec!["like 'a%'"; 400].join(" || ");
    let many: Vec<(i32, &str)> = vec![(columns::DATA_NAME, chain.as_str()); 70];
    assert_eq!(
        page(&conn, &rods, &query(&[columns::DATA_NAME], &many))
            .unwrap_err()
            .code,
        code::CAT_NO_ROWS_FOUND
    );
    let list = format!("in ({})", vec!["'a'"; 19_000].join(","));
    let long = query(&[columns::DATA_NAME], &[(columns::DATA_NAME, &list)]);
    assert_eq!(
        page(&conn, &rods, &long).unwrap_err().code,
        code::CAT_NO_ROWS_FOUND
    );
    let avus: Vec<(i32, &str)> = vec![(columns::META_DATA_ATTR_NAME, "= 'a'"); 200];
    assert_eq!(
        page(&conn, &rods, &query(&[columns::DATA_NAME], &avus))
            .unwrap_err()
            .code,
        code::CAT_NO_ROWS_FOUND
    );
    let all: Vec<i32> = super::attributes::ATTRIBUTES
        .iter()
        .map(|a| a.number)
        .collect();
    for start in (0..all.len()).step_by(25) {
        let some = &all[start..(start + 50).min(all.len())];
        if let Err(error) = page(&conn, &rods, &query(some, &[])) {
            assert!(
                [code::CAT_NO_ROWS_FOUND, code::CAT_FAILED_TO_LINK_TABLES].contains(&error.code),
                "{error}"
            );
        }
    }
    let too_many: Vec<(i32, &str)> = vec![(columns::DATA_NAME, "= 'a'"); 201];
    assert_eq!(
        page(&conn, &rods, &query(&[columns::DATA_NAME], &too_many))
            .unwrap_err()
            .code,
        code::CAT_INVALID_ARGUMENT
    );
}

/// Every query in the recordings compiles and runs, for an administrator and for an ordinary user.
#[test]
fn recorded_queries_run() {
    use base64::Engine;
    let dir = std::env::var_os("IRODS_GOLDEN_DIR").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
        std::path::PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(&dir) else {
        eprintln!("SKIPPED: no recordings in {}", dir.display());
        return;
    };
    let conn = testing::catalog();
    let mut ran = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(message["msg_b64"].as_str().unwrap_or_default())
                .unwrap();
            let Some(ask) = recorded_query(&String::from_utf8_lossy(&bytes)) else {
                continue;
            };
            for who in [testing::rods(&conn), testing::alice(&conn)] {
                if let Err(error) = page(&conn, &who, &ask) {
                    let expected = [code::CAT_NO_ROWS_FOUND, code::CAT_UNKNOWN_TABLE];
                    assert!(
                        expected.contains(&error.code),
                        "{}: {ask:?}: {error}",
                        path.display()
                    );
                }
            }
            ran += 1;
        }
    }
    assert!(ran > 500, "only {ran} queries found");
}

/// A query out of its XML form.
fn recorded_query(xml: &str) -> Option<GenQuery> {
    let body = xml.split_once("<GenQueryInp_PI>")?.1;
    let (selects, conditions) = body
        .split_once("<InxIvalPair_PI>")?
        .1
        .split_once("<InxValPair_PI>")?;
    let values = |text: &str, tag: &str| -> Vec<String> {
        text.split(&format!("<{tag}>"))
            .skip(1)
            .map(|rest| rest.split("</").next().unwrap())
            .map(|v| {
                v.replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&apos;", "'")
                    .replace("&quot;", "\"")
                    .replace("&amp;", "&")
            })
            .collect()
    };
    let numbers = |text: &str, tag: &str| -> Vec<i32> {
        values(text, tag)
            .iter()
            .map(|n| n.parse().unwrap())
            .collect()
    };
    Some(GenQuery {
        selects: numbers(selects, "inx")
            .into_iter()
            .zip(numbers(selects, "ivalue"))
            .collect(),
        conditions: numbers(conditions, "inx")
            .into_iter()
            .zip(values(conditions, "svalue"))
            .collect(),
        max_rows: 500,
        continue_inx: 0,
        row_offset: 0,
        options: numbers(body, "options")[0],
        locale_order: false,
    })
}

/// A statement that can only be what this crate wrote: one SELECT, with each value bound, and no text in it but our own.
pub(super) fn assert_one_select(conn: &Connection, compiled: &super::Compiled) {
    let sql = compiled.sql.as_str();
    assert!(sql.starts_with("SELECT "), "{sql}");
    for end in [";", "--", "/*", "\"", "`", "\0"] {
        assert!(!sql.contains(end), "{end:?} in {sql}");
    }
    // Every second piece is within quotes.
    let quoted = sql.split('\'').skip(1).step_by(2);
    for text in quoted {
        let ours = ["", "/", "\\", "access_type", "collection"];
        assert!(ours.contains(&text), "{text:?} in {sql}");
    }
    let statement = conn.prepare(sql).unwrap();
    assert!(statement.readonly(), "{sql}");
    assert_eq!(statement.parameter_count(), compiled.values.len(), "{sql}");
}

fn any_condition() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("="),
        Just("<>"),
        Just("like"),
        Just("not like"),
        Just("in"),
        Just("("),
        Just(")"),
        Just(","),
        Just("'"),
        Just("''"),
        Just("between"),
        Just("&&"),
        Just("||"),
        Just("parent_of"),
        Just("begin_of"),
        Just("is null"),
        Just("n>"),
        Just("'a'"),
        Just("'/z/home'"),
        Just(" "),
        Just("%"),
        Just("\\"),
        Just("; DROP TABLE r_data_main; --"),
        Just("\0"),
        Just("ü"),
    ];
    prop_oneof![
        any::<String>(),
        prop::collection::vec(word, 0..12).prop_map(|words| words.join(" ")),
        any::<String>().prop_map(|literal| format!("= '{literal}'")),
        any::<String>().prop_map(|literal| format!("like '{literal}'")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever a client writes, the answer is rows, no rows or one of the proper refusals: never an
    /// error of the database, and never anything that is not a SELECT.
    #[test]
    fn no_text_becomes_sql(
        conditions in prop::collection::vec((0..super::attributes::ATTRIBUTES.len(), any_condition()), 0..4),
        selects in prop::collection::vec((0..super::attributes::ATTRIBUTES.len(), any::<i32>()), 1..4),
        options in any::<i32>(),
        admin in any::<bool>(),
    ) {
        thread_local! {
            static CONN: Connection = testing::catalog();
        }
        let number = |index: usize| super::attributes::ATTRIBUTES[index].number;
        let ask = GenQuery {
            selects: selects.into_iter().map(|(index, flags)| (number(index), flags)).collect(),
            conditions: conditions.into_iter().map(|(index, text)| (number(index), text)).collect(),
            max_rows: 10,
            options,
            ..GenQuery::default()
        };
        CONN.with(|conn| {
            let who = if admin { testing::rods(conn) } else { testing::alice(conn) };
            if let Err(error) = page(conn, &who, &ask) {
                let proper = [
                    code::CAT_NO_ROWS_FOUND, code::CAT_INVALID_ARGUMENT, code::CAT_FAILED_TO_LINK_TABLES,
                ];
                prop_assert!(proper.contains(&error.code), "{:?}: {}", ask, error);
            }
            if let Ok(compiled) = super::compile::compile(&who, &ask) {
                assert_one_select(conn, &compiled);
            }
            Ok(())
        })?;
    }

    /// The statement is the same whatever the literals are.
    #[test]
    fn no_literal_is_in_the_statement(
        one in any::<String>(),
        other in any::<String>(),
        form in 0..6_usize,
    ) {
        let form = ["= '_'", "like '_'", "n> '_'", "not like '_'", "begin_of '_'", "<> '_'"][form];
        let conn = testing::catalog();
        let sql = |literal: &str| {
            let text = form.replace('_', literal);
            let ask = query(&[columns::DATA_NAME], &[(columns::DATA_NAME, &text)]);
            let compiled = super::compile::compile(&testing::alice(&conn), &ask).ok()?;
            assert_one_select(&conn, &compiled);
            // With other pieces of a condition in it, it is another condition.
            let plain = !literal.contains('\'');
            plain.then_some(compiled.sql)
        };
        if let (Some(one), Some(other)) = (sql(&one), sql(&other)) {
            prop_assert_eq!(one, other);
        }
    }
}
