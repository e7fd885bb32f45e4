//! What may be registered by writing rows into the catalog: files whose names are known to be free, once the zone has checked one of them.

use std::borrow::Cow;

use irods_client::protocol::path;

use super::task::join;
use super::{FileItem, PathTask};
use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::naming;
use crate::plan::compare::{CatalogNames, Presence};
use crate::signature::Record;
use crate::source::{Entry, EntryKind, Listing};
use crate::sync_irods;

/// Which names of a directory's collection nothing has.
pub(super) struct FreeNames<'a>(Cow<'a, CatalogNames>);

impl<'a> FreeNames<'a> {
    /// Whether it matters which names are free.
    pub(super) fn matter(context: &JobContext, record: &Record, listing: &Listing) -> bool {
        let is_new =
            |entry: &Entry| entry.stat.kind == EntryKind::Regular && !record.holds(&entry.name);
        context.spec.options.direct_register && listing.entries.iter().any(is_new)
    }

    /// Those of a collection that was made just now, or whose names are `known`, or that is listed.
    pub(super) async fn of(
        context: &JobContext,
        here: &EntryOptions,
        known: Option<&'a CatalogNames>,
        made: bool,
    ) -> Result<Self, SyncError> {
        let user = here.user.as_ref();
        Ok(FreeNames(match known {
            Some(names) => Cow::Borrowed(names),
            None if made => Cow::default(),
            None => {
                let listed = sync_irods::list_collection(context, user, &here.target);
                Cow::Owned(listed.await?)
            }
        }))
    }

    /// Whether an entry is to be put in the collection under a free name.
    pub(super) fn has(
        &self,
        context: &JobContext,
        (task, here): (&PathTask, &EntryOptions),
        entry: &Entry,
        placed: Option<&EntryOptions>,
    ) -> bool {
        match placed {
            Some(placed) => path::split(&placed.target).is_some_and(|(collection, name)| {
                collection == here.target && !self.0.has(name.as_bytes())
            }),
            None => {
                let absolute = context.absolute(&join(&task.directory, &entry.name));
                let name = naming::element(&entry.name, &absolute);
                !self.0.has(name.as_bytes())
            }
        }
    }
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
