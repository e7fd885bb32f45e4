//! Servers that lack calls, or take them in an older form: what they would not understand is not sent.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};

use irods_client::access::Grant;
use irods_client::metadata::{Avu, AvuChange, Entity};
use irods_client::protocol::header::kind;
use irods_client::protocol::message::{BytesBuf, IntPi, PortalOprOut};
use irods_client::protocol::{Packing, Pi, api};
use irods_client::replica::ReplicaRef;
use irods_client::transfer::{OpenHow, PARALLEL_FROM, Put};
use irods_client::{Error, Pool, PoolOptions};
use support::{Peer, after_login_to, quick};

/// API number and message of each request.
type Seen = Arc<Mutex<Vec<(i32, Vec<u8>)>>>;

/// A server of 4.2.8 that says yes to everything.
async fn server() -> (Pool, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let serve = move |mut peer: Peer| {
        let log = log.clone();
        async move {
            loop {
                let frame = peer.frame().await?;
                let (code, answer) = match frame.int_info {
                    api::ATOMIC_APPLY_METADATA_OPERATIONS => {
                        (0, BytesBuf(b"{}\0".to_vec()).to_bytes(OLD).unwrap())
                    }
                    api::DATA_OBJ_PUT => {
                        let out = PortalOprOut {
                            l1desc_inx: 3,
                            ..PortalOprOut::default()
                        };
                        (0, out.to_bytes(OLD).unwrap())
                    }
                    api::DATA_OBJ_WRITE => (i32::try_from(frame.bytes.len()).unwrap(), Vec::new()),
                    _ => (0, Vec::new()),
                };
                let seen = (frame.int_info, frame.message.to_vec());
                log.lock().unwrap().push(seen);
                peer.reply_as(kind::API_REPLY, code, &answer).await?;
            }
            #[allow(unreachable_code)]
            Some(())
        }
    };
    let environment = after_login_to("rods4.2.8", serve).await;
    (
        Pool::new(environment, quick(), PoolOptions::default()),
        seen,
    )
}

/// The XML dialect of servers before 4.2.9.
const OLD: Packing = Packing::STARTUP;

#[tokio::test]
async fn json_goes_raw_before_4_2_9() {
    let (pool, seen) = server().await;
    let mut c = pool.get().await.unwrap();
    let add = [AvuChange::Add(Avu::new("a", "it's", "u"))];
    c.apply_metadata(Entity::DataObject("/z/o"), &add, false)
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    let (number, message) = seen.last().unwrap();
    assert_eq!(*number, api::ATOMIC_APPLY_METADATA_OPERATIONS);
    let text = BytesBuf::from_bytes(OLD, message).unwrap().0;
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["entity_name"], "/z/o");
    assert_eq!(json["operations"][0]["value"], "it's");
}

#[tokio::test]
async fn what_they_lack_is_not_sent() {
    let (pool, seen) = server().await;
    let mut c = pool.get().await.unwrap();
    let which = ReplicaRef::Number(0);
    let grant = Grant::new("u", "read");
    for outcome in [
        c.touch("/z/o", None, false).await,
        c.apply_access("/z/o", &[grant], false).await,
        c.switch_user("a", "z").await,
        c.truncate("/z/o", 1, Some(&which)).await.map(drop),
        c.open_replica("/z/o", OpenHow::Read, None).await.map(drop),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("iRODS 4.2.8"), "{error}");
    }
    assert!(seen.lock().unwrap().is_empty());
    c.truncate("/z/o", 1, None).await.unwrap();
    assert_eq!(
        seen.lock().unwrap().last().unwrap().0,
        api::DATA_OBJ_TRUNCATE
    );
    assert!(c.is_usable());
}

#[tokio::test]
async fn without_tokens_it_takes_one_connection() {
    let (pool, seen) = server().await;
    let mut c = pool.get().await.unwrap();
    let source = std::io::Read::take(std::io::repeat(7), PARALLEL_FROM + 1);
    c.put_in_streams("/z/o", source, PARALLEL_FROM + 1, &Put::default(), 4)
        .await
        .unwrap();
    drop(c);
    assert_eq!(pool.idle(), 1);
    let seen = seen.lock().unwrap();
    let calls: Vec<_> = seen.iter().map(|s| s.0).collect();
    assert!(!calls.contains(&api::GET_FILE_DESCRIPTOR_INFO), "{calls:?}");
    let (number, message) = seen.last().unwrap();
    assert_eq!(*number, api::OPR_COMPLETE);
    assert_eq!(IntPi::from_bytes(OLD, message).unwrap().my_int, 3);
}

#[tokio::test]
async fn acting_for_another_takes_a_connection_of_its_own() {
    let (pool, seen) = server().await;
    drop(pool.get().await.unwrap());
    let c = pool.get_acting_for("alice", "z").await.unwrap();
    assert_eq!(c.identity().user, "alice");
    drop(c);
    assert_eq!(pool.idle(), 1, "it took the other one's place");
    assert_eq!(pool.counts().of(api::AUTH_RESPONSE), 2);
    assert!(seen.lock().unwrap().is_empty());
}
