//! Keys as paths: what a page of a listing with the delimiter `/` holds. Pure.
//!
//! A key is any text; a path in a zone is not. An element of a key that no collection or data object can be called by
//! (empty, `.`, `..`, with NUL) is an error with its place, never left out silently, and a key that is also the beginning of others
//! gives way to them: two keys never end in one object.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bstr::BString;

use crate::source::{Entry, EntryKind, Listing, SourceError, Stat, Timestamp};

/// An object as a listing or a look tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) size: u64,
    /// Seconds since 1970 when it was last written. Servers that keep fractions tell them in listings only.
    pub(super) modified: i64,
    /// As told, with or without quotes.
    pub(super) etag: Option<String>,
}

impl Object {
    pub(super) fn stat(&self) -> Stat {
        let time = Timestamp {
            seconds: self.modified,
            nanos: 0,
        };
        Stat {
            kind: EntryKind::Regular,
            size: self.size,
            mtime: time,
            ctime: time,
            mode: 0o100_644,
            dev: 0,
            version: self.etag.as_deref().map_or(0, version),
            owner: None,
        }
    }
}

/// The ETag's part of a signature; not 0.
fn version(etag: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(etag.trim_matches('"').as_bytes()).max(1)
}

/// What stands for a prefix: it has no facts of its own.
pub(super) fn directory_stat() -> Stat {
    Stat {
        kind: EntryKind::Directory,
        size: 0,
        mtime: Timestamp::default(),
        ctime: Timestamp::default(),
        mode: 0o40_755,
        dev: 0,
        version: 0,
        owner: None,
    }
}

/// Where an entry stands in the order of keys: a directory is the beginning of what lies in it.
pub(super) fn place(entry: &Entry) -> Cow<'_, [u8]> {
    match entry.stat.kind {
        EntryKind::Directory => [entry.name.as_slice(), b"/"].concat().into(),
        _ => entry.name.as_slice().into(),
    }
}

/// Most objects that are held back at the end of a page. Each is the beginning of the next, so there is mostly one.
const MAX_HELD: usize = 16;

/// A page of one prefix on its way to a listing.
#[derive(Debug)]
pub(super) struct Collected {
    /// Of the prefix, with the bucket, for messages.
    directory: PathBuf,
    listing: Listing,
    /// Least and greatest name, in the order of keys, of what the server told.
    pub(super) range: Option<(String, String)>,
}

impl Collected {
    pub(super) fn new(directory: PathBuf, seen_at: Timestamp) -> Self {
        Collected {
            directory,
            listing: Listing {
                entries: Vec::new(),
                vanished: Vec::new(),
                errors: Vec::new(),
                directory: directory_stat(),
                seen_at,
            },
            range: None,
        }
    }

    /// Adds an object; `name` is its key without the prefix.
    pub(super) fn object(&mut self, name: &str, object: &Object) {
        self.widen(name);
        match name {
            // What consoles make for an empty folder: the prefix itself, which is a collection.
            "" if object.size == 0 => {}
            "" => self.unusable("/", "it is the folder of that name and has content"),
            name => self.entry(name, object.stat()),
        }
    }

    /// Adds what lies further down; `name` is the common prefix without this one's and with its slash.
    pub(super) fn prefix(&mut self, name: &str) {
        self.widen(name);
        match name.strip_suffix('/').unwrap_or(name) {
            "" => self.unusable("/", "an element of the keys below is empty"),
            name => self.entry(name, directory_stat()),
        }
    }

    fn widen(&mut self, name: &str) {
        match &mut self.range {
            None => self.range = Some((name.to_owned(), name.to_owned())),
            Some((first, _)) if name < first.as_str() => name.clone_into(first),
            Some((_, last)) if name > last.as_str() => name.clone_into(last),
            Some(_) => {}
        }
    }

    fn entry(&mut self, name: &str, stat: Stat) {
        match name {
            "." | ".." => self.unusable(name, "no path in a zone has such an element"),
            _ if name.contains('\0') => self.unusable(name, "its name has a NUL character"),
            _ => self.listing.entries.push(Entry {
                name: BString::from(name),
                stat,
            }),
        }
    }

    fn unusable(&mut self, name: &str, why: &'static str) {
        let path = key_path(&self.directory, name);
        let error = SourceError::UnusableKey { path, why };
        self.listing.errors.push((BString::from(name), error));
    }

    /// The page, in the order of keys, with what was held back before it; and what is held back now, if more is to come.
    pub(super) fn finish(
        mut self,
        held: Vec<(String, Stat)>,
        more: bool,
    ) -> (Listing, Vec<(String, Stat)>) {
        let mut entries = std::mem::take(&mut self.listing.entries);
        entries.extend(held.into_iter().map(|(name, stat)| Entry {
            name: BString::from(name),
            stat,
        }));
        entries.sort_by_cached_key(|entry| place(entry).into_owned());
        let is_directory = |entry: &Entry| entry.stat.kind == EntryKind::Directory;
        let directories: HashSet<BString> = entries
            .iter()
            .filter(|entry| is_directory(entry))
            .map(|entry| entry.name.clone())
            .collect();
        let last = self.range.as_ref().map(|(_, last)| last.clone());
        let mut held = Vec::new();
        for entry in entries {
            let name = entry.name.to_string();
            if is_directory(&entry) {
                self.listing.entries.push(entry);
            } else if directories.contains(&entry.name) {
                self.unusable(&name, "other keys go on where it ends: they are its folder");
            } else if !(more && last.as_deref() < Some(format!("{name}/").as_str())) {
                self.listing.entries.push(entry);
            } else if held.len() < MAX_HELD {
                held.push((name, entry.stat));
            } else {
                self.unusable(&name, "too many keys are beginnings of each other");
            }
        }
        self.listing.errors.sort_by(|a, b| a.0.cmp(&b.0));
        (self.listing, held)
    }
}

/// A directory and a name that may be no element of a path, as text for a message.
fn key_path(directory: &Path, name: &str) -> PathBuf {
    let mut text = directory.as_os_str().to_owned();
    text.push("/");
    text.push(name.trim_end_matches('/'));
    PathBuf::from(text)
}

/// Undoes the URL encoding of a listing that was asked for with it, the only form in which every key is valid XML.
/// `None` if it is not what such an encoding makes.
pub(super) fn url_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                let digit = |c: &u8| char::from(*c).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                bytes.push(u8::try_from(byte).ok()?);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bstr::ByteSlice;

    use super::*;

    fn object(size: u64) -> Object {
        Object {
            size,
            modified: 1_700_000_000,
            etag: Some("\"abc\"".to_owned()),
        }
    }

    fn listed(objects: &[(&str, u64)], prefixes: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut collected = Collected::new("/b/p".into(), Timestamp::default());
        for (name, size) in objects {
            collected.object(name, &object(*size));
        }
        for prefix in prefixes {
            collected.prefix(prefix);
        }
        let (listing, held) = collected.finish(Vec::new(), false);
        assert!(held.is_empty());
        let kind = |entry: &Entry| match entry.stat.kind {
            EntryKind::Directory => "/",
            _ => "",
        };
        (
            listing
                .entries
                .iter()
                .map(|entry| format!("{}{}", entry.name, kind(entry)))
                .collect(),
            listing.errors.iter().map(|e| e.1.to_string()).collect(),
        )
    }

    #[test]
    fn a_page_becomes_entries_in_order_of_keys() {
        let (entries, errors) = listed(&[("", 0), ("a-b", 1), (" &<>'\"\n", 2)], &["a/", "é/"]);
        assert_eq!(entries, [" &<>'\"\n", "a-b", "a/", "é/"]);
        assert!(errors.is_empty());
    }

    #[test]
    fn what_no_path_can_say_is_told_with_its_place() {
        let (entries, errors) = listed(
            &[("", 3), (".", 1), ("x\0y", 1), ("both", 1), ("ok", 1)],
            &["/", "../", "both/"],
        );
        assert_eq!(entries, ["both/", "ok"]);
        let begins = |text: &str| errors.iter().filter(|e| e.contains(text)).count();
        assert_eq!(errors.len(), 6, "{errors:?}");
        assert_eq!(begins("/b/p/both"), 1);
        assert_eq!(begins("/b/p/.."), 1);
        assert_eq!(begins("has content"), 1);
        assert_eq!(begins("is empty"), 1);
    }

    #[test]
    fn an_object_is_held_back_while_its_folder_may_follow() {
        let page = |objects: &[&str], prefixes: &[&str], held, more| {
            let mut page = Collected::new("/b/p".into(), Timestamp::default());
            objects
                .iter()
                .for_each(|name| page.object(name, &object(1)));
            prefixes.iter().for_each(|name| page.prefix(name));
            let (listing, held) = page.finish(held, more);
            let names = |names: Vec<&str>| names.join(" ");
            let told = listing.entries.iter().map(|e| e.name.to_str().unwrap());
            (names(told.collect()), listing.errors.len(), held)
        };
        let (told, errors, held) = page(&["a", "b", "b!", "b!x"], &[], Vec::new(), true);
        // `b!/` would have come by now, `b/` may still.
        assert_eq!((&*told, errors), ("a b!", 0));
        let names: Vec<&str> = held.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "b!x"]);
        let (told, errors, held) = page(&["b-1"], &[], held, true);
        assert_eq!((&*told, errors), ("b!x", 0));
        assert_eq!(held.len(), 2);
        let (told, errors, held) = page(&["c"], &["b/"], held, false);
        assert_eq!((&*told, errors, held.len()), ("b-1 b c", 1, 0));
        // Nothing follows.
        let (told, errors, held) = page(&["z"], &[], Vec::new(), false);
        assert_eq!((&*told, errors, held.len()), ("z", 0, 0));
        let many: Vec<String> = (1..30).map(|length| "!".repeat(length)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (told, errors, held) = page(&many, &[], Vec::new(), true);
        assert_eq!((&*told, errors, held.len()), ("", 29 - MAX_HELD, MAX_HELD));
    }

    #[test]
    fn etags_with_and_without_quotes_are_one_version() {
        let bare = Object {
            etag: Some("abc".into()),
            ..object(1)
        };
        let none = Object {
            etag: None,
            ..object(1)
        };
        assert_eq!(bare.stat(), object(1).stat());
        assert_ne!(bare.stat().version, 0);
        assert_eq!(none.stat().version, 0);
    }

    #[test]
    fn url_encoding_is_undone() {
        for (encoded, plain) in [
            ("a/b", "a/b"),
            ("a+b%2Bc", "a b+c"),
            ("%C3%A9%0A%00", "é\n\0"),
            ("", ""),
        ] {
            assert_eq!(url_decoded(encoded).as_deref(), Some(plain));
        }
        for bad in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(url_decoded(bad), None, "{bad}");
        }
    }
}
