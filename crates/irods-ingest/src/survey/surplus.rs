//! What a collection has and its directory has not, and how much of it is of other files.

use std::collections::BTreeMap;

use super::{Holding, Place, Survey, SurveyError};
use crate::core::choice::{EntryOptions, Targets};
use crate::naming;
use crate::plan::guard;
use crate::source::Source;
use crate::sync_irods;
use crate::sync_task::{Present, join, kept, relative_path};

/// A name that a collection has and its directory has not.
#[derive(Debug)]
pub(super) struct Surplus {
    /// Absolute path in the source of what would have that name.
    pub(super) path: Vec<u8>,
    /// Logical path.
    pub(super) target: String,
    pub(super) is_collection: bool,
    /// A path of the other file that it is of, so that it stays.
    pub(super) of: Option<String>,
}

/// What is in a collection whose directory is gone.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Data objects and collections, this one too, that are nobody's any more.
    pub(super) surplus: u64,
    /// Data objects that are of other files.
    pub(super) kept: u64,
}

impl Survey {
    /// What a collection has and its directory has not: data objects first, then collections, each in byte order. Where entries
    /// may be put anywhere nobody can tell. `here` is what counts for the directory.
    pub(super) async fn surplus(
        &self,
        (place, here): (&Place, &EntryOptions),
        holding: &Holding,
        present: &Present,
    ) -> Result<Vec<Surplus>, SurveyError> {
        if self.targets() == Targets::Anywhere {
            return Ok(Vec::new());
        }
        let collection = &place.collection;
        let surplus = |name: &[u8], is_collection, of| {
            let text = String::from_utf8_lossy(name);
            let names = naming::source_names(&text);
            let entry = names.first().map_or(name, |name| name.as_slice());
            Surplus {
                path: self.spec.absolute(&join(&place.directory, entry)),
                target: naming::join(collection, &text),
                is_collection,
                of,
            }
        };
        let objects = holding.objects.keys().map(|name| name.as_slice());
        let objects = guard::gone(objects, &present.names);
        let names = objects
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect::<Vec<_>>();
        let mut of = self.kept((place, here), collection, &names).await?;
        let collections = holding.collections.iter().map(|name| name.as_slice());
        let collections = guard::gone(collections, &present.names).into_iter();
        Ok(objects
            .into_iter()
            .zip(names)
            .map(|(name, text)| surplus(name, false, of.remove(&text)))
            .chain(collections.map(|name| surplus(name, true, None)))
            .collect())
    }

    /// Of data objects that are too much for a directory those that stay, each with a path of whom it is.
    async fn kept(
        &self,
        (place, here): (&Place, &EntryOptions),
        collection: &str,
        objects: &[String],
    ) -> Result<BTreeMap<String, String>, SurveyError> {
        if objects.is_empty() {
            return Ok(BTreeMap::new());
        }
        let claims = {
            let mut zone = self.zone.get().await?;
            sync_irods::claims(&mut zone, collection, objects).await?
        };
        if claims.is_empty() {
            return Ok(BTreeMap::new());
        }
        let directory = relative_path(&place.directory);
        let absolute = self.spec.absolute(&place.directory);
        let links = here.operation.links();
        let look = move |source: &dyn Source| kept(source, (&directory, &absolute), links, claims);
        self.at_source(look).await
    }

    /// What is in a collection that is too much for a directory, with all that is below; where it is only asked `whether` there is
    /// surplus, as much of it as shows that.
    pub(super) async fn content(
        &self,
        place: (&Place, &EntryOptions),
        top: &str,
        whether: bool,
    ) -> Result<Content, SurveyError> {
        let mut content = Content::default();
        // Each with the place of the one that it is in, which comes before it; and whether something in it stays.
        let mut seen = vec![(top.to_owned(), 0, false)];
        let mut next = 0;
        while next < seen.len() {
            let collection = seen[next].0.clone();
            let (objects, below) = {
                let mut zone = self.zone.get().await?;
                let objects = zone.list_data_objects(&collection).await?;
                (objects, zone.list_subcollections(&collection).await?)
            };
            let objects: Vec<String> = objects.keys().map(ToString::to_string).collect();
            let kept = self.kept(place, &collection, &objects).await?.len();
            seen[next].2 = kept > 0;
            content.kept += kept as u64;
            content.surplus += (objects.len() - kept) as u64;
            if whether && content.surplus > 0 {
                return Ok(content);
            }
            let below = below
                .iter()
                .map(|name| naming::join(&collection, &name.to_string()));
            seen.extend(below.map(|path| (path, next, false)));
            next += 1;
        }
        for at in (0..seen.len()).rev() {
            let (_, within, stays) = seen[at];
            match stays {
                true => seen[within].2 = true,
                false => content.surplus += 1,
            }
        }
        Ok(content)
    }
}
