//! Texts with what is known of an entry in braces: `{mtime:%Y/%m}/{name}`.
//!
//! | in braces | is |
//! |---|---|
//! | `path`, `dir`, `name` | the entry's path relative to the source, that of its directory, its name; as they are called in the zone |
//! | `stem`, `ext` | its name up to the last dot, and what comes after; a dot at the beginning is none |
//! | `size`, `mode` | bytes; permissions in octal, such as `0644` |
//! | `owner`, `group` | whose it is, by name, or by number where this machine knows no name; not of objects in a bucket |
//! | `mtime`, `ctime` | its times, UTC, as `2026-11-03T09:15:02Z`, or in the form after a colon, as `strftime` has it |
//! | a name of a group | what the group of the rule's expression holds; nothing if it took no part |
//!
//! `{{` and `}}` are braces. Facts (sizes, modes, owners, times) are there for files alone.

use jiff::Timestamp;

use super::pattern::Captures;
use crate::source::{self, Stat};

/// A text ready to be filled in.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Path,
    Dir,
    Name,
    Stem,
    Ext,
    Size,
    Mode,
    Owner,
    Group,
    Mtime(String),
    Ctime(String),
    Capture(String),
}

/// What is filled in.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// The path, as text.
    pub(super) path: String,
    pub(super) stat: Option<&'a Stat>,
    pub(super) captures: Captures<'a>,
}

/// How times are written unless a form is given.
const TIME: &str = "%Y-%m-%dT%H:%M:%SZ";

impl Template {
    /// `captures` are the groups that there are; `facts` says whether facts can be used.
    pub(super) fn new(text: &str, captures: &[&str], facts: bool) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{text}`: {what}");
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let Some((inside, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                return Err(wrong("a brace that stands alone is written twice"));
            };
            rest = after;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(part(inside, captures, facts).map_err(|what| wrong(&what))?);
        }
        literal.push_str(rest);
        if literal.contains('\0') {
            return Err(wrong("NUL cannot be in a text of iRODS"));
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template(parts))
    }

    /// Whether what comes out is always one name in the directory of the entry, and of no other entry of it: a name that
    /// could be another's, now or later, must be claimed.
    pub(super) fn is_one_name_of_its_own(&self) -> bool {
        let one_name = |part: &Part| match part {
            Part::Text(text) => !text.contains('/'),
            part => *part == Part::Name,
        };
        let names = self.0.iter().filter(|part| **part == Part::Name).count();
        match self.0.as_slice() {
            [Part::Path] => true,
            [Part::Dir, Part::Text(text), rest @ ..] => {
                let name = text.strip_prefix('/');
                name.is_some_and(|name| !(name.contains('/') || name.is_empty() && rest.is_empty()))
                    && rest.iter().all(one_name)
                    && names == 1
            }
            _ => false,
        }
    }

    /// Whether it asks whose the entry is.
    pub(super) fn needs_owners(&self) -> bool {
        let asks = |part: &Part| matches!(part, Part::Owner | Part::Group);
        self.0.iter().any(asks)
    }

    /// Whether it can come out as a path at all: there must be something in it, and no name that is `.` or `..` whatever the entry.
    pub(super) fn can_be_path(&self) -> Result<(), String> {
        // What is written of the name that is being read; nothing where something is filled in.
        let mut name = Some(String::new());
        let mut turn = None;
        let mut end = |name: &mut Option<String>| {
            let ended = name.replace(String::new());
            let is_turn = |name: &String| matches!(name.as_str(), "." | "..");
            turn = turn.take().or(ended.filter(is_turn));
        };
        for part in &self.0 {
            let Part::Text(text) = part else {
                name = None;
                continue;
            };
            let mut names = text.split('/');
            if let (Some(name), Some(more)) = (&mut name, names.next()) {
                name.push_str(more);
            }
            for more in names {
                end(&mut name);
                name = Some(more.to_owned());
            }
        }
        end(&mut name);
        let says_nothing =
            |part: &Part| matches!(part, Part::Text(text) if text.bytes().all(|byte| byte == b'/'));
        match turn {
            Some(turn) => Err(format!("a target with `{turn}` in it is no path")),
            None if self.0.iter().all(says_nothing) => Err("an empty target is no path".to_owned()),
            None => Ok(()),
        }
    }

    /// Filled in.
    pub(super) fn text(&self, facts: &Facts<'_>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            part.fill(facts, &mut text)?;
        }
        Ok(text)
    }

    /// Filled in as a relative path: slashes that follow each other, begin or end it do not count.
    pub(super) fn path(&self, facts: &Facts<'_>) -> Result<String, String> {
        let text = self.text(facts)?;
        let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err("an empty target comes out".to_owned());
        }
        match names.iter().find(|name| matches!(**name, "." | "..")) {
            Some(name) => Err(format!("target `{text}` has `{name}` in it")),
            None => Ok(names.join("/")),
        }
    }
}

fn part(inside: &str, captures: &[&str], facts: bool) -> Result<Part, String> {
    let (name, form) = match inside.split_once(':') {
        Some((name, form)) => (name, Some(form)),
        None => (inside, None),
    };
    let part = match name {
        // A group may be called like anything else, and is meant then.
        name if captures.contains(&name) => Part::Capture(name.to_owned()),
        "path" => Part::Path,
        "dir" => Part::Dir,
        "name" => Part::Name,
        "stem" => Part::Stem,
        "ext" => Part::Ext,
        "size" => Part::Size,
        "mode" => Part::Mode,
        "owner" => Part::Owner,
        "group" => Part::Group,
        "mtime" => Part::Mtime(form.unwrap_or(TIME).to_owned()),
        "ctime" => Part::Ctime(form.unwrap_or(TIME).to_owned()),
        _ => {
            let mut known = vec![
                "path", "dir", "name", "stem", "ext", "size", "mode", "owner", "group", "mtime",
                "ctime",
            ];
            known.extend(captures);
            return Err(format!("`{{{name}}}` is none of {}", known.join(", ")));
        }
    };
    match &part {
        Part::Mtime(form) | Part::Ctime(form) => {
            write_time(source::Timestamp::default(), form)
                .map_err(|why| format!("`{form}` is no form of a time: {why}"))?;
        }
        _ if form.is_some() => return Err(format!("`{{{name}}}` has no form to choose")),
        _ => {}
    }
    let is_fact = matches!(
        part,
        Part::Size | Part::Mode | Part::Owner | Part::Group | Part::Mtime(_) | Part::Ctime(_)
    );
    match is_fact && !facts {
        true => Err(format!(
            "`{{{name}}}` is there for files alone: the rule must have kind = \"file\""
        )),
        false => Ok(part),
    }
}

impl Part {
    fn fill(&self, facts: &Facts<'_>, into: &mut String) -> Result<(), String> {
        let path = facts.path.trim_start_matches('/');
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, ext) = match name.rsplit_once('.') {
            Some(("", _)) | None => (name, ""),
            Some(both) => both,
        };
        let stat = || {
            facts
                .stat
                .ok_or("size, mode, owner and times are not known")
        };
        let owner = || stat()?.owner.ok_or("the source has no owners");
        let unknown = |error| format!("whose it is could not be looked up: {error}");
        match self {
            Self::Text(text) => into.push_str(text),
            Self::Path => into.push_str(path),
            Self::Dir => into.push_str(dir),
            Self::Name => into.push_str(name),
            Self::Stem => into.push_str(stem),
            Self::Ext => into.push_str(ext),
            Self::Size => into.push_str(&stat()?.size.to_string()),
            Self::Mode => into.push_str(&format!("{:04o}", stat()?.mode & 0o7777)),
            Self::Owner => into.push_str(&owner()?.user().map_err(unknown)?),
            Self::Group => into.push_str(&owner()?.group().map_err(unknown)?),
            Self::Mtime(form) => into.push_str(&write_time(stat()?.mtime, form)?),
            Self::Ctime(form) => into.push_str(&write_time(stat()?.ctime, form)?),
            Self::Capture(group) => {
                let held = facts.captures.iter().find(|(name, _)| name == group);
                let held = held.map_or(&b""[..], |(_, held)| held);
                match std::str::from_utf8(held) {
                    Ok(text) => into.push_str(text),
                    Err(_) => return Err(format!("what group `{group}` holds is not UTF-8")),
                }
            }
        }
        Ok(())
    }
}

fn write_time(time: source::Timestamp, form: &str) -> Result<String, String> {
    let nanos = i32::try_from(time.nanos).unwrap_or(0);
    let time = Timestamp::new(time.seconds, nanos).map_err(|error| error.to_string())?;
    jiff::fmt::strtime::format(form, time).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::{EntryKind, Owner};

    const STAT: Stat = Stat {
        kind: EntryKind::Regular,
        size: 12,
        mtime: source::Timestamp {
            seconds: 1_793_693_702,
            nanos: 5,
        },
        ctime: source::Timestamp {
            seconds: 0,
            nanos: 0,
        },
        mode: 0o100_640,
        dev: 0,
        version: 0,
        owner: Some(Owner {
            uid: 0,
            gid: 4_000_000_007,
        }),
    };

    fn filled(text: &str, path: &str) -> Result<String, String> {
        let facts = Facts {
            path: format!("/{path}"),
            stat: Some(&STAT),
            captures: vec![("run".into(), b"7"), ("bad".into(), b"\xff")],
        };
        Template::new(text, &["run", "bad"], true)?.text(&facts)
    }

    #[test]
    fn what_is_in_braces_is_filled_in() {
        let path = "a/b/run7.tar.gz";
        for (text, expected) in [
            ("{path}", "a/b/run7.tar.gz"),
            ("{dir}|{name}|{stem}|{ext}", "a/b|run7.tar.gz|run7.tar|gz"),
            ("{size} {mode}", "12 0640"),
            ("{owner}:{group}", "root:4000000007"),
            ("{mtime:%Y/%m}/{name}", "2026/11/run7.tar.gz"),
            ("{mtime} {ctime:%s}", "2026-11-03T08:15:02Z 0"),
            ("x{{{run}}}y", "x{7}y"),
            ("", ""),
        ] {
            assert_eq!(filled(text, path).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(filled("{dir}|{stem}|{ext}", ".rc").as_deref(), Ok("|.rc|"));
        assert!(filled("{bad}", path).unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_told() {
        for (text, says) in [
            ("{", "written twice"),
            ("a}b", "written twice"),
            ("{nmae}", "`{nmae}` is none of path, dir, name"),
            ("{name:%Y}", "no form"),
            ("{mtime:%!}", "no form of a time"),
            ("a\0", "NUL"),
        ] {
            let error = Template::new(text, &[], true).unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        let error = Template::new("{size}", &[], false).unwrap_err();
        assert!(error.contains("files alone"), "{error}");
    }

    #[test]
    fn a_template_shows_whether_its_name_is_its_own() {
        let own = |text: &str| {
            let template = Template::new(text, &["run"], true).unwrap();
            template.is_one_name_of_its_own()
        };
        for text in ["{path}", "{dir}/{name}", "{dir}/v1_{name}.raw"] {
            assert!(own(text), "{text}");
        }
        for text in [
            "{dir}/{stem}_{mtime:%Y-%m}.{ext}",
            "{dir}/x{size}",
            "{dir}/{name}{name}",
            "{name}",
            "{dir}{name}",
            "{dir}/",
            "{dir}",
            "{dir}/{run}",
            "{dir}/x/{name}",
            "{dir}/{mtime:%Y/%m}",
            "{mtime:%Y}/{name}",
            "{path}x/{name}",
            "a/{dir}/{name}",
        ] {
            assert!(!own(text), "{text}");
        }
    }

    #[test]
    fn a_target_that_is_never_a_path_is_known_before() {
        let can_be = |text: &str| Template::new(text, &[], true).unwrap().can_be_path();
        for text in [
            "",
            "/",
            "//",
            "../{name}",
            "a/./b",
            "{name}/..",
            ".",
            "{dir}/../{name}",
            "./",
        ] {
            assert!(can_be(text).is_err(), "{text}");
        }
        // Of these some come out right.
        for text in [
            "{path}",
            "{dir}..",
            "..{name}",
            ".{ext}",
            "a..b/{name}",
            "...",
            "{dir}.",
            "/{name}/",
        ] {
            assert_eq!(can_be(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_target_is_a_path_without_turns() {
        let path = |text: &str, path: &str| {
            let facts = Facts {
                path: format!("/{path}"),
                stat: None,
                captures: Vec::new(),
            };
            Template::new(text, &[], true).unwrap().path(&facts)
        };
        assert_eq!(path("{dir}/{name}", "f").as_deref(), Ok("f"));
        assert_eq!(path("//a//{name}/", "d/f").as_deref(), Ok("a/f"));
        for text in ["../{name}", "a/./b", "{name}/.."] {
            assert!(path(text, "f").is_err(), "{text}");
        }
        assert!(path("/", "f").is_err());
        assert!(path("{mtime}", "f").is_err());
    }
}
