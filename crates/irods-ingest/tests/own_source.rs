//! An upload never writes over the file that it reads: whatever was registered before, under whatever name, the source keeps
//! its bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;

use ingest::broker::Job;
use ingest::core::NoHandler;
use ingest::plan::Operation;
use ingest::sync_task::JobOptions;
use irods_client::data_object::Remove;
use support::{Site, TARGET};

/// More than goes in one message, so that a put over itself would find an emptied file.
fn content() -> Vec<u8> {
    (0..5_000_000_u32).map(|n| (n % 251) as u8).collect()
}

fn with(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        ..JobOptions::default()
    }
}

async fn assert_refused(site: &Site, job: &Job) {
    let failures = site.failures(job).await;
    let [failure] = failures.as_slice() else {
        panic!("{failures:?}");
    };
    let message = &failure.failure.message;
    assert!(
        message.contains("registered from a file of this source"),
        "{message}"
    );
}

fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_uploaded_and_then_registered_is_not_uploaded_over_itself() {
    let site = Site::new().await;
    let file = site.write("big", content());
    site.run(with(Operation::PutSync)).await;
    let mut zone = site.connection().await;
    let object = format!("{TARGET}/big");
    zone.remove_data_object(&object, Remove::Force)
        .await
        .unwrap();
    drop(zone);
    let job = site.run(with(Operation::RegisterSync)).await;
    assert_eq!(job.totals.registered, 1);
    append(&file, "more");
    let job = site.run(with(Operation::PutSync)).await;
    assert_refused(&site, &job).await;
    assert_eq!(
        std::fs::read(&file).unwrap(),
        [content(), b"more".to_vec()].concat()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_name_of_a_registered_file_leads_to_an_upload_over_it() {
    for link in [
        |from: &Path, to: &Path| std::os::unix::fs::symlink(from, to).unwrap(),
        |from: &Path, to: &Path| std::fs::hard_link(from, to).unwrap(),
    ] {
        for operation in [Operation::PutSync, Operation::PutAppend] {
            let site = Site::new().await;
            let file = site.write("big", content());
            site.run(with(Operation::RegisterSync)).await;
            append(&file, "more");
            let other = site.dir.path().join("other");
            std::fs::create_dir(&other).unwrap();
            link(&file, &other.join("big"));
            let job = site
                .run_from(&other, with(operation), Arc::new(NoHandler))
                .await;
            assert_refused(&site, &job).await;
            assert_eq!(
                std::fs::read(&file).unwrap(),
                [content(), b"more".to_vec()].concat()
            );
        }
    }
}
