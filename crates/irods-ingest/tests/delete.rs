//! What is gone from the source goes from the zone, as far as it was asked for; and what is not certainly gone stays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bstr::{BString, ByteSlice};
use ingest::broker::{Broker, Counts, FailureFilter, Job, JobState};
use ingest::core::rules::Rules;
use ingest::core::{Event, EventHandler, HookError, NoHandler, Subject};
use ingest::plan::{DeleteMode, Operation};
use ingest::shutdown::{ShutdownSender, shutdown};
use ingest::survey::forecast::Foreseen;
use ingest::sync_task::{JobOptions, LogTasks};
use irods_client::metadata::{Avu, Entity};
use support::{Site, TARGET, assert_registered, let_times_settle, tree};

const TRASH: &str = "/tempZone/trash/home/rods/landing";

fn with(operation: Operation, delete_mode: DeleteMode) -> JobOptions {
    JobOptions {
        operation,
        delete_mode,
        // A replica is one on a resource.
        resource: (operation == Operation::RegisterAsReplicaSync).then(|| "demoResc".to_owned()),
        files_per_task: 2,
        ..JobOptions::default()
    }
}

/// A tree with something deep in it, ingested.
async fn site(operation: Operation, delete_mode: DeleteMode) -> Site {
    let site = Site::new().await;
    for name in [
        "keep",
        "drop",
        "dir/keep",
        "dir/drop",
        ".hidden/x",
        "hidden/x",
    ] {
        site.write(name, name);
    }
    for n in 0..7 {
        site.write(format!("gone/f{n}"), "x");
        site.write(format!("gone/deep/er/f{n}"), "x");
    }
    std::fs::create_dir_all(site.source().join("gone/empty/chain")).unwrap();
    let job = site.run(with(operation, delete_mode)).await;
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, 0);
    site
}

fn remove(site: &Site) {
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    std::fs::remove_file(site.source().join("drop")).unwrap();
    std::fs::remove_file(site.source().join("dir/drop")).unwrap();
}

/// 2 + 14 objects and gone, gone/deep, gone/deep/er, gone/empty, gone/empty/chain.
const GONE: u64 = 16 + 5;

async fn names(site: &Site) -> Vec<String> {
    site.catalog()
        .await
        .keys()
        .map(ToString::to_string)
        .collect()
}

async fn exists(site: &Site, path: &str) -> bool {
    site.stat(path).await.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn unregistering_follows_the_source_and_leaves_the_files() {
    for operation in [Operation::RegisterSync, Operation::RegisterAsReplicaSync] {
        let options = || with(operation, DeleteMode::Unregister);
        let site = site(operation, DeleteMode::Unregister).await;
        // What was uploaded from elsewhere is not in the source either, and its bytes are in the vault.
        let others = ["/dir/other", "/gone/deep/other"];
        for name in others {
            write_another(&site, &name[1..], name);
        }
        let another = site.dir.path().join("another").canonicalize().unwrap();
        let uploading = with(Operation::PutSync, DeleteMode::DoNotDelete);
        let job = site.run_from(&another, uploading, Arc::new(NoHandler));
        site.assert_no_failures(&job.await).await;
        let catalog = site.catalog().await;
        remove(&site);
        let t = site.run_well(options()).await;
        assert_eq!(t.deleted, GONE + 2, "{operation}");
        assert_registered(&site).await;
        assert!(!exists(&site, TRASH).await, "nothing goes to the trash");
        for name in others {
            let place = catalog[&BString::from(name)][0].path.to_path().unwrap();
            assert_eq!(std::fs::read(place).unwrap(), name.as_bytes());
        }
        let job = site.run(options()).await;
        assert_eq!((job.totals.deleted, job.totals.skipped_unchanged), (0, 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_to_the_trash_or_for_good() {
    for (operation, mode, in_trash) in [
        (Operation::PutSync, DeleteMode::Trash, true),
        (Operation::PutSync, DeleteMode::NoTrash, false),
        (Operation::PutAppend, DeleteMode::Trash, true),
        (Operation::PutAppend, DeleteMode::NoTrash, false),
    ] {
        let site = site(operation, mode).await;
        remove(&site);
        let t = site.run_well(with(operation, mode)).await;
        assert_eq!(t.deleted, GONE, "{operation} {mode}");
        let source = tree(&site.source());
        assert!(site.catalog().await.keys().eq(source.keys()));
        assert_eq!(exists(&site, TRASH).await, in_trash, "{operation} {mode}");
        let trashed = [("drop", "drop"), ("gone/deep/er/f3", "x")];
        for (name, content) in trashed.iter().filter(|_| in_trash) {
            let read = site.read(&format!("{TRASH}/{name}")).await;
            assert_eq!(read, content.as_bytes(), "{operation} {mode}");
        }
        // Of 20 files 4 are left. A harsh zone may have lost sight of the bytes of an upload.
        let vault = tree(&site.dir.path().join("zone/Vault"));
        let files = vault.values().filter(|meta| meta.is_file()).count();
        if site.harsh.is_none() {
            let expected = if in_trash { 20 } else { 4 };
            assert_eq!(files, expected, "{operation} {mode}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn do_not_delete_deletes_nothing() {
    for operation in Operation::ALL {
        if matches!(operation, Operation::NoOp | Operation::Put) {
            continue;
        }
        let site = site(operation, DeleteMode::DoNotDelete).await;
        let before = names(&site).await;
        remove(&site);
        let t = site
            .run_well(with(operation, DeleteMode::DoNotDelete))
            .await;
        let after = (t.deleted, names(&site).await);
        assert_eq!(after, (0, before), "{operation}");
        assert!(!exists(&site, TRASH).await, "nothing goes to the trash");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_or_hidden_is_not_gone() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    let before = names(&site).await;
    let options = JobOptions {
        exclude_file_name: vec![".*/drop$".into()],
        exclude_directory_name: vec![".*/gone$".into()],
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let job = site.run(options).await;
    site.assert_no_failures(&job).await;
    assert_eq!((job.totals.deleted, names(&site).await), (0, before));
    std::fs::remove_dir_all(site.source().join(".hidden")).unwrap();
    let t = site
        .run_well(with(Operation::RegisterSync, DeleteMode::Unregister))
        .await;
    assert_eq!(
        t.deleted, 2,
        "the collection .hidden with its object, and nothing of hidden"
    );
    assert!(exists(&site, &format!("{TARGET}/hidden/x")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_root_deletes_nothing_and_says_so() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    let before = names(&site).await;
    for entry in std::fs::read_dir(site.source()).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
    let job = site
        .run(with(Operation::RegisterSync, DeleteMode::Unregister))
        .await;
    assert_eq!((job.totals.deleted, job.totals.failed), (0, 1));
    assert_eq!(names(&site).await, before);
    let failure = &site.failures(&job).await[0].failure;
    assert_eq!(failure.code_name, "DELETION_REFUSED");
    assert!(failure.message.contains("empty"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_ends_the_job() {
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    remove(&site);
    let options = JobOptions {
        max_delete: Some(1),
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let job: Job = site.run(options).await;
    assert_eq!(job.state, JobState::Failed);
    assert!(job.failed.unwrap().contains("--max_delete 1"));
    assert!(
        names(&site)
            .await
            .iter()
            .filter(|n| n.starts_with("/gone"))
            .count()
            > 10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_text_are_followed_too() {
    let site = Site::new().await;
    site.write(b"bad\xff", "x");
    site.write(b"worse\xfe/\xfd", "x");
    site.write("good", "x");
    let options = || with(Operation::RegisterSync, DeleteMode::Unregister);
    site.run(options()).await;
    let job = site.run(options()).await;
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, 0, "they are there");
    std::fs::remove_file(site.write(b"bad\xff", "")).unwrap();
    std::fs::remove_dir_all(site.write(b"worse\xfe/\xfd", "").parent().unwrap()).unwrap();
    assert_eq!(site.run_well(options()).await.deleted, 3);
    assert_eq!(names(&site).await, ["/good"]);
}

/// The first attempt at each deletion fails.
#[derive(Debug, Default)]
struct FirstFails {
    tried: Mutex<BTreeMap<(String, String), u32>>,
    always: bool,
}

#[async_trait]
impl EventHandler for FirstFails {
    fn has_hooks(&self, event: Event) -> bool {
        matches!(event, Event::DataObjDelete | Event::CollDelete)
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let mut tried = self.tried.lock().unwrap();
        let what = (event.name().to_owned(), subject.target.to_owned());
        let tries = tried.entry(what).or_default();
        *tries += 1;
        match self.always || *tries == 1 {
            true => Err(HookError {
                message: "not now".to_owned(),
                skip: false,
            }),
            false => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_fails_is_tried_again_as_often_as_the_job_says() {
    let options = JobOptions {
        max_retries: 1,
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let site = site(Operation::RegisterSync, DeleteMode::Unregister).await;
    if site.harsh.is_some() {
        // It counts attempts, to which a harsh zone adds.
        return;
    }
    remove(&site);
    let handler = Arc::new(FirstFails::default());
    let job = site.start("first fails", options.clone()).await;
    // One by one, so that no two tasks find the same collection empty.
    let watcher = Arc::new(LogTasks);
    site.run_watched(job.id, handler.clone(), watcher).await;
    let job = site.broker.job(job.id).await.unwrap();
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.deleted, GONE);
    assert_eq!(job.totals.retried, GONE, "each of them once");
    assert!(
        handler
            .tried
            .lock()
            .unwrap()
            .values()
            .all(|tries| *tries == 2)
    );
    assert_registered(&site).await;

    // What fails to the end is in the ledger by its own name, with its attempts, and can be tried again from there.
    for name in ["gone/a", "gone/b", "gone/c"] {
        site.write(name, "x");
    }
    site.run(options.clone()).await;
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    let handler = Arc::new(FirstFails {
        always: true,
        ..FirstFails::default()
    });
    let job = site.run_with(options, handler).await;
    assert_eq!((job.totals.failed, job.totals.retried), (3, 3));
    let failures = site.failures(&job).await;
    let paths: Vec<_> = failures
        .iter()
        .map(|f| String::from_utf8(f.failure.path.clone()).unwrap())
        .collect();
    assert_eq!(
        paths,
        ["a", "b", "c"].map(|name| format!("{TARGET}/gone/{name}"))
    );
    assert!(failures.iter().all(|f| f.failure.attempts == 2));
    site.broker
        .retry(job.id, &FailureFilter::default())
        .await
        .unwrap();
    let (worker, _told) = site.worker(job.id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!((job.failures, job.pass_totals.deleted), (0, 4));
    assert_registered(&site).await;
}

/// Asks its worker to leave as soon as something is deleted.
#[derive(Debug)]
struct LeavesAfterOne(ShutdownSender);

#[async_trait]
impl EventHandler for LeavesAfterOne {
    fn has_hooks(&self, event: Event) -> bool {
        event == Event::DataObjDelete
    }

    async fn post(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        self.0.request();
        Ok(())
    }
}

/// Never comes back from what is done after the first deletion of each.
#[derive(Debug, Default)]
struct StaysOnce(Mutex<BTreeSet<String>>);

#[async_trait]
impl EventHandler for StaysOnce {
    fn has_hooks(&self, event: Event) -> bool {
        matches!(event, Event::DataObjDelete | Event::CollDelete)
    }

    async fn post(&self, _: Event, subject: Subject<'_>) -> Result<(), HookError> {
        let first = self.0.lock().unwrap().insert(subject.target.to_owned());
        match first {
            true => std::future::pending().await,
            false => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_may_not_take_longer_than_its_time_out() {
    let options = JobOptions {
        timeout: 1,
        max_retries: 1,
        delay: 0,
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let site = Site::new().await;
    for name in ["keep", "drop", "gone/f"] {
        site.write(name, name);
    }
    site.run_well(options.clone()).await;
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    std::fs::remove_file(site.source().join("drop")).unwrap();
    let job = site.run_with(options, Arc::new(StaysOnce::default())).await;
    site.assert_no_failures(&job).await;
    // Each was gone already when its time was up, and is counted all the same.
    assert_eq!(job.totals.deleted, 3);
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leaving_worker_has_not_deleted_is_deleted_by_the_next() {
    let options = JobOptions {
        files_per_task: 50,
        ..with(Operation::RegisterSync, DeleteMode::Unregister)
    };
    let site = Site::new().await;
    if site.harsh.is_some() {
        // It counts tasks, to which a harsh zone adds.
        return;
    }
    for name in ["keep", "a", "b", "c", "d"] {
        site.write(name, "x");
    }
    site.run(options.clone()).await;
    for name in ["a", "b", "c", "d"] {
        std::fs::remove_file(site.source().join(name)).unwrap();
    }
    let job = site.start("left", options).await;
    let (sender, told) = shutdown();
    let leaves = Arc::new(LeavesAfterOne(sender));
    site.worker_with(job.id, 1, leaves, told)
        .run()
        .await
        .unwrap();
    let left = site.broker.job(job.id).await.unwrap();
    assert_eq!((left.totals.deleted, left.outstanding.total()), (1, 1));
    let (worker, _told) = site.worker(job.id, 1, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!((job.state, job.totals.deleted), (JobState::Finished, 4));
    site.assert_no_failures(&job).await;
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_emptied_keeps_its_collection() {
    let pairs = Operation::ALL.map(|operation| DeleteMode::ALL.map(|mode| (operation, mode)));
    for (operation, mode) in pairs.into_iter().flatten() {
        if mode == DeleteMode::DoNotDelete || !operation.allows(mode) {
            continue;
        }
        let site = Site::new().await;
        site.write("d/a", "1");
        site.write("d/b", "1");
        site.run_well(with(operation, mode)).await;
        std::fs::remove_file(site.source().join("d/a")).unwrap();
        std::fs::remove_file(site.source().join("d/b")).unwrap();
        assert_eq!(site.run_well(with(operation, mode)).await.deleted, 2);
        assert_eq!(names(&site).await, ["/d"], "{operation}");
    }
}

fn placed(options: JobOptions, template: &str) -> JobOptions {
    JobOptions {
        rules: Rules::with_flags(None, Some(template.to_owned()), None),
        ..options
    }
}

impl Site {
    /// A job of another source, whose rules put all its files where the template says.
    async fn run_another(&self, template: &str) {
        let source = self.dir.path().join("another").canonicalize().unwrap();
        let options = with(Operation::PutSync, DeleteMode::DoNotDelete);
        let job = self
            .run_from(&source, placed(options, template), Arc::new(NoHandler))
            .await;
        self.assert_no_failures(&job).await;
    }

    /// What `plan` counts, and what it says of targets that something would be done with, or kept.
    async fn plan(&self, options: &JobOptions) -> (Counts, BTreeMap<String, String>) {
        let mut said = BTreeMap::new();
        let report = |foreseen: Foreseen| {
            let target = foreseen.target[TARGET.len()..].to_owned();
            said.insert(target, foreseen.what.to_string());
        };
        let broker: Arc<dyn Broker> = self.broker.clone();
        let survey = self.survey(options).await;
        let counts = survey.forecast(Some(broker), report).await.unwrap();
        (counts, said)
    }

    async fn surplus(&self, options: &JobOptions) -> Vec<String> {
        let mut found = Vec::new();
        let survey = self.survey(options).await;
        let report = |d: ingest::survey::verify::Difference| {
            found.push(format!("{} {}", d.what.word(), &d.target[TARGET.len()..]));
        };
        survey.verify(false, report).await.unwrap();
        found.sort();
        found
    }
}

fn write_another(site: &Site, name: &str, text: &str) -> std::path::PathBuf {
    let path = site.dir.path().join("another").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_files_have_claimed_is_kept() {
    for (operation, mode) in [
        (Operation::RegisterSync, DeleteMode::Unregister),
        (Operation::PutSync, DeleteMode::Trash),
        (Operation::PutSync, DeleteMode::NoTrash),
    ] {
        let options = with(operation, mode);
        let site = site(operation, mode).await;
        let file = write_another(&site, "theirs", "theirs");
        let_times_settle(&file).await;
        let theirs = [
            "/theirs",
            "/gone/deep/er/theirs",
            "/only/for/theirs",
            "/dir/theirs",
        ];
        for target in theirs {
            let template = target.trim_start_matches('/').replace("theirs", "{name}");
            site.run_another(&template).await;
        }
        site.create_collection(&format!("{TARGET}/only/empty"))
            .await;
        remove(&site);
        // That the file has gone where it was is not known here.
        std::fs::remove_file(file).unwrap();
        let planned = match site.harsh {
            None => Some(site.plan(&options).await),
            Some(_) => None,
        };
        let t = site.run_well(options.clone()).await;
        // All that is gone but gone, gone/deep and gone/deep/er; and only/empty.
        assert_eq!((t.deleted, t.kept), (GONE - 3 + 1, 4), "{mode}");
        if let Some((counts, said)) = planned {
            assert_eq!(
                (counts.deleted, counts.kept, counts.failed),
                (t.deleted, t.kept, 0)
            );
            let path = site.dir.path().join("another").canonicalize().unwrap();
            let path = path.join("theirs");
            assert_eq!(
                said["/theirs"],
                format!("keep (it is of {})", path.display())
            );
            assert_eq!(said["/dir/theirs"], said["/theirs"]);
            assert_eq!(said["/gone"], "delete 16 in it (of other files: 1)");
            assert_eq!(said["/only"], "delete 1 in it (of other files: 1)");
            assert_eq!(said["/drop"], "delete");
        }
        let left = names(&site).await;
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        assert_eq!(
            left,
            [
                "/.hidden",
                "/.hidden/x",
                "/dir",
                "/dir/keep",
                "/dir/theirs",
                "/gone",
                "/gone/deep",
                "/gone/deep/er",
                "/gone/deep/er/theirs",
                "/hidden",
                "/hidden/x",
                "/keep",
                "/only",
                "/only/for",
                "/only/for/theirs",
                "/theirs",
            ],
            "{mode}"
        );
        for target in theirs {
            assert_eq!(site.read(&format!("{TARGET}{target}")).await, b"theirs");
        }
        let t = site.run_well(options.clone()).await;
        assert_eq!((t.deleted, t.kept), (0, 4), "{mode}");
        if site.harsh.is_none() {
            assert_eq!(site.surplus(&options).await, [""; 0], "{mode}");
            let (counts, said) = site.plan(&options).await;
            assert_eq!((counts.deleted, counts.kept), (0, 4));
            assert_eq!(said["/only"], "keep (of other files in it: 1)");
            // What is nobody's is told all the same.
            let alone = format!("{TARGET}/only/for/nobody_s");
            let mut zone = site.connection().await;
            zone.put_bytes(&alone, b"x", &Default::default())
                .await
                .unwrap();
            drop(zone);
            assert_eq!(site.surplus(&options).await, ["surplus /only"], "{mode}");
        }
    }
}

/// Under names that rules have given, what a file has claimed goes when the file does, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_has_claimed_goes_when_it_is_gone() {
    let site = Site::new().await;
    let plain = with(Operation::PutSync, DeleteMode::NoTrash);
    let options = placed(plain, "{dir}/v1_{name}");
    for name in [
        &b"stays"[..],
        b"goes",
        b"bad\xff",
        b"d/goes",
        b"d/e/stays",
        b"gone/f/x",
    ] {
        site.write(name, "x");
    }
    let_times_settle(&site.source().join("gone/f/x")).await;
    site.run_well(options.clone()).await;
    for name in [&b"goes"[..], b"bad\xff", b"d/goes"] {
        std::fs::remove_file(site.write(name, "")).unwrap();
    }
    std::fs::remove_dir_all(site.source().join("gone")).unwrap();
    let t = site.run_well(options).await;
    assert_eq!((t.deleted, t.kept), (6, 0));
    let left = ["/d", "/d/e", "/d/e/v1_stays", "/v1_stays"];
    assert_eq!(names(&site).await, left);

    // Under other rules what is of a file that is there stays.
    let other = placed(
        with(Operation::PutSync, DeleteMode::NoTrash),
        "{dir}/v2_{name}",
    );
    let t = site.run_well(other.clone()).await;
    assert_eq!((t.uploaded, t.deleted, t.kept), (2, 0, 2));
    std::fs::remove_file(site.source().join("stays")).unwrap();
    let t = site.run_well(other).await;
    assert_eq!((t.deleted, t.kept), (2, 1));
    let left = ["/d", "/d/e", "/d/e/v1_stays", "/d/e/v2_stays"];
    assert_eq!(names(&site).await, left);
}

/// Whose an object is is asked again when it is deleted, which may be long after that was planned.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_since_it_was_to_be_deleted_is_kept() {
    let site = Site::new().await;
    if site.harsh.is_some() {
        // It counts attempts, to which a harsh zone adds.
        return;
    }
    let options = with(Operation::RegisterSync, DeleteMode::Unregister);
    // So many others have claims that asking for single objects is quicker.
    for n in 0..300 {
        write_another(&site, &format!("f{n}"), "x");
    }
    for name in ["claimed", "drop", "keep", "d/x"] {
        site.write(name, name);
    }
    let_times_settle(&site.source().join("d/x")).await;
    site.run_well(options.clone()).await;
    site.run_another("{name}").await;
    std::fs::remove_file(site.source().join("claimed")).unwrap();
    std::fs::remove_file(site.source().join("drop")).unwrap();
    let never = Arc::new(FirstFails {
        always: true,
        ..FirstFails::default()
    });
    let job = site.run_with(options.clone(), never).await;
    let t = job.totals;
    assert_eq!((t.failed, t.deleted, t.kept), (2, 0, 300));
    let mut zone = site.connection().await;
    let claimed = format!("{TARGET}/claimed");
    let avu = Avu::new("irods_sync::source", "/elsewhere/x", "");
    zone.add_avu(Entity::DataObject(&claimed), &avu)
        .await
        .unwrap();
    drop(zone);
    site.broker
        .retry(job.id, &FailureFilter::default())
        .await
        .unwrap();
    let (worker, _told) = site.worker(job.id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    let t = job.pass_totals;
    assert_eq!((job.failures, t.deleted, t.kept), (0, 1, 1));
    assert!(exists(&site, &claimed).await);
    assert!(!exists(&site, &format!("{TARGET}/drop")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_gone_nobody_is_asked_whose_it_is() {
    let site = Site::new().await;
    if site.harsh.is_some() {
        // It counts calls, to which a harsh zone adds.
        return;
    }
    site.write("a", "x");
    site.write("d/b", "x");
    let_times_settle(&site.source().join("d/b")).await;
    let options = placed(
        with(Operation::PutSync, DeleteMode::NoTrash),
        "{dir}/v1_{name}",
    );
    site.run_well(options.clone()).await;
    let job = site.start("unchanged", options).await;
    let before = site.pool.counts().total();
    let (worker, _told) = site.worker(job.id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = site.broker.job(job.id).await.unwrap();
    assert_eq!(job.totals.skipped_unchanged, 2);
    // Objects and collections of two collections.
    assert_eq!(
        site.pool.counts().total() - before,
        4,
        "{:?}",
        site.pool.counts()
    );
}
