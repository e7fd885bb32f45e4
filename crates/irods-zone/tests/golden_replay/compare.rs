//! Whether two replies say the same up to ids, times, hosts, vault paths, releases and tokens.

use crate::render::{Leaf, Rendered};
use crate::translate::{Names, Places};

/// A value that differs. One of the two is empty where a side has nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub field: String,
    pub recorded: String,
    pub ours: String,
}

/// Compares, and learns which of our ids and tokens belong to which recorded ones.
pub fn compare(
    recorded: &Rendered,
    ours: &Rendered,
    places: &Places,
    names: &mut Names,
) -> Vec<Difference> {
    let mut differences = leaves(&recorded.leaves, &ours.leaves, places, names);
    let sorted = |rows: &[Vec<Leaf>]| {
        let mut rows = rows.to_vec();
        rows.sort_by_cached_key(|row| {
            let key = |leaf: &Leaf| masked(&leaf.field, &places.to_there(&leaf.value));
            row.iter().map(key).collect::<Vec<_>>()
        });
        rows
    };
    let (there, here) = (sorted(&recorded.rows), sorted(&ours.rows));
    if there.len() == here.len() {
        for (there, here) in there.iter().zip(&here) {
            differences.extend(leaves(there, here, places, names));
        }
    } else {
        rows_on_one_side(&there, &here, places, names, &mut differences);
    }
    differences
}

/// Rows without a counterpart; those with one are compared, so that ids are learnt.
fn rows_on_one_side(
    there: &[Vec<Leaf>],
    here: &[Vec<Leaf>],
    places: &Places,
    names: &mut Names,
    differences: &mut Vec<Difference>,
) {
    let text = |row: &[Leaf]| {
        let cells = row
            .iter()
            .map(|leaf| masked(&leaf.field, &places.to_there(&leaf.value)));
        cells.collect::<Vec<_>>().join(" | ")
    };
    let mut left: Vec<&Vec<Leaf>> = here.iter().collect();
    for row in there {
        if let Some(at) = left.iter().position(|ours| text(ours) == text(row)) {
            let ours = left.remove(at);
            differences.extend(leaves(row, ours, places, names));
        } else {
            differences.push(Difference {
                field: "row".into(),
                recorded: text(row),
                ours: String::new(),
            });
        }
    }
    differences.extend(left.into_iter().map(|row| Difference {
        field: "row".into(),
        recorded: String::new(),
        ours: text(row),
    }));
}

fn leaves(there: &[Leaf], here: &[Leaf], places: &Places, names: &mut Names) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut left: Vec<&Leaf> = here.iter().collect();
    for leaf in there {
        let Some(at) = left.iter().position(|ours| ours.field == leaf.field) else {
            differences.push(Difference {
                field: leaf.field.clone(),
                recorded: leaf.value.clone(),
                ours: String::new(),
            });
            continue;
        };
        let ours = left.remove(at);
        if !same(
            &leaf.field,
            &leaf.value,
            &places.to_there(&ours.value),
            names,
        ) {
            differences.push(Difference {
                field: leaf.field.clone(),
                recorded: leaf.value.clone(),
                ours: places.to_there(&ours.value),
            });
        }
    }
    differences.extend(left.into_iter().map(|leaf| Difference {
        field: leaf.field.clone(),
        recorded: String::new(),
        ours: places.to_there(&leaf.value),
    }));
    differences
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Id,
    Time,
    Token,
    Host,
    Release,
    Secret,
    Exact,
}

fn sort(field: &str) -> Sort {
    let last = field.rsplit(['.']).next().unwrap_or(field);
    match last {
        "data_id" | "coll_id" | "resc_id" | "collection_id" | "resource_id" | "COLL_ID"
        | "RESC_PARENT" | "reg_uid" => Sort::Id,
        "replica_token" => Sort::Token,
        "request_result" | "digest" | "string_to_hash_with" => Sort::Secret,
        "server_boot_time" => Sort::Time,
        "rel_version" => Sort::Release,
        "RESC_LOC" | "host" | "host_addr" => Sort::Host,
        _ if last.ends_with("_ID") => Sort::Id,
        _ if last.ends_with("_time")
            || last.ends_with("_TIME")
            || last.contains("modify")
            || last.contains("create")
            || last.contains("EXPIRY") =>
        {
            Sort::Time
        }
        _ => Sort::Exact,
    }
}

fn is_id(text: &str) -> bool {
    text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

/// A time that no client chose: between the recording (or its server's set-up) and the far future.
fn is_recent(text: &str) -> bool {
    text.parse::<u64>()
        .is_ok_and(|time| time > 1_700_000_000 && time < 4_000_000_000)
}

/// The value where it must be the same, its kind where it may differ.
fn masked(field: &str, value: &str) -> String {
    match sort(field) {
        Sort::Id if is_id(value) => "<id>".into(),
        Sort::Time if is_recent(value) => "<time>".into(),
        Sort::Host => "<host>".into(),
        _ => value.to_owned(),
    }
}

fn same(field: &str, there: &str, here: &str, names: &mut Names) -> bool {
    match sort(field) {
        Sort::Id if is_id(there) && is_id(here) => learn(there, here, names),
        Sort::Token if !there.is_empty() && !here.is_empty() => learn(there, here, names),
        Sort::Time => there == here || (is_recent(there) && is_recent(here)),
        Sort::Host | Sort::Secret | Sort::Release => there.is_empty() == here.is_empty(),
        _ => there == here,
    }
}

/// One recorded name has one name here.
fn learn(there: &str, here: &str, names: &mut Names) -> bool {
    let known = names
        .words
        .entry(there.to_owned())
        .or_insert_with(|| here.to_owned());
    known == here
}
