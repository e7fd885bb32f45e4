//! Over connections that break at any point: what is good is complete.

use std::io::Cursor;
use std::time::{Duration, Instant};

use irods_client::Pool;
use irods_client::collection::{Replica, ReplicaStatus};
use irods_client::data_object::ChecksumMode;
use irods_client::error::Left;
use irods_client::protocol::version::Version;
use irods_client::transfer::{PARALLEL_FROM, Put, PutChecksum};
use irods_client::{Error, Pooled};
use irods_zone::Harsh;

use crate::{TestZone, at, bytes};

const SIZE: u64 = PARALLEL_FROM + 77;
const ROUNDS: u64 = 10;

/// A connection, in spite of everything.
async fn connected(pool: &Pool) -> Pooled {
    loop {
        if let Ok(c) = pool.get().await {
            return c;
        }
    }
}

/// The replicas of an object, once nobody writes it any more or after a while, in spite of everything.
async fn at_rest(pool: &Pool, object: &str) -> Vec<Replica> {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let Ok(replicas) = connected(pool).await.replicas(object).await else {
            continue;
        };
        let in_flight = |r: &Replica| r.status == ReplicaStatus::Intermediate;
        if !replicas.iter().any(in_flight) || Instant::now() > patience {
            return replicas;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_object_is_a_whole_one() {
    let zone = TestZone::with(|options| {
        options.harsh = Some(Harsh {
            seed: 5,
            release: Version::new(5, 0, 2),
            delay: Duration::ZERO,
            locale_order: false,
            strict: false,
            locked: 0,
            lost: 25,
            cut: 25,
        });
    })
    .await;
    let pool = zone.pool(3);
    let sent = bytes(SIZE);
    let mut whole = None;
    let mut outcomes = [0; 2];
    for round in 0..ROUNDS {
        let object = at(&format!("o{round}"));
        let how = Put {
            checksum: PutChecksum::Verify,
            ..Put::default()
        };
        let mut c = connected(&pool).await;
        let source = Cursor::new(sent.clone());
        let outcome = c.put_in_streams(&object, source, SIZE, &how, 3).await;
        drop(c);
        let replicas = at_rest(&pool, &object).await;
        let good = replicas.iter().find(|r| r.status == ReplicaStatus::Good);
        outcomes[usize::from(outcome.is_ok())] += 1;
        match &outcome {
            Ok(stored) => {
                whole = whole.or(stored.checksum.clone());
                assert!(good.is_some());
            }
            Err(Error::Transfer { left, .. }) => match left {
                Left::Nothing => assert!(replicas.is_empty(), "{replicas:?}"),
                Left::Incomplete => assert!(good.is_none(), "{replicas:?}"),
                Left::Unknown => {}
            },
            Err(_) => {}
        }
        // Also where the last answer was lost, and nobody knows.
        if let Some(good) = good {
            let found = loop {
                let mut c = connected(&pool).await;
                if let Ok(found) = c.checksum(&object, ChecksumMode::Recompute).await {
                    break found;
                }
            };
            let expected = whole.get_or_insert(found.clone());
            assert_eq!((good.size, &found), (SIZE, &*expected));
        }
    }
    // Otherwise nothing was tried.
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}
