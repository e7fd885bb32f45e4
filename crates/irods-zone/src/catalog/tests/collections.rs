use super::super::access::{Change, Level, modify as chmod};
use super::super::collections::*;
use super::super::stat::{ObjectKind, stat};
use super::super::{data_objects, replicas, testing, trash};
use super::*;

#[test]
fn creating_answers_as_recorded() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let id = create(&conn, &rods, "/z/home/rods/c/").unwrap();
    assert_eq!(find(&conn, "/z/home/rods/c").unwrap().unwrap().id, id);
    assert_eq!(
        code_of(create(&conn, &rods, "/z/home/rods/c")),
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    assert_eq!(
        code_of(create(&conn, &rods, "/z/home/rods/x/y")),
        code::CAT_UNKNOWN_COLLECTION
    );
    assert_eq!(
        code_of(create(&conn, &alice, "/z/home/rods/y")),
        code::CAT_NO_ACCESS_PERMISSION
    );
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    assert_eq!(
        code_of(create(&conn, &rods, "/z/home/rods/o")),
        code::CAT_NAME_EXISTS_AS_DATAOBJ
    );
    for bad in [
        "",
        "/",
        "relative",
        "/z/home/rods/..",
        "/z/home/rods//x",
        "/otherzone",
    ] {
        assert_eq!(
            code_of(create(&conn, &rods, bad)),
            code::USER_INPUT_PATH_ERR,
            "{bad:?}"
        );
    }
    assert_eq!(
        create_recursive(&conn, &rods, "/z/home/rods/c").unwrap(),
        id
    );
    create_recursive(&conn, &alice, "/z/home/alice/a/b/c").unwrap();
    assert_eq!(
        code_of(create_recursive(&conn, &alice, "/z/home/rods/c/d")),
        code::SYS_INVALID_INPUT_PARAM
    );
}

#[test]
fn only_empty_collections_can_be_removed_and_homes_stay() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    create_recursive(&conn, &rods, "/z/home/rods/c/d").unwrap();
    assert_eq!(
        code_of(remove_empty(&conn, &rods, "/z/home/rods/c")),
        code::CAT_COLLECTION_NOT_EMPTY
    );
    assert_eq!(
        code_of(remove_empty(&conn, &alice, "/z/home/rods/c/d")),
        code::CAT_NO_ACCESS_PERMISSION
    );
    remove_empty(&conn, &rods, "/z/home/rods/c/d").unwrap();
    remove_empty(&conn, &rods, "/z/home/rods/c").unwrap();
    assert_eq!(
        code_of(remove_empty(&conn, &rods, "/z/home/rods/c")),
        code::CAT_UNKNOWN_COLLECTION
    );
    for home in [
        "/z",
        "/z/home",
        "/z/trash/home",
        "/z/home/rods",
        "/z/trash/home/rods",
    ] {
        assert_eq!(
            code_of(remove_empty(&conn, &rods, home)),
            code::CANT_RM_NON_EMPTY_HOME_COLL,
            "{home}"
        );
    }
}

#[test]
fn renaming_takes_the_subtree_along_and_nothing_beside_it() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    create_recursive(&conn, &rods, "/z/home/rods/a/b/ü").unwrap();
    create(&conn, &rods, "/z/home/rods/ab").unwrap();
    let id = testing::object(&conn, &rods, "/z/home/rods/a/b/ü/o", 1);
    rename(&conn, &rods, "/z/home/rods/a", "/z/home/rods/longer name").unwrap();
    let below: Vec<String> = subtree(&conn, "/z/home/rods")
        .unwrap()
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(
        below,
        [
            "/z/home/rods",
            "/z/home/rods/ab",
            "/z/home/rods/longer name",
            "/z/home/rods/longer name/b",
            "/z/home/rods/longer name/b/ü",
        ]
    );
    let parents: Vec<String> = subtree(&conn, "/z/home/rods/longer name")
        .unwrap()
        .into_iter()
        .map(|c| c.parent)
        .collect();
    assert_eq!(
        parents,
        [
            "/z/home/rods",
            "/z/home/rods/longer name",
            "/z/home/rods/longer name/b"
        ]
    );
    let object = data_objects::find(&conn, "/z/home/rods/longer name/b/ü/o")
        .unwrap()
        .unwrap();
    assert_eq!(object.id, id);
}

#[test]
fn renaming_refuses_what_a_real_server_refuses() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    create(&conn, &rods, "/z/home/rods/a").unwrap();
    create(&conn, &rods, "/z/home/rods/b").unwrap();
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let to = |from: &str, to: &str| code_of(rename(&conn, &rods, from, to));
    assert_eq!(
        to("/z/home/rods/a", "/z/home/rods/b"),
        code::CAT_NAME_EXISTS_AS_COLLECTION
    );
    assert_eq!(
        to("/z/home/rods/a", "/z/home/rods/o"),
        code::CAT_NAME_EXISTS_AS_DATAOBJ
    );
    assert_eq!(
        to("/z/home/rods/a", "/z/home/rods/a/c"),
        code::SAME_SRC_DEST_PATHS_ERR
    );
    assert_eq!(
        to("/z/home/rods/a", "/z/home/rods/a"),
        code::SAME_SRC_DEST_PATHS_ERR
    );
    assert_eq!(
        to("/z/home/rods/nope", "/z/home/rods/c"),
        code::CAT_UNKNOWN_COLLECTION
    );
    assert_eq!(
        to("/z/home/rods/a", "/z/home/alice/a"),
        code::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(
        to("/z/home/rods", "/z/home/x"),
        code::CANT_RM_NON_EMPTY_HOME_COLL
    );
    let long = "x".repeat(900);
    create(&conn, &rods, &format!("/z/home/rods/a/{long}")).unwrap();
    assert_eq!(
        to(
            "/z/home/rods/a",
            &format!("/z/home/rods/{}", "y".repeat(200))
        ),
        code::USER_STRLEN_TOOLONG
    );
    assert_eq!(
        code_of(rename(&conn, &alice, "/z/home/rods/a", "/z/home/alice/a")),
        code::CAT_NO_ACCESS_PERMISSION
    );
    let open = data_objects::find(&conn, "/z/home/rods/o")
        .unwrap()
        .unwrap();
    rename(&conn, &rods, "/z/home/rods/b", "/z/home/rods/c").unwrap();
    data_objects::rename(&conn, &rods, "/z/home/rods/o", "/z/home/rods/c/o").unwrap();
    replicas::open_for_write(&conn, open.id, 0).unwrap();
    assert_eq!(
        to("/z/home/rods/c", "/z/home/rods/d"),
        code::LOCKED_DATA_OBJECT_ACCESS
    );
    assert_eq!(
        code_of(require_deletable(&conn, &rods, "/z/home/rods/c")),
        code::LOCKED_DATA_OBJECT_ACCESS
    );
}

#[test]
fn a_subtree_can_go_if_all_of_it_may() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    create(&conn, &rods, "/z/home/rods/c").unwrap();
    testing::object(&conn, &rods, "/z/home/rods/c/o", 1);
    let own = Change::Grant {
        user: "alice".into(),
        zone: String::new(),
        level: Level::OWN,
    };
    chmod(&conn, &rods, "/z/home/rods/c", &own, false).unwrap();
    assert_eq!(
        code_of(require_deletable(&conn, &alice, "/z/home/rods/c")),
        code::CAT_NO_ACCESS_PERMISSION
    );
    chmod(&conn, &rods, "/z/home/rods/c", &own, true).unwrap();
    require_deletable(&conn, &alice, "/z/home/rods/c").unwrap();
}

#[test]
fn the_trash_keeps_the_path_and_finds_free_names() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    create_recursive(&conn, &rods, "/z/home/rods/a/b").unwrap();
    testing::object(&conn, &rods, "/z/home/rods/a/b/o", 1);
    let first = trash::target(&conn, &rods, "/z/home/rods/a/b/o").unwrap();
    assert_eq!(first, "/z/trash/home/rods/a/b/o");
    data_objects::rename(&conn, &rods, "/z/home/rods/a/b/o", &first).unwrap();
    testing::object(&conn, &rods, "/z/home/rods/a/b/o", 1);
    let second = trash::target(&conn, &rods, "/z/home/rods/a/b/o").unwrap();
    let (stem, number) = second.rsplit_once('.').unwrap();
    assert_eq!(stem, first);
    number.parse::<u32>().unwrap();
    assert_eq!(
        trash::target(&conn, &alice, "/z/home/rods/a").unwrap(),
        "/z/trash/home/alice/home/rods/a"
    );
    assert!(trash::contains("/z/trash/home/rods/x") && !trash::contains("/z/home/trash"));
}

#[test]
fn stat_tells_what_the_user_may_know() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let id = testing::object(&conn, &rods, "/z/home/rods/o", 7);
    let object = stat(&conn, &rods, "/z/home/rods/o", None).unwrap();
    assert_eq!(
        (object.kind, object.id, object.size),
        (ObjectKind::DataObject, id, 7)
    );
    assert_eq!(object.create_time.len(), 11);
    let home = stat(&conn, &rods, "/z/home/rods", None).unwrap();
    assert_eq!(
        (home.kind, home.owner_name.as_str()),
        (ObjectKind::Collection, "rods")
    );
    let wrong = stat(&conn, &rods, "/z/home/rods/o", Some(ObjectKind::Collection));
    assert_eq!(code_of(wrong), code::USER_FILE_DOES_NOT_EXIST);
    assert_eq!(
        code_of(stat(&conn, &alice, "/z/home/rods/o", None)),
        code::USER_FILE_DOES_NOT_EXIST
    );
}

#[test]
fn children_come_in_steps_and_the_root_is_not_its_own_child() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let names = |path: &str, after: &str, limit| -> Vec<String> {
        children(&conn, path, after, limit)
            .unwrap()
            .into_iter()
            .map(|c| c.name)
            .collect()
    };
    assert_eq!(names("/", "", 10), ["/z"]);
    for name in ["a", "b", "c"] {
        create(&conn, &rods, &format!("/z/home/rods/{name}")).unwrap();
    }
    assert_eq!(
        names("/z/home/rods", "", 2),
        ["/z/home/rods/a", "/z/home/rods/b"]
    );
    assert_eq!(
        names("/z/home/rods", "/z/home/rods/b", 2),
        ["/z/home/rods/c"]
    );
}

#[test]
fn properties_of_a_collection_can_be_changed() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    create(&conn, &rods, "/z/home/rods/c").unwrap();
    let change = CollectionChange {
        info1: Some("x".into()),
        modify_time: Some("1700000000".into()),
        ..CollectionChange::default()
    };
    modify(&conn, &rods, "/z/home/rods/c", &change).unwrap();
    let changed = find(&conn, "/z/home/rods/c").unwrap().unwrap();
    assert_eq!(
        (changed.info1.as_str(), changed.modify_time.as_str()),
        ("x", "01700000000")
    );
}
