//! What only this engine has: a file that several open at once, a lock that others hold, a disk that fills up, batches.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::broker::Queues;
use crate::broker::{Counts, TaskClass};

fn job(name: &str) -> NewJob {
    NewJob {
        name: Some(name.to_owned()),
        spec: Vec::new(),
        identity: name.to_owned(),
        first: NewTask {
            class: TaskClass::Files,
            depth: 0,
            payload: vec![0; 100],
            delay: None,
        },
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
        lease_for: Duration::from_secs(60),
        filter: JobFilter::default(),
    }
}

async fn fresh() -> (tempfile::TempDir, PathBuf, SqliteBroker) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker");
    let broker = SqliteBroker::open(&path).await.unwrap();
    (directory, path, broker)
}

#[tokio::test]
async fn many_may_make_the_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker");
    let opening: Vec<_> = (0..8)
        .map(|_| tokio::spawn(SqliteBroker::open(path.clone())))
        .collect();
    for (number, broker) in opening.into_iter().enumerate() {
        let broker = broker.await.unwrap().unwrap();
        broker.create_job(job(&number.to_string())).await.unwrap();
        assert_eq!(broker.jobs().await.unwrap().len(), number + 1);
    }
}

/// Requests that wait together are committed together, and a refused one among them takes nothing with it.
#[tokio::test]
async fn a_refusal_undoes_itself_alone() {
    let (_directory, path, broker) = fresh().await;
    let broker = Arc::new(broker);
    broker.create_job(job("a")).await.unwrap();
    let first = broker.lease(&request(1)).await.unwrap().remove(0);
    let task = NewTask {
        class: TaskClass::Files,
        depth: 1,
        payload: vec![1],
        delay: None,
    };
    broker
        .spawn(first.lease, vec![task; 100], vec![], vec![])
        .await
        .unwrap();
    broker
        .complete(first.lease, Completion::default())
        .await
        .unwrap();
    let leased = broker.lease(&request(100)).await.unwrap();

    // While another process writes, requests pile up; every second one repeats the one before it.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut answers = Vec::new();
    for leased in &leased {
        for _ in 0..2 {
            let (broker, lease) = (Arc::clone(&broker), leased.lease);
            let completion = Completion {
                counts: Counts {
                    tasks: 1,
                    ..Counts::default()
                },
                ..Completion::default()
            };
            answers.push(tokio::spawn(async move {
                broker.complete(lease, completion).await
            }));
        }
    }
    tokio::task::yield_now().await;
    other.execute_batch("COMMIT").unwrap();

    let (mut done, mut stale) = (0, 0);
    for answer in answers {
        match answer.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) if error.is_stale() => stale += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((done, stale), (100, 100));
    let ended = broker.find_job("a").await.unwrap().unwrap();
    assert_eq!((ended.state, ended.totals.tasks), (JobState::Finished, 100));
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_is_waited_out() {
    let (_directory, _path, broker) = fresh().await;
    broker.create_job(job("a")).await.unwrap();
    let first = broker.lease(&request(1)).await.unwrap().remove(0);
    let limit = |pages: u32| {
        broker.writer.run(move |tx| {
            tx.connection
                .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
            Ok(())
        })
    };
    limit(100).await.unwrap();
    let before = broker.jobs().await.unwrap();
    let large = NewTask {
        class: TaskClass::Files,
        depth: 1,
        payload: vec![1; 1 << 20],
        delay: None,
    };
    let error = broker
        .spawn(first.lease, vec![large.clone()], vec![1], vec![])
        .await
        .unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert_eq!(broker.jobs().await.unwrap(), before);
    limit(100_000).await.unwrap();
    assert_eq!(
        broker
            .spawn(first.lease, vec![large], vec![1], vec![])
            .await,
        Ok(Spawned::Queued)
    );
}

#[tokio::test]
async fn a_file_that_loses_its_tables_is_an_error() {
    let (_directory, path, broker) = fresh().await;
    broker.create_job(job("a")).await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE task")
        .unwrap();
    assert!(matches!(
        broker.lease(&request(1)).await,
        Err(BrokerError::Corrupt { .. })
    ));
    assert!(matches!(
        broker.jobs().await,
        Err(BrokerError::Corrupt { .. })
    ));
}
