//! `plan` and `verify` as they are typed: what they print, how they exit, and that they leave no trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::Site;

const ARGUMENTS: &str = "src /tempZone/home/rods/t --embedded_zone zone";

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_plan_leaves_no_trace_and_the_job_does_as_it_says() {
    let site = Site::new();
    site.files(3);
    let planned = site
        .run(&format!("plan {ARGUMENTS} --json --broker sqlite:b.db"))
        .expect(0);
    assert!(!site.path("b.db").exists());
    let planned = lines(&planned.out);
    let what: Vec<_> = planned[..planned.len() - 1]
        .iter()
        .map(|line| line["what"].as_str().unwrap())
        .collect();
    assert_eq!(what.iter().filter(|w| **w == "create: register").count(), 3);
    let totals = &planned.last().unwrap()["totals"];
    assert_eq!(totals["registered"], 3);
    site.start("--synchronous --job_name j --broker sqlite:b.db")
        .expect(0);
    let ran = site.run("status j --json --broker sqlite:b.db").expect(0);
    let mut done: Value = serde_json::from_str(&ran.out).unwrap();
    done["totals"]["tasks"] = json!(0);
    assert_eq!(&done["totals"], totals);
    // By the signatures of that job nothing is left to do.
    let again = site
        .run(&format!("plan {ARGUMENTS} --broker sqlite:b.db"))
        .expect(0);
    assert!(
        again.out.starts_with("a pass would end with\n"),
        "{again:?}"
    );
    assert_eq!(again.number("skipped"), 3);
}

#[test]
fn verify_exits_with_one_where_source_and_zone_differ() {
    let site = Site::new();
    site.files(3);
    site.start("--synchronous").expect(0);
    let same = site
        .run(&format!("verify {ARGUMENTS} --checksum"))
        .expect(0);
    assert!(same.out.starts_with("0 differences in 3 files"), "{same:?}");
    site.file("d0/new", b"new");
    let differ = site.run(&format!("verify {ARGUMENTS}")).expect(1);
    assert!(differ.out.starts_with("missing   /"), "{differ:?}");
    let differ = lines(
        &site
            .run(&format!("verify {ARGUMENTS} --json"))
            .expect(1)
            .out,
    );
    assert_eq!(differ[0]["what"], "missing");
    assert_eq!(differ[0]["target"], "/tempZone/home/rods/t/d0/new");
    assert_eq!(differ[1]["totals"]["differences"], 1);
    let left_out = "--exclude_file_name .*/new";
    site.run(&format!("verify {ARGUMENTS} {left_out}"))
        .expect(0);
}

#[test]
fn what_makes_no_sense_is_said() {
    let site = Site::new();
    let ran = site
        .run(&format!("verify {ARGUMENTS} --operation NO_OP"))
        .expect(2);
    assert!(
        ran.err
            .contains("NO_OP leaves nothing in the zone that could be compared"),
        "{ran:?}"
    );
    for command in ["plan", "verify"] {
        let words = format!("{command} nowhere /tempZone/home/rods/t --embedded_zone zone");
        let ran = site.run(&words).expect(2);
        assert!(ran.err.contains("does not exist"), "{ran:?}");
        let words = format!("{command} src /elsewhere/home --embedded_zone zone");
        let ran = site.run(&words).expect(2);
        assert!(ran.err.contains("is not in zone tempZone"), "{ran:?}");
    }
}
