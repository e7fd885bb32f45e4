//! The embedded zone's catalog: users, resources, collections, data objects, metadata and
//! permissions in one SQLite file.
//!
//! [`Catalog::read`] and [`Catalog::write`] run closures away from the async threads; the functions
//! of the sub-modules are plain functions on the connection that such a closure gets, so that a
//! call of the protocol is one closure and therefore one atomic step. They enforce permissions for
//! an [`Identity`] and fail with the iRODS code that a real server gives. Nothing here touches a
//! file other than the catalog's own: vaults are the caller's.

pub mod access;
pub mod bootstrap;
pub mod collections;
pub mod data_objects;
pub mod error;
pub mod identity;
pub mod ids;
pub mod metadata;
pub mod paths;
pub mod query;
pub mod quotas;
mod readers;
pub mod repair;
pub mod replicas;
pub mod resources;
pub mod schema;
pub mod secrets;
pub mod specific;
pub mod stat;
pub mod tickets;
pub mod time;
pub mod tokens;
pub mod trash;
pub mod users;
mod writer;
pub mod zones;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use error::{CatalogError, OpenError, Result, code};
pub use identity::{Identity, UserType};
pub use rusqlite::Connection;

use readers::Readers;
use writer::Writer;

/// How to open a catalog.
#[derive(Debug, Clone)]
pub struct Options {
    /// Make every commit survive power loss (`synchronous=FULL`), not only a killed process.
    pub durable: bool,
    /// Most connections that read at the same time.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            durable: false,
            readers: (2 * cores).clamp(2, 16),
        }
    }
}

/// An open catalog. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Writer,
    readers: Readers,
}

impl Catalog {
    /// Opens the file, making an empty catalog (see [`bootstrap`]) where none is.
    ///
    /// # Errors
    /// [`OpenError`]: no access, a newer schema, or not a catalog.
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let connection = schema::open_writer(path, options.durable)?;
        let writer = Writer::start(connection).map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                writer,
                readers: Readers::new(path, options.readers),
            }),
        })
    }

    /// Runs a closure that only reads, on a snapshot that contains every write answered before.
    ///
    /// # Errors
    /// The closure's own; `SYS_INTERNAL_ERR` if it panics.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let permit = self.shared.readers.permit().await?;
        let shared = Arc::clone(&self.shared);
        let outcome = tokio::task::spawn_blocking(move || shared.readers.run(work)).await;
        drop(permit);
        match outcome {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => Err(writer::panic_error(error.into_panic().as_ref())),
            Err(_) => Err(closed()),
        }
    }

    /// Runs a closure that may write. It is answered after its work has been committed; an error
    /// or a panic undoes all that it did and nothing that others did.
    ///
    /// # Errors
    /// The closure's own, or the failure of the commit.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.shared
            .writer
            .send(work)
            .await
            .unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> CatalogError {
    CatalogError::new(code::CATALOG_NOT_CONNECTED, "the catalog is closed")
}
