//! The same source, brought in by the Python tool and by ours, each into a collection of its own: the catalogs are equal but
//! for what `docs/differences.md` lists.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use irods_client::Connection;
use irods_client::connection::Request;
use irods_client::protocol::{api, message::GeneralAdminInp};

use crate::HOME;
use crate::catalog::{Catalog, below, with_content};
use crate::support::mirror::tree;
use crate::support::{Site, ran, until};
use crate::tool::{Order, PythonTool};

const REPLICAS: &str = "second";
const NONE: &str = "DO_NOT_DELETE";

/// Operation and delete mode of the first run and of the second, after the source was edited.
struct Job {
    source: &'static str,
    target: &'static str,
    runs: [Option<(&'static str, &'static str)>; 2],
}

const JOBS: [Job; 7] = [
    job("src", "register", "REGISTER_SYNC", "UNREGISTER"),
    job("src", "put", "PUT", NONE),
    job("src", "putsync", "PUT_SYNC", "TRASH"),
    job("src", "append", "PUT_APPEND", "NO_TRASH"),
    Job {
        source: "src",
        target: "replica",
        runs: [
            Some(("PUT", NONE)),
            Some(("REGISTER_AS_REPLICA_SYNC", NONE)),
        ],
    },
    Job {
        source: "odd",
        target: "oddregister",
        runs: [Some(("REGISTER_SYNC", NONE)), None],
    },
    Job {
        source: "odd",
        target: "oddput",
        runs: [Some(("PUT_SYNC", NONE)), None],
    },
];

const fn job(
    source: &'static str,
    target: &'static str,
    operation: &'static str,
    delete_mode: &'static str,
) -> Job {
    Job {
        source,
        target,
        runs: [Some((operation, delete_mode)); 2],
    }
}

/// What both tools bring in without a complaint.
fn plain_source(site: &Site) {
    let names = [
        "same",
        "grown",
        "shrunk",
        "rewritten",
        "touched",
        "mode",
        "older",
        "gone",
        "only/gone",
        "chain/a/b/gone",
        "d/e/grown",
        "a'b",
        "größe/✓",
    ];
    for name in names {
        site.file(name, format!("first {name}").as_bytes());
    }
    symlink("same", site.path("src/link")).unwrap();
    std::fs::create_dir_all(site.path("src/empty/inside")).unwrap();
}

/// What at least one of them cannot.
fn odd_source(site: &Site) {
    let odd = site.path("odd");
    std::fs::create_dir_all(odd.join("plain")).unwrap();
    std::fs::write(odd.join("plain/file"), "plain").unwrap();
    let bad = std::ffi::OsStr::from_bytes(b"bad\xe1");
    std::fs::write(odd.join(bad), "its name is not text").unwrap();
    symlink("nowhere", odd.join("dangling")).unwrap();
    symlink("plain", odd.join("link to directory")).unwrap();
    std::os::unix::net::UnixListener::bind(odd.join("socket")).unwrap();
    std::fs::write(odd.join("private"), "its owner's alone").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(odd.join("private"), private).unwrap();
}

fn edit(site: &Site) {
    let src = site.path("src");
    let append = |name: &str| {
        let mut text = std::fs::read_to_string(src.join(name)).unwrap();
        text.push_str(", grown");
        std::fs::write(src.join(name), text).unwrap();
    };
    append("grown");
    append("d/e/grown");
    std::fs::write(src.join("shrunk"), "less").unwrap();
    std::fs::write(src.join("rewritten"), "other rewritten").unwrap();
    let touched = std::fs::File::options()
        .write(true)
        .open(src.join("touched"));
    touched.unwrap().set_modified(SystemTime::now()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(src.join("mode"), mode).unwrap();
    // As `cp -p` and `rsync` do it: other bytes, and a time in the past.
    let older = site.file("older", b"another file, of last week");
    let older = std::fs::File::options().write(true).open(older).unwrap();
    let past = SystemTime::now() - Duration::from_secs(7 * 24 * 3600);
    older.set_modified(past).unwrap();
    std::fs::remove_file(src.join("gone")).unwrap();
    std::fs::remove_dir_all(src.join("only")).unwrap();
    std::fs::remove_dir_all(src.join("chain")).unwrap();
    std::fs::create_dir_all(src.join("new/er")).unwrap();
    std::fs::write(src.join("new/file"), "new").unwrap();
    std::fs::write(src.join("new/er/file"), "newer").unwrap();
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().cast_signed()
}

/// What is done from here on has other times than what was done before, in the catalog's seconds. Times of files come from a
/// clock that is a few milliseconds behind.
pub fn next_second(site: &Site) -> i64 {
    let before = now();
    let probe = site.path("probe");
    until("the next second", || {
        std::fs::write(&probe, "now").unwrap();
        probe.metadata().unwrap().mtime() > before
    });
    now()
}

/// When the runs began, and what times the files had at the first.
struct Times {
    began: [i64; 2],
    first: BTreeMap<String, i64>,
}

impl Times {
    /// Says whose time it is that an object has.
    fn name(&self, file: &Path, relative: &str, time: &str) -> String {
        let seconds: i64 = time.parse().unwrap();
        let now = file.symlink_metadata().map(|meta| meta.mtime());
        match () {
            () if now.is_ok_and(|now| now == seconds) => "the file's",
            () if self.first.get(relative) == Some(&seconds) => "the file's before",
            () if seconds >= self.began[1] => "of the second run",
            () if seconds >= self.began[0] => "of the first run",
            () => "another",
        }
        .to_owned()
    }
}

/// The target and the trash of a tool's job, in words that do not depend on when and where it ran.
async fn outcome(
    zone: &mut Connection,
    site: &Site,
    whose: &str,
    job: &Job,
    times: &Times,
) -> Catalog {
    let source = site.path(job.source).canonicalize().unwrap();
    let vault = site.path("zone/Vault");
    let bad = [source.as_os_str().as_bytes(), b"/bad\xe1"].concat();
    let bad = base64::engine::general_purpose::STANDARD.encode(bad);
    let words = [
        (bad.as_str(), "BASE64"),
        (source.to_str().unwrap(), "SOURCE"),
        (vault.to_str().unwrap(), "VAULT"),
        (whose, "TARGET"),
    ];
    let say = |text: &str| {
        let mut text = text.to_owned();
        for (from, to) in words {
            text = text.replace(from, to);
        }
        text
    };
    let mut found = Catalog::new();
    for (title, top) in [("", HOME), ("trash:", "/tempZone/trash/home/rods")] {
        let catalog = below(zone, &format!("{top}/{whose}/{}", job.target)).await;
        for (entry, mut fields) in with_content(catalog, &vault) {
            let relative = entry.trim_start_matches('/');
            let relative = relative.rsplit_once('#').map_or(relative, |(path, _)| path);
            if let Some(time) = fields.get_mut("time") {
                *time = times.name(&source.join(relative), relative, time);
            }
            let fields = fields.into_iter().map(|(name, text)| (name, say(&text)));
            found.insert(say(&format!("{title}{entry}")), fields.collect());
        }
    }
    found
}

/// Lines of the table: entry, what of it, the Python tool's, ours.
pub fn compare(theirs: &Catalog, ours: &Catalog, into: &mut BTreeSet<[String; 4]>) {
    let entries: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for entry in entries {
        let mut line = |what: &str, theirs: &str, ours: &str| {
            if theirs != ours {
                into.insert([entry, what, theirs, ours].map(str::to_owned));
            }
        };
        match (theirs.get(entry), ours.get(entry)) {
            (Some(theirs), Some(ours)) => {
                let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
                for name in names {
                    let text = |fields: &BTreeMap<&str, String>| {
                        fields.get(name).cloned().unwrap_or_default()
                    };
                    line(name, &text(theirs), &text(ours));
                }
            }
            (theirs, ours) => {
                let is = |there: bool| if there { "there" } else { "not there" };
                line("", is(theirs.is_some()), is(ours.is_some()));
            }
        }
    }
}

/// The lines of the page, each without its reason, which must be there.
fn listed() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| job |") && !line.starts_with("|--")
    });
    let row = |line: &str| {
        let (row, why) = line.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        assert!(why.trim().len() > 1, "no reason in {line}");
        row.to_owned()
    };
    rows.map(row).collect()
}

#[test]
fn the_python_tool_and_ours_leave_the_same_catalog_but_for_what_is_listed() {
    let site = Site::new();
    plain_source(&site);
    odd_source(&site);
    let _zone = site.zone();
    let Some(tool) = PythonTool::start(&site) else {
        return;
    };
    site.ask(async |zone| add_resource(zone, &site).await);
    let root = |job: &Job| site.path(job.source).canonicalize().unwrap();
    let mut times = Times {
        began: [now(), i64::MAX],
        first: tree(&site.path("src"))
            .into_iter()
            .map(|(name, meta)| (name, meta.mtime()))
            .collect(),
    };
    // Entries by the rest of their line.
    let mut lines: BTreeMap<[String; 5], BTreeSet<String>> = BTreeMap::new();
    let mut known: BTreeSet<(usize, [String; 4])> = BTreeSet::new();
    for run in 0..2 {
        let jobs: Vec<(usize, &Job)> = JOBS
            .iter()
            .enumerate()
            .filter(|(_, job)| job.runs[run].is_some())
            .collect();
        let flags = "--files_per_task 1";
        let roots: Vec<PathBuf> = jobs.iter().map(|(_, job)| root(job)).collect();
        let theirs: Vec<String> = jobs
            .iter()
            .map(|(_, job)| format!("{HOME}/theirs/{}", job.target))
            .collect();
        let orders: Vec<Order<'_>> = jobs
            .iter()
            .enumerate()
            .map(|(at, (_, job))| {
                let (operation, delete_mode) = job.runs[run].unwrap();
                let as_replica = operation == "REGISTER_AS_REPLICA_SYNC";
                Order {
                    source: roots[at].to_str().unwrap(),
                    target: &theirs[at],
                    operation,
                    delete_mode,
                    resource: as_replica.then_some(REPLICAS),
                    text: None,
                    flags: match as_replica {
                        // Its memory of a file does not tell operations apart.
                        true => "--files_per_task 1 --ignore_cache",
                        false => flags,
                    },
                }
            })
            .collect();
        let failed_there = tool.run(&orders);
        for ((order, failed_there), (number, job)) in orders.iter().zip(failed_there).zip(&jobs) {
            let mut command = site.command("start --embedded_zone zone --synchronous");
            command
                .args([order.source, &format!("{HOME}/ours/{}", job.target)])
                .args(["--operation", order.operation])
                .args(["--delete_mode", order.delete_mode])
                .args(order.flags.split_whitespace());
            if let Some(resource) = order.resource {
                command.args(["--resource", resource]);
            }
            let here = ran(&mut command);
            assert!(matches!(here.code, Some(0 | 1)), "{here:?}");
            let mut found = BTreeSet::new();
            let failed_here = here.number("failed");
            if failed_there + failed_here > 0 {
                let [all, what] = ["all", "failures"].map(str::to_owned);
                found.insert([all, what, failed_there.to_string(), failed_here.to_string()]);
            }
            let [theirs, ours] = site.ask(async |zone| {
                [
                    outcome(zone, &site, "theirs", job, &times).await,
                    outcome(zone, &site, "ours", job, &times).await,
                ]
            });
            assert!(theirs.len() > 3 && ours.len() > 3, "{theirs:?} {ours:?}");
            compare(&theirs, &ours, &mut found);
            for line in found {
                if known.insert((*number, line.clone())) {
                    let [entry, what, theirs, ours] = line;
                    let job = format!("{}, {}", order.operation, order.delete_mode);
                    let line = [job, (run + 1).to_string(), what, theirs, ours];
                    lines.entry(line).or_default().insert(entry);
                }
            }
        }
        if run == 0 {
            next_second(&site);
            edit(&site);
            times.began[1] = next_second(&site);
        }
    }
    let lines: BTreeSet<String> = lines
        .into_iter()
        .map(|([job, run, what, theirs, ours], entries)| {
            let entries: Vec<String> = entries.into_iter().collect();
            let entries = entries.join(" ");
            format!("| {job} | {run} | {entries} | {what} | {theirs} | {ours}")
        })
        .collect();
    let listed = listed();
    let show = |lines: BTreeSet<&String>| -> String {
        lines.into_iter().map(|line| format!("{line}\n")).collect()
    };
    let unlisted = show(lines.difference(&listed).collect());
    let gone = show(listed.difference(&lines).collect());
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "not in docs/differences.md:\n{unlisted}\nthere, but not found:\n{gone}"
    );
}

async fn add_resource(zone: &mut Connection, site: &Site) {
    let vault = site.path("second vault");
    let argument = |text: &str| Some(text.to_owned());
    let input = GeneralAdminInp {
        arg0: argument("add"),
        arg1: argument("resource"),
        arg2: argument(REPLICAS),
        arg3: argument("unixfilesystem"),
        arg4: argument(&format!("localhost:{}", vault.display())),
        ..GeneralAdminInp::default()
    };
    let request = Request::new(api::GENERAL_ADMIN, REPLICAS);
    zone.call(request, Some(&input)).await.unwrap();
}
