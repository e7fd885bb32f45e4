//! Which resource a new replica goes to, and which replica a call means.
//!
//! Hierarchies are chosen as a real server's vote would in a zone of one host (server source 4.3):
//! a leaf that is down has no vote, `random` draws among the rest, every other coordinator takes the
//! first. The replication that a `replication` resource adds afterwards is not done here.

use irods_protocol::codes;
use irods_protocol::keywords;
use irods_protocol::message::KeyValPair;
use rand::seq::SliceRandom;

use crate::catalog::data_objects::DataObject;
use crate::catalog::replicas::{Replica, Status};
use crate::catalog::resources::{self, Resource};
use crate::catalog::{CatalogError, Connection, Result};
use crate::zone::DEFAULT_RESOURCE;

/// The leaf for a new replica that a client creates.
///
/// # Errors
/// `SYS_RESC_DOES_NOT_EXIST`, `DIRECT_CHILD_ACCESS` for a child that is named without its hierarchy,
/// `HIERARCHY_ERROR` if no leaf is up (recorded exchange prc_resources).
pub(crate) fn for_new(conn: &Connection, wishes: &KeyValPair) -> Result<Resource> {
    if let Some(leaf) = by_hierarchy(conn, wishes)? {
        return Ok(leaf);
    }
    let name = [
        keywords::DEST_RESC_NAME,
        keywords::RESC_NAME,
        keywords::DEF_RESC_NAME,
    ]
    .iter()
    .find_map(|keyword| wishes.get(keyword).filter(|name| !name.is_empty()))
    .unwrap_or(DEFAULT_RESOURCE);
    below_root(conn, name)
}

/// The leaf for a file that is registered. Unlike [`for_new`], `destRescName` may name a leaf inside
/// a hierarchy (recorded exchange prc_resources).
///
/// # Errors
/// As [`for_new`].
pub(crate) fn for_registration(conn: &Connection, wishes: &KeyValPair) -> Result<Resource> {
    if let Some(name) = wishes
        .get(keywords::DEST_RESC_NAME)
        .filter(|name| !name.is_empty())
        && !wishes.has(keywords::RESC_HIER)
    {
        let resource = resources::get(conn, name)?;
        if resource.parent.is_some() {
            return if resource.stores() {
                Ok(resource)
            } else {
                Err(no_vote(name))
            };
        }
    }
    for_new(conn, wishes)
}

fn by_hierarchy(conn: &Connection, wishes: &KeyValPair) -> Result<Option<Resource>> {
    let leaf = match (
        wishes.get(keywords::RESC_HIER),
        wishes.get(keywords::LEAF_RESC_NAME),
    ) {
        (Some(hierarchy), _) if !hierarchy.is_empty() => resources::by_hierarchy(conn, hierarchy)?,
        (_, Some(leaf)) if !leaf.is_empty() => resources::get(conn, leaf)?,
        _ => return Ok(None),
    };
    if !leaf.stores() || leaf.is_down() {
        return Err(no_vote(&leaf.hierarchy));
    }
    Ok(Some(leaf))
}

fn below_root(conn: &Connection, name: &str) -> Result<Resource> {
    let root = resources::get(conn, name)?;
    if root.parent.is_some() {
        return Err(CatalogError::new(
            codes::DIRECT_CHILD_ACCESS,
            format!("{name} is part of {}", root.hierarchy),
        ));
    }
    vote(conn, root, 0)?.ok_or_else(|| no_vote(name))
}

/// Hierarchies deeper than this are taken for loops.
const MAX_DEPTH: usize = 64;

fn vote(conn: &Connection, resource: Resource, depth: usize) -> Result<Option<Resource>> {
    if resource.is_down() || depth > MAX_DEPTH {
        return Ok(None);
    }
    if resource.stores() {
        return Ok(Some(resource));
    }
    let mut children = resources::children(conn, resource.id)?;
    if resource.resc_type == "random" {
        children.shuffle(&mut rand::rng());
    }
    for child in children {
        if let Some(leaf) = vote(conn, child, depth + 1)? {
            return Ok(Some(leaf));
        }
    }
    Ok(None)
}

/// What an opening does to the replica that it chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Reads it.
    Reading,
    /// Writes it; with `token`, one that is in flight.
    Writing {
        /// A token was given.
        token: bool,
    },
}

/// The replica of an object that a call means, with its resource.
///
/// # Errors
/// `SYS_REPLICA_DOES_NOT_EXIST` for a number or hierarchy without replica, `SYS_REPLICA_INACCESSIBLE`
/// for a resource without one, `HIERARCHY_ERROR` if none can be used now (down, being written).
pub(crate) fn existing(
    conn: &Connection,
    object: &DataObject,
    wishes: &KeyValPair,
    purpose: For,
) -> Result<(Replica, Resource)> {
    let mut candidates = candidates(conn, object, wishes)?;
    candidates.retain(|(replica, resource)| !resource.is_down() && usable(replica, purpose));
    // Good ones first; the order is otherwise that of the numbers.
    candidates
        .sort_by_key(|(replica, _)| !matches!(replica.status, Status::Good | Status::Intermediate));
    candidates
        .into_iter()
        .next()
        .ok_or_else(|| no_vote(&object.path))
}

fn candidates(
    conn: &Connection,
    object: &DataObject,
    wishes: &KeyValPair,
) -> Result<Vec<(Replica, Resource)>> {
    let mut all = Vec::with_capacity(object.replicas.len());
    for replica in &object.replicas {
        all.push((replica.clone(), resources::by_id(conn, replica.resc_id)?));
    }
    let wish = |keyword| wishes.get(keyword).filter(|value: &&str| !value.is_empty());
    let missing = |code, what: &str| {
        CatalogError::new(code, format!("{} has no replica {what}", object.path))
    };
    if let Some(hierarchy) = wish(keywords::RESC_HIER) {
        all.retain(|(replica, _)| replica.resc_hier == hierarchy);
        if all.is_empty() {
            resources::by_hierarchy(conn, hierarchy)?;
            return Err(missing(codes::SYS_REPLICA_DOES_NOT_EXIST, hierarchy));
        }
    }
    if let Some(leaf) = wish(keywords::LEAF_RESC_NAME) {
        all.retain(|(replica, _)| replica.resc_name == leaf);
        if all.is_empty() {
            resources::get(conn, leaf)?;
            return Err(missing(codes::SYS_REPLICA_DOES_NOT_EXIST, leaf));
        }
    }
    if let Some(number) = wish(keywords::REPL_NUM) {
        let number: i64 = number.parse().map_err(|_| {
            CatalogError::new(codes::SYS_INVALID_INPUT_PARAM, "replNum is no number")
        })?;
        all.retain(|(replica, _)| replica.number == number);
        if all.is_empty() {
            return Err(missing(
                codes::SYS_REPLICA_DOES_NOT_EXIST,
                &number.to_string(),
            ));
        }
    }
    for (keyword, code) in [
        (keywords::RESC_NAME, codes::SYS_REPLICA_INACCESSIBLE),
        (keywords::DEST_RESC_NAME, codes::HIERARCHY_ERROR),
    ] {
        if let Some(name) = wish(keyword)
            && !wishes.has(keywords::RESC_HIER)
        {
            let root = resources::get(conn, name)?;
            if root.parent.is_some() {
                return Err(CatalogError::new(
                    codes::DIRECT_CHILD_ACCESS,
                    format!("{name} is part of {}", root.hierarchy),
                ));
            }
            all.retain(|(replica, _)| replica.resc_hier.split(';').next() == Some(name));
            if all.is_empty() {
                return Err(missing(code, name));
            }
        }
    }
    Ok(all)
}

fn usable(replica: &Replica, purpose: For) -> bool {
    match purpose {
        For::Writing { token: true } => replica.status == Status::Intermediate,
        _ => replica.status.at_rest(),
    }
}

fn no_vote(what: &str) -> CatalogError {
    CatalogError::new(
        codes::HIERARCHY_ERROR,
        format!("no resource can serve {what} now"),
    )
}
