//! Many objects in one message, and the calls that compare and move what is there already. The answers are those of the
//! recordings, without needing them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use bstr::BString;
use common::{Fixture, HOME, Peer, object, wish};
use irods_protocol::message::*;
use irods_protocol::{api, codes, columns, keywords};

fn table(columns: &[(i32, &[&str])]) -> GenQueryOut {
    let column = |(number, values): &(i32, &[&str])| SqlResult {
        attri_inx: *number,
        reslen: 1088,
        values: values.iter().map(|value| BString::from(*value)).collect(),
    };
    GenQueryOut {
        row_cnt: columns[0].1.len() as i32,
        continue_inx: -1,
        total_row_count: 0,
        columns: columns.iter().map(column).collect(),
    }
}

async fn put(peer: &mut Peer, columns: &[(i32, &[&str])], wishes: KeyValPair, bytes: &[u8]) -> i32 {
    let input = BulkOprInp {
        obj_path: HOME.into(),
        attri_array: table(columns),
        cond_input: wishes,
    };
    let call = peer.stream_call(api::BULK_DATA_OBJ_PUT, &input, bytes);
    call.await.code
}

#[tokio::test]
async fn a_bulk_put_stores_each_and_makes_collections() {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    let paths = [
        format!("{HOME}/n/a"),
        format!("{HOME}/n/m/b"),
        format!("{HOME}/n/m/c"),
    ];
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let columns = [
        (columns::DATA_NAME, &paths[..]),
        (columns::DATA_MODE, &["33188"; 3]),
        (999_998, &["3", "3", "8"]),
    ];
    assert_eq!(
        put(&mut rods, &columns, KeyValPair::new(), b"oneafive").await,
        0
    );
    assert_eq!(rods.get(paths[0]).await.unwrap(), b"one");
    assert_eq!(rods.get(paths[1]).await.unwrap(), b"");
    assert_eq!(rods.get(paths[2]).await.unwrap(), b"afive");

    let again = put(&mut rods, &columns, KeyValPair::new(), b"oneafive").await;
    assert_eq!(again, codes::OVERWRITE_WITHOUT_FORCE_FLAG);
    let forced = put(
        &mut rods,
        &columns,
        wish(keywords::FORCE_FLAG, ""),
        b"oneafive",
    )
    .await;
    assert_eq!(forced, codes::USER_INCOMPATIBLE_PARAMS);
}

#[tokio::test]
async fn a_bulk_put_stops_at_what_is_wrong() {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    let paths = [
        format!("{HOME}/a"),
        format!("{HOME}/b"),
        format!("{HOME}/c"),
    ];
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let empty = "sha2:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let columns = [
        (columns::DATA_NAME, &paths[..]),
        (999_998, &["0", "1", "2"]),
        (columns::DATA_CHECKSUM, &[empty; 3]),
    ];
    let refused = put(&mut rods, &columns, KeyValPair::new(), b"xy").await;
    assert_eq!(refused, codes::USER_CHKSUM_MISMATCH);
    assert_eq!(rods.stat(paths[0]).await.unwrap().chksum, empty);
    assert_eq!(rods.states(paths[1]).await, [("0".into(), "0".into())]);
    assert!(rods.stat(paths[2]).await.is_err());

    // Ends that are no ends, and columns that are not there.
    for ends in [&["9"][..], &["-1"], &["x"], &["18446744073709551616"]] {
        let columns = [
            (columns::DATA_NAME, &["/tempZone/home/rods/z"][..]),
            (999_998, ends),
        ];
        assert!(
            put(&mut rods, &columns, KeyValPair::new(), b"xy").await < 0,
            "{ends:?}"
        );
    }
    let columns = [(columns::DATA_NAME, &["/tempZone/home/rods/z"][..])];
    let refused = put(&mut rods, &columns, KeyValPair::new(), b"").await;
    assert_eq!(refused, codes::UNMATCHED_KEY_OR_INDEX);

    let mut alice = zone.user("alice").await;
    let columns = [
        (columns::DATA_NAME, &["/tempZone/home/rods/z/y"][..]),
        (999_998, &["0"]),
    ];
    assert!(put(&mut alice, &columns, KeyValPair::new(), b"").await < 0);
}

#[tokio::test]
async fn a_bulk_registration_is_all_or_nothing() {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    let resource = rods.query(&[301], &[(302, "= 'demoResc'")]).await[0][0].clone();
    let register = |names: [&'static str; 2]| {
        let paths = names.map(|name| format!("{HOME}/{name}"));
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        table(&[
            (columns::DATA_NAME, &paths),
            (columns::DATA_TYPE_NAME, &["generic"; 2]),
            (columns::DATA_SIZE, &["7", "8"]),
            (columns::DATA_RESC_NAME, &["demoResc"; 2]),
            (columns::DATA_PATH, &["/srv/one", "/srv/two"]),
            (columns::DATA_MODE, &["420"; 2]),
            (999_999, &["register"; 2]),
            (columns::DATA_REPL_NUM, &["0"; 2]),
            (columns::DATA_RESC_ID, &[resource.as_str(); 2]),
        ])
    };
    let done = rods
        .call(api::BULK_DATA_OBJ_REG, &register(["a", "b"]))
        .await
        .ok();
    assert_eq!(done.output::<GenQueryOut>().row_cnt, 2);
    assert_eq!(rods.stat(&format!("{HOME}/b")).await.unwrap().obj_size, 8);
    let refused = rods
        .call(api::BULK_DATA_OBJ_REG, &register(["c", "a"]))
        .await;
    assert_eq!(refused.code, codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME);
    assert!(rods.stat(&format!("{HOME}/c")).await.is_err());

    let mut lacking = register(["d", "e"]);
    lacking.columns.pop();
    let refused = rods.call(api::BULK_DATA_OBJ_REG, &lacking).await.code;
    assert_eq!(refused, codes::UNMATCHED_KEY_OR_INDEX);
    let mut alice = zone.user("alice").await;
    let refused = alice
        .call(api::BULK_DATA_OBJ_REG, &register(["d", "e"]))
        .await;
    assert_eq!(refused.code, codes::PATH_REG_NOT_ALLOWED);
}

#[tokio::test]
async fn rsync_compares_by_checksum_and_copies_between_objects() {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    let (o, copy) = (format!("{HOME}/o"), format!("{HOME}/copy"));
    assert_eq!(rods.put(&o, b"").await, 0);
    let empty = "sha2:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let input = |mode: &str, checksum: &str, to: &str| DataObjInp {
        cond_input: wish(keywords::RSYNC_MODE, mode)
            .with(keywords::RSYNC_CHKSUM, checksum)
            .with(keywords::RSYNC_DEST_PATH, to),
        ..object(&o)
    };
    for (mode, checksum, code) in [
        ("IRODS_TO_LOCAL", empty, 0),
        ("IRODS_TO_LOCAL", "sha2:other", 99_999_991),
        ("LOCAL_TO_IRODS", empty, 0),
        ("LOCAL_TO_IRODS", "sha2:other", 99_999_990),
        ("SIDEWAYS", empty, codes::USER_RSYNC_NO_MODE_INPUT_ERR),
    ] {
        let answer = rods
            .call(api::DATA_OBJ_RSYNC, &input(mode, checksum, "x"))
            .await;
        assert_eq!(answer.code, code, "{mode} {checksum}");
    }
    // The checksum that was needed is kept.
    assert_eq!(rods.stat(&o).await.unwrap().chksum, empty);

    for (content, code) in [(&b""[..], 99_999_992), (b"", 0), (b"changed", 99_999_992)] {
        let wishes = wish(keywords::FORCE_FLAG, "");
        assert_eq!(rods.put_with(&o, content, wishes).await, 0);
        let answer = rods
            .call(api::DATA_OBJ_RSYNC, &input("IRODS_TO_IRODS", "", &copy))
            .await;
        assert_eq!(answer.code, code, "{content:?}");
        assert_eq!(rods.get(&copy).await.unwrap(), content);
    }
}

#[tokio::test]
async fn appending_writes_at_the_end_wherever_the_position_is() {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    let o = format!("{HOME}/o");
    assert_eq!(rods.put(&o, b"hello ").await, 0);
    let flags = 1 | 1024; // O_WRONLY | O_APPEND
    let fd = rods.open(&o, flags, KeyValPair::new()).await;
    assert_eq!(rods.seek(fd, 0, 0).await, 0);
    assert_eq!(rods.write(fd, b"wor").await, 3);
    assert_eq!(rods.seek(fd, 1, 0).await, 1);
    assert_eq!(rods.write(fd, b"ld").await, 2);
    assert_eq!(rods.close(fd).await, 0);
    assert_eq!(rods.get(&o).await.unwrap(), b"hello world");
}

#[tokio::test]
async fn a_moved_replica_keeps_its_number() {
    let zone = Fixture::new().await;
    let mut rods = zone.rods().await;
    let place = format!("localhost:{}", zone.dir.path().join("other").display());
    rods.admin(&["add", "resource", "other", "unixfilesystem", &place, ""])
        .await;
    let o = format!("{HOME}/o");
    assert_eq!(rods.put(&o, b"content").await, 0);
    let input = DataObjInp {
        cond_input: wish(keywords::RESC_NAME, "demoResc").with(keywords::DEST_RESC_NAME, "other"),
        ..object(&o)
    };
    rods.call(api::DATA_OBJ_PHYMV, &input).await.ok();
    assert_eq!(rods.states(&o).await, [("0".into(), "1".into())]);
    let hierarchy = rods.query(&[422], &[(403, "= 'o'")]).await;
    assert_eq!(hierarchy, [["other"]]);
    assert_eq!(rods.get(&o).await.unwrap(), b"content");
}
