//! Files that are registered or uploaded together: each has the end that it would have by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use ingest::plan::Operation;
use ingest::sync_task::JobOptions;
use irods_client::protocol::api;
use irods_client::transfer::Put;
use support::{Site, TARGET, let_times_settle};

fn with(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        ..JobOptions::default()
    }
}

/// So many files, and somebody else's object that has the name of one of them.
async fn site(files: usize, taken: usize) -> Site {
    let site = Site::new().await;
    for number in 0..files {
        site.write(format!("f{number:02}"), vec![b'x'; number]);
    }
    let last = site.source().join(format!("f{:02}", files - 1));
    let_times_settle(&last).await;
    site.create_collection(TARGET).await;
    let object = format!("{TARGET}/f{taken:02}");
    let mut connection = site.connection().await;
    let how = Put::default();
    connection
        .put_bytes(&object, b"theirs", &how)
        .await
        .unwrap();
    site
}

/// Numbers of files around those that go together, and which of them is taken.
const TREES: [(usize, usize); 7] = [
    (1, 0),
    (2, 1),
    (15, 0),
    (16, 15),
    (17, 16),
    (33, 3),
    (40, 20),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_registered_beside_a_taken_name() {
    for (files, taken) in TREES {
        let site = site(files, taken).await;
        let job = site.run(with(Operation::RegisterSync)).await;
        let totals = &job.totals;
        let bytes = (0..files).filter(|number| *number != taken).sum::<usize>();
        assert_eq!(
            (totals.registered, totals.bytes_registered, totals.failed),
            (files as u64 - 1, bytes as u64, 1),
            "{files}"
        );
        assert_eq!(site.failures(&job).await[0].failure.code_name, "REFUSED");
        let catalog = site.catalog().await;
        for number in 0..files {
            let replicas = &catalog[format!("/f{number:02}").as_bytes()];
            let size = if number == taken { 6 } else { number as u64 };
            assert_eq!((replicas.len(), replicas[0].size), (1, size), "{number}");
        }
        // One call each; the taken one is asked for by itself as well.
        let calls = site.pool.counts().of(api::PHY_PATH_REG);
        assert_eq!(calls, files as u64 + 1, "{files}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_uploaded_beside_a_taken_name() {
    for (files, taken) in TREES {
        let site = site(files, taken).await;
        let totals = site.run_well(with(Operation::Put)).await;
        let made = (totals.uploaded, totals.skipped_unchanged);
        assert_eq!(made, (files as u64 - 1, 1), "{files}");
        for number in 0..files {
            let content = match number == taken {
                true => b"theirs".to_vec(),
                false => vec![b'x'; number],
            };
            assert_eq!(site.read(&format!("{TARGET}/f{number:02}")).await, content);
        }
        let totals = site.run_well(with(Operation::Put)).await;
        assert_eq!(
            (totals.uploaded, totals.skipped_unchanged),
            (0, files as u64)
        );
    }
}
