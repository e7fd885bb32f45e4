//! Servers that break down, break off or say nothing, in the middle of listings or for one object.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ingest::broker::Counts;
use support::Site;
use support::bucket::Bucket;
use support::http::{HttpProxy, Verdict, refusal};
use support::mirror::TARGET;

/// Objects in a page, where the proxy sees to it.
const PAGE: usize = 50;

/// Tries of the library before anybody hears of it.
const TRIES: usize = 2;

/// How a request can fail.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The server breaks down.
    Broken,
    /// Its answer breaks off.
    Cut,
    /// It says nothing.
    Silent,
}

impl Way {
    const ALL: [Way; 3] = [Way::Broken, Way::Cut, Way::Silent];

    fn verdict(self) -> Verdict {
        match self {
            Way::Broken => Verdict::Answer(refusal("500 Internal Server Error", "InternalError")),
            Way::Cut => Verdict::Cut(600),
            Way::Silent => Verdict::Stall(0),
        }
    }

    /// What is said of it.
    fn told(self) -> &'static str {
        match self {
            Way::Broken => "InternalError",
            Way::Cut => "is not understood",
            Way::Silent => "cannot be reached",
        }
    }
}

/// A server whose pages are small, and whose third page fails.
struct Failing {
    proxy: HttpProxy,
    /// Requests that will still fail.
    left: Arc<AtomicUsize>,
    /// Those for pages that did not.
    pages: Arc<Mutex<Vec<String>>>,
}

impl Failing {
    fn start(port: u16, way: Way, times: usize) -> Self {
        let left = Arc::new(AtomicUsize::new(times));
        let pages: Arc<Mutex<Vec<String>>> = Arc::default();
        let (failures, passed) = (left.clone(), pages.clone());
        let proxy = HttpProxy::start(port, move |head| {
            if !head.contains("list-type=2") || !head.contains("max-keys=1000") {
                return Verdict::Pass;
            }
            let mut passed = passed.lock().unwrap();
            let one_less = |left: usize| left.checked_sub(1);
            if passed.len() >= 2
                && failures
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                    .is_ok()
            {
                return way.verdict();
            }
            passed.push(head.lines().next().unwrap().to_owned());
            Verdict::Instead(head.replace("max-keys=1000", &format!("max-keys={PAGE}")))
        });
        Failing { proxy, left, pages }
    }
}

/// A bucket of which one object was uploaded and is gone since.
fn filled(bucket: &mut Bucket, site: &Site, port: u16, count: usize) {
    bucket.put("p/gone", "gone");
    site.start_impatiently(port, "").expect(0);
    bucket.delete(&["p/gone"]);
    bucket.fill("p/k", count);
}

const COUNT: usize = 2 * PAGE + 20;

#[test]
fn a_page_that_fails_is_tried_again_and_nothing_is_counted_twice() {
    for way in Way::ALL {
        let Some(mut bucket) = Bucket::start() else {
            return;
        };
        bucket.fill("p/k", COUNT);
        let site = Site::new();
        let failing = Failing::start(bucket.port, way, TRIES);
        let done = site.start_impatiently(failing.proxy.port, "--max_retries 1 --delay 0");
        assert_eq!(done.code, Some(0), "{way:?} {done:?}");
        let expected = Counts {
            files_seen: COUNT as u64,
            dirs_seen: 1,
            uploaded: COUNT as u64,
            collections_created: 1,
            retried: 1,
            requests_repeated: TRIES as u64 - 1,
            ..Counts::default()
        };
        assert_eq!(site.counts(), expected, "{way:?}");
        // It went on behind what was queued.
        let pages = failing.pages.lock().unwrap();
        assert_eq!(pages.len(), 3, "{pages:#?}");
        assert!(pages[2].contains("start-after="), "{pages:#?}");
    }
}

#[test]
fn a_page_that_fails_while_names_are_needed_deletes_what_is_gone_and_no_more() {
    for way in Way::ALL {
        let Some(mut bucket) = Bucket::start() else {
            return;
        };
        let site = Site::new();
        let failing = Failing::start(bucket.port, way, 0);
        filled(&mut bucket, &site, failing.proxy.port, COUNT);
        failing.pages.lock().unwrap().clear();
        failing.left.store(TRIES, Ordering::SeqCst);
        let more = "--delete_mode NO_TRASH --max_retries 1 --delay 0";
        let done = site.start_impatiently(failing.proxy.port, more);
        assert_eq!(done.code, Some(0), "{way:?} {done:?}");
        let expected = Counts {
            files_seen: COUNT as u64,
            dirs_seen: 1,
            uploaded: COUNT as u64,
            deleted: 1,
            retried: 1,
            requests_repeated: TRIES as u64 - 1,
            ..Counts::default()
        };
        assert_eq!(site.counts(), expected, "{way:?}");
    }
}

#[test]
fn a_page_that_always_fails_is_in_the_ledger_and_deletes_nothing_and_a_retry_does_the_rest() {
    for way in Way::ALL {
        let Some(mut bucket) = Bucket::start() else {
            return;
        };
        let site = Site::new();
        let failing = Failing::start(bucket.port, way, 0);
        filled(&mut bucket, &site, failing.proxy.port, COUNT);
        failing.pages.lock().unwrap().clear();
        failing.left.store(usize::MAX, Ordering::SeqCst);
        let more = "--delete_mode NO_TRASH --max_retries 1 --delay 0";
        let done = site.start_impatiently(failing.proxy.port, more);
        assert_eq!(done.code, Some(1), "{way:?} {done:?}");
        // The last key of a page may be the beginning of what follows, so it waits for that.
        let before = 2 * PAGE as u64 - 1;
        let expected = Counts {
            files_seen: before,
            dirs_seen: 1,
            uploaded: before,
            retried: 1,
            failed: 1,
            requests_repeated: 2 * (TRIES as u64 - 1),
            ..Counts::default()
        };
        assert_eq!(site.counts(), expected, "{way:?}");
        let failures = site.run("failures j").expect(0).out;
        assert!(
            failures.contains("subtree not scanned") && failures.contains(way.told()),
            "{way:?} {failures}"
        );
        let in_zone = || {
            let _zone = site.zone();
            site.objects(TARGET).len() as u64
        };
        assert_eq!(in_zone(), before + 1, "{way:?}");
        failing.left.store(0, Ordering::SeqCst);
        site.run("retry j").expect(0);
        let done = site.start_impatiently(failing.proxy.port, more);
        assert_eq!(done.code, Some(0), "{way:?} {done:?}");
        let rest = COUNT as u64 - before;
        let expected = Counts {
            files_seen: rest,
            uploaded: rest,
            deleted: 1,
            ..Counts::default()
        };
        assert_eq!(site.counts(), expected, "{way:?}");
        assert_eq!(in_zone(), COUNT as u64, "{way:?}");
    }
}

/// The server answers for everything else.
#[test]
fn an_object_that_never_comes_fails_alone() {
    for way in Way::ALL {
        let Some(mut bucket) = Bucket::start() else {
            return;
        };
        bucket.fill("p/k", 6);
        let site = Site::new();
        let proxy = HttpProxy::start(bucket.port, move |head| match way {
            _ if !head.contains("k0000003") => Verdict::Pass,
            // The answer is no longer than its head.
            Way::Cut => Verdict::Cut(20),
            way => way.verdict(),
        });
        let done = site
            .start_impatiently(proxy.port, "--concurrency 1")
            .expect(1);
        assert_eq!((done.number("uploaded"), done.number("failed")), (5, 1));
        let failures = site.run("failures j").expect(0).out;
        let told = match way {
            // The answer to a look has no text.
            Way::Broken => "HTTP status 500",
            Way::Cut | Way::Silent => "cannot be reached",
        };
        assert!(
            failures.contains("/bucket/p/k0000003") && failures.contains(told),
            "{way:?} {failures}"
        );
    }
}
