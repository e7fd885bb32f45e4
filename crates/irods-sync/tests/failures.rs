//! One file's failure stays its own, is listed, and can be tried again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::{PROGRAM, Site, ran};

/// Some user that is not root, for whom permissions count.
const NOBODY: u32 = 65534;

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// A command as a user for whom permissions count; none if there is no way to have one.
fn unprivileged(site: &Site, words: &str) -> Option<Command> {
    if !rustix::process::getuid().is_root() {
        return Some(site.command(words));
    }
    let mut command = site.command(words);
    command.uid(NOBODY).gid(NOBODY);
    let mut probe = Command::new(PROGRAM);
    if probe
        .arg("--version")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .is_err()
    {
        eprintln!("SKIPPED: root reads everything, and user {NOBODY} may not run {PROGRAM}");
        return None;
    }
    Some(command)
}

#[test]
fn an_unreadable_file_is_listed_and_tried_again_once_it_is_readable() {
    let site = Site::new();
    site.files(10);
    let secret = site.file("secret", b"not for everybody");
    for path in [&site.path(""), &site.path("src")] {
        open_to_all(path);
    }
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    let words = "start src /tempZone/home/rods/t --embedded_zone zone --synchronous --job_name j --operation PUT";
    let Some(mut start) = unprivileged(&site, words) else {
        return;
    };
    let first = ran(&mut start).expect(1);
    assert_eq!((first.number("uploaded"), first.number("seen")), (10, 11));
    assert!(
        first.out.contains("next: irods_sync failures j"),
        "{}",
        first.out
    );

    let mut failures = unprivileged(&site, "failures j --json").unwrap();
    let failures = ran(&mut failures).expect(0).out;
    let failures: Vec<serde_json::Value> = failures
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(failures.len(), 1);
    assert!(
        failures[0]["path"]
            .as_str()
            .unwrap()
            .ends_with("/src/secret")
    );
    assert!(
        failures[0]["message"]
            .as_str()
            .unwrap()
            .contains("not readable"),
        "{}",
        failures[0]
    );
    let text = ran(&mut unprivileged(&site, "failures j").unwrap()).expect(0);
    assert!(
        text.out.contains("/src/secret\n") && text.err.contains("irods_sync retry j"),
        "{text:?}"
    );

    // Nor is it registered, where nobody could read it.
    let words =
        "start src /tempZone/home/rods/registered --embedded_zone zone --synchronous --job_name r";
    let registering = ran(&mut unprivileged(&site, words).unwrap()).expect(1);
    let numbers = ["registered", "failed"].map(|what| registering.number(what));
    assert_eq!(numbers, [10, 1], "{registering:?}");

    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    for nothing in [
        "--path src/d0",
        "--path /not/there",
        "--error NO_SUCH_ERROR",
    ] {
        let none = unprivileged(&site, &format!("retry j {nothing}"));
        let none = ran(&mut none.unwrap()).expect(2);
        let says = "irods_sync: nothing listed as failed in job \"j\" matches --";
        assert!(none.err.starts_with(says), "{none:?}");
        assert_eq!((none.out.as_str(), none.err.lines().count()), ("", 1));
    }
    let status = ran(&mut unprivileged(&site, "status j --json").unwrap()).expect(0);
    assert!(status.out.contains(r#""state":"finished""#), "{status:?}");
    let one = ran(&mut unprivileged(&site, "retry j --path src/secret").unwrap()).expect(0);
    assert_eq!(one.out, "1 queued again\n");
    // What is on its way already was no slip of the pen.
    let again = ran(&mut unprivileged(&site, "retry j --path src/secret").unwrap()).expect(0);
    assert_eq!(again.out, "0 queued again\n");
    let mut worker = unprivileged(&site, "worker --embedded_zone zone").unwrap();
    let _worker = support::Running::spawn(&mut worker);
    ran(&mut unprivileged(&site, "watch j").unwrap()).expect(0);
    let ended = ran(&mut unprivileged(&site, "failures j").unwrap()).expect(0);
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("", "nothing failed\n")
    );
}

#[test]
fn machines_are_told_how_a_job_ended_in_one_line() {
    let site = Site::new();
    site.files(7);
    site.file("d0/x.tmp", b"left out");
    let start = |more: &str| {
        let words = format!(
            "start src /tempZone/home/rods/t --embedded_zone zone --json --exclude_match search \
             --exclude_file_name \\.tmp$ {more}"
        );
        site.run(&words)
    };
    let line = |ran: &support::Ran| -> serde_json::Value {
        assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    };
    let queued = line(&start("--job_name queued").expect(0));
    assert_eq!(
        (&queued["name"], &queued["state"]),
        (&"queued".into(), &"queued".into())
    );

    let ended =
        line(&start("--job_name j --synchronous --operation PUT_SYNC --checksum").expect(0));
    assert_eq!(
        (&ended["name"], &ended["state"]),
        (&"j".into(), &"finished".into())
    );
    let totals = &ended["totals"];
    assert_eq!(
        (&totals["uploaded"], &totals["excluded"]),
        (&7.into(), &1.into())
    );
    assert_eq!(ended["failures"], 0);
    assert_eq!(line(&site.run("status j --json").expect(0)), ended);
    assert_eq!(line(&site.run("watch j --json").expect(0)), ended);

    // A directory where an object is.
    std::fs::remove_file(site.path("src/d0/f3")).unwrap();
    site.file("d0/f3/x", b"");
    let failed = line(&start("--synchronous --operation PUT_SYNC").expect(1));
    assert_eq!(
        (&failed["state"], &failed["failures"]),
        (&"finished".into(), &1.into())
    );
}

#[test]
fn what_a_stopped_retry_left_is_told_with_the_totals() {
    let site = Site::new();
    site.files(2);
    std::os::unix::fs::symlink("nowhere", site.path("src/link")).unwrap();
    let first = site.start("--operation PUT --job_name j --synchronous");
    assert_eq!(first.expect(1).number("failed"), 1);
    let again = site.run("retry j").expect(0);
    assert_eq!(again.out, "1 queued again\n");
    site.run("stop j").expect(0);
    let listed = site.run("failures j").expect(0);
    assert!(listed.out.contains("/src/link"), "{listed:?}");
    let told = site.run("status j").expect(0);
    assert!(
        told.out.contains(" 0 failed, 1 failed before\n"),
        "{told:?}"
    );
    assert_eq!(site.status("j")["failures"], 1);
}

#[test]
fn an_unreadable_directory_fails_alone_and_is_scanned_once_it_is_readable() {
    let site = Site::new();
    site.files(10);
    site.file("open/here", b"read");
    site.file("closed/inside", b"not read");
    site.file("closed/deeper/inside", b"not read either");
    for path in [&site.path(""), &site.path("src")] {
        open_to_all(path);
    }
    let closed = site.path("src/closed");
    let mode = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode));
    mode(0o000).unwrap();
    let words = "start src /tempZone/home/rods/t --embedded_zone zone --synchronous --job_name j";
    let Some(mut start) = unprivileged(&site, words) else {
        return;
    };
    let first = ran(&mut start).expect(1);
    assert_eq!(
        (first.number("registered"), first.number("failed")),
        (11, 1)
    );
    let mut failures = unprivileged(&site, "failures j --json").unwrap();
    let failures = ran(&mut failures).expect(0).out;
    let failure: serde_json::Value = serde_json::from_str(&failures).unwrap();
    assert!(failure["path"].as_str().unwrap().ends_with("/src/closed"));
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("subtree not scanned"), "{message}");

    mode(0o755).unwrap();
    ran(&mut unprivileged(&site, "retry j").unwrap()).expect(0);
    let mut worker = unprivileged(&site, "worker --embedded_zone zone").unwrap();
    let _worker = support::Running::spawn(&mut worker);
    ran(&mut unprivileged(&site, "watch j").unwrap()).expect(0);
    let ended = ran(&mut unprivileged(&site, "status j --json").unwrap()).expect(0);
    let ended: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let totals = &ended["totals_of_all_passes"];
    assert_eq!(totals["registered"], 13, "{totals}");
}

#[test]
fn a_full_vault_fails_what_does_not_fit_and_leaves_no_half_object() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("zone/Vault")).unwrap();
    // A name space of its own lets anybody mount, and nobody clean up.
    let inside = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec", script]);
        command
            .current_dir(site.path(""))
            .env("XDG_STATE_HOME", site.path("state"));
        command
    };
    let mount = "mount -t tmpfs -o size=1m tmpfs zone/Vault";
    if !inside(mount)
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: no small file system can be mounted here");
        return;
    }
    for number in 0..5 {
        site.file(&format!("f{number}"), &vec![number; 300_000]);
    }
    let start = "start src /tempZone/home/rods/t --embedded_zone zone --synchronous --job_name full --operation PUT";
    let script = format!("{mount}; exec {PROGRAM} {start} --files_per_task 1 --concurrency 1");
    let full = ran(&mut inside(&script)).expect(1);
    let (uploaded, failed) = (full.number("uploaded"), full.number("failed"));
    assert_eq!(uploaded + failed, 5);
    assert!(uploaded >= 2 && failed >= 1, "{}", full.out);
    let failures = site.run("failures full --json").expect(0).out;
    assert_eq!(failures.lines().count() as u64, failed);
    let _zone = site.zone();
    let objects = site.objects("/tempZone/home/rods/t");
    assert_eq!(objects.len() as u64, uploaded, "{objects:?}");
    assert!(objects.values().all(|size| *size == 300_000), "{objects:?}");
}
