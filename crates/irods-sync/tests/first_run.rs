//! The first thing that anybody does: one command brings a tree into a zone and says what it did; the same again does nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use support::Site;

const NAMES: [&str; 7] = [
    "README.txt",
    "Messungen Größe/Übersicht.txt",
    "データ/結果.tsv",
    "a & b/before <after>.txt",
    "a & b/operator's \"notes\".txt",
    "a & b/back`tick`.log",
    "deep/er/and/deeper/empty",
];

fn tree() -> (Site, u64) {
    let site = Site::new();
    let mut bytes = 0;
    for name in NAMES {
        let content = if name.ends_with("empty") {
            b""
        } else {
            name.as_bytes()
        };
        bytes += content.len() as u64;
        site.file(name, content);
    }
    std::fs::create_dir(site.path("src/empty directory")).unwrap();
    (site, bytes)
}

#[test]
fn a_tree_is_registered_and_a_second_run_asks_the_zone_nothing() {
    let (site, bytes) = tree();
    let first = site.start("--synchronous --job_name first").expect(0);
    assert_eq!(first.number("seen"), 7);
    assert_eq!(first.number("registered"), 7);
    assert_eq!(first.number("uploaded"), 0);
    assert_eq!(first.number("failed"), 0);
    assert_eq!(first.number("created"), 9);
    assert!(
        first.out.contains(&format!("{bytes} bytes registered")),
        "{}",
        first.out
    );
    assert!(first.number("iRODS") >= 7);
    assert!(
        first.out.contains("job first: finished")
            && first.out.contains("next: irods_sync zone zone")
    );
    assert_eq!(first.err, "");

    let second = site.start("--synchronous").expect(0);
    assert_eq!(second.number("seen"), 7);
    assert_eq!(second.number("skipped"), 7);
    assert_eq!(second.number("registered"), 0);
    assert_eq!(second.number("iRODS"), 0, "{}", second.out);
    let _zone = site.zone();
    site.assert_registered();
}

#[test]
fn a_tree_is_uploaded_and_what_changed_is_uploaded_again() {
    let (site, _) = tree();
    let first = site.start("--synchronous --operation PUT_SYNC").expect(0);
    assert_eq!(
        (first.number("uploaded"), first.number("registered")),
        (7, 0)
    );
    site.file("README.txt", b"another text, and longer than it was");
    let second = site.start("--synchronous --operation PUT_SYNC").expect(0);
    assert_eq!(
        (second.number("uploaded"), second.number("skipped")),
        (1, 6)
    );
    let _zone = site.zone();
    site.assert_uploaded();
}

#[test]
fn a_whole_path_excludes_its_file_alone() {
    let (site, _) = tree();
    let path = site.path("src").canonicalize().unwrap().join(NAMES[0]);
    let ran = site
        .start(&format!(
            "--synchronous --exclude_file_name {}$",
            path.display()
        ))
        .expect(0);
    let others = NAMES.len() as u64 - 1;
    assert_eq!(
        (ran.number("registered"), ran.number("excluded")),
        (others, 1)
    );
    let _zone = site.zone();
    let objects = site.objects("/tempZone/home/rods/t");
    assert!(!objects.contains_key(&format!("/tempZone/home/rods/t/{}", NAMES[0])));
}

#[test]
fn exclusions_leave_out_what_they_match() {
    let (site, _) = tree();
    std::os::unix::fs::symlink(NAMES[1], site.path("src/link")).unwrap();
    let ran = site.start("--synchronous --exclude-directory-name .*/deep .*/none --exclude_file_name .*\\.log$ --exclude_file_name .*/README --exclude_file_type link").expect(0);
    let numbers = ["registered", "excluded", "failed"].map(|what| ran.number(what));
    assert_eq!(numbers, [4, 4, 0], "{}", ran.out);
    let _zone = site.zone();
    let objects = site.objects("/tempZone/home/rods/t");
    let mut expected = NAMES[1..5].to_vec();
    expected.sort_unstable();
    let expected = expected
        .into_iter()
        .map(|name| format!("/tempZone/home/rods/t/{name}"));
    assert!(objects.keys().cloned().eq(expected), "{objects:?}");
}

#[test]
fn clearing_the_cache_makes_a_run_look_at_everything() {
    let (site, _) = tree();
    site.start("--synchronous").expect(0);
    site.run("cache clear src").expect(0);
    let ran = site.start("--synchronous").expect(0);
    assert_eq!(ran.number("registered"), 0);
    assert!(ran.number("iRODS") > 0);
}

#[test]
fn progress_is_lines_where_there_is_no_terminal() {
    let (site, _) = tree();
    let ran = site.start("--synchronous --progress").expect(0);
    assert!(
        ran.err.lines().all(|line| line.contains(" files, ")),
        "{}",
        ran.err
    );
    assert_eq!(ran.number("registered"), 7);
}

#[test]
fn the_log_is_a_file_of_json_lines() {
    let (site, _) = tree();
    site.start("--synchronous --log_filename log.json --log-level INFO")
        .expect(0);
    let log = std::fs::read_to_string(site.path("log.json")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done = lines
        .iter()
        .filter(|line| line["event"] == "succeeded_task")
        .count();
    assert!(done >= 10, "{log}");
    assert!(
        lines
            .iter()
            .all(|line| line["logger"] == "irods_sync/log.json/info"
                && line["@timestamp"].is_string())
    );
}
