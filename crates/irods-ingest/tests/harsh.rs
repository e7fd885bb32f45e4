//! The engine against a zone that behaves as badly as real servers and networks can: answers lost after the commit,
//! connections that end in the middle, locked objects, a database with a locale, old releases. Whatever happens, the
//! mirror is exact in the end, and so are the totals.
//!
//! `IRODS_HARSH_SEEDS` names other seeds than the usual ones: numbers with commas between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ingest::broker::{Broker, Counts, FailureRecord, Job, JobState};
use ingest::core::{Event, EventHandler, HookError, JobHooks, NoHandler, Subject};
use ingest::plan::{DeleteMode, Operation};
use ingest::sync_task::job::{JobRequest, start_synchronization};
use ingest::sync_task::{ChecksumPolicy, JobOptions};
use irods_client::access::Grant;
use irods_client::metadata::Avu;
use irods_client::transfer::Put;
use irods_zone::Harsh;
use support::{Site, TARGET, assert_registered, let_times_settle, tree};

fn seeds() -> Vec<u64> {
    match std::env::var("IRODS_HARSH_SEEDS") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        // They reach every release.
        Err(_) => vec![1, 2, 3, 6],
    }
}

fn with(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        files_per_task: 4,
        max_retries: 60,
        ..JobOptions::default()
    }
}

/// Names whose order depends on who orders them, in directories that differ in case alone.
fn mixed_tree(site: &Site) {
    for n in 0..12 {
        for name in ["alpha", "Alpha", "_x", "Zeta", "ß", "a'b", "1"] {
            site.write(
                format!("dir{}/{name}{n}", n % 3),
                format!("{name} {n}").repeat(n),
            );
        }
    }
    site.write("Case/x", "upper");
    site.write("case/X", "lower");
    site.write("large", vec![7; 5 << 20]);
    std::fs::create_dir_all(site.source().join("empty/below")).unwrap();
    symlink("large", site.source().join("link")).unwrap();
}

/// Runs a job; starting it looks at the zone and is repeated until that works.
async fn run(site: &Site, name: &str, options: JobOptions) -> Job {
    run_with(site, name, options, Arc::new(NoHandler)).await
}

async fn run_with(
    site: &Site,
    name: &str,
    options: JobOptions,
    handler: Arc<dyn EventHandler>,
) -> Job {
    let broker: &dyn Broker = site.broker.as_ref();
    let job = loop {
        let request = JobRequest {
            name: Some(name.to_owned()),
            source: &site.source(),
            target: TARGET,
            options: options.clone(),
            interval: None,
            owner: None,
            hooks: JobHooks::default(),
        };
        match start_synchronization(broker, &site.pool, request).await {
            Ok(started) => break started.job().clone(),
            Err(error) => eprintln!("not started: {error}"),
        }
    };
    let (worker, _told) = site.worker(job.id, 3, handler);
    worker.run().await.unwrap();
    broker.job(job.id).await.unwrap()
}

async fn assert_well(site: &Site, harsh: &Harsh, job: &Job) {
    eprintln!("{harsh:?}: {:?}", job.totals);
    assert_eq!(job.state, JobState::Finished, "{harsh:?}");
    site.assert_no_failures(job).await;
}

/// Runs a job in which nothing fails for good; its totals.
async fn run_well(site: &Site, harsh: &Harsh, name: &str, options: JobOptions) -> Counts {
    let job = run(site, name, options).await;
    assert_well(site, harsh, &job).await;
    job.totals
}

fn files(site: &Site) -> u64 {
    let source = tree(&site.source());
    source.values().filter(|meta| !meta.is_dir()).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_exact_after_all() {
    for seed in seeds() {
        let harsh = Harsh::from_seed(seed);
        let site = Site::new().await;
        mixed_tree(&site);
        let_times_settle(&site.source().join("link")).await;
        let site = site.reopened(Some(harsh.clone())).await;
        let job = run(&site, "first", with(Operation::RegisterSync)).await;
        assert_well(&site, &harsh, &job).await;
        let (seen, files) = (job.totals.files_seen, files(&site));
        assert_eq!((seen, job.totals.registered), (files, files), "{harsh:?}");
        let site = site.reopened(None).await;
        assert_registered(&site).await;

        // Changes, among them deletions, and a directory that becomes a file.
        let changed = site.write("dir1/alpha1", "is longer than it was before");
        site.write("dir2/new", "new");
        std::fs::remove_file(site.source().join("dir0/Zeta3")).unwrap();
        std::fs::remove_dir_all(site.source().join("Case")).unwrap();
        std::fs::remove_dir_all(site.source().join("empty/below")).unwrap();
        let_times_settle(&changed).await;
        let site = site.reopened(Some(harsh.clone())).await;
        let options = JobOptions {
            delete_mode: DeleteMode::Unregister,
            ..with(Operation::RegisterSync)
        };
        let t = run_well(&site, &harsh, "changed", options).await;
        assert_eq!((t.registered, t.updated), (1, 1), "{harsh:?}");
        let site = site.reopened(None).await;
        assert_registered(&site).await;
        // Dir0/Zeta3, Case/x, Case, empty/below.
        assert_eq!(t.deleted, 4, "{harsh:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_exact_after_all() {
    for seed in seeds() {
        let harsh = Harsh::from_seed(seed);
        let site = Site::new().await;
        mixed_tree(&site);
        let_times_settle(&site.source().join("link")).await;
        let site = site.reopened(Some(harsh.clone())).await;
        let options = JobOptions {
            checksum: ChecksumPolicy::ALL[(seed % 3) as usize],
            ..with(Operation::PutSync)
        };
        let job = run(&site, "first", options.clone()).await;
        assert_well(&site, &harsh, &job).await;
        assert_eq!(job.totals.uploaded, files(&site), "{harsh:?}");
        let site = site.reopened(None).await;
        assert_uploaded(&site).await;

        let changed = site.write("dir1/alpha1", "is longer than it was before");
        site.write("large", vec![9; 6 << 20]);
        std::fs::remove_file(site.source().join("dir0/Zeta3")).unwrap();
        let_times_settle(&changed).await;
        let_times_settle(&site.source().join("large")).await;
        let site = site.reopened(Some(harsh.clone())).await;
        let options = JobOptions {
            delete_mode: DeleteMode::NoTrash,
            ..options
        };
        let t = run_well(&site, &harsh, "changed", options).await;
        // The link leads to what is large.
        assert_eq!((t.uploaded + t.updated, t.deleted), (3, 1), "{harsh:?}");
        let site = site.reopened(None).await;
        assert_uploaded(&site).await;
    }
}

/// Bytes that were appended although nobody said so are not appended again.
#[tokio::test(flavor = "multi_thread")]
async fn appended_bytes_are_there_once() {
    for seed in seeds() {
        let harsh = Harsh::from_seed(seed);
        let site = Site::new().await;
        for n in 0..40 {
            site.write(format!("log{n}"), format!("line {n}\n").repeat(n + 1));
        }
        let_times_settle(&site.source().join("log39")).await;
        let site = site.reopened(Some(harsh.clone())).await;
        let job = run(&site, "first", with(Operation::PutAppend)).await;
        assert_well(&site, &harsh, &job).await;
        for n in 0..40 {
            site.write(format!("log{n}"), format!("line {n}\n").repeat(2 * n + 2));
        }
        let_times_settle(&site.source().join("log39")).await;
        let job = run(&site, "second", with(Operation::PutAppend)).await;
        assert_well(&site, &harsh, &job).await;
        // An end that is found to be there, since only the answer was lost, counts as no bytes written; an
        // object that was left stale is uploaded as a whole.
        let t = job.totals;
        assert_eq!(t.appended + t.uploaded + t.metadata_only, 40, "{harsh:?}");
        let site = site.reopened(None).await;
        assert_uploaded(&site).await;
    }
}

/// Counts the hooks of objects that come into being.
#[derive(Debug, Default)]
struct Tally {
    /// By path in the zone: how often before, how often after.
    seen: Mutex<BTreeMap<String, (u32, u32)>>,
}

#[async_trait]
impl EventHandler for Tally {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjCreate
    }

    async fn pre(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let mut seen = self.seen.lock().unwrap();
        seen.entry(subject.target.to_owned()).or_default().0 += 1;
        Ok(())
    }

    async fn post(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let mut seen = self.seen.lock().unwrap();
        seen.entry(subject.target.to_owned()).or_default().1 += 1;
        Ok(())
    }
}

/// An object that came into being although nobody said so has its hooks all the same. Where an attempt failed, the
/// first hook may have run more than once; the last one runs once.
#[tokio::test(flavor = "multi_thread")]
async fn no_hook_is_missed_and_the_last_one_runs_once() {
    for seed in seeds() {
        let harsh = Harsh::from_seed(seed);
        for operation in [Operation::RegisterSync, Operation::PutSync] {
            let site = Site::new().await;
            mixed_tree(&site);
            let_times_settle(&site.source().join("link")).await;
            let files = files(&site);
            let site = site.reopened(Some(harsh.clone())).await;
            let tally = Arc::new(Tally::default());
            let job = run_with(&site, "hooks", with(operation), tally.clone()).await;
            assert_well(&site, &harsh, &job).await;
            let seen = std::mem::take(&mut *tally.seen.lock().unwrap());
            assert_eq!(seen.len() as u64, files, "{harsh:?}");
            for (path, (before, after)) in seen {
                assert!(
                    before >= 1 && after == 1,
                    "{path}: {before} {after} {harsh:?}"
                );
            }
        }
    }
}

/// Decisions from the catalog alone, whose rows come in an order of their own.
#[tokio::test(flavor = "multi_thread")]
async fn comparing_with_the_catalog_finds_what_differs() {
    for seed in seeds() {
        let harsh = Harsh::from_seed(seed);
        let site = Site::new().await;
        mixed_tree(&site);
        let_times_settle(&site.source().join("link")).await;
        let job = run(&site, "calm", with(Operation::RegisterSync)).await;
        assert_well(&site, &harsh, &job).await;
        let changed = site.write("dir1/alpha1", "is longer than it was before");
        site.write("dir2/new", "new");
        let_times_settle(&changed).await;
        let site = site.reopened(Some(harsh.clone())).await;
        let options = JobOptions {
            compare_catalog: true,
            ..with(Operation::RegisterSync)
        };
        let job = run(&site, "compared", options).await;
        assert_well(&site, &harsh, &job).await;
        let t = job.totals;
        assert_eq!((t.registered, t.updated), (1, 1), "{harsh:?}");
        let site = site.reopened(None).await;
        assert_registered(&site).await;
    }
}

/// Takes from everybody the right to see something.
async fn hide(site: &Site, path: &str) {
    let nothing = Grant::new("rods", "null");
    let mut zone = site.connection().await;
    zone.apply_access(path, &[nothing], false).await.unwrap();
}

/// A name whose rows are hidden is not free: who wants it is told so, and what has it stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_neither_overwritten_nor_passed_over() {
    let operations = [
        Operation::RegisterSync,
        Operation::PutSync,
        Operation::Put,
        Operation::PutAppend,
    ];
    for (seed, operation) in seeds().into_iter().zip(operations.into_iter().cycle()) {
        let harsh = Harsh {
            strict: true,
            ..Harsh::from_seed(seed)
        };
        for compare_catalog in [false, true] {
            let site = Site::new().await;
            for name in ["free", "secret", "closed/x", "blocked/x"] {
                site.write(name, name);
            }
            site.create_collection(&format!("{TARGET}/closed")).await;
            let hidden = ["secret", "blocked", "closed"].map(|name| format!("{TARGET}/{name}"));
            for path in &hidden[..2] {
                let mut zone = site.connection().await;
                let other = b"of somebody else";
                zone.put_bytes(path, other, &Put::default()).await.unwrap();
            }
            for path in &hidden {
                hide(&site, path).await;
            }
            let before = site.catalog().await;
            let site = site.reopened(Some(harsh.clone())).await;
            let options = JobOptions {
                max_retries: 9,
                compare_catalog,
                delete_mode: match operation {
                    Operation::RegisterSync => DeleteMode::Unregister,
                    Operation::PutSync => DeleteMode::NoTrash,
                    _ => DeleteMode::DoNotDelete,
                },
                ..with(operation)
            };
            let job = run(&site, "hidden", options).await;
            let t = job.totals;
            assert_eq!((t.registered + t.uploaded, t.failed), (1, 3), "{harsh:?}");
            let failed = site.failures(&job).await;
            for path in &hidden {
                let told = |failed: &FailureRecord| failed.failure.message.contains(path);
                assert!(failed.iter().any(told), "{failed:#?} {harsh:?}");
            }
            let site = site.reopened(None).await;
            let mut after = site.catalog().await;
            assert!(after.remove(&b"/free"[..]).is_some());
            assert_eq!(after, before, "{harsh:?}");
        }
    }
}

/// What somebody else keeps in a collection that is gone from the source, and that this user may not see, stays, and so does
/// the collection.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_not_deleted() {
    let modes = [
        (Operation::RegisterSync, DeleteMode::Unregister),
        (Operation::PutSync, DeleteMode::Trash),
        (Operation::PutSync, DeleteMode::NoTrash),
    ];
    for (seed, (operation, delete_mode)) in seeds().into_iter().zip(modes.into_iter().cycle()) {
        let harsh = Harsh {
            strict: true,
            ..Harsh::from_seed(seed)
        };
        let site = Site::new().await;
        for name in ["keep", "gone/a", "gone/with/b", "gone/c"] {
            site.write(name, name);
        }
        let options = JobOptions {
            delete_mode,
            ..with(operation)
        };
        let job = run(&site, "calm", options.clone()).await;
        assert_well(&site, &harsh, &job).await;
        let secret = format!("{TARGET}/gone/secret");
        let other = b"of somebody else";
        let mut zone = site.connection().await;
        zone.put_bytes(&secret, other, &Put::default())
            .await
            .unwrap();
        drop(zone);
        hide(&site, &secret).await;
        std::fs::remove_dir_all(site.source().join("gone")).unwrap();
        let site = site.reopened(Some(harsh.clone())).await;
        let t = run_well(&site, &harsh, "changed", options).await;
        assert_eq!(t.deleted, 4, "{harsh:?}");
        let site = site.reopened(None).await;
        let catalog = site.catalog().await;
        let left: Vec<String> = catalog.keys().map(ToString::to_string).collect();
        assert_eq!(left, ["/gone", "/gone/secret", "/keep"], "{harsh:?}");
    }
}

/// What another file has claimed in a collection that is gone from the source stays, be it seen or not.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_file_has_claimed_stays_whatever_is_hidden() {
    let modes = [
        (Operation::RegisterSync, DeleteMode::Unregister),
        (Operation::PutSync, DeleteMode::Trash),
    ];
    for (seed, (operation, delete_mode)) in seeds().into_iter().zip(modes.into_iter().cycle()) {
        let harsh = Harsh {
            strict: true,
            ..Harsh::from_seed(seed)
        };
        let site = Site::new().await;
        for name in ["keep", "gone/a", "gone/with/b"] {
            site.write(name, name);
        }
        let options = JobOptions {
            delete_mode,
            ..with(operation)
        };
        let job = run(&site, "calm", options.clone()).await;
        assert_well(&site, &harsh, &job).await;
        let claimed = ["seen", "gone/seen", "gone/hidden"].map(|name| format!("{TARGET}/{name}"));
        let mut zone = site.connection().await;
        for object in &claimed {
            let how = Put {
                metadata: vec![Avu::new("irods_sync::source", "/elsewhere/x", "")],
                ..Put::default()
            };
            zone.put_bytes(object, b"of another", &how).await.unwrap();
        }
        drop(zone);
        hide(&site, &claimed[2]).await;
        std::fs::remove_dir_all(site.source().join("gone")).unwrap();
        let site = site.reopened(Some(harsh.clone())).await;
        let t = run_well(&site, &harsh, "changed", options).await;
        assert_eq!((t.deleted, t.kept), (3, 2), "{harsh:?}");
        let site = site.reopened(None).await;
        let catalog = site.catalog().await;
        for object in &claimed {
            let replicas = &catalog[&object.as_bytes()[TARGET.len()..]];
            assert_eq!(replicas[0].size, 10, "{harsh:?}");
        }
    }
}

/// The same names, and of each file one good replica with its bytes.
async fn assert_uploaded(site: &Site) {
    let catalog = site.catalog().await;
    let source = tree(&site.source());
    assert_eq!(
        source.keys().collect::<Vec<_>>(),
        catalog.keys().collect::<Vec<_>>()
    );
    for (name, meta) in source {
        if meta.is_dir() {
            continue;
        }
        let [replica] = catalog[&name].as_slice() else {
            panic!("{name}: {:?}", catalog[&name]);
        };
        assert_eq!(
            replica.status,
            irods_client::collection::ReplicaStatus::Good,
            "{name}"
        );
        let relative = name.to_string();
        let expected = std::fs::read(site.source().join(relative.trim_start_matches('/'))).unwrap();
        let stored = site.read(&format!("{TARGET}{name}")).await;
        assert!(stored == expected, "{name}: {} bytes", stored.len());
    }
}
