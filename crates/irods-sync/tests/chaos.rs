//! Everything at once, on real parts: several workers at two jobs over Redis, while workers are killed, Redis and the zone are
//! killed and started again, and the connections to both are cut, delayed and truncated. In the end the zone holds what the source
//! holds, the totals are exact, the ledger names what could not be ingested and nothing else, and nothing is left in the queue.
//!
//! A seed decides what is done to whom, at which progress, and which connection breaks after how many bytes.
//! `IRODS_CHAOS_SEEDS=from..to` chooses others, `IRODS_CHAOS_FILES=20000` and `IRODS_CHAOS_WORKERS=4` make it longer; blows and broken
//! connections grow with the files, so that they go on through the whole run.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../irods-ingest/tests/support/redis.rs"]
mod server;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use ingest::broker::redis::{Address, RedisBroker};
use ingest::broker::{Broker, Job, JobState};
use irods_client::collection::ReplicaStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use server::Server;
use support::mirror::tree;
use support::proxy::{Fault, Proxy};
use support::{Running, Site, environment};

/// Job and target collection.
const JOBS: [(&str, &str, &str); 2] = [
    ("registering", "REGISTER_SYNC", "/tempZone/home/rods/t"),
    ("uploading", "PUT_SYNC", "/tempZone/home/rods/u"),
];

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |value| value.parse().unwrap())
}

/// What is done to the parts.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Worker(usize),
    Zone,
    Redis,
    Both,
}

/// When so many files are done, this happens.
#[derive(Debug, Clone, Copy)]
struct Event {
    done: u64,
    after: Duration,
    blow: Blow,
}

/// How many times longer than the short form a run over so many files is.
fn length(files: usize) -> usize {
    (files / 1000).max(1)
}

fn schedule(rng: &mut StdRng, files: usize, workers: usize) -> Vec<Event> {
    // A blow costs a second or so: four for each further thousand files keep a long run busy.
    let mut events: Vec<Event> = (0..8 + 4 * length(files))
        .map(|n| Event {
            done: match n {
                0 | 1 => 0,
                _ => rng.random_range(0..JOBS.len() as u64 * files as u64 * 9 / 10),
            },
            after: Duration::from_micros(rng.random_range(0..100_000)),
            // Each of them at least once.
            blow: match (n, rng.random_range(0..8)) {
                (3, _) | (_, 2) => Blow::Redis,
                (5, _) | (_, 0 | 1) => Blow::Zone,
                (_, 3) => Blow::Both,
                _ => Blow::Worker(rng.random_range(0..workers)),
            },
        })
        .collect();
    events.sort_by_key(|event| event.done);
    events
}

fn some_fault(rng: &mut StdRng) -> Fault {
    let bytes = rng.random_range(0..20_000);
    let delay = Duration::from_micros(rng.random_range(0..2000));
    match rng.random_range(0..8) {
        0 => Fault::Refuse,
        1 | 2 => Fault::TruncateAnswers(bytes / 8),
        3 => Fault::Cut(bytes / 3, delay),
        4 | 5 => Fault::Cut(bytes, Duration::ZERO),
        _ => Fault::None,
    }
}

/// Spoils the first connections; later ones are left alone, so that the end is reached. In a long run none of them lasts.
fn spoil(port: u16, seed: u64, connections: usize, length: usize) -> Proxy {
    let mut rng = StdRng::seed_from_u64(seed);
    Proxy::start(port, move |number| {
        let fault = some_fault(&mut rng);
        let lasts = rng.random_range(0..20_000_000);
        match (number < connections * length, fault) {
            (false, _) => Fault::None,
            (true, Fault::None) if length > 1 => Fault::Cut(lasts, Duration::ZERO),
            (true, fault) => fault,
        }
    })
}

/// The source, and what of it each job cannot do, by path.
fn landing(site: &Site, files: usize) -> [BTreeSet<String>; 2] {
    for number in 0..files {
        let name = match number % 3 {
            0 => format!("wide/f{number}"),
            _ => format!("n{}/m{}/f{number}", number % 7, number / 20),
        };
        site.file(&name, &vec![b'x'; number * 37 % 3000]);
    }
    // More than one message, so that a blow may hit the middle of a file.
    for n in 0..2 {
        let content: Vec<u8> = (0..5_000_000_u32).map(|i| (i >> 7) as u8 ^ n).collect();
        site.file(&format!("n{n}/large"), &content);
    }
    std::fs::create_dir_all(site.path("src/empty/below")).unwrap();
    symlink("leads/nowhere", site.path("src/wide/link")).unwrap();
    // Its directory just has a name that iRODS takes, the file has not.
    let deep = [
        "d".repeat(240),
        "e".repeat(240),
        "f".repeat(240),
        "g".repeat(200),
    ]
    .join("/");
    let too_long = format!("{deep}/{}", "h".repeat(200));
    site.file(&too_long, b"");
    let uploading = BTreeSet::from([too_long.clone(), "wide/link".to_owned()]);
    [BTreeSet::from([too_long]), uploading]
}

struct Scene {
    site: Site,
    redis: Server,
    zone: Option<Running>,
    to_redis: Proxy,
    to_zone: Proxy,
    workers: Vec<Running>,
    runtime: tokio::runtime::Runtime,
    broker: RedisBroker,
}

fn command(site: &Site, redis_port: u16, zone_port: u16, words: &str) -> Running {
    let mut command = site.command(words);
    command
        .env(
            "CELERY_BROKER_URL",
            format!("redis://127.0.0.1:{redis_port}/0"),
        )
        .env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json")
        .env("IRODS_PORT", zone_port.to_string())
        .stderr(std::process::Stdio::null());
    let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    Running(child)
}

impl Scene {
    fn worker(&self) -> Running {
        let words = "worker --concurrency 3";
        command(&self.site, self.to_redis.port, self.to_zone.port, words)
    }

    /// A worker that ends by itself, since it found no zone or no broker when it started, is started again.
    fn look(&mut self) {
        for n in 0..self.workers.len() {
            if self.workers[n].0.try_wait().unwrap().is_some() {
                self.workers[n] = self.worker();
            }
        }
    }

    fn jobs(&self) -> Option<Vec<Job>> {
        self.runtime.block_on(async {
            let mut jobs = Vec::new();
            for (name, ..) in JOBS {
                // While it is restarted, there is nothing to be seen.
                jobs.push(self.broker.find_job(name).await.ok()??);
            }
            Some(jobs)
        })
    }

    fn watch(&mut self, mut enough: impl FnMut(&[Job]) -> bool) {
        let (mut began, mut last) = (Instant::now(), 0);
        loop {
            self.look();
            if let Some(jobs) = self.jobs() {
                if enough(&jobs) {
                    return;
                }
                let tasks = jobs.iter().map(|job| job.totals.tasks).sum();
                if tasks != last {
                    (began, last) = (Instant::now(), tasks);
                }
                assert!(
                    began.elapsed() < support::PATIENCE,
                    "no progress: {jobs:#?}"
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn suffer(&mut self, blow: Blow) {
        match blow {
            Blow::Worker(n) => self.workers[n] = self.worker(),
            Blow::Zone => {
                drop(self.zone.take());
                self.zone = Some(self.site.zone());
            }
            Blow::Redis => self.redis.restart(),
            Blow::Both => {
                drop(self.zone.take());
                self.redis.restart();
                self.zone = Some(self.site.zone());
            }
        }
    }
}

fn done(jobs: &[Job]) -> u64 {
    let totals = jobs.iter().map(|job| job.totals);
    totals.map(|t| t.registered + t.uploaded + t.failed).sum()
}

fn play(seed: u64, fsync: &str) {
    let files = number("IRODS_CHAOS_FILES", 1000);
    let workers = number("IRODS_CHAOS_WORKERS", 3);
    eprintln!(
        "IRODS_CHAOS_SEEDS={seed}..{}, appendfsync {fsync}",
        seed + 1
    );
    let mut rng = StdRng::seed_from_u64(seed);
    let events = schedule(&mut rng, files, workers);
    let settings = ["--appendonly", "yes", "--appendfsync", fsync];
    let Some(redis) =
        Server::start(&[&settings[..], &["--maxmemory-policy", "noeviction"]].concat())
    else {
        return;
    };
    let site = Site::new();
    let bad = landing(&site, files);
    let zone = site.zone();
    let zone_port = environment(&site.path("zone/irods_environment.json")).port;
    for (name, operation, target) in JOBS {
        let words = format!(
            "start src {target} --job_name {name} --operation {operation} --files_per_task 7 --max_retries 12"
        );
        let started = command(&site, redis.port(), zone_port, &words).end();
        assert_eq!(started.code(), Some(0), "{name} was not started");
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = Address::parse(&redis.url("")).unwrap();
    let broker = runtime.block_on(RedisBroker::open(address)).unwrap();
    let mut scene = Scene {
        to_redis: spoil(redis.port(), seed ^ 1, 30, length(files)),
        to_zone: spoil(zone_port, seed ^ 2, 60, length(files)),
        site,
        redis,
        zone: Some(zone),
        workers: Vec::new(),
        runtime,
        broker,
    };
    for _ in 0..workers {
        let worker = scene.worker();
        scene.workers.push(worker);
    }
    for event in events {
        let mut ended = false;
        scene.watch(|jobs| {
            ended = jobs.iter().all(|job| job.state.has_ended());
            ended || done(jobs) >= event.done
        });
        if ended {
            break;
        }
        std::thread::sleep(event.after);
        eprintln!("{event:?}");
        scene.suffer(event.blow);
    }
    scene.watch(|jobs| jobs.iter().all(|job| job.state.has_ended()));
    for worker in &scene.workers {
        worker.signal(Signal::TERM);
    }
    for worker in scene.workers.drain(..) {
        worker.end();
    }
    check(&scene, &bad, fsync);
}

fn check(scene: &Scene, bad: &[BTreeSet<String>; 2], fsync: &str) {
    let source = tree(&scene.site.path("src"));
    let files: BTreeMap<_, _> = source.iter().filter(|(_, meta)| !meta.is_dir()).collect();
    let jobs = scene.jobs().unwrap();
    for ((job, bad), (_, operation, target)) in jobs.iter().zip(bad).zip(JOBS) {
        let t = job.totals;
        assert_eq!(job.state, JobState::Finished, "{operation}");
        assert_eq!((job.outstanding.total(), job.pass), (0, 1), "{operation}");
        let page = scene
            .runtime
            .block_on(scene.broker.failures(job.id, None, 10_000));
        let src = scene.site.path("src").canonicalize().unwrap();
        let failed: BTreeMap<String, String> = page
            .unwrap()
            .entries
            .into_iter()
            .map(|entry| {
                let path = String::from_utf8(entry.failure.path).unwrap();
                let name = path.strip_prefix(src.to_str().unwrap()).unwrap();
                (
                    name.trim_start_matches('/').to_owned(),
                    entry.failure.message,
                )
            })
            .collect();
        let named: BTreeSet<String> = failed.keys().cloned().collect();
        assert_eq!(named, *bad, "{operation}: {failed:#?}");
        let (all, wrong) = (files.len() as u64, bad.len() as u64);
        assert_eq!((t.files_seen, t.failed), (all, wrong), "{operation} {t:?}");
        let made = t.registered + t.uploaded;
        // A Redis that has forgotten the last second has tasks done again by workers that cannot know of the first time: what
        // these find equal was not made by them.
        let found = match fsync {
            "everysec" => t.skipped_unchanged,
            _ => 0,
        };
        assert_eq!(made + found, all - wrong, "{operation} {t:?}");
        assert_eq!(
            t.skipped_unchanged + t.updated + t.excluded,
            found,
            "{operation} {t:?}"
        );

        let catalog = scene.site.catalog_of(target);
        let expected: BTreeSet<_> = source.keys().filter(|name| !bad.contains(*name)).collect();
        assert_eq!(
            catalog.keys().collect::<BTreeSet<_>>(),
            expected,
            "{operation}"
        );
        for (name, replicas) in &catalog {
            if source[name].is_dir() {
                continue;
            }
            let [replica] = replicas.as_slice() else {
                panic!("{operation} {name}: {replicas:?}");
            };
            assert_eq!(replica.status, ReplicaStatus::Good, "{operation} {name}");
            assert_eq!(replica.size, source[name].len(), "{operation} {name}");
            if operation == "PUT_SYNC" {
                let there = std::fs::read(replica.path.to_string()).unwrap();
                let here = std::fs::read(scene.site.path("src").join(name)).unwrap();
                assert!(there == here, "{name} has other bytes");
            }
        }
    }
    let workers = scene.runtime.block_on(scene.broker.workers()).unwrap();
    assert!(
        workers.iter().all(|worker| worker.leases.is_empty()),
        "{workers:#?}"
    );
}

fn seeds(otherwise: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(given) = std::env::var("IRODS_CHAOS_SEEDS") else {
        return otherwise;
    };
    let (from, to) = given.split_once("..").expect("IRODS_CHAOS_SEEDS=from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn nothing_is_lost_or_counted_twice_in_chaos_with_every_write_synced() {
    seeds(1..2).for_each(|seed| play(seed, "always"));
}

#[test]
fn nothing_is_lost_or_counted_twice_in_chaos_with_writes_synced_each_second() {
    seeds(2..3).for_each(|seed| play(seed, "everysec"));
}
