//! Listings of buckets in pages, and what goes wrong with them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use ingest::broker::limits::MAX_BEFORE;
use ingest::broker::{Counts, JobState};
use support::bucket::Bucket;
use support::http::{HttpProxy, Verdict, answer, refusal};
use support::job_file::{BROKER, JobFile};
use support::mirror::TARGET;
use support::{Running, Site, ran};

/// Objects in a page, where the proxy sees to it.
const PAGE: usize = 50;

fn is_listing(head: &str) -> bool {
    head.starts_with("GET ") && head.contains("list-type=2")
}

/// The prefix that is listed, where it is `bucket/p` or lies below it.
fn lists(head: &str, prefix: &str) -> bool {
    is_listing(head) && head.contains(&format!("prefix={}", prefix.replace('/', "%2F")))
}

fn in_zone(site: &Site, words: &str) -> Command {
    let mut command = site.command(&format!("{words} --broker sqlite:{BROKER}"));
    command.env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json");
    command
}

/// A worker is killed while it waits for the third page, and the next one while it waits for the page that it goes on with, whose
/// request is given. One object is the beginning of others, which come on the page after it.
fn killed(bucket: &mut Bucket, double: &str, options: &str, deleted: u64) -> String {
    let count = 4 * PAGE + 20;
    bucket.put("p/gone", "gone");
    let site = Site::new();
    let _zone = site.zone();
    let flags = site.s3_flags(bucket.port);
    let start = format!("start s3://bucket/p {TARGET} --job_name before --operation PUT {flags}");
    ran(&mut in_zone(
        &site,
        &format!("{start} --synchronous --concurrency 1"),
    ))
    .expect(0);
    bucket.delete(&["p/gone"]);
    bucket.fill("p/k", count);
    bucket.put(&format!("p/{double}/in"), "in");

    let (held, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let (begun, followed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let proxy = HttpProxy::start(bucket.port, move |head| {
        let is_page = lists(head, "p/") && head.contains("max-keys=1000");
        let counted = match head.contains("continuation-token=") {
            true => &followed,
            false => &begun,
        };
        if is_page && counted.fetch_add(1, Ordering::SeqCst) == 1 {
            held.send(head.to_owned()).unwrap();
            // Until its client was killed, so that nobody hears an answer.
            let _ = released.lock().unwrap().recv();
            return Verdict::Answer(String::new());
        }
        Verdict::Instead(head.replace("max-keys=1000", &format!("max-keys={PAGE}")))
    });
    let flags = site.s3_flags(proxy.port);
    let start = format!(
        "start s3://bucket/p {TARGET} --job_name j --operation PUT_SYNC --files_per_task 20 {options} {flags}"
    );
    ran(&mut in_zone(&site, &start)).expect(0);
    let mut went_on = String::new();
    for _ in 0..2 {
        let mut worker = Running::spawn(&mut in_zone(&site, "worker --concurrency 2"));
        went_on = is_held.recv_timeout(support::PATIENCE).unwrap();
        worker.0.kill().unwrap();
        worker.0.wait().unwrap();
        release.send(()).unwrap();
    }
    let _worker = Running::spawn(&mut in_zone(&site, "worker --concurrency 2"));
    let jobs = JobFile::new(&site);
    jobs.watch("j", |job| job.unwrap().state.has_ended());
    let failures = jobs.failures("j");
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(failures[0].1.contains("they are its folder"));
    let job = jobs.job("j").unwrap();
    assert_eq!(job.state, JobState::Finished);
    let expected = Counts {
        files_seen: count as u64,
        dirs_seen: 2,
        uploaded: count as u64,
        deleted,
        failed: 1,
        collections_created: 1,
        bytes_uploaded: ((count - 1) * "p/k0000000".len() + "in".len()) as u64,
        tasks: job.totals.tasks,
        ..Counts::default()
    };
    assert_eq!(job.totals, expected);
    let objects = site.objects(TARGET);
    assert_eq!(objects.len() as u64, count as u64 + 1 - deleted);
    assert!(objects.contains_key(&format!("{TARGET}/{double}/in")));
    went_on
}

#[test]
fn a_listing_goes_on_after_its_last_page_when_its_worker_was_killed() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let went_on = killed(&mut bucket, &format!("k{:07}", 3 * PAGE - 1), "", 0);
    assert!(went_on.contains("start-after="), "{went_on}");
}

#[test]
fn a_listing_begins_again_where_all_its_names_are_needed() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let double = format!("k{:07}", PAGE - 1);
    let went_on = killed(&mut bucket, &double, "--delete_mode NO_TRASH", 1);
    assert!(!went_on.contains("start-after="), "{went_on}");
}

/// A page of a listing as a server might give it.
fn page(rest: &str, keys: &[&str]) -> String {
    let one = |key: &&str| {
        format!(
            "<Contents><Key>p/{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>1</Size></Contents>"
        )
    };
    let keys: String = keys.iter().map(one).collect();
    answer(
        "200 OK",
        &format!("<ListBucketResult>{rest}{keys}</ListBucketResult>"),
    )
}

#[test]
fn a_listing_that_leads_nowhere_deletes_nothing() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let keys = ["a", "d/one", "d/two"];
    for key in keys {
        bucket.put(&format!("p/{key}"), "content");
    }
    let site = Site::new();
    let more = "--operation PUT_SYNC --delete_mode NO_TRASH --job_name j";
    site.start_bucket(bucket.port, more).expect(0);
    let going_on = |token: &str| {
        format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        )
    };
    let untold = page("<IsTruncated>true</IsTruncated>", &["new"]);
    let same = page(&going_on("same"), &["new"]);
    type Answers = Box<dyn Fn() -> String + Send + Sync>;
    let circle: Answers = {
        let number = AtomicUsize::new(0);
        Box::new(move || {
            let number = number.fetch_add(1, Ordering::SeqCst);
            page(&going_on(&number.to_string()), &[["m", "n"][number % 2]])
        })
    };
    let nothing: Answers = {
        let number = AtomicUsize::new(0);
        Box::new(move || {
            let number = number.fetch_add(1, Ordering::SeqCst);
            page(&going_on(&number.to_string()), &[])
        })
    };
    // The connection ends in the middle of a page whose length was not told.
    let cut = page(
        "<KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>",
        &["new"],
    );
    let cut = cut[..cut.len() - 30].replace("Content-Length", "X-Length");
    let early = page("", &[])[..].replace("Content-Length", "X-Length");
    let cases: [(Answers, &str); 6] = [
        (Box::new(move || untold.clone()), "without saying where"),
        (Box::new(move || same.clone()), "where it was before"),
        (circle, "begins again"),
        (nothing, "there is nothing in it"),
        (Box::new(move || cut.clone()), "fewer keys"),
        (Box::new(move || early.clone()), "whether it goes on"),
    ];
    for (answers, says) in cases {
        // The question whether the root is there is answered.
        let proxy = HttpProxy::start(bucket.port, move |head| {
            match lists(head, "p/") && head.contains("max-keys=1000") {
                true => Verdict::Answer(answers()),
                false => Verdict::Pass,
            }
        });
        let ran = site.start_bucket(proxy.port, more);
        assert!(matches!(ran.code, Some(1 | 3)), "{says}: {ran:?}");
        let told = format!("{} {}", ran.err, site.run("failures j").out);
        assert!(told.contains(says), "{says}: {told} {ran:?}");
        let zone = site.zone();
        assert_eq!(site.objects(TARGET).len(), keys.len(), "{says}");
        drop(zone);
    }
}

#[test]
fn a_prefix_that_is_denied_is_in_the_ledger_and_the_rest_goes_on() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    for key in ["a", "d/one", "secret/one", "secret/two", "z/deep/er"] {
        bucket.put(&format!("p/{key}"), "content");
    }
    let site = Site::new();
    let more = "--operation PUT_SYNC --delete_mode NO_TRASH --job_name j";
    site.start_bucket(bucket.port, more).expect(0);
    bucket.put("p/d/new", "new");
    bucket.delete(&["p/a", "p/secret/two"]);
    let proxy = HttpProxy::start(bucket.port, |head| match lists(head, "p/secret/") {
        true => Verdict::Answer(refusal("403 Forbidden", "AccessDenied")),
        false => Verdict::Pass,
    });
    // The server is part of what a source is called, so this is another one, for which nothing is remembered.
    let ran = site.start_bucket(proxy.port, more).expect(1);
    assert_eq!(ran.number("failed"), 1, "{ran:?}");
    let failures = site.run("failures j").expect(0).out;
    assert!(
        failures.contains("/bucket/p/secret") && failures.contains("not scanned"),
        "{failures}"
    );
    let zone = site.zone();
    let names: Vec<String> = site.objects(TARGET).into_keys().collect();
    drop(zone);
    let expected = ["d/new", "d/one", "secret/one", "secret/two", "z/deep/er"];
    assert_eq!(names, expected.map(|key| format!("{TARGET}/{key}")));
}

/// What is wrong with the keys or the clock is not the entries' fault: the job ends with one message, or this worker leaves it.
#[test]
fn credentials_that_expire_and_clocks_that_are_wrong_are_told_once() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.fill("p/k", 20);
    let site = Site::new();
    for (status, code, says) in [
        ("400 Bad Request", "ExpiredToken", "ExpiredToken"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
        ("403 Forbidden", "InvalidAccessKeyId", "InvalidAccessKeyId"),
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            "SignatureDoesNotMatch",
        ),
    ] {
        // At the beginning, before anything is queued.
        let proxy = HttpProxy::start(bucket.port, move |_| Verdict::Answer(refusal(status, code)));
        let ran = site
            .start_bucket(proxy.port, "--operation PUT --job_name early")
            .expect(3);
        assert!(ran.err.contains(says), "{ran:?}");
        assert_eq!(ran.err.trim_end().lines().count(), 1, "{}", ran.err);
        site.run("status early").expect(2);
        // In the middle.
        let contents = Mutex::new(0);
        let proxy = HttpProxy::start(bucket.port, move |head| {
            let mut contents = contents.lock().unwrap();
            *contents += usize::from(!is_listing(head));
            match *contents > 30 {
                true => Verdict::Answer(refusal(status, code)),
                false => Verdict::Pass,
            }
        });
        let name = format!("j{code}");
        let more = format!("--operation PUT --concurrency 1 --job_name {name}");
        let ran = site.start_bucket(proxy.port, &more).expect(3);
        assert!(ran.err.contains(says), "{ran:?}");
        // Nothing is charged to an object.
        assert_eq!(site.status(&name)["totals"]["failed"], 0);
    }
}

/// What the library asks again is seen in the totals, in the summary and at the worker, and is no attempt of anybody's.
#[test]
fn requests_that_are_made_again_are_told() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.fill("p/k", 4);
    // With one request at a time there is none for reading ahead until the one that is read is complete.
    bucket.put("p/large", &"0123456789abcdef".repeat(20 << 16));
    let slow = AtomicUsize::new(0);
    let proxy = HttpProxy::start(bucket.port, move |head| {
        // Once the root was found: a listing, then looks and contents.
        let work = head.contains("max-keys=1000") || !is_listing(head);
        match work && slow.fetch_add(1, Ordering::SeqCst) < 3 {
            true => Verdict::Answer(refusal("503 Slow Down", "SlowDown")),
            false => Verdict::Pass,
        }
    });
    let site = Site::new();
    let more = "--operation PUT --concurrency 4 --s3_max_requests 1 --job_name j";
    let ran = site.start_bucket(proxy.port, more).expect(0);
    assert!(ran.out.contains("3 S3 requests made again"), "{ran:?}");
    let totals = &site.status("j")["totals"];
    assert_eq!(
        (&totals["requests_repeated"], &totals["retried"]),
        (&3.into(), &0.into())
    );
    assert_eq!(
        (&totals["uploaded"], &totals["failed"]),
        (&5.into(), &0.into())
    );
}

/// A worker that serves no files lists what the queue takes and no more, and does not wait with the directory in hand; one that serves
/// all goes on with it once the queue is short. Whether it does so behind what was queued, rather than from the beginning.
fn crowded(bucket: &Bucket, options: &str) -> bool {
    const PAGE: usize = 100;
    let site = Site::new();
    let _zone = site.zone();
    let pages: Arc<Mutex<Vec<String>>> = Arc::default();
    let asked = pages.clone();
    let proxy = HttpProxy::start(bucket.port, move |head| {
        if !lists(head, "p/") || !head.contains("max-keys=1000") {
            return Verdict::Pass;
        }
        asked.lock().unwrap().push(head.to_owned());
        Verdict::Instead(head.replace("max-keys=1000", &format!("max-keys={PAGE}")))
    });
    let flags = site.s3_flags(proxy.port);
    let start =
        format!("start s3://bucket/p {TARGET} --job_name j --files_per_task 1 {options} {flags}");
    ran(&mut in_zone(&site, &start)).expect(0);
    let jobs = JobFile::new(&site);
    let _lists = Running::spawn(&mut in_zone(&site, "worker --queues path,restart"));
    let mut ready = 0;
    jobs.watch("j", |job| {
        let outstanding = job.unwrap().outstanding;
        ready = outstanding.ready;
        outstanding.leased == 0 && ready as usize > MAX_BEFORE
    });
    assert!((ready as usize) < MAX_BEFORE + 2 * PAGE, "{ready}");
    let listed = pages.lock().unwrap().len();
    assert!(listed <= MAX_BEFORE / PAGE + 2, "{listed} pages");
    let _all = Running::spawn(&mut in_zone(&site, "worker --concurrency 2"));
    jobs.watch("j", |job| job.unwrap().state.has_ended());
    let job = jobs.job("j").unwrap();
    let expected = Counts {
        files_seen: MANY as u64,
        dirs_seen: 1,
        registered: MANY as u64,
        collections_created: 1,
        bytes_registered: (MANY * "p/k0000000".len()) as u64,
        tasks: job.totals.tasks,
        ..Counts::default()
    };
    assert_eq!(job.totals, expected);
    assert_eq!(site.objects(TARGET).len(), MANY);
    let pages = pages.lock().unwrap();
    let mut first = pages[listed..]
        .iter()
        .filter(|page| !page.contains("continuation-token="));
    // By whoever goes on with the directory; besides there is the page that was asked for before it was given back.
    let first = first.next().unwrap();
    first.contains("start-after=")
}

/// More than the queue takes.
const MANY: usize = MAX_BEFORE + 300;

#[test]
fn a_long_queue_makes_listings_wait_for_it() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.fill("p/k", MANY);
    assert!(crowded(&bucket, ""));
    assert!(!crowded(&bucket, "--delete_mode UNREGISTER"));
}

#[test]
fn a_page_is_worked_on_while_the_next_is_listed() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let count = PAGE + 20;
    bucket.fill("p/k", count);
    let site = Site::new();
    let _zone = site.zone();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let proxy = HttpProxy::start(bucket.port, move |head| {
        if lists(head, "p/") && head.contains("continuation-token=") {
            let _ = released.lock().unwrap().recv();
        }
        Verdict::Instead(head.replace("max-keys=1000", &format!("max-keys={PAGE}")))
    });
    let flags = site.s3_flags(proxy.port);
    let start = format!("start s3://bucket/p {TARGET} --job_name j --operation PUT {flags}");
    ran(&mut in_zone(&site, &start)).expect(0);
    let _worker = Running::spawn(&mut in_zone(&site, "worker --concurrency 2"));
    let jobs = JobFile::new(&site);
    // All but the last key, which may be the beginning of the next one.
    jobs.watch("j", |job| job.unwrap().totals.uploaded == PAGE as u64 - 1);
    release.send(()).unwrap();
    jobs.watch("j", |job| job.unwrap().state.has_ended());
    assert_eq!(jobs.job("j").unwrap().totals.uploaded, count as u64);
}
