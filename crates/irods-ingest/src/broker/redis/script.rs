//! The Lua sources (`lua/`), and what of them one operation needs.
//!
//! A script defines its functions anew in every call, which costs Redis as much as a command each: all of them as much as the
//! operation itself. So each operation is a script of its own, with the functions that it names, and those that they name.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::broker::limits::{
    MAX_AHEAD, MAX_BEFORE, MAX_DEPTH, MAX_EVENTS, MAX_FAILURES, MAX_PAYLOAD,
};

/// In the order in which each may use what is before it.
const SOURCES: [&str; 9] = [
    include_str!("lua/base.lua"),
    include_str!("lua/tasks.lua"),
    include_str!("lua/passes.lua"),
    include_str!("lua/jobs.lua"),
    include_str!("lua/signatures.lua"),
    include_str!("lua/leases.lua"),
    include_str!("lua/ledger.lua"),
    include_str!("lua/complete.lua"),
    include_str!("lua/workers.lua"),
];

static PIECES: LazyLock<Vec<Piece>> = LazyLock::new(pieces);
static SCRIPTS: Mutex<BTreeMap<&str, Arc<Script>>> = Mutex::new(BTreeMap::new());

/// The script of an operation, and the hash by which Redis knows it.
pub(super) struct Script {
    pub(super) text: String,
    pub(super) hash: String,
}

/// The script of an operation, which is made when it is first wanted.
pub(super) fn script(operation: &'static str) -> Arc<Script> {
    let mut scripts = SCRIPTS.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let text = text(&PIECES, operation);
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Arc::new(Script { text, hash })
    };
    Arc::clone(scripts.entry(operation).or_insert_with(make))
}

/// A function that stands at the beginning of a line, or a line of what is outside of them.
enum Piece {
    Function {
        name: &'static str,
        lines: Vec<&'static str>,
    },
    Rest(&'static str),
}

fn pieces() -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = SOURCES.iter().flat_map(|source| source.lines());
    while let Some(line) = lines.next() {
        let named = line.trim_start_matches("local ").strip_prefix("function ");
        match named.and_then(|rest| rest.split('(').next()) {
            Some(name) => {
                let mut all = vec![line];
                for line in lines.by_ref() {
                    if !is_comment(line) {
                        all.push(line);
                    }
                    if line == "end" {
                        break;
                    }
                }
                pieces.push(Piece::Function { name, lines: all });
            }
            None if line.is_empty() || is_comment(line) => {}
            None => pieces.push(Piece::Rest(line)),
        }
    }
    pieces
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("--")
}

/// Whatever is used stands before what uses it, so one look from the end to the beginning finds all.
fn text(pieces: &[Piece], operation: &str) -> String {
    let operation = format!("ops.{operation}");
    let mut used: HashSet<&str> = HashSet::from([operation.as_str()]);
    let mut kept = vec!["return ops[ARGV[1]]()"];
    for piece in pieces.iter().rev() {
        match piece {
            Piece::Function { name, lines } if used.contains(name) => {
                let words = lines
                    .iter()
                    .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
                used.extend(words);
                kept.extend(lines.iter().rev());
            }
            Piece::Function { .. } => {}
            Piece::Rest(line) => kept.push(line),
        }
    }
    let limits = format!(
        "local MAX_DEPTH, MAX_EVENTS, MAX_FAILURES = {MAX_DEPTH}, {MAX_EVENTS}, {MAX_FAILURES}
local MAX_AHEAD, MAX_BEFORE, MAX_PAYLOAD = {MAX_AHEAD}, {MAX_BEFORE}, {MAX_PAYLOAD}"
    );
    kept.push(&limits);
    kept.reverse();
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_what_it_needs_and_no_more() {
        let pieces = pieces();
        let complete = text(&pieces, "complete");
        for needed in [
            "local function held(",
            "local function finish(",
            "function ops.complete(",
        ] {
            assert!(complete.contains(needed), "{needed}");
        }
        for other in ["local function view(", "function ops.lease(", "--"] {
            assert!(!complete.contains(other), "{other}");
        }
        assert!(!text(&pieces, "heartbeat").contains("local function settle("));
    }
}
