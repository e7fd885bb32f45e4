//! Which resource a new replica goes to, and which replica a call means.
//!
//! Hierarchies are chosen as a real server's vote would in a zone of one host (server source 4.3):
//! a leaf that is down has no vote, `random` draws among the rest, every other coordinator takes the
//! first. [`copies`] says where a `replication` resource wants the rest.

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
    let size = wishes
        .get(keywords::DATA_SIZE)
        .and_then(|text| text.parse().ok());
    below_root(conn, name, size.unwrap_or(0))
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

fn direct_child(child: &Resource) -> CatalogError {
    CatalogError::new(
        codes::DIRECT_CHILD_ACCESS,
        format!("{} is part of {}", child.name, child.hierarchy),
    )
}

fn below_root(conn: &Connection, name: &str, size: u64) -> Result<Resource> {
    let root = resources::get(conn, name)?;
    if root.parent.is_some() {
        return Err(direct_child(&root));
    }
    let mut full = false;
    match vote(conn, root, size, 0, &mut full)? {
        Some(leaf) => Ok(leaf),
        None if full => Err(CatalogError::new(
            codes::USER_FILE_TOO_LARGE,
            format!("{name} has too little free space"),
        )),
        None => Err(no_vote(name)),
    }
}

/// Hierarchies deeper than this are taken for loops.
const MAX_DEPTH: usize = 64;

fn vote(
    conn: &Connection,
    resource: Resource,
    size: u64,
    depth: usize,
    full: &mut bool,
) -> Result<Option<Resource>> {
    if resource.is_down() || depth > MAX_DEPTH {
        return Ok(None);
    }
    if resource.stores() {
        let fits = has_room(&resource, size);
        *full |= !fits;
        return Ok(Some(resource).filter(|_| fits));
    }
    let mut children = resources::children(conn, resource.id)?;
    match resource.resc_type.as_str() {
        "random" => children.shuffle(&mut rand::rng()),
        // Everything goes through the cache.
        "compound" => children.retain(|child| child.parent_context == "cache"),
        _ => {}
    }
    for child in children {
        if let Some(leaf) = vote(conn, child, size, depth + 1, full)? {
            return Ok(Some(leaf));
        }
    }
    Ok(None)
}

/// Where copies of a replica go: for each coordinator of type `replication` or `compound` above it,
/// every other branch. A branch is given by a leaf of it: the one that has a replica already, else a voted one.
///
/// # Errors
/// Those of the catalog.
pub(crate) fn copies(
    conn: &Connection,
    object: &DataObject,
    replica: &Replica,
) -> Result<Vec<Resource>> {
    let mut targets = Vec::new();
    let mut below = resources::by_id(conn, replica.resc_id)?;
    while let Some(parent) = below.parent {
        let parent = resources::by_id(conn, parent)?;
        if matches!(parent.resc_type.as_str(), "replication" | "compound") {
            for branch in resources::children(conn, parent.id)? {
                if branch.id == below.id {
                    continue;
                }
                let leaves = resources::leaves(conn, branch.id)?;
                let has = |leaf: &Resource| object.replicas.iter().any(|r| r.resc_id == leaf.id);
                let target = match leaves.into_iter().find(has) {
                    Some(leaf) => Some(leaf).filter(|leaf| !leaf.is_down()),
                    None => vote(conn, branch, 0, 0, &mut false)?,
                };
                targets.extend(target);
            }
        }
        below = parent;
    }
    Ok(targets)
}

/// Whether a leaf has room by the rule of its context (`minimum_free_space_for_create_in_bytes`); the
/// free space is what an administrator or the host has recorded.
fn has_room(leaf: &Resource, size: u64) -> bool {
    let least = leaf.context_value("minimum_free_space_for_create_in_bytes");
    let least = least.and_then(|text| text.parse::<u64>().ok());
    let free = leaf.free_space.parse::<u64>().ok();
    match (least, free) {
        (Some(least), Some(free)) => free.saturating_sub(size) >= least,
        _ => true,
    }
}

/// Where opening an existing object for writing makes one more replica: at a resource or hierarchy
/// that is named and has none (server source 4.3; only with `O_CREAT`).
///
/// # Errors
/// As [`for_new`].
pub(crate) fn elsewhere(
    conn: &Connection,
    object: &DataObject,
    wishes: &KeyValPair,
) -> Result<Option<Resource>> {
    let named = |keyword| wishes.get(keyword).filter(|name: &&str| !name.is_empty());
    let there = match (named(keywords::RESC_HIER), named(keywords::DEST_RESC_NAME)) {
        (Some(hierarchy), _) => object.replicas.iter().any(|r| r.resc_hier == hierarchy),
        (None, Some(name)) => {
            let in_it = |r: &Replica| r.resc_hier.split(';').next() == Some(name);
            object.replicas.iter().any(in_it)
        }
        (None, None) => true,
    };
    if there || wishes.has(keywords::REPL_NUM) || wishes.has(keywords::REPLICA_TOKEN) {
        return Ok(None);
    }
    for_new(conn, wishes).map(Some)
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
    /// Replaces it by a put, which goes to the named resource or nowhere.
    Putting,
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
    let mut candidates = candidates(conn, object, wishes, purpose)?;
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
    purpose: For,
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
    let roots = [
        (keywords::RESC_NAME, Some(codes::SYS_REPLICA_INACCESSIBLE)),
        (
            keywords::DEST_RESC_NAME,
            (purpose == For::Putting).then_some(codes::HIERARCHY_ERROR),
        ),
    ];
    for (keyword, missing_there) in roots {
        let Some(name) = wish(keyword).filter(|_| !wishes.has(keywords::RESC_HIER)) else {
            continue;
        };
        let root = resources::get(conn, name)?;
        if root.parent.is_some() {
            return Err(direct_child(&root));
        }
        let in_it = |r: &Replica| r.resc_hier.split(';').next() == Some(name);
        match (all.iter().any(|(replica, _)| in_it(replica)), missing_there) {
            (true, _) => all.retain(|(replica, _)| in_it(replica)),
            (false, Some(code)) => return Err(missing(code, name)),
            (false, None) => {}
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
