//! Which paths a rule is for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::Regex;

use super::Pattern;

/// A pattern ready for use.
#[derive(Debug)]
pub(super) enum Matcher {
    All,
    Globs {
        /// Of names.
        names: GlobSet,
        /// Of whole paths.
        paths: GlobSet,
    },
    Regex(Regex),
}

/// Named groups of an expression and what they hold.
pub(super) type Captures<'a> = Vec<(String, &'a [u8])>;

impl Matcher {
    pub(super) fn new(pattern: &Pattern) -> Result<Self, String> {
        match pattern {
            Pattern::All => Ok(Self::All),
            Pattern::Globs(globs) => {
                let mut names = GlobSetBuilder::new();
                let mut paths = GlobSetBuilder::new();
                for text in globs {
                    if text.is_empty() || text.starts_with('/') || text.ends_with('/') {
                        return Err(format!(
                            "glob `{text}`: a name, or a path relative to the source, is expected"
                        ));
                    }
                    let glob = GlobBuilder::new(text)
                        .literal_separator(true)
                        .backslash_escape(true)
                        .build()
                        .map_err(|error| format!("glob `{text}`: {}", error.kind()))?;
                    match text.contains('/') {
                        true => paths.add(glob),
                        false => names.add(glob),
                    };
                }
                let build = |set: GlobSetBuilder| set.build().map_err(|error| error.to_string());
                Ok(Self::Globs {
                    names: build(names)?,
                    paths: build(paths)?,
                })
            }
            Pattern::Regex(text) => {
                // By itself first, so that an error speaks of what was written.
                Regex::new(text)
                    .and_then(|_| Regex::new(&format!(r"\A(?:{text})\z")))
                    .map(Self::Regex)
                    .map_err(|error| {
                        let message = error.to_string();
                        let reason = message.lines().last().unwrap_or_default();
                        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                        format!("regex `{text}`: {reason}")
                    })
            }
        }
    }

    /// Names of the groups that templates may use.
    pub(super) fn captures(&self) -> Vec<&str> {
        match self {
            Self::Regex(regex) => regex.capture_names().flatten().collect(),
            _ => Vec::new(),
        }
    }

    /// What the groups hold, if the path matches.
    pub(super) fn matches<'a>(&self, path: &'a [u8]) -> Option<Captures<'a>> {
        match self {
            Self::All => Some(Vec::new()),
            Self::Globs { names, paths } => {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
                let as_path = |bytes: &'a [u8]| Path::new(OsStr::from_bytes(bytes));
                let found = names.is_match(as_path(name)) || paths.is_match(as_path(path));
                found.then(Vec::new)
            }
            Self::Regex(regex) => {
                let captures = regex.captures(path)?;
                let group = |name: &str| {
                    let held = captures.name(name).map_or(&b""[..], |held| held.as_bytes());
                    (name.to_owned(), held)
                };
                Some(regex.capture_names().flatten().map(group).collect())
            }
        }
    }
}
