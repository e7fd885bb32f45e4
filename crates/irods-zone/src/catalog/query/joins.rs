//! The FROM clause: the fewest joins that connect the tables of a query.

use super::super::error::{CatalogError, Result, code};
use super::attributes::{KEYS, LINKS, Link, Place, table_of};

/// A table of the FROM clause.
pub(super) struct Joined {
    /// Alias.
    pub alias: &'static str,
    /// Name in the schema.
    pub name: &'static str,
    /// How it joins those before it.
    pub on: Option<&'static Link>,
}

/// Finds the shortest joins that connect all tables.
pub(super) fn join(wanted: &[&'static str]) -> Result<Vec<Joined>> {
    let mut from: Vec<Joined> = Vec::new();
    for alias in wanted {
        if from.iter().any(|joined| joined.alias == *alias) {
            continue;
        }
        if from.is_empty() {
            from.push(joined(alias, None)?);
            continue;
        }
        let path = path_to(&from, alias).ok_or_else(|| {
            CatalogError::new(
                code::CAT_FAILED_TO_LINK_TABLES,
                "the columns have nothing in common",
            )
        })?;
        for (alias, on) in path {
            from.push(joined(alias, Some(on))?);
        }
    }
    Ok(from)
}

fn joined(alias: &'static str, on: Option<&'static Link>) -> Result<Joined> {
    let table = table_of(alias)
        .ok_or_else(|| CatalogError::new(code::CAT_UNKNOWN_TABLE, format!("no table {alias}")))?;
    Ok(Joined {
        alias: table.alias,
        name: table.name,
        on,
    })
}

/// True if rows that agree in the known columns are one row, so that none can appear twice.
///
/// A table is settled once one of its keys is known; then all its columns are known, and what they
/// are equal to in the tables that join it.
pub(super) fn one_row_each(from: &[Joined], known: &[Place]) -> bool {
    let mut known = known.to_vec();
    let mut settled: Vec<&str> = Vec::new();
    loop {
        let before = (settled.len(), known.len());
        for joined in from
            .iter()
            .filter(|j| !settled.contains(&j.alias))
            .collect::<Vec<_>>()
        {
            let has_key = KEYS
                .iter()
                .filter(|(table, _)| *table == joined.name)
                .any(|(_, key)| {
                    key.iter()
                        .all(|column| known.contains(&(joined.alias, *column)))
                });
            if has_key {
                settled.push(joined.alias);
            }
        }
        for link in from.iter().filter_map(|joined| joined.on) {
            for (here, there) in [(link.a, link.b), (link.b, link.a)] {
                let is_known = settled.contains(&here.0) || known.contains(&here);
                if is_known && !known.contains(&there) {
                    known.push(there);
                }
            }
        }
        if settled.len() == from.len() {
            return true;
        }
        if before == (settled.len(), known.len()) {
            return false;
        }
    }
}

/// Breadth first from all tables that are in already.
fn path_to(from: &[Joined], target: &'static str) -> Option<Vec<(&'static str, &'static Link)>> {
    // Reached tables, each with the index of where it was reached from and the joining condition.
    let mut reached: Vec<(&'static str, Option<(usize, &'static Link)>)> =
        from.iter().map(|joined| (joined.alias, None)).collect();
    let mut next = 0;
    while let Some(&(here, origin)) = reached.get(next) {
        let passable = origin.is_none() || table_of(here).is_some_and(|table| !table.ends);
        if passable {
            for link in LINKS {
                let there = match (link.a.0 == here, link.b.0 == here) {
                    (true, _) => link.b.0,
                    (_, true) => link.a.0,
                    _ => continue,
                };
                if reached.iter().any(|(alias, _)| *alias == there) {
                    continue;
                }
                reached.push((there, Some((next, link))));
                if there == target {
                    return Some(way_back(&reached));
                }
            }
        }
        next += 1;
    }
    None
}

/// The way to the table reached last, in the order in which its tables have to be joined.
fn way_back(
    reached: &[(&'static str, Option<(usize, &'static Link)>)],
) -> Vec<(&'static str, &'static Link)> {
    let mut path = Vec::new();
    let mut at = reached.last();
    while let Some((alias, Some((origin, on)))) = at {
        path.push((*alias, *on));
        at = reached.get(*origin);
    }
    path.reverse();
    path
}
