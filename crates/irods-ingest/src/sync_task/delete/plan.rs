//! What is deleted in a directory that was scanned.

use super::super::kept::leave_alone;
use super::super::placing::Present;
use super::super::{DeleteTask, Deletion, PathTask, Task};
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::SyncError;
use crate::naming;
use crate::plan::compare::CatalogNames;
use crate::plan::guard;
use crate::source::MountFacts;

/// What is deleted in a directory.
#[derive(Debug, Default)]
pub(in crate::sync_task) struct Plan {
    pub(in crate::sync_task) tasks: Vec<Task>,
    /// Data objects that stay, since they are of other files.
    pub(in crate::sync_task) kept: u64,
    /// Why nothing is deleted although something is gone.
    pub(in crate::sync_task) refused: Option<guard::Kept>,
}

/// The tasks that delete what the catalog has and the listing has not, or why none of it may be deleted. `before` says whether
/// the directory was a mount point at the last scan, `at_start` where the root sat when the pass began.
///
/// # Errors
/// What concerns more than this directory.
pub(in crate::sync_task) async fn plan(
    context: &JobContext,
    (task, here): (&PathTask, &EntryOptions),
    catalog: &CatalogNames,
    present: &Present,
    mounts: Mounts,
) -> Result<Plan, SyncError> {
    let directory = task.directory.as_slice();
    let gone = |names: Vec<&[u8]>| -> Vec<String> {
        let gone = guard::gone(names, &present.names);
        // A name that is not text cannot be one that we made.
        gone.into_iter()
            .filter_map(|name| std::str::from_utf8(name).ok())
            .map(str::to_owned)
            .collect()
    };
    let mut objects = gone(catalog.data_objects().collect());
    let collections = gone(catalog.collections().collect());
    let kept = leave_alone(context, (directory, here), &here.target, &mut objects).await?;
    let nothing = Plan {
        kept,
        ..Plan::default()
    };
    if objects.is_empty() && collections.is_empty() {
        return Ok(nothing);
    }
    let allowed = match directory {
        [] => guard::check_root(
            mounts.before,
            mounts.at_start,
            mounts.now,
            present.names.is_empty(),
        ),
        _ => guard::check_directory(mounts.before, mounts.at_start, mounts.now, true),
    };
    let allowed = allowed.and(match present.unknown {
        true => Err(guard::Kept::NamesUnknown),
        false => Ok(()),
    });
    if let Err(why) = allowed {
        return Ok(Plan {
            refused: Some(why),
            ..nothing
        });
    }
    let chunk = context.spec.options.files_per_task.max(1);
    let objects = objects
        .chunks(chunk)
        .map(|names| Deletion::Objects(names.to_vec()));
    let collections = collections.iter().map(|name| {
        let collection = naming::join(&here.target, name);
        Deletion::Collection {
            top: collection.clone(),
            collection,
        }
    });
    let tasks = objects
        .chain(collections)
        .map(|what| Task::Delete(DeleteTask::new(directory, task.collection.clone(), what)))
        .collect();
    Ok(Plan { tasks, ..nothing })
}

/// Where a directory sits and sat among the mounts.
#[derive(Debug, Clone, Copy)]
pub(in crate::sync_task) struct Mounts {
    pub(in crate::sync_task) before: Option<MountFacts>,
    pub(in crate::sync_task) at_start: Option<MountFacts>,
    pub(in crate::sync_task) now: Option<MountFacts>,
}
