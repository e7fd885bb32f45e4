#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;

use super::*;

/// A clock that is set by hand, in seconds.
#[derive(Clone)]
struct Clock(Arc<AtomicI64>);

/// An hour, and far in the future: a file written now belongs to an earlier period.
const BEGIN: i64 = 7_999_999_200;

impl Clock {
    fn new() -> Self {
        Clock(Arc::new(AtomicI64::new(BEGIN)))
    }

    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn hourly(&self) -> Option<Rotation> {
        let clock = self.clone();
        Some(Rotation {
            schedule: Schedule::new("H".parse().unwrap(), 1, TimeZone::UTC),
            now: Box::new(move || Timestamp::from_second(clock.0.load(Ordering::SeqCst)).unwrap()),
        })
    }
}

fn silent(text: &str) {
    panic!("{text}");
}

/// The files of a directory by what stands behind the name of the log.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let suffix = name.strip_prefix("log").unwrap().to_owned();
            (suffix, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

fn expected<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
    let pairs = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    pairs.into_iter().collect()
}

fn hour(number: i64) -> String {
    let hour = Timestamp::from_second(BEGIN + number * 3600).unwrap();
    format!(".{}", hour.strftime("%Y-%m-%d_%H"))
}

#[test]
fn a_file_is_put_away_under_the_time_of_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let mut log = LogFile::open(&dir.path().join("log"), clock.hourly(), silent).unwrap();
    log.write_all(b"a\n").unwrap();
    clock.pass(3599);
    log.write_all(b"b\n").unwrap();
    clock.pass(1);
    log.write_all(b"c\n").unwrap();
    // Hours in which nothing is logged have no file; a clock that goes back changes nothing.
    clock.pass(5 * 3600);
    log.write_all(b"d\n").unwrap();
    clock.pass(-7200);
    log.write_all(b"e\n").unwrap();
    let found = expected([("", "d\ne\n"), (&hour(0), "a\nb\n"), (&hour(1), "c\n")]);
    assert_eq!(files(dir.path()), found);
}

#[test]
fn what_an_earlier_process_wrote_is_put_away_and_nothing_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let write_at = |seconds: i64, text: &str| {
        let file = File::options()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        (&file).write_all(text.as_bytes()).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
        file.set_modified(time).unwrap();
    };
    let clock = Clock::new();
    for (number, text) in ["first\n", "second\n", "third\n"].iter().enumerate() {
        write_at(BEGIN - 3600, text);
        let mut log = LogFile::open(&path, clock.hourly(), silent).unwrap();
        log.write_all(b"now\n").unwrap();
        assert_eq!(files(dir.path()).len(), number + 2);
        std::fs::remove_file(&path).unwrap();
    }
    let before = hour(-1);
    let found = expected([
        (&before, "first\n"),
        (&format!("{before}.1"), "second\n"),
        (&format!("{before}.2"), "third\n"),
    ]);
    assert_eq!(files(dir.path()), found);
}

/// Several descriptors are several processes as far as locks and files are concerned.
#[test]
fn no_line_is_lost_or_torn_while_many_write_and_rotate() {
    const WRITERS: usize = 6;
    const LINES: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (path, clock) = (dir.path().join("log"), clock.clone());
            scope.spawn(move || {
                let mut log = LogFile::open(&path, clock.hourly(), silent).unwrap();
                for line in 0..LINES {
                    // Long enough that a torn line would show.
                    let text = format!("{writer} {line} {}\n", "x".repeat(line % 500));
                    log.write_all(text.as_bytes()).unwrap();
                    if line % 50 == 0 {
                        clock.pass(1200);
                    }
                    if line % 200 == 0 {
                        log = LogFile::open(&path, clock.hourly(), silent).unwrap();
                    }
                }
            });
        }
    });
    let files = files(dir.path());
    assert!(files.len() > 20, "{} files", files.len());
    let mut seen = BTreeMap::new();
    for line in files.values().flat_map(|text| text.lines()) {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next().unwrap().parse::<usize>().unwrap();
        let (writer, number) = (number(), number());
        assert_eq!(words.next().unwrap().len(), number % 500, "{line}");
        *seen.entry((writer, number)).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), WRITERS * LINES);
    assert!(seen.values().all(|count| *count == 1));
}

/// What was complained of.
#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    fn open(&self, path: &Path, rotation: Option<Rotation>) -> LogFile {
        let said = self.0.clone();
        LogFile::open(path, rotation, move |text| {
            said.lock().unwrap().push(text.to_owned());
        })
        .unwrap()
    }

    fn said(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn a_full_disk_is_said_once_and_fails_nobody() {
    let complaints = Complaints::default();
    let mut log = complaints.open(Path::new("/dev/full"), None);
    for _ in 0..5 {
        log.write_all(b"lost\n").unwrap();
    }
    let said = complaints.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("the log /dev/full has gaps: "),
        "{said:?}"
    );
}

#[test]
fn a_line_that_was_cut_off_is_ended_before_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = LogFile::open(&path, None, silent).unwrap();
    log.file.write_all(b"{\"event\":\"cut o").unwrap();
    log.torn = true;
    log.write_all(b"{}\n").unwrap();
    log.write_all(b"{}\n").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "{\"event\":\"cut o\n{}\n{}\n");
}

#[test]
fn a_log_that_cannot_be_renamed_goes_on_in_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    // There is no room in the name for a time.
    let path = dir.path().join("n".repeat(250));
    let clock = Clock::new();
    let complaints = Complaints::default();
    let mut log = complaints.open(&path, clock.hourly());
    for _ in 0..3 {
        log.write_all(b"a\n").unwrap();
        clock.pass(3600);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\na\na\n");
    let said = complaints.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is not rotated"), "{said:?}");
}

#[test]
fn a_link_is_followed_and_what_is_no_file_is_never_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    std::os::unix::fs::symlink("log", dir.path().join("link")).unwrap();
    let mut log = LogFile::open(&dir.path().join("link"), clock.hourly(), silent).unwrap();
    log.write_all(b"a\n").unwrap();
    clock.pass(3600);
    log.write_all(b"b\n").unwrap();
    std::fs::remove_file(dir.path().join("link")).unwrap();
    assert_eq!(
        files(dir.path()),
        expected([("", "b\n"), (&hour(0), "a\n")])
    );

    let mut log = LogFile::open(Path::new("/dev/null"), clock.hourly(), silent).unwrap();
    assert!(log.rotation.is_none());
    log.write_all(b"a\n").unwrap();
}
