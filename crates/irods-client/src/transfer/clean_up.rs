//! What a failed put leaves behind.

use std::time::Duration;

use irods_protocol::codes;

use super::Put;
use crate::connection::Connection;
use crate::data_object::Remove;
use crate::error::{Error, Left, Result};

/// How often, and how long apart, a removal is tried of what the server thinks is still being written.
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(250);

impl Connection {
    /// Removes what a failed put made, and says what is there now. Only where the put is known to have got as far as writing
    /// (`wrote`) is what bears the name its own: a policy that refuses a put may do so before the server looks whether the
    /// name is taken.
    pub(super) async fn clean_up(
        &mut self,
        object: &str,
        how: &Put,
        wrote: bool,
        cause: Error,
    ) -> Error {
        let left = if how.overwrite {
            if wrote && !cause.is_connection_loss() {
                Left::Incomplete
            } else {
                Left::Unknown
            }
        } else if !self.is_usable() {
            Left::Unknown
        } else if wrote {
            match self.remove_own(object).await {
                Ok(()) => Left::Nothing,
                Err(e) if e.is_not_found() => Left::Nothing,
                Err(e) if e.is_connection_loss() => Left::Unknown,
                Err(_) => Left::Incomplete,
            }
        } else {
            match self.stat(object).await {
                Ok(None) => Left::Nothing,
                _ => Left::Unknown,
            }
        };
        Error::Transfer {
            cause: Box::new(cause),
            left,
        }
    }

    /// Removes what this put made; the server may need a moment to notice that a lost connection has left it.
    async fn remove_own(&mut self, object: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            let outcome = self.remove_data_object(object, Remove::Force).await;
            match outcome {
                Err(e) if is_in_flight(&e) && tries < REMOVE_TRIES => tries += 1,
                other => return other,
            }
            tokio::time::sleep(REMOVE_PAUSE).await;
        }
    }
}

fn is_in_flight(error: &Error) -> bool {
    error.is(codes::LOCKED_DATA_OBJECT_ACCESS) || error.is(codes::INTERMEDIATE_REPLICA_ACCESS)
}

/// Whether the server refused before it made or touched anything.
pub(super) fn is_before_the_data(error: &Error) -> bool {
    if error.already_exists() || error.is_not_found() {
        return true;
    }
    [
        codes::CAT_NO_ACCESS_PERMISSION,
        codes::SYS_BAD_INPUT,
        codes::SYS_RESC_DOES_NOT_EXIST,
        codes::HIERARCHY_ERROR,
        codes::SYS_NO_API_PRIV,
        codes::LOCKED_DATA_OBJECT_ACCESS,
        codes::INTERMEDIATE_REPLICA_ACCESS,
    ]
    .iter()
    .any(|&c| error.is(c))
        || matches!(error, Error::Input { .. } | Error::Unsupported { .. })
}
