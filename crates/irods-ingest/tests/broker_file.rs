//! The broker's file: who may read it, and what is said of one that is not, or no longer, a broker's.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{
    Append, Broker, BrokerError, Completion, JobFilter, LeaseRequest, NewJob, NewTask, Queues,
    Result, TaskClass, WorkerId,
};

fn task(payload: &[u8]) -> NewTask {
    NewTask {
        class: TaskClass::Files,
        depth: 0,
        payload: payload.to_vec(),
        delay: None,
    }
}

fn job(name: &str) -> NewJob {
    NewJob {
        name: Some(name.to_owned()),
        spec: b"{}".to_vec(),
        identity: name.to_owned(),
        first: task(b"first"),
        pre_job: false,
        post_job: false,
        interval: None,
        owner: None,
        queues: Queues::default(),
        max_in_flight: None,
    }
}

fn request() -> LeaseRequest {
    LeaseRequest {
        worker: WorkerId("w".to_owned()),
        max: 10,
        lease_for: Duration::from_secs(60),
        filter: JobFilter::default(),
    }
}

async fn refusal(path: impl AsRef<Path>) -> BrokerError {
    SqliteBroker::open(path.as_ref()).await.unwrap_err()
}

#[tokio::test]
async fn only_its_owner_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker");
    let _broker = SqliteBroker::open(&path).await.unwrap();
    for name in ["broker", "broker-wal", "broker-shm"] {
        let mode = std::fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn jobs_survive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker");
    let broker = SqliteBroker::open(&path).await.unwrap();
    broker.create_job(job("a")).await.unwrap();
    drop(broker);
    let broker = SqliteBroker::open(&path).await.unwrap();
    assert_eq!(broker.lease(&request()).await.unwrap()[0].payload, b"first");
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for path in [
        directory.path().join("no/such/directory"),
        directory.path().to_owned(),
        "/proc/version".into(),
    ] {
        let refused = refusal(&path).await;
        assert!(
            matches!(refused, BrokerError::Unusable { .. }),
            "{refused:?}"
        );
        assert!(
            refused.to_string().contains(path.to_str().unwrap()),
            "{refused}"
        );
        assert!(!refused.is_unavailable());
    }
}

#[tokio::test]
async fn other_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(
        &text,
        "not a database, but long enough to be looked at as one".repeat(100),
    )
    .unwrap();
    let database = directory.path().join("database");
    rusqlite::Connection::open(&database)
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    let before = std::fs::read(&text).unwrap();
    for path in [&text, &database] {
        let refused = refusal(path).await;
        assert!(
            matches!(refused, BrokerError::Corrupt { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(std::fs::read(&text).unwrap(), before);
    let tables: i64 = rusqlite::Connection::open(&database)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn another_format_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker");
    drop(SqliteBroker::open(&path).await.unwrap());
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        refusal(&path).await,
        BrokerError::Version {
            found: 99,
            known: 5,
            ..
        }
    ));
}

/// Everything that reads: an answer or an error, but never a panic, whatever the file holds.
async fn use_all(path: &Path) -> Result<()> {
    let broker = SqliteBroker::open(path).await?;
    let jobs = broker.jobs().await?;
    broker.workers().await?;
    broker.signatures(b"key").await?;
    for job in &jobs {
        broker.events(job.id).await?;
        broker.profile(job.id).await?;
        broker.failures(job.id, None, 10).await?;
    }
    for leased in broker.lease(&request()).await? {
        broker.complete(leased.lease, Completion::default()).await?;
    }
    broker.create_job(job("new")).await?;
    Ok(())
}

#[tokio::test]
async fn a_damaged_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let sound = directory.path().join("sound");
    let broker = SqliteBroker::open(&sound).await.unwrap();
    broker.create_job(job("a")).await.unwrap();
    let first = broker.lease(&request()).await.unwrap().remove(0);
    let children = (0..200_u8).map(|n| task(&[n; 300])).collect();
    broker
        .spawn(first.lease, children, vec![1], vec![])
        .await
        .unwrap();
    let signatures = vec![Append {
        key: b"key".to_vec(),
        bytes: vec![7; 2400],
    }];
    broker
        .complete(
            first.lease,
            Completion {
                signatures,
                ..Completion::default()
            },
        )
        .await
        .unwrap();
    drop(broker);

    let size = std::fs::metadata(&sound).unwrap().len();
    let mut errors = 0;
    // Every page in turn, at its head where its structure is and in its middle where its contents are.
    for offset in (0..size).step_by(2048) {
        let path = directory.path().join(format!("damaged {offset}"));
        std::fs::copy(&sound, &path).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xa5; 40], offset).unwrap();
        if let Err(error) = use_all(&path).await {
            assert!(
                matches!(
                    error,
                    BrokerError::Corrupt { .. } | BrokerError::Invalid { .. }
                ),
                "{offset}: {error:?}"
            );
            errors += 1;
        }
    }
    assert!(errors > 5, "{errors}");
}

#[tokio::test]
async fn values_no_program_of_ours_wrote_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    for (number, damage) in [
        "UPDATE job SET state = 'dancing'",
        "UPDATE job SET pass_totals = '{'",
        "UPDATE job SET totals_before = '{'",
        "UPDATE job SET created = -1",
        "UPDATE spec SET spec = zeroblob(2000000)",
        "UPDATE event SET kind = 'x'",
        "UPDATE task SET kind = 9",
        "UPDATE task SET class = -3",
        "UPDATE task SET payload = zeroblob(20000000)",
        "DELETE FROM spec",
    ]
    .into_iter()
    .enumerate()
    {
        let path = directory.path().join(number.to_string());
        let broker = SqliteBroker::open(&path).await.unwrap();
        broker.create_job(job("a")).await.unwrap();
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute(damage, [])
            .unwrap();
        let found = use_all(&path).await;
        assert!(
            matches!(found, Err(BrokerError::Corrupt { .. })),
            "{damage}: {found:?}"
        );
    }
}
