//! What is promised, after a pass.

use std::collections::{BTreeMap, BTreeSet};

use irods_client::collection::ReplicaStatus;

use super::catalog::BAD;
use super::schedule::{Changed, Play, TARGET};
use super::source::ROOT;
use crate::broker::{Broker, Counts, Job, JobState};
use crate::plan::{DeleteMode, Operation};

/// Fails with a text unless a condition holds.
macro_rules! must {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}

fn is_bad(path: &str) -> bool {
    path.contains(BAD)
}

/// The job has ended, nothing of it is left, and every file that was seen is in exactly one count. The ledger has what was bad,
/// and nothing else.
pub(super) async fn account(play: &Play, job: &Job) -> Result<(), String> {
    must!(
        job.state == JobState::Finished,
        "the job is {:?}",
        job.state
    );
    must!(job.outstanding.total() == 0, "tasks remain: {job:?}");
    let t = &job.totals;
    let applied = t.registered + t.uploaded + t.appended + t.updated + t.metadata_only;
    let sum = applied + t.skipped_unchanged + t.excluded + t.failed;
    must!(
        sum == t.files_seen,
        "{sum} of {} files accounted for: {t:?}",
        t.files_seen
    );
    let listed = play.queue.here().failures(job.id, None, 1000).await;
    let listed = listed.map_err(|error| error.to_string())?.entries;
    let root = format!("{ROOT}/");
    let listed: BTreeMap<String, String> = listed
        .into_iter()
        .map(|entry| {
            let path = String::from_utf8_lossy(&entry.failure.path).into_owned();
            let path = path.strip_prefix(&root).unwrap_or(&path).to_owned();
            (path, entry.failure.message)
        })
        .collect();
    let bad: BTreeSet<String> = play
        .files()
        .into_iter()
        .filter(|path| is_bad(path))
        .collect();
    let named: BTreeSet<String> = listed.keys().cloned().collect();
    must!(named == bad, "the ledger has {listed:?}");
    must!(t.failed == bad.len() as u64, "{} failed: {t:?}", bad.len());
    Ok(())
}

/// The totals are exactly what a pass over these changes should come to; so are the hooks, but for what may repeat.
pub(super) async fn pass(
    play: &Play,
    job: &Job,
    changed: &Changed,
    first: bool,
) -> Result<(), String> {
    account(play, job).await?;
    let (tree, t) = (play.tree.all(), job.totals);
    let files = tree.values().filter(|node| !node.is_directory()).count() as u64;
    let directories = tree.len() as u64 - files;
    must!(
        (t.files_seen, t.dirs_seen) == (files, directories + 1),
        "seen {t:?} of {files} and {directories}"
    );
    let good = |paths: &[String]| paths.iter().filter(|path| !is_bad(path)).count() as u64;
    let (new, modified) = (good(&changed.new), good(&changed.modified));
    let unchanged = files - new - modified - t.failed;
    let made = Counts {
        registered: t.registered,
        uploaded: t.uploaded,
        appended: t.appended,
        updated: t.updated,
        skipped_unchanged: t.skipped_unchanged,
        ..Counts::default()
    };
    let expected = match play.options.operation {
        Operation::RegisterSync => Counts {
            registered: new,
            updated: modified,
            skipped_unchanged: unchanged,
            ..Counts::default()
        },
        Operation::PutAppend => Counts {
            appended: modified,
            uploaded: new,
            skipped_unchanged: unchanged,
            ..Counts::default()
        },
        _ => Counts {
            uploaded: new + modified,
            skipped_unchanged: unchanged,
            ..Counts::default()
        },
    };
    if play.options.operation == Operation::PutAppend {
        // What was appended by an attempt that nobody saw the end of is found equal; what it left in the middle is uploaded as
        // a whole.
        let sum = |t: &Counts| t.appended + t.uploaded + t.metadata_only + t.skipped_unchanged;
        must!(sum(&t) == sum(&expected), "{t:?}, expected {expected:?}");
    } else if play.options.compare_catalog && !first {
        // Without memory an upload that is younger than its file by little may be repeated.
        let sum = |t: &Counts| t.registered + t.uploaded + t.updated + t.skipped_unchanged;
        must!(sum(&t) == sum(&expected), "{t:?}, expected {expected:?}");
    } else {
        must!(made == expected, "{t:?}, expected {expected:?}");
    }
    if first {
        must!(
            t.collections_created == directories + 1,
            "{directories} directories: {t:?}"
        );
    }
    mirror(play)?;
    hooks(play, changed, first)
}

/// Each event had its hooks: once in fair weather, at least once in any.
fn hooks(play: &Play, changed: &Changed, first: bool) -> Result<(), String> {
    let Some(hooks) = &play.hooks else {
        return Ok(());
    };
    let happened = play.world.happened();
    let calm = happened.crashes + happened.freezes + happened.lost + happened.outages == 0
        && happened.locked == 0
        && happened.drains == 0
        // A name that was said to be free and is not has its first hook for nothing.
        && (first || !play.options.initial_ingest);
    let seen = hooks.take();
    for (paths, events) in [
        (&changed.new, &["data_obj_create"][..]),
        (
            &changed.modified,
            &["data_obj_modify", "data_obj_create"][..],
        ),
    ] {
        for path in paths.iter().filter(|path| !is_bad(path)) {
            let target = format!("{TARGET}/{path}");
            let of = |event: &&str| seen.get(&(*event, target.clone())).copied();
            let (pre, post) = events
                .iter()
                .filter_map(of)
                .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            must!(
                pre >= 1 && post >= 1,
                "{path}: {pre} pre, {post} post hooks"
            );
            if calm {
                must!(
                    pre == 1 && post == 1,
                    "{path}: {pre} pre and {post} post hooks, and nothing had happened"
                );
            }
        }
    }
    if play.options.delete_mode != DeleteMode::DoNotDelete {
        for path in changed.removed.iter().filter(|path| !is_bad(path)) {
            let key = ("data_obj_delete", format!("{TARGET}/{path}"));
            let (pre, post) = seen.get(&key).copied().unwrap_or_default();
            must!(
                pre >= 1 && post >= 1,
                "{path}: {pre} pre, {post} post hooks of its deletion"
            );
        }
    }
    Ok(())
}

/// The catalog holds what the source holds, all of it good.
pub(super) fn mirror(play: &Play) -> Result<(), String> {
    let tree = play.tree.all();
    let catalog = play.server.catalog.lock().unwrap();
    let prefix = format!("{TARGET}/");
    for (path, node) in &tree {
        let target = format!("{prefix}{path}");
        if node.is_directory() {
            must!(
                catalog.collections.contains(&target),
                "collection {path} is missing"
            );
            continue;
        }
        if is_bad(path) {
            must!(!catalog.objects.contains_key(&target), "{path} is there");
            continue;
        }
        let Some(object) = catalog.objects.get(&target) else {
            return Err(format!("{path} is missing"));
        };
        let (replica, stat) = (&object.replica, &node.stat);
        must!(
            replica.status == ReplicaStatus::Good,
            "{path} is {:?}",
            replica.status
        );
        must!(
            replica.size == stat.size,
            "{path} has {} bytes, not {}",
            replica.size,
            stat.size
        );
        match play.options.operation.registers() {
            true => must!(
                replica.mtime == stat.mtime.seconds,
                "{path} has another time"
            ),
            false => must!(object.content == node.content, "{path} has another content"),
        }
    }
    if play.options.delete_mode != DeleteMode::DoNotDelete {
        let there = catalog.objects.keys().chain(&catalog.collections);
        for path in there.filter_map(|path| path.strip_prefix(&prefix)) {
            must!(tree.contains_key(path), "{path} is still there");
        }
    }
    Ok(())
}

/// A pass in fair weather over what did not change.
pub(super) async fn nothing_to_do(play: &Play, job: &Job) -> Result<(), String> {
    account(play, job).await?;
    let t = job.totals;
    // Without memory, an upload is repeated as long as its object is not older than the file by far.
    let forgets = play.options.compare_catalog && play.options.operation.uploads();
    must!(
        forgets || t.skipped_unchanged + t.failed == t.files_seen,
        "work was left: {t:?}"
    );
    let asks = play.options.deletes() || play.options.compare_catalog;
    let bad = play.files().iter().any(|path| is_bad(path));
    let calls = play.world.happened().zone_calls;
    must!(asks || bad || calls == 0, "{calls} calls for nothing");
    Ok(())
}
