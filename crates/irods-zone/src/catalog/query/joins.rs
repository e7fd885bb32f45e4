//! The FROM clause: the fewest joins that connect the tables of a query.

use super::super::error::{CatalogError, Result, code};
use super::attributes::{LINKS, table_of};

/// A table of the FROM clause.
pub(super) struct Joined {
    /// Alias.
    pub alias: &'static str,
    /// Name in the schema.
    pub name: &'static str,
    /// How it joins those before it.
    pub on: Option<&'static str>,
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

fn joined(alias: &'static str, on: Option<&'static str>) -> Result<Joined> {
    let table = table_of(alias)
        .ok_or_else(|| CatalogError::new(code::CAT_UNKNOWN_TABLE, format!("no table {alias}")))?;
    Ok(Joined {
        alias: table.alias,
        name: table.name,
        on,
    })
}

/// Breadth first from all tables that are in already.
fn path_to(from: &[Joined], target: &'static str) -> Option<Vec<(&'static str, &'static str)>> {
    // Reached tables, each with the index of where it was reached from and the joining condition.
    let mut reached: Vec<(&'static str, Option<(usize, &'static str)>)> =
        from.iter().map(|joined| (joined.alias, None)).collect();
    let mut next = 0;
    while let Some(&(here, origin)) = reached.get(next) {
        let passable = origin.is_none() || table_of(here).is_some_and(|table| !table.ends);
        if passable {
            for link in LINKS {
                let there = match (link.a == here, link.b == here) {
                    (true, _) => link.b,
                    (_, true) => link.a,
                    _ => continue,
                };
                if reached.iter().any(|(alias, _)| *alias == there) {
                    continue;
                }
                reached.push((there, Some((next, link.on))));
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
    reached: &[(&'static str, Option<(usize, &'static str)>)],
) -> Vec<(&'static str, &'static str)> {
    let mut path = Vec::new();
    let mut at = reached.last();
    while let Some((alias, Some((origin, on)))) = at {
        path.push((*alias, *on));
        at = reached.get(*origin);
    }
    path.reverse();
    path
}
