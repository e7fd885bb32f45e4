//! The client against the server's side of recorded exchanges with a real 5.0.90 server: its requests are the recorded ones,
//! and it makes of the replies what they mean.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod catalog;
mod login;
mod replicas;
#[path = "../support/mod.rs"]
mod support;
mod transfer;

macro_rules! scenario {
    ($name:literal) => {
        match crate::support::Scenario::load($name) {
            Some(scenario) => scenario,
            None => return,
        }
    };
}

use scenario;

const HOME: &str = "/tempZone/home/rods/golden";

fn at(name: &str) -> String {
    format!("{HOME}/{name}")
}
