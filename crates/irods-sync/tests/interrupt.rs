//! A run that is interrupted, gently or not, is gone on with by the next start, at once and exactly.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use rustix::process::Signal;
use support::{Running, Site, until};

const FILES: usize = 1500;

/// A synchronous start that has done something and is not done.
fn under_way(site: &Site) -> Running {
    let running = site.spawn(
        "start src /tempZone/home/rods/t --embedded_zone zone --synchronous --job_name j --operation PUT --files_per_task 5 --concurrency 1",
    );
    until("the first upload", || {
        let ran = site.run("status j --json");
        ran.code == Some(0)
            && serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["totals"]["uploaded"]
                != 0
    });
    running
}

#[track_caller]
fn is_finished_by_the_next_start(site: &Site) {
    let ran = site
        .start("--synchronous --job_name j --operation PUT --files_per_task 5")
        .expect(0);
    assert!(
        ran.err.contains("going on with the unfinished job j"),
        "{}",
        ran.err
    );
    assert_eq!(ran.number("seen"), FILES as u64);
    assert_eq!(ran.number("failed"), 0);
    let _zone = site.zone();
    let objects = site.objects("/tempZone/home/rods/t");
    assert_eq!(objects.len(), FILES);
    for (path, size) in objects {
        let name = path.strip_prefix("/tempZone/home/rods/t/").unwrap();
        assert_eq!(
            std::fs::metadata(site.path("src").join(name))
                .unwrap()
                .len() as i64,
            size
        );
    }
}

#[test]
fn ctrl_c_drains_and_the_next_start_goes_on() {
    let site = Site::new();
    site.files(FILES);
    let running = under_way(&site);
    running.signal(Signal::INT);
    let ran = running.output();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(
        ran.err.contains("finishing the files in hand"),
        "{}",
        ran.err
    );
    assert!(
        ran.out.contains("next: the same command goes on with it"),
        "{}",
        ran.out
    );
    let status = site.status("j");
    assert_eq!(status["outstanding"]["leased"], 0, "{status}");
    assert_eq!(status["state"], "running");
    let uploaded = status["totals"]["uploaded"].as_u64().unwrap();
    {
        let _zone = site.zone();
        assert_eq!(
            site.objects("/tempZone/home/rods/t").len() as u64,
            uploaded,
            "what is counted is what is there"
        );
    }
    is_finished_by_the_next_start(&site);
}

#[test]
fn a_killed_process_does_not_hold_its_job() {
    let site = Site::new();
    site.files(FILES);
    let mut running = under_way(&site);
    running.0.kill().unwrap();
    // Not even reaped yet: the system still knows its number.
    is_finished_by_the_next_start(&site);
}

#[test]
fn a_living_process_does() {
    let site = Site::new();
    site.files(FILES);
    let running = under_way(&site);
    let second = site
        .start("--synchronous --job_name j --operation PUT --files_per_task 5")
        .expect(2);
    assert!(second.err.contains("is being run by"), "{}", second.err);
    running.signal(Signal::TERM);
    assert_eq!(running.output().code, Some(130));
}

#[test]
fn the_second_signal_leaves_at_once_and_nothing_is_lost() {
    let site = Site::new();
    site.files(FILES);
    let running = under_way(&site);
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    assert_eq!(running.output().code, Some(130));
    is_finished_by_the_next_start(&site);
}

#[test]
fn watching_ends_with_ctrl_c_and_the_job_does_not() {
    let site = Site::new();
    site.files(1);
    site.start("--job_name j").expect(0);
    let mut watch = site.spawn("watch j");
    let err = watch.0.stderr.take().unwrap();
    // It says that there is no worker; from then on it listens.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(err));
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains("no worker is running")
    );
    watch.signal(Signal::INT);
    assert_eq!(watch.end().code(), Some(130));
    assert_eq!(site.status("j")["state"], "queued");
}
