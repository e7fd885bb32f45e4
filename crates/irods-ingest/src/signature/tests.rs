#![allow(clippy::unwrap_used, clippy::expect_used)]
use proptest::prelude::*;

use super::*;
use crate::source::EntryKind;

fn stat(mtime: i64, size: u64, ctime: i64) -> Stat {
    Stat {
        kind: EntryKind::Regular,
        size,
        mtime: Timestamp {
            seconds: mtime,
            nanos: 5,
        },
        ctime: Timestamp {
            seconds: ctime,
            nanos: 7,
        },
        mode: 0o100644,
        dev: 1,
        version: 0,
        owner: None,
    }
}

fn segment(entries: &[(&[u8], Stat)]) -> Vec<u8> {
    let mut segment = Segment::new();
    for (name, stat) in entries {
        segment.push(name, stat, LATER);
    }
    segment.into_bytes()
}

fn listed<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Names {
    let mut listed = Names::default();
    listed.extend(names);
    listed
}

fn so_many(count: usize) -> Names {
    listed(std::iter::repeat_n(&b""[..], count))
}

const LATER: Timestamp = Timestamp {
    seconds: 1 << 40,
    nanos: 0,
};

#[test]
fn the_four_verdicts() {
    let bytes = segment(&[(b"a", stat(10, 3, 10))]);
    assert_eq!(bytes.len(), ENTRY_LEN);
    let record = Record::read([&bytes[..]]);
    assert_eq!(record.verdict(b"a", &stat(10, 3, 10)), Verdict::Unchanged);
    assert_eq!(
        record.verdict(b"a", &stat(10, 3, 11)),
        Verdict::MetadataChanged
    );
    assert_eq!(record.verdict(b"a", &stat(11, 3, 10)), Verdict::DataChanged);
    assert_eq!(record.verdict(b"a", &stat(10, 4, 10)), Verdict::DataChanged);
    assert_eq!(record.verdict(b"b", &stat(10, 3, 10)), Verdict::New);
    let mut socket = stat(10, 3, 10);
    socket.kind = EntryKind::Socket;
    assert_eq!(record.verdict(b"a", &socket), Verdict::DataChanged);
}

#[test]
fn what_is_said_to_have_changed_does_so_until_it_is_remembered_anew() {
    let entry = stat(10, 3, 10);
    let known = segment(&[(b"a", entry)]);
    let mut changed = Segment::new();
    changed.push_changed(b"a");
    let changed = changed.into_bytes();
    let record = Record::read([&known[..], &changed]);
    assert!(record.holds(b"a"));
    assert_eq!(record.verdict(b"a", &entry), Verdict::DataChanged);
    let kept = record.compacted(&listed([&b"a"[..]])).into_bytes();
    let record = Record::read([&kept[..]]);
    assert_eq!(record.verdict(b"a", &entry), Verdict::DataChanged);
    let record = Record::read([&kept[..], &known]);
    assert_eq!(record.verdict(b"a", &entry), Verdict::Unchanged);
}

#[test]
fn an_entry_that_could_still_change_unseen_counts_as_changed() {
    let now = Timestamp {
        seconds: 100,
        nanos: 500_000_000,
    };
    let fine = |nanos| Stat {
        mtime: Timestamp {
            seconds: 100,
            nanos,
        },
        ctime: Timestamp {
            seconds: 100,
            nanos,
        },
        ..stat(0, 1, 0)
    };
    assert!(is_racy(&fine(499_000_000), now));
    assert!(is_racy(&fine(480_000_000), now));
    assert!(!is_racy(&fine(479_999_999), now));
    // Whole seconds: the file system's clock ticks once a second or slower.
    let coarse = |seconds| Stat {
        mtime: Timestamp { seconds, nanos: 0 },
        ctime: Timestamp { seconds, nanos: 0 },
        ..stat(0, 1, 0)
    };
    assert!(is_racy(&coarse(99), now));
    assert!(!is_racy(&coarse(98), now));
    // A file server whose clock runs ahead.
    assert!(is_racy(&stat(200, 1, 200), now));
    // Dated in the future by hand, long ago: a write would change its mtime, so it does not need doing for ever.
    assert!(!is_racy(&stat(4_000_000_000, 1, 50), now));

    let mut segment = Segment::new();
    let racy = fine(499_000_000);
    segment.push(b"x", &racy, now);
    let record = Record::read([&segment.into_bytes()[..]]);
    assert_eq!(record.verdict(b"x", &racy), Verdict::DataChanged);
}

#[test]
fn a_segment_that_is_cut_off_is_ignored_as_a_whole() {
    let old = segment(&[(b"a", stat(1, 1, 1)), (b"b", stat(1, 1, 1))]);
    let cut = &segment(&[(b"a", stat(2, 2, 2)), (b"c", stat(2, 2, 2))])[..ENTRY_LEN + 1];
    let record = Record::read([&old[..], cut]);
    assert_eq!(record.damaged(), 1);
    assert_eq!(record.verdict(b"a", &stat(1, 1, 1)), Verdict::Unchanged);
    assert_eq!(record.verdict(b"c", &stat(2, 2, 2)), Verdict::New);
    assert!(record.should_compact(&so_many(2)));
}

#[test]
fn compaction_is_due_when_there_is_something_to_gain() {
    let one = segment(&[(b"a", stat(1, 1, 1))]);
    let few = vec![&one[..]; MAX_SEGMENTS];
    assert!(!Record::read(few.clone()).should_compact(&so_many(1)));
    let many = vec![&one[..]; MAX_SEGMENTS + 1];
    assert!(Record::read(many).should_compact(&so_many(1)));
    assert!(!Record::read([]).should_compact(&so_many(0)));
    // A directory from which nearly everything went away.
    let names: Vec<_> = (0..100).map(|i| format!("n{i}").into_bytes()).collect();
    let entries: Vec<_> = names.iter().map(|n| (&n[..], stat(1, 1, 1))).collect();
    let full = segment(&entries);
    assert!(!Record::read([&full[..]]).should_compact(&so_many(100)));
    assert!(Record::read([&full[..]]).should_compact(&so_many(3)));
}

#[test]
fn the_key_tells_apart_whatever_changes_what_was_applied() {
    let key = CacheKey {
        root: b"/src",
        directory: b"a",
        target: "/z/t",
        operation: Operation::PutSync,
        resource: None,
        user: "rods#z",
        handler: None,
    };
    let variants = [
        key,
        CacheKey {
            root: b"/sr",
            directory: b"ca",
            ..key
        },
        CacheKey {
            directory: b"",
            ..key
        },
        CacheKey {
            target: "/z/t2",
            ..key
        },
        CacheKey {
            operation: Operation::NoOp,
            ..key
        },
        CacheKey {
            resource: Some(""),
            ..key
        },
        CacheKey {
            resource: Some("r"),
            ..key
        },
        CacheKey {
            user: "alice#z",
            ..key
        },
        CacheKey {
            handler: Some(0),
            ..key
        },
    ];
    let bytes: HashSet<_> = variants.iter().map(CacheKey::to_bytes).collect();
    assert_eq!(bytes.len(), variants.len());
    let prefix = CacheKey::root_prefix(b"/src");
    assert!(key.to_bytes().starts_with(&prefix));
    let longer = CacheKey {
        root: b"/src2",
        ..key
    };
    assert!(!longer.to_bytes().starts_with(&prefix));
}

proptest! {
    #[test]
    fn arbitrary_segments_never_panic(segments: Vec<Vec<u8>>, name: Vec<u8>) {
        let record = Record::read(segments.iter().map(Vec::as_slice));
        let _ = record.verdict(&name, &stat(1, 2, 3));
        let _ = record.should_compact(&so_many(name.len()));
        prop_assert!(record.compacted(&listed([&name[..]])).len() <= 1);
    }

    #[test]
    fn the_last_entry_wins_and_compaction_keeps_every_verdict(
        runs in prop::collection::vec(
            prop::collection::vec((0u8..20, 0i64..4, 0u64..3, 0i64..4), 0..12), 0..12),
    ) {
        let mut last = HashMap::new();
        let mut segments = Vec::new();
        for run in &runs {
            let mut segment = Segment::new();
            for (name, mtime, size, ctime) in run {
                segment.push(&[*name], &stat(*mtime, *size, *ctime), LATER);
                last.insert(*name, stat(*mtime, *size, *ctime));
            }
            segments.push(segment.into_bytes());
        }
        let record = Record::read(segments.iter().map(Vec::as_slice));
        prop_assert_eq!(record.len(), last.len());
        let names: Vec<[u8; 1]> = (0u8..20).filter(|n| n % 2 == 0).map(|n| [n]).collect();
        let compact = record.compacted(&listed(names.iter().map(|n| &n[..]))).into_bytes();
        let compact = Record::read([&compact[..]]);
        for name in 0u8..20 {
            let probe = last.get(&name).copied().unwrap_or(stat(0, 0, 0));
            let expected = match last.contains_key(&name) {
                true => Verdict::Unchanged,
                false => Verdict::New,
            };
            prop_assert_eq!(record.verdict(&[name], &probe), expected);
            let kept = if name % 2 == 0 { expected } else { Verdict::New };
            prop_assert_eq!(compact.verdict(&[name], &probe), kept);
        }
    }
}
