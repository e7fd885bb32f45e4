//! A broker that refuses, is full, is another version's, or holds nonsense: one clear error, and nobody dies of it again and again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../irods-ingest/tests/support/redis.rs"]
mod server;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::Command;

use rustix::process::Signal;
use server::Server;
use support::{PROGRAM, Ran, Running, Site, ran, until};

const START: &str = "start src /tempZone/home/rods/t --embedded_zone zone --job_name j";
const WORKER: &str = "worker --embedded_zone zone";

/// Says lines to a Redis, as somebody at a terminal does; answers what it says.
fn tell(server: &Server, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    for line in lines.iter().chain(&["QUIT"]) {
        write!(stream, "{line}\r\n").unwrap();
    }
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

fn server(settings: &[&str]) -> Option<Server> {
    Server::start(&[&["--appendonly", "yes"], settings].concat())
}

fn command(site: &Site, server: &Server, parameters: &str, words: &str) -> Command {
    let mut command = site.command(words);
    command.env("CELERY_BROKER_URL", server.url(parameters));
    command
}

#[track_caller]
fn one_line(ran: &Ran, says: &str) {
    assert_eq!((ran.code, ran.err.lines().count()), (Some(3), 1), "{ran:?}");
    assert!(
        ran.err.starts_with("irods_sync: ") && ran.err.contains(says),
        "{says}: {}",
        ran.err
    );
    assert_eq!(ran.out, "");
}

#[test]
fn a_redis_that_refuses_the_user() {
    let Some(server) = server(&["--requirepass", "s3cret"]) else {
        return;
    };
    let site = Site::new();
    site.file("f", b"1");
    let rights = "ACL SETUSER poor on >pw ~* +@connection +info";
    let reader = "ACL SETUSER reader on >pw ~* +@connection +info +evalsha +script|load +@read";
    let said = tell(&server, &["AUTH s3cret", rights, reader]);
    assert_eq!(said.matches("+OK").count(), 4, "{said}");
    for words in ["list", START, WORKER] {
        for (parameters, says) in [
            ("", "refuses the user or the password"),
            ("pass=wr0ng", "refuses the user or the password"),
            ("user=nobody&pass=wr0ng", "refuses the user or the password"),
            ("user=poor&pass=pw", "does not let this user do"),
            ("user=reader&pass=pw", "does not let this user do"),
        ] {
            let refused = ran(&mut command(&site, &server, parameters, words));
            one_line(&refused, says);
            assert!(!refused.err.contains("wr0ng"), "{}", refused.err);
        }
    }
    assert!(!site.path("zone").exists(), "no zone is made for it");
}

#[test]
fn a_redis_without_that_database() {
    let Some(server) = server(&[]) else {
        return;
    };
    let site = Site::new();
    for words in ["list", WORKER] {
        let refused = ran(&mut command(&site, &server, "db=77", words));
        one_line(&refused, "has no database of that number");
    }
}

#[test]
fn a_redis_that_comes_to_want_a_password() {
    let Some(server) = server(&[]) else {
        return;
    };
    let site = Site::new();
    site.files(1);
    ran(&mut command(&site, &server, "", START)).expect(0);
    let mut worker = Running::spawn(&mut command(&site, &server, "", WORKER));
    ran(&mut command(&site, &server, "", "watch j")).expect(0);
    let err = worker.0.stderr.take().unwrap();
    // Whoever is connected may stay, so all are sent away.
    let said = tell(
        &server,
        &[
            "CONFIG SET requirepass s3cret",
            "AUTH s3cret",
            "CLIENT KILL TYPE normal SKIPME yes",
        ],
    );
    assert!(said.starts_with("+OK\r\n+OK\r\n:"), "{said}");
    let last = std::io::BufRead::lines(std::io::BufReader::new(err))
        .map(Result::unwrap)
        .last()
        .unwrap_or_default();
    assert_eq!(worker.end().code(), Some(3), "{last}");
    assert!(
        last.starts_with("irods_sync: ") && last.contains("refuses the user or the password"),
        "{last}"
    );
}

#[test]
fn a_redis_that_is_a_replica_and_becomes_the_primary() {
    let settings = ["--repl-diskless-sync-delay", "0"];
    let (Some(primary), Some(replica)) = (server(&settings), server(&[])) else {
        return;
    };
    let site = Site::new();
    site.files(10);
    let on = |server: &Server, words: &str| ran(&mut command(&site, server, "", words));
    on(&primary, START).expect(0);
    tell(
        &replica,
        &[&format!("REPLICAOF 127.0.0.1 {}", primary.port())],
    );
    until("the replica to have it all", || {
        on(&replica, "status j").code == Some(0)
    });
    let listed = on(&replica, "list").expect(0);
    assert!(listed.err.contains("is a replica"), "{}", listed.err);
    let refused = on(&replica, "stop j").expect(3);
    let error = refused.err.lines().last().unwrap();
    assert!(
        error.starts_with("irods_sync: ") && error.contains("is a replica"),
        "{error}"
    );
    // A worker waits, and works as soon as it can.
    let mut worker = Running::spawn(&mut command(&site, &replica, "", WORKER));
    let err = worker.0.stderr.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(err)).map(Result::unwrap);
    assert!(
        lines.any(|line| line.contains("waiting for the broker") && line.contains("is a replica"))
    );
    tell(&replica, &["REPLICAOF NO ONE"]);
    on(&replica, "watch j").expect(0);
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code(), Some(0));
}

#[test]
fn a_redis_whose_memory_is_full() {
    let Some(server) = server(&[]) else {
        return;
    };
    let site = Site::new();
    site.files(10);
    let on = |words: &str| ran(&mut command(&site, &server, "", words));
    on("list").expect(0);
    tell(&server, &["CONFIG SET maxmemory 1"]);
    one_line(&on(START), "its memory is full");
    on("list").expect(0);
    tell(&server, &["CONFIG SET maxmemory 0"]);
    on(START).expect(0);
    tell(&server, &["CONFIG SET maxmemory 1"]);
    // What was queued before is begun, and what it would queue waits.
    let mut worker = Running::spawn(&mut command(&site, &server, "", WORKER));
    let status =
        || serde_json::from_str::<serde_json::Value>(&on("status j --json").expect(0).out).unwrap();
    until("the first task to be tried", || {
        status()["state"] == "running"
    });
    assert_eq!(status()["totals"]["registered"], 0);
    assert_eq!(worker.0.try_wait().unwrap(), None, "it lives");
    tell(&server, &["CONFIG SET maxmemory 0"]);
    let watched = on("watch j").expect(0);
    assert_eq!(watched.number("registered"), 10);
}

#[test]
fn a_redis_of_another_version() {
    let Some(server) = server(&[]) else {
        return;
    };
    let site = Site::new();
    site.file("f", b"1");
    tell(&server, &["HSET {irods_sync}:meta format 99"]);
    for words in ["list", START, WORKER] {
        one_line(
            &ran(&mut command(&site, &server, "", words)),
            "has format 99",
        );
    }
    assert!(!site.path("zone").exists());
}

/// Whatever somebody has made of a task's payload, its holder lives on, and the job ends with it in the ledger.
#[test]
fn a_redis_with_poisoned_tasks() {
    let Some(server) = server(&[]) else {
        return;
    };
    let site = Site::new();
    site.files(3);
    let _zone = site.zone();
    let worker = Running::spawn(&mut command(
        &site,
        &server,
        "",
        "worker --embedded_zone zone --concurrency 1",
    ));
    let on = |words: &str| ran(&mut command(&site, &server, "", words));
    until("the worker to be there", || {
        !on("list --workers").expect(0).out.is_empty()
    });
    worker.signal(Signal::STOP);
    for (number, poison) in [
        "HSET {irods_sync}:task:1 0000000000001 nonsense",
        "HSET {irods_sync}:task:2 0000000000001 [5]",
        "HSET {irods_sync}:task:3 0000000000001 7",
        "DEL {irods_sync}:task:4",
    ]
    .into_iter()
    .enumerate()
    {
        let job = number + 1;
        on(&format!(
            "start src /tempZone/home/rods/t{job} --embedded_zone zone --job_name j{job}"
        ))
        .expect(0);
        let said = tell(&server, &[poison]);
        assert!(said.starts_with(':'), "{poison}: {said}");
    }
    on(&format!("{START} --operation PUT")).expect(0);
    worker.signal(Signal::CONT);
    on("watch j").expect(0);
    for job in 1..=4 {
        on(&format!("watch j{job}")).expect(1);
        let failures = on(&format!("failures j{job} --json")).expect(0).out;
        assert_eq!(failures.lines().count(), 1, "{failures}");
        assert!(failures.contains("UNREADABLE_TASK"), "{failures}");
    }
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code(), Some(0), "it has not died of it");
}

#[test]
fn a_file_of_another_version() {
    let site = Site::new();
    site.file("f", b"1");
    site.run("list --broker sqlite:b").expect(0);
    // SQLite's header has the number that programs may give to their format at byte 60.
    let file = std::fs::File::options()
        .write(true)
        .open(site.path("b"))
        .unwrap();
    file.write_all_at(&99_u32.to_be_bytes(), 60).unwrap();
    drop(file);
    for words in ["list", START, WORKER] {
        one_line(
            &site.run(&format!("{words} --broker sqlite:b")),
            "has format 99",
        );
    }
    assert!(!site.path("zone").exists());
}

#[test]
fn a_file_on_a_disk_that_is_full_or_read_only() {
    let site = Site::new();
    site.file("f", b"1");
    std::fs::create_dir(site.path("small")).unwrap();
    // A name space of its own lets anybody mount, and nobody clean up.
    let inside = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec", script]);
        command
            .current_dir(site.path(""))
            .env("XDG_STATE_HOME", site.path("state"));
        command
    };
    let mount = "mount -t tmpfs -o size=64k tmpfs small";
    if !inside(mount)
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: no small file system can be mounted here");
        return;
    }
    for words in ["list", START, WORKER] {
        let words = format!("{words} --broker sqlite:small/b");
        let full = format!("{mount}; exec {PROGRAM} {words}");
        one_line(&ran(&mut inside(&full)), "full");
        let read_only = format!("{mount}; mount -o remount,ro small; exec {PROGRAM} {words}");
        one_line(&ran(&mut inside(&read_only)), "ead-only");
    }
    // One that was sound before.
    site.run("list --broker sqlite:small/b").expect(0);
    let sealed = format!(
        "mount --bind -o ro small small && mount -o remount,bind,ro small; exec {PROGRAM} list --broker sqlite:small/b"
    );
    one_line(&ran(&mut inside(&sealed)), "ead-only");
}
