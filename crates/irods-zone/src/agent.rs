//! One connection: start-up, negotiation, then a call at a time until the peer leaves.
//!
//! Requests are answered in the order in which they come; a peer may send the next before it has
//! the answer. A malformed body is answered and the connection stays; a malformed frame ends it.
//! Whatever the peer does, what it had open is closed at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use irods_protocol::frame::Frame;
use irods_protocol::header::kind;
use irods_protocol::limits::Limits;
use irods_protocol::message::{CsNeg, StartupPack, Version};
use irods_protocol::version::Version as Release;
use irods_protocol::{Form, FrameError, Packing, Pi, codes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::api;
use crate::connection::{Connection, ConnectionError, startup};
use crate::reply::{Reply, Request};
use crate::session::{Names, Session};
use crate::zone::Shared;

/// Release that the zone announces.
pub(crate) const RELEASE: &str = "rods5.0.2";
/// API version that every release announces.
pub(crate) const API_VERSION: &str = "d";
/// Cookie of the version message (recorded exchange prc_connect_auth_disconnect).
const COOKIE: i32 = 400;
/// Redirects that a client may have followed.
const MAX_CONNECT_COUNT: i32 = 7;

/// Serves a connection to its end. With `refuse` the peer only gets that code as its version.
pub(crate) async fn serve<S>(stream: S, peer: SocketAddr, shared: Arc<Shared>, refuse: Option<i32>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Instant::now() + shared.limits.login;
    let mut connection = Connection::new(stream, shared.limits.stall);
    let begun = timeout_at(deadline, begin(&mut connection, &shared, refuse)).await;
    let mut session = match begun {
        Ok(Ok(Some(session))) => session,
        Ok(Ok(None)) => return connection.close().await,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no start-up"),
        Err(_) => return tracing::debug!(%peer, "no start-up in time"),
    };
    match converse(&mut connection, &mut session, deadline).await {
        Ok(()) => tracing::trace!(%peer, "left"),
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
async fn begin<S>(
    connection: &mut Connection<S>,
    shared: &Arc<Shared>,
    refuse: Option<i32>,
) -> Result<Option<Session>, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
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
        version(connection, codes::SYS_HEADER_TYPE_LEN_ERR).await?;
        return Ok(None);
    };
    let refuse =
        refuse.or((pack.connect_cnt > MAX_CONNECT_COUNT).then_some(codes::SYS_EXCEED_CONNECT_CNT));
    if let Some(code) = refuse {
        version(connection, code).await?;
        return Ok(None);
    }
    if pack.option.contains("request_server_negotiation") {
        let policy = CsNeg {
            status: 1,
            result: "CS_NEG_REFUSE".to_owned(),
        };
        let policy = policy.to_bytes(Packing::STARTUP)?;
        connection.send(kind::CS_NEG, 0, &policy, &[], &[]).await?;
        let Some(answer) = connection.receive(login).await? else {
            return Ok(None);
        };
        let choice: Option<CsNeg> =
            startup(&answer.message).filter(|_| answer.kind == kind::CS_NEG);
        if choice.is_none_or(|c| c.status != 1 || c.result.contains("CS_NEG_USE_SSL")) {
            version(connection, codes::SERVER_NEGOTIATION_ERROR).await?;
            return Ok(None);
        }
    }
    version(connection, 0).await?;
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
        access_time: release.data_obj_info_has_access_time(),
    };
    Ok(Some(Session::new(
        Arc::clone(shared),
        packing,
        Names::of(pack),
    )))
}

async fn version<S>(connection: &mut Connection<S>, status: i32) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let version = Version {
        status,
        rel_version: RELEASE.to_owned(),
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
async fn converse<S>(
    connection: &mut Connection<S>,
    session: &mut Session,
    login_deadline: Instant,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = session.zone.limits.clone();
    let stop = session.zone.stop.clone();
    let mut logged_in = false;
    loop {
        let idle = if logged_in {
            limits.idle
        } else {
            login_deadline.saturating_duration_since(Instant::now())
        };
        let received = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            received = connection.receive(idle.max(Duration::from_millis(1))) => received?,
        };
        let Some(frame) = received else { return Ok(()) };
        if frame.kind != kind::API_REQ {
            // RODS_DISCONNECT, or a type that real servers end the connection for as well.
            return Ok(());
        }
        let reply = answer(session, frame).await;
        send(connection, session.packing, reply).await?;
        if !logged_in && session.is_logged_in() {
            logged_in = true;
            connection.set_limits(Limits {
                bytes: limits.stream,
                ..Limits::SESSION
            });
        }
    }
}

async fn answer(session: &mut Session, frame: Frame) -> Reply {
    let request = Request {
        packing: session.packing,
        message: frame.message,
        bytes: frame.bytes,
    };
    match api::call(session, frame.int_info, request).await {
        Ok(reply) => reply,
        Err(failure) => {
            tracing::debug!(api = frame.int_info, code = failure.code, message = %failure.message, "refused");
            failure.into_reply()
        }
    }
}

async fn send<S>(
    connection: &mut Connection<S>,
    packing: Packing,
    reply: Reply,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
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
