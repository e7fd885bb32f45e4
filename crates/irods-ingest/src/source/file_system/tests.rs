//! Against real trees, with everything that a file system can hold.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, Timespec, Timestamps, fstat, mkfifoat, utimensat};
use tempfile::TempDir;

use super::*;
use crate::source::EntryKind;

fn tree() -> (TempDir, FileSystem) {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let source = FileSystem::open(&root).unwrap();
    (dir, source)
}

impl FileSystem {
    fn open_regular(&self, relative: &Path) -> Result<OpenFile, SourceError> {
        match self.split(relative)? {
            Some((parent, name)) => self.directory(parent)?.open_regular(name.as_bytes()),
            None => Err(SourceError::NotRegular {
                path: self.root.clone(),
                kind: EntryKind::Directory,
            }),
        }
    }
}

fn stat_now(file: &File) -> std::io::Result<Stat> {
    Ok(stat_from(&fstat(file)?))
}

fn write(source: &FileSystem, name: &[u8], content: &[u8]) {
    fs::write(source.absolute(os(name)), content).unwrap();
}

fn os(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

fn fifo(source: &FileSystem, name: &str) {
    mkfifoat(
        CWD,
        source.absolute(Path::new(name)),
        Mode::from_bits_truncate(0o644),
    )
    .unwrap();
}

const ROOT: &str = "";

/// Ends the thread beside a test, also when the test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_root_must_be_a_directory_and_is_canonical() {
    let (dir, source) = tree();
    let link = dir.path().join("link");
    symlink(source.root(), &link).unwrap();
    assert_eq!(FileSystem::open(&link).unwrap().root(), source.root());
    let roundabout = source.root().join("../root/.");
    assert_eq!(FileSystem::open(&roundabout).unwrap().root(), source.root());

    let missing = FileSystem::open(&dir.path().join("missing")).unwrap_err();
    assert!(
        matches!(missing, SourceError::RootMissing { .. }),
        "{missing}"
    );
    write(&source, b"file", b"");
    for name in ["file", "file/below"] {
        let error = FileSystem::open(&source.root().join(name)).unwrap_err();
        assert!(
            matches!(error, SourceError::RootNotADirectory { .. }),
            "{error}"
        );
    }
    // It goes away, or becomes a link, after it was opened.
    let moved = dir.path().join("moved");
    fs::rename(source.root(), &moved).unwrap();
    let error = source.list(Path::new(ROOT), Links::Themselves).unwrap_err();
    assert!(matches!(error, SourceError::RootMissing { .. }), "{error}");
    symlink(&moved, source.root()).unwrap();
    let error = source.list(Path::new(ROOT), Links::Themselves).unwrap_err();
    assert!(
        matches!(error, SourceError::RootNotADirectory { .. }),
        "{error}"
    );
}

#[test]
fn a_listing_has_every_entry_in_byte_order_with_its_kind() {
    let (_dir, source) = tree();
    let names: &[&[u8]] = &[
        b"\x01",
        b" ",
        b"A",
        b"a\nb",
        b"a'\"&<>`",
        b"bad\xff\xfe",
        b"z",
        "é".as_bytes(),
        b"\xff",
    ];
    for name in names {
        write(&source, name, b"123");
    }
    fs::create_dir(source.absolute(Path::new("dir"))).unwrap();
    symlink("z", source.absolute(Path::new("link"))).unwrap();
    symlink("dir", source.absolute(Path::new("link-to-dir"))).unwrap();
    symlink("nowhere", source.absolute(Path::new("dangling"))).unwrap();
    symlink("loop", source.absolute(Path::new("loop"))).unwrap();
    let _socket = UnixListener::bind(source.absolute(Path::new("socket"))).unwrap();
    fifo(&source, "fifo");

    for links in [Links::Themselves, Links::Content] {
        let listing = source.list(Path::new(ROOT), links).unwrap();
        assert!(listing.vanished.is_empty() && listing.errors.is_empty());
        assert_eq!(listing.directory.kind, EntryKind::Directory);
        let mut sorted: Vec<_> = listing.names().map(<[u8]>::to_vec).collect();
        sorted.sort();
        let listed: Vec<_> = listing.entries.iter().map(|e| e.name.to_vec()).collect();
        assert_eq!(listed, sorted);
        assert_eq!(listed.len(), names.len() + 7);
        let find = |name: &[u8]| {
            let entry = listing.entries.iter().find(|entry| entry.name == name);
            entry.unwrap().stat
        };
        for name in names {
            assert_eq!((find(name).kind, find(name).size), (EntryKind::Regular, 3));
            assert_eq!(source.stat(os(name), links).unwrap(), find(name));
        }
        assert_eq!(find(b"dir").kind, EntryKind::Directory);
        assert_eq!(find(b"socket").kind, EntryKind::Socket);
        assert_eq!(find(b"fifo").kind, EntryKind::Fifo);
        for (name, text) in [
            (&b"link-to-dir"[..], "dir"),
            (b"dangling", "nowhere"),
            (b"loop", "loop"),
        ] {
            assert_eq!(find(name).kind, EntryKind::Symlink);
            assert_eq!(find(name).size, text.len() as u64);
            let directory = source.directory(Path::new(ROOT)).unwrap();
            assert_eq!(directory.read_link(name).unwrap(), text);
        }
        // Whose size counts is the one thing that the caller chooses.
        assert_eq!(find(b"link").kind, EntryKind::Symlink);
        assert_eq!(
            find(b"link").size,
            if links == Links::Content { 3 } else { 1 }
        );
    }
}

#[test]
fn devices_are_recognised() {
    let source = FileSystem::open(Path::new("/dev")).unwrap();
    let null = source.stat(Path::new("null"), Links::Themselves).unwrap();
    assert_eq!(null.kind, EntryKind::CharDevice);
    let error = source.open_regular(Path::new("null")).unwrap_err();
    assert!(
        matches!(
            error,
            SourceError::NotRegular {
                kind: EntryKind::CharDevice,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    let (dir, source) = tree();
    let outside = dir.path().join("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("secret"), b"secret").unwrap();
    fs::write(outside.join("sub/secret"), b"secret").unwrap();
    fs::create_dir_all(source.absolute(Path::new("d/sub"))).unwrap();
    write(&source, b"d/secret", b"");
    let before = source.directory(Path::new("d")).unwrap();

    fs::rename(source.absolute(Path::new("d")), dir.path().join("was")).unwrap();
    symlink(&outside, source.absolute(Path::new("d"))).unwrap();

    for path in ["d", "d/sub"] {
        let error = source.list(Path::new(path), Links::Content).unwrap_err();
        assert!(
            matches!(error, SourceError::NotADirectory { .. }),
            "{error}"
        );
    }
    for path in ["d/secret", "d/sub/secret"] {
        let error = source.open_regular(Path::new(path)).unwrap_err();
        assert!(
            matches!(error, SourceError::NotADirectory { .. }),
            "{error}"
        );
        let error = source.stat(Path::new(path), Links::Content).unwrap_err();
        assert!(
            matches!(error, SourceError::NotADirectory { .. }),
            "{error}"
        );
    }
    // What was opened before still is what it was.
    assert_eq!(before.stat(b"secret", Links::Themselves).unwrap().size, 0);
    assert_eq!(before.list(Links::Themselves).unwrap().entries.len(), 2);
}

#[test]
fn followed_links_are_what_they_lead_to() {
    let (dir, source) = tree();
    let root = source.root().to_owned();
    let outside = dir.path().join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::write(outside.join("deep/f"), "12345").unwrap();
    symlink(&outside, root.join("dir")).unwrap();
    symlink("../outside/deep/f", root.join("file")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("round", root.join("round")).unwrap();
    fs::create_dir(root.join("d")).unwrap();
    symlink("..", root.join("d/up")).unwrap();
    symlink(".", outside.join("deep/self")).unwrap();
    symlink(&root, outside.join("home")).unwrap();

    let source = source.following(true);
    for links in [Links::Themselves, Links::Content] {
        let listing = source.list(os(b""), links).unwrap();
        let kinds: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| (entry.name.to_string(), entry.stat.kind))
            .collect();
        let expected = [
            ("d", EntryKind::Directory),
            ("dangling", EntryKind::Symlink),
            ("dir", EntryKind::Directory),
            ("file", EntryKind::Regular),
            ("round", EntryKind::Symlink),
        ];
        assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(listing.entries[3].stat.size, 5);
    }
    let mut content = String::new();
    let mut open = source.open_regular(os(b"file")).unwrap();
    open.file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "12345");
    assert!(source.open_regular(os(b"dir/deep/f")).is_ok());
    assert!(matches!(
        source.open_regular(os(b"dangling")),
        Err(SourceError::Dangling { .. })
    ));
    for (back, leads_to) in [
        ("d/up", root.clone()),
        ("d/up/d", root.clone()),
        ("dir/deep/self", root.join("dir/deep")),
        ("dir/home", root.clone()),
    ] {
        match source.list(Path::new(back), Links::Themselves) {
            Err(SourceError::Loop { to, .. }) => assert_eq!(to, leads_to),
            other => panic!("{back}: {other:?}"),
        }
    }
    // Not followed, none of it is entered.
    let source = source.following(false);
    assert!(matches!(
        source.list(os(b"dir"), Links::Content),
        Err(SourceError::NotADirectory { .. })
    ));
}

#[test]
fn paths_and_names_from_elsewhere_cannot_leave_the_tree() {
    let (_dir, source) = tree();
    fs::create_dir(source.absolute(Path::new("d"))).unwrap();
    for path in ["..", "d/..", "d/../..", "/etc", "/", "./d"] {
        let error = source.list(Path::new(path), Links::Themselves).unwrap_err();
        assert!(
            matches!(error, SourceError::OutsideTree { .. }),
            "{path}: {error}"
        );
    }
    for path in ["..", "../root/d", "/etc/passwd", "d/.."] {
        let error = source.stat(Path::new(path), Links::Themselves).unwrap_err();
        assert!(
            matches!(error, SourceError::OutsideTree { .. }),
            "{path}: {error}"
        );
    }
    let directory = source.directory(Path::new(ROOT)).unwrap();
    for name in [
        &b""[..],
        b".",
        b"..",
        b"d/x",
        b"../x",
        b"/etc/passwd",
        b"a\0b",
    ] {
        let error = directory.stat(name, Links::Content).unwrap_err();
        assert!(
            matches!(error, SourceError::OutsideTree { .. }),
            "{name:?}: {error}"
        );
        assert!(directory.open_regular(name).is_err());
        assert!(directory.read_link(name).is_err());
        assert!(directory.is_readable(name, EntryKind::Regular).is_err());
    }
}

#[test]
fn what_went_away_is_told_from_what_failed() {
    let (_dir, source) = tree();
    write(&source, b"file", b"");
    let directory = source.directory(Path::new(ROOT)).unwrap();
    fs::remove_file(source.absolute(Path::new("file"))).unwrap();
    for error in [
        directory.stat(b"file", Links::Content).unwrap_err(),
        directory.open_regular(b"file").unwrap_err(),
        directory
            .is_readable(b"file", EntryKind::Regular)
            .unwrap_err(),
        source.list(Path::new("none"), Links::Content).unwrap_err(),
    ] {
        assert!(matches!(error, SourceError::Vanished { .. }), "{error}");
    }
}

#[test]
fn files_vanish_and_appear_while_a_directory_is_listed() {
    let (_dir, source) = tree();
    for i in 0..200 {
        write(&source, format!("stays{i:03}").as_bytes(), b"");
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for i in 0..50 {
                    let path = source.absolute(Path::new(&format!("goes{i}")));
                    fs::write(&path, b"").unwrap();
                    fs::remove_file(&path).unwrap();
                }
            }
        });
        for _ in 0..100 {
            let listing = source.list(Path::new(ROOT), Links::Content).unwrap();
            assert!(listing.errors.is_empty(), "{:?}", listing.errors);
            let stays = listing
                .entries
                .iter()
                .filter(|e| e.name.starts_with(b"stays"));
            assert_eq!(stays.count(), 200);
            assert!(
                listing
                    .vanished
                    .iter()
                    .all(|name| name.starts_with(b"goes"))
            );
        }
    });
}

#[test]
fn only_regular_files_are_opened_and_nothing_blocks() {
    let (dir, source) = tree();
    write(&source, b"file", b"content");
    fs::create_dir(source.absolute(Path::new("dir"))).unwrap();
    fifo(&source, "fifo");
    let _socket = UnixListener::bind(source.absolute(Path::new("socket"))).unwrap();
    let outside = dir.path().join("outside");
    fs::write(&outside, b"outside").unwrap();
    for (link, target) in [
        ("to-file", Path::new("file")),
        ("to-outside", &outside),
        ("to-fifo", Path::new("fifo")),
        ("to-dir", Path::new("dir")),
        ("dangling", Path::new("nowhere")),
        ("loop", Path::new("loop")),
        ("through-a-file", Path::new("file/x")),
    ] {
        symlink(target, source.absolute(Path::new(link))).unwrap();
    }
    for (name, content) in [
        ("file", "content"),
        ("to-file", "content"),
        ("to-outside", "outside"),
    ] {
        let mut open = source.open_regular(Path::new(name)).unwrap();
        let mut text = String::new();
        open.file.read_to_string(&mut text).unwrap();
        assert_eq!(text, content);
        assert_eq!(open.stat.size, content.len() as u64);
        let listed = source.stat(Path::new(name), Links::Content).unwrap();
        assert!(open.stat.unchanged_since(&listed));
    }
    for (name, expected) in [
        ("", EntryKind::Directory),
        ("dir", EntryKind::Directory),
        ("to-dir", EntryKind::Directory),
        ("fifo", EntryKind::Fifo),
        ("to-fifo", EntryKind::Fifo),
        ("socket", EntryKind::Socket),
    ] {
        match source.open_regular(Path::new(name)).unwrap_err() {
            SourceError::NotRegular { kind, .. } => assert_eq!(kind, expected, "{name}"),
            error => panic!("{name}: {error}"),
        }
    }
    for name in ["dangling", "loop", "through-a-file"] {
        let error = source.open_regular(Path::new(name)).unwrap_err();
        assert!(
            matches!(error, SourceError::Dangling { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_file_that_turns_into_a_pipe_blocks_nobody() {
    let (_dir, source) = tree();
    let name = |name: &str| source.absolute(Path::new(name));
    let stop = AtomicBool::new(false);
    write(&source, b"it", b"");
    std::thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fifo(&source, "pipe");
                fs::rename(name("pipe"), name("it")).unwrap();
                fs::write(name("file"), b"").unwrap();
                fs::rename(name("file"), name("it")).unwrap();
            }
        });
        let directory = source.directory(Path::new(ROOT)).unwrap();
        for _ in 0..3000 {
            match directory.open_regular(b"it") {
                Ok(open) => assert_eq!(open.stat.kind, EntryKind::Regular),
                Err(SourceError::NotRegular { kind, .. }) => assert_eq!(kind, EntryKind::Fifo),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn readable_is_what_this_process_can_open() {
    let (_dir, source) = tree();
    for mode in [0o000, 0o040, 0o200, 0o400, 0o600, 0o644] {
        let name = format!("f{mode:o}");
        write(&source, name.as_bytes(), b"x");
        let path = source.absolute(Path::new(&name));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let directory = source.directory(Path::new(ROOT)).unwrap();
        let readable = directory
            .is_readable(name.as_bytes(), EntryKind::Regular)
            .unwrap();
        // Root reads everything, others what the mode says; both ways the answer is the truth.
        assert_eq!(readable, File::open(&path).is_ok(), "{mode:o}");
        match directory.open_regular(name.as_bytes()) {
            Ok(_) => assert!(readable),
            Err(error) => {
                assert!(
                    !readable && matches!(error, SourceError::Unreadable { .. }),
                    "{error}"
                );
            }
        }

        let name = format!("d{mode:o}");
        let path = source.absolute(Path::new(&name));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let readable = directory
            .is_readable(name.as_bytes(), EntryKind::Directory)
            .unwrap();
        let listable = fs::read_dir(&path).is_ok() && fs::metadata(path.join(".")).is_ok();
        assert_eq!(readable, listable, "{mode:o}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    fifo(&source, "fifo");
    symlink("nowhere", source.absolute(Path::new("dangling"))).unwrap();
    let directory = source.directory(Path::new(ROOT)).unwrap();
    assert!(directory.is_readable(b"fifo", EntryKind::Fifo).unwrap());
    assert!(
        directory
            .is_readable(b"dangling", EntryKind::Symlink)
            .unwrap()
    );
}

#[test]
fn a_change_during_reading_is_seen() {
    let (_dir, source) = tree();
    write(&source, b"file", b"before");
    let path = source.absolute(Path::new("file"));
    let age = |seconds| {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
    };
    age(1000);
    let open = source.open_regular(Path::new("file")).unwrap();
    assert!(stat_now(&open.file).unwrap().unchanged_since(&open.stat));
    let mut append = fs::OpenOptions::new().append(true).open(&path).unwrap();
    append.write_all(b"!").unwrap();
    assert!(!stat_now(&open.file).unwrap().unchanged_since(&open.stat));
    // Same size and modification time again, but the change time cannot be set back.
    let open = source.open_regular(Path::new("file")).unwrap();
    fs::write(&path, b"differs").unwrap();
    age(open.stat.mtime.seconds);
    let now = stat_now(&open.file).unwrap();
    assert_eq!(now.size, open.stat.size);
    assert!(!now.unchanged_since(&open.stat));
}

#[test]
fn times_before_1970_and_with_nanoseconds() {
    let (_dir, source) = tree();
    write(&source, b"file", b"");
    let time = Timespec {
        tv_sec: -2,
        tv_nsec: 750_000_000,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(
        CWD,
        source.absolute(Path::new("file")),
        &times,
        AtFlags::empty(),
    )
    .unwrap();
    let stat = source.stat(Path::new("file"), Links::Themselves).unwrap();
    let expected = Timestamp {
        seconds: -2,
        nanos: 750_000_000,
    };
    assert_eq!(stat.mtime, expected);
    let system = std::time::UNIX_EPOCH - Duration::from_millis(1250);
    assert_eq!(Timestamp::from(system), expected);
    assert_eq!(expected.as_nanos(), -1_250_000_000);
    let whole = std::time::UNIX_EPOCH - Duration::from_secs(3);
    assert_eq!(
        Timestamp::from(whole),
        Timestamp {
            seconds: -3,
            nanos: 0
        }
    );
}

#[test]
fn mount_points_are_told_from_directories() {
    let (_dir, source) = tree();
    fs::create_dir(source.absolute(Path::new("d"))).unwrap();
    let root = source.mount_facts(Path::new(ROOT)).unwrap();
    let sub = source.mount_facts(Path::new("d")).unwrap();
    assert_eq!(
        sub,
        MountFacts {
            dev: root.dev,
            is_mount_point: false
        }
    );
    let proc = FileSystem::open(Path::new("/proc")).unwrap();
    assert!(proc.mount_facts(Path::new(ROOT)).unwrap().is_mount_point);
    assert!(source.mount_facts(Path::new("none")).is_err());
}
