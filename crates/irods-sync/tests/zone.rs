//! The embedded zone in the foreground: how clients get in, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use rustix::process::Signal;
use support::{Site, ran};

#[test]
fn it_says_how_to_get_in_and_ends_when_told() {
    let site = Site::new();
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let mut zone = site.spawn("zone zone");
        zone.wait_for_line("IRODS_ENVIRONMENT_FILE=");
        zone.signal(signal);
        assert_eq!(zone.end().code(), Some(code));
    }
}

#[test]
fn a_password_of_one_s_own_lets_in_by_variables_alone() {
    let site = Site::new();
    site.files(3);
    std::fs::write(site.path("password"), "open sesame\n").unwrap();
    let mut zone = site.spawn("zone zone --zone_password_file password --durable");
    zone.wait_for_line("is open at");
    let port = support::environment(&site.path("zone/irods_environment.json")).port;
    let mut start =
        site.command("start src /tempZone/home/rods/t --synchronous --operation PUT --checksum");
    start
        .env("IRODS_HOST", "127.0.0.1")
        .env("IRODS_PORT", port.to_string())
        .env("IRODS_USER_NAME", "rods")
        .env("IRODS_ZONE_NAME", "tempZone")
        .env("IRODS_PASSWORD", "open sesame");
    let done = ran(&mut start).expect(0);
    assert_eq!(done.number("uploaded"), 3);
    assert!(
        done.out.contains("next: ils -l /tempZone/home/rods/t"),
        "{}",
        done.out
    );
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 3);
}

#[test]
fn it_keeps_its_port() {
    let site = Site::new();
    let port = || support::environment(&site.path("zone/irods_environment.json")).port;
    drop(site.zone());
    let first = port();
    drop(site.zone());
    assert_eq!(port(), first);
}

/// Whoever serves the zone ends its own job first and serves on until the others have ended theirs.
#[test]
fn several_commands_share_a_zone_and_none_is_left_behind() {
    let site = Site::new();
    for n in 0..3 {
        site.file(&format!("small/f{n}"), b"x");
    }
    for n in 0..400 {
        site.file(&format!("large/d{}/f{n}", n % 7), b"x");
    }
    let start = |source: &str| {
        site.spawn(&format!(
            "start src/{source} /tempZone/home/rods/{source} --embedded_zone zone --synchronous --operation PUT_SYNC"
        ))
    };
    let small = start("small");
    support::until("the zone is there", || {
        site.path("zone/irods_environment.json").exists()
    });
    let (large, again) = (start("large"), start("small2"));
    assert_eq!(small.output().expect(0).number("uploaded"), 3);
    assert_eq!(large.output().expect(0).number("uploaded"), 400);
    // This one has no source: it ends with an error, not in waiting.
    again.output().expect(2);
}
