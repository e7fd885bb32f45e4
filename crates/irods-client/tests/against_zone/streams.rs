//! One file over several connections.

use std::io::{Cursor, Read};

use irods_client::Error;
use irods_client::collection::ReplicaStatus;
use irods_client::error::Left;
use irods_client::protocol::api;
use irods_client::transfer::{PARALLEL_FROM, Put, PutChecksum};

use crate::{Broken, TestZone, at, at_rest, bytes, content};

const SIZE: u64 = PARALLEL_FROM + 123;

fn how(overwrite: bool) -> Put {
    Put {
        overwrite,
        checksum: PutChecksum::Verify,
        ..Put::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bytes_arrive_where_they_belong() {
    let zone = TestZone::start().await;
    let sent = bytes(SIZE);
    for (size, streams, used) in [(3, 3, 3), (2, 9, 2), (1, 4, 1)] {
        let pool = zone.pool(size);
        let object = at(&format!("o{size}{streams}"));
        let mut c = pool.get().await.unwrap();
        for overwrite in [false, true] {
            let source = Cursor::new(sent.clone());
            let stored = c
                .put_in_streams(&object, source, SIZE, &how(overwrite), streams)
                .await
                .unwrap();
            let replicas = c.replicas(&object).await.unwrap();
            assert_eq!(replicas.len(), 1);
            assert_eq!(replicas[0].status, ReplicaStatus::Good);
            assert_eq!(replicas[0].size, SIZE);
            assert_eq!(stored.checksum.as_ref(), Some(&replicas[0].checksum));
        }
        assert!(content(&mut c, &object).await == sent);
        // Helpers that come late may find nothing left to do, but there are never more.
        let joined = pool.counts().of(api::REPLICA_CLOSE);
        assert!(joined <= 2 * (used - 1), "{joined}");
        drop(c);
        assert!(pool.idle() <= used as usize);
        assert_eq!(pool.idle() > 1, used > 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_ones_take_one_connection_and_taken_names_stay() {
    let zone = TestZone::start().await;
    let pool = zone.pool(4);
    let mut c = pool.get().await.unwrap();
    let small = bytes(PARALLEL_FROM - 1);
    c.put_in_streams(
        &at("o"),
        Cursor::new(small),
        PARALLEL_FROM - 1,
        &how(false),
        4,
    )
    .await
    .unwrap();
    assert_eq!(pool.counts().of(api::GET_FILE_DESCRIPTOR_INFO), 0);
    c.put_in_streams(&at("o"), Cursor::new(b"new"), 3, &how(true), 4)
        .await
        .unwrap();
    let source = Cursor::new(bytes(SIZE));
    let taken = c
        .put_in_streams(&at("o"), source, SIZE, &how(false), 4)
        .await
        .unwrap_err();
    assert!(
        taken.already_exists() && matches!(taken, Error::Server(_)),
        "{taken}"
    );
    assert_eq!(content(&mut c, &at("o")).await, b"new");
    drop(c);
    assert_eq!(pool.idle(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_leaves_nothing_good() {
    let zone = TestZone::start().await;
    let pool = zone.pool(4);
    let mut c = pool.get().await.unwrap();
    let sources: [(&str, Box<dyn Read + Send>, u64); 3] = [
        (
            "broken",
            Box::new(Cursor::new(bytes(SIZE - 9)).chain(Broken)),
            SIZE,
        ),
        ("shorter", Box::new(Cursor::new(bytes(SIZE - 9))), SIZE),
        ("longer", Box::new(Cursor::new(bytes(SIZE + 9))), SIZE),
    ];
    for (name, source, size) in sources {
        let error = c
            .put_in_streams(&at(name), source, size, &how(false), 4)
            .await
            .unwrap_err();
        let Error::Transfer { left, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(left, Left::Nothing, "{name}");
        assert_eq!(c.stat(&at(name)).await.unwrap(), None);
        assert!(c.is_usable());
    }
    // Nothing readable overwrites nothing.
    c.put_bytes(&at("o"), b"old", &Put::default())
        .await
        .unwrap();
    let error = c
        .put_in_streams(&at("o"), Broken, SIZE, &how(true), 4)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Local { .. }), "{error}");
    assert_eq!(content(&mut c, &at("o")).await, b"old");
    // An overwrite that fails in the middle is stale.
    let source = Cursor::new(bytes(SIZE - 9));
    let error = c
        .put_in_streams(&at("o"), source, SIZE, &how(true), 4)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transfer {
                left: Left::Incomplete,
                ..
            }
        ),
        "{error}"
    );
    drop(c);
    let mut c = pool.get().await.unwrap();
    assert_eq!(at_rest(&mut c, &at("o")).await, ReplicaStatus::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_up_in_the_middle_nothing_good_is_left() {
    let zone = TestZone::start().await;
    let pool = zone.pool(4);
    let mut c = pool.get().await.unwrap();
    {
        let source = Endless;
        let put_how = how(false);
        let object = at("o");
        let put = c.put_in_streams(&object, source, 1 << 40, &put_how, 4);
        tokio::pin!(put);
        let counts = pool.counts().clone();
        let enough = async {
            while counts.of(api::DATA_OBJ_WRITE) < 12 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            outcome = &mut put => panic!("{outcome:?}"),
            () = enough => {}
        }
    }
    assert!(!c.is_usable());
    drop(c);
    let mut c = pool.get().await.unwrap();
    assert_eq!(at_rest(&mut c, &at("o")).await, ReplicaStatus::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_who_wait_get_a_connection() {
    let zone = TestZone::start().await;
    let pool = zone.pool(3);
    let mut c = pool.get().await.unwrap();
    let counts = pool.counts().clone();
    let other = pool.clone();
    // All three write, until somebody else wants one.
    let source = Endless;
    let put_how = how(false);
    let object = at("o");
    let put = c.put_in_streams(&object, source, 1 << 40, &put_how, 3);
    let asks = async {
        while counts.of(api::DATA_OBJ_LSEEK) < 3 || other.idle() > 0 {
            tokio::task::yield_now().await;
        }
        let mut c = other.get().await.unwrap();
        c.stat(&at("x")).await.unwrap();
    };
    tokio::select! {
        outcome = put => panic!("{outcome:?}"),
        () = asks => {}
    }
}

/// A source without an end.
struct Endless;

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(7);
        Ok(buffer.len())
    }
}
