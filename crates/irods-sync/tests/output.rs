//! Results that cannot be written: who reads them must not take them for whole.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::fs::File;
use std::process::Stdio;

use support::{Ran, Site};

/// A site with a job that failed in part.
fn site() -> Site {
    let site = Site::new();
    site.file("x/f", b"1");
    site.start("--synchronous").expect(0);
    // Its collection is in the way of the file.
    std::fs::remove_dir_all(site.path("src/x")).unwrap();
    site.file("x", b"2");
    site.start("--synchronous --job_name j").expect(1);
    site
}

fn run_into(site: &Site, words: &str, stdout: impl Into<Stdio>) -> Ran {
    let mut command = site.command(words);
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
    support::Running(child.unwrap()).output()
}

const COMMANDS: [&str; 11] = [
    "--help",
    "--version",
    "list",
    "list --json",
    "status j",
    "status j --json",
    "failures j",
    "failures j --json",
    "watch j",
    "plan src /tempZone/home/rods/t --embedded_zone zone",
    "verify src /tempZone/home/rods/t --embedded_zone zone --json",
];

#[test]
fn output_that_cannot_be_written_is_said_and_is_no_success() {
    let site = site();
    for words in COMMANDS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = run_into(&site, words, full);
        assert_eq!(ran.code, Some(3), "{words}: {ran:?}");
        let said = ran.err.matches("irods_sync: cannot write to stdout: ");
        assert_eq!(said.count(), 1, "{words}: {ran:?}");
        assert!(ran.err.contains("No space left on device"), "{ran:?}");
    }
}

#[test]
fn nobody_who_reads_on_is_no_error() {
    let site = site();
    for words in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = run_into(&site, words, writer);
        let read = site.run(words);
        assert_eq!(ran.code, read.code, "{words}: {ran:?}");
        assert!(!ran.err.contains("cannot write"), "{words}: {ran:?}");
    }
}

#[test]
fn how_a_job_ended_counts_more() {
    let site = Site::new();
    site.files(1);
    site.start("--job_name j").expect(0);
    site.run("stop j").expect(0);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = run_into(&site, "watch j", full);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.err.contains("cannot write to stdout"), "{ran:?}");
}
