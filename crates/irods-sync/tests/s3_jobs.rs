//! What works for directories works for buckets.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::process::Command;
use std::time::SystemTime;

use irods_client::collection::ReplicaStatus;
use support::bucket::{Bucket, Streaming};
use support::job_file::{BROKER, JobFile};
use support::mirror::TARGET;
use support::{Running, Site, ran};

fn in_zone(site: &Site, words: &str) -> Command {
    let mut command = site.command(&format!("{words} --broker sqlite:{BROKER}"));
    command.env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json");
    command
}

/// The Python tool's own checklist: every operation, one object in a task, a target of which no level is there; then one object more.
#[test]
fn every_operation_ingests_all_and_then_what_is_new() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let site = Site::new();
    let _zone = site.zone();
    let now = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs().cast_signed()
    };
    let began = now();
    for (operation, done) in [
        ("PUT", "uploaded"),
        ("PUT_SYNC", "uploaded"),
        ("PUT_APPEND", "uploaded"),
        ("REGISTER_SYNC", "registered"),
        ("REGISTER_AS_REPLICA_SYNC", "registered"),
    ] {
        for key in ["top", "also top", "d/in", "d/deeper/in"] {
            bucket.put(&format!("{operation}/{key}"), "content");
        }
        let flags = site.s3_flags(bucket.port);
        let target = format!("{TARGET}/{operation}/of/many/levels");
        let start = format!(
            "start s3://bucket/{operation} {target} --embedded_zone zone --synchronous --operation {operation} --files_per_task 1 {flags}"
        );
        let first = site.run(&start).expect(0);
        assert_eq!((first.number(done), first.number("failed")), (4, 0));
        bucket.put(&format!("{operation}/d/more"), "more");
        let second = site.run(&start).expect(0);
        let numbers = [done, "skipped", "failed"].map(|what| second.number(what));
        assert_eq!(numbers, [1, 4, 0], "{operation}: {second:?}");

        let mut objects = site.catalog_of(&target);
        objects.retain(|_, replicas| !replicas.is_empty());
        let keys = ["also top", "d/deeper/in", "d/in", "d/more", "top"];
        assert!(objects.keys().eq(keys.iter()), "{operation}: {objects:?}");
        for (key, replicas) in objects {
            let [replica] = replicas.as_slice() else {
                panic!("{key} has {} replicas", replicas.len());
            };
            let content = if key == "d/more" { "more" } else { "content" };
            let found = (replica.status, replica.size);
            assert_eq!(found, (ReplicaStatus::Good, content.len() as u64));
            if done == "uploaded" {
                let place = std::str::from_utf8(&replica.path).unwrap();
                let bytes = std::fs::read(place).unwrap();
                assert_eq!(bytes, content.as_bytes(), "{operation}: {key}");
            } else {
                assert_eq!(replica.path, format!("/bucket/{operation}/{key}"));
                // When it was put there.
                assert!((began..=now()).contains(&replica.mtime), "{replica:?}");
            }
        }
    }
}

#[test]
fn what_is_excluded_is_left_out_and_not_gone_and_the_catalog_can_be_compared() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    for key in ["a", "a.log", "d/b", "tmp/x"] {
        bucket.put(&format!("p/{key}"), "content");
    }
    let site = Site::new();
    let all = site.start_bucket(bucket.port, "").expect(0);
    assert_eq!(all.number("registered"), 4);
    // Nothing is remembered of a job with exclusions that the one without did not leave, so it is compared with the catalog.
    let fewer = "--exclude_file_name .*\\.log$ --exclude_directory_name .*/tmp$ --compare_catalog";
    let compared = site.start_bucket(bucket.port, fewer).expect(0);
    let numbers = ["registered", "skipped", "excluded"].map(|what| compared.number(what));
    assert_eq!(numbers, [0, 2, 2], "{compared:?}");
    bucket.put("p/d/new", "new");
    bucket.delete(&["p/d/b"]);
    let deleting = format!("{fewer} --delete_mode UNREGISTER");
    let followed = site.start_bucket(bucket.port, &deleting).expect(0);
    assert_eq!(
        (followed.number("registered"), followed.number("removed")),
        (1, 1)
    );
    let _zone = site.zone();
    let names: Vec<String> = site.objects(TARGET).into_keys().collect();
    let expected = ["a", "a.log", "d/new", "tmp/x"];
    assert_eq!(names, expected.map(|key| format!("{TARGET}/{key}")));
}

#[test]
fn what_a_file_has_put_among_those_of_a_bucket_is_kept() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    for key in ["stays", "goes", "d/goes", "gone/x"] {
        bucket.put(&format!("p/{key}"), key);
    }
    let site = Site::new();
    let own = "--operation PUT_SYNC --delete_mode NO_TRASH --target_template {dir}/v1_{name}";
    site.start_bucket(bucket.port, own).expect(0);
    site.file("theirs", b"theirs");
    for target in ["{name}", "gone/{name}"] {
        site.start(&format!(
            "--synchronous --operation PUT_SYNC --target_template {target}"
        ))
        .expect(0);
    }
    bucket.delete(&["p/goes", "p/d/goes", "p/gone/x"]);
    let flags = site.s3_flags(bucket.port);
    let planned = site
        .run(&format!(
            "plan s3://bucket/p {TARGET} --embedded_zone zone {own} {flags}"
        ))
        .expect(0);
    assert!(planned.out.contains("keep (it is of "), "{planned:?}");
    let followed = site.start_bucket(bucket.port, own).expect(0);
    // Of the collection d as well.
    for ran in [&planned, &followed] {
        assert_eq!(
            (ran.number("removed"), ran.number("kept")),
            (4, 2),
            "{ran:?}"
        );
    }
    let _zone = site.zone();
    let names: Vec<String> = site.objects(TARGET).into_keys().collect();
    let expected = ["gone/theirs", "theirs", "v1_stays"];
    assert_eq!(names, expected.map(|key| format!("{TARGET}/{key}")));
}

#[test]
fn a_periodic_job_follows_a_bucket_and_its_cache_is_cleared_by_its_server() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.fill("p/k", 5);
    let site = Site::new();
    let _zone = site.zone();
    let flags = site.s3_flags(bucket.port);
    let start = format!("start s3://bucket/p {TARGET} --interval 1 --job_name j {flags}");
    ran(&mut in_zone(&site, &start)).expect(0);
    let worker = Running::spawn(&mut in_zone(&site, "worker --concurrency 2"));
    let jobs = JobFile::new(&site);
    let registered = |count| jobs.watch("j", |job| job.unwrap().totals.registered == count);
    registered(5);
    bucket.put("p/d/new", "new");
    registered(6);
    ran(&mut in_zone(&site, "stop j")).expect(0);
    drop(worker);
    let cleared = |more: &str| {
        ran(&mut in_zone(
            &site,
            &format!("cache clear s3://bucket/p {more}"),
        ))
        .expect(0)
    };
    let elsewhere = cleared("");
    assert!(elsewhere.out.starts_with("0 directories"), "{elsewhere:?}");
    assert!(
        elsewhere.err.contains("--s3_endpoint_domain"),
        "{elsewhere:?}"
    );
    let cleared = cleared(&flags);
    assert!(cleared.out.starts_with("2 directories"), "{cleared:?}");
}

/// The zone and the server are other processes.
#[test]
fn a_large_object_passes_through_a_worker_that_does_not_hold_it() {
    const MIB: usize = 256;
    let site = Site::new();
    std::fs::create_dir_all(site.path("served/bucket/p")).unwrap();
    let content: Vec<u8> = (0..MIB << 18)
        .flat_map(|word| (word as u32).to_le_bytes())
        .collect();
    std::fs::write(site.path("served/bucket/p/large"), &content).unwrap();
    let Some(server) = Streaming::start(&site.path("served")) else {
        return;
    };
    let _zone = site.zone();
    let flags = site.s3_flags(server.port);
    let start = format!("start s3://bucket/p {TARGET} --operation PUT --job_name j {flags}");
    ran(&mut in_zone(&site, &start)).expect(0);
    let worker = Running::spawn(&mut in_zone(&site, "worker --concurrency 2"));
    let jobs = JobFile::new(&site);
    jobs.watch("j", |job| job.unwrap().state.has_ended());
    assert_eq!(
        jobs.job("j").unwrap().totals.bytes_uploaded,
        (MIB as u64) << 20
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    eprintln!("{} MiB for an object of {MIB} MiB", peak >> 10);
    // A development build alone takes some 50.
    assert!(peak >> 10 < 200, "{} MiB", peak >> 10);
    let catalog = site.catalog();
    let place = std::str::from_utf8(&catalog["large"][0].path).unwrap();
    assert!(std::fs::read(place).unwrap() == content);
}
