//! Buckets as sources, on an S3 server of other people's making.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use ingest::source::Source as _;
use ingest::source::s3::{Access, Bucket as S3, Requests};
use support::bucket::{Bucket, SECRET};
use support::mirror::TARGET;
use support::proxy::{Fault, Proxy};
use support::{Ran, Site};

/// The beginning of a long key.
fn elements(count: usize) -> String {
    format!("{}/", "e".repeat(254)).repeat(count)
}

/// A bucket with what an ingest may meet, and how many objects that is.
fn filled() -> Option<(Bucket, usize)> {
    let mut bucket = Bucket::start()?;
    // As long as a path in the zone may be.
    let long = format!("{}{}", elements(3), "k".repeat(236));
    let keys = [
        &*long,
        "top",
        "d/a",
        "d/e/f",
        "größe/ñandú ✓",
        "sp ace+plus/%2F",
        "<xml>/a & b'\"`;,",
        "tab\tand\u{7f}",
    ];
    for key in keys {
        bucket.put(&format!("p/{key}"), &format!("content of {key}"));
    }
    bucket.put("p/empty", "");
    // Of no concern: the prefix is a directory, not the beginning of a name.
    bucket.put("px/other", "other");
    Some((bucket, keys.len() + 1))
}

/// The site's objects below the target, by key.
fn objects(site: &Site) -> BTreeMap<String, i64> {
    let zone = site.zone();
    let objects = site.objects(TARGET);
    drop(zone);
    let key = |path: &String| path[TARGET.len() + 1..].to_owned();
    objects
        .iter()
        .map(|(path, size)| (key(path), *size))
        .collect()
}

/// Source and zone are equal to the byte.
#[track_caller]
fn verify(site: &Site, bucket: &Bucket, operation: &str) {
    let flags = site.s3_flags(bucket.port);
    let words = format!(
        "verify s3://bucket/p {TARGET} --embedded_zone zone --checksum --operation {operation} {flags}"
    );
    let verified = site.run(&words).expect(0);
    assert!(verified.out.starts_with("0 differences"), "{verified:?}");
}

fn calls(ran: &Ran) -> u64 {
    ran.number("iRODS")
}

#[test]
fn a_bucket_is_uploaded_and_followed() {
    let Some((mut bucket, count)) = filled() else {
        return;
    };
    let site = Site::new();
    let plain = "--operation PUT_SYNC";
    let first = site.start_bucket(bucket.port, plain).expect(0);
    assert_eq!(first.number("uploaded"), count as u64);
    let size = |key: &str| format!("content of {key}").len() as i64;
    let found = objects(&site);
    assert_eq!(found.len(), count, "{found:?}");
    assert_eq!(found["größe/ñandú ✓"], size("größe/ñandú ✓"));
    assert_eq!(found["empty"], 0);
    verify(&site, &bucket, "PUT_SYNC");
    // Written a moment ago, and yet known by their ETags.
    let second = site.start_bucket(bucket.port, plain).expect(0);
    assert_eq!(second.number("skipped"), count as u64);
    assert_eq!(calls(&second), 0);
    // Of the same length, within the same second.
    bucket.put("p/top", "CONTENT OF TOP!");
    bucket.put("p/top", "content of TOP");
    bucket.put("p/d/new/deep", "new");
    bucket.delete(&["p/d/a"]);
    let more = "--operation PUT_SYNC --delete_mode NO_TRASH";
    let third = site.start_bucket(bucket.port, more).expect(0);
    assert_eq!((third.number("uploaded"), third.number("failed")), (2, 0));
    let found = objects(&site);
    assert!(
        !found.contains_key("d/a") && found.contains_key("d/new/deep"),
        "{found:?}"
    );
    verify(&site, &bucket, "PUT_SYNC");
    // Its collections go with it.
    bucket.delete(&["p/d/e/f"]);
    let more = "--operation PUT_SYNC --delete_mode TRASH";
    let fourth = site.start_bucket(bucket.port, more).expect(0);
    assert_eq!((fourth.number("removed"), fourth.number("failed")), (2, 0));
    let _zone = site.zone();
    assert!(!site.catalog_of(TARGET).contains_key("d/e"));
    let trash = site.objects("/tempZone/trash/home/rods/t");
    let trash: Vec<String> = trash.into_keys().collect();
    assert_eq!(trash, ["/tempZone/trash/home/rods/t/d/e/f"]);
}

#[test]
fn a_bucket_is_registered_in_place() {
    let Some((bucket, count)) = filled() else {
        return;
    };
    let site = Site::new();
    let done = site.start_bucket(bucket.port, "").expect(0);
    assert_eq!(done.number("registered"), count as u64);
    let zone = site.zone();
    let mut catalog = site.catalog_of(TARGET);
    catalog.retain(|_, replicas| !replicas.is_empty());
    assert_eq!(catalog.len(), count);
    for (key, replicas) in catalog {
        let [replica] = replicas.as_slice() else {
            panic!("{key} has {} replicas", replicas.len());
        };
        assert_eq!(replica.path, format!("/bucket/p/{key}").as_bytes());
        let size = match key.as_str() {
            "empty" => 0,
            key => format!("content of {key}").len() as u64,
        };
        assert_eq!(replica.size, size, "{key}");
    }
    drop(zone);
    let again = site.start_bucket(bucket.port, "").expect(0);
    assert_eq!(calls(&again), 0);
    let wrong = site
        .start_bucket(bucket.port, "--resource demoResc --job_name other")
        .expect(2);
    assert!(
        wrong.err.contains("registered on one of type s3"),
        "{wrong:?}"
    );
}

#[test]
fn what_is_registered_on_an_s3_resource_is_read_by_other_people_s_client() {
    let Some((bucket, count)) = filled() else {
        return;
    };
    let site = Site::new();
    site.s3_flags(bucket.port);
    let keys = site.path("keys").display().to_string();
    let context = format!(
        "S3_DEFAULT_HOSTNAME=127.0.0.1:{};S3_AUTH_FILE={keys};S3_REGIONNAME=us-east-1;S3_PROTO=HTTP",
        bucket.port
    );
    let zone = site.zone();
    let made = site.python(
        "bucket_reads.py",
        &["make", "bucketResc", "/bucket/p", &context],
    );
    if made.is_none() {
        return;
    }
    let flags = site.s3_flags(bucket.port);
    let start = |operation: &str| {
        site.run(&format!(
            "start s3://bucket/p {TARGET} --embedded_zone zone --synchronous --resource bucketResc --operation {operation} {flags}"
        ))
    };
    let done = start("REGISTER_SYNC").expect(0);
    assert_eq!(done.number("registered"), count as u64);
    let read = site.python("bucket_reads.py", &["read", TARGET]).unwrap();
    assert_eq!(read.out.trim(), count.to_string());
    // Nothing is written there.
    let refused = site.run(&format!(
        "start s3://bucket/p /tempZone/home/rods/u --embedded_zone zone --synchronous --resource bucketResc --operation PUT {flags}"
    ));
    refused.expect(1);
    drop(zone);
}

#[test]
fn a_key_that_is_no_path_is_in_the_ledger_with_its_reason() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    for key in [
        "ok", "a//b", "/lead", "both", "both/in", "up/../x", "here/./x", "full/", "d/x",
    ] {
        bucket.put(&format!("p/{key}"), "content");
    }
    for marker in ["d/", "folder/"] {
        bucket.put(&format!("p/{marker}"), "");
    }
    let long = "k".repeat(300);
    bucket.put(&format!("p/long/{long}"), "content");
    // As long as a key may be.
    bucket.put(&format!("p/{}kk", elements(4)), "content");
    let site = Site::new();
    let done = site
        .start_bucket(bucket.port, "--operation PUT_SYNC --job_name j")
        .expect(1);
    assert_eq!(done.number("uploaded"), 3);
    let names: Vec<String> = objects(&site).into_keys().collect();
    assert_eq!(names, ["both/in", "d/x", "ok"]);
    let failures = site.run("failures j").expect(0);
    for (key, reason) in [
        ("/bucket/p/a//", "is empty"),
        ("/bucket/p//", "is empty"),
        ("/bucket/p/both", "they are its folder"),
        ("/bucket/p/up/..", "no path in a zone"),
        ("/bucket/p/here/.", "no path in a zone"),
        ("/bucket/p/full//", "has content"),
        (&*format!("/bucket/p/long/{long}"), "300 bytes long"),
        (&*format!("/bucket/p/{}", elements(4)), "the limit is 1023"),
    ] {
        let mut lines = failures.out.lines();
        let line = lines.find(|line| *line == key).and(lines.next());
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{key}: {}",
            failures.out
        );
    }
    assert_eq!(done.number("failed"), 8);
}

#[test]
fn a_key_that_became_a_folder_is_two_failures_and_both_are_listed() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.put("p/x", "content");
    let site = Site::new();
    let flags = "--operation PUT_SYNC --job_name j";
    site.start_bucket(bucket.port, flags).expect(0);
    bucket.put("p/x/in", "content");
    let done = site.start_bucket(bucket.port, flags).expect(1);
    assert_eq!(done.number("failed"), 2);
    let listed = site.run("failures j --json").expect(0).out;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains(r#""/bucket/p/x""#) && listed.contains(r#""/bucket/p/x/""#));
    site.run("retry j --path s3://bucket/p/y").expect(2);
    let again = site.run("retry j --path s3://bucket/p/x").expect(0);
    assert!(again.out.contains("2 queued again"), "{again:?}");
}

#[test]
fn ctrl_c_is_heard_while_the_server_is_asked() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.put("p/x", "content");
    let site = Site::new();
    let proxy = Proxy::start(bucket.port, |_| Fault::Hold(0));
    let flags = site.s3_flags(proxy.port);
    let running = site.spawn(&format!(
        "start s3://bucket/p {TARGET} --embedded_zone zone --synchronous --job_name j {flags}"
    ));
    proxy.wait_until_held();
    running.signal(rustix::process::Signal::INT);
    let ran = running.output();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    site.run("status j").expect(2);
}

#[test]
fn the_way_to_the_server_breaks_and_nothing_is_lost() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.fill("p/few/", 40);
    let large: String = "0123456789abcdef".repeat(20 << 16);
    bucket.put("p/large", &large);
    let slow = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let broken =
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let proxy = Proxy::start(bucket.port, move |connection| match connection {
        30.. => Fault::None,
        number => match number % 5 {
            0 => Fault::Answer(slow),
            1 => Fault::TruncateAnswers(900 + number * 100_000),
            2 => Fault::Answer(broken),
            3 => Fault::Cut(2500 + number * 50_000, std::time::Duration::ZERO),
            _ => Fault::Refuse,
        },
    });
    let site = Site::new();
    let more =
        "--operation PUT_SYNC --checksum=verify --concurrency 2 --max_retries 9 --job_name j";
    let done = site.start_bucket(proxy.port, more);
    assert_eq!(done.code, Some(0), "{done:?} {:?}", site.run("failures j"));
    assert_eq!(done.number("uploaded"), 41);
    assert!(proxy.spoiled() > 10, "{} were spoiled", proxy.spoiled());
    verify(&site, &bucket, "PUT_SYNC");
}

/// The source itself, as the engine has it.
fn source(site: &Site, bucket: &Bucket) -> S3 {
    site.s3_flags(bucket.port);
    let access = Access {
        endpoint: format!("127.0.0.1:{}", bucket.port),
        insecure: true,
        keypair: site.path("keys").into_os_string().into_encoded_bytes(),
        ..Access::default()
    };
    let requests = Requests::new(Requests::MOST, Requests::SILENCE);
    S3::at(Path::new("/bucket/p"), access, false, requests).unwrap()
}

/// Runs what waits for the server, as the engine does.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { tokio::task::spawn_blocking(work).await.unwrap() })
}

#[test]
fn an_object_that_changes_while_it_is_read_is_never_a_mixture() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let old = "o".repeat(80 << 20);
    bucket.put("p/large", &old);
    let site = Site::new();
    let source = source(&site, &bucket);
    let new = "n".repeat(old.len());
    blocking(move || {
        let (mut reader, stat) = source.open(Path::new(""), b"large", 0).unwrap();
        assert_eq!(stat.size, old.len() as u64);
        let mut beginning = vec![0; 1000];
        reader.read_exact(&mut beginning).unwrap();
        bucket.put("p/large", &new);
        let mut rest = Vec::new();
        let error = reader.read_to_end(&mut rest).unwrap_err();
        assert!(
            error.to_string().contains("changed while it was read"),
            "{error}"
        );
        assert!(rest.iter().all(|byte| *byte == b'o'));
    });
}

#[test]
fn what_was_uploaded_in_parts_is_compared_with_its_etag() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let part = "p".repeat(5 << 20);
    bucket.put_in_parts("p/parts", &[&part, &part, "end"]);
    let site = Site::new();
    let more = "--operation PUT --checksum=verify --job_name j";
    let done = site.start_bucket(bucket.port, more).expect(0);
    assert_eq!(done.number("uploaded"), 1);
    verify(&site, &bucket, "PUT");
}

#[test]
fn nothing_is_deleted_for_what_is_not_there_or_not_told() {
    let Some((mut bucket, count)) = filled() else {
        return;
    };
    let site = Site::new();
    let more = "--operation PUT_SYNC --delete_mode NO_TRASH";
    site.start_bucket(bucket.port, more).expect(0);
    let listed = objects(&site);
    assert_eq!(listed.len(), count);
    for key in listed.keys() {
        bucket.delete(&[&format!("p/{key}")]);
    }
    let gone = site.start_bucket(bucket.port, more).expect(2);
    assert!(gone.err.contains("/bucket/p does not exist"), "{gone:?}");
    // The whole bucket is there, and empty.
    bucket.delete(&["px/other"]);
    let flags = site.s3_flags(bucket.port);
    let words = format!(
        "start s3://bucket {TARGET} --embedded_zone zone --synchronous --operation PUT_SYNC --delete_mode NO_TRASH {flags}"
    );
    let empty = site.run(&words).expect(1);
    assert!(empty.err.contains("nothing is deleted"), "{empty:?}");
    assert_eq!(objects(&site), listed);
}

#[test]
fn bad_input_is_one_clear_error_before_anything_is_queued() {
    let Some((bucket, _)) = filled() else {
        return;
    };
    let site = Site::new();
    let at = format!(
        "--s3_endpoint_domain 127.0.0.1:{} --s3_insecure_connection",
        bucket.port
    );
    let with_keys = site.s3_flags(bucket.port);
    std::fs::write(site.path("one_line"), "access\n").unwrap();
    let nowhere = "--s3_keypair keys --s3_insecure_connection --s3_endpoint_domain 127.0.0.1:1";
    for (source, flags, code, says) in [
        ("s3://nobucket", &*with_keys, 3, "NoSuchBucket"),
        (
            "s3://bucket/nothing",
            &with_keys,
            2,
            "/bucket/nothing does not exist",
        ),
        ("s3://bucket/a//b", &with_keys, 2, "names no bucket"),
        ("s3://", &with_keys, 2, "names no bucket"),
        (
            "s3://bucket",
            &format!("--s3_keypair one_line {at}"),
            2,
            "has no keys",
        ),
        (
            "s3://bucket",
            &format!("--s3_keypair none {at}"),
            2,
            "cannot read the S3 key file",
        ),
        ("s3://bucket", nowhere, 3, "cannot be reached"),
        (
            "s3://bucket",
            "--s3_endpoint_domain http://x/",
            2,
            "HOST or HOST:PORT",
        ),
        (
            "s3://bucket",
            &format!("{with_keys} --s3_proxy_url http://u:pw@h:1"),
            2,
            "kept with the job",
        ),
        (
            "s3://bucket",
            &format!("{with_keys} --s3_multipart_chunksize_in_mib 4"),
            2,
            "5..=5000",
        ),
        ("s3://bucket", &at, 3, "no credentials"),
    ] {
        let mut start = site.command(&format!(
            "start {source} {TARGET} --embedded_zone zone --synchronous {flags}"
        ));
        start.env("AWS_EC2_METADATA_DISABLED", "true");
        let ran = support::ran(&mut start);
        assert_eq!(ran.code, Some(code), "{source} {flags}: {ran:?}");
        assert!(ran.err.contains(says), "{source} {flags}: {}", ran.err);
        assert_eq!(ran.err.trim_end().lines().count(), 1, "{}", ran.err);
        assert!(
            !ran.err.contains(SECRET) && !ran.err.contains("u:pw"),
            "{}",
            ran.err
        );
    }
    assert_eq!(
        site.run("list").expect(0).out.trim(),
        r#"{"periodic": [], "singlepass": [], "stopped": []}"#
    );
}

#[test]
fn no_secret_is_told_or_kept() {
    let Some((bucket, count)) = filled() else {
        return;
    };
    let site = Site::new();
    // A handler gets the keys, as under the Python tool, and no one else.
    let handler = r#"
from irods_capability_automated_ingest.core import Core

class event_handler(Core):
    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        keys = ["root", "s3_prefix", "s3_access_key", "s3_secure_connection"]
        with open("TOLD", "a") as told:
            print(*[meta[key] for key in keys], len(meta["s3_secret_key"]), file=told)
"#;
    let handler = handler.replace("TOLD", site.path("told").to_str().unwrap());
    std::fs::write(site.path("handler.py"), handler).unwrap();
    let more = "--operation PUT -vv --log_filename log --event_handler handler.py --job_name j";
    let done = site.start_bucket(bucket.port, more);
    assert_eq!(done.code, Some(0), "{done:?} {:?}", site.run("failures j"));
    let told = std::fs::read_to_string(site.path("told")).unwrap();
    let line = format!("bucket p access False {}", SECRET.len());
    assert_eq!(
        told.lines().filter(|told| *told == line).count(),
        count,
        "{told}"
    );
    assert!(!done.out.contains(SECRET) && !done.err.contains(SECRET));
    let mut looked = 0;
    let mut left = vec![site.path("state"), site.path("zone"), site.path("log")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let told = bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            assert!(!told, "{} has the secret", path.display());
            looked += 1;
        }
    }
    assert!(looked > 3, "{looked} files");
}
