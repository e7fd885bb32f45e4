use super::super::metadata::*;
use super::super::{collections, testing};
use super::*;

fn avu(attribute: &str, value: &str, units: &str) -> Avu {
    Avu {
        attribute: attribute.into(),
        value: value.into(),
        units: units.into(),
    }
}

const D: EntityKind = EntityKind::DataObject;
const O: &str = "/z/home/rods/o";

#[test]
fn avus_come_and_go_as_recorded() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let id = testing::object(&conn, &rods, O, 1);
    let all = || -> Vec<Avu> {
        list(&conn, id)
            .unwrap()
            .into_iter()
            .map(|a| a.avu)
            .collect()
    };
    add(&conn, &rods, D, O, &avu("k", "v", "u")).unwrap();
    add(&conn, &rods, D, O, &avu("k", "v2", "")).unwrap();
    set(&conn, &rods, D, O, &avu("k", "only", "x")).unwrap();
    set(&conn, &rods, D, O, &avu("k", "only", "x")).unwrap();
    add(&conn, &rods, D, O, &avu("ключ", "знач & <x>", "it's")).unwrap();
    assert_eq!(
        all(),
        [avu("k", "only", "x"), avu("ключ", "знач & <x>", "it's")]
    );
    let again = add(&conn, &rods, D, O, &avu("k", "only", "x"));
    assert_eq!(code_of(again), code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME);
    remove(&conn, &rods, D, O, &avu("k", "only", "x")).unwrap();
    assert_eq!(
        code_of(remove(&conn, &rods, D, O, &avu("k", "only", "x"))),
        code::CAT_SUCCESS_BUT_WITH_NO_INFO
    );
    assert_eq!(
        code_of(add(
            &conn,
            &rods,
            D,
            "/z/home/rods/nope",
            &avu("a", "b", "")
        )),
        code::CAT_UNKNOWN_FILE
    );
    assert_eq!(
        code_of(add(&conn, &rods, D, O, &avu("", "b", ""))),
        code::CAT_INVALID_ARGUMENT
    );
    assert_eq!(
        code_of(add(&conn, &rods, D, O, &avu("a", "", ""))),
        code::CAT_INVALID_ARGUMENT
    );
    let long = "x".repeat(2_701);
    assert_eq!(
        code_of(add(&conn, &rods, D, O, &avu("a", &long, ""))),
        code::CAT_INVALID_ARGUMENT
    );
}

#[test]
fn every_kind_of_entity_has_metadata() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    let a = avu("a", "v", "");
    for (kind, name, missing) in [
        ("-C", "/z/home/rods", code::CAT_UNKNOWN_COLLECTION),
        ("-R", "demo", code::CAT_INVALID_RESOURCE),
        ("-u", "alice#z", code::CAT_INVALID_USER),
    ] {
        let kind = EntityKind::parse(kind).unwrap();
        add(&conn, &rods, kind, name, &a).unwrap();
        assert_ne!(code_of(add(&conn, &alice, kind, name, &a)), 0);
        remove(&conn, &rods, kind, name, &a).unwrap();
        let absent = if kind == EntityKind::Collection {
            "/z/nope"
        } else {
            "nope"
        };
        assert_eq!(code_of(add(&conn, &rods, kind, absent, &a)), missing);
    }
    assert_eq!(code_of(EntityKind::parse("-x")), code::CAT_INVALID_ARGUMENT);
}

#[test]
fn ordinary_users_need_permission() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    testing::object(&conn, &rods, O, 1);
    assert_eq!(
        code_of(add(&conn, &alice, D, O, &avu("a", "b", ""))),
        code::CAT_NO_ACCESS_PERMISSION
    );
}

#[test]
fn wildcards_changes_and_copies() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    testing::object(&conn, &rods, O, 1);
    let c = EntityKind::Collection;
    collections::create(&conn, &rods, "/z/home/rods/c").unwrap();
    for value in ["v1", "v2", "w"] {
        add(&conn, &rods, D, O, &avu("a", value, "")).unwrap();
    }
    remove_matching(&conn, &rods, D, O, &avu("a", "v%", "")).unwrap();
    assert_eq!(
        code_of(remove_matching(&conn, &rods, D, O, &avu("A", "%", "%"))),
        code::CAT_SUCCESS_BUT_WITH_NO_INFO
    );
    modify(
        &conn,
        &rods,
        D,
        O,
        &avu("a", "w", ""),
        &avu("a", "green", "u"),
    )
    .unwrap();
    let missing = modify(&conn, &rods, D, O, &avu("a", "w", ""), &avu("a", "x", ""));
    assert_eq!(code_of(missing), code::CAT_SUCCESS_BUT_WITH_NO_INFO);
    copy(&conn, &rods, (D, O), (c, "/z/home/rods/c")).unwrap();
    let id = collections::find(&conn, "/z/home/rods/c")
        .unwrap()
        .unwrap()
        .id;
    let copied = list(&conn, id).unwrap();
    assert_eq!(copied[0].avu, avu("a", "green", "u"));
    // Equal AVUs are one row, whatever they are attached to (recorded exchange prc_avu_atomic).
    assert_eq!(
        list(&conn, entity_id(&conn, D, O).unwrap()).unwrap()[0].id,
        copied[0].id
    );
    remove_by_id(&conn, &rods, D, O, copied[0].id).unwrap();
    assert_eq!(list(&conn, id).unwrap().len(), 1);
    assert_eq!(remove_unused(&conn, &rods).unwrap(), 0);
}

#[test]
fn atomic_changes_answer_as_recorded() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let id = testing::object(&conn, &rods, O, 1);
    let operations = [
        Operation::Add(avu("a", "1", "u")),
        Operation::Add(avu("a", "1", "u")),
        Operation::Remove(avu("not", "here", "")),
        Operation::Add(avu("b", "2", "")),
    ];
    apply_atomic(&conn, &rods, D, O, &operations).unwrap();
    assert_eq!(list(&conn, id).unwrap().len(), 2);
    let (index, error) =
        apply_atomic(&conn, &rods, D, O, &[Operation::Add(avu("c", "", ""))]).unwrap_err();
    assert_eq!((index, error.code), (Some(0), code::CAT_INVALID_ARGUMENT));
    let (index, error) =
        apply_atomic(&conn, &rods, D, "/z/home/rods/nope", &operations).unwrap_err();
    assert_eq!((index, error.code), (None, code::SYS_INVALID_INPUT_PARAM));
    assert_eq!(
        error.message,
        "Entity does not exist [entity_name=/z/home/rods/nope]"
    );
}
