//! What rules choose is decided by path and facts alone; whatever is written in a file is rules or one error with its line.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::source::{EntryKind, Timestamp, s3};

const STAT: Stat = Stat {
    kind: EntryKind::Regular,
    size: 3,
    mtime: Timestamp {
        seconds: 1_700_000_000,
        nanos: 0,
    },
    ctime: Timestamp {
        seconds: 0,
        nanos: 0,
    },
    mode: 0o100_644,
    dev: 0,
    version: 0,
    owner: None,
};

/// Two days later.
const NOW: Timestamp = Timestamp {
    seconds: STAT.mtime.seconds + 2 * 86_400,
    nanos: 0,
};

fn rules(text: &str) -> Rules {
    JobFile::parse("job.toml", text).unwrap().rules.unwrap()
}

fn choose(text: &str, path: &[u8]) -> Choice {
    let entry = Entry {
        path,
        is_directory: false,
        stat: Some(&STAT),
        now: NOW,
    };
    rules(text).compile().unwrap().choose(&entry, "/z/t")
}

/// The error of a text, be it in parsing, compiling or checking.
fn error(text: &str, options: &JobOptions) -> String {
    let checked = JobFile::parse("job.toml", text)
        .and_then(|file| file.rules.map_or(Ok(()), |rules| rules.check(options)));
    checked.unwrap_err().to_string()
}

const RULES: &str = r#"
[[rule]]
name = "reads"
regex = '(?:runs/)?(?<run>[^/]+)/.*\.(?<kind>fastq|bam)'
resource = "archive"
target = "{run}/{mtime:%Y}/{name}"
avus = [
  { attribute = "run", value = "{run}" },
  { attribute = "size", value = "{size}", units = "bytes", add = true },
  { attribute = "empty", value = "{ext}{ext}" },
]

[[rule]]
name = "all"
resource = "cheap"
operation = "PUT_SYNC"
acl = [{ group = "lab", level = "read" }, { user = "eve#other", level = "own" }]

[[rule]]
glob = ["*.tmp", "scratch/**"]
skip = "not for keeps"

[[rule]]
kind = "directory"
glob = ".git"
skip = "version control"
"#;

#[test]
fn all_rules_that_match_apply_and_the_first_that_says_something_counts() {
    let choice = choose(RULES, b"runs/r7/lane/x.fastq");
    assert_eq!(choice.resource, Some(Some("archive".into())));
    assert_eq!(choice.target.as_deref(), Some("/z/t/r7/2023/x.fastq"));
    assert_eq!(choice.operation, Some(Operation::PutSync));
    let avu = |attribute: &str, value: &str, units: &str, replaces| ChosenAvu {
        avu: Avu::new(attribute, value, units),
        replaces,
    };
    let avus = [
        avu("run", "r7", "", true),
        avu("size", "3", "bytes", false),
        avu("empty", "fastqfastq", "", true),
    ];
    assert_eq!(choice.avus, avus);
    let grant = |user: &str, zone: &str, level: &str| Grant {
        user: user.into(),
        zone: zone.into(),
        level: level.into(),
    };
    let grants = [grant("lab", "", "read"), grant("eve", "other", "own")];
    assert_eq!(choice.grants, grants);
    assert_eq!(choice.chosen_by.as_deref(), Some("reads, all"));
    assert_eq!((choice.skip, choice.wrong), (None, None));

    let choice = choose(RULES, b"scratch/a/b");
    assert_eq!(choice.resource, Some(Some("cheap".into())));
    assert_eq!(choice.skip.as_deref(), Some("not for keeps"));
    assert_eq!(choice.chosen_by.as_deref(), Some("all, rule 3"));
    assert!(choose(RULES, b"deep/in/x.tmp").skip.is_some());
    assert!(choose(RULES, b"x.tmp.gz").skip.is_none());
    assert!(choose(RULES, b".git").skip.is_none(), "a file");
}

#[test]
fn rules_with_bounds_are_for_files_of_such_sizes_and_ages() {
    let hits = |bounds: &str, stat: &Stat| {
        let text = format!("[[rule]]\n{bounds}\nskip = 'x'\n");
        let entry = Entry {
            path: b"f",
            is_directory: false,
            stat: Some(stat),
            now: NOW,
        };
        let choice = rules(&text).compile().unwrap().choose(&entry, "/z/t");
        assert_eq!(choice.chosen_by.is_some(), choice.skip.is_some());
        choice.skip.is_some()
    };
    // It has 3 bytes and is two days old.
    for (bounds, expected) in [
        ("larger_than = 2", true),
        ("larger_than = 3", false),
        ("smaller_than = '1KiB'", true),
        ("smaller_than = 3", false),
        ("older_than = '47h'", true),
        ("older_than = '2d'", false),
        ("younger_than = '2 days'", false),
        ("younger_than = '1w'", true),
        ("larger_than = 2\nyounger_than = '1h'", false),
        (
            "larger_than = 2\nsmaller_than = 4\nolder_than = '1d'\nyounger_than = '3d'",
            true,
        ),
    ] {
        assert_eq!(hits(bounds, &STAT), expected, "{bounds}");
    }
    let to_come = Stat {
        mtime: Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        },
        ..STAT
    };
    assert!(hits("younger_than = '1s'", &to_come));
    assert!(!hits("older_than = '0s'", &to_come));
    // Of what is not known nothing is said; and jobs carry them.
    let bound = rules("[[rule]]\nlarger_than = 0\nskip = 'x'\n");
    let unknown = Entry {
        path: b"f",
        is_directory: false,
        stat: None,
        now: NOW,
    };
    let choice = bound.compile().unwrap().choose(&unknown, "/z/t");
    assert_eq!(choice, Choice::default());
    let json = serde_json::to_string(&bound).unwrap();
    assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), bound);
    assert!(
        !serde_json::to_string(&rules(RULES))
            .unwrap()
            .contains("bounds")
    );
}

#[test]
fn bounds_that_are_none_are_told_with_their_line() {
    for (text, says) in [
        (
            "larger_than = '1 mile'",
            "line 2: larger_than: \"1 mile\" is no number of bytes",
        ),
        ("smaller_than = true", "line 2: smaller_than: "),
        ("larger_than = -1", "line 2: larger_than: "),
        (
            "older_than = '1 month'",
            "line 2: older_than: \"1 month\" is no length of time",
        ),
        ("older_than = 5", "line 2: older_than: "),
        (
            "larger_than = 5\nsmaller_than = 6",
            "line 3: there is no such size",
        ),
        (
            "older_than = '2d'\nyounger_than = '1d'",
            "line 3: there is no such age",
        ),
        (
            "kind = 'any'\nlarger_than = 5",
            "line 3: larger_than is for files alone",
        ),
    ] {
        let text = format!("[[rule]]\n{text}\nskip = 'x'\n");
        let error = error(&text, &JobOptions::default());
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn rules_for_directories_are_for_directories() {
    let compiled = rules(RULES).compile().unwrap();
    let directory = |path| {
        let entry = Entry {
            path,
            is_directory: true,
            stat: None,
            now: NOW,
        };
        compiled.choose(&entry, "/z/t")
    };
    assert!(directory(b"a/.git").skip.is_some());
    assert_eq!(directory(b"runs/r7/x.fastq"), Choice::default());
}

#[test]
fn names_that_are_not_text_match_and_are_called_as_in_the_zone() {
    let rule = "[[rule]]\nglob = '*.x'\ntarget = '{dir}/{stem}.y'\n";
    let choice = choose(rule, b"d/b\xff.x");
    assert!(choice.target.unwrap().starts_with("/z/t/d/irods_Unicode"));
    let rule = "[[rule]]\nregex = '(?s-u)(?<all>.*)'\ntarget = 'x/{all}'\n";
    let choice = choose(rule, b"d/b\xff.x");
    assert!(choice.wrong.unwrap().contains("not UTF-8"));
}

#[test]
fn what_comes_out_wrong_fails_the_entry() {
    let rule = "[[rule]]\nregex = 'a/(?<rest>.*)'\ntarget = '{rest}/{name}'\n";
    for path in [&b"a/.."[..], b"a/x/../y"] {
        assert!(choose(rule, path).wrong.unwrap().contains("`..`"));
    }
    assert_eq!(choose(rule, b"a/b").target.as_deref(), Some("/z/t/b/b"));
    let rule = "[[rule]]\nregex = '(?<a>x)?.*'\navus = [{ attribute = '{a}', value = 'v' }]\n";
    assert!(choose(rule, b"y").wrong.is_some());
    assert_eq!(choose(rule, b"x").wrong, None);
}

#[test]
fn where_entries_may_be_put_is_known_before() {
    let targets = |target: &str| {
        let rule = format!("[[rule]]\ntarget = '{target}'\n");
        rules(&rule).compile().unwrap().targets()
    };
    assert_eq!(targets("{dir}/v1_{name}.raw"), Targets::Names);
    // `a` and `a.`, or a file that has this size later, would have the same.
    assert_eq!(targets("{dir}/{stem}.{ext}"), Targets::Anywhere);
    assert_eq!(targets("{dir}/s{size}"), Targets::Anywhere);
    assert_eq!(targets("{dir}/{size}{name}"), Targets::Anywhere);
    assert_eq!(targets("{mtime:%Y}/{name}"), Targets::Anywhere);
    let none = rules("[[rule]]\nresource = 'r'\n").compile().unwrap();
    assert_eq!(none.targets(), Targets::Own);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let replica = JobOptions {
        operation: Operation::RegisterSync,
        delete_mode: DeleteMode::Unregister,
        ..JobOptions::default()
    };
    for (text, says) in [
        ("[[rule]\n", "line 1: "),
        ("x = 1\n", "line 1: unknown field `x`"),
        (
            "[[rule]]\nresource = 'r'\nglobb = 'x'\n",
            "line 3: unknown field `globb`",
        ),
        ("[[rule]]\nresource = 7\n", "line 2: invalid type"),
        (
            "\n[[rule]]\nglob = 'x'\n",
            "line 2: the rule chooses nothing",
        ),
        ("[[rule]]\nglob = 'a[b'\n", "line 2: glob `a[b`: "),
        (
            "[[rule]]\nname = 'n'\ntarget = ''\n",
            "line 3: target ``: an empty target is no path",
        ),
        (
            "[[rule]]\ntarget = '../{name}'\n",
            "line 2: target `../{name}`: a target with `..` in it is no path",
        ),
        ("[[rule]]\nskip = ''\n", "line 2: skip: the reason"),
        (
            "[[rule]]\nskip = 's'\nglob = 'a[b'\n",
            "line 3: glob `a[b`: ",
        ),
        (
            "[[rule]]\nskip = 's'\nglob = ['a', '/b']\n",
            "line 3: glob `/b`: ",
        ),
        (
            "[[rule]]\nskip = 's'\nglob = 7\n",
            "line 3: glob: a text or",
        ),
        (
            "[[rule]]\nskip = 's'\nregex = '('\n",
            "line 3: regex `(`: unclosed group",
        ),
        (
            "[[rule]]\nskip = 's'\nglob = 'a'\nregex = 'a'\n",
            "line 4: a rule has glob or regex",
        ),
        (
            "[[rule]]\nskip = 's'\nkind = 'dir'\n",
            "line 3: kind `dir` is none of",
        ),
        (
            "[[rule]]\noperation = 'put'\n",
            "line 2: unknown operation `put`",
        ),
        (
            "[[rule]]\nkind = 'any'\n\nresource = 'r'\n",
            "line 4: resource is for files",
        ),
        (
            "[[rule]]\nregex = '(?<a>x)'\ntarget = '{b}'\n",
            "line 3: `{b}`: `{b}` is none of path, dir, name, stem, ext, size, mode, owner, group, mtime, ctime, a",
        ),
        (
            "[[rule]]\nkind = 'any'\navus = [\n  { attribute = 'a', value = '{size}' },\n]\n",
            "line 4: `{size}`: `{size}` is there for files alone",
        ),
        (
            "[[rule]]\nacl = [\n  { user = 'u', group = 'g', level = 'own' }]\n",
            "line 3: acl: either user or group",
        ),
        (
            "[[rule]]\nacl = [{ user = 'u', level = 'all' }]\n",
            "line 2: level `all` is none of null, read",
        ),
        (
            "[[rule]]\nacl = [{ user = 'u' }]\n",
            "line 2: missing field `level`",
        ),
        // With the job's options.
        (
            "[[rule]]\n\noperation = 'PUT'\n",
            "line 3: operation [Operation.PUT] and delete_mode [DeleteMode.UNREGISTER] are incompatible.",
        ),
        (
            "[[rule]]\noperation = 'REGISTER_AS_REPLICA_SYNC'\n",
            "line 2: operation REGISTER_AS_REPLICA_SYNC needs a resource",
        ),
        (
            "[[rule]]\ntarget = '{mtime:%Y}/{name}'\n",
            "line 2: with delete mode UNREGISTER a target must be one name of its own in the collection",
        ),
    ] {
        let error = error(text, &replica);
        assert!(
            error.starts_with("job.toml: line ") && error.contains(says),
            "{text}\n{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
    let bucket = JobOptions {
        bucket: Some(s3::Access::default()),
        ..JobOptions::default()
    };
    for text in [
        "[[rule]]\n\ntarget = '{owner}/{name}'\n",
        "[[rule]]\navus = [\n{ attribute = 'a', value = 'v', units = '{group}' }]\n",
    ] {
        let error = error(text, &bucket);
        assert!(
            error.contains("line 3: objects in a bucket have no owner"),
            "{error}"
        );
    }
    let long = "#".repeat(300_000);
    assert!(error(&long, &replica).contains("longer than"));
}

#[test]
fn of_rules_and_a_handler_the_one_that_says_something_counts_and_no_contradiction() {
    let chosen = |operation, resource: Option<Option<&str>>, by: &str| Choice {
        operation,
        resource: resource.map(|name| name.map(str::to_owned)),
        chosen_by: Some(by.to_owned()),
        ..Choice::default()
    };
    let (put, no_op) = (Some(Operation::Put), Some(Operation::NoOp));
    let both = with_handler::both(
        chosen(put, None, "rule"),
        chosen(put, Some(Some("resc")), "h.py"),
    );
    assert_eq!(both, chosen(put, Some(Some("resc")), "rule, h.py"));
    let both = with_handler::both(
        chosen(None, Some(Some("resc")), "rule"),
        chosen(no_op, Some(None), "h.py"),
    );
    assert_eq!(both, chosen(no_op, Some(Some("resc")), "rule, h.py"));
    let contradiction = (chosen(put, None, "rule"), chosen(no_op, None, "h.py"));
    let both = with_handler::both(contradiction.0.clone(), contradiction.1.clone());
    let wrong = "operation: the rules say Put, the handler NoOp";
    assert_eq!(both.wrong.as_deref(), Some(wrong));
    let left_out = Choice {
        skip: Some("whatever".into()),
        ..contradiction.1
    };
    let both = with_handler::both(contradiction.0, left_out);
    assert_eq!((both.wrong, both.skip.as_deref()), (None, Some("whatever")));
}

#[test]
fn flags_are_read_in_their_order() {
    let text = "[job]\nresource = 'r'\nmax_retries = 3\nignore_cache = true\nchecksum = false\n\
                exclude_file_name = ['a', 'b']\n";
    let file = JobFile::parse("job.toml", text).unwrap();
    let flag = |name: &str, line, values: &[&str]| Flag {
        name: name.into(),
        line,
        values: values.iter().map(ToString::to_string).collect(),
    };
    let expected = [
        flag("resource", 2, &["r"]),
        flag("max_retries", 3, &["3"]),
        flag("ignore_cache", 4, &[]),
        flag("exclude_file_name", 6, &["a", "b"]),
    ];
    assert_eq!(file.flags, expected);
    assert_eq!(file.rules, None);
    let error = JobFile::parse("job.toml", "[job]\nx = 1.5\n").unwrap_err();
    assert_eq!(error.line, 2);
}

proptest! {
    #[test]
    fn any_text_is_rules_or_one_error_with_a_line(
        text in prop::collection::vec(
            prop::sample::select(vec![
                "[[rule]]\n", "[job]\n", "glob = '*'\n", "larger_than = 3\n", "younger_than = '1s'\n", "glob = '**/{a,b}'\n", "regex = '(?<x>a)'\n", "target = '{x}'\n",
                "target = '{dir}/{name}'\n", "skip = 's'\n", "resource = 'r'\n", "operation = 'PUT'\n", "kind = 'any'\n",
                "avus = [{ attribute = 'a', value = '{name}' }]\n", "= ", "'", "[", "{", "\n", "é", "\u{0}", "avus = 3\n",
            ]),
            0..8,
        ),
    ) {
        let text = text.concat();
        let checked = JobFile::parse("f", &text)
            .and_then(|file| file.rules.map_or(Ok(()), |rules| rules.check(&JobOptions::default())));
        if let Err(error) = checked {
            let lines = text.matches('\n').count() + 1;
            prop_assert!((1..=lines).contains(&error.line), "{} in {:?}", error, text);
            prop_assert!(!error.message.is_empty() && !error.message.contains('\n'));
        }
    }

    #[test]
    fn whatever_the_path_a_target_is_below_the_job_s_or_wrong(
        path in prop::collection::vec(prop::collection::vec(1u8..=255, 1..6), 1..4),
        template in prop::sample::select(vec![
            "{path}", "{name}", "{dir}/{stem}", "x/{ext}/{rest}", "{rest}", "{rest}/{rest}", "{mtime:%Y/%m}/{rest}{name}",
        ]),
        seconds in any::<i64>(),
    ) {
        let names: Vec<Vec<u8>> = path
            .into_iter()
            .map(|name| name.into_iter().filter(|byte| *byte != b'/').collect::<Vec<_>>())
            .filter(|name| !matches!(name.as_slice(), b"" | b"." | b".."))
            .collect();
        prop_assume!(!names.is_empty());
        let path = names.join(&b'/');
        let text = format!("[[rule]]\nregex = '(?s-u:.)(?<rest>(?s-u:.)*)'\ntarget = '{template}'\n");
        let stat = Stat { mtime: Timestamp { seconds, nanos: 0 }, ..STAT };
        let entry = Entry { path: &path, is_directory: false, stat: Some(&stat), now: NOW };
        let compiled = rules(&text).compile().unwrap();
        let choice = compiled.choose(&entry, "/z/t");
        match (&choice.target, &choice.wrong) {
            (Some(target), None) => {
                let below = target.strip_prefix("/z/t/").unwrap();
                prop_assert!(below.split('/').all(|name| !matches!(name, "" | "." | "..")), "{}", target);
                if compiled.targets() == Targets::Names {
                    let own = naming::logical_path("/z/t", b"", &path);
                    prop_assert_eq!(target.rsplit_once('/').unwrap().0, own.rsplit_once('/').unwrap().0);
                }
            }
            (None, Some(_)) => {}
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert_eq!(choice, compiled.choose(&entry, "/z/t"));
    }
}
