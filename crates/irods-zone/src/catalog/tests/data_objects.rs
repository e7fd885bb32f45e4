use super::super::access::{Change, Level, modify as chmod};
use super::super::data_objects::*;
use super::super::metadata::{self, Avu, EntityKind};
use super::super::replicas::{self, Status};
use super::super::{collections, testing};
use super::*;

#[test]
fn creating_answers_as_recorded() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let new = testing::replica(&conn, "/vault/o", 5);
    let id = create(&conn, &rods, "/z/home/rods/o", &new).unwrap();
    let object = find(&conn, "/z/home/rods/o").unwrap().unwrap();
    assert_eq!(
        (object.id, object.replicas.len(), object.replicas[0].number),
        (id, 1, 0)
    );
    let replica = &object.replicas[0];
    assert_eq!(
        (replica.data_type.as_str(), replica.mode.as_str()),
        ("generic", "0")
    );
    assert_eq!(
        (replica.expiry.as_str(), replica.resc_hier.as_str()),
        ("00000000000", "demo")
    );
    let fails = |who, path| code_of(create(&conn, who, path, &new));
    assert_eq!(
        fails(&rods, "/z/home/rods/o"),
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    assert_eq!(
        fails(&rods, "/z/home/rods/x/o"),
        code::CAT_UNKNOWN_COLLECTION
    );
    assert_eq!(
        fails(&rods, "/z/home/rods"),
        code::CAT_NAME_EXISTS_AS_COLLECTION
    );
    assert_eq!(fails(&rods, "/z/home/rods/o/"), code::USER_INPUT_PATH_ERR);
    assert_eq!(fails(&rods, "/z/home/rods/.."), code::USER_INPUT_PATH_ERR);
    let error = create(&conn, &alice, "/z/home/rods/new", &new).unwrap_err();
    assert_eq!(
        error.message,
        "no permission to update collection '/z/home/rods'"
    );
    assert_eq!(error.code, code::CAT_NO_ACCESS_PERMISSION);
    collections::create(&conn, &rods, "/z/home/rods/c").unwrap();
    assert_eq!(
        fails(&rods, "/z/home/rods/c"),
        code::CAT_NAME_EXISTS_AS_COLLECTION
    );
    let mut odd = new.clone();
    odd.data_type = "no such type".into();
    assert_eq!(
        code_of(create(&conn, &rods, "/z/home/rods/t", &odd)),
        code::CAT_INVALID_DATA_TYPE
    );
    odd.resc_id = 1;
    odd.data_type = String::new();
    assert_eq!(
        code_of(create(&conn, &rods, "/z/home/rods/t", &odd)),
        code::CAT_SQL_ERR
    );
}

#[test]
fn times_are_taken_as_given() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let mut new = testing::replica(&conn, "/vault/o", 5);
    new.modify_time = Some("1700000000".into());
    create(&conn, &rods, "/z/home/rods/o", &new).unwrap();
    let replica = find(&conn, "/z/home/rods/o")
        .unwrap()
        .unwrap()
        .replicas
        .remove(0);
    assert_eq!(replica.modify_time, "1700000000");
    assert_eq!(replica.create_time.len(), 11);
}

#[test]
fn what_may_not_be_read_is_not_there() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    assert_eq!(
        code_of(visible(&conn, &alice, "/z/home/rods/o")),
        code::CAT_NO_ROWS_FOUND
    );
    assert_eq!(
        code_of(remove(&conn, &alice, "/z/home/rods/o")),
        code::CAT_NO_ROWS_FOUND
    );
    let moved = rename(&conn, &alice, "/z/home/rods/o", "/z/home/alice/o");
    assert_eq!(code_of(moved), code::CAT_NO_ROWS_FOUND);
    let write = Change::Grant {
        user: "alice".into(),
        zone: String::new(),
        level: Level::MODIFY_OBJECT,
    };
    chmod(&conn, &rods, "/z/home/rods/o", &write, false).unwrap();
    visible(&conn, &alice, "/z/home/rods/o").unwrap();
    assert_eq!(
        code_of(remove(&conn, &alice, "/z/home/rods/o")),
        code::CAT_NO_ACCESS_PERMISSION
    );
}

#[test]
fn administrators_see_everything_and_read_what_they_may() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let path = "/z/home/alice/o";
    let id = testing::object(&conn, &alice, path, 1);
    assert_eq!(
        super::super::stat::stat(&conn, &rods, path, None)
            .unwrap()
            .id,
        id
    );
    collections::visible(&conn, &rods, "/z/home/alice").unwrap();
    assert_eq!(
        code_of(visible(&conn, &rods, path)),
        code::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(
        code_of(remove(&conn, &rods, path)),
        code::CAT_NO_ACCESS_PERMISSION
    );
    visible(&conn, &rods.in_admin_mode().unwrap(), path).unwrap();
    remove(&conn, &rods.in_admin_mode().unwrap(), path).unwrap();
}

#[test]
fn removing_takes_permissions_and_metadata_along() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let id = testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let avu = Avu {
        attribute: "a".into(),
        value: "v".into(),
        units: String::new(),
    };
    metadata::add(&conn, &rods, EntityKind::DataObject, "/z/home/rods/o", &avu).unwrap();
    let removed = remove(&conn, &rods, "/z/home/rods/o").unwrap();
    assert_eq!(removed.replicas[0].physical_path, "/vault/home/rods/o");
    for table in [
        "r_data_main WHERE data_id",
        "r_objt_access WHERE object_id",
        "r_objt_metamap WHERE object_id",
    ] {
        let left: i64 = conn
            .query_row(&format!("SELECT count(*) FROM {table} = ?1"), [id], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
    let avus: i64 = conn
        .query_row("SELECT count(*) FROM r_meta_main", [], |row| row.get(0))
        .unwrap();
    assert_eq!(avus, 0);
}

#[test]
fn renaming_answers_as_recorded() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    collections::create(&conn, &rods, "/z/home/rods/c").unwrap();
    let id = testing::object(&conn, &rods, "/z/home/rods/o1", 1);
    testing::object(&conn, &rods, "/z/home/rods/o2", 1);
    rename(&conn, &rods, "/z/home/rods/o1", "/z/home/rods/moved").unwrap();
    rename(&conn, &rods, "/z/home/rods/moved", "/z/home/rods/c/moved").unwrap();
    assert_eq!(
        by_id(&conn, id).unwrap().unwrap().path,
        "/z/home/rods/c/moved"
    );
    let to = |from, to| code_of(rename(&conn, &rods, from, to));
    assert_eq!(
        to("/z/home/rods/o2", "/z/home/rods/c/moved"),
        code::CAT_NAME_EXISTS_AS_DATAOBJ
    );
    assert_eq!(
        to("/z/home/rods/o2", "/z/home/rods/c"),
        code::CAT_NAME_EXISTS_AS_COLLECTION
    );
    assert_eq!(
        to("/z/home/rods/nope", "/z/home/rods/nope2"),
        code::CAT_NO_ROWS_FOUND
    );
    assert_eq!(
        to("/z/home/rods/o2", "/z/home/rods/o2"),
        code::SAME_SRC_DEST_PATHS_ERR
    );
    assert_eq!(
        to("/z/home/rods/o2", "/z/home/rods/x/o2"),
        code::CAT_UNKNOWN_COLLECTION
    );
    assert_eq!(
        to("/z/home/rods/o2", "/z/home/alice/o2"),
        code::CAT_NO_ACCESS_PERMISSION
    );
}

#[test]
fn objects_of_a_collection_come_in_steps_with_all_replicas() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let other = testing::resource(&conn, "other");
    for name in ["a", "b", "c"] {
        let id = testing::object(&conn, &rods, &format!("/z/home/rods/{name}"), 1);
        let second = replicas::NewReplica::new(other, "/other/x", 1, Status::Stale);
        assert_eq!(replicas::add(&conn, id, &second).unwrap(), 1);
    }
    let home = collections::find(&conn, "/z/home/rods").unwrap().unwrap();
    let first = in_collection(&conn, home.id, "", 2).unwrap();
    assert_eq!(
        first.iter().map(|o| o.path.as_str()).collect::<Vec<_>>(),
        ["/z/home/rods/a", "/z/home/rods/b"]
    );
    assert!(first.iter().all(|o| o.replicas.len() == 2));
    assert_eq!(in_collection(&conn, home.id, "b", 2).unwrap().len(), 1);
    let mut seen = Vec::new();
    let mut after = (0, 0);
    loop {
        let step = replicas::in_subtree(&conn, "/z/home", after, 2).unwrap();
        let Some(last) = step.last() else { break };
        after = (last.data_id, last.number);
        seen.extend(step);
    }
    assert_eq!(seen.len(), 6);
}
