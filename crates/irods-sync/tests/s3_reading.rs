//! Objects that are read from a server in parts: which are slow, stall, change meanwhile, or come otherwise than they were sent.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ingest::broker::Counts;
use irods_client::collection::ReplicaStatus;
use support::bucket::Bucket;
use support::http::{HttpProxy, Verdict};
use support::{PATIENCE, Site};

/// The first byte that a request for a part of an object asks for.
fn range(head: &str) -> Option<u64> {
    let mut lines = head.lines().map(str::to_ascii_lowercase);
    let range = lines.find(|line| line.starts_with("range:"))?;
    let (_, range) = range.split_once("bytes=")?;
    range.split('-').next()?.parse().ok()
}

fn is_bound_to_an_etag(head: &str) -> bool {
    let mut lines = head.lines().map(str::to_ascii_lowercase);
    lines.any(|line| line.starts_with("if-match:"))
}

/// What the source reads an object in.
const PART: u64 = 4 << 20;

#[test]
fn what_stalls_is_asked_for_again_where_it_stopped_and_what_trickles_is_waited_for() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let content = "0123456789abcdef".repeat(9 << 16);
    bucket.put("p/large", &content);
    let site = Site::new();
    let ranges: Arc<Mutex<Vec<(u64, bool)>>> = Arc::default();
    let asked = ranges.clone();
    let proxy = HttpProxy::start(bucket.port, move |head| {
        let Some(from) = range(head) else {
            return Verdict::Pass;
        };
        let mut asked = asked.lock().unwrap();
        let before = |which: u64| asked.iter().any(|(from, _)| *from == which);
        let verdict = match from {
            // In the middle, and where that is gone on with before the answer.
            0 if !before(0) => Verdict::Stall(300_000),
            1..PART if !before(from) => Verdict::Stall(0),
            PART if !before(PART) => Verdict::Stall(2 << 20),
            _ => Verdict::Slowly(30, Duration::from_millis(20)),
        };
        asked.push((from, is_bound_to_an_etag(head)));
        verdict
    });
    let done = site.start_impatiently(proxy.port, "").expect(0);
    let mut ranges = ranges.lock().unwrap().clone();
    ranges.sort_unstable();
    // The beginning, the rest of it twice; the second part, and the rest of that; the third.
    let expected = [0, 0, 0, 1, 1, 2].map(|part| part * PART);
    assert_eq!(ranges.len(), expected.len(), "{ranges:?}");
    for ((from, bound), part) in ranges.iter().zip(expected) {
        assert!((part..part + PART).contains(from), "{ranges:?}");
        assert!(*bound || *from == 0, "{ranges:?}");
    }
    assert!(ranges[1].0 > 0 && ranges[1].0 == ranges[2].0 && ranges[4].0 > PART);
    assert!(done.out.contains("3 S3 requests made again"), "{done:?}");
    let expected = Counts {
        files_seen: 1,
        dirs_seen: 1,
        uploaded: 1,
        collections_created: 1,
        requests_repeated: 3,
        ..Counts::default()
    };
    assert_eq!(site.counts(), expected);
    assert!(uploaded(&site, "large") == content.as_bytes());
}

/// The bytes in the zone.
fn uploaded(site: &Site, name: &str) -> Vec<u8> {
    let _zone = site.zone();
    let catalog = site.catalog();
    std::fs::read(std::str::from_utf8(&catalog[name][0].path).unwrap()).unwrap()
}

#[test]
fn an_object_that_is_replaced_while_it_stalls_is_uploaded_as_it_is_then() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let old = "o".repeat(3 * PART as usize);
    let new = "n".repeat(old.len());
    bucket.put("p/large", &old);
    let site = Site::new();
    let port = bucket.port;
    let (bucket, replacing) = (Mutex::new(bucket), new.clone());
    let stalled = AtomicUsize::new(0);
    let proxy = HttpProxy::start(port, move |head| match range(head) {
        Some(0) if stalled.fetch_add(1, Ordering::SeqCst) == 0 => Verdict::Stall(300_000),
        // Who goes on with that wants what is no more.
        Some(1..PART) => {
            bucket.lock().unwrap().put("p/large", &replacing);
            Verdict::Pass
        }
        _ => Verdict::Pass,
    });
    let done = site
        .start_impatiently(proxy.port, "--max_retries 1 --delay 0")
        .expect(0);
    assert_eq!(done.number("uploaded"), 1);
    assert_eq!(site.counts().retried, 1);
    assert!(uploaded(&site, "large") == new.as_bytes());
}

#[test]
fn several_parts_are_under_way_at_once() {
    const AT_ONCE: usize = 4;
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let content = "0123456789abcdef".repeat(6 * (PART as usize >> 4));
    bucket.put("p/large", &content);
    let site = Site::new();
    let under_way = Arc::new((Mutex::new(0), Condvar::new()));
    let proxy = HttpProxy::start(bucket.port, move |head| {
        // The first one tells how long it is.
        if range(head).is_some_and(|from| from > 0) {
            let (number, more) = &*under_way;
            *number.lock().unwrap() += 1;
            more.notify_all();
            // None is answered before so many have come.
            let waiting = more
                .wait_timeout_while(number.lock().unwrap(), PATIENCE, |number| *number < AT_ONCE);
            assert!(!waiting.unwrap().1.timed_out());
        }
        Verdict::Pass
    });
    let more = "--operation PUT --concurrency 1 --job_name j";
    let done = site.start_bucket(proxy.port, more).expect(0);
    assert_eq!(done.number("uploaded"), 1);
    assert!(uploaded(&site, "large") == content.as_bytes());
}

#[test]
fn bytes_that_arrive_otherwise_fail_the_object_where_its_etag_is_a_hash() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let part = "p".repeat(5 << 20);
    bucket.put("p/at_once", &part);
    bucket.put_in_parts("p/in_parts", &[&part, "end"]);
    let site = Site::new();
    let proxy = HttpProxy::start(bucket.port, move |head| match range(head) {
        Some(0) => Verdict::Spoiled,
        _ => Verdict::Pass,
    });
    let done = site
        .start_impatiently(proxy.port, "--checksum=verify")
        .expect(1);
    assert_eq!((done.number("uploaded"), done.number("failed")), (0, 2));
    let failures = site.run("failures j").expect(0).out;
    assert_eq!(
        failures.matches("not those of its ETag").count(),
        2,
        "{failures}"
    );
    let zone = site.zone();
    let mut replicas = site.catalog().into_values().flatten();
    assert!(!replicas.any(|replica| replica.status == ReplicaStatus::Good));
    drop(zone);
    // The same server without the proxy has another name.
    let done = site.start_bucket(bucket.port, "--operation PUT_SYNC --checksum=verify");
    assert_eq!(done.expect(0).number("uploaded"), 2);
}

#[test]
fn of_an_object_that_grew_only_the_new_end_is_read_and_appended() {
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    let old = "o".repeat(PART as usize + 1000);
    bucket.put("p/log", &old);
    let site = Site::new();
    let ranges: Arc<Mutex<Vec<u64>>> = Arc::default();
    let asked = ranges.clone();
    let proxy = HttpProxy::start(bucket.port, move |head| {
        asked.lock().unwrap().extend(range(head));
        Verdict::Pass
    });
    let append = "--operation PUT_APPEND --job_name j";
    site.start_bucket(proxy.port, append).expect(0);
    ranges.lock().unwrap().clear();
    let new = format!("{old}and more");
    bucket.put("p/log", &new);
    let done = site.start_bucket(proxy.port, append).expect(0);
    assert_eq!(done.number("appended"), 1);
    assert_eq!(*ranges.lock().unwrap(), [old.len() as u64]);
    assert!(uploaded(&site, "log") == new.as_bytes());
}

#[test]
fn so_many_requests_as_are_allowed_are_under_way_and_no_more() {
    /// Allowed, where there are twice as many tasks.
    const MOST: usize = 2;
    const COUNT: usize = 8;
    /// How long it is looked for one more: without a bound it comes within milliseconds.
    const LOOK: Duration = Duration::from_millis(300);

    #[derive(Default)]
    struct Seen {
        now: usize,
        most: usize,
    }
    let Some(mut bucket) = Bucket::start() else {
        return;
    };
    bucket.fill("p/k", COUNT);
    let seen: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
    let of_proxy = seen.clone();
    let proxy = HttpProxy::start(bucket.port, move |head| {
        let (seen, one_more) = &*of_proxy;
        let mut seen = seen.lock().unwrap();
        seen.now += 1;
        seen.most = seen.most.max(seen.now);
        one_more.notify_all();
        if range(head).is_some() {
            let allowed = |seen: &mut Seen| seen.now <= MOST;
            seen = one_more.wait_timeout_while(seen, LOOK, allowed).unwrap().0;
        }
        seen.now -= 1;
        Verdict::Pass
    });
    let site = Site::new();
    let flags = "--s3_max_requests 2 --concurrency 4 --files_per_task 1 --s3_timeout 60";
    let put = format!("--job_name j --operation PUT_SYNC {flags}");
    site.start_bucket(proxy.port, &put).expect(0);
    assert_eq!(site.counts().uploaded, COUNT as u64);
    assert_eq!(seen.0.lock().unwrap().most, MOST);
}
