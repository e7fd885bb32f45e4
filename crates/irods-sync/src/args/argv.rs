//! What was typed, made ready for the parser: two liberties that users of the Python tool count on.
//!
//! 1. `--job-name` is `--job_name`. Only flags that exist are rewritten, so that an error shows what was typed.
//! 2. A flag that takes many values (`--exclude_file_name RE...`) does not swallow the positional arguments after it: where
//!    there are fewer than the command needs, the last values of the list are taken as these.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::Command;

/// How many values a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    None,
    One,
    Many,
}

/// The flags of a command, by the names that start with dashes, and the positional arguments it must have.
struct Shape {
    flags: BTreeMap<String, Takes>,
    positionals: usize,
}

impl Shape {
    fn of(command: &Command) -> Self {
        let mut flags = BTreeMap::new();
        for argument in command.get_arguments().filter(|a| !a.is_positional()) {
            let takes = match argument.get_num_args() {
                Some(range) if range.max_values() > 1 => Takes::Many,
                // Its value, if it has one, is in the same word.
                Some(range) if range.min_values() == 0 => Takes::None,
                _ if argument.get_action().takes_values() => Takes::One,
                _ => Takes::None,
            };
            let long = argument.get_long().map(|name| format!("--{name}"));
            let short = argument.get_short().map(|name| format!("-{name}"));
            let aliases = argument.get_visible_aliases().unwrap_or_default();
            let aliases = aliases.into_iter().map(|name| format!("--{name}"));
            let names = long.into_iter().chain(short).chain(aliases);
            flags.extend(names.map(|name| (name, takes)));
        }
        Shape {
            flags,
            positionals: command
                .get_positionals()
                .filter(|a| a.is_required_set())
                .count(),
        }
    }
}

/// Rewrites the arguments of the program, its own name included, for a parser of `command`.
pub fn normalise(
    mut command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    // Global flags are known to sub-commands only once the command is built.
    command.build();
    let mut shape = Shape::of(&command);
    let mut inside = &command;
    let mut arguments = arguments.into_iter();
    let mut before: Vec<OsString> = arguments.next().into_iter().collect();
    let mut words: Vec<OsString> = Vec::new();
    let mut value_due = false;
    for word in arguments {
        if std::mem::take(&mut value_due) {
            words.push(word);
            continue;
        }
        let word = underscored(&word, &shape);
        value_due = takes(&word, &shape) == Some(Takes::One);
        let command = word.to_str().and_then(|name| inside.find_subcommand(name));
        if let Some(command) = command {
            inside = command;
            shape = Shape::of(inside);
            before.append(&mut words);
            before.push(word);
        } else {
            words.push(word);
        }
    }
    before.extend(end_lists(words, &shape));
    before
}

/// `--a-b=c` as `--a_b=c`, if that is a flag.
fn underscored(word: &OsStr, shape: &Shape) -> OsString {
    let Some(text) = word.to_str().filter(|text| text.starts_with("--")) else {
        return word.to_owned();
    };
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let known = format!("--{}", name[2..].replace('-', "_"));
    match (shape.flags.contains_key(&known), value) {
        (false, _) => word.to_owned(),
        (true, None) => known.into(),
        (true, Some(value)) => format!("{known}={value}").into(),
    }
}

/// How many values follow this word, if it is a flag.
fn takes(word: &OsStr, shape: &Shape) -> Option<Takes> {
    let text = word.to_str()?;
    match text.starts_with('-') && text.len() > 1 {
        // With a value of its own (`--a=b`), or unknown: nothing follows that is known to belong to it.
        true => Some(shape.flags.get(text).copied().unwrap_or(Takes::None)),
        false => None,
    }
}

/// Moves the last values of many-valued flags to the end, behind `--`, where positional arguments are missing.
fn end_lists(words: Vec<OsString>, shape: &Shape) -> Vec<OsString> {
    // For each word: is it a plain one, and if so, the length of the list that it stands in.
    let mut positionals = 0;
    let mut lists: Vec<std::ops::Range<usize>> = Vec::new();
    let mut state = Takes::None;
    for (index, word) in words.iter().enumerate() {
        if word == "--" {
            // Whoever types this has ended the list.
            return words;
        }
        match (takes(word, shape), state) {
            (Some(next), _) => {
                state = next;
                if next == Takes::Many {
                    lists.push(index + 1..index + 1);
                }
            }
            (None, Takes::One) => state = Takes::None,
            (None, Takes::Many) => {
                if let Some(list) = lists.last_mut() {
                    list.end = index + 1;
                }
            }
            (None, Takes::None) => positionals += 1,
        }
    }
    let missing = shape.positionals.saturating_sub(positionals);
    let Some(list) = lists.into_iter().find(|list| list.len() > missing) else {
        return words;
    };
    // The positional arguments that were typed before the list stay before those that are taken from it.
    if missing == 0 {
        return words;
    }
    let mut rest = words;
    let taken: Vec<OsString> = rest.drain(list.end - missing..list.end).collect();
    rest.push("--".into());
    rest.extend(taken);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    fn normalised(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words = normalise(Cli::command(), words);
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        words.join(" ")
    }

    #[test]
    fn hyphens_become_underscores_in_known_flags_only() {
        for (typed, meant) in [
            ("p start a b --job-name x-y", "p start a b --job_name x-y"),
            ("p start a b --job-name=x-y", "p start a b --job_name=x-y"),
            ("p --log-level info list", "p --log_level info list"),
            ("p list --log-level info", "p list --log_level info"),
            ("p start a b --no-such-flag", "p start a b --no-such-flag"),
            (
                "p start a b --job_name --max-retries",
                "p start a b --job_name --max-retries",
            ),
        ] {
            assert_eq!(normalised(typed), meant);
        }
    }

    #[test]
    fn lists_leave_the_positionals() {
        for (typed, meant) in [
            (
                "p start --exclude_file_name r s a b",
                "p start --exclude_file_name r s -- a b",
            ),
            (
                "p start --exclude_file_name r a b --checksum",
                "p start --exclude_file_name r --checksum -- a b",
            ),
            (
                "p start a --exclude_file_name r b",
                "p start a --exclude_file_name r -- b",
            ),
            (
                "p start a b --exclude_file_name r s",
                "p start a b --exclude_file_name r s",
            ),
            (
                "p start --exclude_file_name r s -- a b",
                "p start --exclude_file_name r s -- a b",
            ),
            (
                "p start --job_name n --exclude_file_name r a b",
                "p start --job_name n --exclude_file_name r -- a b",
            ),
            (
                "p start --exclude_file_name a b",
                "p start --exclude_file_name a b",
            ),
        ] {
            assert_eq!(normalised(typed), meant);
        }
    }
}
