//! kill -9, many times, at moments that progress and chance choose: in the end nothing is missing, nothing is double, every
//! replica is good, and the totals are exact.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::process::Command;
use std::time::{Duration, Instant};

use ingest::broker::{Counts, Job, JobState};
use rand::RngExt;
use rand::rngs::StdRng;
use support::job_file::{BROKER, JobFile};
use support::mirror::tree;
use support::{Running, Site, random};

/// One directory so wide that its children are queued in two batches, and many small ones, nested.
fn landing(wide: usize, narrow: usize) -> Site {
    let site = Site::new();
    for number in 0..wide {
        site.file(&format!("wide/f{number}"), &vec![b'w'; number % 300]);
    }
    for number in 0..narrow {
        let (directory, content) = (number / 20, vec![b'n'; number * 37 % 5000]);
        site.file(
            &format!("n{}/m{directory}/f{number}", directory % 7),
            &content,
        );
    }
    std::fs::create_dir_all(site.path("src/empty/directories")).unwrap();
    site
}

fn start(operation: &str) -> String {
    format!(
        "start src /tempZone/home/rods/t --broker sqlite:{BROKER} --job_name j --operation {operation} --files_per_task 3"
    )
}

fn files_done(job: Option<&Job>) -> u64 {
    job.map_or(0, |job| job.totals.registered + job.totals.uploaded)
}

/// Moments of an ingest, as numbers of files that are done: some at its very beginning, the others all over it.
fn moments(rng: &mut StdRng, count: usize, files: usize) -> Vec<u64> {
    let mut moments: Vec<u64> = (0..count)
        .map(|n| match n < count / 5 {
            true => 0,
            false => rng.random_range(0..files as u64 * 9 / 10),
        })
        .collect();
    moments.sort_unstable();
    moments
}

/// Waits until so many files are done, and then for a short random time more, so that any step may be hit. `look` is called
/// meanwhile.
fn reach(jobs: &JobFile<'_>, moment: u64, rng: &mut StdRng, mut look: impl FnMut()) {
    let began = Instant::now();
    jobs.watch("j", |job| {
        assert!(
            began.elapsed() < support::PATIENCE,
            "no progress to {moment}: {job:?}"
        );
        let ended = job.is_some_and(|job| job.state.has_ended());
        assert!(!ended, "it ended before it could be killed: {job:?}");
        look();
        files_done(job) >= moment
    });
    std::thread::sleep(Duration::from_micros(rng.random_range(0..100_000)));
}

fn kill(mut process: Running) {
    process.0.kill().unwrap();
    process.0.wait().unwrap();
}

/// A command that finds the zone, running or not, by its environment file.
fn in_zone(site: &Site, words: &str) -> Command {
    let mut command = site.command(words);
    command.env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json");
    command
}

/// A worker that is started again whenever it ends.
struct Worker<'s> {
    site: &'s Site,
    process: Running,
}

impl<'s> Worker<'s> {
    fn start(site: &'s Site) -> Self {
        let words = format!("worker --broker sqlite:{BROKER} --concurrency 4");
        let process = Running::spawn(&mut in_zone(site, &words));
        Worker { site, process }
    }

    fn kill(&mut self) {
        kill(std::mem::replace(self, Self::start(self.site)).process);
    }

    /// A worker that finds no zone when it starts leaves; nothing else makes it end.
    fn look(&mut self) {
        if self.process.0.try_wait().unwrap().is_some() {
            let ended = std::mem::replace(self, Self::start(self.site));
            let ran = ended.process.output();
            assert_eq!(ran.code, Some(3), "{ran:?}");
            assert!(!ran.err.contains("takes tasks"), "{ran:?}");
        }
    }
}

#[track_caller]
fn assert_exact(site: &Site, jobs: &JobFile<'_>, expected: impl FnOnce(&mut Counts, u64, u64)) {
    let failures = jobs.failures("j");
    assert!(failures.is_empty(), "{failures:#?}");
    let job = jobs.job("j").unwrap();
    assert_eq!(job.state, JobState::Finished);
    assert_eq!((job.outstanding.total(), job.pass), (0, 1));
    let source = tree(&site.path("src"));
    let files = source.values().filter(|meta| meta.is_file()).count() as u64;
    let bytes = source
        .values()
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len());
    let directories = source.len() as u64 - files + 1;
    let mut totals = Counts {
        files_seen: files,
        dirs_seen: directories,
        // Who made a collection and died is not asked any more.
        collections_created: job.totals.collections_created,
        tasks: job.totals.tasks,
        ..Counts::default()
    };
    expected(&mut totals, files, bytes.sum());
    assert_eq!(job.totals, totals);
    assert!(job.totals.collections_created <= directories);
}

/// Worker and zone are one process.
#[test]
fn synchronous_starts_die_while_they_register() {
    let mut rng = random::seeded("registering starts");
    let site = landing(3300, 1700);
    let jobs = JobFile::new(&site);
    let command = start("REGISTER_SYNC") + " --embedded_zone zone --synchronous --concurrency 4";
    for moment in moments(&mut rng, 20, 5000) {
        let running = site.spawn(&command);
        reach(&jobs, moment, &mut rng, || {});
        kill(running);
    }
    site.run(&command).expect(0);
    assert_exact(&site, &jobs, |totals, files, bytes| {
        (totals.registered, totals.bytes_registered) = (files, bytes);
    });
    let _zone = site.zone();
    site.assert_registered();
}

/// Worker and zone die each by itself; what is left of an upload that was under way is not there twice, and not half.
#[test]
fn workers_and_zones_die_while_they_upload() {
    let mut rng = random::seeded("uploading workers");
    let site = landing(1100, 400);
    // Beyond one message, so that a kill may hit the middle of a file.
    for n in 0..3 {
        let content: Vec<u8> = (0..6_000_000_u32).map(|i| (i >> 7) as u8 ^ n).collect();
        site.file(&format!("n{n}/large"), &content);
    }
    let jobs = JobFile::new(&site);
    let mut zone = site.zone();
    support::ran(&mut in_zone(&site, &start("PUT_SYNC"))).expect(0);
    let mut worker = Worker::start(&site);
    for moment in moments(&mut rng, 20, 1503) {
        reach(&jobs, moment, &mut rng, || worker.look());
        let which = rng.random_range(0..4);
        if which != 3 {
            worker.kill();
        }
        if which > 1 {
            kill(zone);
            zone = site.zone();
        }
    }
    let began = Instant::now();
    jobs.watch("j", |job| {
        assert!(began.elapsed() < support::PATIENCE, "not done: {job:?}");
        worker.look();
        job.unwrap().state.has_ended()
    });
    assert_exact(&site, &jobs, |totals, files, bytes| {
        (totals.uploaded, totals.bytes_uploaded) = (files, bytes);
    });
    site.assert_uploaded();
}
