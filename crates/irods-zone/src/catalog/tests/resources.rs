use super::super::resources::*;
use super::super::testing;
use super::*;

fn new(name: &str, resc_type: &str) -> NewResource {
    NewResource {
        name: name.into(),
        resc_type: resc_type.into(),
        host: String::new(),
        vault_path: String::new(),
        context: "write=0.5;read=1.0".into(),
    }
}

#[test]
fn hierarchies_follow_their_parents() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    add(&conn, &rods, &new("pass", "passthru")).unwrap();
    add(&conn, &rods, &new("repl", "replication")).unwrap();
    testing::resource(&conn, "u1");
    testing::resource(&conn, "u2");
    add_child(&conn, &rods, "repl", "u1", "").unwrap();
    add_child(&conn, &rods, "repl", "u2", "").unwrap();
    add_child(&conn, &rods, "pass", "repl", "ctx").unwrap();
    assert_eq!(get(&conn, "u1").unwrap().hierarchy, "pass;repl;u1");
    let pass = get(&conn, "pass").unwrap();
    assert_eq!(
        (pass.host.as_str(), pass.context_value("read")),
        (EMPTY_HOST, Some("1.0"))
    );
    let leaves: Vec<String> = leaves(&conn, pass.id)
        .unwrap()
        .into_iter()
        .map(|r| r.name)
        .collect();
    assert_eq!(leaves, ["u1", "u2"]);
    assert_eq!(by_hierarchy(&conn, "pass;repl;u2").unwrap().name, "u2");
    assert_eq!(
        code_of(by_hierarchy(&conn, "pass;u2")),
        code::HIERARCHY_ERROR
    );
    assert_eq!(
        code_of(by_hierarchy(&conn, "pass;repl")),
        code::HIERARCHY_ERROR
    );
    assert_eq!(
        code_of(by_hierarchy(&conn, "nope;u2")),
        code::SYS_RESC_DOES_NOT_EXIST
    );

    modify(&conn, &rods, "repl", ResourceField::Name, "renamed").unwrap();
    assert_eq!(get(&conn, "u1").unwrap().hierarchy, "pass;renamed;u1");
    assert_eq!(
        code_of(add_child(&conn, &rods, "pass", "u1", "")),
        code::CHILD_HAS_PARENT
    );
    assert_eq!(
        code_of(add_child(&conn, &rods, "renamed", "pass", "")),
        code::HIERARCHY_ERROR
    );
    assert_eq!(
        code_of(remove(&conn, &rods, "pass", true)),
        code::CHILD_EXISTS
    );
    assert_eq!(
        code_of(remove(&conn, &rods, "u1", true)),
        code::CHILD_HAS_PARENT
    );
    remove_child(&conn, &rods, "pass", "renamed").unwrap();
    assert_eq!(get(&conn, "u2").unwrap().hierarchy, "renamed;u2");
    assert_eq!(
        code_of(remove_child(&conn, &rods, "pass", "u2")),
        code::CHILD_NOT_FOUND
    );
}

#[test]
fn resources_are_added_changed_and_removed() {
    let conn = testing::catalog();
    let (rods, alice) = (testing::rods(&conn), testing::alice(&conn));
    testing::resource(&conn, "r");
    let fails = |who, resource| code_of(add(&conn, who, &resource));
    assert_eq!(
        fails(&rods, new("r", "passthru")),
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    assert_eq!(fails(&rods, new("s", "")), code::CAT_INVALID_RESOURCE_TYPE);
    assert_eq!(
        fails(&rods, new("a;b", "passthru")),
        code::CAT_INVALID_ARGUMENT
    );
    assert_eq!(
        fails(&alice, new("s", "passthru")),
        code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL
    );
    modify(
        &conn,
        &rods,
        "r",
        ResourceField::parse("status").unwrap(),
        "down",
    )
    .unwrap();
    assert!(get(&conn, "r").unwrap().is_down());
    modify(&conn, &rods, "r", ResourceField::FreeSpace, "123").unwrap();
    set_free_space(&conn, get(&conn, "r").unwrap().id, 456).unwrap();
    assert_eq!(get(&conn, "r").unwrap().free_space, "456");
    assert_eq!(
        code_of(ResourceField::parse("colour")),
        code::CAT_INVALID_ARGUMENT
    );
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    assert_eq!(
        code_of(remove(&conn, &rods, "demo", false)),
        code::CAT_RESOURCE_NOT_EMPTY
    );
    remove(&conn, &rods, "r", true).unwrap();
    remove(&conn, &rods, "r", false).unwrap();
    assert_eq!(
        code_of(remove(&conn, &rods, "r", false)),
        code::CAT_NO_ROWS_FOUND
    );
    assert_eq!(
        modify_data_paths(&conn, &rods, "demo", "/vault/", "/new/").unwrap(),
        1
    );
}
