//! Two jobs of sources of their own want one object at the same time: one of their files gets it, whole, and the other one is told. What
//! the other one made on the way counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ingest::broker::Job;
use ingest::core::rules::{JobFile, Rules};
use ingest::core::{Event, EventHandler, HookError, NoHandler, Subject};
use ingest::plan::Operation;
use ingest::sync_task::JobOptions;
use irods_client::Pooled;
use irods_client::collection::ReplicaStatus;
use irods_client::metadata::Entity;
use support::{Site, TARGET, let_times_settle};
use tokio::sync::Mutex;

/// Objects that both want, in each round.
const OBJECTS: usize = 12;

/// `IRODS_CLAIM_ROUNDS` plays more.
fn rounds() -> usize {
    match std::env::var("IRODS_CLAIM_ROUNDS") {
        Ok(rounds) => rounds.parse().unwrap(),
        Err(_) => 3,
    }
}

/// What file `n` of the source holds: no two hold the same, and some do not go in one message.
fn content(source: &str, round: usize, n: usize) -> Vec<u8> {
    let size = match n {
        0 => 5 << 20,
        _ => 10,
    };
    let mut content = vec![source.as_bytes()[0]; size + round];
    content.extend_from_slice(n.to_string().as_bytes());
    content
}

async fn fill(site: &Site, source: &str, round: usize) -> PathBuf {
    let path = site.dir.path().join(format!("{source}{round}"));
    std::fs::create_dir(&path).unwrap();
    let path = path.canonicalize().unwrap();
    for n in 0..OBJECTS {
        std::fs::write(path.join(format!("f{n}")), content(source, round, n)).unwrap();
    }
    let_times_settle(&path.join(format!("f{}", OBJECTS - 1))).await;
    path
}

/// Exactly one of both has each object, and the other one knows why not.
async fn check(site: &Site, round: usize, collection: &str, ran: [(&str, &Path, &Job); 2]) {
    let mut failures = Vec::new();
    for (_, _, job) in &ran {
        let failed = site.failures(job).await;
        assert_eq!(failed.len() as u64, job.totals.failed);
        failures.push(failed);
    }
    let done: u64 = ran.iter().map(|(_, _, job)| job.totals.uploaded).sum();
    let failed: u64 = ran.iter().map(|(_, _, job)| job.totals.failed).sum();
    let both = [done, failed];
    assert_eq!(both, [OBJECTS as u64; 2], "round {round}: {failures:#?}");
    let mut zone = site.connection().await;
    for n in 0..OBJECTS {
        let object = format!("{collection}/f{n}");
        let avus = zone.list_avus(Entity::DataObject(&object)).await.unwrap();
        let [claim] = avus.as_slice() else {
            panic!("{object}: {avus:?}");
        };
        let of = |path: &Path| path.join(format!("f{n}")).to_str().unwrap().to_owned();
        let winner = ran.iter().position(|(_, path, _)| claim.value == of(path));
        let winner = winner.unwrap_or_else(|| panic!("{object}: {claim:?}"));
        let replicas = zone.replicas(&object).await.unwrap();
        assert_eq!(replicas[0].status, ReplicaStatus::Good, "{object}");
        let bytes = site.read(&object).await;
        assert!(bytes == content(ran[winner].0, round, n), "{object}");
        let (_, path, _) = ran[1 - winner];
        let told = failures[1 - winner]
            .iter()
            .find(|record| record.failure.path == of(path).as_bytes());
        let told = &told
            .unwrap_or_else(|| panic!("{object}: nothing said"))
            .failure;
        let reasons = ["TARGET_TAKEN", "REFUSED"];
        assert!(reasons.contains(&told.code_name.as_str()), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_jobs_that_make_one_object_at_the_same_time_one_gets_it() {
    let site = Site::new().await;
    for round in 0..rounds() {
        let operation = [Operation::PutSync, Operation::Put, Operation::PutAppend][round % 3];
        let options = JobOptions {
            operation,
            files_per_task: 1,
            rules: Rules::with_flags(None, Some(format!("{round}/{{name}}")), None),
            ..JobOptions::default()
        };
        let [a, b] = [fill(&site, "a", round).await, fill(&site, "b", round).await];
        let (of_a, of_b) = tokio::join!(
            site.run_from(&a, options.clone(), Arc::new(NoHandler)),
            site.run_from(&b, options.clone(), Arc::new(NoHandler)),
        );
        let ran = [("a", a.as_path(), &of_a), ("b", b.as_path(), &of_b)];
        check(&site, round, &format!("{TARGET}/{round}"), ran).await;
    }
}

/// Both belong there by their names, and nobody knows whose what is there has been.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_files_that_belong_to_one_object_one_gets_it() {
    let site = Site::new().await;
    site.create_collection(TARGET).await;
    let rules = "[[rule]]\nglob = \"none\"\ntarget = \"elsewhere/{name}\"\n";
    let options = JobOptions {
        operation: Operation::PutSync,
        files_per_task: 1,
        rules: JobFile::parse("job.toml", rules).unwrap().rules,
        ..JobOptions::default()
    };
    for round in 0..rounds() {
        let mut zone = site.connection().await;
        for n in 0..OBJECTS {
            let object = format!("{TARGET}/f{n}");
            if round > 0 {
                let how = irods_client::data_object::Remove::Force;
                zone.remove_data_object(&object, how).await.unwrap();
            }
            zone.put_bytes(&object, b"before", &Default::default())
                .await
                .unwrap();
        }
        drop(zone);
        let [a, b] = [fill(&site, "a", round).await, fill(&site, "b", round).await];
        let (of_a, of_b) = tokio::join!(
            site.run_from(&a, options.clone(), Arc::new(NoHandler)),
            site.run_from(&b, options.clone(), Arc::new(NoHandler)),
        );
        let ran = [("a", a.as_path(), &of_a), ("b", b.as_path(), &of_b)];
        check(&site, round, TARGET, ran).await;
    }
}

/// Puts an object into each new collection, under the name that the file has for which it was made.
#[derive(Debug)]
struct Overtakes(Mutex<Pooled>);

#[async_trait]
impl EventHandler for Overtakes {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::CollCreate
    }

    async fn post(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let object = format!("{}/f", subject.target);
        let mut zone = self.0.lock().await;
        zone.put_bytes(&object, b"first", &Default::default())
            .await
            .unwrap();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_that_were_made_for_a_file_count_where_it_then_fails() {
    for operation in [Operation::RegisterSync, Operation::PutSync] {
        let site = Site::new().await;
        let_times_settle(&site.write("f", "f")).await;
        let options = JobOptions {
            operation,
            rules: Rules::with_flags(None, Some("a/b/c/{name}".into()), None),
            ..JobOptions::default()
        };
        let handler = Overtakes(Mutex::new(site.connection().await));
        let job = site.run_with(options, Arc::new(handler)).await;
        let did = job.totals;
        assert_eq!((did.failed, did.collections_created), (1, 4), "{did:?}");
    }
}
