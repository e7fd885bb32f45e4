//! `TOUCH`: the modification time of an object or collection, or an empty object.

use std::sync::Arc;

use irods_protocol::codes;
use irods_protocol::keywords;
use irods_protocol::message::{DataObjInp, KeyValPair};
use serde::Deserialize;

use super::open::{self, Mode};
use super::replica::json_input;
use super::{close, object_path};
use crate::catalog::access::{self, Level};
use crate::catalog::collections::{self, CollectionChange};
use crate::catalog::replicas::{self, Field, Which};
use crate::catalog::{CatalogError, Connection, Identity, data_objects, time};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;
use crate::writing::Leave;

#[derive(Deserialize)]
struct Input {
    logical_path: String,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize, Default, Clone)]
struct Options {
    #[serde(default)]
    no_create: bool,
    replica_number: Option<i64>,
    leaf_resource_name: Option<String>,
    seconds_since_epoch: Option<u64>,
    reference: Option<String>,
}

/// Mode of objects that a touch makes, 0600 (recorded exchange icmd_isysmeta_itouch_istream).
const MODE: i32 = 384;

/// `TOUCH`.
pub(super) async fn touch(session: &mut Session, request: &Request) -> Answer {
    let input: Input = json_input(request)?;
    let who = session.user()?;
    let path = object_path(&input.logical_path)?;
    let options = input.options;
    let both = |a: bool, b: bool| a && b;
    if both(
        options.replica_number.is_some(),
        options.leaf_resource_name.is_some(),
    ) || both(
        options.seconds_since_epoch.is_some(),
        options.reference.is_some(),
    ) {
        return Err(Failure::code(codes::USER_INCOMPATIBLE_PARAMS));
    }
    let touched = {
        let (who, path, options) = (who.clone(), path.clone(), options.clone());
        session
            .catalog()
            .write(move |conn| touch_existing(conn, &who, &path, &options))
            .await?
    };
    if touched || options.no_create {
        return Ok(Reply::done());
    }
    if options.replica_number.is_some() {
        return Err(Failure::code(codes::SYS_REPLICA_DOES_NOT_EXIST));
    }
    let mut wishes = KeyValPair::new();
    if let Some(leaf) = &options.leaf_resource_name {
        wishes.set(keywords::LEAF_RESC_NAME, leaf.as_str());
    }
    let new = DataObjInp {
        obj_path: path.clone(),
        create_mode: MODE,
        data_size: -1,
        cond_input: wishes,
        ..DataObjInp::default()
    };
    let number = open::open_as(
        session,
        new,
        Mode {
            read: true,
            write: true,
            create: true,
            truncate: false,
        },
    )
    .await?;
    let descriptor = session.descriptors.take(number)?;
    let zone = Arc::clone(&session.zone);
    close::leave(&zone, descriptor, Leave::Finish).await?;
    if options.seconds_since_epoch.is_some() || options.reference.is_some() {
        session
            .catalog()
            .write(move |conn| touch_existing(conn, &who, &path, &options))
            .await?;
    }
    Ok(Reply::done())
}

/// True if something is there; its time is then set.
fn touch_existing(
    conn: &Connection,
    who: &Identity,
    path: &str,
    options: &Options,
) -> Result<bool, CatalogError> {
    let at = match (&options.reference, options.seconds_since_epoch) {
        (Some(reference), _) => crate::catalog::stat::stat(conn, who, reference, None)?.modify_time,
        (None, Some(seconds)) => time::from_seconds(seconds),
        (None, None) => time::now(),
    };
    match data_objects::visible(conn, who, path) {
        Ok(object) => {
            access::require(conn, who, object.id, Level::MODIFY_OBJECT)?;
            let replica = match (options.replica_number, &options.leaf_resource_name) {
                (Some(number), _) => object.replica(number),
                (None, Some(leaf)) => object.replicas.iter().find(|r| r.resc_name == *leaf),
                (None, None) => object.best(),
            };
            let replica = replica
                .ok_or_else(|| CatalogError::new(codes::SYS_REPLICA_DOES_NOT_EXIST, path))?;
            replicas::modify(
                conn,
                object.id,
                Which::Number(replica.number),
                &[(Field::ModifyTime, at)],
            )?;
            return Ok(true);
        }
        Err(error) if error.code == codes::CAT_NO_ROWS_FOUND => {}
        Err(error) => return Err(error),
    }
    if collections::find(conn, path)?.is_none() {
        return Ok(false);
    }
    if options.replica_number.is_some() || options.leaf_resource_name.is_some() {
        return Err(CatalogError::new(
            codes::USER_INCOMPATIBLE_PARAMS,
            "a collection has no replicas",
        ));
    }
    let change = CollectionChange {
        modify_time: Some(at),
        ..CollectionChange::default()
    };
    collections::modify(conn, who, path, &change)?;
    Ok(true)
}
