//! A directory becomes a collection, by itself: its entries are another matter.

use irods_client::metadata::Entity;

use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::core::{self, Event, Subject};
use crate::error::{EntryError, SyncError};
use crate::plan::{
    self, CatalogState, Decision, DirectoryFacts, Effect, Operation, Options, decide_directory,
};
use crate::profile::{About, Stage};
use crate::signature::Verdict;
use crate::sync_irods::{self, Wanted, patiently};

/// What is known of a directory and its collection.
pub(super) struct Known {
    pub(super) verdict: Verdict,
    pub(super) catalog: CatalogState,
}

/// So many turns may be taken by asking and deciding again. Each turn learns something, so more means that somebody
/// keeps changing what we look at.
const MAX_TURNS: usize = 6;

/// Makes the directory's collection, or tells its hooks that the directory changed.
///
/// # Errors
/// A data object is in the way, permission is missing, or something that concerns more than this directory.
pub(super) async fn sync_dir(
    context: &JobContext,
    (directory, here): (&[u8], &EntryOptions),
    known: Known,
    redelivered: bool,
) -> Result<Counts, SyncError> {
    let collection = &here.target;
    let absolute = context.absolute(directory);
    let handler = context.handler.as_ref();
    let hooks = [Event::CollCreate, Event::CollModify]
        .iter()
        .any(|event| handler.has_hooks(*event));
    let (absolute, known) = (&absolute, &known);
    patiently(context, here.user.as_ref(), |mut zone, again| async move {
        let zone = zone.as_mut();
        let mut catalog = match context.spec.options.ignore_cache {
            true => CatalogState::Unknown,
            false => known.catalog.clone(),
        };
        for _ in 0..MAX_TURNS {
            let facts = DirectoryFacts {
                operation: here.operation,
                verdict: known.verdict,
                catalog: &catalog,
                options: Options {
                    ignore_cache: context.spec.options.ignore_cache,
                    initial_ingest: context.spec.options.initial_ingest,
                    hooks,
                    redelivered: redelivered || again,
                    existed: false,
                },
            };
            let decide = || decide_directory(&facts);
            let stages = &context.stages;
            let about = About::path(absolute);
            let (event, effect) = match stages.time(Stage::Plan, "directory", about, decide) {
                Decision::Skip(_) => return Ok(Counts::default()),
                Decision::Look | Decision::CompareChecksums => {
                    catalog = sync_irods::look(zone, collection).await?;
                    continue;
                }
                Decision::Refuse(refusal) => {
                    let message = refusal.describe(absolute, collection);
                    return Err(SyncError::Entry(EntryError::new("REFUSED", message)));
                }
                Decision::Act { event, effect } => (event, effect),
            };
            let subject = Subject {
                path: absolute,
                target: collection,
                operation: here.operation,
                stat: None,
                user: here.user.as_ref(),
            };
            let made = Counts {
                collections_created: u64::from(here.operation != Operation::NoOp),
                ..Counts::default()
            };
            let done = match (event, effect) {
                (plan::Event::Modify, _) => {
                    core::on_coll_modify(handler, subject, async { Ok(Counts::default()) }).await
                }
                (plan::Event::Create, Effect::CreateCollection) => {
                    let wanted = Wanted {
                        collection,
                        source: absolute,
                        operation: here.operation,
                        user: here.user.as_ref(),
                        counted: true,
                    };
                    let done = sync_irods::create_dirs(context, zone, wanted).await;
                    done.map(|()| made)
                }
                (plan::Event::Create, _) => {
                    // Found there: an earlier attempt, whose end nobody saw, made it.
                    core::on_coll_create(handler, subject, async { Ok(made) }).await
                }
            };
            match done {
                Err(SyncError::Entry(error))
                    if error.is_name_taken() && catalog != CatalogState::Collection =>
                {
                    catalog = sync_irods::look(zone, collection).await?;
                }
                done => {
                    let counts = done?;
                    if here.operation != Operation::NoOp {
                        let collection = Entity::Collection(collection);
                        sync_irods::decorate(zone, collection, here).await?;
                    }
                    return Ok(counts);
                }
            }
        }
        Err(SyncError::Entry(EntryError::new(
            "UNSTABLE",
            format!("{collection} keeps changing while it is looked at"),
        )))
    })
    .await
}
