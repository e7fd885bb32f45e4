//! What may be registered by writing rows into the catalog: files whose names are known to be free, once the zone has checked one of them.

use std::borrow::Cow;

use super::FileItem;
use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::plan::compare::{CatalogNames, Presence};
use crate::signature::Record;
use crate::source::{Entry, EntryKind, Listing};
use crate::sync_irods;

/// Whether it matters which names of a directory's collection are free.
pub(super) fn names_matter(context: &JobContext, record: &Record, listing: &Listing) -> bool {
    let is_new =
        |entry: &Entry| entry.stat.kind == EntryKind::Regular && !record.holds(&entry.name);
    context.spec.options.direct_register && listing.entries.iter().any(is_new)
}

/// The names in a collection: `known` already, or none since it was made just now, or as listed.
pub(super) async fn names<'a>(
    context: &JobContext,
    here: &EntryOptions,
    known: Option<&'a CatalogNames>,
    made: bool,
) -> Result<Cow<'a, CatalogNames>, SyncError> {
    Ok(match known {
        Some(names) => Cow::Borrowed(names),
        None if made => Cow::default(),
        None => {
            let listed = sync_irods::list_collection(context, here.user.as_ref(), &here.target);
            Cow::Owned(listed.await?)
        }
    })
}

/// Which files of a task are registered so.
#[derive(Default)]
pub(super) struct Direct<'a> {
    /// The resource on which the zone has registered one of them, having checked what it checks.
    checked: Option<&'a str>,
}

impl<'a> Direct<'a> {
    pub(super) fn admits(
        &self,
        context: &JobContext,
        item: &FileItem,
        options: &EntryOptions,
    ) -> bool {
        context.spec.options.direct_register
            && self.checked.is_some()
            && self.checked == options.resource.as_deref()
            && item.stat.kind == EntryKind::Regular
            && item.presence == Presence::Absent
            // What the scan saw of the catalog is no news any more.
            && item.attempts == 0
            && !item.redelivered
    }

    pub(super) fn learn(&mut self, counts: &Counts, options: &'a EntryOptions) {
        if counts.registered > 0 {
            self.checked = options.resource.as_deref();
        }
    }
}
