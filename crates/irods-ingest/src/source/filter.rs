//! Exclusions: `--exclude_file_type`, `--exclude_file_name`, `--exclude_directory_name`.
//!
//! An expression is matched against the whole absolute path: anchored at its beginning and not at its end, as
//! Python's `re.match` does, so users write `.*/name$`; or anywhere in it, as `re.search` does ([`Matching`]). It is Python's syntax, as far as a linear-time engine goes: look-around,
//! back-references, conditionals and possessive forms are refused with one clear error. A byte of the path that is not
//! UTF-8 counts as one character (U+FFFD), as in Python it counts as one surrogate.
//!
//! Differences that remain: `$` matches at the very end only, not also before a final newline.

use std::borrow::Cow;

use bstr::ByteSlice;
use regex::Regex;

use serde::{Deserialize, Serialize};

use super::EntryKind;

/// Where in the absolute path an expression must match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// From its beginning on.
    #[default]
    Start,
    /// Anywhere.
    Search,
}

impl Matching {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Start, Self::Search];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Search => "search",
        }
    }
}

/// Which entries of a source are left out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    kinds: Vec<EntryKind>,
    file_names: Vec<Regex>,
    directory_names: Vec<Regex>,
    matching: Matching,
}

/// An exclusion that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word that names no file type.
    #[error("unknown file type `{word}` in --exclude_file_type; accepted are {accepted}")]
    UnknownType {
        /// The word.
        word: String,
        /// The words there are.
        accepted: String,
    },
    /// An expression that is wrong, or that only Python understands.
    #[error("cannot use `{pattern}` as {flag}: {reason}")]
    BadPattern {
        /// The flag that it was given to.
        flag: &'static str,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Filter {
    /// From the values of the three flags. `types` is a comma-separated list, items trimmed; the word `none` and empty items
    /// exclude nothing.
    pub fn new(
        types: &str,
        file_names: &[impl AsRef<str>],
        directory_names: &[impl AsRef<str>],
    ) -> Result<Self, FilterError> {
        Ok(Self {
            kinds: parse_types(types)?,
            file_names: compile("--exclude_file_name", file_names)?,
            directory_names: compile("--exclude_directory_name", directory_names)?,
            matching: Matching::default(),
        })
    }

    /// The same with expressions that must match there.
    pub fn matching(self, matching: Matching) -> Self {
        Self { matching, ..self }
    }

    /// Nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.file_names.is_empty() && self.directory_names.is_empty()
    }

    /// Whether the entry of that kind at that absolute path is left out.
    pub fn excludes(&self, absolute: &[u8], kind: EntryKind) -> bool {
        if self.kinds.contains(&kind) {
            return true;
        }
        let patterns = match kind {
            EntryKind::Directory => &self.directory_names,
            _ => &self.file_names,
        };
        if patterns.is_empty() {
            return false;
        }
        let text = as_text(absolute);
        let matches = |pattern: &Regex| match self.matching {
            Matching::Start => matches_start(pattern, &text),
            Matching::Search => pattern.is_match(&text),
        };
        patterns.iter().any(matches)
    }
}

/// The leftmost match begins at 0 exactly if any match does.
fn matches_start(pattern: &Regex, text: &str) -> bool {
    pattern.find(text).is_some_and(|found| found.start() == 0)
}

fn as_text(path: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = path.to_str() {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(path.len() + 8);
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

fn parse_types(types: &str) -> Result<Vec<EntryKind>, FilterError> {
    let mut kinds = Vec::new();
    for word in types.split(',').map(str::trim) {
        if matches!(word, "" | "none") {
            continue;
        }
        match EntryKind::ALL.into_iter().find(|kind| kind.word() == word) {
            Some(kind) => kinds.push(kind),
            None => {
                return Err(FilterError::UnknownType {
                    word: word.to_owned(),
                    accepted: EntryKind::ALL.map(EntryKind::word).join(", "),
                });
            }
        }
    }
    Ok(kinds)
}

fn compile(flag: &'static str, patterns: &[impl AsRef<str>]) -> Result<Vec<Regex>, FilterError> {
    let one = |pattern: &str| {
        let bad = |reason: String| FilterError::BadPattern {
            flag,
            pattern: pattern.to_owned(),
            reason,
        };
        let translated = from_python(pattern).map_err(bad)?;
        Regex::new(&translated).map_err(|error| bad(last_line(&error.to_string())))
    };
    patterns
        .iter()
        .map(|pattern| one(pattern.as_ref()))
        .collect()
}

/// The engine's errors draw the pattern first; the reason is their last line.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Python's syntax as ours, where the same text means something else: `\Z` is our `\z`; a brace that is no repetition is
/// itself; a set knows no nested sets and no operators. (Python itself warns of these, since it may give them a meaning.)
fn from_python(pattern: &str) -> Result<String, String> {
    let mut translated = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars();
    // Number of characters of the set that were read, if in a set.
    let mut set: Option<usize> = None;
    while let Some(char) = rest.next() {
        match (char, set) {
            ('\\', _) => {
                match rest.next() {
                    Some('Z') if set.is_none() => translated.push_str(r"\z"),
                    Some(next) => translated.extend(['\\', next]),
                    None => translated.push('\\'),
                }
                set = set.map(|read| read + 1);
                continue;
            }
            ('[', None) => {
                translated.push('[');
                if let Some(after) = rest.as_str().strip_prefix('^') {
                    translated.push('^');
                    rest = after.chars();
                }
                set = Some(0);
                continue;
            }
            ('{', None) => match repetition(rest.as_str()) {
                Some(counts) if counts.starts_with(',') => translated.push_str("{0"),
                Some(_) => translated.push('{'),
                None => translated.push_str(r"\{"),
            },
            (']', Some(read)) if read > 0 => {
                set = None;
                translated.push(']');
            }
            ('[', Some(_)) => translated.push_str(r"\["),
            ('&' | '-' | '~', Some(_)) if rest.as_str().starts_with(char) => {
                return Err(format!(
                    "`{char}{char}` in a set: put a backslash before each"
                ));
            }
            _ => translated.push(char),
        }
        set = set.map(|read| read + 1);
    }
    Ok(translated)
}

/// The inside of a repetition, such as `2`, `2,`, `,3`, `2,3` or `,`, if that and a closing brace come next.
fn repetition(rest: &str) -> Option<&str> {
    let (counts, _) = rest.split_once('}')?;
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!counts.is_empty() && digits(least) && digits(most)).then_some(counts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const NONE: &[&str] = &[];

    fn files(patterns: &[&str]) -> Filter {
        Filter::new("none", patterns, NONE).unwrap()
    }

    fn hits(pattern: &str, path: &[u8]) -> bool {
        files(&[pattern]).excludes(path, EntryKind::Regular)
    }

    #[test]
    fn file_types_are_words_separated_by_commas() {
        for kind in EntryKind::ALL {
            let filter = Filter::new(kind.word(), NONE, NONE).unwrap();
            for other in EntryKind::ALL {
                assert_eq!(filter.excludes(b"/a", other), other == kind);
            }
        }
        let filter = Filter::new(" pipe , socket,", NONE, NONE).unwrap();
        assert!(filter.excludes(b"/a", EntryKind::Fifo));
        assert!(filter.excludes(b"/a", EntryKind::Socket));
        assert!(!filter.excludes(b"/a", EntryKind::Regular));
        assert!(Filter::new("none", NONE, NONE).unwrap().is_empty());
        let error = Filter::new("pipe,fifo", NONE, NONE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown file type `fifo` in --exclude_file_type; accepted are regular, directory, link, socket, pipe, character, block"
        );
    }

    #[test]
    fn patterns_are_anchored_at_the_start_and_not_at_the_end() {
        assert!(hits("/data/a", b"/data/a"));
        assert!(hits("/data/a", b"/data/abc"));
        assert!(!hits("data/a", b"/data/a"));
        assert!(!hits("a$", b"/data/a"));
        assert!(hits(".*/a$", b"/data/a"));
        assert!(!hits(".*/a$", b"/data/ab"));
        assert!(hits("x|/data", b"/data/a"));
        assert!(!hits("x|data", b"/data/a"));
        assert!(hits("(?i)/DATA", b"/data/a"));
        assert!(hits("(?x) /data  # where it lies", b"/data/a"));
        assert!(!hits(".*b", b"/a\nb"), "a dot matches no newline");
        assert!(hits("(?s).*b", b"/a\nb"));
        // What an un-given flag is carried as in job descriptions of old matches no absolute path.
        assert!(!hits("none", b"/none") && !hits("n", b"/n"));
    }

    #[test]
    fn patterns_may_be_searched_for_anywhere() {
        let search = |pattern: &str, path: &[u8]| {
            let filter = files(&[pattern]).matching(Matching::Search);
            filter.excludes(path, EntryKind::Regular)
        };
        assert!(search("tmp", b"/data/tmp/a"));
        assert!(search(r"\.tmp$", b"/data/a.tmp"));
        assert!(!search(r"\.tmp$", b"/data/a.tmp/b"));
        assert!(search("^/data", b"/data/a") && !search("^data", b"/data/a"));
        assert!(search(r"/\.[^/]*$", b"/a/.hidden") && !search(r"/\.[^/]*$", b"/.a/b"));
        let filter = Filter::new("none", NONE, &["cache"]).unwrap();
        assert!(!filter.excludes(b"/a/cache", EntryKind::Directory));
        let filter = filter.matching(Matching::Search);
        assert!(filter.excludes(b"/a/cache", EntryKind::Directory));
        assert!(!filter.excludes(b"/a/cache", EntryKind::Regular));
    }

    #[test]
    fn files_and_directories_have_their_own_patterns() {
        let filter = Filter::new("none", &[".*/x$"], &[".*/y$"]).unwrap();
        assert!(filter.excludes(b"/x", EntryKind::Regular));
        assert!(filter.excludes(b"/x", EntryKind::Symlink));
        assert!(!filter.excludes(b"/x", EntryKind::Directory));
        assert!(filter.excludes(b"/y", EntryKind::Directory));
        assert!(!filter.excludes(b"/y", EntryKind::Fifo));
        assert!(!Filter::new("none", &["x"], NONE).unwrap().is_empty());
        assert!(!Filter::new("none", NONE, &["x"]).unwrap().is_empty());
        assert!(!Filter::new("link", NONE, NONE).unwrap().is_empty());
    }

    #[test]
    fn names_that_are_not_utf8_match_byte_for_character() {
        assert!(hits(r".*/bad..\.txt$", b"/a/bad\xff\xe1.txt"));
        assert!(!hits(r".*/bad.\.txt$", b"/a/bad\xff\xe1.txt"));
        assert!(hits(".*/é.$", b"/a/\xc3\xa9\xff"));
    }

    #[test]
    fn python_spellings_keep_their_meaning() {
        assert!(hits(r".*/a\Z", b"/a"));
        assert!(!hits(r".*/a\Z", b"/ab"));
        assert!(hits(r".*\\Z", br"/\Z"));
        assert!(hits(r"/[[]a", b"/[a"));
        assert!(hits(r"/[^[]a", b"/xa"));
        assert!(hits(r"/[]x]a", b"/]a"));
        assert!(hits(r"/[][]a", b"/[a"));
        assert!(hits(r"/[\]]a", b"/]a"));
        assert!(hits(r"/[a-c&]x", b"/&x"));
        assert!(hits(r"(?P<n>/a)", b"/a"));
        assert!(hits(r"/{a}{b", b"/{a}{b"));
        assert!(hits(r"/{}{1x}", b"/{}{1x}"));
        assert!(hits(r"/a{2}$", b"/aa"));
        assert!(hits(r"/a{,2}$", b"/a") && !hits(r"/a{,2}$", b"/aaa"));
        assert!(hits(r"/a{,}$", b"/aaa"));
        assert!(hits(r"/[{]a", b"/{a"));
    }

    #[test]
    fn what_only_python_understands_is_refused_clearly() {
        for pattern in [
            "(?=a)", "(?!a)", "(?<!a)b", r"(a)\1", "(?P=a)", "[a--b]", "[a&&b]", "(", "*",
        ] {
            let error = Filter::new("none", &[pattern], NONE)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!("cannot use `{pattern}` as --exclude_file_name: ")),
                "{error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
