//! A zone that encrypts: other people's client gets in with the environment file alone, this program too, and passwords of
//! the site count.
//!
//! `IRODS_TEST_PYTHON` names an interpreter that has python-irodsclient; the scripts are in `tests-python`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::path::Path;
use std::process::Command;

use support::{Site, ran};

const SECRETS: &str = "anna:the; site's = own\\\n";

#[test]
fn others_log_in_through_tls_and_with_passwords_of_the_site() {
    let Some(python) = std::env::var_os("IRODS_TEST_PYTHON") else {
        eprintln!("SKIPPED: IRODS_TEST_PYTHON names no interpreter with python-irodsclient");
        return;
    };
    let site = Site::new();
    std::fs::write(site.path("secrets"), SECRETS).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-python");
    let environment = site.path("zone/irods_environment.json");
    // The second script also opens sessions without TLS.
    for (script, more) in [("logins.py", ""), ("writes.py", "--tls_optional")] {
        let zone = format!("zone zone --tls --pam_password_file secrets {more}");
        let mut zone = site.spawn(&zone);
        zone.wait_for_line("is open at");
        let mut command = Command::new(&python);
        command
            .arg(scripts.join(script))
            .arg("/tempZone/home/rods/theirs")
            .env_clear()
            .env("HOME", site.path("home"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .env("SCRATCH", site.path(""))
            .env("IRODS_ENVIRONMENT_FILE", &environment);
        ran(&mut command).expect(0);
    }
}

#[test]
fn a_job_runs_through_tls() {
    let site = Site::new();
    site.files(5);
    let mut zone = site.spawn("zone zone --tls");
    zone.wait_for_line("is open at");
    let mut start = site.command("start src /tempZone/home/rods/t --synchronous --operation PUT");
    start.env(
        "IRODS_ENVIRONMENT_FILE",
        site.path("zone/irods_environment.json"),
    );
    let done = ran(&mut start).expect(0);
    assert_eq!((done.number("uploaded"), done.number("failed")), (5, 0));
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 5);
}

#[test]
fn flags_that_need_tls_say_so_and_bad_certificates_are_named() {
    let site = Site::new();
    std::fs::write(site.path("secrets"), SECRETS).unwrap();
    for flags in ["--tls_optional", "--pam_password_file secrets"] {
        let refused = site.run(&format!("zone zone {flags}")).expect(2);
        assert!(refused.err.contains("needs --tls"), "{}", refused.err);
    }
    site.run("zone zone --tls_key secrets").expect(2);
    let refused = site.run("zone zone --tls_certificate secrets --tls_key secrets");
    let refused = refused.expect(3);
    assert!(
        refused.err.contains("secrets: it has no certificate"),
        "{}",
        refused.err
    );
}
