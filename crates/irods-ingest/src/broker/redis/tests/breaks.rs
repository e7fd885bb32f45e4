//! Connections that break and servers that die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A path to a server on which the answers of a connection end after some bytes of them, and the connection with them.
struct Proxy {
    address: Address,
    cuts: Arc<AtomicUsize>,
}

/// `budget` says how many bytes of answers the connection of this number lets through.
async fn proxy(server: &Server, budget: impl Fn(usize) -> usize + Send + 'static) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = server.port();
    let cuts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&cuts);
    tokio::spawn(async move {
        for number in 0.. {
            let (client, _) = listener.accept().await.unwrap();
            let redis = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_redis, mut to_redis) = redis.into_split();
            let mut left = budget(number);
            let counter = Arc::clone(&counter);
            let up = tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from_client, &mut to_redis).await;
            });
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(count) = from_redis.read(&mut buffer).await {
                    let passed = count.min(left);
                    left -= passed;
                    if count == 0 || to_client.write_all(&buffer[..passed]).await.is_err() {
                        break;
                    }
                    if passed < count {
                        counter.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    Proxy {
        address: Address::parse(&format!("redis://127.0.0.1:{port}")).unwrap(),
        cuts,
    }
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_made_again_and_nothing_is_done_twice() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    // How much of an answer arrives differs from connection to connection, so that every call is met at every place.
    let proxy = proxy(&server, |number| match number {
        0 => 20_000,
        _ => 500 + (number * 37) % 900,
    })
    .await;
    let broker = RedisBroker::open(proxy.address.clone()).await.unwrap();
    for round in 0..40 {
        a_job_over_broken_connections(&broker, &format!("job {round}")).await;
    }
    let cuts = proxy.cuts.load(Ordering::SeqCst);
    assert!(cuts > 40, "{cuts} connections were cut");
    assert_eq!(insist!(broker.jobs()), []);
}

/// What was answered before a kill is there after it.
#[tokio::test]
async fn a_killed_server_with_appendfsync_always_loses_nothing_that_was_answered() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut server) = Server::start(&settings) else {
        return;
    };
    let broker = Arc::new(open(&server).await);
    let id = broker.create_job(job("a")).await.unwrap().job().id;
    let first = broker.lease(&request(1)).await.unwrap().remove(0);
    let children = vec![task("child"); 1000];
    broker
        .spawn(first.lease, children, vec![1], vec![])
        .await
        .unwrap();
    broker.complete(first.lease, counted()).await.unwrap();
    let mut acknowledged = 1;
    while acknowledged < 1001 {
        let mut ends = Vec::new();
        for leased in insist!(broker.lease(&request(50))) {
            let broker = Arc::clone(&broker);
            ends.push(tokio::spawn(async move {
                (leased.lease, broker.complete(leased.lease, counted()).await)
            }));
        }
        // In the middle of the answers.
        let half = ends.split_off(ends.len() / 2);
        let mut unknown = Vec::new();
        for end in ends {
            let (lease, result) = end.await.unwrap();
            assert_eq!(result, Ok(()), "{lease:?}");
            acknowledged += 1;
        }
        let killed = tokio::task::spawn_blocking(move || {
            server.kill();
            server
        });
        for end in half {
            match end.await.unwrap() {
                (_, Ok(())) => acknowledged += 1,
                (lease, Err(error)) => {
                    assert!(error.is_unavailable(), "{error:?}");
                    unknown.push(lease);
                }
            }
        }
        server = killed.await.unwrap();
        server.restart();
        let totals = insist!(broker.job(id)).totals;
        assert!(
            (acknowledged..=acknowledged + unknown.len() as u64).contains(&totals.tasks),
            "{acknowledged} were acknowledged, {} unknown, {} are counted",
            unknown.len(),
            totals.tasks
        );
        for lease in unknown {
            insist!(broker.complete(lease, counted()));
            acknowledged += 1;
        }
    }
    let ended = broker.job(id).await.unwrap();
    assert_eq!(
        (ended.state, ended.totals.tasks),
        (JobState::Finished, 1001)
    );
}

/// With appendfsync everysec the machine may lose the end of what Redis wrote, at any byte. Here it loses some at each kill; jobs
/// go on from there, and the totals are those of every task once.
#[tokio::test]
async fn a_server_that_lost_its_last_moments_goes_on_from_an_earlier_state() {
    let settings = ["--appendonly", "yes", "--appendfsync", "everysec"];
    let Some(mut server) = Server::start(&settings) else {
        return;
    };
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let opened = RedisBroker::open_at(address(&server, ""), Arc::clone(&clock)).await;
    let broker = opened.unwrap();
    let id = broker.create_job(job("a")).await.unwrap().job().id;
    let length = |server: &Server| std::fs::metadata(server.log_of_changes()).unwrap().len();
    // A job that was just queued may be lost as a whole; this is about one that was not.
    let mut safe = length(&server);
    let (mut round, mut went_back) = (0, 0);
    loop {
        for leased in insist!(broker.lease(&request(20))) {
            if leased.payload == b"first" && leased.cursor.is_empty() {
                let children = vec![task("child"); 300];
                insist!(broker.spawn(leased.lease, children.clone(), vec![1], vec![]));
            }
            insist!(broker.complete(leased.lease, counted()));
        }
        let before = insist!(broker.job(id));
        if before.state.has_ended() {
            break;
        }
        round += 1;
        if round % 3 == 0 {
            server.kill();
            let end = length(&server);
            let lost = (1 + 977 * round) % end.saturating_sub(safe).max(1);
            let log = std::fs::File::options()
                .write(true)
                .open(server.log_of_changes());
            log.unwrap().set_len(end - lost).unwrap();
            server.restart();
            let now = insist!(broker.job(id));
            let all = now.totals.tasks + now.outstanding.total();
            assert!(all == 301 || now.totals.tasks == 0, "{now:?}");
            went_back += u64::from(now.totals.tasks < before.totals.tasks);
            rewrite(&broker).await;
            safe = length(&server);
        }
        // Whoever holds something is long gone.
        clock.fetch_add(600_000, Ordering::SeqCst);
    }
    assert!(went_back > 2, "went back {went_back} times");
    let ended = broker.job(id).await.unwrap();
    assert_eq!((ended.state, ended.totals.tasks), (JobState::Finished, 301));
}

/// Has Redis write its log of changes anew, as operators are told to after such a loss: Redis (7.0.15 was tried) leaves the beginning
/// of a script in it that it did not carry out, and does carry it out when it starts the next time.
async fn rewrite(broker: &RedisBroker) {
    tell(broker, &["BGREWRITEAOF"]).await;
    loop {
        let Value::BulkString(info) = tell(broker, &["INFO", "persistence"]).await else {
            panic!()
        };
        let info = String::from_utf8(info).unwrap();
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            return;
        }
        tokio::task::yield_now().await;
    }
}
