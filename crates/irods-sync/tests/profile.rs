//! `--profile`: what a job's time was spent on, as JSON and as a page.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/browser.rs"]
mod browser;
#[path = "../../irods-ingest/tests/support/redis.rs"]
mod server;
mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use browser::Browser;
use irods_client::protocol::api;
use irods_zone::{Zone, ZoneOptions};
use rustix::process::Signal;
use serde_json::Value;
use server::Server;
use support::{Running, Site, ran, until};
use tokio::runtime::Runtime;

const STAGES: [&str; 8] = [
    "queue", "scan", "plan", "handler", "connect", "irods", "transfer", "task",
];

fn read(site: &Site, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(site.path(file)).unwrap()).unwrap()
}

fn stage<'a>(pass: &'a Value, name: &str) -> &'a Value {
    let mut stages = pass["stages"].as_array().unwrap().iter();
    stages.find(|stage| stage["stage"] == name).unwrap()
}

fn uint(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Calls of the zone by name, but for those of logins.
fn calls(pass: &Value) -> BTreeMap<String, u64> {
    let calls = stage(pass, "irods")["calls"].as_array().unwrap().iter();
    calls
        .map(|call| {
            (
                call["name"].as_str().unwrap().to_owned(),
                uint(&call["count"]),
            )
        })
        .filter(|(name, _)| !name.starts_with("AUTH"))
        .collect()
}

/// Whatever the numbers are, they are consistent.
fn is_sound(report: &Value) {
    for pass in [&report["last_pass"], &report["all_passes"]] {
        let names = pass["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| &stage["stage"]);
        assert!(names.eq(&STAGES), "{pass}");
        let accounted = uint(&pass["tasks"]["accounted"]);
        assert!(accounted <= uint(&pass["tasks"]["done"]), "{pass}");
        let columns = pass["timeline"]["files"].as_array().unwrap().len();
        assert!((1..=1024).contains(&columns), "{columns}");
        let width = pass["timeline"]["seconds"].as_f64().unwrap();
        for of in pass["stages"].as_array().unwrap() {
            let calls = of["calls"].as_array().unwrap();
            for field in ["count", "errors"] {
                let sum: u64 = calls.iter().map(|call| uint(&call[field])).sum();
                assert_eq!(uint(&of[field]), sum, "{field} of {of}");
            }
            let total = of["total"].as_f64().unwrap();
            let sum: f64 = calls
                .iter()
                .map(|call| call["total"].as_f64().unwrap())
                .sum();
            assert!((total - sum).abs() < 1e-6, "{of}");
            for row in calls.iter().chain([of]) {
                let at = ["p50", "p95", "p99", "max"].map(|field| row[field].as_f64().unwrap());
                assert!(at.is_sorted(), "{row}");
            }
            let busy = pass["timeline"]["busy"][of["stage"].as_str().unwrap()]
                .as_array()
                .unwrap();
            assert_eq!(busy.len(), columns);
            let busy: f64 = busy
                .iter()
                .map(|share| share.as_f64().unwrap() * width)
                .sum();
            // Columns are told with four digits.
            assert!(
                (busy - total).abs() < 1e-4 * width * columns as f64 + 1e-6,
                "{busy} of {of}"
            );
        }
    }
    let workers = report["workers"].as_array().unwrap().iter();
    let by_workers: u64 = workers.map(|worker| uint(&worker["tasks"])).sum();
    assert_eq!(
        by_workers,
        uint(&report["all_passes"]["tasks"]["accounted"])
    );
}

/// What a page shows of a duration, in seconds.
fn seconds(shown: &str) -> f64 {
    if shown == "0" {
        return 0.0;
    }
    let (number, unit) = shown.split_once(' ').unwrap();
    let unit = match unit {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        other => panic!("{other}"),
    };
    number.parse::<f64>().unwrap() * unit
}

/// The rows of a page: by section and name, the value and the text of each field.
const ROWS: &str = "Object.fromEntries([...document.querySelectorAll('section')].map(section => [section.id, \
    Object.fromEntries([...section.querySelectorAll('tr[data-row]')].map(row => [row.dataset.row, \
    Object.fromEntries([...row.querySelectorAll('data')].map(data => [data.className, [data.value, data.textContent]]))]))]))";

fn shows(rows: &Value, report: &Value) {
    for (section, of) in rows.as_object().unwrap() {
        let mut left = of.as_object().unwrap().len();
        for stage in report[section]["stages"].as_array().unwrap() {
            let name = stage["stage"].as_str().unwrap();
            let calls = stage["calls"].as_array().unwrap().iter();
            let calls =
                calls.map(|call| (format!("{name}/{}", call["name"].as_str().unwrap()), call));
            for (name, row) in calls.chain([(name.to_owned(), stage)]) {
                left -= 1;
                let shown = &of[&name];
                for field in ["count", "errors"] {
                    let number = row[field].to_string();
                    assert_eq!(shown[field][0], number, "{name} {field}");
                    let text = shown[field][1].as_str().unwrap();
                    assert_eq!(text.replace(',', ""), number, "{name} {field}");
                }
                for field in ["total", "p50", "p95", "p99", "max"] {
                    let number = row[field].as_f64().unwrap();
                    let value = shown[field][0].as_str().unwrap();
                    assert_eq!(value.parse::<f64>().unwrap(), number, "{name} {field}");
                    let text = seconds(shown[field][1].as_str().unwrap());
                    assert!(
                        (text - number).abs() <= number * 0.006,
                        "{name} {field}: {shown}"
                    );
                }
            }
        }
        assert_eq!(left, 0, "{section}");
    }
}

/// The least contrast of text with what is behind it.
const CONTRAST: &str = "(() => { const of = (color) => { const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(Number).map(c => c / 255) \
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
    const paper = of(getComputedStyle(document.body).backgroundColor); const text = [...document.body.querySelectorAll('*')] \
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && !e.closest('script')); \
    return Math.min(...text.map(e => { const style = getComputedStyle(e); const ink = of(e.closest('svg') ? style.fill : style.color); \
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); })); })()";

#[test]
fn the_page_shows_the_numbers_of_the_json_and_asks_for_nothing() {
    let site = Site::new();
    let hostile = "<img src=x onerror=document.title='broken'>";
    // Whichever is the slowest, its path has `</script>` in it.
    for number in 0..31 {
        site.file(&format!("</script>{hostile}/f{number}"), b"x");
    }
    let mut start = site.command(
        "start src /tempZone/home/rods/t --embedded_zone zone --operation PUT --synchronous",
    );
    start.args(["--profile", "run.json", "--job_name", hostile]);
    let done = ran(&mut start).expect(0);
    assert!(
        done.err.ends_with("profile: run.json, run.html\n"),
        "{}",
        done.err
    );
    let report = read(&site, "run.json");
    is_sound(&report);
    let pass = &report["last_pass"];
    assert_eq!(
        (uint(&pass["files"]), &report["job"]["name"]),
        (31, &hostile.into())
    );
    assert_eq!(pass["tasks"]["accounted"], pass["tasks"]["done"]);
    let slowest = stage(pass, "transfer")["slowest"].as_str().unwrap();
    let path = format!("</script>{hostile}/f");
    assert!(slowest.contains(&path), "{slowest}");

    let Some(mut page) = Browser::open(&site.path("run.html").canonicalize().unwrap()) else {
        return;
    };
    let rows = page.value(ROWS);
    assert_eq!(
        rows.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["last_pass"]
    );
    shows(&rows, &report);
    let title = page.value("document.title");
    assert_eq!(title, format!("{hostile} - profile"));
    // The one that reads the timeline, and what it reads.
    let strange =
        page.value("[document.images.length, document.scripts.length, document.links.length]");
    assert_eq!(strange, serde_json::json!([0, 2, 0]));
    let text = page.value("document.body.innerText");
    assert!(text.as_str().unwrap().contains(slowest), "{text}");
    for scheme in ["light", "dark"] {
        page.prefer(scheme);
        let least = page.value(CONTRAST).as_f64().unwrap();
        assert!(least >= 4.5, "{scheme}: {least}");
    }
    let moved = "document.querySelector('svg').dispatchEvent(new PointerEvent('pointermove', { clientX: 600 })), \
        document.querySelector('output').textContent";
    let told = page.value(moved);
    assert!(told.as_str().unwrap().contains("transfer "), "{told}");
    assert!(page.complaints().is_empty(), "{:#?}", page.complaints());
    let asked = page.requests();
    assert!(
        asked.len() == 1 && asked[0].starts_with("file://"),
        "{asked:?}"
    );
}

/// A place with a zone of the test's own, whose calls it counts, and a broker of the one or the other kind.
struct Fleet {
    site: Site,
    redis: Option<Server>,
    zone: Zone,
    _runtime: Runtime,
}

impl Fleet {
    fn new(redis: Option<Server>) -> Self {
        let (site, runtime) = (Site::new(), Runtime::new().unwrap());
        let options = ZoneOptions::new(site.path("zone"));
        let zone = runtime.block_on(Zone::start(options)).unwrap();
        Fleet {
            site,
            redis,
            zone,
            _runtime: runtime,
        }
    }

    fn on_redis() -> Option<Self> {
        Server::start(&["--appendonly", "yes"]).map(|redis| Self::new(Some(redis)))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.site.command(words);
        command.env("IRODS_ENVIRONMENT_FILE", self.zone.environment_file());
        if let Some(redis) = &self.redis {
            command.env("CELERY_BROKER_URL", redis.url(""));
        }
        command
    }

    fn run(&self, words: &str, code: i32) -> String {
        let ran = ran(&mut self.command(words)).expect(code);
        ran.out + &ran.err
    }

    fn spawn(&self, words: &str) -> Running {
        Running::spawn(&mut self.command(words))
    }

    /// Waits until so many tasks of the job are done.
    fn until_done(&self, tasks: u64) {
        until("some tasks to be done", || {
            let status: Value =
                serde_json::from_str(self.run("status j --json", 0).lines().next().unwrap())
                    .unwrap();
            uint(&status["totals_of_all_passes"]["tasks"]) >= tasks
        });
    }

    /// Calls so far, but for those of logins.
    fn calls(&self) -> BTreeMap<String, u64> {
        let counts = self.zone.call_counts().into_iter();
        counts
            .map(|(number, count)| (api::name_of(number).unwrap().to_owned(), count))
            .filter(|(name, _)| !name.starts_with("AUTH"))
            .collect()
    }
}

/// One worker takes the files, the other one the directories.
fn two_workers_tell_what_the_zone_counted(fleet: &Fleet) {
    fleet.site.files(150);
    let queued = fleet.run("start src /tempZone/home/rods/t --operation PUT --job_name j --files_per_task 5 --profile here.json", 0);
    assert!(queued.contains("watch j --profile here.json"), "{queued}");
    let before = fleet.calls();
    let _workers = ["file", "path,restart"]
        .map(|queue| fleet.spawn(&format!("worker -Q {queue} --concurrency 2")));
    fleet.run("watch j --profile run", 0);
    let report = read(&fleet.site, "run.json");
    is_sound(&report);
    let pass = &report["last_pass"];
    assert_eq!(
        pass["tasks"]["accounted"], pass["tasks"]["done"],
        "{}",
        pass["tasks"]
    );
    let workers = report["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    assert!(
        workers.iter().all(|worker| uint(&worker["tasks"]) > 0),
        "{workers:?}"
    );
    let mut counted = fleet.calls();
    for (name, count) in before {
        *counted.get_mut(&name).unwrap() -= count;
    }
    counted.retain(|_, count| *count > 0);
    assert_eq!(calls(pass), counted);
    for name in ["queue", "task"] {
        assert_eq!(stage(pass, name)["count"], pass["tasks"]["done"]);
    }
    assert_eq!(stage(pass, "transfer")["count"], 150);
    // It is written once more whenever somebody wants it.
    fleet.run("status j --profile again", 0);
    assert_eq!(
        read(&fleet.site, "again.json")["last_pass"],
        report["last_pass"]
    );
    fleet.run("forget j", 0);
}

#[test]
fn two_workers_tell_what_the_zone_counted_on_sqlite() {
    two_workers_tell_what_the_zone_counted(&Fleet::new(None));
}

#[test]
fn two_workers_tell_what_the_zone_counted_on_redis() {
    let Some(fleet) = Fleet::on_redis() else {
        return;
    };
    two_workers_tell_what_the_zone_counted(&fleet);
}

/// A worker is killed while it has something in hand, and before it hands in what it did: it does so every five seconds.
fn a_killed_worker_takes_little_with_it(fleet: &Fleet) {
    fleet.site.file("large", &vec![7; 1 << 20]);
    fleet.site.files(20);
    fleet.run("start src /tempZone/home/rods/t --operation PUT --job_name j --files_per_task 1 --profile run", 0);
    let began = Instant::now();
    let slow = fleet.spawn("worker --max_rate 16K --concurrency 2");
    fleet.until_done(4);
    slow.signal(Signal::KILL);
    let soon = began.elapsed() < Duration::from_secs(5);
    drop(slow);
    let _quick = fleet.spawn("worker --concurrency 2");
    fleet.run("watch j --profile run", 0);
    let report = read(&fleet.site, "run.json");
    is_sound(&report);
    let tasks = &report["last_pass"]["tasks"];
    assert!(
        !soon || uint(&tasks["accounted"]) < uint(&tasks["done"]),
        "{tasks}"
    );
    // What the other one did is all there.
    let others = report["workers"].as_array().unwrap().last().unwrap();
    assert!(uint(&others["tasks"]) > 0, "{others}");
    let page = std::fs::read_to_string(fleet.site.path("run.html")).unwrap();
    let warned = page.contains("<p class=\"warning\">");
    assert_eq!(warned, uint(&tasks["accounted"]) < uint(&tasks["done"]));
}

#[test]
fn a_killed_worker_takes_little_with_it_on_sqlite() {
    a_killed_worker_takes_little_with_it(&Fleet::new(None));
}

#[test]
fn a_killed_worker_takes_little_with_it_on_redis() {
    let Some(fleet) = Fleet::on_redis() else {
        return;
    };
    a_killed_worker_takes_little_with_it(&fleet);
}

#[test]
fn passes_are_told_by_themselves_and_together() {
    let fleet = Fleet::new(None);
    fleet.site.files(12);
    fleet.run(
        "start src /tempZone/home/rods/t --operation PUT --job_name j --interval 1 --profile run",
        0,
    );
    let worker = fleet.spawn("worker");
    until("a second pass", || {
        let status: Value =
            serde_json::from_str(fleet.run("status j --json", 0).lines().next().unwrap()).unwrap();
        uint(&status["pass"]) >= 2 && status["state"] == "waiting"
    });
    fleet.run("stop j", 0);
    worker.signal(Signal::TERM);
    assert_eq!(worker.output().code, Some(0));
    fleet.run("watch j --profile run", 4);
    let report = read(&fleet.site, "run.json");
    is_sound(&report);
    let (last, all) = (&report["last_pass"], &report["all_passes"]);
    for pass in [last, all] {
        assert_eq!(pass["tasks"]["accounted"], pass["tasks"]["done"]);
    }
    assert!(uint(&all["tasks"]["done"]) > uint(&last["tasks"]["done"]));
    // Of what is unchanged nothing is asked.
    assert_eq!(
        (calls(last).len(), uint(&stage(all, "transfer")["count"])),
        (0, 12)
    );
    let Some(mut page) = Browser::open(&fleet.site.path("run.html").canonicalize().unwrap()) else {
        return;
    };
    let rows = page.value(ROWS);
    assert_eq!(rows.as_object().unwrap().len(), 2);
    shows(&rows, &report);
    assert!(page.complaints().is_empty(), "{:#?}", page.complaints());
}

#[test]
fn what_cannot_be_profiled_or_written_is_said_at_once() {
    let site = Site::new();
    site.files(1);
    let wrong = site
        .start("--job_name j --profile nowhere/run.json")
        .expect(2);
    assert_eq!(
        wrong.err,
        "irods_sync: --profile nowhere/run.json: nowhere is no directory\n"
    );
    let wrong = site.start("--job_name j --profile src").expect(2);
    assert!(
        wrong.err.contains("src: it is a directory"),
        "{}",
        wrong.err
    );
    site.run("status j").expect(2);
    site.start("--job_name j --synchronous").expect(0);
    for command in ["status", "watch"] {
        let wrong = site.run(&format!("{command} j --profile run")).expect(2);
        let said = "irods_sync: job j has no profile: it was started without --profile\n";
        assert!(wrong.err.ends_with(said), "{}", wrong.err);
    }
    assert!(!site.path("run.json").exists());
}
