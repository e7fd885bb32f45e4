//! The tables, their version, and how a file becomes a connection.
//!
//! A task without a time is ready; one with a time is delayed until it or leased until it; `since` is when it became ready, or will.
//! The two partial indexes on tasks follow from that: every question that the engine asks of tasks is a range of one of them. What never
//! changes of a job is kept apart from what every completion writes.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::{Fault, Tried};
use crate::broker::BrokerError;

/// "irsy": tells a broker's file from any other SQLite database.
const APPLICATION_ID: i64 = 0x6972_7379;
/// The format that this program reads and writes.
pub(super) const VERSION: i64 = 5;
/// How long a transaction waits for those of other processes.
const BUSY: Duration = Duration::from_secs(30);

const TABLES: &str = "
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL,
    state TEXT NOT NULL,
    ending TEXT CHECK (ending IN ('stop', 'pass', 'job')),
    failed TEXT,
    pass INTEGER NOT NULL,
    reopened TEXT,
    pre_job INTEGER NOT NULL,
    post_job INTEGER NOT NULL,
    post_queued INTEGER NOT NULL DEFAULT 0,
    interval INTEGER,
    owner TEXT,
    created INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    next_pass INTEGER,
    turn INTEGER NOT NULL DEFAULT 0,
    pass_totals TEXT NOT NULL,
    totals_before TEXT NOT NULL,
    not_listed INTEGER NOT NULL DEFAULT 0,
    file_queue TEXT NOT NULL,
    path_queue TEXT NOT NULL,
    restart_queue TEXT NOT NULL,
    max_in_flight INTEGER
) STRICT;
CREATE INDEX job_state ON job (state);

CREATE TABLE spec (
    job INTEGER PRIMARY KEY,
    spec BLOB NOT NULL,
    class INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    delay INTEGER,
    payload BLOB NOT NULL
) STRICT;

CREATE TABLE task (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2) AND (state = 0) = (time IS NULL)),
    time INTEGER,
    since INTEGER NOT NULL,
    class INTEGER NOT NULL,
    shallow INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    expiries INTEGER NOT NULL DEFAULT 0,
    lapsed TEXT NOT NULL DEFAULT '',
    token BLOB,
    worker TEXT,
    cursor BLOB NOT NULL DEFAULT x'',
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX task_ready ON task (job, class, shallow, id, state) WHERE state = 0;
CREATE INDEX task_timed ON task (job, state, time) WHERE time IS NOT NULL;

CREATE TABLE failure (
    job INTEGER NOT NULL,
    path BLOB NOT NULL,
    time INTEGER NOT NULL,
    operation TEXT NOT NULL,
    code INTEGER,
    code_name TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    task INTEGER,
    class INTEGER,
    depth INTEGER,
    payload BLOB,
    PRIMARY KEY (job, path)
) STRICT;
CREATE INDEX failure_task ON failure (job, task) WHERE task IS NOT NULL;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX event_job ON event (job, id);

CREATE TABLE profile (
    job INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE
) STRICT;
CREATE TABLE segment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    record INTEGER NOT NULL,
    position INTEGER,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX segment_record ON segment (record);

CREATE TABLE worker (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    since INTEGER NOT NULL,
    heard INTEGER NOT NULL,
    lives_until INTEGER NOT NULL
) STRICT;
";

/// Opens the file, making it and its tables if there are none, and refuses any other database.
pub(super) fn open(path: &Path) -> Tried<Connection> {
    make_file(path)?;
    let connection = connect(path)?;
    // Two processes that open a new file at once may meet here, and this one statement does not wait by itself.
    let mut tries = 0;
    while let Err(fault) = connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(Fault::from)
    {
        tries += 1;
        if !fault.is_busy() || tries > 600 {
            return Err(fault);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    make_tables(&connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(connection)
}

/// Opens a file that [`open`] has accepted, for reading.
pub(super) fn open_reader(path: &Path) -> Tried<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Makes an empty file that only its owner can read, for it will tell what is being ingested.
fn make_file(path: &Path) -> Tried<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) => Err(BrokerError::Unusable {
            broker: super::label(path),
            detail: error.to_string(),
        }
        .into()),
    }
}

fn connect(path: &Path) -> Tried<Connection> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_handler(Some(wait_for_others))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Otherwise statements are prepared again for nearly every value that they are given.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A killed process loses nothing; a power failure may lose the last transactions, whole, and jobs then run those tasks again.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // Between checkpoints the same pages are written many times; fewer checkpoints move fewer of them, at 64 MiB of journal.
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    // Above what that comes to, so that the file keeps its space and only what is beyond a burst is given back.
    connection.pragma_update(None, "journal_size_limit", 80 << 20)?;
    Ok(connection)
}

/// Transactions take less than a millisecond, so whoever waits for one looks again after about as much: SQLite's own waits grow to
/// a hundred times that, in which others go on and this process stands still.
fn wait_for_others(looks: i32) -> bool {
    const LOOK: Duration = Duration::from_micros(500);
    let looks = u32::try_from(looks).unwrap_or(0);
    std::thread::sleep(LOOK);
    LOOK.saturating_mul(looks) < BUSY
}

fn make_tables(connection: &Connection) -> Tried<()> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION_ID, VERSION) => Ok(()),
        (APPLICATION_ID, found) => Err(BrokerError::Version {
            broker: path_of(connection),
            found,
            known: VERSION,
        }
        .into()),
        (0, 0)
            if connection.query_row("SELECT COUNT(*) = 0 FROM sqlite_schema", [], |row| {
                row.get(0)
            })? =>
        {
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", VERSION)?;
            Ok(())
        }
        _ => Err(Fault::corrupt("it is a database of another program")),
    }
}

fn path_of(connection: &Connection) -> String {
    super::label(Path::new(connection.path().unwrap_or_default()))
}
