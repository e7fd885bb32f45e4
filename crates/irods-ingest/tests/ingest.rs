//! Trees into a real zone, and back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bstr::{BString, ByteSlice};
use ingest::broker::{Broker, JobState};
use ingest::core::NoHandler;
use ingest::plan::Operation;
use ingest::sync_task::job::{self};
use ingest::sync_task::{ChecksumPolicy, JobOptions};
use irods_client::collection::ReplicaStatus;
use irods_client::metadata::Avu;
use irods_client::protocol::api;
use support::{Site, TARGET, assert_registered, let_times_settle, request, tree};

fn with(operation: Operation) -> JobOptions {
    JobOptions {
        operation,
        files_per_task: 3,
        ..JobOptions::default()
    }
}

/// Nested and empty directories, odd names, an empty file, links.
fn odd_tree(site: &Site) {
    for (name, content) in [
        ("plain.txt", "plain"),
        ("empty", ""),
        ("a/b/c/deep file", "deep"),
        ("quotes ' \" ` here/it's", "quoted"),
        ("<xml> & co/&amp;", "markup"),
        ("größe/データ.tsv", "text"),
        ("percent % _ like/100%", "wild"),
        ("back\\slash", "b"),
        (".hidden/.x", "h"),
    ] {
        site.write(name, content);
    }
    for n in 0..10 {
        site.write(format!("many/file {n}"), vec![b'x'; n * 100]);
    }
    std::fs::create_dir_all(site.source().join("nothing/in/here")).unwrap();
    symlink("plain.txt", site.source().join("link")).unwrap();
    symlink("nowhere", site.source().join("dangling")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_registered_exactly_and_a_rescan_makes_no_call() {
    let site = Site::new().await;
    odd_tree(&site);
    let_times_settle(&site.source().join("dangling")).await;
    let job = site.run(with(Operation::RegisterSync)).await;
    site.assert_no_failures(&job).await;
    assert_eq!(job.state, JobState::Finished);
    assert_registered(&site).await;
    let source = tree(&site.source());
    let files = source.values().filter(|m| !m.is_dir()).count() as u64;
    let directories = source.len() as u64 - files + 1;
    assert_eq!(
        (job.totals.files_seen, job.totals.registered),
        (files, files)
    );
    assert_eq!(
        (job.totals.dirs_seen, job.totals.collections_created),
        (directories, directories)
    );
    assert_eq!(job.totals.skipped_unchanged, 0);

    // Starting a job looks at the target; everything after that must be nothing.
    let name = "rescan";
    let job = site.start(name, with(Operation::RegisterSync)).await;
    // A harsh zone may have ended the connection, so that there is a log-in.
    let calls = || {
        let counts = site.pool.counts();
        let logins = [api::AUTH_REQUEST, api::AUTH_RESPONSE, api::AUTHENTICATION];
        let logins: u64 = logins.iter().map(|api| counts.of(*api)).sum();
        counts.total() - logins * u64::from(site.harsh.is_some())
    };
    let before = calls();
    let (worker, _told) = site.worker(job.id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = Broker::job(site.broker.as_ref(), job.id).await.unwrap();
    assert_eq!(job.totals.skipped_unchanged, files);
    assert_eq!(calls() - before, 0, "{:?}", site.pool.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_tree_is_registered_by_many_tasks_at_a_time() {
    let site = Site::new().await;
    for branch in ["one", "other"] {
        let mut directory = format!("d/{branch}");
        for depth in 0..10 {
            directory = format!("{directory}/d{depth}");
            for n in 0..2 {
                site.write(format!("{directory}/{n}"), "x".repeat(depth));
            }
        }
    }
    let options = JobOptions {
        files_per_task: 1,
        ..with(Operation::RegisterSync)
    };
    let job = site.start("deep", options).await;
    let (worker, _told) = site.worker(job.id, 10, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = Broker::job(site.broker.as_ref(), job.id).await.unwrap();
    site.assert_no_failures(&job).await;
    assert_eq!(job.totals.registered, 40);
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_is_done_again() {
    let site = Site::new().await;
    for n in 0..20 {
        site.write(format!("d{}/f{n}", n % 3), vec![b'a'; n]);
    }
    let_times_settle(&site.source().join("d1/f19")).await;
    site.run(with(Operation::RegisterSync)).await;
    // The catalog has times in seconds: these are others than before.
    site.write_dated("d0/f3", "rather longer than before", 1_000_000_000);
    site.write_dated("d1/f4", [b'a'; 4], 1_000_000_001);
    site.write("d1/new", "new");
    let job = site.run(with(Operation::RegisterSync)).await;
    site.assert_no_failures(&job).await;
    let t = job.totals;
    assert_eq!((t.updated, t.registered, t.skipped_unchanged), (2, 1, 18));
    assert_registered(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_hold_the_bytes_and_follow_changes() {
    let site = Site::new().await;
    odd_tree(&site);
    std::fs::remove_file(site.source().join("dangling")).unwrap();
    site.write(
        "large",
        (0..9_000_000u32)
            .map(|n| n as u8 ^ (n >> 8) as u8)
            .collect::<Vec<_>>(),
    );
    let_times_settle(&site.source().join("large")).await;
    let job = site
        .run(JobOptions {
            checksum: ChecksumPolicy::Verify,
            ..with(Operation::PutSync)
        })
        .await;
    site.assert_no_failures(&job).await;
    let files = tree(&site.source())
        .values()
        .filter(|m| !m.is_dir())
        .count() as u64;
    assert_eq!(job.totals.uploaded, files);
    for (name, meta) in tree(&site.source()) {
        if !meta.is_dir() {
            let expected =
                std::fs::read(site.source().join(name.to_string().trim_start_matches('/')))
                    .unwrap();
            assert_eq!(
                site.read(&format!("{TARGET}{name}")).await,
                expected,
                "{name}"
            );
        }
    }
    // Neither begins as it did before.
    let changed = [
        ("a/b/c/deep file", "Bee"),
        ("back\\slash", "another, and longer"),
    ];
    for (name, content) in changed {
        let path = site.write(name, content);
        let_times_settle(&path).await;
    }
    let job = site
        .run(JobOptions {
            checksum: ChecksumPolicy::Verify,
            ..with(Operation::PutSync)
        })
        .await;
    site.assert_no_failures(&job).await;
    let catalog = site.catalog().await;
    for (name, content) in changed {
        let read = site.read(&format!("{TARGET}/{name}")).await;
        assert_eq!(read, content.as_bytes());
        let [replica] = &catalog[&BString::from(format!("/{name}"))][..] else {
            panic!("one replica of {name} is expected");
        };
        let found = (replica.status, replica.size);
        assert_eq!(found, (ReplicaStatus::Good, content.len() as u64));
    }
    assert_eq!(
        job.totals.uploaded + job.totals.updated,
        2,
        "{:?}",
        job.totals
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn put_leaves_what_exists_and_append_adds_the_new_end() {
    let site = Site::new().await;
    let log = site.write("log", "one\n");
    let_times_settle(&log).await;
    site.run(with(Operation::Put)).await;
    site.write("log", "one\ntwo\n");
    let_times_settle(&log).await;
    let t = site.run_well(with(Operation::Put)).await;
    assert_eq!((t.uploaded, t.skipped_unchanged), (0, 1));
    assert_eq!(site.read(&format!("{TARGET}/log")).await, b"one\n");
    let job = site.run(with(Operation::PutAppend)).await;
    site.assert_no_failures(&job).await;
    assert_eq!(site.read(&format!("{TARGET}/log")).await, b"one\ntwo\n");
    let t = job.totals;
    match site.harsh {
        None => assert_eq!((t.appended, t.bytes_uploaded), (1, 4)),
        // An end that is found to be there, since only the answer was lost, counts as nothing written; what an interrupted
        // append left is uploaded as a whole.
        Some(_) => assert_eq!(t.appended + t.uploaded + t.updated + t.metadata_only, 1),
    }
    // Shorter than the object: refused, and said.
    site.write("log", "x");
    let_times_settle(&log).await;
    let job = site.run(with(Operation::PutAppend)).await;
    assert_eq!(job.totals.failed, 1);
    assert_eq!(site.read(&format!("{TARGET}/log")).await, b"one\ntwo\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_file_fails_alone() {
    let site = Site::new().await;
    for n in 0..5 {
        site.write(format!("f{n}"), "x");
    }
    site.create_collection(&format!("{TARGET}/f2")).await;
    let job = site.run(with(Operation::RegisterSync)).await;
    assert_eq!((job.totals.registered, job.totals.failed), (4, 1));
    assert_eq!(job.state, JobState::Finished);
    let [failure] = &site.failures(&job).await[..] else {
        panic!("one failure is expected")
    };
    assert!(failure.failure.path.ends_with(b"/f2"));
    assert!(
        failure.failure.message.contains("cannot sync file"),
        "{}",
        failure.failure.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_text_and_special_files() {
    for operation in [
        Operation::RegisterSync,
        Operation::Put,
        Operation::PutSync,
        Operation::PutAppend,
    ] {
        let site = Site::new().await;
        let bad = site.write_dated(b"bad\xe1\x80", "bytes", 1_000_000_000);
        let inside = site.write(b"dir\xff/inside", "below");
        let socket = site.source().join("socket");
        let socket = operation
            .registers()
            .then(|| std::os::unix::net::UnixListener::bind(socket).unwrap());
        let t = site.run_well(with(operation)).await;
        let files = 2 + u64::from(socket.is_some());
        assert_eq!(t.registered + t.uploaded, files, "{operation}");

        let encoded = |path: &Path| STANDARD.encode(path.as_os_str().as_bytes());
        let name_of = |path: &Path| {
            let encoded = encoded(path).replace('/', "_");
            format!("irods_UnicodeEncodeError_{encoded}")
        };
        let name = name_of(&bad);
        let directory = name_of(inside.parent().unwrap());
        let mut names = vec![
            format!("/{name}"),
            format!("/{directory}"),
            format!("/{directory}/inside"),
        ];
        names.extend(socket.is_some().then(|| "/socket".to_owned()));
        names.sort();
        let catalog = site.catalog().await;
        let found: Vec<String> = catalog.keys().map(ToString::to_string).collect();
        assert_eq!(found, names, "{operation}");

        let [replica] = &catalog[&BString::from(format!("/{name}"))][..] else {
            panic!("one replica is expected");
        };
        assert_eq!((replica.status, replica.size), (ReplicaStatus::Good, 5));
        let place = match operation.registers() {
            true => site.source(),
            false => site.uploaded(),
        };
        assert_eq!(replica.path, place.join(&name).to_str().unwrap());
        let object = format!("{TARGET}/{name}");
        match operation.registers() {
            true => assert_eq!(replica.mtime, 1_000_000_000),
            false => assert_eq!(site.read(&object).await, b"bytes"),
        }
        let avu = Avu::new(
            "irods::automated_ingest::UnicodeEncodeError",
            encoded(&bad),
            "python3.base64.b64encode(full_path_of_source_file)",
        );
        assert_eq!(site.avus(&object).await, [avu], "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn avus_that_an_earlier_run_did_not_reach_are_attached() {
    let site = Site::new().await;
    symlink("elsewhere", site.source().join("link")).unwrap();
    let link = site.source().join("link");
    let meta = link.symlink_metadata().unwrap();
    site.create_collection(TARGET).await;
    let what = irods_client::register::Register {
        file: link.to_str().unwrap().to_owned(),
        size: Some(meta.len()),
        mtime: Some(std::os::unix::fs::MetadataExt::mtime(&meta)),
        ..Default::default()
    };
    let object = format!("{TARGET}/link");
    site.ask(async |zone| match zone.register(&object, &what).await {
        Err(error) if error.already_exists() => Ok(()),
        done => done.map(drop),
    })
    .await;
    let job = site.run(with(Operation::RegisterSync)).await;
    site.assert_no_failures(&job).await;
    let avus = site.avus(&object).await;
    let expected = format!("{}/elsewhere", site.source().display());
    assert_eq!(avus[0].value, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_registered_beside_what_was_uploaded() {
    let site = Site::new().await;
    let file = site.write("a/f", "first");
    let_times_settle(&file).await;
    site.run(with(Operation::PutSync)).await;
    let object = BString::from("/a/f");
    let uploaded = site.catalog().await[&object][0].clone();
    let vault = site.dir.path().join("second");
    std::fs::create_dir(&vault).unwrap();
    site.add_resource("second", &vault).await;
    let options = || JobOptions {
        resource: Some("second".into()),
        ..with(Operation::RegisterAsReplicaSync)
    };
    for (content, time) in [
        ("second, longer", 1_000_000_000),
        ("and longer still than before", 1_000_000_001),
    ] {
        site.write_dated("a/f", content, time);
        let job = site.run(options()).await;
        site.assert_no_failures(&job).await;
        let replicas = &site.catalog().await[&object];
        let [old, new] = &replicas[..] else {
            panic!("two replicas are expected: {replicas:?}");
        };
        let status = (old.status, new.status);
        let expected = (ReplicaStatus::Stale, ReplicaStatus::Good);
        assert_eq!(status, expected, "{replicas:?} {:?}", job.totals);
        assert_eq!(new.path, file.to_str().unwrap());
        let found = (new.size, new.mtime);
        assert_eq!(found, (content.len() as u64, time.cast_signed()));
        // What was uploaded is what it was.
        assert_eq!((&old.path, old.size), (&uploaded.path, uploaded.size));
        let vault = std::fs::read(old.path.to_path().unwrap()).unwrap();
        assert_eq!(vault, b"first");
        assert_eq!(
            site.read(&format!("{TARGET}/a/f")).await,
            content.as_bytes()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compare_catalog_needs_no_memory() {
    let site = Site::new().await;
    odd_tree(&site);
    let options = JobOptions {
        compare_catalog: true,
        ..with(Operation::RegisterSync)
    };
    let job = site.run(options.clone()).await;
    site.assert_no_failures(&job).await;
    assert_registered(&site).await;
    let files = job.totals.registered;
    let job = site.run(options).await;
    assert_eq!(job.totals.skipped_unchanged, files);
    assert_eq!(job.totals.registered + job.totals.updated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_op_does_nothing() {
    let site = Site::new().await;
    site.write("a/b", "x");
    let job = site.run(with(Operation::NoOp)).await;
    assert_eq!((job.totals.files_seen, job.totals.failed), (1, 0));
    assert!(site.stat(TARGET).await.is_none());
    // What a NO_OP run saw does not hide anything from a real one.
    let job = site.run(with(Operation::RegisterSync)).await;
    assert_eq!(job.totals.registered, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_many_levels_and_odd_characters_is_made() {
    let site = Site::new().await;
    site.write("a", "x");
    site.write("b/c", "yy");
    let target = format!("{TARGET}/one/two `three/fo'ur/\"five/s & <ix>");
    let source = site.source();
    let request = request(&source, &target, with(Operation::RegisterSync));
    let spec = loop {
        match job::check(&site.pool, &request).await {
            Ok(spec) => break spec,
            Err(error) if site.harsh.is_none() => panic!("{error}"),
            Err(_) => {}
        }
    };
    let broker: &dyn Broker = site.broker.as_ref();
    let created = job::init(broker, &spec, &request).await.unwrap();
    let (worker, _told) = site.worker(created.job().id, 2, Arc::new(NoHandler));
    worker.run().await.unwrap();
    let job = broker.job(created.job().id).await.unwrap();
    site.assert_no_failures(&job).await;
    let catalog = site.catalog().await;
    let below = target.strip_prefix(TARGET).unwrap();
    for name in ["/a", "/b/c"] {
        let name = BString::from(format!("{below}{name}"));
        assert_eq!(catalog[&name].len(), 1, "{name}");
    }
    // Five levels, `b`, and two objects.
    assert_eq!(catalog.len(), 8);
    assert_eq!(job.totals.collections_created, 7);
}
