//! Adding bytes to the end of a data object.

use std::io::Read;

use super::blocks::ReadAhead;
use super::put::{check_source, local};
use super::{OpenHow, Whence};
use crate::connection::Connection;
use crate::error::{Error, Left, Result};
use crate::register::Target;

impl Connection {
    /// Appends `size` bytes from `source` to a data object, which is made if missing (nothing happens if `size` is 0). `expected` is the size that the object must
    /// have before, if the caller knows.
    ///
    /// The object's other replicas become stale. A failure in the middle leaves the replica stale and longer: the connection is
    /// given up so that the server does not take it for complete.
    ///
    /// # Errors
    /// [`Error::Mismatch`] (before anything was written) where the size is not the expected one; [`Error::Transfer`] otherwise.
    pub async fn append(
        &mut self,
        object: &str,
        source: impl Read + Send + 'static,
        size: u64,
        expected: Option<u64>,
        target: Option<&Target>,
    ) -> Result<()> {
        let mut blocks = ReadAhead::start(source, size, None);
        // The first block before anything is opened: a source that cannot be read costs nothing.
        let mut block = blocks.next().await;
        if block.is_none() {
            let summary = blocks.finish().await.map_err(|e| local(object, e))?;
            return if summary.bytes == size {
                Ok(())
            } else {
                check_source(object, size, &summary)
            };
        }
        let mut open = self
            .open_data_object(object, OpenHow::Create, target)
            .await?;
        let end = open.seek(0, Whence::End).await?;
        if expected.is_some_and(|e| e != end) {
            open.close().await?;
            return Err(Error::Mismatch {
                path: object.to_owned(),
                what: "size before the append",
                expected: expected.unwrap_or_default().to_string(),
                found: end.to_string(),
            });
        }
        let failed = |cause: Error| {
            let lost = cause.is_connection_loss();
            Error::Transfer {
                left: if lost {
                    Left::Unknown
                } else {
                    Left::Incomplete
                },
                cause: Box::new(cause),
            }
        };
        while let Some(bytes) = block {
            open.write_ahead(None, &bytes).await.map_err(failed)?;
            block = blocks.next().await;
        }
        open.settle().await.map_err(failed)?;
        let summary = blocks
            .finish()
            .await
            .map_err(|e| failed(local(object, e)))?;
        // More than was asked for is no error: the source grows, and what came later is for the next time.
        if summary.bytes != size {
            check_source(object, size, &summary).map_err(failed)?;
        }
        open.close().await.map_err(failed)
    }
}
