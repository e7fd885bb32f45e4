//! One connection to a server: a request, then its reply; where that is worth it, further requests before it (`owed.rs`).
//!
//! A request whose future is dropped before its reply was read leaves bytes on the wire that belong to nobody; such a
//! connection answers every later call with [`LossCause::Abandoned`] and the pool drops it. A call that the server's release
//! lacks is refused here: servers from 4.3.0 on would not answer it. Nothing is repeated here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use irods_protocol::header::kind;
use irods_protocol::message::{CollOprStat, RErrMsg, RError};
use irods_protocol::version::Version;
use irods_protocol::{Form, Packing, Pi, api, frame};

use tokio::time::Instant;

use crate::counts::CallCounts;
use crate::environment::{HashScheme, Password};
use crate::error::{
    Call, Delivery, Error, Loss, LossCause, Result, ServerError, Violation, messages, unsendable,
};
use crate::observe::{CallObserver, Watched};
use crate::wire::{Timeouts, Wire, WireError};

mod failed;
mod owed;

pub(crate) use failed::not_connected;
pub(crate) use owed::Owed;

/// Reply of a recursive call that is not its last: progress, to be acknowledged (server source,
/// `SYS_SVR_TO_CLI_COLL_STAT`; recorded exchange prc_coll_remove_many).
const PROGRESS: i32 = 99_999_996;
/// The acknowledgement, sent bare.
const PROGRESS_SEEN: i32 = 99_999_997;

/// An open, logged-in connection.
///
/// Its methods are grouped by what they are about: [`crate::query`], [`crate::collection`], [`crate::data_object`],
/// [`crate::transfer`], and so on.
#[derive(Debug)]
pub struct Connection {
    pub(crate) wire: Wire,
    pub(crate) state: State,
    pub(crate) peer: String,
    pub(crate) server: Version,
    pub(crate) packing: Packing,
    pub(crate) timeouts: Timeouts,
    pub(crate) counts: Arc<CallCounts>,
    /// Who hears of its calls.
    pub(crate) observer: Option<Arc<dyn CallObserver>>,
    pub(crate) identity: Identity,
    pub(crate) hash_scheme: HashScheme,
    /// The password of the native login.
    pub(crate) password: Password,
    /// A ticket is in use, which cannot be put away again.
    pub(crate) has_ticket: bool,
    /// Query cursors whose pages nobody wants any more; closed before the next query.
    pub(crate) abandoned_cursors: Vec<crate::query::Cursor>,
    /// When it was last in use.
    pub(crate) last_used: Instant,
}

/// On whose behalf a connection's calls run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// The user's zone.
    pub zone: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Between requests.
    Ready,
    /// So many replies are on their way, each to be collected; only who collects them may send more. The server has had the next of them
    /// in hand since it answered the one before, or since it was sent.
    Owing { replies: usize, since: Instant },
    /// Inside a request. Still so when the next one begins: the request was abandoned.
    Busy,
    /// Of no use any more.
    Dead,
}

/// How long a reply may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// [`Timeouts::reply`].
    Reply,
    /// [`Timeouts::work`].
    Work,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Result: not negative on success, often a count or a descriptor.
    pub code: i32,
    /// Packed output structure, empty if none; there may be one beside a negative code.
    pub message: Bytes,
    /// Raw byte stream.
    pub bytes: Bytes,
    /// The server's error stack; also successful replies carry some.
    pub messages: Vec<RErrMsg>,
}

/// A request: the call, what it is about (for errors), its input and byte stream.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// API number.
    pub api: i32,
    /// Logical path or name for errors; not sent.
    pub subject: &'a str,
    /// Byte stream.
    pub bytes: &'a [u8],
    /// How long the reply may take.
    pub patience: Patience,
}

impl<'a> Request<'a> {
    /// A request without byte stream whose reply comes soon.
    pub fn new(api: i32, subject: &'a str) -> Self {
        Request {
            api,
            subject,
            bytes: &[],
            patience: Patience::Reply,
        }
    }

    /// With a byte stream.
    #[must_use]
    pub fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.bytes = bytes;
        self
    }

    /// The server works before it answers.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patience = Patience::Work;
        self
    }
}

impl Connection {
    /// `host:port`.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// The server's release.
    pub fn server_version(&self) -> Version {
        self.server
    }

    /// On whose behalf calls run.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether everything goes inside TLS.
    pub fn is_encrypted(&self) -> bool {
        self.wire.is_tls()
    }

    /// The password that this connection logged in with: for PAM the one that the server made, which can be kept
    /// ([`Password::save`]) and used until it expires.
    pub fn password(&self) -> &Password {
        &self.password
    }

    /// The wire form in use.
    pub fn form(&self) -> Form {
        self.packing.form
    }

    /// Whether the connection can take another request, as far as is known without asking.
    pub fn is_usable(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether nothing came in since the last reply, and the server has not closed.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.is_usable() && self.wire.is_quiet()
    }

    /// It has just been in use.
    pub(crate) fn mark_used(&mut self) {
        self.last_used = Instant::now();
    }

    /// How long it has not been in use.
    pub(crate) fn idle_time(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Whether the server has a call.
    pub fn has(&self, api: i32) -> bool {
        api::by_number(api).is_some_and(|a| a.exists_in(self.server))
    }

    /// Makes a call; a negative result is an error. The typed methods are all built on this and on [`Connection::exchange`].
    ///
    /// # Errors
    /// The server said no, could not be asked, has no such call, or the input cannot be packed.
    pub async fn call<I: Pi>(&mut self, request: Request<'_>, input: Option<&I>) -> Result<Reply> {
        let reply = self.exchange(request, input, &mut |_| {}).await?;
        self.checked(request, reply)
    }

    /// Makes a call whose output is a structure.
    ///
    /// # Errors
    /// As [`Connection::call`]; also an output that is not that structure.
    pub async fn ask<I: Pi, O: Pi>(
        &mut self,
        request: Request<'_>,
        input: Option<&I>,
    ) -> Result<O> {
        let reply = self.call(request, input).await?;
        self.decode(request.api, &reply)
    }

    /// A reply with a negative code as an error.
    pub(crate) fn checked(&self, request: Request<'_>, reply: Reply) -> Result<Reply> {
        if reply.code >= 0 {
            return Ok(reply);
        }
        Err(ServerError {
            code: reply.code,
            call: Call::Api(request.api),
            path: request.subject.to_owned(),
            messages: reply.messages,
        }
        .into())
    }

    /// The output structure of a reply.
    pub(crate) fn decode<O: Pi>(&mut self, api: i32, reply: &Reply) -> Result<O> {
        O::from_bytes(self.packing, &reply.message)
            .map_err(|e| self.violation(Call::Api(api), e.into()))
    }

    /// Makes a call and returns the reply whatever its code. `progress` hears of each step of a recursive call.
    ///
    /// # Errors
    /// The server could not be asked or answered nonsense, has no such call, or the input cannot be packed.
    pub async fn exchange<I: Pi>(
        &mut self,
        request: Request<'_>,
        input: Option<&I>,
        progress: &mut (dyn FnMut(CollOprStat) + Send),
    ) -> Result<Reply> {
        let call = Call::Api(request.api);
        let head = self.encode(request, input)?;
        self.enter(call, request.subject)?;
        self.counts.add(request.api);
        let watched = Watched::begin(self.observer.as_ref(), request.api, request.subject);
        self.wire.begin();
        let outcome = match self.wire.send(head, request.bytes).await {
            Ok(()) => self.answer(request, progress).await,
            Err(e) => Err(e),
        };
        tracing::trace!(%call, path = request.subject, code = ?outcome.as_ref().map(|r| r.code).ok());
        match outcome {
            Ok(reply) => {
                self.state = State::Ready;
                watched.answered(reply.code);
                Ok(reply)
            }
            Err(error) => Err(self.failed(call, request.subject, error)),
        }
    }

    /// The request without its byte stream, if the server has the call.
    fn encode<I: Pi>(&self, request: Request<'_>, input: Option<&I>) -> Result<Vec<u8>> {
        let call = Call::Api(request.api);
        if let Some(known) = api::by_number(request.api)
            && !known.exists_in(self.server)
        {
            return Err(Error::Unsupported {
                peer: self.peer.clone(),
                call,
                server: self.server,
                since: known.since,
            });
        }
        let unsendable = |e| unsendable(call, request.subject, &e);
        let message = match input {
            Some(input) => input.to_bytes(self.packing).map_err(unsendable)?,
            None => Vec::new(),
        };
        frame::encode(
            kind::API_REQ,
            request.api,
            &message,
            &[],
            request.bytes.len(),
        )
        .map_err(unsendable)
    }

    /// Reads until the last reply to a request that was sent.
    async fn answer(
        &mut self,
        request: Request<'_>,
        progress: &mut (dyn FnMut(CollOprStat) + Send),
    ) -> Result<Reply, WireError> {
        let patience = self.patience(request.patience);
        loop {
            let frame = self.wire.receive(patience).await?;
            if frame.kind != kind::API_REPLY {
                return Err(Violation::Type {
                    due: kind::API_REPLY,
                    got: frame.kind,
                }
                .into());
            }
            if frame.int_info == PROGRESS && matches!(request.api, api::RM_COLL | api::COLL_REPL) {
                if !frame.message.is_empty() {
                    progress(CollOprStat::from_bytes(self.packing, &frame.message)?);
                }
                let seen = PROGRESS_SEEN.to_be_bytes();
                self.wire.send(seen.to_vec(), &[]).await?;
                continue;
            }
            let stack = if frame.error.is_empty() {
                Vec::new()
            } else {
                messages(RError::from_bytes(self.packing, &frame.error)?)
            };
            return Ok(Reply {
                code: frame.int_info,
                message: frame.message,
                bytes: frame.bytes,
                messages: stack,
            });
        }
    }

    fn patience(&self, patience: Patience) -> Duration {
        match patience {
            Patience::Reply => self.timeouts.reply,
            Patience::Work => self.timeouts.work,
        }
    }

    /// Marks the connection busy, or says why it cannot be.
    fn enter(&mut self, call: Call, subject: &str) -> Result<()> {
        if self.state == State::Ready {
            self.state = State::Busy;
            return Ok(());
        }
        Err(self.abandoned(call, subject, Delivery::None))
    }

    /// An earlier request ended in the middle. `delivery` is that of this one.
    fn abandoned(&mut self, call: Call, subject: &str, delivery: Delivery) -> Error {
        self.state = State::Dead;
        Loss {
            peer: self.peer.clone(),
            call,
            path: subject.to_owned(),
            cause: LossCause::Abandoned,
            delivery,
        }
        .into()
    }

    /// Says goodbye and closes. Dropping a connection closes it without the goodbye, which servers put up with.
    pub async fn disconnect(self) {
        if self.state == State::Ready
            && let Ok(goodbye) = frame::encode(kind::DISCONNECT, 0, &[], &[], 0)
        {
            self.wire.close(goodbye).await;
        }
    }
}
