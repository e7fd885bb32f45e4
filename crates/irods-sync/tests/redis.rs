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
