use rusqlite::Connection;

use super::super::replicas::*;
use super::super::{data_objects, repair, testing};
use super::*;

/// An object with a good replica 0, a stale replica 1 and a good replica 2.
fn three(conn: &Connection) -> i64 {
    let id = testing::object(conn, &testing::rods(conn), "/z/home/rods/o", 10);
    for (name, status) in [("second", Status::Stale), ("third", Status::Good)] {
        let resource = testing::resource(conn, name);
        let path = format!("/{name}/o");
        add(conn, id, &NewReplica::new(resource, path, 10, status)).unwrap();
    }
    id
}

fn states(conn: &Connection, id: i64) -> Vec<i64> {
    list(conn, id)
        .unwrap()
        .iter()
        .map(|r| r.status.number())
        .collect()
}

fn remembered(conn: &Connection, id: i64) -> Vec<String> {
    let mut statement = conn
        .prepare("SELECT data_status FROM r_data_main WHERE data_id = ?1 ORDER BY data_repl_num")
        .unwrap();
    statement
        .query_map([id], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn writing_locks_the_siblings_and_ends_as_it_ended() {
    let conn = testing::catalog();
    let id = three(&conn);
    open_for_write(&conn, id, 0).unwrap();
    assert_eq!(states(&conn, id), [2, 4, 4]);
    assert_eq!(
        code_of(open_for_write(&conn, id, 0)),
        code::INTERMEDIATE_REPLICA_ACCESS
    );
    assert_eq!(
        code_of(open_for_write(&conn, id, 1)),
        code::LOCKED_DATA_OBJECT_ACCESS
    );
    assert_eq!(
        code_of(open_for_write(&conn, id, 9)),
        code::SYS_REPLICA_DOES_NOT_EXIST
    );
    let rods = testing::rods(&conn);
    assert_eq!(
        code_of(data_objects::remove(&conn, &rods, "/z/home/rods/o")),
        code::LOCKED_DATA_OBJECT_ACCESS
    );

    close_after_write(&conn, id, 0, &Outcome::Unchanged).unwrap();
    assert_eq!(states(&conn, id), [1, 0, 1]);

    open_for_write(&conn, id, 0).unwrap();
    let written = Outcome::Written {
        size: 20,
        checksum: "sha2:x".into(),
        modify_time: Some("17".into()),
    };
    close_after_write(&conn, id, 0, &written).unwrap();
    assert_eq!(states(&conn, id), [1, 0, 0]);
    let replica = &list(&conn, id).unwrap()[0];
    assert_eq!(
        (
            replica.size,
            replica.checksum.as_str(),
            replica.modify_time.as_str()
        ),
        (20, "sha2:x", "00000000017")
    );
    assert_eq!(remembered(&conn, id), ["", "", ""]);
}

#[test]
fn a_failed_write_leaves_a_stale_replica_and_the_siblings_as_they_were() {
    let conn = testing::catalog();
    let id = three(&conn);
    open_for_write(&conn, id, 0).unwrap();
    let failed = Outcome::Failed {
        size: 3,
        checksum: String::new(),
    };
    close_after_write(&conn, id, 0, &failed).unwrap();
    assert_eq!(states(&conn, id), [0, 0, 1]);
    assert_eq!(list(&conn, id).unwrap()[0].size, 3);
}

#[test]
fn a_new_replica_is_intermediate_until_it_is_closed() {
    let conn = testing::catalog();
    let id = three(&conn);
    let fourth = testing::resource(&conn, "fourth");
    let number = add_for_write(
        &conn,
        id,
        &NewReplica::new(fourth, "/fourth/o", 0, Status::Good),
    )
    .unwrap();
    assert_eq!((number, states(&conn, id)), (3, vec![4, 4, 4, 2]));
    let again = add_for_write(
        &conn,
        id,
        &NewReplica::new(fourth, "/fourth/o", 0, Status::Good),
    );
    assert_eq!(code_of(again), code::LOCKED_DATA_OBJECT_ACCESS);
    close_after_write(
        &conn,
        id,
        3,
        &Outcome::Failed {
            size: 0,
            checksum: String::new(),
        },
    )
    .unwrap();
    assert_eq!(states(&conn, id), [1, 0, 1, 0]);
    let twice = add(
        &conn,
        id,
        &NewReplica::new(fourth, "/fourth/p", 0, Status::Good),
    );
    assert_eq!(code_of(twice), code::SYS_COPY_ALREADY_IN_RESC);
}

#[test]
fn a_start_makes_what_was_open_stale_and_gives_the_siblings_back() {
    let conn = testing::catalog();
    let id = three(&conn);
    let rods = testing::rods(&conn);
    let mut new = testing::replica(&conn, "/vault/new", 0);
    new.status = Status::Intermediate;
    let created = data_objects::create(&conn, &rods, "/z/home/rods/new", &new).unwrap();
    open_for_write(&conn, id, 0).unwrap();
    let repaired = repair::run(&conn).unwrap();
    assert_eq!(
        repaired,
        repair::Repaired {
            made_stale: 2,
            restored: 2
        }
    );
    assert_eq!(
        (states(&conn, id), states(&conn, created)),
        (vec![0, 0, 1], vec![0])
    );
    assert_eq!(remembered(&conn, id), ["", "", ""]);
    assert_eq!(repair::run(&conn).unwrap(), repair::Repaired::default());
}

#[test]
fn columns_change_for_one_or_all_replicas() {
    let conn = testing::catalog();
    let id = three(&conn);
    let changes = [
        (Field::Size, "42".to_owned()),
        (Field::ModifyTime, "1700000000".to_owned()),
    ];
    modify(&conn, id, Which::All, &changes).unwrap();
    assert!(
        list(&conn, id)
            .unwrap()
            .iter()
            .all(|r| r.size == 42 && r.modify_time == "01700000000")
    );
    modify(
        &conn,
        id,
        Which::Number(1),
        &[(Field::Number, "7".into()), (Field::Comments, "x".into())],
    )
    .unwrap();
    let numbers: Vec<_> = list(&conn, id)
        .unwrap()
        .into_iter()
        .map(|r| (r.number, r.comments))
        .collect();
    assert_eq!(
        numbers,
        [(0, String::new()), (2, String::new()), (7, "x".into())]
    );
    make_only_good(&conn, id, 7).unwrap();
    assert_eq!(states(&conn, id), [0, 0, 1]);

    let one =
        |field, value: &str| modify(&conn, id, Which::Number(0), &[(field, value.to_owned())]);
    assert_eq!(
        code_of(one(Field::Size, "many")),
        code::CAT_INVALID_ARGUMENT
    );
    assert_eq!(code_of(one(Field::Size, "-1")), code::CAT_INVALID_ARGUMENT);
    assert_eq!(code_of(one(Field::Status, "5")), code::CAT_INVALID_ARGUMENT);
    assert_eq!(
        code_of(one(Field::DataType, "nonsense")),
        code::CAT_INVALID_DATA_TYPE
    );
    assert_eq!(
        code_of(one(Field::ResourceId, "1")),
        code::SYS_RESC_DOES_NOT_EXIST
    );
    assert_eq!(
        code_of(one(Field::Number, "2")),
        code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME
    );
    let none = modify(&conn, id, Which::Number(99), &changes);
    assert_eq!(code_of(none), code::CAT_NO_ROWS_FOUND);
}

#[test]
fn the_last_replica_takes_the_object_with_it() {
    let conn = testing::catalog();
    let id = three(&conn);
    for number in [0, 2] {
        assert_eq!(
            data_objects::remove_replica(&conn, id, number)
                .unwrap()
                .number,
            number
        );
    }
    assert_eq!(
        code_of(data_objects::remove_replica(&conn, id, 0)),
        code::SYS_REPLICA_DOES_NOT_EXIST
    );
    data_objects::remove_replica(&conn, id, 1).unwrap();
    assert!(
        data_objects::find(&conn, "/z/home/rods/o")
            .unwrap()
            .is_none()
    );
}

#[test]
fn physical_paths_follow_a_renamed_directory() {
    let conn = testing::catalog();
    let rods = testing::rods(&conn);
    let demo = super::super::resources::get(&conn, "demo").unwrap().id;
    testing::object(&conn, &rods, "/z/home/rods/o", 1);
    let outside = testing::replica(&conn, "/elsewhere/home/rods/x", 1);
    data_objects::create(&conn, &rods, "/z/home/rods/x", &outside).unwrap();
    assert_eq!(
        move_physical_paths(&conn, demo, "/vault/home/rods", "/vault/trash").unwrap(),
        1
    );
    assert!(
        by_physical_path(&conn, demo, "/vault/trash/o")
            .unwrap()
            .is_some()
    );
    assert!(
        by_physical_path(&conn, demo, "/elsewhere/home/rods/x")
            .unwrap()
            .is_some()
    );
    assert!(
        by_physical_path(&conn, demo, "/vault/home/rods/o")
            .unwrap()
            .is_none()
    );
}
