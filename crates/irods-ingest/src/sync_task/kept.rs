//! Whose a data object is that is to be deleted: what other files have claimed stays.
//!
//! A claim holds as long as its file may be there. Of a file that lies in the very directory in whose collection the object is too much,
//! or below it, that is known as well as of any other name: if the directory has no such entry any more, the file is gone. What
//! lies elsewhere was put there by another job, or by an entry of another directory; whether that is still there is not this directory's
//! affair.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::task::relative_path;
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::plan::guard;
use crate::source::{Links, Source, SourceError};
use crate::sync_irods::{self, Claims};

/// Of claimed data objects those that stay, each with a path of whom it is. `directory` is that of whose collection they are too much,
/// relative to the source, and `absolute`. Looks at the source.
pub(crate) fn kept(
    source: &dyn Source,
    (directory, absolute): (&Path, &[u8]),
    links: Links,
    claims: Claims,
) -> BTreeMap<String, String> {
    let mut looked: HashMap<Vec<u8>, bool> = HashMap::new();
    let mut is_gone = |name: Vec<u8>| match looked.get(&name) {
        Some(gone) => *gone,
        None => {
            let look = source.stat(directory, &name, links);
            let gone = look.is_ok_and(|look| guard::check_last_look(&look).is_ok());
            looked.insert(name, gone);
            gone
        }
    };
    let mut holds = |claim: &String| {
        let names = sync_irods::names_within(absolute, claim);
        names.is_empty() || !names.into_iter().all(&mut is_gone)
    };
    let stays = |(name, claims): (String, Vec<String>)| {
        let by = claims.into_iter().find(&mut holds)?;
        Some((name, by))
    };
    claims.into_iter().filter_map(stays).collect()
}

/// Takes out of the data objects of a collection those that stay; how many these are. `of` is what counts for the directory that they
/// are gone from.
pub(super) async fn leave_alone(
    context: &JobContext,
    (directory, of): (&[u8], &EntryOptions),
    collection: &str,
    objects: &mut Vec<String>,
) -> Result<u64, SyncError> {
    if objects.is_empty() {
        return Ok(0);
    }
    let user = of.user.as_ref();
    let claims = sync_irods::claims_patiently(context, user, collection, objects).await?;
    if claims.is_empty() {
        return Ok(0);
    }
    let (relative, absolute) = (relative_path(directory), context.absolute(directory));
    let links = of.operation.links();
    let look = move |source: &dyn Source| {
        let place = (relative.as_path(), absolute.as_slice());
        Ok::<_, SourceError>(kept(source, place, links, claims))
    };
    let kept = context.at_source(look).await?;
    for (name, by) in &kept {
        tracing::info!(%collection, %name, %by, "kept: it is of another file");
    }
    objects.retain(|name| !kept.contains_key(name));
    Ok(kept.len() as u64)
}
