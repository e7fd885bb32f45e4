//! Several registrations whose requests are sent before the first of them is answered: the way to the server and back is paid once.

use std::collections::VecDeque;

use irods_protocol::api;

use super::{Leaf, NewRow, Register};
use crate::connection::{Connection, Owed, Request};
use crate::error::Result;

/// One of several registrations.
#[derive(Debug, Clone, Copy)]
pub enum Registration<'a> {
    /// As [`Connection::register`] makes it.
    File {
        /// Logical path.
        object: &'a str,
        /// The file.
        what: &'a Register,
    },
    /// As [`Connection::register_row`] makes it.
    Row {
        /// The row.
        row: &'a NewRow,
        /// Where the file is.
        leaf: &'a Leaf,
        /// Modification time, seconds since 1970.
        mtime: i64,
    },
}

impl<'a> Registration<'a> {
    fn object(&self) -> &'a str {
        match *self {
            Registration::File { object, .. } => object,
            Registration::Row { row, .. } => &row.object,
        }
    }
}

impl Connection {
    /// Makes registrations, one after the other, whatever becomes of those before; what became of each. Those that were under way when
    /// the connection was lost may have been carried out.
    ///
    /// All are sent at once, so they should be few enough for the answers to fit into the buffers of the network: some dozens. A
    /// server of a release of which nobody has seen that it puts up with that gets each after the answer to the one before.
    ///
    /// # Errors
    /// Each result has those of [`Connection::register`] or [`Connection::register_row`].
    pub async fn register_all(&mut self, all: &[Registration<'_>]) -> Vec<Result<()>> {
        let ahead = match self.takes_requests_ahead() {
            true => all.len().max(1),
            false => 1,
        };
        let mut results = Vec::with_capacity(all.len());
        for some in all.chunks(ahead) {
            let mut sent = VecDeque::with_capacity(some.len());
            for registration in some {
                sent.push_back((
                    registration.object(),
                    self.send_registration(registration).await,
                ));
            }
            while let Some((object, outcome)) = sent.pop_front() {
                let result = match outcome {
                    Ok(owed) => self.collect(owed, object).await.map(drop),
                    Err(error) => Err(error),
                };
                results.push(result);
                if let Some((_, Ok(next))) = sent.front_mut() {
                    next.is_next();
                }
            }
        }
        results
    }

    async fn send_registration(&mut self, registration: &Registration<'_>) -> Result<Owed> {
        match *registration {
            Registration::File { object, what } => {
                let input = what.input(object)?;
                self.send_ahead(what.request(object), &input).await
            }
            Registration::Row { row, leaf, mtime } => {
                let input = row.input(leaf, self.identity(), Some(mtime))?;
                let request = Request::new(api::REG_DATA_OBJ, &row.object);
                self.send_ahead(request, &input).await
            }
        }
    }
}
