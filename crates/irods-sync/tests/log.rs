//! The log file: shared, rotated, and never a reason to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use rustix::process::Signal;
use serde_json::Value;
use support::{Site, until};

/// The lines of all files whose names begin like this.
fn lines(site: &Site, name: &str) -> Vec<Value> {
    let entries = std::fs::read_dir(site.path("")).unwrap();
    let mut lines = Vec::new();
    for entry in entries.map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with(name) {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'));
            lines.extend(
                text.lines()
                    .map(|line| serde_json::from_str(line).expect(line)),
            );
        }
    }
    lines
}

#[test]
fn workers_share_a_log_that_is_rotated_and_each_task_is_in_it_once() {
    let site = Site::new();
    site.files(600);
    site.start("--job_name j --files_per_task 2").expect(0);
    let words = "worker --embedded_zone zone --concurrency 2 --log_filename w.log --log_when S --log_level info";
    let workers: Vec<_> = (0..3).map(|_| site.spawn(words)).collect();
    until("the job to finish", || {
        site.status("j")["state"] == "finished"
    });
    for worker in workers {
        worker.signal(Signal::TERM);
        assert_eq!(worker.output().code, Some(0));
    }
    let lines = lines(&site, "w.log");
    let tasks = lines
        .iter()
        .filter(|line| line["event"] == "succeeded_task");
    assert_eq!(tasks.count() as u64, site.status("j")["totals"]["tasks"]);
    let names = |line: &Value| {
        line.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    for line in &lines {
        let names = names(line);
        assert!(names.contains(&"@timestamp".to_owned()), "{line}");
        assert_eq!(
            line["logger"],
            format!("irods_sync/w.log/{}", line["level"].as_str().unwrap())
        );
    }
}

#[test]
fn a_log_that_cannot_be_written_fails_no_job() {
    let site = Site::new();
    site.files(20);
    let started = site
        .start("--synchronous --log_filename /dev/full --log_when H --log_level info")
        .expect(0);
    assert_eq!(started.number("registered"), 20);
    assert_eq!(started.err.matches("the log /dev/full has gaps").count(), 1);
    let started = site
        .start("--synchronous --log_filename no/such/folder/log")
        .expect(3);
    assert_eq!(started.err.lines().count(), 1, "{}", started.err);
}

#[test]
fn json_on_stderr_and_text_in_a_file() {
    let site = Site::new();
    site.files(2);
    let started = site
        .start("--synchronous --log_level info --log_format json")
        .expect(0);
    let json = started.err.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = json
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "succeeded_task")
    );
    site.start(
        "--synchronous --ignore_cache --log_level INFO --log_filename t.log --log_format text",
    )
    .expect(0);
    let text = std::fs::read_to_string(site.path("t.log")).unwrap();
    assert!(text.contains(" INFO succeeded_task "), "{text}");
}

#[test]
fn rotation_that_makes_no_sense_is_refused() {
    let site = Site::new();
    for words in [
        "--log_filename l --log_when W7",
        "--log_filename l --log_interval 5",
        "--log_filename l --log_when H --log_interval 0",
    ] {
        let refused = site.run(&format!("list {words}")).expect(2);
        assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
        assert!(!site.path("l").exists());
    }
    let ignored = site.run("list --log_when H").expect(0);
    assert!(
        ignored.err.contains("mean nothing without"),
        "{}",
        ignored.err
    );
}
