//! A small pool of connections that only read, each seeing the last commit (WAL snapshot).
//!
//! A read that runs for too long is interrupted, so that a few dear queries cannot keep all others
//! from the pool for ever.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::{CatalogError, Result, code};
use super::schema;

/// Longest time that one read may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// Steps of the database's machine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 100_000;

/// The pool. Connections are opened on demand, at most `size` are in use at a time.
pub(crate) struct Readers {
    path: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<Reader>>,
    /// What deadlines are counted from.
    epoch: Instant,
    time_limit: Duration,
}

struct Reader {
    conn: Connection,
    /// Milliseconds since the pool's epoch at which the present read is interrupted.
    deadline: Arc<AtomicU64>,
}

impl Readers {
    pub(crate) fn new(path: &Path, size: usize) -> Self {
        Self {
            path: path.to_owned(),
            permits: Semaphore::new(size.max(1)),
            idle: Mutex::new(Vec::new()),
            epoch: Instant::now(),
            time_limit: TIME_LIMIT,
        }
    }

    /// Waits for a free place in the pool; the place is free again when the permit drops.
    pub(crate) async fn permit(&self) -> Result<SemaphorePermit<'_>> {
        self.permits
            .acquire()
            .await
            .map_err(|_| CatalogError::new(code::CATALOG_NOT_CONNECTED, "the catalog is closed"))
    }

    /// Runs the closure in one read transaction on an idle connection. Blocks.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let reader = match self.lock().pop() {
            Some(reader) => reader,
            None => self.open()?,
        };
        let deadline = (self.epoch.elapsed() + self.time_limit).as_millis();
        reader.deadline.store(
            u64::try_from(deadline).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        reader.conn.prepare_cached("BEGIN")?.execute([])?;
        let outcome = work(&reader.conn);
        // An interrupted statement may have ended the transaction. A connection that cannot be
        // brought back to rest is dropped.
        reader.deadline.store(u64::MAX, Ordering::Relaxed);
        if reader.conn.is_autocommit() || reader.conn.prepare_cached("COMMIT")?.execute([]).is_ok()
        {
            self.lock().push(reader);
        }
        outcome
    }

    fn open(&self) -> Result<Reader> {
        let mut conn = schema::open_reader(&self.path)?;
        let deadline = Arc::new(AtomicU64::new(u64::MAX));
        let (watched, epoch) = (Arc::clone(&deadline), self.epoch);
        conn.progress_handler(
            STEPS_PER_LOOK,
            Some(move || epoch.elapsed().as_millis() > u128::from(watched.load(Ordering::Relaxed))),
        )?;
        Ok(Reader { conn, deadline })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_endless_read_is_interrupted_and_the_connection_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        let _writer = schema::open_writer(&path, false).unwrap();
        let mut readers = Readers::new(&path, 1);
        readers.time_limit = Duration::from_millis(50);
        let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let error = readers
            .run(|conn| Ok(conn.query_row(endless, [], |row| row.get::<_, i64>(0))?))
            .unwrap_err();
        assert_eq!(error.code, code::CAT_SQL_ERR);
        assert!(error.message.contains("interrupted"), "{error}");
        let one =
            readers.run(|conn| Ok(conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(one.unwrap(), 1);
        assert_eq!(readers.lock().len(), 1);
    }
}
