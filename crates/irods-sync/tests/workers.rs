//! A job that is queued by one process, done by another, and watched, stopped and tried again by others.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use support::{Site, ran, until};

#[test]
fn queued_here_done_there_watched_from_a_third() {
    let site = Site::new();
    site.files(250);
    let queued = site.start("--job_name j --operation PUT").expect(0);
    assert_eq!(queued.out, "j\n");
    assert!(
        queued
            .err
            .contains("irods_sync worker --embedded_zone zone"),
        "{}",
        queued.err
    );
    assert_eq!(site.status("j")["state"], "queued");
    let text = site.run("status j").expect(0).out;
    assert!(text.starts_with("job j: queued\n"), "{text}");

    let worker = site.spawn("worker --embedded_zone zone --concurrency 2");
    let watched = site.run("watch j").expect(0);
    assert_eq!(watched.number("uploaded"), 250);
    let status = site.status("j");
    assert_eq!(status["state"], "finished");
    assert_eq!(status["totals"]["uploaded"], 250);
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 250);
    // A job that has ended is watched to its end at once.
    site.run("watch j").expect(0);

    worker.signal(Signal::TERM);
    let worker = worker.output();
    assert_eq!(worker.code, Some(0), "{worker:?}");

    site.run("forget j").expect(0);
    site.run("status j").expect(2);
}

#[test]
fn the_list_has_the_shape_that_scripts_read() {
    let site = Site::new();
    site.files(1);
    site.start("--job_name one").expect(0);
    site.run("start src /tempZone/home/rods/u --embedded_zone zone --interval 60 --job_name again")
        .expect(0);
    site.run("start src /tempZone/home/rods/v --embedded_zone zone --job_name Größe")
        .expect(0);
    site.run("stop Größe").expect(0);
    insta::assert_snapshot!(site.run("list").expect(0).out);
}

#[test]
fn a_stopped_job_does_no_more() {
    let site = Site::new();
    site.files(20);
    site.start("--job_name j").expect(0);
    site.run("stop j").expect(0);
    assert_eq!(site.status("j")["state"], "stopped");
    assert_eq!(site.status("j")["outstanding"]["ready"], 0);
    site.run("watch j").expect(4);
    let again = site.run("stop j").expect(0);
    assert!(again.err.contains("already"), "{}", again.err);
    // Its name is free again.
    let ran = site.start("--job_name j --synchronous").expect(0);
    assert_eq!(ran.number("registered"), 20);
}

#[test]
fn stopping_a_synchronous_job_ends_its_process() {
    let site = Site::new();
    site.files(2000);
    let words = "start src /tempZone/home/rods/t --embedded_zone zone --synchronous --job_name j --operation PUT --files_per_task 1 --concurrency 1";
    let running = site.spawn(words);
    until("the job to be under way", || {
        site.run("list").out.contains("\"j\"")
    });
    site.run("stop j").expect(0);
    let ran = running.output();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.out.contains("job j: stopped"), "{}", ran.out);
    let _zone = site.zone();
    let uploaded = site.status("j")["totals"]["uploaded"].as_u64().unwrap();
    assert_eq!(site.objects("/tempZone/home/rods").len() as u64, uploaded);
}

#[test]
fn a_live_job_s_name_is_refused() {
    let site = Site::new();
    site.files(1);
    site.start("--job_name j").expect(0);
    let other = site
        .run("start src /tempZone/home/rods/other --embedded_zone zone --job_name j")
        .expect(2);
    assert_eq!(other.err.lines().count(), 1, "{}", other.err);
    assert!(
        other.err.starts_with("irods_sync: job \"j\" is unfinished"),
        "{}",
        other.err
    );
    // The same job is gone on with.
    let same = site.start("--job_name j --synchronous").expect(0);
    assert!(
        same.err.contains("going on with the unfinished job j"),
        "{}",
        same.err
    );
    assert_eq!(same.number("registered"), 1);
}

#[test]
fn a_start_with_another_interval_is_refused() {
    let site = Site::new();
    site.files(1);
    site.start("--job_name often -i 300").expect(0);
    site.start("--job_name often -i 300").expect(0);
    for more in ["-i 5", "--synchronous", ""] {
        let refused = site.start(&format!("--job_name often {more}")).expect(2);
        let says =
            "irods_sync: job \"often\" is unfinished and has another source, target, interval";
        assert!(refused.err.starts_with(says), "{}", refused.err);
        assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
    }
    // Under a name of its own it is a job of its own.
    let once = site.start("--job_name once --synchronous").expect(0);
    assert_eq!(once.number("registered"), 1);
    site.start("--job_name single").expect(0);
    site.start("--job_name single -i 2").expect(2);
}

#[test]
fn a_worker_without_file_descriptors_charges_no_file() {
    for limit in ["18", "20", "22", "24"] {
        let site = Site::new();
        site.files(200);
        let _zone = site.zone();
        let start = "start src /tempZone/home/rods/t --embedded_zone zone --job_name j --synchronous \
            --operation PUT_SYNC --concurrency 32";
        let whole = site.command(start);
        let mut short = Command::new("sh");
        short
            .args(["-c", "ulimit -n $0 && exec \"$@\"", limit])
            .arg(whole.get_program())
            .args(whole.get_args())
            .current_dir(site.path(""))
            .env_clear()
            .envs(
                whole
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null());
        let ended = ran(&mut short);
        assert!(matches!(ended.code, Some(0 | 3)), "{limit}: {ended:?}");
        // Whatever it came to, no file has failed, and with enough of them all are done.
        site.run(start).expect(0);
        assert_eq!(site.status("j")["totals"]["failed"], 0, "{ended:?}");
        assert_eq!(site.objects("/tempZone/home/rods/t").len(), 200);
    }
}

#[test]
fn a_periodic_job_runs_again_and_again_until_it_is_stopped() {
    let site = Site::new();
    site.files(3);
    let started = site
        .start("--job_name j --interval 1 --synchronous")
        .expect(0);
    assert!(
        started.err.contains("--synchronous is ignored"),
        "{}",
        started.err
    );
    let _worker = site.spawn("worker --embedded_zone zone");
    until("the second pass", || {
        site.status("j")["pass"].as_u64() > Some(1)
    });
    site.file("late", b"added between two passes");
    until("the new file", || {
        site.status("j")["totals_of_all_passes"]["registered"] == 4
    });
    site.run("stop j").expect(0);
    assert_eq!(site.status("j")["state"], "stopped");
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 4);
}

#[test]
fn who_watches_learns_why_a_worker_refuses() {
    let site = Site::new();
    site.files(3);
    site.start("--job_name j").expect(0);
    std::fs::rename(site.path("src"), site.path("elsewhere")).unwrap();
    let worker = site.spawn("worker --embedded_zone zone");
    let mut watch = site.spawn("watch j");
    let lines = std::io::BufReader::new(watch.0.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(lines).map(Result::unwrap);
    let why = lines
        .find(|line| line.contains("takes no more of it"))
        .unwrap();
    assert!(why.contains("/src does not exist"), "{why}");
    worker.signal(Signal::TERM);
    let log = worker.output().err;
    assert!(
        log.contains("this worker takes no more of the job, for now job=1 job_name=\"j\" why="),
        "{log}"
    );
    // Another worker may see the source.
    std::fs::rename(site.path("elsewhere"), site.path("src")).unwrap();
    let _other = site.spawn("worker --embedded_zone zone");
    until("the job to finish", || {
        site.status("j")["state"] == "finished"
    });
    assert_eq!(site.objects("/tempZone/home/rods/t").len(), 3);
}

#[test]
fn a_periodic_job_that_is_stopped_between_two_passes_has_no_further_one() {
    let site = Site::new();
    site.files(3);
    site.start("--job_name j --interval 3600").expect(0);
    let _worker = site.spawn("worker --embedded_zone zone");
    until("the first pass to end", || {
        site.status("j")["state"] == "waiting"
    });
    let status = site.status("j");
    assert_eq!(status["pass"], 1);
    assert!(status["next_pass"].is_string(), "{status}");
    let list: serde_json::Value = serde_json::from_str(&site.run("list").expect(0).out).unwrap();
    assert_eq!(list["periodic"][0]["job_name"], "j");
    assert_eq!(list["periodic"][0]["remaining_tasks"], 0);
    let mut watch = site.spawn("watch j");
    let err = watch.0.stderr.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(err));
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .starts_with("waiting: 3 of 3")
    );

    // Nothing is in hand, so there is nothing to wait for.
    site.run("stop j").expect(0);
    assert_eq!(watch.output().code, Some(4));
    let status = site.status("j");
    assert_eq!(
        (&status["state"], &status["next_pass"]),
        (&"stopped".into(), &().into())
    );
    let kinds: Vec<_> = status["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["created", "pass_started", "pass_ended", "stopped"]);
    let list: serde_json::Value = serde_json::from_str(&site.run("list").expect(0).out).unwrap();
    assert_eq!(list["stopped"][0]["job_name"], "j");
    assert_eq!(list["periodic"], serde_json::json!([]));
    let text = site.run("status j").expect(0).out;
    assert!(
        text.contains(" pass_ended\n") && text.contains(" stopped\n"),
        "{text}"
    );

    let all = site.run("list --json").expect(0).out;
    let all: Vec<serde_json::Value> = all
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(all, [status]);
    site.run("forget j").expect(0);
    assert_eq!(site.run("list --json").expect(0).out, "");
}

/// The texts of what workers noted about a job.
fn notes(site: &Site, job: &str) -> Vec<String> {
    let events = site.status(job)["events"].as_array().unwrap().clone();
    let notes = events.iter().filter(|event| event["kind"] == "note");
    notes
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_worker_looks_again_for_a_source_that_it_did_not_see() {
    let site = Site::new();
    site.files(3);
    site.start("--job_name j --interval 1").expect(0);
    std::fs::rename(site.path("src"), site.path("elsewhere")).unwrap();
    let _worker = site.spawn("worker --embedded_zone zone");
    until("the worker to refuse", || !notes(&site, "j").is_empty());
    assert!(notes(&site, "j")[0].contains("/src does not exist"));
    std::fs::rename(site.path("elsewhere"), site.path("src")).unwrap();
    until("a pass", || site.status("j")["pass"].as_u64() > Some(1));

    // The same between two passes: the pass that finds no source waits for it, and nothing is taken for gone.
    let failed_notes = notes(&site, "j").len();
    std::fs::rename(site.path("src"), site.path("elsewhere")).unwrap();
    until("the worker to refuse again", || {
        notes(&site, "j").len() > failed_notes
    });
    std::fs::rename(site.path("elsewhere"), site.path("src")).unwrap();
    let pass = site.status("j")["pass"].as_u64().unwrap();
    until("the next pass", || {
        site.status("j")["pass"].as_u64() > Some(pass)
    });
    site.run("stop j").expect(0);
    let status = site.status("j");
    let totals = &status["totals_of_all_passes"];
    assert_eq!(
        (&totals["registered"], &totals["failed"]),
        (&3.into(), &0.into())
    );
}

#[test]
fn stopping_now_does_not_wait_for_what_is_in_hand() {
    let site = Site::new();
    site.files(2000);
    site.start("--job_name j --operation PUT --files_per_task 1000")
        .expect(0);
    let _worker = site.spawn("worker --embedded_zone zone --concurrency 1");
    until("a task in hand", || {
        site.status("j")["outstanding"]["leased"] != 0
    });
    site.run("stop j --now").expect(0);
    let status = site.status("j");
    assert_eq!(
        (&status["state"], &status["outstanding"]["leased"]),
        (&"stopped".into(), &0.into())
    );
}
