//! Signals before there is anything to finish: nothing is queued, and nothing looks complete that is not.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;

use rustix::process::Signal;
use support::{Ran, Running, Site};

/// A command that asks a zone which lets it connect and never answers; it gets a signal then.
fn at_a_silent_zone(site: &Site, words: &str, signal: Signal) -> Ran {
    let zone = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = site.command(words);
    command
        .env("IRODS_HOST", "127.0.0.1")
        .env("IRODS_PORT", zone.local_addr().unwrap().port().to_string())
        .env("IRODS_USER_NAME", "rods")
        .env("IRODS_ZONE_NAME", "tempZone")
        .env("IRODS_PASSWORD", "none");
    let running = Running::spawn(&mut command);
    let _connection = zone.accept().unwrap();
    running.signal(signal);
    running.output()
}

#[test]
fn a_zone_that_never_answers_keeps_nobody_from_leaving() {
    let site = Site::new();
    site.files(1);
    let target = "src /tempZone/home/rods/t";
    for (words, says) in [
        (format!("start {target}"), "nothing was queued"),
        (
            format!("start {target} --synchronous"),
            "nothing was queued",
        ),
        (format!("plan {target}"), "what is shown is not all"),
        (format!("verify {target}"), "what is shown is not all"),
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let left = at_a_silent_zone(&site, &words, signal).expect(130);
            let said = format!("irods_sync: interrupted; {says}\n");
            assert_eq!((left.out.as_str(), left.err), ("", said), "{words}");
        }
    }
    // A worker is told to leave by SIGTERM as a matter of course.
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 0)] {
        let left = at_a_silent_zone(&site, "worker", signal).expect(code);
        assert_eq!((left.out.as_str(), left.err.as_str()), ("", ""));
    }
    let jobs = site.run("list --json").expect(0);
    assert_eq!(jobs.out, "", "something was queued");
    let workers = site.run("list --workers --json").expect(0);
    assert_eq!(workers.out, "", "somebody came to work");
}

#[test]
fn a_broker_that_never_answers_keeps_nobody_from_leaving() {
    let site = Site::new();
    site.files(1);
    for (words, says) in [
        ("watch j", "the broker had not answered"),
        ("stop j", "the job was not stopped"),
        ("start src /tempZone/home/rods/t", "nothing was queued"),
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let broker = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = broker.local_addr().unwrap().port();
            let mut command = site.command(&format!("{words} --broker redis://127.0.0.1:{port}/0"));
            let running = Running::spawn(&mut command);
            let _connection = broker.accept().unwrap();
            running.signal(signal);
            let left = running.output().expect(130);
            let said = format!("irods_sync: interrupted; {says}\n");
            assert_eq!((left.out.as_str(), left.err), ("", said), "{words}");
        }
    }
}

#[test]
fn a_survey_that_is_interrupted_does_not_look_complete() {
    // What is found in them is more than a pipe takes, so that a survey whose output nobody reads comes to no end.
    const DIRECTORIES: usize = 500;
    let site = Site::new();
    for number in 0..DIRECTORIES {
        site.file(&format!("d{number}/old"), b"");
    }
    site.start("--synchronous").expect(0);
    let long = "x".repeat(200);
    for number in 0..DIRECTORIES {
        site.file(&format!("d{number}/{long}"), b"");
    }
    let zone = site.zone();
    for (command, signal) in [("plan", Signal::TERM), ("verify", Signal::INT)] {
        let words = format!(
            "{command} src /tempZone/home/rods/t --embedded_zone zone --json --concurrency 1"
        );
        let mut survey = site.spawn(&words);
        let mut lines = BufReader::new(survey.0.stdout.take().unwrap());
        let mut out = String::new();
        lines.read_line(&mut out).unwrap();
        // It gets on no further than what the zone has answered by now.
        zone.signal(Signal::STOP);
        survey.signal(signal);
        lines.read_to_string(&mut out).unwrap();
        let ended = survey.output();
        zone.signal(Signal::CONT);
        assert_eq!(ended.code, Some(130), "{command}: {ended:?}");
        let said = "irods_sync: interrupted; what is shown is not all\n";
        assert_eq!(ended.err, said, "{command}");
        let shown = out.lines().filter(|line| line.contains(&long)).count();
        assert_eq!(shown, out.lines().count(), "nothing else is shown: {out}");
        assert!((1..DIRECTORIES).contains(&shown), "{command}: {shown}");
    }
}
