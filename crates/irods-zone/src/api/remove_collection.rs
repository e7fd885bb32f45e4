//! `RM_COLL`: an empty collection, a tree into the trash, or a tree for good.
//!
//! A tree is removed in steps, so that other writers get their turn: objects in batches, then the
//! collections from the deepest up. What cannot be removed stays and its error is the answer; the rest
//! goes (server source 4.3). No progress messages are sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use irods_protocol::message::{CollInpNew, CollOprStat};
use irods_protocol::{codes, keywords};

use super::collection_path;
use super::unlink::{Fate, remove_files, unregister};
use crate::catalog::replicas::{self, Replica};
use crate::catalog::{CatalogError, Identity, collections, data_objects, trash};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::zone::Shared;

/// Replicas that are removed in one transaction.
const BATCH: usize = 256;

/// `RM_COLL`.
pub(super) async fn remove(session: &mut Session, request: &Request) -> Answer {
    let input: CollInpNew = request.input()?;
    let wishes = &input.cond_input;
    let who = session.acting(wishes)?;
    let path = collection_path(&input.coll_name)?;
    let zone = Arc::clone(&session.zone);
    let recursive = wishes.has(keywords::RECURSIVE_OPR);
    let fate = Fate::of(&path, input.opr_type, wishes);
    must_exist(&zone, &who, &path, recursive && fate != Fate::Trash).await?;
    let stat = match (recursive, fate) {
        (false, _) => {
            let (who, empty) = (who.clone(), path.clone());
            zone.catalog
                .write(move |conn| collections::remove_empty(conn, &who, &empty))
                .await?;
            CollOprStat {
                files_cnt: 1,
                total_file_cnt: 1,
                last_obj_path: path,
                bytes_written: 0,
            }
        }
        (true, Fate::Trash) => {
            let (who, from) = (who.clone(), path.clone());
            zone.catalog
                .write(move |conn| {
                    collections::require_deletable(conn, &who, &from)?;
                    let target = trash::target(conn, &who, &from)?;
                    collections::rename(conn, &who, &from, &target)
                })
                .await?;
            CollOprStat {
                files_cnt: 1,
                total_file_cnt: 1,
                last_obj_path: path,
                bytes_written: 0,
            }
        }
        (true, fate) => {
            let keep_root =
                wishes.has(keywords::IRODS_RM_TRASH) || wishes.has(keywords::IRODS_ADMIN_RM_TRASH);
            let removed = remove_tree(&zone, &who, &path, fate, keep_root).await?;
            CollOprStat {
                files_cnt: removed,
                ..CollOprStat::default()
            }
        }
    };
    Reply::with(request.packing, &stat)
}

/// Missing collections are told apart from unreadable ones by nothing; the code depends on the way
/// of removal (recorded exchanges prc_coll_remove, prc_permission_denied).
async fn must_exist(
    zone: &Arc<Shared>,
    who: &Identity,
    path: &str,
    by_force: bool,
) -> Result<(), Failure> {
    let (who, path) = (who.clone(), path.to_owned());
    let code = if by_force {
        codes::USER_FILE_DOES_NOT_EXIST
    } else {
        codes::CAT_NO_ROWS_FOUND
    };
    zone.catalog
        .read(move |conn| collections::visible(conn, &who, &path))
        .await
        .map(drop)
        .map_err(|error| match error.code {
            codes::CAT_UNKNOWN_COLLECTION => Failure::code(code),
            _ => error.into(),
        })
}

/// Removes all below a collection, and the collection itself unless it is the user's trash.
async fn remove_tree(
    zone: &Arc<Shared>,
    who: &Identity,
    path: &str,
    fate: Fate,
    keep_root: bool,
) -> Result<i32, Failure> {
    let mut last_error = None;
    let mut removed = 0_i32;
    let mut after = (i64::MIN, i64::MIN);
    let root = path.to_owned();
    let tree = zone
        .catalog
        .read(move |conn| collections::subtree(conn, &root))
        .await?;
    let names: Arc<BTreeMap<i64, String>> =
        Arc::new(tree.iter().map(|c| (c.id, c.name.clone())).collect());
    loop {
        let root = path.to_owned();
        let batch = zone
            .catalog
            .read(move |conn| replicas::in_subtree(conn, &root, after, BATCH))
            .await?;
        let Some(last) = batch.last() else { break };
        after = (last.data_id, i64::MAX);
        let (who, names) = (who.clone(), Arc::clone(&names));
        let (gone, error) = zone
            .catalog
            .write(move |conn| Ok(remove_batch(conn, &who, &names, batch, fate)))
            .await?;
        last_error = error.or(last_error);
        removed = removed.saturating_add(i32::try_from(gone.len()).unwrap_or(i32::MAX));
        if fate == Fate::Delete {
            remove_files(zone, gone).await;
        }
    }
    let keep = keep_root && is_home_trash(path);
    let (who, root) = (who.clone(), path.to_owned());
    let error = zone
        .catalog
        .write(move |conn| {
            let mut last = None;
            for collection in tree.iter().rev().filter(|c| !(keep && c.name == root)) {
                if let Err(error) = collections::remove_empty(conn, &who, &collection.name) {
                    last = Some(error);
                }
            }
            Ok(last)
        })
        .await?;
    match last_error.or(error) {
        Some(error) => Err(error.into()),
        None => Ok(removed),
    }
}

fn is_home_trash(path: &str) -> bool {
    trash::contains(path) && path.split('/').count() <= 5
}

/// Removes the objects of some replicas; gives what is gone and the last error.
fn remove_batch(
    conn: &crate::catalog::Connection,
    who: &Identity,
    names: &BTreeMap<i64, String>,
    batch: Vec<Replica>,
    fate: Fate,
) -> (Vec<Replica>, Option<CatalogError>) {
    let mut objects: BTreeMap<i64, String> = BTreeMap::new();
    for replica in batch {
        if let Some(collection) = names.get(&replica.coll_id) {
            objects
                .entry(replica.data_id)
                .or_insert_with(|| format!("{collection}/{}", replica.name));
        }
    }
    let mut gone = Vec::new();
    let mut last = None;
    for path in objects.into_values() {
        let outcome = match fate {
            Fate::Unregister => unregister(conn, who, &path),
            _ => data_objects::remove(conn, who, &path),
        };
        match outcome {
            Ok(object) => gone.extend(object.replicas),
            Err(error) => last = Some(error),
        }
    }
    (gone, last)
}
