//! Blocks that are sent before the write of the one before is answered: what becomes of them if that fails, and of a connection if
//! nobody waits for the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use irods_client::protocol::header::kind;
use irods_client::protocol::message::{FileLseekOut, PortalOprOut};
use irods_client::protocol::{Packing, Pi, api, codes};
use irods_client::transfer::Put;
use irods_client::{Error, Pool, PoolOptions};
use support::{Peer, after_login, quick, until};

/// What the client writes at once.
const BLOCK: u64 = 4 << 20;

/// API number and length of the byte stream of each request.
type Seen = Arc<Mutex<Vec<(i32, usize)>>>;

/// A server that answers the first write when the second has come, which would be never if the client waited: with `first`, and if there
/// is no `second` the second not at all. To all else it says yes.
async fn server(first: i32, second: Option<i32>) -> (Pool, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let serve = move |mut peer: Peer| {
        let log = log.clone();
        async move {
            let mut writes = 0;
            loop {
                let frame = peer.frame().await?;
                log.lock()
                    .unwrap()
                    .push((frame.int_info, frame.bytes.len()));
                let written = i32::try_from(frame.bytes.len()).unwrap();
                let packing = Packing::STARTUP;
                let (code, answer) = match frame.int_info {
                    api::DATA_OBJ_PUT => {
                        let out = PortalOprOut {
                            l1desc_inx: 3,
                            ..PortalOprOut::default()
                        };
                        (0, out.to_bytes(packing).unwrap())
                    }
                    api::DATA_OBJ_LSEEK => {
                        (0, FileLseekOut { offset: 0 }.to_bytes(packing).unwrap())
                    }
                    api::DATA_OBJ_WRITE => {
                        writes += 1;
                        match writes {
                            1 => continue,
                            2 => {
                                peer.reply_as(kind::API_REPLY, first, &[]).await?;
                                let Some(second) = second else {
                                    return std::future::pending().await;
                                };
                                (second, Vec::new())
                            }
                            _ => (written, Vec::new()),
                        }
                    }
                    _ => (0, Vec::new()),
                };
                peer.reply_as(kind::API_REPLY, code, &answer).await?;
            }
            #[allow(unreachable_code)]
            Some(())
        }
    };
    let environment = after_login(serve).await;
    let pool = Pool::new(environment, quick(), PoolOptions::default());
    (pool, seen)
}

/// Three blocks.
async fn put(pool: &Pool) -> Result<(), Error> {
    let source = std::io::repeat(7).take(3 * BLOCK);
    let how = Put {
        single_message_max: 0,
        ..Put::default()
    };
    let mut connection = pool.get().await?;
    connection
        .put("/z/o", source, 3 * BLOCK, &how)
        .await
        .map(drop)
}

const FULL: i32 = BLOCK as i32;

#[tokio::test]
async fn a_block_is_sent_while_the_one_before_is_written() {
    let (pool, seen) = server(FULL, Some(FULL)).await;
    put(&pool).await.unwrap();
    let block = (api::DATA_OBJ_WRITE, BLOCK as usize);
    let end = (api::OPR_COMPLETE, 0);
    assert_eq!(
        *seen.lock().unwrap(),
        [(api::DATA_OBJ_PUT, 0), block, block, block, end]
    );
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn what_fails_is_not_made_good_by_the_block_behind_it() {
    for (first, second) in [
        (codes::UNIX_FILE_WRITE_ERR - 28, FULL),
        (FULL - 1, FULL),
        (FULL, codes::UNIX_FILE_WRITE_ERR - 28),
    ] {
        let (pool, seen) = server(first, Some(second)).await;
        let error = put(&pool).await.unwrap_err();
        assert!(matches!(error, Error::Transfer { .. }), "{error}");
        let seen = seen.lock().unwrap().clone();
        let end = seen.iter().position(|(api, _)| *api == api::OPR_COMPLETE);
        let end = end.expect("it is closed");
        // Not with the size that was announced: a byte stands behind what there was to be.
        let before = &seen[end - 2..end];
        let expected = [(api::DATA_OBJ_LSEEK, 0), (api::DATA_OBJ_WRITE, 1)];
        assert_eq!(before, expected, "{first} {second}: {seen:?}");
        let gone = seen[end..]
            .iter()
            .any(|(api, _)| *api == api::DATA_OBJ_UNLINK);
        assert!(gone, "{first} {second}: {seen:?}");
        assert_eq!(pool.idle(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_is_owed_answers_is_never_lent_again() {
    let (pool, seen) = server(FULL, None).await;
    let theirs = pool.clone();
    let putting = tokio::spawn(async move { put(&theirs).await });
    let writes = || {
        let seen = seen.lock().unwrap();
        seen.iter()
            .filter(|(api, _)| *api == api::DATA_OBJ_WRITE)
            .count()
    };
    until(|| writes() == 2).await;
    putting.abort();
    assert!(putting.await.unwrap_err().is_cancelled());
    assert_eq!(pool.idle(), 0);
    assert!(pool.get().await.unwrap().is_usable());
}
