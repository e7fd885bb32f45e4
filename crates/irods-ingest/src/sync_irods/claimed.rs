//! What of a collection is claimed, and by files that lie where.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use irods_client::connection::Identity;
use irods_client::metadata::Entity;

use super::claim::ATTRIBUTE;
use super::patiently;
use crate::context::JobContext;
use crate::error::SyncError;
use crate::naming;
use crate::zone::Session;

/// Names of claimed data objects of a collection, each with all that its AVUs say.
pub(crate) type Claims = BTreeMap<String, Vec<String>>;

/// The claims of some data objects of a collection: one query. Where other objects have so many that this takes longer than asking
/// for each of these, each is asked for.
pub(crate) async fn claims(
    zone: &mut dyn Session,
    collection: &str,
    objects: &[String],
) -> irods_client::Result<Claims> {
    let wanted: HashSet<&[u8]> = objects.iter().map(|name| name.as_bytes()).collect();
    let mut found = Claims::new();
    let mut pages = 0;
    let mut page = |values: Vec<(bstr::BString, String)>| {
        pages += 1;
        for (name, value) in values {
            if wanted.contains(name.as_slice()) {
                found.entry(name.to_string()).or_default().push(value);
            }
        }
        match pages > objects.len() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    zone.list_values(collection, ATTRIBUTE, &mut page).await?;
    if pages > objects.len() {
        found.clear();
        for name in objects {
            let object = naming::join(collection, name);
            let avus = zone.list_avus(Entity::DataObject(&object)).await?;
            let claims = avus.into_iter().filter(|avu| avu.attribute == ATTRIBUTE);
            let values: Vec<String> = claims.map(|avu| avu.value).collect();
            if !values.is_empty() {
                found.insert(name.clone(), values);
            }
        }
    }
    Ok(found)
}

/// The same in a job, as the user who acts there.
pub(crate) async fn claims_patiently(
    context: &JobContext,
    user: Option<&Identity>,
    collection: &str,
    objects: &[String],
) -> Result<Claims, SyncError> {
    patiently(context, user, |mut zone, _| async move {
        Ok(claims(zone.as_mut(), collection, objects).await?)
    })
    .await
}

/// The names, of which there may be one, under which what is claimed so lies in a directory or below it; none if it lies elsewhere. The
/// directory is given by its absolute path.
pub(crate) fn names_within(directory: &[u8], claim: &str) -> Vec<Vec<u8>> {
    let directory = naming::physical_path(directory);
    let directory = directory.strip_suffix('/').unwrap_or(&directory);
    let below = claim.strip_prefix(directory);
    match below.and_then(|below| below.strip_prefix('/')) {
        Some(below) => naming::source_names(below.split('/').next().unwrap_or(below)),
        None => Vec::new(),
    }
}
