use super::super::users::*;
use super::super::zones::{self, ZoneField};
use super::super::{UserType, bootstrap, collections, testing};
use super::*;

#[test]
fn a_new_zone_has_what_a_real_one_has() {
    let conn = testing::catalog();
    assert!(bootstrap::is_done(&conn).unwrap());
    let again = bootstrap::run(&conn, &testing::zone());
    assert_eq!(code_of(again), code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME);
    let zone: i64 = conn
        .query_row("SELECT zone_id FROM r_zone_main", [], |row| row.get(0))
        .unwrap();
    assert_eq!(zone, 10_000);
    assert_eq!(testing::rods(&conn).user_id, 10_002);
    for path in [
        "/",
        "/z",
        "/z/home/rods",
        "/z/home/public",
        "/z/trash/home/rods",
        "/z/home/alice",
    ] {
        assert!(collections::find(&conn, path).unwrap().is_some(), "{path}");
    }
}

#[test]
fn users_come_and_go_as_recorded() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let add = |who, name: &str, user_type| add_user(&conn, who, name, "", user_type, "");
    let id = add(&rods, "bob", UserType::RodsUser).unwrap();
    let home = collections::find(&conn, "/z/home/bob").unwrap().unwrap();
    assert_eq!((home.owner_name.as_str(), home.inherit), ("bob", false));
    assert_eq!(
        code_of(add(&rods, "bob", UserType::RodsUser)),
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    assert_eq!(
        code_of(UserType::parse("nosuchtype")),
        code::CAT_INVALID_USER_TYPE
    );
    assert_eq!(
        code_of(add(&alice, "eve", UserType::RodsUser)),
        code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
    for bad in ["", "a/b", "a#b", "."] {
        assert_eq!(
            code_of(add(&rods, bad, UserType::RodsUser)),
            code::USER_INVALID_USERNAME_FORMAT
        );
    }
    modify(&conn, &rods, "bob", "", &UserChange::Comment("c".into())).unwrap();
    modify(&conn, &rods, "bob", "z", &UserChange::Info("<i/>".into())).unwrap();
    modify(
        &conn,
        &rods,
        "bob",
        "",
        &UserChange::Type(UserType::GroupAdmin),
    )
    .unwrap();
    let bob = find(&conn, "bob", "").unwrap().unwrap();
    assert_eq!(
        (bob.comment.as_str(), bob.info.as_str(), bob.user_type),
        ("c", "<i/>", UserType::GroupAdmin)
    );
    let group = modify(
        &conn,
        &rods,
        "bob",
        "",
        &UserChange::Type(UserType::RodsGroup),
    );
    assert_eq!(code_of(group), code::CAT_INVALID_USER_TYPE);
    assert_eq!(
        code_of(modify(
            &conn,
            &rods,
            "nobody",
            "",
            &UserChange::Info(String::new())
        )),
        code::CAT_INVALID_USER
    );

    testing::object(
        &conn,
        &identity(&conn, "bob", "").unwrap(),
        "/z/home/bob/o",
        1,
    );
    assert_eq!(
        code_of(remove(&conn, &rods, "bob", "")),
        code::CAT_COLLECTION_NOT_EMPTY
    );
    conn.execute("DELETE FROM r_data_main", []).unwrap();
    remove(&conn, &rods, "bob", "z").unwrap();
    assert!(find(&conn, "bob", "").unwrap().is_none());
    assert!(collections::find(&conn, "/z/home/bob").unwrap().is_none());
    let left: i64 = conn
        .query_row(
            "SELECT count(*) FROM r_user_group WHERE user_id = ?1",
            [id],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
    assert_eq!(
        code_of(remove(&conn, &rods, "bob", "")),
        code::CAT_INVALID_USER
    );
    assert_eq!(
        code_of(remove(&conn, &rods, "rods", "")),
        code::CAT_INVALID_ARGUMENT
    );
    assert_eq!(
        code_of(identity(&conn, "public", "")),
        code::CAT_INVALID_USER
    );
}

#[test]
fn passwords_can_be_set_read_and_used_up() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let clear = |name| -> Vec<String> {
        passwords(&conn, name, "")
            .unwrap()
            .into_iter()
            .map(|p| p.clear)
            .collect()
    };
    assert_eq!(clear("rods"), ["secret"]);
    assert!(clear("alice").is_empty() && clear("nobody").is_empty());
    modify(
        &conn,
        &alice,
        "alice",
        "",
        &UserChange::Password("alicepw".into()),
    )
    .unwrap();
    modify(
        &conn,
        &rods,
        "alice",
        "",
        &UserChange::Password("other".into()),
    )
    .unwrap();
    assert_eq!(clear("alice"), ["other"]);
    let foreign = modify(
        &conn,
        &alice,
        "rods",
        "",
        &UserChange::Password("mine".into()),
    );
    assert_eq!(code_of(foreign), code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL);
    for bad in ["xx", &"x".repeat(43)] {
        assert_eq!(
            code_of(set_password(&conn, alice.user_id, bad)),
            code::PASSWORD_EXCEEDS_MAX_SIZE
        );
    }
    add_temporary_password(&conn, alice.user_id, "expired", 1, false).unwrap();
    add_temporary_password(&conn, alice.user_id, "once", u64::from(u32::MAX), true).unwrap();
    let all = passwords(&conn, "alice", "z").unwrap();
    assert_eq!(all.len(), 3);
    use_up(&conn, all.iter().find(|p| p.single_use).unwrap().row).unwrap();
    assert_eq!(clear("alice"), ["other"]);
}

#[test]
fn group_administrators_manage_their_groups() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    add_group(&conn, &rods, "g").unwrap();
    add_user(&conn, &rods, "boss", "", UserType::GroupAdmin, "").unwrap();
    let boss = identity(&conn, "boss", "").unwrap();
    assert_eq!(
        code_of(add_member(&conn, &alice, "g", "alice", "")),
        code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
    add_member(&conn, &boss, "g", "boss", "").unwrap();
    add_member(&conn, &boss, "g", "alice", "z").unwrap();
    assert_eq!(
        code_of(add_member(&conn, &boss, "g", "alice", "")),
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    add_group(&conn, &boss, "h").unwrap();
    add_member(&conn, &rods, "h", "alice", "").unwrap();
    assert_eq!(
        code_of(add_member(&conn, &boss, "h", "boss", "")),
        code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
    remove_member(&conn, &boss, "g", "alice", "").unwrap();
    assert_eq!(
        code_of(remove_member(&conn, &boss, "g", "alice", "")),
        code::CAT_SUCCESS_BUT_WITH_NO_INFO
    );
    assert_eq!(
        code_of(add_member(&conn, &rods, "nogroup", "alice", "")),
        code::CAT_INVALID_GROUP
    );
    assert_eq!(
        code_of(add_member(&conn, &rods, "g", "nobody", "")),
        code::CAT_INVALID_USER
    );
    add_user(&conn, &boss, "made", "", UserType::RodsUser, "").unwrap();
    let admin = add_user(&conn, &boss, "root", "", UserType::RodsAdmin, "");
    assert_eq!(code_of(admin), code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL);
    remove(&conn, &rods, "g", "").unwrap();
    assert_eq!(
        code_of(remove(&conn, &rods, "public", "")),
        code::CAT_INVALID_ARGUMENT
    );
}

#[test]
fn remote_zones_have_users() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    zones::add(&conn, &rods, "far", "remote", "host:1247", "").unwrap();
    zones::modify(&conn, &rods, "far", ZoneField::Comment, "x").unwrap();
    add_user(&conn, &rods, "eve", "far", UserType::RodsUser, "").unwrap();
    assert!(
        collections::find(&conn, "/z/home/eve#far")
            .unwrap()
            .is_some()
    );
    assert!(identity(&conn, "eve", "").is_err());
    assert_eq!(identity(&conn, "eve", "far").unwrap().zone, "far");
    assert_eq!(
        code_of(zones::remove(&conn, &rods, "far")),
        code::CAT_INVALID_ARGUMENT
    );
    remove(&conn, &rods, "eve", "far").unwrap();
    zones::remove(&conn, &rods, "far").unwrap();
    assert_eq!(
        code_of(zones::remove(&conn, &rods, "z")),
        code::CAT_INVALID_ARGUMENT
    );
    let nowhere = add_user(&conn, &rods, "eve", "nowhere", UserType::RodsUser, "");
    assert_eq!(code_of(nowhere), code::CAT_INVALID_ZONE);
}
