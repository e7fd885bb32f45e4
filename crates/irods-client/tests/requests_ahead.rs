//! Requests that are sent before the one before is answered, blocks of a file and registrations: what becomes of them if that fails, and of a
//! connection if nobody waits for the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use irods_client::error::Left;
use irods_client::protocol::header::kind;
use irods_client::protocol::message::{FileLseekOut, PortalOprOut};
use irods_client::protocol::{Packing, Pi, api, codes};
use irods_client::register::Register;
use irods_client::transfer::Put;
use irods_client::{Error, NewObject, Pool, PoolOptions};
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

/// A server that answers no call for a new object before the last of them has come, and then as it is told; it hangs up where it is told
/// nothing.
async fn registrar(answers: &'static [Option<i32>]) -> Pool {
    let serve = move |mut peer: Peer| async move {
        for _ in answers {
            let frame = peer.frame().await?;
            assert!([api::PHY_PATH_REG, api::DATA_OBJ_PUT].contains(&frame.int_info));
        }
        for code in answers {
            peer.reply_as(kind::API_REPLY, (*code)?, &[]).await?;
        }
        std::future::pending::<Option<()>>().await
    };
    let environment = after_login(serve).await;
    Pool::new(environment, quick(), PoolOptions::default())
}

async fn register(pool: &Pool, objects: &[&str]) -> Vec<Result<(), Error>> {
    let what = Register {
        file: "/f".into(),
        size: Some(1),
        ..Register::default()
    };
    let all: Vec<_> = objects
        .iter()
        .map(|object| NewObject::Registered {
            object,
            what: &what,
        })
        .collect();
    pool.get()
        .await
        .unwrap()
        .create_all(&all, &mut |_| {})
        .await
}

#[tokio::test]
async fn registrations_are_sent_together_and_each_has_its_own_answer() {
    const TAKEN: Option<i32> = Some(codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME);
    let pool = registrar(&[Some(0), TAKEN, Some(0)]).await;
    // A name that cannot be sent keeps no other from going out.
    let results = register(&pool, &["/z/a", "/z/b", "no/path", "/z/c"]).await;
    let told: Vec<_> = results.iter().map(|result| result.as_ref().err()).collect();
    assert!(told[0].is_none() && told[3].is_none(), "{told:?}");
    assert!(told[1].unwrap().already_exists(), "{told:?}");
    assert!(matches!(told[2], Some(Error::Input { .. })), "{told:?}");
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn registrations_behind_a_lost_answer_may_have_been_made() {
    let pool = registrar(&[Some(0), None, Some(0)]).await;
    let results = register(&pool, &["/z/a", "/z/b", "/z/c"]).await;
    let told: Vec<_> = results.iter().map(|result| result.as_ref().err()).collect();
    assert!(told.len() == 3 && told[0].is_none(), "{told:?}");
    for lost in &told[1..] {
        let lost = lost.unwrap();
        assert!(
            lost.is_connection_loss() && lost.may_have_happened(),
            "{lost}"
        );
    }
    assert_eq!(pool.idle(), 0);
    assert!(register(&pool, &[]).await.is_empty());
}

#[tokio::test]
async fn puts_behind_a_lost_answer_may_have_been_made_and_leave_what_nobody_knows() {
    let pool = registrar(&[Some(0), None, Some(0)]).await;
    let how = Put::default();
    let put = |object| NewObject::Put {
        object,
        bytes: b"bytes",
        how: &how,
    };
    let all = ["/z/a", "/z/b", "/z/c"].map(put);
    let results = pool
        .get()
        .await
        .unwrap()
        .create_all(&all, &mut |_| {})
        .await;
    assert!(results.len() == 3 && results[0].is_ok(), "{results:?}");
    for lost in &results[1..] {
        let lost = lost.as_ref().unwrap_err();
        assert!(lost.may_have_happened(), "{lost}");
        let unknown = matches!(
            lost,
            Error::Transfer {
                left: Left::Unknown,
                ..
            }
        );
        assert!(unknown, "{lost}");
    }
    assert_eq!(pool.idle(), 0);
}
