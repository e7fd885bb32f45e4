//! Several data objects whose requests are sent before the first of them is answered: the way to the server and back is paid once.

use irods_protocol::api;

use crate::connection::{Connection, Owed, Request};
use crate::error::Result;
use crate::register::{Leaf, NewRow, Register};
use crate::transfer::Put;

/// Hears of what each call for a data object was answered, as soon as it is.
pub type Answered<'a> = dyn FnMut(&Result<()>) + Send + 'a;

/// A data object to be.
#[derive(Debug, Clone, Copy)]
pub enum NewObject<'a> {
    /// As [`Connection::register`] makes it.
    Registered {
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
    /// As [`Connection::put_bytes`] makes it.
    Put {
        /// Logical path.
        object: &'a str,
        /// What it holds.
        bytes: &'a [u8],
        /// How.
        how: &'a Put,
    },
}

impl<'a> NewObject<'a> {
    fn path(&self) -> &'a str {
        match *self {
            NewObject::Registered { object, .. } | NewObject::Put { object, .. } => object,
            NewObject::Row { row, .. } => &row.object,
        }
    }
}

impl Connection {
    /// Makes data objects, one after the other, whatever becomes of those before; what became of each. Those that were under way when
    /// the connection was lost may have been made.
    ///
    /// All are sent at once, so they should be few enough for the answers to fit into the buffers of the network: some dozens. A
    /// server of a release of which nobody has seen that it puts up with that gets each after the answer to the one before.
    ///
    /// # Errors
    /// Each result has those of the method that makes one object. What a put that failed has left is removed when all are answered.
    pub async fn create_all(
        &mut self,
        all: &[NewObject<'_>],
        answered: &mut Answered<'_>,
    ) -> Vec<Result<()>> {
        let ahead = match self.takes_requests_ahead() {
            true => all.len().max(1),
            false => 1,
        };
        let mut results = Vec::with_capacity(all.len());
        for some in all.chunks(ahead) {
            let answers = self.send_and_collect(some, answered).await;
            for (new, answer) in some.iter().zip(answers) {
                results.push(match (new, answer) {
                    (NewObject::Put { object, how, .. }, Err(cause)) => {
                        Err(self.put_failed(object, how, cause).await)
                    }
                    (_, answer) => answer,
                });
            }
        }
        results
    }

    async fn send_and_collect(
        &mut self,
        all: &[NewObject<'_>],
        answered: &mut Answered<'_>,
    ) -> Vec<Result<()>> {
        let mut sent = Vec::with_capacity(all.len());
        for new in all {
            sent.push((new.path(), self.send_creation(new).await));
        }
        let mut answers = Vec::with_capacity(all.len());
        for (path, outcome) in sent {
            let answer = match outcome {
                Ok(owed) => self.collect(owed, path).await.map(drop),
                Err(error) => Err(error),
            };
            answered(&answer);
            answers.push(answer);
        }
        answers
    }

    async fn send_creation(&mut self, new: &NewObject<'_>) -> Result<Owed> {
        match *new {
            NewObject::Registered { object, what } => {
                let input = what.input(object)?;
                self.send_ahead(what.request(object), &input).await
            }
            NewObject::Row { row, leaf, mtime } => {
                let input = row.input(leaf, self.identity(), Some(mtime))?;
                let request = Request::new(api::REG_DATA_OBJ, &row.object);
                self.send_ahead(request, &input).await
            }
            NewObject::Put { object, bytes, how } => {
                let ours = self.checksum_to_verify(bytes, how);
                let input = how.single(object, bytes, ours)?;
                let request = Request::new(api::DATA_OBJ_PUT, object).bytes(bytes);
                self.send_ahead(request, &input).await
            }
        }
    }
}
