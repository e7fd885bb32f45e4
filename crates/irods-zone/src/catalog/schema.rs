//! The catalog file: making it, checking it, and the settings of each connection to it.
//!
//! A file is ours if its application id says so; the schema version is SQLite's `user_version`.
//! The file is made readable by its owner only, since it holds passwords that can be recovered.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::OpenError;
use super::tokens;

/// Schema version that this program writes and the newest that it reads.
pub const SCHEMA_VERSION: i64 = 1;
/// Marks a file as a zone's catalog ("iROD").
const APPLICATION_ID: i64 = 0x6952_4f44;
/// How long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Distinct statements that a connection keeps prepared. Clients choose what the readers prepare.
const WRITER_STATEMENTS: usize = 256;
const READER_STATEMENTS: usize = 96;
/// What is left of the log file after a checkpoint.
const LOG_SIZE_LIMIT: i64 = 64 << 20;
/// Files up to this size are checked for damage when opened; larger ones would delay the start.
const CHECKED_UP_TO: u64 = 32 << 20;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one connection that writes; `durable` makes each commit reach the disk.
    Writer {
        /// Survive power loss as well.
        durable: bool,
    },
    /// One of the connections that only read.
    Reader,
}

/// Opens the file as its writer, making the schema on first use.
pub(crate) fn open_writer(path: &Path, durable: bool) -> Result<Connection, OpenError> {
    let created = create_private(path)?;
    let at = |source| database_error(path, source);
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(at)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(at)?;
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |r| r.get(0))
        .map_err(at)?;
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |r| r.get(0))
        .map_err(at)?;
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
        .map_err(at)?;
    if objects == 0 && application == 0 {
        configure(&connection, Role::Writer { durable }).map_err(at)?;
        create(&connection).map_err(at)?;
        return Ok(connection);
    }
    if application != APPLICATION_ID {
        return Err(OpenError::Corrupt {
            path: path.to_owned(),
            reason: "the file is a database, but not a zone's catalog".to_owned(),
        });
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    if !created && std::fs::metadata(path).is_ok_and(|m| m.len() <= CHECKED_UP_TO) {
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |r| r.get(0))
            .map_err(at)?;
        if verdict != "ok" {
            return Err(OpenError::Corrupt {
                path: path.to_owned(),
                reason: verdict,
            });
        }
    }
    configure(&connection, Role::Writer { durable }).map_err(at)?;
    Ok(connection)
}

/// Opens a further connection that only reads. The writer must have been opened before.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    configure(&connection, Role::Reader)?;
    Ok(connection)
}

/// Makes the tables and the fixed tokens.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = connection
        .execute_batch(include_str!("schema.sql"))
        .and_then(|()| tokens::insert_all(connection))
        .and_then(|()| super::specific::insert_builtin(connection))
        .and_then(|()| super::secrets::insert_key(connection))
        .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| connection.pragma_update(None, "user_version", SCHEMA_VERSION));
    match made {
        Ok(()) => connection.execute_batch("COMMIT"),
        Err(error) => {
            connection.execute_batch("ROLLBACK")?;
            Err(error)
        }
    }
}

/// Settings of a connection.
pub(crate) fn configure(connection: &Connection, role: Role) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    // GenQuery's LIKE distinguishes case, and only so can SQLite use an index for a prefix.
    connection.pragma_update(None, "case_sensitive_like", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Otherwise each statement whose plan could depend on a value is compiled anew for each value. Where it pays, queries ask for that.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    match role {
        Role::Writer { durable } => {
            connection.set_prepared_statement_cache_capacity(WRITER_STATEMENTS);
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            connection.pragma_update_and_check(
                None,
                "journal_size_limit",
                LOG_SIZE_LIMIT,
                |_| Ok(()),
            )?;
            let synchronous = if durable { "FULL" } else { "NORMAL" };
            connection.pragma_update(None, "synchronous", synchronous)?;
            connection.pragma_update(None, "cache_size", -32_768)?;
        }
        Role::Reader => {
            connection.set_prepared_statement_cache_capacity(READER_STATEMENTS);
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -8_192)?;
        }
    }
    Ok(())
}

/// Makes an empty file with mode 0600 where none is; SQLite gives the same mode to its side files.
/// True if the file was made.
fn create_private(path: &Path) -> Result<bool, OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(OpenError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn database_error(path: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Corrupt {
            path: path.to_owned(),
            reason: source.to_string(),
        },
        _ => OpenError::Database {
            path: path.to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        drop(open_writer(&path, false).unwrap());
        let c = Connection::open(&path).unwrap();
        c.pragma_update(None, "user_version", SCHEMA_VERSION + 1)
            .unwrap();
        drop(c);
        let error = open_writer(&path, false).unwrap_err();
        assert!(
            matches!(error, OpenError::NewerSchema { found: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn files_that_are_no_catalog_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text");
        std::fs::write(
            &text,
            "this is not a database, but long enough to look at".repeat(40),
        )
        .unwrap();
        assert!(matches!(
            open_writer(&text, false).unwrap_err(),
            OpenError::Corrupt { .. }
        ));
        assert!(
            std::fs::read_to_string(&text)
                .unwrap()
                .starts_with("this is not")
        );

        let other = dir.path().join("other.sqlite");
        Connection::open(&other)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        assert!(matches!(
            open_writer(&other, false).unwrap_err(),
            OpenError::Corrupt { .. }
        ));
    }

    #[test]
    fn a_damaged_page_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        drop(open_writer(&path, false).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len().min(40_000);
        bytes[8192..end].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(
            open_writer(&path, false).unwrap_err(),
            OpenError::Corrupt { .. }
        ));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        let writer = open_writer(&path, false).unwrap();
        writer.execute_batch("CREATE TABLE t (a)").unwrap();
        for name in ["catalog.sqlite", "catalog.sqlite-wal"] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
