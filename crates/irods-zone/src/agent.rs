//! One connection: start-up, negotiation, then a call at a time until the peer leaves.
//!
//! Requests are answered in the order in which they come; a peer may send the next before it has
//! the answer. A malformed body is answered and the connection stays; a malformed frame ends it.
//! Whatever the peer does, what it had open is closed at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use irods_protocol::api as number;
use irods_protocol::frame::{self, Frame};
use irods_protocol::header::kind;
use irods_protocol::limits::Limits;
use irods_protocol::message::{CsNeg, StartupPack, Version};
use irods_protocol::version::Version as Release;
use irods_protocol::{Form, FrameError, Packing, Pi, codes};
use tokio::time::{Instant, timeout_at};

use crate::api;
use crate::connection::{Connection, ConnectionError, startup};
use crate::harsh::{Fate, Fortune, Unknown};
use crate::reply::{Reply, Request};
use crate::session::{Names, Session};
use crate::wire::Wire;
use crate::zone::Shared;

/// Release that the zone announces.
pub(crate) const RELEASE: Release = Release::new(5, 0, 2);
/// API version that every release announces.
pub(crate) const API_VERSION: &str = "d";
/// Cookie of the version message (recorded exchange prc_connect_auth_disconnect).
const COOKIE: i32 = 400;
/// Redirects that a client may have followed.
const MAX_CONNECT_COUNT: i32 = 7;

/// Serves a connection to its end. With `refuse` the peer only gets that code as its version.
pub(crate) async fn serve(
    stream: Wire,
    peer: SocketAddr,
    shared: Arc<Shared>,
    refuse: Option<i32>,
) {
    let deadline = Instant::now() + shared.limits.login;
    let mut connection = Connection::new(stream, shared.limits.stall);
    let begun = timeout_at(deadline, begin(&mut connection, &shared, refuse)).await;
    let mut session = match begun {
        Ok(Ok(Some(session))) => Session {
            peer: peer.ip(),
            ..session
        },
        Ok(Ok(None)) => return connection.close().await,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no start-up"),
        Err(_) => return tracing::debug!(%peer, "no start-up in time"),
    };
    match converse(&mut connection, &mut session, deadline).await {
        Ok(()) => {
            tracing::trace!(%peer, "left");
            session.end().await;
            return connection.leave().await;
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "connection lost");
            if matches!(error, ConnectionError::Frame(FrameError::Length { .. })) {
                let packing = session.packing;
                let last =
                    Reply::code(codes::SYS_REQUESTED_BUF_TOO_LARGE).note(0, error.to_string());
                if send(&mut connection, packing, last).await.is_ok() {
                    session.end().await;
                    return connection.close().await;
                }
            }
        }
    }
    session.end().await;
}

/// Start-up pack, negotiation, version. None: the peer has had its answer and the connection ends.
async fn begin(
    connection: &mut Connection,
    shared: &Arc<Shared>,
    refuse: Option<i32>,
) -> Result<Option<Session>, ConnectionError> {
    let login = shared.limits.login;
    let Some(first) = connection.receive(login).await? else {
        return Ok(None);
    };
    if first.kind == kind::HEARTBEAT {
        connection.send_raw(kind::HEARTBEAT.as_bytes()).await?;
        return Ok(None);
    }
    let pack: Option<StartupPack> = startup(&first.message).filter(|_| first.kind == kind::CONNECT);
    let Some(pack) = pack else {
        version(connection, shared, codes::SYS_HEADER_TYPE_LEN_ERR).await?;
        return Ok(None);
    };
    let refuse =
        refuse.or((pack.connect_cnt > MAX_CONNECT_COUNT).then_some(codes::SYS_EXCEED_CONNECT_CNT));
    if let Some(code) = refuse {
        version(connection, shared, code).await?;
        return Ok(None);
    }
    let encrypt = match negotiate(connection, shared, &pack).await? {
        Some(Ok(encrypt)) => encrypt,
        Some(Err(code)) => {
            version(connection, shared, code).await?;
            return Ok(None);
        }
        None => return Ok(None),
    };
    version(connection, shared, 0).await?;
    if let Some(tls) = shared.tls.as_ref().filter(|_| encrypt) {
        connection.start_tls(&tls.acceptor, login).await?;
        connection.encryption_parameters(login).await?;
    }
    let release: Release = pack
        .rel_version
        .parse()
        .unwrap_or(irods_protocol::api::OLDEST);
    let packing = Packing {
        form: if pack.irods_prot == 1 {
            Form::Xml
        } else {
            Form::Native
        },
        apos_is_apostrophe: release.xml_apostrophe_fixed(),
        access_time: release.data_obj_info_has_access_time()
            && shared.release.data_obj_info_has_access_time(),
    };
    let mut session = Session::new(Arc::clone(shared), packing, Names::of(pack));
    session.secure = encrypt;
    Ok(Some(session))
}

/// Whether the connection goes on in TLS, or the code with which it is refused; none if the peer has left.
async fn negotiate(
    connection: &mut Connection,
    shared: &Shared,
    pack: &StartupPack,
) -> Result<Option<Result<bool, i32>>, ConnectionError> {
    let policy = match &shared.tls {
        None => "CS_NEG_REFUSE",
        Some(tls) if tls.required => "CS_NEG_REQUIRE",
        Some(_) => "CS_NEG_DONT_CARE",
    };
    let required = shared.tls.as_ref().is_some_and(|tls| tls.required);
    if !pack.option.contains("request_server_negotiation") {
        let refused = codes::SYS_INVALID_INPUT_PARAM;
        return Ok(Some(if required { Err(refused) } else { Ok(false) }));
    }
    let offer = CsNeg {
        status: 1,
        result: policy.to_owned(),
    };
    let offer = offer.to_bytes(Packing::STARTUP)?;
    connection.send(kind::CS_NEG, 0, &offer, &[], &[]).await?;
    let Some(answer) = connection.receive(shared.limits.login).await? else {
        return Ok(None);
    };
    let choice: Option<CsNeg> = startup(&answer.message).filter(|_| answer.kind == kind::CS_NEG);
    let encrypt = match choice.filter(|c| c.status == 1) {
        Some(c) if c.result.contains("CS_NEG_USE_SSL") && shared.tls.is_some() => Some(true),
        Some(c) if c.result.contains("CS_NEG_USE_TCP") && !required => Some(false),
        _ => None,
    };
    Ok(Some(encrypt.ok_or(codes::SERVER_NEGOTIATION_ERROR)))
}

async fn version(
    connection: &mut Connection,
    shared: &Shared,
    status: i32,
) -> Result<(), ConnectionError> {
    let version = Version {
        status,
        rel_version: shared.release.to_wire(),
        api_version: API_VERSION.to_owned(),
        cookie: COOKIE,
        ..Version::default()
    };
    connection
        .send(
            kind::VERSION,
            0,
            &version.to_bytes(Packing::STARTUP)?,
            &[],
            &[],
        )
        .await
}

/// Answers calls until the peer leaves or the zone stops.
async fn converse(
    connection: &mut Connection,
    session: &mut Session,
    login_deadline: Instant,
) -> Result<(), ConnectionError> {
    let limits = session.zone.limits.clone();
    let stop = session.zone.stop.clone();
    let mut logged_in = false;
    let mut fortune = session.zone.fortune();
    loop {
        let idle = if logged_in {
            limits.idle
        } else {
            login_deadline.saturating_duration_since(Instant::now())
        };
        let received = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            received = connection.receive_apart(idle.max(Duration::from_millis(1))) => received?,
        };
        let Some(frame) = received else { return Ok(()) };
        if frame.kind != kind::API_REQ {
            // RODS_DISCONNECT, or a type that real servers end the connection for as well.
            return Ok(());
        }
        let number = frame.int_info;
        let reply = match &mut fortune {
            Some(fortune) if logged_in => match trial(connection, session, fortune, frame).await? {
                Some(reply) => reply,
                None => continue,
            },
            Some(fortune) if !fortune.has(number) => Reply::code(codes::SYS_UNMATCHED_API_NUM),
            _ => answer(connection, session, frame).await,
        };
        if connection.is_lost() {
            continue;
        }
        let done = reply.int_info >= 0;
        send(connection, session.packing, reply).await?;
        match (number, &session.zone.tls) {
            (number::SSL_START, Some(tls)) if done => {
                connection.start_tls(&tls.acceptor, limits.login).await?;
            }
            (number::SSL_END, _) if done => connection.end_tls().await?,
            _ => {}
        }
        session.secure = connection.is_tls();
        if !logged_in && session.is_logged_in() {
            logged_in = true;
            connection.set_limits(Limits {
                bytes: limits.stream,
                ..Limits::SESSION
            });
        }
    }
}

/// A call in the harsh mode; none if it is not answered.
async fn trial(
    connection: &mut Connection,
    session: &mut Session,
    fortune: &mut Fortune,
    frame: Frame,
) -> Result<Option<Reply>, ConnectionError> {
    let (fate, delay) = fortune.next(frame.int_info);
    tokio::time::sleep(delay).await;
    match fate {
        Fate::Refused(code) => return Ok(Some(Reply::code(code))),
        Fate::Unread => return Err(ConnectionError::Harsh),
        _ => {}
    }
    let reply = if fortune.has(frame.int_info) {
        answer(connection, session, frame).await
    } else {
        Reply::code(codes::SYS_UNMATCHED_API_NUM)
    };
    if reply.int_info == codes::SYS_UNMATCHED_API_NUM {
        match fortune.unknown() {
            Unknown::Answered => {}
            Unknown::Silent => return Ok(None),
            Unknown::Closed => return Err(ConnectionError::Harsh),
        }
    }
    match fate {
        Fate::Unanswered => Err(ConnectionError::Harsh),
        Fate::HalfAnswered => {
            let notes = reply.packed_notes(session.packing);
            let mut whole = frame::encode(
                kind::API_REPLY,
                reply.int_info,
                &reply.message,
                &notes,
                reply.bytes.len(),
            )?;
            whole.extend_from_slice(&reply.bytes);
            whole.truncate(whole.len() / 2);
            connection.send_raw(&whole).await?;
            Err(ConnectionError::Harsh)
        }
        _ => Ok(Some(reply)),
    }
}

async fn answer(connection: &mut Connection, session: &mut Session, frame: Frame) -> Reply {
    let request = Request {
        packing: session.packing,
        message: frame.message,
        bytes: frame.bytes,
    };
    let answer = match frame.int_info {
        number::DATA_OBJ_WRITE if connection.apart() > 0 => {
            api::write_apart(session, request, connection).await
        }
        // The next message comes meanwhile: of a large file that is the next block.
        number::DATA_OBJ_WRITE => {
            let mut answering = std::pin::pin!(api::call(session, number::DATA_OBJ_WRITE, request));
            tokio::select! {
                biased;
                answer = &mut answering => answer,
                () = connection.read_ahead() => answering.await,
            }
        }
        number => api::call(session, number, request).await,
    };
    match answer {
        Ok(reply) => reply,
        Err(failure) => {
            tracing::debug!(api = frame.int_info, code = failure.code, message = %failure.message, "refused");
            failure.into_reply()
        }
    }
}

async fn send(
    connection: &mut Connection,
    packing: Packing,
    reply: Reply,
) -> Result<(), ConnectionError> {
    let notes = reply.packed_notes(packing);
    connection
        .send(
            kind::API_REPLY,
            reply.int_info,
            &reply.message,
            &notes,
            &reply.bytes,
        )
        .await
}
