//! Whole files into data objects.
//!
//! What fails is not left to look whole. A *new* object that a put made and could not finish is removed again; an *overwritten*
//! one is gone as it was, and its replica is left stale. [`Error::Transfer`] says which ([`crate::error::Left`]).

use std::io::Read;

use irods_protocol::limits::SINGLE_BUFFER_MAX;
use irods_protocol::message::{DataObjInp, KeyValPair, PortalOprOut};
use irods_protocol::{api, codes, keywords, path};

use super::blocks::{self, Checksum, ReadAhead, Summary};
use super::clean_up::is_before_the_data;
use super::included;
use super::open::{OpenReplica, OpenedBy};
use crate::access::Grant;
use crate::collection::bad_path;
use crate::connection::{Connection, Request};
use crate::data_object::{ChecksumMode, object_input};
use crate::environment::HashScheme;
use crate::error::{Call, Error, Result, Violation};
use crate::metadata::Avu;
use crate::register::Target;

/// `oprType` of a put.
const PUT: i32 = 1;
/// Mode of new files, `rw-r--r--`.
const MODE: i32 = 0o644;

/// How to put a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where the object goes; the server's default if not given.
    pub target: Option<Target>,
    /// An existing object may be overwritten. Otherwise it is an error, and the object stays untouched.
    pub overwrite: bool,
    /// What to do about a checksum.
    pub checksum: PutChecksum,
    /// Data type; `generic` if not given.
    pub data_type: Option<String>,
    /// AVUs that the object gets along: in the same message, or, where its bytes follow, as soon as it is there and before any of them.
    pub metadata: Vec<Avu>,
    /// Permissions that it gets along, which all must [fit](Grant::fits_a_put). Servers find that one makes no sense when the object is
    /// there.
    pub access: Vec<Grant>,
    /// Files up to this size go in one message, and through memory as a whole; at most 32 MiB.
    pub single_message_max: u64,
}

impl Default for Put {
    fn default() -> Self {
        Put {
            target: None,
            overwrite: false,
            checksum: PutChecksum::None,
            data_type: None,
            metadata: Vec::new(),
            access: Vec::new(),
            single_message_max: SINGLE_BUFFER_MAX,
        }
    }
}

/// What to do about a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PutChecksum {
    /// Nothing; an object that had one gets a new one from the server.
    None,
    /// The server computes and stores one.
    Register,
    /// So it does, and it is compared with one that is computed here on the way, by the environment's hash scheme.
    Verify,
}

/// What was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// The checksum that both sides agree on, for [`PutChecksum::Verify`].
    pub checksum: Option<String>,
}

impl Connection {
    /// Puts bytes that are in memory, in one message.
    ///
    /// # Errors
    /// As [`Connection::put`].
    pub async fn put_bytes(&mut self, object: &str, bytes: &[u8], how: &Put) -> Result<Stored> {
        let ours = self.checksum_to_verify(bytes, how);
        self.put_single(object, bytes, ours, how).await
    }

    /// What the server is to find, if it is to look.
    pub(crate) fn checksum_to_verify(&self, bytes: &[u8], how: &Put) -> Option<String> {
        let scheme = self.scheme(how);
        scheme.map(|scheme| Checksum::of(scheme, bytes))
    }

    /// One message; `ours` is the checksum to verify by.
    async fn put_single(
        &mut self,
        object: &str,
        bytes: &[u8],
        ours: Option<String>,
        how: &Put,
    ) -> Result<Stored> {
        let input = how.single(object, bytes, ours.clone())?;
        let request = Request::new(api::DATA_OBJ_PUT, object).bytes(bytes);
        match self.call(request, Some(&input)).await {
            Ok(_) => Ok(Stored {
                size: bytes.len() as u64,
                checksum: ours,
            }),
            Err(cause) => Err(self.put_failed(object, how, cause).await),
        }
    }

    /// What is told of a put in one message that failed: nothing of it is left, or this says what is.
    pub(crate) async fn put_failed(&mut self, object: &str, how: &Put, cause: Error) -> Error {
        if is_before_the_data(&cause) {
            return cause;
        }
        let wrote = cause.is(codes::SYS_COPY_LEN_ERR) || cause.is(codes::USER_CHKSUM_MISMATCH);
        self.clean_up(object, how, wrote, cause).await
    }

    /// Puts `size` bytes from `source` (read on another thread). A source with fewer or more bytes is an error: it changed
    /// while it was read.
    ///
    /// # Errors
    /// [`Error::already_exists`] where the name is taken and `overwrite` is not set (also where a collection has it);
    /// [`Error::is_not_found`] where the collection is missing: in both cases nothing happened. [`Error::Local`] or
    /// [`Error::Mismatch`] where a small source was found wrong before anything was sent. [`Error::Transfer`] where the
    /// transfer had begun.
    pub async fn put(
        &mut self,
        object: &str,
        source: impl Read + Send + 'static,
        size: u64,
        how: &Put,
    ) -> Result<Stored> {
        if size <= how.single_message_max.min(SINGLE_BUFFER_MAX) {
            let (bytes, summary) = blocks::read_whole(source, size, self.scheme(how))
                .await
                .map_err(|source| local(object, source))?;
            check_source(object, size, &summary)?;
            return self.put_single(object, &bytes, summary.checksum, how).await;
        }
        let mut input = put_input(object, size, how)?;
        if how.checksum != PutChecksum::None {
            input.cond_input.set(keywords::REG_CHKSUM, "");
        }
        let mut ahead = ReadAhead::start(source, size, self.scheme(how));
        // The first block before anything is opened: a source that cannot be read overwrites nothing.
        let Some(first) = ahead.next().await else {
            let summary = ahead.finish().await.map_err(|e| local(object, e))?;
            check_source(object, size, &summary)?;
            return self.put_bytes(object, &[], how).await;
        };
        let open = self.begin_put(object, &input).await?;
        match stream(open, object, first, ahead, size, how).await {
            Ok(Some(ours)) => self.compare_checksum(object, how, size, ours).await,
            Ok(None) => Ok(Stored {
                size,
                checksum: None,
            }),
            Err(cause) => Err(self.clean_up(object, how, true, cause).await),
        }
    }

    /// What to hash by, if that is wanted.
    pub(super) fn scheme(&self, how: &Put) -> Option<HashScheme> {
        (how.checksum == PutChecksum::Verify).then_some(self.hash_scheme)
    }

    /// Announces a put whose bytes follow over this connection.
    pub(super) async fn begin_put(
        &mut self,
        object: &str,
        input: &DataObjInp,
    ) -> Result<OpenReplica<'_>> {
        let request = Request::new(api::DATA_OBJ_PUT, object);
        let out: PortalOprOut = self.ask(request, Some(input)).await?;
        if out.num_threads > 0 {
            let what = "a transfer over other ports, which was not asked for".to_owned();
            let call = Call::Api(api::DATA_OBJ_PUT);
            return Err(self.violation(call, Violation::Content(what)));
        }
        Ok(OpenReplica::of(self, object, OpenedBy::Put, out.l1desc_inx))
    }

    /// The stored checksum against ours. One of another scheme proves nothing: the object is complete and stays, unverified.
    pub(super) async fn compare_checksum(
        &mut self,
        object: &str,
        how: &Put,
        size: u64,
        ours: String,
    ) -> Result<Stored> {
        let theirs = self.checksum(object, ChecksumMode::Stored).await;
        let cause = match theirs {
            Ok(theirs) if theirs == ours => {
                return Ok(Stored {
                    size,
                    checksum: Some(ours),
                });
            }
            Ok(theirs) if scheme_of(&theirs) != scheme_of(&ours) => {
                return Err(Error::Mismatch {
                    path: object.to_owned(),
                    what: "checksum scheme",
                    expected: scheme_of(&ours).to_owned(),
                    found: scheme_of(&theirs).to_owned(),
                });
            }
            Ok(theirs) => Error::Mismatch {
                path: object.to_owned(),
                what: "checksum",
                expected: ours,
                found: theirs,
            },
            Err(e) => e,
        };
        Err(self.clean_up(object, how, true, cause).await)
    }
}

impl Put {
    /// The message that has all of it.
    pub(crate) fn single(
        &self,
        object: &str,
        bytes: &[u8],
        ours: Option<String>,
    ) -> Result<DataObjInp> {
        let mut input = put_input(object, bytes.len() as u64, self)?;
        input.cond_input.set(keywords::DATA_INCLUDED, "");
        included::set_metadata(&mut input.cond_input, &self.metadata);
        match (self.checksum, ours) {
            (_, Some(ours)) => input.cond_input.set(keywords::VERIFY_CHKSUM, ours),
            (PutChecksum::Register, None) => input.cond_input.set(keywords::REG_CHKSUM, ""),
            _ => {}
        }
        Ok(input)
    }
}

/// Sends the blocks and closes. A failure of a new object ends with a close as well, so that it can be removed. The failure of an
/// overwrite ends with the connection.
async fn stream(
    mut open: OpenReplica<'_>,
    object: &str,
    first: blocks::Block,
    mut ahead: ReadAhead,
    size: u64,
    how: &Put,
) -> Result<Option<String>> {
    let mut failure = open.attach(&how.metadata).await.err();
    let mut block = Some(first).filter(|_| failure.is_none());
    while let Some(bytes) = block {
        if let Err(e) = open.write_ahead(None, &bytes).await {
            failure = Some(e);
            break;
        }
        block = ahead.next().await;
    }
    if failure.is_none() {
        failure = open.settle().await.err();
    }
    let summary = match failure {
        Some(e) => Err(e),
        None => match ahead.finish().await {
            Ok(summary) => check_source(object, size, &summary).map(|()| summary),
            Err(source) => Err(local(object, source)),
        },
    };
    match summary {
        Ok(summary) => open.close().await.map(|()| summary.checksum),
        Err(cause) => {
            if !how.overwrite && !cause.is_connection_loss() {
                open.spoil(size).await;
            }
            Err(cause)
        }
    }
}

pub(super) fn put_input(object: &str, size: u64, how: &Put) -> Result<DataObjInp> {
    let call = Call::Api(api::DATA_OBJ_PUT);
    path::check(object).map_err(|e| bad_path(call, object, &e))?;
    let mut keywords = KeyValPair::new();
    keywords.set(
        keywords::DATA_TYPE,
        how.data_type.as_deref().unwrap_or("generic"),
    );
    if how.overwrite {
        keywords.set(keywords::FORCE_FLAG, "");
    }
    if let Some(target) = &how.target {
        target.set(&mut keywords);
    }
    keywords.set(keywords::DATA_SIZE, size.to_string());
    included::set_access(&mut keywords, &how.access);
    let mut input = object_input(object, keywords);
    input.create_mode = MODE;
    input.opr_type = PUT;
    input.data_size = i64::try_from(size).unwrap_or(i64::MAX);
    // Over this connection, not over ports that a firewall may close.
    input.num_threads = -1;
    Ok(input)
}

/// The scheme of a checksum by its prefix; none is MD5.
fn scheme_of(checksum: &str) -> &str {
    checksum.split_once(':').map_or("md5", |(scheme, _)| scheme)
}

pub(super) fn check_source(object: &str, size: u64, summary: &Summary) -> Result<()> {
    if summary.bytes == size && !summary.more {
        return Ok(());
    }
    Err(Error::Mismatch {
        path: object.to_owned(),
        what: "size of the source",
        expected: size.to_string(),
        found: if summary.more {
            "more".to_owned()
        } else {
            summary.bytes.to_string()
        },
    })
}

pub(super) fn local(object: &str, source: std::io::Error) -> Error {
    Error::Local {
        path: object.to_owned(),
        source,
    }
}
