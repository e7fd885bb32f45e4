//! Several workers: who they are, which queues they serve, what becomes of them when the zone goes or they are told to leave.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../irods-ingest/tests/support/redis.rs"]
mod server;
mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use server::Server;
use support::proxy::{Fault, Proxy};
use support::{Ran, Running, Site, environment, ran, until};

/// A place with a broker of the one or the other kind.
struct Fleet {
    site: Site,
    redis: Option<Server>,
}

impl Fleet {
    fn new() -> Self {
        Fleet {
            site: Site::new(),
            redis: None,
        }
    }

    /// With a broker in Redis; none where there is none to be had.
    fn on_redis() -> Option<Self> {
        let redis = Server::start(&["--appendonly", "yes"])?;
        Some(Fleet {
            site: Site::new(),
            redis: Some(redis),
        })
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.site.command(words);
        if let Some(redis) = &self.redis {
            command.env("CELERY_BROKER_URL", redis.url(""));
        }
        command
    }

    fn run(&self, words: &str) -> Ran {
        ran(&mut self.command(words))
    }

    fn start(&self, more: &str) -> Ran {
        self.run(&format!(
            "start src /tempZone/home/rods/t --embedded_zone zone --operation PUT --job_name j {more}"
        ))
    }

    fn worker(&self, more: &str) -> Running {
        Running::spawn(&mut self.command(&format!("worker --embedded_zone zone {more}")))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.run("status j --json").expect(0).out).unwrap()
    }

    fn workers(&self) -> Vec<Value> {
        let lines = self.run("list --workers --json").expect(0).out;
        let lines = lines.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A worker that is so slow that whatever it has in hand stays there, is told to leave, and once more.
fn a_worker_is_told_to_leave(fleet: &Fleet) {
    fleet.site.file("d/large", &vec![7; 1 << 20]);
    fleet.start("").expect(0);
    let slow = fleet.worker("--name slow --max_rate 4K --concurrency 3 --max_connections 2");
    until("the file to be in hand", || {
        let workers = fleet.workers();
        workers.len() == 1 && workers[0]["tasks"][0]["what"] == "sync_files"
    });
    let worker = fleet.workers().remove(0);
    assert_eq!(
        (&worker["name"], &worker["concurrency"]),
        (&"slow".into(), &3.into()),
        "{worker}"
    );
    assert_eq!(worker["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        worker["queues"],
        serde_json::json!(["file", "path", "restart"])
    );
    assert_eq!(
        (&worker["draining"], &worker["waiting_for_zone"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(
        (
            &worker["in_hand"],
            worker["tasks"].as_array().unwrap().len()
        ),
        (&1.into(), 1)
    );
    let task = &worker["tasks"][0];
    assert_eq!(
        (&task["job"], &task["path"]),
        (&"j".into(), &"d".into()),
        "{worker}"
    );
    let text = fleet.run("list --workers").expect(0).out;
    assert!(text.starts_with("worker slow: working\n"), "{text}");
    assert!(text.contains("sync_files of j, d, for "), "{text}");

    slow.signal(Signal::TERM);
    until("the worker to drain", || {
        fleet.workers()[0]["draining"] == true
    });
    let text = fleet.run("list --workers").expect(0).out;
    assert!(
        text.starts_with("worker slow: finishing what is in hand\n"),
        "{text}"
    );
    assert_eq!(
        fleet.status()["outstanding"]["leased"],
        1,
        "what is in hand stays there"
    );
    slow.signal(Signal::TERM);
    assert_eq!(slow.output().code, Some(0));
    assert_eq!(fleet.status()["outstanding"]["leased"], 0);
    let none = fleet.run("list --workers").expect(0);
    assert_eq!(
        (none.out.as_str(), none.err.as_str()),
        ("", "no worker is running\n")
    );

    // One that is told once finishes the file in hand, and gives back the others.
    for number in 0..50 {
        fleet.site.file(&format!("more/f{number}"), &[1; 4096]);
    }
    let other = fleet.worker("--name other");
    fleet.run("watch j").expect(0);
    fleet.start("").expect(0);
    other.signal(Signal::TERM);
    assert_eq!(other.output().code, Some(0));
    let left = fleet.status()["outstanding"].clone();
    assert_eq!(left["leased"], 0, "{left}");
    let last = fleet.worker("");
    fleet.run("watch j").expect(0);
    last.signal(Signal::TERM);
    assert_eq!(last.output().code, Some(0));
    let _zone = fleet.site.zone();
    let objects = fleet.site.objects("/tempZone/home/rods/t");
    assert_eq!(objects.len(), 51);
    assert_eq!(objects["/tempZone/home/rods/t/d/large"], 1 << 20);
}

#[test]
fn a_worker_is_listed_and_leaves_as_it_is_told() {
    a_worker_is_told_to_leave(&Fleet::new());
}

#[test]
fn a_worker_is_listed_and_leaves_as_it_is_told_with_redis() {
    if let Some(fleet) = Fleet::on_redis() {
        a_worker_is_told_to_leave(&fleet);
    }
}

fn a_queue_is_served(fleet: &Fleet) {
    fleet.site.files(20);
    let queued = fleet
        .start("--file_queue large --files_per_task 2 --max_in_flight 1")
        .expect(0);
    assert!(
        queued.err.contains("worker -Q large,path,restart"),
        "{}",
        queued.err
    );
    let _plain = fleet.worker("--name plain");
    until("the directories to be scanned", || {
        let left = fleet.status()["outstanding"].clone();
        (left["ready"].as_u64(), left["leased"].as_u64()) == (Some(10), Some(0))
    });
    let status = fleet.status();
    assert_eq!(
        status["unserved_queues"],
        serde_json::json!(["large"]),
        "{status}"
    );
    assert_eq!(status["max_in_flight"], 1);
    assert_eq!(status["totals"]["uploaded"], 0);
    for words in ["status j", "list"] {
        let said = fleet.run(words).expect(0);
        let said = format!("{}{}", said.out, said.err);
        assert!(said.contains("no worker serves its queue large"), "{said}");
    }
    let again = fleet
        .start("--file_queue large --files_per_task 2 --max_in_flight 2")
        .expect(0);
    assert!(again.err.contains("going on with"), "{}", again.err);
    assert!(
        again.err.contains("no worker serves its queue large"),
        "{}",
        again.err
    );
    let _large = fleet.worker("-Q large --name large --concurrency 3");
    fleet.run("watch j").expect(0);
    let status = fleet.status();
    assert_eq!(
        (&status["totals"]["uploaded"], &status["max_in_flight"]),
        (&20.into(), &2.into())
    );
}

#[test]
fn a_job_waits_for_a_worker_of_its_queue_and_says_so() {
    a_queue_is_served(&Fleet::new());
}

#[test]
fn a_job_waits_for_a_worker_of_its_queue_and_says_so_with_redis() {
    if let Some(fleet) = Fleet::on_redis() {
        a_queue_is_served(&fleet);
    }
}

/// All that a worker has in hand waits for the zone together, nothing counts as an attempt, and who asks is told.
#[test]
fn a_zone_that_goes_away_is_waited_for_and_burns_no_attempt() {
    let fleet = Fleet::new();
    fleet.site.files(300);
    let mut zone = fleet.site.zone();
    let mut workers = Vec::new();
    for name in ["one", "two"] {
        workers.push(fleet.worker(&format!("--name {name} --concurrency 4")));
    }
    until("both workers to be there", || fleet.workers().len() == 2);
    // They do nothing before the zone has gone.
    for worker in &workers {
        worker.signal(Signal::STOP);
    }
    fleet.start("--files_per_task 5").expect(0);
    zone.0.kill().unwrap();
    zone.0.wait().unwrap();
    for worker in &workers {
        worker.signal(Signal::CONT);
    }
    let waiting = || {
        fleet
            .workers()
            .into_iter()
            .find(|worker| !worker["waiting_for_zone"].is_null())
    };
    until("a worker to wait", || waiting().is_some());
    let text = fleet.run("list --workers").expect(0).out;
    assert!(
        text.contains(": waiting for the zone\n  because      the zone is away since 20"),
        "{text}"
    );
    until("the job to say so", || {
        !fleet.status()["waiting_for_zone"]
            .as_array()
            .unwrap()
            .is_empty()
    });
    let text = fleet.run("status j").expect(0).out;
    assert!(text.contains(" is waiting for the zone since 20"), "{text}");
    let mut watch = Running::spawn(&mut fleet.command("watch j"));
    let err = watch.0.stderr.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(err)).map(Result::unwrap);
    assert!(lines.any(|line| line.contains("is waiting for the zone since")));
    let zone = fleet.site.zone();
    assert!(lines.any(|line| line.ends_with(" goes on")) || fleet.status()["state"] == "finished");
    drop(lines);
    let watched = watch.end();
    assert_eq!(watched.code(), Some(0));
    let status = fleet.status();
    let totals = &status["totals"];
    assert_eq!(
        (&totals["uploaded"], &totals["failed"], &totals["retried"]),
        (&300.into(), &0.into(), &0.into())
    );
    fleet.site.assert_uploaded();
    drop(zone);
}

#[test]
fn how_many_tasks_at_once_get_the_most_done_is_found() {
    let fleet = Fleet::new();
    fleet.site.files(4000);
    fleet.start("--files_per_task 5").expect(0);
    let _zone = fleet.site.zone();
    let file = fleet.site.path("zone/irods_environment.json");
    // It is far away, so that more at once is what gains.
    let far = |_| Fault::Cut(usize::MAX, Duration::from_millis(15));
    let proxy = Proxy::start(environment(&file).port, far);
    let mut command = fleet.command("worker --concurrency auto");
    command
        .env("IRODS_ENVIRONMENT_FILE", file)
        .env("IRODS_PORT", proxy.port.to_string());
    let _worker = Running::spawn(&mut command);
    let mut seen = BTreeSet::new();
    until("twice as many tasks at once as in the beginning", || {
        let workers = fleet.workers();
        seen.extend(workers.iter().map(|worker| worker["concurrency"].as_u64()));
        seen.last().is_some_and(|most| *most > Some(8))
    });
    assert!(seen.contains(&Some(4)), "{seen:?}");
}
