//! A small pool of connections that only read, each seeing the last commit (WAL snapshot).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::{CatalogError, Result, code};
use super::schema;

/// The pool. Connections are opened on demand, at most `size` are in use at a time.
pub(crate) struct Readers {
    path: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: &Path, size: usize) -> Self {
        Self {
            path: path.to_owned(),
            permits: Semaphore::new(size.max(1)),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Waits for a free place in the pool; the place is free again when the permit drops.
    pub(crate) async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.permits
            .acquire()
            .await
            .map_err(|_| CatalogError::new(code::CATALOG_NOT_CONNECTED, "the catalog is closed"))
    }

    /// Runs the closure in one read transaction on an idle connection. Blocks.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let conn = match self.lock().pop() {
            Some(conn) => conn,
            None => schema::open_reader(&self.path)?,
        };
        conn.prepare_cached("BEGIN")?.execute([])?;
        let outcome = work(&conn);
        conn.prepare_cached("COMMIT")?.execute([])?;
        self.lock().push(conn);
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
