//! What only this engine has: a server that dies, a connection that breaks, credentials, a memory that is full, neighbours.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use redis::{Cmd, Value};

use super::server::Server;
use super::*;
use crate::broker::{
    Append, Begun, Broker, Completion, Counts, Created, Failure, FailureFilter, JobFilter,
    JobState, LeaseRequest, NewJob, NewTask, Queues, Spawned, TaskClass, WorkerInfo,
};

fn task(payload: &str) -> NewTask {
    NewTask {
        class: TaskClass::Files,
        depth: 1,
        payload: payload.as_bytes().to_vec(),
        delay: None,
    }
}

fn job(name: &str) -> NewJob {
    NewJob {
        name: Some(name.to_owned()),
        spec: Vec::new(),
        identity: name.to_owned(),
        first: task("first"),
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    }
}

fn request(max: usize) -> LeaseRequest {
    LeaseRequest {
        worker: WorkerId("w".to_owned()),
        max,
        lease_for: Duration::from_secs(600),
        filter: JobFilter::default(),
    }
}

fn counted() -> Completion {
    Completion {
        counts: Counts {
            tasks: 1,
            ..Counts::default()
        },
        ..Completion::default()
    }
}

fn address(server: &Server, parameters: &str) -> Address {
    Address::parse(&server.url(parameters)).unwrap()
}

async fn open(server: &Server) -> RedisBroker {
    RedisBroker::open(address(server, "")).await.unwrap()
}

/// Says something to the server itself.
async fn tell(broker: &RedisBroker, words: &[&str]) -> Value {
    let mut command = Cmd::new();
    for word in words {
        command.arg(*word);
    }
    broker.link.command(&command).await.unwrap()
}

/// Repeats a call while there is no answer, as workers do but without waiting.
macro_rules! insist {
    ($call:expr) => {
        loop {
            match $call.await {
                Err(error) if error.is_unavailable() => tokio::task::yield_now().await,
                done => break done.unwrap(),
            }
        }
    };
}

mod breaks;

/// A job with every kind of call, over connections that break; then the totals are exact, and nothing was done twice.
async fn a_job_over_broken_connections(broker: &RedisBroker, name: &str) {
    let new = NewJob {
        pre_job: true,
        ..job(name)
    };
    let created = insist!(broker.create_job(new.clone()));
    let Created::New(created) = created else {
        panic!("the job that was made is not taken for ours")
    };
    let hook = insist!(broker.lease(&request(1))).remove(0);
    assert_eq!(insist!(broker.begin_once(hook.lease)), Begun::First);
    insist!(broker.release(hook.lease, Duration::ZERO));
    let hook = insist!(broker.lease(&request(1))).remove(0);
    assert_eq!(insist!(broker.begin_once(hook.lease)), Begun::Again);
    insist!(broker.complete(hook.lease, counted()));
    let first = insist!(broker.lease(&request(1))).remove(0);
    for batch in 0..4_u8 {
        let children = vec![task("child"); 5];
        assert_eq!(
            insist!(broker.spawn(first.lease, children.clone(), vec![batch], vec![])),
            Spawned::Queued
        );
    }
    let mut done = 2;
    insist!(broker.complete(first.lease, counted()));
    loop {
        let leased = insist!(broker.lease(&request(3)));
        if leased.is_empty() {
            break;
        }
        for leased in leased {
            assert_eq!(leased.expiries, 0, "a lost lease is given back uncounted");
            let completion = Completion {
                signatures: vec![Append {
                    key: name.as_bytes().to_vec(),
                    bytes: vec![1],
                }],
                failures: vec![Failure {
                    path: done.to_string().into_bytes(),
                    operation: String::new(),
                    code: None,
                    code_name: String::new(),
                    message: String::new(),
                    attempts: 1,
                    retry: (done == 5).then(|| task("again")),
                }],
                ..counted()
            };
            insist!(broker.complete(leased.lease, completion.clone()));
            done += 1;
        }
    }
    assert_eq!(done, 22);
    let ended = insist!(broker.job(created.id));
    assert_eq!(
        (ended.state, ended.totals.tasks, ended.failures),
        (JobState::Finished, 22, 20)
    );
    assert_eq!(insist!(broker.signatures(name.as_bytes())).len(), 20);
    let retried = insist!(broker.retry(created.id, &FailureFilter::default()));
    assert_eq!((retried.queued, retried.left), (1, 19));
    let again = insist!(broker.lease(&request(9))).remove(0);
    insist!(broker.complete(again.lease, counted()));
    insist!(broker.forget(created.id));
    assert_eq!(insist!(broker.find_job(name)), None);
}

#[tokio::test]
async fn prefixes_are_neighbours_that_see_nothing_of_each_other() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let ours = open(&server).await;
    let theirs = RedisBroker::open(address(&server, "prefix=theirs"))
        .await
        .unwrap();
    ours.create_job(job("a")).await.unwrap();
    assert_eq!(theirs.jobs().await.unwrap(), []);
    assert_eq!(theirs.lease(&request(5)).await.unwrap(), []);
    theirs.create_job(job("a")).await.unwrap();
    for broker in [&ours, &theirs] {
        let leased = broker.lease(&request(5)).await.unwrap().remove(0);
        let completion = Completion {
            signatures: vec![Append {
                key: b"k".to_vec(),
                bytes: vec![1],
            }],
            ..counted()
        };
        broker.complete(leased.lease, completion).await.unwrap();
    }
    assert_eq!(ours.clear_signatures(b"").await, Ok(1));
    assert_eq!(theirs.signatures(b"k").await.unwrap().len(), 1);
}

#[tokio::test]
async fn users_and_passwords() {
    let Some(server) = Server::start(&["--requirepass", "s3cret"]) else {
        return;
    };
    for wrong in ["", "pass=wr0ng", "user=nobody&pass=wr0ng"] {
        let error = RedisBroker::open(address(&server, wrong))
            .await
            .unwrap_err();
        assert!(matches!(error, BrokerError::Unusable { .. }), "{error:?}");
        assert!(!error.to_string().contains("wr0ng"), "{error}");
    }
    let broker = RedisBroker::open(address(&server, "pass=s3cret"))
        .await
        .unwrap();
    assert!(!format!("{broker:?}").contains("s3cret"));
    // The rights that the documentation names are enough.
    let rights = "ACL SETUSER ingest on >pw resetkeys ~{irods_sync}:* resetchannels -@all +@hash +@list +@sortedset +@connection \
        +evalsha +script|load +exists +del +unlink +time +scan +info";
    tell(&broker, &rights.split_whitespace().collect::<Vec<_>>()).await;
    let limited = RedisBroker::open(address(&server, "user=ingest&pass=pw"))
        .await
        .unwrap();
    a_job_over_broken_connections(&limited, "a").await;
    limited.clear_signatures(b"").await.unwrap();
    let elsewhere = RedisBroker::open(address(&server, "user=ingest&pass=pw&prefix=other"));
    let error = elsewhere.await.unwrap_err();
    assert!(matches!(error, BrokerError::Unusable { .. }), "{error:?}");
    // Over TCP as well.
    let url = format!("redis://ingest:pw@127.0.0.1:{}/0", server.port());
    let over_tcp = RedisBroker::open(Address::parse(&url).unwrap())
        .await
        .unwrap();
    over_tcp.create_job(job("b")).await.unwrap();
}

#[tokio::test]
async fn a_setup_that_may_lose_jobs_is_warned_of() {
    let Some(server) = Server::start(&["--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    let broker = open(&server).await;
    assert_eq!(broker.warnings().len(), 2, "{:?}", broker.warnings());
    tell(&broker, &["CONFIG", "SET", "appendonly", "yes"]).await;
    tell(
        &broker,
        &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
    )
    .await;
    assert_eq!(open(&server).await.warnings(), [""; 0]);
}

/// New work is refused, and what is in hand can be completed, which makes room.
#[tokio::test]
async fn a_full_memory_lets_the_queue_drain() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let broker = open(&server).await;
    let id = broker.create_job(job("a")).await.unwrap().job().id;
    let first = broker.lease(&request(1)).await.unwrap().remove(0);
    let children = vec![task("child"); 10];
    broker
        .spawn(first.lease, children.clone(), vec![1], vec![])
        .await
        .unwrap();
    tell(&broker, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let before = broker.job(id).await.unwrap();
    let completion = Completion {
        children: children.clone(),
        ..counted()
    };
    for error in [
        broker
            .spawn(first.lease, children, vec![2], vec![])
            .await
            .unwrap_err(),
        broker.complete(first.lease, completion).await.unwrap_err(),
        broker.create_job(job("b")).await.unwrap_err(),
    ] {
        assert!(error.is_unavailable(), "{error:?}");
    }
    assert_eq!(broker.job(id).await.unwrap(), before);
    let info = WorkerInfo {
        id: WorkerId("w".to_owned()),
        host: String::new(),
        pid: 1,
        process: String::new(),
        version: String::new(),
        status: String::new(),
    };
    broker
        .heartbeat(&info, Duration::from_secs(60))
        .await
        .unwrap();
    broker.complete(first.lease, counted()).await.unwrap();
    while let Some(leased) = broker.lease(&request(1)).await.unwrap().pop() {
        broker
            .extend(&[leased.lease], Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(broker.begin_once(leased.lease).await, Ok(Begun::First));
        broker.release(leased.lease, Duration::ZERO).await.unwrap();
        let leased = broker.lease(&request(1)).await.unwrap().remove(0);
        broker.complete(leased.lease, counted()).await.unwrap();
    }
    let ended = broker.job(id).await.unwrap();
    assert_eq!((ended.state, ended.totals.tasks), (JobState::Finished, 11));
}

#[tokio::test]
async fn what_another_version_or_program_stored_is_one_clear_error() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let broker = open(&server).await;
    tell(&broker, &["HSET", "{other}:meta", "format", "7"]).await;
    let error = RedisBroker::open(address(&server, "prefix=other"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            BrokerError::Version {
                found: 7,
                known: FORMAT,
                ..
            }
        ),
        "{error:?}"
    );
    tell(&broker, &["SET", "{third}:meta", "something"]).await;
    let error = RedisBroker::open(address(&server, "prefix=third"))
        .await
        .unwrap_err();
    assert!(matches!(error, BrokerError::Corrupt { .. }), "{error:?}");
    broker.create_job(job("a")).await.unwrap();
    tell(&broker, &["SET", "{irods_sync}:unfinished", "something"]).await;
    let error = broker.lease(&request(1)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_forgets_the_script_is_told_it_again() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let broker = open(&server).await;
    tell(&broker, &["SCRIPT", "FLUSH"]).await;
    broker.create_job(job("a")).await.unwrap();
    assert_eq!(broker.lease(&request(5)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let Some(mut server) = Server::start(&["--appendonly", "yes"]) else {
        return;
    };
    let broker = open(&server).await;
    server.kill();
    assert!(broker.jobs().await.unwrap_err().is_unavailable());
    let error = RedisBroker::open(address(&server, "")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    server.restart();
    assert_eq!(insist!(broker.jobs()), []);
}

#[tokio::test]
async fn sums_saturate() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let broker = open(&server).await;
    let id = broker.create_job(job("a")).await.unwrap().job().id;
    let first = broker.lease(&request(1)).await.unwrap().remove(0);
    let large = |by| Completion {
        counts: Counts {
            bytes_uploaded: by,
            ..Counts::default()
        },
        retries: vec![task("again")],
        ..Completion::default()
    };
    broker.complete(first.lease, large(u64::MAX)).await.unwrap();
    let again = broker.lease(&request(1)).await.unwrap().remove(0);
    broker.complete(again.lease, large(9)).await.unwrap();
    let sum = broker.job(id).await.unwrap().totals.bytes_uploaded;
    assert_eq!(sum, i64::MAX.unsigned_abs());
}

/// What a job leaves, and what it leaves after it is forgotten.
#[tokio::test]
async fn an_ended_job_leaves_little_and_a_forgotten_one_nothing() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let broker = open(&server).await;
    a_job_over_broken_connections(&broker, "a").await;
    broker.clear_signatures(b"").await.unwrap();
    let Value::Array(keys) = tell(&broker, &["KEYS", "*"]).await else {
        panic!()
    };
    let mut keys: Vec<_> = keys
        .into_iter()
        .map(|key| match key {
            Value::BulkString(key) => String::from_utf8(key).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    keys.sort();
    assert_eq!(keys, ["{irods_sync}:done", "{irods_sync}:meta"]);
}
