//! An open replica: read, write, seek, close.
//!
//! The descriptor lives on one connection and borrows it. An [`OpenReplica`] that is dropped instead of closed takes its
//! connection with it: the server then closes the replica as failed (what was being written becomes stale), which is what an
//! abandoned write should become.

use std::collections::VecDeque;

use bytes::Bytes;
use irods_protocol::message::{DataObjInp, FileLseekOut, IntPi, KeyValPair, OpenedDataObjInp};
use irods_protocol::{api, path};

use crate::collection::bad_path;
use crate::connection::{Connection, Owed, Reply, Request, State};
use crate::data_object::object_input;
use crate::error::{Call, Error, Result, Violation};
use crate::metadata::{Avu, Entity};
use crate::register::Target;

/// `O_WRONLY`, `O_RDWR`, `O_CREAT`, `O_TRUNC` as on Linux, whatever this machine is.
pub(super) const WRITE_ONLY: i32 = 1;
const READ_WRITE: i32 = 2;
const CREATE: i32 = 64;
const TRUNCATE: i32 = 512;

/// What to open a data object for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenHow {
    /// Reading; it must exist.
    Read,
    /// Reading and writing what is there; it must exist.
    Update,
    /// Writing; made if missing, kept as it is if not.
    Create,
    /// Writing from the start. **An existing object is emptied at once**, whoever made it.
    Overwrite,
}

/// What a seek counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whence {
    /// The start.
    Start,
    /// Where one is.
    Current,
    /// The end.
    End,
}

/// What opened a replica, which says how it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenedBy {
    /// An open: by a close.
    Open,
    /// A put: by `OPR_COMPLETE`.
    Put,
}

/// An open replica.
#[derive(Debug)]
pub struct OpenReplica<'c> {
    pub(super) connection: &'c mut Connection,
    pub(super) path: String,
    pub(super) descriptor: i32,
    by: OpenedBy,
    pub(super) closed: bool,
    /// Replies to writes that are on their way, each with the bytes that it is to tell of; none of a seek.
    owed: VecDeque<(Owed, Option<usize>)>,
}

impl Connection {
    /// Opens a data object. `target` is where a new one goes, or which replica of an existing one is meant.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; `HIERARCHY_ERROR`, `INTERMEDIATE_REPLICA_ACCESS` or `LOCKED_DATA_OBJECT_ACCESS` while somebody else
    /// writes it.
    pub async fn open_data_object(
        &mut self,
        object: &str,
        how: OpenHow,
        target: Option<&Target>,
    ) -> Result<OpenReplica<'_>> {
        let input = open_input(api::DATA_OBJ_OPEN, object, how, target)?;
        let request = Request::new(api::DATA_OBJ_OPEN, object);
        let reply = self.call(request, Some(&input)).await?;
        Ok(OpenReplica::of(self, object, OpenedBy::Open, reply.code))
    }
}

/// The input of opening.
pub(super) fn open_input(
    number: i32,
    object: &str,
    how: OpenHow,
    target: Option<&Target>,
) -> Result<DataObjInp> {
    let call = Call::Api(number);
    path::check(object).map_err(|e| bad_path(call, object, &e))?;
    let mut keywords = KeyValPair::new();
    if let Some(target) = target {
        target.set(&mut keywords);
    }
    let mut input = object_input(object, keywords);
    input.data_size = -1;
    input.open_flags = match how {
        OpenHow::Read => 0,
        OpenHow::Update => READ_WRITE,
        OpenHow::Create => WRITE_ONLY | CREATE,
        OpenHow::Overwrite => WRITE_ONLY | CREATE | TRUNCATE,
    };
    Ok(input)
}

impl<'c> OpenReplica<'c> {
    /// What a call opened.
    pub(super) fn of(
        connection: &'c mut Connection,
        path: &str,
        by: OpenedBy,
        descriptor: i32,
    ) -> Self {
        OpenReplica {
            connection,
            path: path.to_owned(),
            descriptor,
            by,
            closed: false,
            owed: VecDeque::new(),
        }
    }

    /// Gives the object AVUs; one that it has is no error. What is being written can have them.
    pub(super) async fn attach(&mut self, avus: &[Avu]) -> Result<()> {
        for avu in avus {
            let object = Entity::DataObject(&self.path);
            match self.connection.add_avu(object, avu).await {
                Err(error) if error.already_exists() => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// The server's number for it on this connection.
    pub fn descriptor(&self) -> i32 {
        self.descriptor
    }

    fn input(&self) -> OpenedDataObjInp {
        OpenedDataObjInp {
            l1desc_inx: self.descriptor,
            ..OpenedDataObjInp::default()
        }
    }

    /// Reads up to `len` bytes from where one is; empty at the end.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn read(&mut self, len: usize) -> Result<Bytes> {
        let mut input = self.input();
        input.len = i32::try_from(len).unwrap_or(i32::MAX);
        let request = Request::new(api::DATA_OBJ_READ, &self.path);
        let reply = self.connection.call(request, Some(&input)).await?;
        if reply.bytes.len() > len {
            let what = format!(
                "{} bytes where at most {len} were asked for",
                reply.bytes.len()
            );
            let call = Call::Api(api::DATA_OBJ_READ);
            return Err(self.connection.violation(call, Violation::Content(what)));
        }
        Ok(reply.bytes)
    }

    /// Writes all the bytes from where one is.
    ///
    /// # Errors
    /// As [`Connection::call`]; [`Error::Mismatch`] where the server wrote less than it was given.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_ahead(None, bytes).await?;
        self.settle().await
    }

    /// Writes all the bytes at an offset from the start, in one round trip. If the server cannot go there it writes them where
    /// it is: such an object is not to be used.
    ///
    /// # Errors
    /// As [`OpenReplica::write`].
    pub async fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write_ahead(Some(offset), bytes).await?;
        self.settle().await
    }

    /// Sends a write, from where one is or at an offset from the start, and leaves its reply for later: an error may be that of an
    /// earlier one. After an error of the server nothing is on its way any more; before anything but a write comes [`OpenReplica::settle`].
    pub(super) async fn write_ahead(&mut self, offset: Option<u64>, bytes: &[u8]) -> Result<()> {
        if let Some(offset) = offset {
            let mut seek = self.input();
            seek.offset = i64::try_from(offset).unwrap_or(i64::MAX);
            let seeking = Request::new(api::DATA_OBJ_LSEEK, &self.path);
            let owed = self.connection.send_ahead(seeking, &seek).await?;
            self.owed.push_back((owed, None));
        }
        let mut write = self.input();
        write.len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        let writing = Request::new(api::DATA_OBJ_WRITE, &self.path).bytes(bytes);
        let owed = self.connection.send_ahead(writing, &write).await?;
        self.owed.push_back((owed, Some(bytes.len())));
        // While the server works on one, the next is on its way.
        let ahead = self.connection.takes_requests_ahead();
        self.collect_until(usize::from(ahead)).await
    }

    /// Waits until all that was sent is written.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.collect_until(0).await
    }

    /// Collects replies until so many writes are under way; after a failure, all. The first failure is told.
    async fn collect_until(&mut self, writes: usize) -> Result<()> {
        let mut outcome = Ok(());
        let under_way = |owed: &VecDeque<(Owed, Option<usize>)>| {
            owed.iter().filter(|(_, write)| write.is_some()).count()
        };
        while outcome.is_err() || under_way(&self.owed) > writes {
            let Some((owed, write)) = self.owed.pop_front() else {
                break;
            };
            let reply = self.connection.collect(owed, &self.path).await;
            let told = reply.and_then(|reply| match write {
                Some(bytes) => self.written(&reply, bytes),
                None => Ok(()),
            });
            outcome = outcome.and(told);
        }
        outcome
    }

    fn written(&self, reply: &Reply, bytes: usize) -> Result<()> {
        if usize::try_from(reply.code).ok() == Some(bytes) {
            return Ok(());
        }
        Err(Error::Mismatch {
            path: self.path.clone(),
            what: "bytes written",
            expected: bytes.to_string(),
            found: reply.code.to_string(),
        })
    }

    /// Moves, and returns where one is now, in bytes from the start.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn seek(&mut self, offset: i64, whence: Whence) -> Result<u64> {
        let mut input = self.input();
        input.offset = offset;
        input.whence = match whence {
            Whence::Start => 0,
            Whence::Current => 1,
            Whence::End => 2,
        };
        let request = Request::new(api::DATA_OBJ_LSEEK, &self.path);
        let out: FileLseekOut = self.connection.ask(request, Some(&input)).await?;
        u64::try_from(out.offset).map_err(|_| {
            let what = Violation::Content("a position before the start".to_owned());
            self.connection
                .violation(Call::Api(api::DATA_OBJ_LSEEK), what)
        })
    }

    /// Closes. What was written counts only now: the server takes size and time, makes the replica good and the others stale.
    ///
    /// # Errors
    /// As [`Connection::call`]; [`Error::Mismatch`] where the server found another size than was announced: from 4.2.12 to 5.0.2
    /// it says so by a positive result.
    pub async fn close(mut self) -> Result<()> {
        self.closed = true;
        let reply = if self.by == OpenedBy::Put {
            let request = Request::new(api::OPR_COMPLETE, &self.path).patient();
            let input = IntPi {
                my_int: self.descriptor,
            };
            self.connection.call(request, Some(&input)).await?
        } else {
            // Closing may compute a checksum or replicate.
            let request = Request::new(api::DATA_OBJ_CLOSE, &self.path).patient();
            let input = self.input();
            self.connection.call(request, Some(&input)).await?
        };
        if reply.code > 0 {
            return Err(Error::Mismatch {
                path: self.path.clone(),
                what: "size",
                expected: "the announced one".to_owned(),
                found: reply.code.to_string(),
            });
        }
        Ok(())
    }
}

impl OpenReplica<'_> {
    /// Closes what may have holes so that the server does not take it for complete: its size becomes another one than was
    /// announced, for which closing makes it stale.
    pub(super) async fn spoil(mut self, size: u64) {
        if self.write_at(size, &[0]).await.is_ok() {
            // Fails for the wrong size, as it should.
            let _ = self.close().await;
        }
    }
}

impl Drop for OpenReplica<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.connection.state = State::Dead;
        }
    }
}
