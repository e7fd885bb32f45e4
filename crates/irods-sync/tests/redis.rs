//! The same commands with a broker in Redis.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../irods-ingest/tests/support/redis.rs"]
mod server;
mod support;

use std::process::Command;

use rustix::process::Signal;
use server::Server;
use support::{Ran, Running, Site, ran, until};

const START: &str =
    "start src /tempZone/home/rods/t --embedded_zone zone --operation PUT --synchronous";

fn with(server: &Server, site: &Site, words: &str) -> Command {
    let mut command = site.command(words);
    command.env("CELERY_BROKER_URL", server.url(""));
    command
}

fn run(server: &Server, site: &Site, words: &str) -> Ran {
    ran(&mut with(server, site, words))
}

#[test]
fn a_synchronous_start_waits_for_workers() {
    let Some(server) = Server::start(&["--appendonly", "yes"]) else {
        return;
    };
    let site = Site::new();
    site.files(250);
    let started = Running::spawn(&mut with(&server, &site, &format!("{START} --job_name j")));
    until("the job to be queued", || {
        run(&server, &site, "status j").code == Some(0)
    });
    let status = run(&server, &site, "status j --json").expect(0).out;
    assert!(status.contains("\"queued\""), "{status}");
    let worker = Running::spawn(&mut with(
        &server,
        &site,
        "worker --embedded_zone zone --concurrency 2",
    ));
    let started = started.output().expect(0);
    assert_eq!(started.number("uploaded"), 250);
    worker.signal(Signal::TERM);
    assert_eq!(worker.output().code, Some(0));
    let zone = site.zone();
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 250);
    drop(zone);
}

#[test]
fn with_concurrency_it_works_itself_and_goes_on_after_redis_was_killed() {
    let Some(mut server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"])
    else {
        return;
    };
    let site = Site::new();
    site.files(400);
    let words = format!("{START} --job_name j --concurrency 2 --files_per_task 5");
    let started = Running::spawn(&mut with(&server, &site, &words));
    until("some of it to be done", || {
        let status = run(&server, &site, "status j --json").out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        status["totals"]["uploaded"].as_u64() > Some(20)
    });
    server.restart();
    let started = started.output().expect(0);
    assert_eq!(started.number("uploaded"), 400);
    let zone = site.zone();
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 400);
    drop(zone);
    // Nothing is left to do, and the cache knows it.
    let again = run(&server, &site, &words).expect(0);
    assert_eq!(again.number("skipped"), 400);
}

#[test]
fn what_is_dangerous_is_warned_of() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let site = Site::new();
    let list = run(&server, &site, "list").expect(0);
    assert!(list.err.contains("appendonly"), "{}", list.err);
}

#[test]
fn a_worker_runs_a_handler_out_of_redis_only_if_it_was_told_to() {
    let Some(server) = Server::start(&["--appendonly", "yes"]) else {
        return;
    };
    let site = Site::new();
    site.files(3);
    let handler = "
from irods_capability_automated_ingest.utils import Operation
class event_handler:
    @staticmethod
    def operation(session, meta, **options):
        return Operation.PUT if meta['path'] else Operation.NO_OP
";
    std::fs::create_dir(site.path("handlers")).unwrap();
    std::fs::write(
        site.path("handlers/other.py"),
        "class event_handler: pass\n",
    )
    .unwrap();
    // Whoever opened it would wait for ever.
    let pipe = site.path("handlers/pipe");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    std::fs::write(site.path("handler.py"), handler).unwrap();
    let command = |words: &str| {
        let mut command = with(&server, &site, words);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    };
    let queue = |job: &str, dir: &str| {
        let words = format!(
            "start src /tempZone/home/rods/{job} --embedded_zone zone --job_name {job} --event_handler {dir}handler.py"
        );
        ran(&mut command(&words)).expect(0);
    };
    let is_refused = |job: &str, flags: &str, why: &str| {
        let worker = Running::spawn(&mut command(&format!(
            "worker --embedded_zone zone {flags}"
        )));
        until("the worker to refuse the job", || {
            let events = run(&server, &site, &format!("status {job} --json")).out;
            events.contains(why)
        });
        worker.signal(Signal::TERM);
        assert_eq!(worker.output().code, Some(0));
    };
    let is_done = |job: &str, flags: &str| {
        let worker = Running::spawn(&mut command(&format!(
            "worker --embedded_zone zone {flags}"
        )));
        until("the job to end", || {
            let status = run(&server, &site, &format!("status {job} --json")).out;
            status.contains("\"finished\"")
        });
        worker.signal(Signal::TERM);
        assert_eq!(worker.output().code, Some(0));
        let status = run(&server, &site, &format!("status {job} --json")).out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["totals"]["uploaded"], 3, "{status}");
    };
    queue("one", "");
    is_refused("one", "", "which this worker was not told to run");
    is_refused(
        "one",
        "--handler_dir handlers",
        "no file in handlers is the job's event handler",
    );
    std::fs::write(site.path("handlers/same.py"), handler).unwrap();
    is_done("one", "--handler_dir handlers");
    queue("two", "");
    is_done("two", "--allow_uploaded_handlers");
}

#[test]
fn settings_are_chosen_for_each_entry_whichever_worker_has_it() {
    let Some(server) = Server::start(&["--appendonly", "yes"]) else {
        return;
    };
    let site = Site::new();
    for number in 0..60 {
        let kind = ["put", "registered", "none"][number % 3];
        site.file(&format!("d{}/{number}.{kind}", number % 4), b"content");
    }
    let handler = "
from irods_capability_automated_ingest.utils import Operation
class event_handler:
    @staticmethod
    def operation(session, meta, **options):
        if meta['path'].endswith('.none'):
            return Operation.NO_OP
        return Operation.PUT_SYNC if meta['path'].endswith('.put') else Operation.REGISTER_SYNC

    @staticmethod
    def to_resource(session, meta, **options):
        return 'demoResc' if meta['path'].endswith('.put') else None
";
    std::fs::write(site.path("handler.py"), handler).unwrap();
    let command = |words: &str| {
        let mut command = with(&server, &site, &format!("{words} --embedded_zone zone"));
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    };
    let start = "start src /tempZone/home/rods/t --job_name j --event_handler handler.py --files_per_task 2";
    ran(&mut command(start)).expect(0);
    let zone = site.zone();
    let workers = ["1", "2"].map(|concurrency| {
        let words = format!("worker --allow_uploaded_handlers --concurrency {concurrency}");
        Running::spawn(&mut command(&words))
    });
    until("the job to end", || {
        run(&server, &site, "status j").out.contains("finished")
    });
    for worker in workers {
        worker.signal(Signal::TERM);
        assert_eq!(worker.output().code, Some(0));
    }
    let status = run(&server, &site, "status j --json").expect(0).out;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    for (what, number) in [("uploaded", 20), ("registered", 20), ("failed", 0)] {
        assert_eq!(status["totals"][what], number, "{what} {status}");
    }
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 40);
    drop(zone);
}
