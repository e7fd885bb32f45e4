//! Whatever is wrong with what was asked for is said in one line, with the right exit code, before anything is changed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use support::{Ran, Site, ran};

#[track_caller]
fn one_line(ran: &Ran, code: i32, says: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(
        ran.err.starts_with("irods_sync: ") && ran.err.contains(says),
        "{says}: {}",
        ran.err
    );
    assert_eq!(ran.out, "");
}

#[track_caller]
fn nothing_is_queued(site: &Site) {
    let list = site.run("list").expect(0);
    assert_eq!(
        list.out,
        "{\"periodic\": [], \"singlepass\": [], \"stopped\": []}\n"
    );
}

/// No object and no collection but those of a job that was right.
#[track_caller]
fn only_the_first_is_there(site: &Site) {
    let _zone = site.zone();
    let found = site.catalog_of("/tempZone/home/rods");
    let found: Vec<String> = found.into_keys().collect();
    assert_eq!(found, ["t", "t/f"]);
}

#[test]
fn what_is_typed_wrong() {
    let site = Site::new();
    for (words, says) in [
        ("", "requires a subcommand"),
        ("strat", "unrecognized subcommand"),
        ("start src", "<DEST>"),
        ("start src /tempZone/t --no_such_flag", "'--no_such_flag'"),
        ("start src /tempZone/t --checksums", "'--checksum'"),
        ("start src /tempZone/t --operation SYNC", "REGISTER_SYNC"),
        ("start src /tempZone/t --interval 0", "from 1 on"),
        (
            "start src /tempZone/t --files_per_task x",
            "--files_per_task",
        ),
        (
            "start src /tempZone/t --exclude_file_type reg",
            "regular, directory",
        ),
        (
            "start src /tempZone/t --exclude_file_name (",
            "exclude_file_name",
        ),
        ("start none /tempZone/t", "does not exist"),
        ("start src/.. relative", "not an absolute path"),
        (
            "start src /",
            "Root may only contain collections which represent zones",
        ),
        ("start src /tempZone/a/../b", "`..`"),
        ("--broker mongodb://x list", "sqlite:PATH"),
        ("status j", "unknown job \"j\""),
        ("watch j", "unknown job \"j\""),
        ("stop j", "unknown job \"j\""),
        ("failures j", "unknown job \"j\""),
        ("retry j", "unknown job \"j\""),
        ("forget j", "unknown job \"j\""),
        ("zone d --listen here", "socket address"),
    ] {
        one_line(&site.run(words), 2, says);
    }
    assert!(!site.path("zone").exists());
    site.file("file", b"");
    one_line(
        &site.run("start src/file /tempZone/t --embedded_zone zone"),
        2,
        "is not a directory",
    );
    assert!(!site.path("zone").exists(), "no zone was made for it");
    nothing_is_queued(&site);
}

#[test]
fn what_the_zone_does_not_have() {
    let site = Site::new();
    site.file("f", b"1");
    site.start("--synchronous").expect(0);
    let start = |target: &str, more: &str| {
        site.run(&format!("start src {target} --embedded_zone zone {more}"))
    };
    for zone in ["otherZone", "tempZ", "tempZoneAndMore"] {
        let target = format!("/{zone}/t");
        one_line(&start(&target, ""), 2, "is not in zone tempZone");
    }
    one_line(
        &start("/tempZone/home/rods/t", "--resource none"),
        2,
        "resource none does not exist",
    );
    one_line(
        &start("/tempZone/home/rods/t/f", "--synchronous"),
        2,
        "is a data object",
    );
    one_line(
        &start("/tempZone/home/rods/t", "--files_per_task 0"),
        2,
        "files_per_task",
    );
    nothing_is_queued(&site);
    only_the_first_is_there(&site);
}

#[test]
fn a_zone_that_cannot_be_reached_or_refuses() {
    let site = Site::new();
    site.file("f", b"1");
    // A port that is free: it was just given out and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let direct = |port: u16, words: &str| {
        let mut command = site.command(words);
        command
            .env("IRODS_HOST", "127.0.0.1")
            .env("IRODS_PORT", port.to_string())
            .env("IRODS_USER_NAME", "rods")
            .env("IRODS_ZONE_NAME", "tempZone")
            .env("IRODS_PASSWORD", "wr0ng-secret");
        ran(&mut command)
    };
    for words in [
        "start src /tempZone/home/rods/t",
        "start src /tempZone/home/rods/t --synchronous",
        "worker",
    ] {
        one_line(&direct(free, words), 3, "refused");
    }
    let _zone = site.zone();
    let environment = support::environment(&site.path("zone/irods_environment.json"));
    for words in [
        "start src /tempZone/home/rods/t",
        "start src /tempZone/home/rods/t --synchronous",
        "worker",
    ] {
        let refused = direct(environment.port, words);
        one_line(&refused, 3, "CAT_INVALID_AUTHENTICATION");
        assert!(!refused.err.contains("wr0ng-secret"));
    }
    let verbose = direct(free, "worker -v --log_level error");
    assert_eq!(
        (verbose.code, verbose.err.lines().count()),
        (Some(3), 2),
        "{}",
        verbose.err
    );
    assert!(verbose.err.contains("\n  because: "), "{}", verbose.err);
    one_line(
        &site.run("start src /tempZone/home/rods/t"),
        3,
        "irods_environment.json",
    );
    nothing_is_queued(&site);
    assert!(site.objects("/tempZone/home/rods").is_empty());
}

#[test]
fn a_broker_that_is_none() {
    let site = Site::new();
    site.file("f", b"1");
    let junk = b"this is not a database, whatever its name says".repeat(100);
    std::fs::write(site.path("broker"), &junk).unwrap();
    one_line(
        &site.run("list --broker sqlite:broker"),
        3,
        "damaged or not a broker",
    );
    one_line(
        &site.start("--synchronous --broker sqlite:broker"),
        3,
        "damaged or not a broker",
    );
    assert_eq!(std::fs::read(site.path("broker")).unwrap(), junk);
    assert!(!site.path("zone").exists());
    one_line(
        &site.run("list --broker sqlite:no/such/directory"),
        3,
        "no/such/directory",
    );
    // Nobody listens there.
    one_line(
        &site.run("list --broker redis://127.0.0.1:1/0"),
        3,
        "redis://127.0.0.1:1/0",
    );
    one_line(
        &site.run("list --redis_host 127.0.0.1 --redis_port 1"),
        3,
        "redis://127.0.0.1:1/0",
    );
    for (url, code) in [
        ("redis://u:secret@127.0.0.1:1/0", 3),
        ("redis://u:secret@127.0.0.1:1/x", 2),
        ("amqp://u:secret@h", 2),
    ] {
        let mut by_variable = site.command("list");
        let ran = ran(by_variable.env("CELERY_BROKER_URL", url));
        one_line(&ran, code, "");
        assert!(!ran.err.contains("secret"), "{}", ran.err);
    }
}

#[test]
fn a_port_that_is_taken_and_a_password_that_is_none() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    one_line(
        &site.run(&format!("zone zone --listen {address}")),
        3,
        "is in use",
    );
    one_line(&site.run("zone zone --zone_password_file none"), 3, "none");
    std::fs::write(site.path("short"), "x\n").unwrap();
    one_line(
        &site.run("zone zone --zone_password_file short"),
        3,
        "3 to 42",
    );
}

#[test]
fn a_zone_is_served_once() {
    let site = Site::new();
    site.file("f", b"1");
    let _zone = site.zone();
    one_line(&site.run("zone zone"), 3, "is served by another process");
    // A start joins it.
    assert_eq!(
        site.start("--synchronous").expect(0).number("registered"),
        1
    );
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 1);
}

#[test]
fn a_zone_in_its_own_source() {
    let site = Site::new();
    for zone in ["src/zone", "src", "src/../src/a/b", "."] {
        let start =
            format!("start src /tempZone/home/rods/t --operation PUT --embedded_zone {zone}");
        one_line(&site.run(&start), 2, "would take in itself");
    }
    assert_eq!(std::fs::read_dir(site.path("src")).unwrap().count(), 0);
}

#[test]
fn what_cannot_go_together_is_refused_before_anything_is_made() {
    let site = Site::new();
    site.file("f", b"1");
    site.start("--synchronous --job_name first").expect(0);
    site.run("forget first").expect(0);
    for (operation, modes) in [
        ("NO_OP", &["UNREGISTER", "TRASH", "NO_TRASH"][..]),
        ("REGISTER_SYNC", &["TRASH", "NO_TRASH"]),
        ("REGISTER_AS_REPLICA_SYNC", &["TRASH", "NO_TRASH"]),
        ("PUT", &["UNREGISTER", "TRASH", "NO_TRASH"]),
        ("PUT_SYNC", &["UNREGISTER"]),
        ("PUT_APPEND", &["UNREGISTER"]),
    ] {
        for mode in modes {
            let words = format!(
                "start src /tempZone/home/rods/other --embedded_zone zone --operation {operation} --delete_mode {mode}"
            );
            one_line(&site.run(&words), 2, "are incompatible.");
        }
    }
    nothing_is_queued(&site);
    only_the_first_is_there(&site);
}
