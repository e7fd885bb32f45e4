//! Servers that are broken, slow, gone, or no iRODS servers at all: the client ends with an error within its time-outs, never
//! panics, and never uses such a connection again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::future::Future;
use std::time::Duration;

use irods_client::collection::RemoveCollection;
use irods_client::error::{Delivery, LossCause, Violation};
use irods_client::protocol::header::{Header, kind};
use irods_client::protocol::message::{GenQueryOut, SqlResult};
use irods_client::protocol::{Packing, Pi, api, codes, frame};
use irods_client::query::Query;
use irods_client::transfer::Put;
use irods_client::{
    ConnectOptions, Connection, Environment, Error, Pool, PoolOptions, Scope, Timeouts,
};
use support::{Peer, after_login, server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

fn hasty() -> ConnectOptions {
    let wait = Duration::from_millis(300);
    ConnectOptions {
        timeouts: Timeouts {
            connect: wait,
            reply: wait,
            work: wait,
            idle: wait,
        },
        ..ConnectOptions::default()
    }
}

/// The outcome, which has to come whatever the peer does.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("an end within the time-outs")
}

async fn open(environment: &Environment) -> Connection {
    soon(Connection::open(environment, &ConnectOptions { ..hasty() }))
        .await
        .unwrap()
}

async fn refused(environment: &Environment) -> Error {
    let error = soon(Connection::open(environment, &hasty()))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    error
}

fn head(length: i32) -> Vec<u8> {
    let header = Header {
        kind: kind::API_REPLY.to_owned(),
        message_len: length,
        ..Header::default()
    };
    frame::encode_header(&header).unwrap()
}

/// Bytes that are no message of a server, and what they are taken for.
fn nonsense() -> Vec<Vec<u8>> {
    vec![
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\xff\xff\xff\xffxxxx".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"\0\0\0\x08notaxml!".to_vec(),
        head(i32::MAX),
        head(-1),
        frame::encode("RODS_SURPRISE", 0, b"", b"", 0).unwrap(),
        frame::encode(kind::VERSION, 0, b"<Version_PI><status>x</status>", b"", 0).unwrap(),
        frame::encode(kind::VERSION, 0, b"", b"", 0).unwrap(),
    ]
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = refused(&Environment::new("127.0.0.1", port, "u", "z", "s3cret")).await;
    assert_eq!(error.scope(), Scope::ConnectionLost);
    assert!(!error.may_have_happened());
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{port}: connecting"))
    );
}

#[tokio::test]
async fn silence_at_each_step_of_connecting() {
    let silent = server(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    let error = refused(&silent.await).await;
    assert!(matches!(&error, Error::Lost(l) if matches!(l.cause, LossCause::TimedOut { .. })));

    let after_version = server(|stream| async move {
        let mut peer = Peer::new(stream);
        peer.frame().await.unwrap();
        let version = "<Version_PI><status>0</status><relVersion>rods5.0.2</relVersion><apiVersion>d\
                       </apiVersion><reconnPort>0</reconnPort><reconnAddr></reconnAddr><cookie>0</cookie></Version_PI>";
        peer.reply_as(kind::VERSION, 0, version.as_bytes()).await;
        std::future::pending::<()>().await;
    });
    let error = refused(&after_version.await).await;
    assert!(matches!(&error, Error::Lost(l) if matches!(l.cause, LossCause::TimedOut { .. })));
    assert!(error.to_string().contains("AUTHENTICATION"));
}

#[tokio::test]
async fn nonsense_instead_of_a_version() {
    for bytes in nonsense() {
        let sent = bytes.clone();
        let environment = server(move |mut stream| {
            let bytes = sent.clone();
            async move {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
        });
        let error = refused(&environment.await).await;
        assert!(
            matches!(error, Error::Protocol { .. }),
            "{bytes:?}: {error}"
        );
        assert_eq!(error.scope(), Scope::Worker);
    }
}

#[tokio::test]
async fn a_server_that_wants_tls() {
    let environment = server(|stream| async move {
        let mut peer = Peer::new(stream);
        peer.frame().await.unwrap();
        let version = "<Version_PI><status>-130000</status><relVersion>rods4.3.4</relVersion><apiVersion>d\
                       </apiVersion><reconnPort>0</reconnPort><reconnAddr></reconnAddr><cookie>0</cookie></Version_PI>";
        peer.reply_as(kind::VERSION, 0, version.as_bytes()).await;
    });
    let error = refused(&environment.await).await;
    assert!(matches!(error, Error::Negotiation { .. }));
    assert!(error.to_string().contains("TLS"));
}

#[tokio::test]
async fn nonsense_instead_of_a_reply() {
    for bytes in nonsense() {
        let sent = bytes.clone();
        let environment = after_login(move |mut peer: Peer| {
            let bytes = sent.clone();
            async move {
                let _ = peer.frame().await;
                peer.write(&bytes).await;
                std::future::pending::<()>().await;
            }
        });
        let mut c = open(&environment.await).await;
        let error = soon(c.stat("/z/a")).await.unwrap_err();
        assert!(
            matches!(error, Error::Protocol { .. }),
            "{bytes:?}: {error}"
        );
        assert!(!c.is_usable());
        let again = soon(c.stat("/z/a")).await.unwrap_err();
        assert!(matches!(&again, Error::Lost(l) if matches!(l.cause, LossCause::Abandoned)));
        assert!(!again.may_have_happened());
    }
}

#[tokio::test]
async fn silence_a_trickle_and_an_end_instead_of_a_reply() {
    let silent = after_login(|mut peer: Peer| async move {
        let _ = peer.frame().await;
        std::future::pending::<()>().await;
    });
    let mut c = open(&silent.await).await;
    let error = soon(c.stat("/z/a")).await.unwrap_err();
    assert!(error.is_connection_loss() && error.may_have_happened());

    let trickle = after_login(|mut peer: Peer| async move {
        let _ = peer.frame().await;
        for byte in head(1_000_000).iter().chain(std::iter::repeat(&b' ')) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if peer.write(&[*byte]).await.is_none() {
                return;
            }
        }
    });
    let mut c = open(&trickle.await).await;
    let error = soon(c.stat("/z/a")).await.unwrap_err();
    assert!(matches!(&error, Error::Lost(l) if matches!(l.cause, LossCause::TimedOut { .. })));

    for cut in [0, 3, 60, 200] {
        let ends = after_login(move |mut peer: Peer| async move {
            let _ = peer.frame().await;
            let mut bytes = head(1000);
            bytes.resize(400, b' ');
            peer.write(&bytes[..cut]).await;
        });
        let mut c = open(&ends.await).await;
        let error = soon(c.stat("/z/a")).await.unwrap_err();
        assert!(
            error.is_connection_loss() && error.may_have_happened(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn replies_whose_content_makes_no_sense() {
    let ragged = GenQueryOut {
        row_cnt: 2,
        columns: vec![SqlResult {
            attri_inx: 501,
            reslen: 50,
            values: Vec::new(),
        }],
        ..GenQueryOut::default()
    };
    let ragged = ragged.to_bytes(Packing::XML).unwrap();
    let endless = b"<GenQueryOut_PI><rowCnt>2000000000</rowCnt><attriCnt>50</attriCnt><continueInx>1</continueInx>";
    for body in [ragged, endless.to_vec(), b"<GenQueryOut_PI>".to_vec()] {
        let environment = after_login(move |mut peer: Peer| {
            let body = body.clone();
            async move {
                let _ = peer.frame().await;
                peer.reply_as(kind::API_REPLY, 0, &body).await;
            }
        });
        let mut c = open(&environment.await).await;
        let query = Query::select(&[501]);
        let error = soon(c.query(query).next()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Protocol { what, .. } if !matches!(what, Violation::Frame(_))),
            "{error}"
        );
    }

    let unasked_ports = after_login(|mut peer: Peer| async move {
        let _ = peer.frame().await;
        let out = b"<PortalOprOut_PI><status>0</status><l1descInx>3</l1descInx><numThreads>4</numThreads><chksum>\
                    </chksum><PortList_PI><portNum>1</portNum><cookie>1</cookie><sock>1</sock><windowSize>0\
                    </windowSize><hostAddr>elsewhere</hostAddr></PortList_PI></PortalOprOut_PI>";
        peer.reply_as(kind::API_REPLY, 0, out).await;
        std::future::pending::<()>().await;
    });
    let mut c = open(&unasked_ports.await).await;
    let streamed = Put {
        single_message_max: 0,
        ..Put::default()
    };
    let put = c.put("/z/a", &b"abc"[..], 3, &streamed);
    assert!(matches!(
        soon(put).await.unwrap_err(),
        Error::Protocol { .. }
    ));
}

#[tokio::test]
async fn a_server_that_takes_no_bytes() {
    let environment = after_login(|peer: Peer| async move {
        let _open = peer;
        std::future::pending::<()>().await;
    });
    let mut c = open(&environment.await).await;
    let bytes = vec![0; 64 * 1024 * 1024];
    let error = soon(c.put_bytes("/z/a", &bytes, &Put::default()))
        .await
        .unwrap_err();
    assert!(
        error.is_connection_loss() && error.may_have_happened(),
        "{error}"
    );
}

#[tokio::test]
async fn progress_without_a_structure_is_endured() {
    let environment = after_login(|mut peer: Peer| async move {
        let _ = peer.frame().await;
        peer.reply_as(kind::API_REPLY, 99_999_996, b"").await;
        assert_eq!(peer.raw(4).await.unwrap(), 99_999_997_i32.to_be_bytes());
        peer.reply_as(kind::API_REPLY, 0, b"").await;
    });
    let mut c = open(&environment.await).await;
    let silent = &mut |_| {};
    let removal = c.remove_collection("/z/a", RemoveCollection::Force, silent);
    soon(removal).await.unwrap();
}

#[tokio::test]
async fn a_request_given_up_in_the_middle_spoils_its_connection_and_the_pool_makes_another() {
    let environment = after_login(|mut peer: Peer| async move {
        // The first request of each connection is never answered, the goodbye never comes.
        let _ = peer.frame().await;
        std::future::pending::<()>().await;
    });
    let options = ConnectOptions {
        timeouts: Timeouts::default(),
        ..ConnectOptions::default()
    };
    let pool = Pool::new(environment.await, options, PoolOptions::default());
    let mut lent = soon(pool.get()).await.unwrap();
    {
        let mut request = Box::pin(lent.stat("/z/a"));
        let waker = std::task::Waker::noop();
        let polled = request
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    assert!(!lent.is_usable());
    let error = soon(lent.stat("/z/b")).await.unwrap_err();
    assert!(matches!(&error, Error::Lost(l) if l.delivery == Delivery::None));
    drop(lent);
    assert_eq!(pool.idle(), 0);
    assert!(soon(pool.get()).await.unwrap().is_usable());
}

#[tokio::test]
async fn the_pool_is_bounded_reuses_expires_and_notices_closed_connections() {
    let (closing, _) = tokio::sync::broadcast::channel::<()>(1);
    let hear = closing.clone();
    let environment = after_login(move |mut peer: Peer| {
        let mut close = hear.subscribe();
        async move {
            loop {
                tokio::select! {
                    frame = peer.frame() => match frame {
                        Some(f) if f.kind == kind::API_REQ => {
                            peer.reply_as(kind::API_REPLY, codes::USER_FILE_DOES_NOT_EXIST, b"").await;
                        }
                        _ => return,
                    },
                    _ = close.recv() => return,
                }
            }
        }
    });
    let options = PoolOptions {
        size: 2,
        idle: Duration::from_secs(600),
    };
    let pool = Pool::new(environment.await, hasty(), options);
    let mut a = soon(pool.get()).await.unwrap();
    let b = soon(pool.get()).await.unwrap();
    assert_eq!(soon(a.stat("/z/a")).await.unwrap(), None);
    let third = tokio::time::timeout(Duration::from_millis(50), pool.get()).await;
    assert!(third.is_err(), "two are the most");
    drop(b);
    drop(soon(pool.get()).await.unwrap());
    drop(a);
    assert_eq!(pool.idle(), 2);
    assert_eq!(pool.counts().of(api::AUTHENTICATION), 4, "two logins");
    assert_eq!(pool.counts().requests(), 1);

    closing.send(()).unwrap();
    // The server closes both; until that has arrived a request may still fail, never hang.
    let mut replaced = soon(async {
        loop {
            let mut c = pool.get().await.unwrap();
            if c.stat("/z/a").await.is_ok() {
                return c;
            }
        }
    })
    .await;
    assert_eq!(soon(replaced.stat("/z/a")).await.unwrap(), None);
    drop(replaced);

    let short = PoolOptions {
        size: 2,
        idle: Duration::from_millis(20),
    };
    let pool = Pool::new(pool.environment().clone(), hasty(), short);
    drop(soon(pool.get()).await.unwrap());
    soon(async {
        while pool.idle() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
