use super::super::access::{Change, Level, apply_all, level_of, list, modify, require};
use super::super::{collections, testing};
use super::*;

fn grant(user: &str, level: Level) -> Change {
    Change::Grant {
        user: user.into(),
        zone: String::new(),
        level,
    }
}

#[test]
fn levels_are_read_as_clients_write_them() {
    assert_eq!(Level::parse("read").unwrap(), Level::READ_OBJECT);
    assert_eq!(Level::parse("write").unwrap(), Level::MODIFY_OBJECT);
    assert_eq!(Level::parse("modify object").unwrap(), Level::MODIFY_OBJECT);
    assert_eq!(
        Level::parse("delete_metadata").unwrap(),
        Level::DELETE_METADATA
    );
    assert_eq!(Level::parse("own").unwrap().name(), "own");
    assert_eq!(
        code_of(Level::parse("everything")),
        code::CAT_INVALID_ARGUMENT
    );
}

#[test]
fn permissions_come_from_the_user_and_the_groups() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let id = testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let path = "/z/home/rods/o";
    assert_eq!(level_of(&conn, &alice, id).unwrap(), Level::NULL);
    modify(
        &conn,
        &rods,
        path,
        &grant("public", Level::READ_OBJECT),
        false,
    )
    .unwrap();
    assert_eq!(level_of(&conn, &alice, id).unwrap(), Level::READ_OBJECT);
    modify(
        &conn,
        &rods,
        path,
        &grant("alice", Level::MODIFY_OBJECT),
        false,
    )
    .unwrap();
    assert_eq!(level_of(&conn, &alice, id).unwrap(), Level::MODIFY_OBJECT);
    let names: Vec<_> = list(&conn, id)
        .unwrap()
        .into_iter()
        .map(|e| e.user_name)
        .collect();
    assert_eq!(names, ["alice", "public", "rods"]);
    modify(&conn, &rods, path, &grant("alice", Level::NULL), false).unwrap();
    modify(&conn, &rods, path, &grant("public", Level::NULL), false).unwrap();
    assert_eq!(
        code_of(require(&conn, &alice, id, Level::READ_OBJECT)),
        code::CAT_NO_ACCESS_PERMISSION
    );
}

#[test]
fn only_owners_and_admin_mode_change_permissions() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    testing::object(&conn, &alice, "/z/home/alice/o", 1);
    let change = grant("rods", Level::OWN);
    let path = "/z/home/alice/o";
    assert_eq!(
        code_of(modify(&conn, &rods, path, &change, false)),
        code::CAT_NO_ACCESS_PERMISSION
    );
    modify(&conn, &rods.in_admin_mode().unwrap(), path, &change, false).unwrap();
    modify(
        &conn,
        &rods,
        path,
        &grant("alice", Level::READ_OBJECT),
        false,
    )
    .unwrap();
    assert_eq!(
        code_of(modify(&conn, &alice, path, &change, false)),
        code::CAT_NO_ACCESS_PERMISSION
    );
    assert_eq!(
        code_of(alice.in_admin_mode()),
        code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
}

#[test]
fn failures_answer_as_recorded() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let missing = modify(
        &conn,
        &rods,
        "/z/home/rods/nope",
        &grant("alice", Level::OWN),
        false,
    );
    assert_eq!(code_of(missing), code::CAT_INVALID_ARGUMENT);
    let nobody = modify(
        &conn,
        &rods,
        "/z/home/rods/o",
        &grant("nouser", Level::OWN),
        false,
    );
    assert_eq!(code_of(nobody), code::CAT_INVALID_USER);
    let inherit = modify(&conn, &rods, "/z/home/rods/o", &Change::Inherit, false);
    assert_eq!(code_of(inherit), code::CAT_INVALID_ARGUMENT);
}

#[test]
fn recursion_reaches_the_whole_subtree_and_nothing_beside_it() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let deep = collections::create_recursive(&conn, &rods, "/z/home/rods/a/b").unwrap();
    let beside = collections::create(&conn, &rods, "/z/home/rods/a0").unwrap();
    let inside = testing::object(&conn, &rods, "/z/home/rods/a/b/o", 1);
    let direct = testing::object(&conn, &rods, "/z/home/rods/a/o", 1);
    let outside = testing::object(&conn, &rods, "/z/home/rods/a.o", 1);
    let levels = || {
        [deep, inside, direct, beside, outside]
            .map(|id| level_of(&conn, &alice, id).unwrap().name())
    };
    modify(
        &conn,
        &rods,
        "/z/home/rods/a",
        &grant("alice", Level::READ_OBJECT),
        true,
    )
    .unwrap();
    assert_eq!(
        levels(),
        ["read_object", "read_object", "read_object", "null", "null"]
    );
    modify(
        &conn,
        &rods,
        "/z/home/rods/a",
        &grant("alice", Level::NULL),
        true,
    )
    .unwrap();
    assert_eq!(levels(), ["null"; 5]);
}

#[test]
fn new_children_inherit_where_the_parent_says_so() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    collections::create(&conn, &rods, "/z/home/rods/c").unwrap();
    let path = "/z/home/rods/c";
    modify(
        &conn,
        &rods,
        path,
        &grant("alice", Level::READ_OBJECT),
        false,
    )
    .unwrap();
    let before = testing::object(&conn, &rods, "/z/home/rods/c/before", 1);
    modify(&conn, &rods, path, &Change::Inherit, false).unwrap();
    let after = testing::object(&conn, &rods, "/z/home/rods/c/after", 1);
    let sub = collections::create(&conn, &rods, "/z/home/rods/c/sub").unwrap();
    assert!(
        collections::find(&conn, "/z/home/rods/c/sub")
            .unwrap()
            .unwrap()
            .inherit
    );
    let levels = [before, after, sub].map(|id| level_of(&conn, &alice, id).unwrap().name());
    assert_eq!(levels, ["null", "read_object", "read_object"]);
    assert_eq!(level_of(&conn, &rods, after).unwrap(), Level::OWN);
    modify(&conn, &rods, path, &Change::NoInherit, true).unwrap();
    assert!(
        !collections::find(&conn, "/z/home/rods/c/sub")
            .unwrap()
            .unwrap()
            .inherit
    );
}

#[test]
fn several_changes_name_the_one_that_failed() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let changes = [grant("alice", Level::OWN), grant("nouser", Level::OWN)];
    let (index, error) = apply_all(&conn, &rods, "/z/home/rods/o", &changes).unwrap_err();
    assert_eq!((index, error.code), (1, code::CAT_INVALID_USER));
}

#[test]
fn who_gives_an_object_away_in_one_call_may_do_so_in_any_order() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let id = testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let changes = [grant("rods", Level::NULL), grant("alice", Level::OWN)];
    apply_all(&conn, &rods, "/z/home/rods/o", &changes).unwrap();
    assert_eq!(level_of(&conn, &alice, id).unwrap(), Level::OWN);
    let (_, error) = apply_all(&conn, &rods, "/z/home/rods/o", &changes).unwrap_err();
    assert_eq!(error.code, code::CAT_NO_ACCESS_PERMISSION);
}
