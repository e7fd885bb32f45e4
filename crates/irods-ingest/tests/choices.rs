//! What a handler chooses for single entries counts for them and for no others; what cannot be followed is the entry's failure; no two
//! entries end in one object; and what is put elsewhere, renamed or left out is not gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use ingest::broker::{Broker, Job};
use ingest::core::choice::{Candidate, Choice, Chooses, ChosenAvu, Targets};
use ingest::core::{Event, EventHandler, HookError};
use ingest::plan::{DeleteMode, Operation};
use ingest::survey::Survey;
use ingest::survey::forecast::Foreseen;
use ingest::survey::verify::Difference;
use ingest::sync_task::JobOptions;
use irods_client::access::Grant;
use irods_client::connection::Identity;
use irods_client::metadata::{Avu, Entity};
use irods_client::protocol::api;
use support::{Site, TARGET, let_times_settle};

/// Chooses by the last element of an entry's path.
#[derive(Clone, Copy)]
struct Chooser {
    targets: Targets,
    digest: u64,
    by_name: fn(&str, &Candidate<'_>) -> Choice,
}

impl std::fmt::Debug for Chooser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chooser")
    }
}

#[async_trait]
impl EventHandler for Chooser {
    fn has_hooks(&self, _: Event) -> bool {
        false
    }

    fn chooses(&self) -> Option<Chooses> {
        Some(Chooses {
            targets: self.targets,
            users: true,
            claims: false,
            digest: self.digest,
        })
    }

    async fn choose(&self, asked: &[Candidate<'_>]) -> Result<Vec<Choice>, HookError> {
        let choose = |entry: &Candidate<'_>| {
            let path = std::str::from_utf8(entry.path).unwrap();
            (self.by_name)(path.rsplit('/').next().unwrap(), entry)
        };
        Ok(asked.iter().map(choose).collect())
    }
}

fn chooser(targets: Targets, by_name: fn(&str, &Candidate<'_>) -> Choice) -> Chooser {
    Chooser {
        targets,
        digest: 1,
        by_name,
    }
}

fn with(operation: Operation, delete_mode: DeleteMode) -> JobOptions {
    JobOptions {
        operation,
        delete_mode,
        ..JobOptions::default()
    }
}

impl Site {
    /// A run whose failures are these.
    async fn run_failing(&self, options: JobOptions, handler: Chooser, failures: &[&str]) -> Job {
        let job = self.run_with(options, Arc::new(handler)).await;
        let said: Vec<_> = self.failures(&job).await;
        let mut said: Vec<_> = said.iter().map(|f| f.failure.message.as_str()).collect();
        said.sort_unstable();
        assert_eq!(said.len(), failures.len(), "{said:#?}");
        for (said, expected) in said.iter().zip(failures) {
            assert!(said.contains(expected), "{said}: {expected}");
        }
        job
    }

    async fn names(&self) -> Vec<String> {
        let catalog = self.catalog().await;
        catalog.keys().map(ToString::to_string).collect()
    }

    async fn survey_with(&self, options: &JobOptions, handler: Chooser) -> Survey {
        let survey = self.survey(options).await;
        survey.with_handler(Arc::new(handler)).unwrap()
    }

    /// What `plan` says, sorted.
    async fn plan(&self, options: &JobOptions, handler: Chooser) -> Vec<String> {
        let mut lines = Vec::new();
        let report = |foreseen: Foreseen| {
            let target = foreseen
                .target
                .strip_prefix(TARGET)
                .unwrap_or(&foreseen.target);
            let by = foreseen.chosen_by.unwrap_or_default();
            lines.push(format!("{target}: {}; {by}", foreseen.what));
        };
        let survey = self.survey_with(options, handler).await;
        survey.forecast(None, report).await.unwrap();
        lines.sort();
        lines
    }

    async fn verify(&self, options: &JobOptions, handler: Chooser) -> Vec<Difference> {
        let mut found = Vec::new();
        let survey = self.survey_with(options, handler).await;
        survey.verify(false, |d| found.push(d)).await.unwrap();
        found
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_entry_has_its_own_operation_resource_path_avus_and_permissions() {
    let site = Site::new().await;
    site.add_user("alice").await;
    site.add_resource("other", &site.dir.path().join("vault"))
        .await;
    for name in [
        "put",
        "registered",
        "seen_elsewhere",
        "skipped",
        "no_op",
        "d/put",
        "skipped_d/x",
    ] {
        site.write(name, name);
    }
    let_times_settle(&site.source().join("skipped_d/x")).await;
    let handler = chooser(Targets::Own, |name, entry| {
        let mut choice = Choice {
            chosen_by: Some(format!("rule {name}")),
            ..Choice::default()
        };
        match name {
            "put" => {
                choice.operation = Some(Operation::PutSync);
                choice.resource = Some(Some("other".into()));
                choice.avus = ["1", "2"]
                    .map(|value| ChosenAvu {
                        avu: Avu::new("set", value, ""),
                        replaces: true,
                    })
                    .to_vec();
                choice.grants = vec![Grant::new("alice", "read")];
            }
            "seen_elsewhere" => choice.physical_path = Some("/mnt/seen".into()),
            "skipped" | "skipped_d" => choice.skip = Some("not wanted".into()),
            "no_op" => choice.operation = Some(Operation::NoOp),
            "d" => {
                assert!(entry.is_directory && entry.placed == entry.stat.is_none());
                choice.avus = vec![ChosenAvu {
                    avu: Avu::new("kind", "directory", "u"),
                    replaces: false,
                }];
            }
            _ => {}
        }
        choice
    });
    let options = with(Operation::RegisterSync, DeleteMode::DoNotDelete);
    let planned = site.plan(&options, handler).await;
    let job = site.run_failing(options.clone(), handler, &[]).await;
    assert_eq!(
        (
            job.totals.left_out,
            job.totals.registered,
            job.totals.uploaded
        ),
        (2, 2, 2)
    );
    let names = ["/d", "/d/put", "/put", "/registered", "/seen_elsewhere"];
    assert_eq!(site.names().await, names);
    let foreseen = [
        "/d/put: create: put, not over; rule put",
        "/d: create: create collection; rule d",
        "/no_op: skip (no hook); rule no_op",
        "/put: create: put, not over; rule put",
        "/registered: create: register; rule registered",
        "/seen_elsewhere: create: register; rule seen_elsewhere",
        "/skipped: leave out (not wanted); rule skipped",
        "/skipped_d: leave out (not wanted); rule skipped_d",
        ": create: create collection; rule source",
    ];
    assert_eq!(planned, foreseen);
    let catalog = site.catalog().await;
    let place = |name: &str| {
        let replica = &catalog[bstr::BStr::new(name)][0];
        (replica.hierarchy.clone(), replica.path.to_string())
    };
    assert_eq!(place("/put").0, "other");
    assert_eq!(place("/seen_elsewhere").1, "/mnt/seen");
    assert!(place("/registered").1.ends_with("/source/registered"));
    let mut zone = site.connection().await;
    let put = format!("{TARGET}/put");
    let avus = zone.list_avus(Entity::DataObject(&put)).await.unwrap();
    assert_eq!(avus, [Avu::new("set", "2", "")]);
    let access = zone.list_access(&put).await.unwrap();
    assert!(
        access
            .iter()
            .any(|a| a.user == "alice" && a.level.contains("read"))
    );
    let d = format!("{TARGET}/d");
    let avus = zone.list_avus(Entity::Collection(&d)).await.unwrap();
    assert_eq!(avus, [Avu::new("kind", "directory", "u")]);
    drop(zone);
    assert_eq!(site.verify(&options, handler).await, []);
    let job = site.run_failing(options, handler, &[]).await;
    assert_eq!(
        job.totals.files_done(),
        job.totals.skipped_unchanged + job.totals.left_out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_followed_is_the_failure_of_its_entry() {
    let site = Site::new().await;
    let names = [
        "colon",
        "good",
        "high",
        "other_zone",
        "resource",
        "user",
        "wrong",
    ];
    for name in names {
        site.write(name, name);
    }
    site.write("pair/x", "x");
    let handler = chooser(Targets::Anywhere, |name, _| {
        let target = |path: &str| Choice {
            target: Some(path.to_owned()),
            ..Choice::default()
        };
        match name {
            "colon" => target("/tempZone/home/rods/../x"),
            "high" => target("/tempZone"),
            "other_zone" => target("/otherZone/home/x"),
            "resource" => Choice {
                resource: Some(Some("nowhere".into())),
                ..Choice::default()
            },
            "user" => Choice {
                user: Some(Identity {
                    user: "nobody".into(),
                    zone: "tempZone".into(),
                }),
                ..Choice::default()
            },
            "wrong" => Choice {
                wrong: Some("it is wrong".into()),
                max_retries: Some(2),
                delay: Some(0),
                chosen_by: Some("rule 7".into()),
                ..Choice::default()
            },
            "pair" => Choice {
                delete_mode: Some(DeleteMode::Trash),
                ..Choice::default()
            },
            _ => Choice::default(),
        }
    });
    let options = with(Operation::RegisterSync, DeleteMode::DoNotDelete);
    let failures = [
        "`..` is not a name that iRODS accepts",
        "cannot act as nobody#tempZone",
        "it is wrong (chosen by rule 7)",
        "nowhere",
        "are incompatible.",
        "target /otherZone/home/x is not in zone tempZone",
        "`/tempZone` is too high",
    ];
    let mut failures = failures;
    let job = site.run_with(options, Arc::new(handler)).await;
    let said = site.failures(&job).await;
    let mut said: Vec<_> = said.iter().map(|f| f.failure.message.clone()).collect();
    said.sort();
    failures.sort_unstable();
    for failure in failures {
        assert!(
            said.iter().any(|said| said.contains(failure)),
            "{failure}: {said:#?}"
        );
    }
    assert_eq!(said.len(), failures.len());
    assert_eq!((job.totals.registered, job.totals.retried), (1, 2));
    assert_eq!(site.names().await, ["/good"]);
}

/// `x.1` is called `x`.
fn without_number(name: &str, entry: &Candidate<'_>) -> Choice {
    let target = name.split_once('.').map(|(short, _)| {
        let (collection, _) = entry.target.rsplit_once('/').unwrap();
        format!("{collection}/{short}")
    });
    Choice {
        target: target.filter(|_| !entry.placed),
        ..Choice::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_get_other_names_and_what_is_gone_is_told_by_them() {
    for options in [
        with(Operation::RegisterSync, DeleteMode::Unregister),
        JobOptions {
            compare_catalog: true,
            ..with(Operation::PutSync, DeleteMode::NoTrash)
        },
    ] {
        let site = Site::new().await;
        for name in ["a.1", "b", "d.1/c.1", "d.1/e", "gone.1", "gone_d.1/x.1"] {
            site.write(name, name);
        }
        let_times_settle(&site.source().join("gone_d.1/x.1")).await;
        let handler = chooser(Targets::Names, without_number);
        site.run_failing(options.clone(), handler, &[]).await;
        let all = [
            "/a",
            "/b",
            "/d",
            "/d/c",
            "/d/e",
            "/gone",
            "/gone_d",
            "/gone_d/x",
        ];
        assert_eq!(site.names().await, all);
        assert_eq!(site.verify(&options, handler).await, []);
        std::fs::remove_file(site.source().join("gone.1")).unwrap();
        std::fs::remove_dir_all(site.source().join("gone_d.1")).unwrap();
        let planned = site.plan(&options, handler).await;
        assert!(
            planned.contains(&"/gone: delete; ".to_owned()),
            "{planned:?}"
        );
        let job = site.run_failing(options.clone(), handler, &[]).await;
        assert_eq!(job.totals.deleted, 3);
        assert_eq!(site.names().await, ["/a", "/b", "/d", "/d/c", "/d/e"]);

        // Two names that become one: the one that is there already keeps it.
        site.write("a.0", "another");
        std::fs::create_dir(site.source().join("d.0")).unwrap();
        let taken: &[&str] = match options.compare_catalog {
            false => &["landing/a of a.0 is that of a.1", "of d.0 is that of d.1"],
            // Nothing is remembered, so nobody knows of which of them it is.
            true => &[
                "a.0 is that of a.1",
                "a.1 is that of a.0",
                "d.0 is that of d.1",
                "d.1 is that of d.0",
            ],
        };
        let job = site.run_failing(options.clone(), handler, taken).await;
        assert_eq!(job.totals.deleted, 0);
        assert_eq!(site.names().await, ["/a", "/b", "/d", "/d/c", "/d/e"]);
        assert_eq!(site.read(&format!("{TARGET}/a")).await, b"a.1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_entries_end_in_one_object_wherever_they_are_put() {
    for operation in [Operation::RegisterSync, Operation::Put, Operation::PutSync] {
        let site = Site::new().await;
        for name in ["a/one", "a/same", "b/two"] {
            site.write(name, name);
        }
        site.write("b/same", "of another size");
        let_times_settle(&site.source().join("b/two")).await;
        let handler = chooser(Targets::Anywhere, |name, entry| Choice {
            target: (!entry.is_directory).then(|| format!("{TARGET}/2024/{name}")),
            ..Choice::default()
        });
        let options = JobOptions {
            files_per_task: 1,
            ..with(operation, DeleteMode::DoNotDelete)
        };
        let taken = match operation {
            Operation::RegisterSync => "wrong resource or path",
            _ => "/2024/same of ",
        };
        for _ in 0..2 {
            site.run_failing(options.clone(), handler, &[taken]).await;
            let names = ["/2024", "/2024/one", "/2024/same", "/2024/two", "/a", "/b"];
            assert_eq!(site.names().await, names, "{operation}");
        }
        assert_eq!(
            site.verify(&options, handler).await.len(),
            usize::from(operation != Operation::Put),
            "{operation}"
        );
        // Whose it is may change it.
        site.write("a/one", "changed");
        let_times_settle(&site.source().join("a/one")).await;
        let job = site.run_failing(options.clone(), handler, &[taken]).await;
        let expected = match operation {
            Operation::RegisterSync => job.totals.updated,
            Operation::PutSync => job.totals.uploaded,
            _ => 1,
        };
        assert_eq!(expected, 1, "{operation}");
    }
}

/// Two names that become one come and go; what is there is that of who is there now, and never taken for what was there before.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_lost_its_target_is_not_taken_for_done() {
    let site = Site::new().await;
    let away = site.dir.path().join("away");
    std::fs::create_dir(&away).unwrap();
    site.write("f.1", "first");
    site.write("d.1/x", "first in d");
    site.write("d.1/only.1", "only in d.1");
    site.write("last", "");
    let_times_settle(&site.source().join("last")).await;
    let handler = chooser(Targets::Names, without_number);
    let options = with(Operation::PutSync, DeleteMode::NoTrash);
    site.run_failing(options.clone(), handler, &[]).await;
    let swap = |gone: &[&str], back: &[&str]| {
        for name in gone {
            std::fs::rename(site.source().join(name), away.join(name)).unwrap();
        }
        for name in back {
            std::fs::rename(away.join(name), site.source().join(name)).unwrap();
        }
    };
    let read = async |name: &str| {
        let bytes = site.read(&format!("{TARGET}/{name}")).await;
        String::from_utf8(bytes).unwrap()
    };
    std::fs::write(away.join("f.0"), "second").unwrap();
    std::fs::create_dir(away.join("d.0")).unwrap();
    std::fs::write(away.join("d.0/x"), "second in d").unwrap();
    let_times_settle(&away.join("d.0/x")).await;
    let (first, second) = (["f.1", "d.1"], ["f.0", "d.0"]);
    for (gone, back, f, x, only) in [
        (first, second, "second", "second in d", false),
        (second, first, "first", "first in d", true),
        (first, second, "second", "second in d", false),
    ] {
        swap(&gone, &back);
        let broker: Arc<dyn Broker> = site.broker.clone();
        let planned = site.survey_with(&options, handler).await;
        let planned = planned.forecast(Some(broker), |_| {}).await.unwrap();
        let job = site.run_failing(options.clone(), handler, &[]).await;
        assert_eq!(job.totals.uploaded, planned.uploaded);
        assert_eq!((read("f").await, read("d/x").await), (f.into(), x.into()));
        let names = site.names().await;
        assert_eq!(names.contains(&"/d/only".to_owned()), only, "{names:?}");
        assert_eq!(site.verify(&options, handler).await, []);
        let job = site.run_failing(options.clone(), handler, &[]).await;
        assert_eq!(job.totals.uploaded, 0, "{:?}", job.totals);
    }
}

/// A directory that was gone for a pass, with all that it had in the zone, and is back as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_comes_back_is_brought_in_again() {
    let site = Site::new().await;
    site.write("kept", "1");
    site.write("d/e/f", "f");
    std::fs::create_dir(site.source().join("d/empty")).unwrap();
    let_times_settle(&site.source().join("d/e/f")).await;
    let options = with(Operation::RegisterSync, DeleteMode::Unregister);
    let all = ["/d", "/d/e", "/d/e/f", "/d/empty", "/kept"];
    let run = async || site.run(options.clone()).await.totals;
    run().await;
    assert_eq!(site.names().await, all);
    let away = site.dir.path().join("away");
    std::fs::rename(site.source().join("d"), &away).unwrap();
    run().await;
    assert_eq!(site.names().await, ["/kept"]);
    std::fs::rename(&away, site.source().join("d")).unwrap();
    let totals = run().await;
    assert_eq!(site.names().await, all);
    assert_eq!((totals.registered, totals.collections_created), (1, 3));
    assert_eq!(run().await.registered, 0);
}

/// What is there already is that of the file that belongs there, or of the file that it says it is of.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_that_of_one_file_whoever_comes() {
    let site = Site::new().await;
    for name in ["home", "a/same", "b/same", "a/other", "b/other"] {
        site.write(name, name);
    }
    site.write("b/same", "a/same");
    let_times_settle(&site.source().join("b/same")).await;
    let plain = with(Operation::PutSync, DeleteMode::DoNotDelete);
    // By hand, or by another tool.
    let mut zone = site.connection().await;
    zone.create_collection(TARGET, false).await.unwrap();
    for (name, text) in [("home", "old"), ("other", "by hand"), ("same", "a/same")] {
        let object = format!("{TARGET}/{name}");
        let bytes = Box::new(text.as_bytes());
        zone.put(&object, bytes, text.len() as u64, &Default::default())
            .await
            .unwrap();
    }
    drop(zone);
    // Those of `a` go up one; what belongs there stays.
    let up = chooser(Targets::Anywhere, |name, entry| {
        let of_a = entry.path.windows(3).any(|part| part == b"/a/");
        Choice {
            target: (of_a && !entry.is_directory).then(|| format!("{TARGET}/{name}")),
            ..Choice::default()
        }
    });
    let planned = site.plan(&plain, up).await;
    let failing = |name: &str| {
        let mut lines = planned.iter();
        lines.any(|line| line.starts_with(name) && line.contains(": fail (target"))
    };
    assert!(failing("/other") && failing("/same"), "{planned:#?}");
    let failing = ["/other of ", "/same of "];
    let retrying = JobOptions {
        max_retries: 2,
        ..plain.clone()
    };
    site.run_failing(retrying, up, &failing).await;
    let read = async |name: &str| {
        let bytes = site.read(&format!("{TARGET}/{name}")).await;
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(read("home").await, "home", "it belongs there");
    assert_eq!(read("other").await, "by hand", "nobody knows whose it is");
    // Nor is what holds the same its own, and does not follow it.
    site.write("a/same", "changed");
    let_times_settle(&site.source().join("a/same")).await;
    let job = site.run_failing(plain.clone(), up, &failing).await;
    assert_eq!(read("same").await, "a/same");
    // It is once it is said, as the failure says it.
    let said = &site.failures(&job).await[1].failure.message;
    let (_, avu) = said.split_once(" has the AVU ").unwrap();
    let (name, value) = avu.split_once(" with the value ").unwrap();
    let same = format!("{TARGET}/same");
    let mut zone = site.connection().await;
    zone.set_avu(Entity::DataObject(&same), &Avu::new(name, value, ""))
        .await
        .unwrap();
    drop(zone);
    site.run_failing(plain.clone(), up, &failing[..1]).await;
    assert_eq!(read("same").await, "changed");
    // A job that chooses nothing has a file of that name.
    site.write("same", "of the plain job");
    let_times_settle(&site.source().join("same")).await;
    let job = site.run(plain.clone()).await;
    let said = site.failures(&job).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].failure.code_name, "TARGET_TAKEN", "{said:?}");
    assert_eq!(read("same").await, "changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_entries_may_be_put_anywhere_nothing_is_deleted() {
    let site = Site::new().await;
    site.write("kept", "1");
    let last = site.write("gone", "1");
    let_times_settle(&last).await;
    let handler = chooser(Targets::Anywhere, |_, _| Choice::default());
    let options = with(Operation::RegisterSync, DeleteMode::Unregister);
    site.run_failing(options.clone(), handler, &[]).await;
    std::fs::remove_file(&last).unwrap();
    let job = site.run_failing(options, handler, &[]).await;
    assert_eq!(job.totals.deleted, 0);
    let log = site.broker.events(job.id).await.unwrap();
    let said = log
        .iter()
        .filter(|event| event.text.contains("nothing is deleted"));
    assert_eq!(said.count(), 1);
    assert_eq!(site.names().await, ["/gone", "/kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_of_the_choices_that_it_was_made_with() {
    let site = Site::new().await;
    let file = site.write("f", "1");
    let_times_settle(&file).await;
    let options = with(Operation::PutSync, DeleteMode::DoNotDelete);
    let nothing = chooser(Targets::Own, |_, _| Choice {
        operation: Some(Operation::NoOp),
        ..Choice::default()
    });
    site.run_failing(options.clone(), nothing, &[]).await;
    let uploads = Chooser {
        digest: 2,
        ..chooser(Targets::Own, |_, _| Choice::default())
    };
    let job = site.run_failing(options.clone(), uploads, &[]).await;
    assert_eq!(
        job.totals.uploaded, 1,
        "the other handler's run does not count"
    );
    let job = site.run_failing(options, uploads, &[]).await;
    assert_eq!(job.totals.skipped_unchanged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_applied_as_the_user_that_was_chosen() {
    let site = Site::new().await;
    site.add_user("alice").await;
    for name in ["alice/x", "ours"] {
        site.write(name, name);
    }
    let_times_settle(&site.source().join("ours")).await;
    let handler = chooser(Targets::Anywhere, |name, entry| match name {
        "alice" | "x" => Choice {
            user: Some(Identity {
                user: "alice".into(),
                zone: "tempZone".into(),
            }),
            target: (!entry.placed && entry.is_directory)
                .then(|| "/tempZone/home/alice/made".to_owned()),
            ..Choice::default()
        },
        _ => Choice::default(),
    });
    let options = with(Operation::PutSync, DeleteMode::DoNotDelete);
    site.run_failing(options, handler, &[]).await;
    let mut zone = site.connection().await;
    for (path, owner) in [
        ("/tempZone/home/alice/made", "alice"),
        ("/tempZone/home/alice/made/x", "alice"),
        ("/tempZone/home/rods/landing/ours", "rods"),
    ] {
        let access = zone.list_access(path).await.unwrap();
        let owns = access.iter().find(|access| access.level == "own");
        assert_eq!(
            owns.map(|access| access.user.as_str()),
            Some(owner),
            "{path} {access:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn avus_and_permissions_come_with_what_is_uploaded() {
    let site = Site::new().await;
    for number in 0..20 {
        site.write(format!("f{number:02}"), vec![b'x'; number]);
    }
    // Of several messages.
    site.write("large", vec![b'x'; 5 << 20]);
    let_times_settle(&site.source().join("large")).await;
    fn wanted(name: &str) -> [Avu; 2] {
        [Avu::new("a;b\\", "1;2", "u"), Avu::new("name", name, "")]
    }
    let handler = chooser(Targets::Own, |name, _| Choice {
        avus: wanted(name)
            .into_iter()
            .map(|avu| ChosenAvu {
                avu,
                replaces: true,
            })
            .collect(),
        grants: vec![Grant::new("public", "read"), Grant::new("public", "write")],
        ..Choice::default()
    });
    let options = JobOptions {
        operation: Operation::PutSync,
        ..JobOptions::default()
    };
    let job = site.run_with(options, Arc::new(handler)).await;
    assert_eq!((job.totals.uploaded, job.totals.failed), (21, 0));
    let counts = site.pool.counts();
    assert_eq!(counts.of(api::DATA_OBJ_PUT), 21);
    // The collection's, and those of the large file, which cannot come with its bytes.
    let added = counts.of(api::MOD_AVU_METADATA) + counts.of(api::ATOMIC_APPLY_METADATA_OPERATIONS);
    assert!(added <= 4, "{added}");
    assert_eq!(counts.of(api::ATOMIC_APPLY_ACL_OPERATIONS), 2);
    let mut zone = site.connection().await;
    for name in (0..20).map(|n| format!("f{n:02}")).chain(["large".into()]) {
        let object = format!("{TARGET}/{name}");
        let mut avus = zone.list_avus(Entity::DataObject(&object)).await.unwrap();
        avus.sort_by(|a, b| a.attribute.cmp(&b.attribute));
        assert_eq!(avus, wanted(&name), "{name}");
        let access = zone.list_access(&object).await.unwrap();
        let level = access.iter().find(|access| access.user == "public");
        assert_eq!(level.unwrap().level, "modify_object", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_cannot_be_given_fails_its_file_each_time() {
    let site = Site::new().await;
    // One that is sent alone, and some that are sent together.
    site.write("alone", vec![b'x'; 100_000]);
    for number in 0..3 {
        site.write(format!("f{number}"), "x");
    }
    let_times_settle(&site.source().join("f2")).await;
    fn of_files(entry: &Candidate<'_>, grant: Grant) -> Choice {
        Choice {
            grants: match entry.is_directory {
                true => Vec::new(),
                false => vec![grant],
            },
            ..Choice::default()
        }
    }
    let run = async |by_name| {
        let options = JobOptions {
            operation: Operation::PutSync,
            ..JobOptions::default()
        };
        let handler = Arc::new(chooser(Targets::Own, by_name));
        site.run_with(options, handler).await
    };
    for _ in 0..2 {
        let job = run(|_, entry| of_files(entry, Grant::new("public", "sing"))).await;
        assert_eq!((job.failures, job.totals.failed), (4, 4));
    }
    for _ in 0..2 {
        let job = run(|_, entry| of_files(entry, Grant::new("nobody", "read"))).await;
        assert_eq!((job.failures, job.totals.failed), (4, 4));
    }
    let job = run(|_, entry| of_files(entry, Grant::new("public", "read"))).await;
    assert_eq!(job.failures, 0);
    let mut zone = site.connection().await;
    for name in ["alone", "f0", "f1", "f2"] {
        let object = format!("{TARGET}/{name}");
        let access = zone.list_access(&object).await.unwrap();
        assert!(
            access.iter().any(|access| access.user == "public"),
            "{name}"
        );
    }
}
