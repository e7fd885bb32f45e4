//! What the program says of itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use support::{Ran, Site, ran};

fn help(words: &str) -> String {
    let site = Site::new();
    let Ran { out, err, code } = ran(site.command(words).env("COLUMNS", "100"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    out
}

#[test]
fn the_program() {
    insta::assert_snapshot!(help("--help"));
}

#[test]
fn start() {
    insta::assert_snapshot!(help("start --help"));
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "stop", "list", "watch", "status", "worker", "failures", "retry", "forget", "cache", "zone",
    ] {
        assert!(help(&format!("{command} --help")).contains("Usage: irods_sync"));
    }
}

#[test]
fn version() {
    assert_eq!(
        help("--version"),
        format!("irods_sync {}\n", env!("CARGO_PKG_VERSION"))
    );
}
