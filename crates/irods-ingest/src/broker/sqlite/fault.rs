//! From what SQLite says to what a broker answers, and values from rows, none of which is trusted.

use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode, Row};

use crate::broker::BrokerError;

/// An error inside the engine, before it is told which file it is about.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Corrupt(String),
    Answer(BrokerError),
}

pub(super) type Tried<T> = std::result::Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        Self::Answer(error)
    }
}

impl Fault {
    pub(super) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt(detail.into())
    }

    /// Whether SQLite could not get at a lock in time.
    pub(super) fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Sql(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        )
    }

    pub(super) fn into_error(self, broker: &str) -> BrokerError {
        let broker = broker.to_owned();
        match self {
            Self::Answer(error) => error,
            Self::Corrupt(detail) => BrokerError::Corrupt { broker, detail },
            Self::Sql(error) => {
                let detail = error.to_string();
                match error.sqlite_error_code() {
                    Some(
                        ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                        | ErrorCode::OperationInterrupted,
                    ) => BrokerError::Unavailable { broker, detail },
                    Some(
                        ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::ReadOnly
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::NoLargeFileSupport,
                    ) => BrokerError::Unusable { broker, detail },
                    Some(ErrorCode::TooBig) => BrokerError::Invalid {
                        what: format!("so large a value ({detail})"),
                    },
                    // What is left are rows and tables that are not as this program writes them.
                    _ => BrokerError::Corrupt { broker, detail },
                }
            }
        }
    }
}

/// A number for SQLite, whose integers are signed.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that holds a number that is never negative.
pub(super) fn uint(row: &Row<'_>, column: &str) -> Tried<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Fault::corrupt(format!("{column} is {number}")))
}

/// Like [`uint`], where the column may be null.
pub(super) fn maybe_uint(row: &Row<'_>, column: &str) -> Tried<Option<u64>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => uint(row, column).map(Some),
    }
}

/// A column of bytes, copied only if it is within the limit that it was written under.
pub(super) fn bytes(row: &Row<'_>, column: &str, limit: usize) -> Tried<Vec<u8>> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) if bytes.len() <= limit => Ok(bytes.to_vec()),
        ValueRef::Blob(bytes) => Err(Fault::corrupt(format!(
            "{column} has {} bytes, the limit is {limit}",
            bytes.len()
        ))),
        _ => Err(Fault::corrupt(format!("{column} is not bytes"))),
    }
}
