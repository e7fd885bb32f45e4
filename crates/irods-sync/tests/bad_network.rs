//! A network that delays, cuts and truncates between worker and zone: the ingest waits it out, and its end is exact.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::time::Duration;

use ingest::broker::Counts;
use rand::RngExt;
use support::job_file::{BROKER, JobFile};
use support::mirror::tree;
use support::proxy::{Fault, Proxy};
use support::{Site, environment, ran, random};

/// More connections than these are left alone, so that the end is reached.
const SPOILED: usize = 40;
/// A file whose connection breaks five times has failed, and is tried again: so often it cannot happen here.
const RETRIES: usize = SPOILED / 5;

/// A fault of one of the kinds, somewhere between a log-in and a few files; the connection is always lost in the end.
fn some_fault(rng: &mut impl RngExt) -> Fault {
    let bytes = rng.random_range(0..20_000);
    let delay = Duration::from_micros(rng.random_range(0..2000));
    match rng.random_range(0..6) {
        0 => Fault::Refuse,
        1 | 2 => Fault::TruncateAnswers(bytes / 8),
        3 => Fault::Cut(bytes / 3, delay),
        _ => Fault::Cut(bytes, Duration::ZERO),
    }
}

fn ingest(operation: &str, site: &Site) -> Counts {
    let mut rng = random::seeded(operation);
    let port = environment(&site.path("zone/irods_environment.json")).port;
    let proxy = Proxy::start(port, move |connection| match connection {
        // The one by which a start checks that there is a zone at all.
        0 => Fault::None,
        1..SPOILED => some_fault(&mut rng),
        _ => Fault::None,
    });
    let words = format!(
        "start src /tempZone/home/rods/t --synchronous --broker sqlite:{BROKER} --job_name j --operation {operation} --files_per_task 7 --concurrency 4 --max_retries {RETRIES}"
    );
    let mut start = site.command(&words);
    start
        .env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json")
        .env("IRODS_PORT", proxy.port.to_string());
    let done = ran(&mut start);
    let jobs = JobFile::new(site);
    assert_eq!(done.code, Some(0), "{done:?} {:#?}", jobs.failures("j"));
    assert!(proxy.spoiled() > 10, "{} were spoiled", proxy.spoiled());
    jobs.job("j").unwrap().totals
}

fn site(files: usize) -> (Site, u64, u64) {
    let site = Site::new();
    for number in 0..files {
        let content = vec![b'x'; number * 13 % 3000];
        site.file(
            &format!("d{}/e{}/f{number}", number % 5, number / 40),
            &content,
        );
    }
    let large: Vec<u8> = (0..9_000_000_u32).map(|n| (n >> 9) as u8).collect();
    site.file("d0/large", &large);
    let files = tree(&site.path("src"));
    let files: Vec<u64> = files
        .values()
        .filter(|m| m.is_file())
        .map(|m| m.len())
        .collect();
    (site, files.len() as u64, files.iter().sum())
}

#[test]
fn registering_waits_it_out() {
    let (site, files, bytes) = site(600);
    let _zone = site.zone();
    let totals = ingest("REGISTER_SYNC", &site);
    let made = (
        totals.files_seen,
        totals.registered,
        totals.bytes_registered,
    );
    assert_eq!((made, totals.failed), ((files, files, bytes), 0));
    site.assert_registered();
}

#[test]
fn uploading_waits_it_out() {
    let (site, files, bytes) = site(300);
    let _zone = site.zone();
    let totals = ingest("PUT_SYNC", &site);
    let made = (totals.files_seen, totals.uploaded, totals.bytes_uploaded);
    assert_eq!((made, totals.failed), ((files, files, bytes), 0));
    site.assert_uploaded();
}
