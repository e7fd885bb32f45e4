//! What would be deleted, and what of it would stay.

use super::{Day, Doing, Foreseen};
use crate::core::choice::EntryOptions;
use crate::plan::guard;
use crate::signature::Record;
use crate::source::MountFacts;
use crate::survey::{Holding, Place, Survey, SurveyError};
use crate::sync_task::{Present, relative_path};

impl Survey {
    /// What the zone has and the source has not.
    pub(super) async fn deletions(
        &self,
        here: (&Place, &EntryOptions),
        record: &Record,
        present: &Present,
        holding: &Holding,
        day: &mut Day,
    ) -> Result<(), SurveyError> {
        let place = here.0;
        let surplus = self.surplus(here, holding, present).await?;
        let (kept, surplus): (Vec<_>, Vec<_>) = surplus
            .into_iter()
            .partition(|surplus| surplus.of.is_some());
        day.counts.kept += kept.len() as u64;
        day.foreseen.extend(kept.into_iter().map(|kept| Foreseen {
            path: kept.path,
            target: kept.target,
            what: Doing::KeepOf(kept.of.unwrap_or_default()),
            chosen_by: None,
        }));
        if surplus.is_empty() {
            return Ok(());
        }
        let directory = relative_path(&place.directory);
        let now = self
            .at_source(move |source| source.mount_facts(&directory))
            .await?
            .ok();
        let before = record.was_mount_point().then_some(MountFacts {
            dev: 0,
            is_mount_point: true,
        });
        let allowed = match place.directory.is_empty() {
            true => guard::check_root(before, None, now, present.names.is_empty()),
            false => guard::check_directory(before, None, now, true),
        };
        let allowed = match present.unknown {
            true => allowed.and(Err(guard::Kept::NamesUnknown)),
            false => allowed,
        };
        if allowed.is_err() {
            // The job says so in the ledger.
            day.counts.failed += 1;
        }
        for surplus in surplus {
            let what = match allowed {
                Err(why) => Doing::Keep(why),
                Ok(()) if surplus.is_collection => {
                    let content = self.content(here, &surplus.target, false).await?;
                    day.counts.deleted += content.surplus;
                    day.counts.kept += content.kept;
                    match content.kept {
                        0 => Doing::Delete,
                        kept => Doing::DeleteWithin {
                            deleted: content.surplus,
                            kept,
                        },
                    }
                }
                Ok(()) => {
                    day.counts.deleted += 1;
                    Doing::Delete
                }
            };
            day.foreseen.push(Foreseen {
                path: surplus.path,
                target: surplus.target,
                what,
                chosen_by: None,
            });
        }
        Ok(())
    }
}
