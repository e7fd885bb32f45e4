//! Errors of the catalog: an iRODS code and a sentence for people.
//!
//! Every function that works on the catalog fails with [`CatalogError`], whose code goes to the
//! client unchanged. Opening a catalog has its own [`OpenError`], since no client is there yet.

use std::path::PathBuf;

/// Result of a catalog function.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

pub use irods_protocol::codes as code;

/// Why a catalog function failed: what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({} {code})", code::name_of(*code).unwrap_or("unknown code"))]
pub struct CatalogError {
    /// iRODS error code, negative.
    pub code: i32,
    /// What was wrong, for the log and the error stack of the reply.
    pub message: String,
}

impl CatalogError {
    /// An error of that code and sentence.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Nothing was found, or nothing that the caller may see.
    pub(crate) fn no_rows(what: &str) -> Self {
        Self::new(code::CAT_NO_ROWS_FOUND, format!("nothing found: {what}"))
    }
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
        let (code, message) = match &error {
            rusqlite::Error::QueryReturnedNoRows => (code::CAT_NO_ROWS_FOUND, error.to_string()),
            rusqlite::Error::SqliteFailure(e, _)
                if matches!(
                    e.extended_code,
                    SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY
                ) =>
            {
                let taken = "the name is taken".to_owned();
                (code::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME, taken)
            }
            _ => (code::CAT_SQL_ERR, error.to_string()),
        };
        Self::new(code, message)
    }
}

/// Why a catalog file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its directory cannot be read or made.
    #[error("cannot open the catalog {path}: {source}")]
    Io {
        /// The catalog file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file was written by a newer program.
    #[error("the catalog {path} has schema version {found}, this program knows up to {known}")]
    NewerSchema {
        /// The catalog file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version that this program can read.
        known: i64,
    },
    /// The file is not a catalog or is damaged.
    #[error("{path} is not a usable catalog: {reason}")]
    Corrupt {
        /// The catalog file.
        path: PathBuf,
        /// What the check found.
        reason: String,
    },
    /// The database engine refused for another reason.
    #[error("cannot open the catalog {path}: {source}")]
    Database {
        /// The catalog file.
        path: PathBuf,
        /// What the engine said.
        source: rusqlite::Error,
    },
}
