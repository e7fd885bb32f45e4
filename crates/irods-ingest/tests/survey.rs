//! What is foreseen is what happens, and what was done is found to be the same: over generated trees, edits, operations and
//! delete modes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::broker::{Broker, Counts};
use ingest::core::NoHandler;
use ingest::core::rules::Rules;
use ingest::plan::{DeleteMode, Operation, check_compatible};
use ingest::survey::forecast::Foreseen;
use ingest::survey::verify::{Difference, Verified, What};
use ingest::sync_task::{ChecksumPolicy, JobOptions};
use irods_client::collection::ReplicaStatus;
use irods_client::replica::{Changes, Which};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use support::{Site, TARGET, let_times_settle};

impl Site {
    async fn plan(&self, options: &JobOptions) -> (Counts, Vec<Foreseen>) {
        let mut foreseen = Vec::new();
        let broker: Arc<dyn Broker> = self.broker.clone();
        let survey = self.survey(options).await;
        let counts = survey.forecast(Some(broker), |f| foreseen.push(f)).await;
        (counts.unwrap(), foreseen)
    }

    async fn verify(&self, options: &JobOptions, bytes: bool) -> (Verified, Vec<Difference>) {
        let mut found = Vec::new();
        let survey = self.survey(options).await;
        let verified = survey.verify(bytes, |d| found.push(d)).await.unwrap();
        assert_eq!(verified.differences, found.len() as u64);
        (verified, found)
    }
}

/// Names that are hard on somebody: shells, XML, SQL, globs, sorting.
const NAMES: [&str; 12] = [
    "a",
    "b.txt",
    ".hidden",
    "with space",
    "it's",
    "\"q\"",
    "&<>",
    "`tick`",
    "%_[x]*?",
    "Größe",
    "日本",
    "a-",
];

/// Everything that a source has, as paths relative to it.
fn entries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                left.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let below = entries(root).into_iter();
    let directories = below.filter(|path| path.symlink_metadata().unwrap().is_dir());
    std::iter::once(root.to_owned())
        .chain(directories)
        .collect()
}

/// A step of whoever works in the source.
fn edit(rng: &mut StdRng, root: &Path) {
    let parent = directories(root).choose(rng).unwrap().clone();
    let new = parent.join(NAMES.choose(rng).unwrap());
    let taken = new.symlink_metadata().is_ok();
    match rng.random_range(0..10) {
        0..4 if !taken => {
            let length = *[0, 1, 7, 4096, 70_000].choose(rng).unwrap();
            std::fs::write(new, vec![b'x'; length]).unwrap();
        }
        4..6 if !taken => std::fs::create_dir(new).unwrap(),
        6 if !taken => symlink("nowhere", new).unwrap(),
        _ => {
            let all = entries(root);
            let Some(victim) = all.choose(rng) else {
                return;
            };
            let meta = victim.symlink_metadata().unwrap();
            match rng.random_range(0..4) {
                0 if meta.is_dir() => std::fs::remove_dir_all(victim).unwrap(),
                0 => std::fs::remove_file(victim).unwrap(),
                _ if meta.is_file() => {
                    use std::io::Write;
                    let mut file = std::fs::File::options().append(true).open(victim).unwrap();
                    file.write_all(b"and more").unwrap();
                }
                _ => {}
            }
        }
    }
}

fn plan_of(rng: &mut StdRng) -> JobOptions {
    loop {
        let operation = *Operation::ALL.choose(rng).unwrap();
        let options = JobOptions {
            operation,
            delete_mode: *DeleteMode::ALL.choose(rng).unwrap(),
            // What was uploaded a moment ago is not proven to be equal, so PUT_SYNC sends it again.
            compare_catalog: operation == Operation::RegisterSync && rng.random(),
            files_per_task: rng.random_range(1..5),
            ..JobOptions::default()
        };
        let replica = options.operation == Operation::RegisterAsReplicaSync;
        if !replica && check_compatible(options.operation, options.delete_mode).is_ok() {
            return options;
        }
    }
}

/// What a job counts that is no matter of how it was cut into tasks.
fn foreseeable(mut counts: Counts) -> Counts {
    counts.tasks = 0;
    counts.retried = 0;
    counts
}

/// What the files of a source hold; links by their text.
fn contents(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let content = |path: PathBuf| {
        let bytes = match path.symlink_metadata().unwrap().is_file() {
            true => Some(std::fs::read(&path).unwrap()),
            false => None,
        };
        (path, bytes)
    };
    entries(root).into_iter().map(content).collect()
}

/// One story: edits and jobs into one collection, whatever the operations, as people do it.
async fn story(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new().await;
    let root = site.source();
    std::fs::write(root.join("first"), "first").unwrap();
    for round in 0..4 {
        for _ in 0..rng.random_range(0..8) {
            edit(&mut rng, &root);
        }
        for path in entries(&root) {
            let_times_settle(&path).await;
        }
        let before = contents(&root);
        let options = plan_of(&mut rng);
        let told = format!("seed {seed}, round {round}: {options:?}");
        let (planned, foreseen) = site.plan(&options).await;
        let (again, _) = site.plan(&options).await;
        assert_eq!(planned, again, "planning changed something; {told}");
        let job = site.run(options.clone()).await;
        let failures = site.failures(&job).await;
        let failures: Vec<_> = failures.iter().map(|f| &f.failure.message).collect();
        assert_eq!(
            foreseeable(job.totals),
            planned,
            "{told} {failures:#?} {foreseen:#?}"
        );
        assert_eq!(before, contents(&root), "the source changed; {told}");
        if job.totals.failed > 0 || options.operation == Operation::NoOp {
            continue;
        }
        // PUT leaves alone what is there, and PUT_APPEND trusts that it is how the file begins.
        let bytes = !matches!(options.operation, Operation::Put | Operation::PutAppend);
        let (_, differences) = site.verify(&options, bytes).await;
        let kept: Vec<_> = differences
            .iter()
            .filter(|d| options.deletes() || d.what != What::Surplus)
            .collect();
        // An empty source deletes nothing.
        let empty = std::fs::read_dir(&root).unwrap().next().is_none();
        assert!(kept.is_empty() || empty, "{kept:#?} {told}");
        let job = site.run(options.clone()).await;
        assert_eq!(job.totals.registered + job.totals.uploaded, 0, "{told}");
        assert_eq!(job.totals.updated + job.totals.deleted, 0, "{told}");
    }
}

/// `IRODS_SURVEY_SEEDS=FROM..TO` tells other stories.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    match std::env::var("IRODS_SURVEY_SEEDS") {
        Ok(seeds) => {
            let (from, to) = seeds.split_once("..").unwrap();
            from.parse().unwrap()..to.parse().unwrap()
        }
        Err(_) => 0..usual,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_what_happens_and_then_nothing_differs() {
    for seed in seeds(12) {
        story(seed).await;
    }
}

/// One story of files that rules put together, and that may be meant for one target: whose that is stays so.
async fn story_with_rules(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new().await;
    let root = site.source();
    let target = *["flat/{name}", "by/{stem}/{ext}.{name}", "{dir}/v_{name}"]
        .choose(&mut rng)
        .unwrap();
    let operations = [Operation::RegisterSync, Operation::Put, Operation::PutSync];
    let options = JobOptions {
        operation: *operations.choose(&mut rng).unwrap(),
        files_per_task: rng.random_range(1..4),
        rules: Rules::with_flags(None, Some(target.to_owned()), None),
        ..JobOptions::default()
    };
    std::fs::write(root.join("first"), "first").unwrap();
    let mut written = 0;
    for round in 0..4 {
        for _ in 0..rng.random_range(4..14) {
            edit(&mut rng, &root);
        }
        for path in entries(&root) {
            // No two are equal, so that it is certain whose an object is.
            if path.symlink_metadata().unwrap().is_file() && rng.random() {
                written += 1;
                std::fs::write(&path, format!("{written} {}", "x".repeat(written))).unwrap();
            }
            let_times_settle(&path).await;
        }
        let told = format!("seed {seed}, round {round}: {options:?}");
        // Which of several files comes first is chance, and so is how large it is.
        let whoever = |counts| Counts {
            bytes_uploaded: 0,
            bytes_registered: 0,
            ..foreseeable(counts)
        };
        let (planned, foreseen) = site.plan(&options).await;
        let job = site.run(options.clone()).await;
        let failures = site.failures(&job).await;
        let failures: Vec<_> = failures.iter().map(|f| &f.failure.message).collect();
        let (did, planned) = (whoever(job.totals), whoever(planned));
        assert_eq!(did, planned, "{told} {failures:#?} {foreseen:#?}");
        let again = site.run(options.clone()).await;
        let all = again.totals;
        assert_eq!(all.failed, did.failed, "{told}");
        assert_eq!(
            (
                all.registered + all.uploaded,
                all.updated,
                all.collections_created
            ),
            (0, 0, 0),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_rules_is_what_happens() {
    for seed in seeds(8) {
        story_with_rules(seed).await;
    }
}

/// Each kind of difference is found, under its name, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn every_difference_is_found() {
    let site = Site::new().await;
    let options = JobOptions {
        exclude_file_name: vec![".*left_out".into()],
        ..JobOptions::default()
    };
    for name in ["same", "gone", "grown", "moved", "stale", "d/deep", "e/f"] {
        site.write(name, name);
    }
    site.run(options.clone()).await;
    assert_eq!(site.verify(&options, true).await.1, []);
    std::fs::remove_file(site.source().join("gone")).unwrap();
    std::fs::remove_dir_all(site.source().join("e")).unwrap();
    site.write("grown", "has grown");
    site.write("new", "new");
    site.write("a_left_out", "is left out");
    site.write("newdir/x", "x");
    std::fs::remove_file(site.source().join("moved")).unwrap();
    std::fs::create_dir(site.source().join("moved")).unwrap();
    let mut zone = site.connection().await;
    let stale = format!("{TARGET}/stale");
    let changes = Changes {
        size: Some(5),
        mtime: Some(1),
        ..Changes::default()
    };
    zone.modify_replica(&stale, &Which::Number(0), &changes)
        .await
        .unwrap();
    drop(zone);
    let (verified, found) = site.verify(&options, true).await;
    let found: BTreeSet<(String, &str)> = found
        .iter()
        .map(|d| (d.target[TARGET.len()..].to_owned(), d.what.word()))
        .collect();
    let expected = [
        ("/e", "surplus"),
        ("/gone", "surplus"),
        ("/grown", "size"),
        ("/moved", "kind"),
        ("/new", "missing"),
        ("/newdir", "missing"),
        ("/newdir/x", "missing"),
        ("/stale", "time"),
    ];
    let expected = expected.map(|(name, word)| (name.to_owned(), word));
    assert_eq!(found, BTreeSet::from(expected));
    assert_eq!(
        (verified.files, verified.directories, verified.excluded),
        (6, 3, 1)
    );
}

/// Bytes that changed while size and times stayed are found where the bytes are asked for.
#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_of_equal_size_and_time_are_found() {
    let site = Site::new().await;
    let options = JobOptions {
        operation: Operation::PutSync,
        checksum: ChecksumPolicy::Verify,
        ..JobOptions::default()
    };
    site.write("small", "small");
    site.write("large", vec![7; 9_000_000]);
    site.run(options.clone()).await;
    assert_eq!(site.verify(&options, true).await.1, []);
    let catalog = site.catalog().await;
    for (name, at) in [("/small", 2), ("/large", 8_500_000)] {
        let replica = &catalog[name.as_bytes()][0];
        assert_eq!(replica.status, ReplicaStatus::Good);
        let path = replica.path.to_string();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] = b'!';
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(site.verify(&options, false).await.1, []);
    let (_, found) = site.verify(&options, true).await;
    let mut found: Vec<_> = found.into_iter().map(|d| d.what).collect();
    found.sort_by_key(|what| what.to_string().len());
    assert_eq!(
        found,
        [What::Bytes { at: 2 }, What::Bytes { at: 8_500_000 }]
    );
}

/// One story of two jobs of sources of their own that share a collection: one deletes what its source has not, the other puts its files
/// among those of the first, by rules. What it put is there to the end.
async fn story_of_two_jobs(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new().await;
    let root = site.source();
    let another = site.dir.path().join("another");
    std::fs::create_dir(&another).unwrap();
    let another = another.canonicalize().unwrap();
    let (operation, delete_mode) = *[
        (Operation::RegisterSync, DeleteMode::Unregister),
        (Operation::PutSync, DeleteMode::Trash),
        (Operation::PutSync, DeleteMode::NoTrash),
    ]
    .choose(&mut rng)
    .unwrap();
    let own =
        (operation == Operation::PutSync && rng.random()).then(|| "{dir}/v_{name}".to_owned());
    let options = JobOptions {
        operation,
        delete_mode,
        files_per_task: rng.random_range(1..4),
        // What leads nowhere cannot be uploaded.
        exclude_file_type: "link".to_owned(),
        rules: Rules::with_flags(None, own, None),
        ..JobOptions::default()
    };
    std::fs::write(root.join("first"), "first").unwrap();
    let mut put = BTreeSet::new();
    for round in 0..5 {
        for _ in 0..rng.random_range(4..10) {
            edit(&mut rng, &root);
        }
        // Files of the other job, each with a name that nothing else has, into some directory that is there now.
        let below = directories(&root);
        let below = below.choose(&mut rng).unwrap().strip_prefix(&root).unwrap();
        let name = format!("of_another_{round}");
        std::fs::write(another.join(&name), &name).unwrap();
        for path in entries(&root).iter().chain([&another.join(&name)]) {
            let_times_settle(path).await;
        }
        // Where a directory became a file, and its collection stays for the other's, that fails by right.
        site.run(options.clone()).await;
        let template = match (below.to_str().unwrap(), rng.random()) {
            (_, true) => "only/theirs/{name}".to_owned(),
            (below, false) => format!("{}/{{name}}", below.replace('{', "{{")),
        };
        let theirs = JobOptions {
            operation: Operation::PutSync,
            exclude_file_name: (0..round).map(|n| format!(".*/of_another_{n}")).collect(),
            rules: Rules::with_flags(None, Some(template.clone()), None),
            ..JobOptions::default()
        };
        let job = site.run_from(&another, theirs, Arc::new(NoHandler)).await;
        site.assert_no_failures(&job).await;
        assert_eq!(job.totals.uploaded, 1, "seed {seed}, {template}");
        put.insert((template.replace("{name}", &name).replace("{{", "{"), name));
        for _ in 0..rng.random_range(0..6) {
            edit(&mut rng, &root);
        }
        for path in entries(&root) {
            let_times_settle(&path).await;
        }
        let told = format!("seed {seed}, round {round}: {options:?} {template}");
        let (planned, foreseen) = site.plan(&options).await;
        let job = site.run(options.clone()).await;
        let failures = site.failures(&job).await;
        let failures: Vec<_> = failures.iter().map(|f| &f.failure.message).collect();
        assert_eq!(
            foreseeable(job.totals),
            planned,
            "{told} {failures:#?} {foreseen:#?}"
        );
        for (target, content) in &put {
            let object = format!("{TARGET}/{}", target.trim_start_matches('/'));
            assert_eq!(site.read(&object).await, content.as_bytes(), "{told}");
        }
        if failures.is_empty() {
            let (_, differences) = site.verify(&options, true).await;
            assert_eq!(differences, [], "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_share_a_collection_are_planned_and_keep_what_is_the_other_s() {
    for seed in seeds(8) {
        story_of_two_jobs(seed).await;
    }
}
