//! A catalog in memory for unit tests: zone `z`, administrator `rods`, resource `demo`, user `alice`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use rusqlite::Connection;

use super::replicas::{NewReplica, Status};
use super::{Identity, UserType, bootstrap, data_objects, resources, schema, users};

pub(crate) fn zone() -> bootstrap::Zone {
    bootstrap::Zone {
        name: "z".to_owned(),
        admin: "rods".to_owned(),
        password: "secret".to_owned(),
        resource: "demo".to_owned(),
        host: "localhost".to_owned(),
        vault_path: "/vault".to_owned(),
    }
}

pub(crate) fn catalog() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    schema::configure(&conn, schema::Role::Writer { durable: false }).unwrap();
    schema::create(&conn).unwrap();
    bootstrap::run(&conn, &zone()).unwrap();
    users::add_user(&conn, &rods(&conn), "alice", "", UserType::RodsUser, "").unwrap();
    conn
}

pub(crate) fn rods(conn: &Connection) -> Identity {
    users::identity(conn, "rods", "").unwrap()
}

pub(crate) fn alice(conn: &Connection) -> Identity {
    users::identity(conn, "alice", "").unwrap()
}

/// A good replica of that size in `demo`.
pub(crate) fn replica(conn: &Connection, physical_path: &str, size: i64) -> NewReplica {
    let demo = resources::get(conn, "demo").unwrap();
    NewReplica::new(demo.id, physical_path, size, Status::Good)
}

/// Creates a good object of that size, its file named after the path.
pub(crate) fn object(conn: &Connection, who: &Identity, path: &str, size: i64) -> i64 {
    let vault = format!("/vault{}", path.strip_prefix("/z").unwrap());
    data_objects::create(conn, who, path, &replica(conn, &vault, size)).unwrap()
}

/// Adds a storage resource and gives its id.
pub(crate) fn resource(conn: &Connection, name: &str) -> i64 {
    let new = resources::NewResource {
        name: name.to_owned(),
        resc_type: "unixfilesystem".to_owned(),
        host: "localhost".to_owned(),
        vault_path: format!("/{name}"),
        context: String::new(),
    };
    resources::add(conn, &rods(conn), &new).unwrap()
}
