//! `COLL_CREATE` and `MOD_COLL`.

use irods_protocol::keywords;
use irods_protocol::message::CollInpNew;

use super::collection_path;
use crate::catalog::collections::{self, CollectionChange};
use crate::reply::{Answer, Reply, Request};
use crate::session::Session;

/// `COLL_CREATE`, with `recursiveOpr` like `mkdir -p`.
pub(super) async fn create(session: &mut Session, request: &Request) -> Answer {
    let input: CollInpNew = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = collection_path(&input.coll_name)?;
    let recursive = input.cond_input.has(keywords::RECURSIVE_OPR);
    session
        .catalog()
        .write(move |conn| match recursive {
            true => collections::create_recursive(conn, &who, &path),
            false => collections::create(conn, &who, &path),
        })
        .await?;
    Ok(Reply::done())
}

/// `MOD_COLL`.
pub(super) async fn modify(session: &mut Session, request: &Request) -> Answer {
    let input: CollInpNew = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let path = collection_path(&input.coll_name)?;
    let wish = |keyword| input.cond_input.get(keyword).map(str::to_owned);
    let change = CollectionChange {
        coll_type: wish(keywords::COLLECTION_TYPE),
        info1: wish(keywords::COLLECTION_INFO_1),
        info2: wish(keywords::COLLECTION_INFO_2),
        comments: None,
        modify_time: wish(keywords::COLLECTION_MTIME),
    };
    session
        .catalog()
        .write(move |conn| collections::modify(conn, &who, &path, &change))
        .await?;
    Ok(Reply::done())
}
