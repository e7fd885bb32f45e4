//! What is chosen for one entry over its job's options: what handlers and rules say ([`Choice`]), and what is then done
//! ([`EntryOptions`]).
//!
//! A choice that cannot be followed is never replaced by a default: the entry fails with what is wrong. Pure but for
//! `choose`, which asks; that two entries of a directory do not get one target is seen by who knows all of them.

use std::time::Duration;

use irods_client::access::Grant;
use irods_client::connection::Identity;
use irods_client::metadata::Avu;
use irods_client::protocol::path;

use super::EventHandler;
use crate::error::EntryError;
use crate::naming;
use crate::plan::{DeleteMode, Operation, check_compatible};
use crate::source::Stat;
use crate::spec::JobSpec;

/// What a choice that cannot be followed is called in the ledger.
const WRONG_CHOICE: &str = "WRONG_CHOICE";

/// Most entries that are asked for at once.
const MAX_ASKED: usize = 1000;

/// What a handler may choose for single entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chooses {
    /// Where entries may be put.
    pub targets: Targets,
    /// Whether entries may be applied as another user, for which the worker's own must be a `rodsadmin`.
    pub users: bool,
    /// Whether what is put under another name gets an AVU that says which file it is of. Where entries may be put anywhere, all of them get
    /// it in any case.
    pub claims: bool,
    /// Stands for all that decides its choices (a hash of its text, of its rules): what is remembered as applied under another
    /// number does not count.
    pub digest: u64,
}

/// Where a handler may put entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Targets {
    /// Where they belong by their names.
    Own,
    /// In the collection of their directory, under other names. What is gone from a directory is then told by the names that
    /// its entries get now.
    Names,
    /// Anywhere in the zone. What is in a collection may then be from any directory, so nothing is deleted; and an object that is
    /// uploaded has an AVU that says which file it is of, so that no other takes its place.
    Anywhere,
}

/// An entry that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Absolute path in the source.
    pub path: &'a [u8],
    /// Its logical path, unless another one is chosen.
    pub target: &'a str,
    /// It is where it belongs: a directory that is about to be scanned, whose target was chosen when its parent was, or the root.
    /// Another target has no effect.
    pub placed: bool,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Facts of it; none of a directory that is about to be scanned.
    pub stat: Option<&'a Stat>,
    /// How often it was tried before.
    pub attempts: u32,
}

/// An AVU for what is made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenAvu {
    /// The AVU.
    pub avu: Avu,
    /// Whether it replaces all others of its attribute.
    pub replaces: bool,
}

impl<'a> Candidate<'a> {
    /// A directory that is about to be scanned, and has this collection.
    pub fn directory(path: &'a [u8], collection: &'a str) -> Self {
        Candidate {
            path,
            target: collection,
            placed: true,
            is_directory: true,
            stat: None,
            attempts: 0,
        }
    }
}

/// What is chosen for an entry; where nothing is, the job's options count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is done with it.
    pub operation: Option<Operation>,
    /// Of a directory: what is done with what is gone from it.
    pub delete_mode: Option<DeleteMode>,
    /// The resource; an inner `None` leaves it to the zone.
    pub resource: Option<Option<String>>,
    /// The logical path. What is in a directory follows it.
    pub target: Option<String>,
    /// The physical path as the zone's server sees it.
    pub physical_path: Option<String>,
    /// As whom.
    pub user: Option<Identity>,
    /// How often it is tried again.
    pub max_retries: Option<u32>,
    /// Seconds until the attempt after this one, exactly.
    pub delay: Option<u64>,
    /// Seconds that it may take.
    pub timeout: Option<u64>,
    /// AVUs that it gets when it is made or changed.
    pub avus: Vec<ChosenAvu>,
    /// Permissions that it gets then.
    pub grants: Vec<Grant>,
    /// It is left out, with all that is below it, for this reason. It is not gone.
    pub skip: Option<String>,
    /// What chose, as `plan` shows it.
    pub chosen_by: Option<String>,
    /// Nothing can be done with it: what is wrong. Of the rest only what concerns further attempts counts then.
    pub wrong: Option<String>,
}

/// How a failed entry is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often at most.
    pub max: u32,
    /// When.
    pub delay: Delay,
}

/// The time until a further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// So many seconds, twice as long before each further one, and something by chance.
    Doubling(u64),
    /// So many seconds.
    Exactly(u64),
}

/// What counts for one entry.
#[derive(Debug, Clone)]
pub struct EntryOptions {
    /// What is done with it.
    pub operation: Operation,
    /// Of a directory: what is done with what is gone from it.
    pub delete_mode: DeleteMode,
    /// The resource; none: the zone chooses.
    pub resource: Option<String>,
    /// The logical path.
    pub target: String,
    /// The path under which it is registered.
    pub physical: String,
    /// As whom, if not as the worker's own user.
    pub user: Option<Identity>,
    /// How it is tried again.
    pub retries: Retries,
    /// How long it may take.
    pub timeout: Duration,
    /// AVUs that it gets.
    pub avus: Vec<ChosenAvu>,
    /// Permissions that it gets.
    pub grants: Vec<Grant>,
    /// Why it is left out.
    pub skip: Option<String>,
    /// What chose.
    pub chosen_by: Option<String>,
    /// Why nothing can be done with it.
    pub wrong: Option<EntryError>,
}

impl EntryOptions {
    /// What the job says of an entry.
    pub(crate) fn of_job(spec: &JobSpec, entry: &Candidate<'_>) -> Self {
        let options = &spec.options;
        EntryOptions {
            operation: options.operation,
            delete_mode: options.delete_mode,
            resource: options.resource.clone(),
            target: entry.target.to_owned(),
            physical: naming::physical_path(entry.path),
            user: None,
            retries: options.retries(),
            timeout: options.file_timeout(),
            avus: Vec::new(),
            grants: Vec::new(),
            skip: None,
            chosen_by: None,
            wrong: None,
        }
    }

    /// What a choice makes of that.
    fn chosen(spec: &JobSpec, entry: &Candidate<'_>, targets: Targets, choice: Choice) -> Self {
        let of_job = Self::of_job(spec, entry);
        let pair = (choice.operation, choice.delete_mode);
        let wrong = choice.wrong.or_else(|| {
            let target = choice.target.as_ref().filter(|_| !entry.placed);
            target.and_then(|target| wrong_target(spec, entry, targets, target))
        });
        let retries = Retries {
            max: choice.max_retries.unwrap_or(of_job.retries.max),
            delay: choice.delay.map_or(of_job.retries.delay, Delay::Exactly),
        };
        let mut options = EntryOptions {
            operation: choice.operation.unwrap_or(of_job.operation),
            delete_mode: choice.delete_mode.unwrap_or(of_job.delete_mode),
            resource: choice.resource.unwrap_or(of_job.resource),
            target: match choice.target {
                Some(target) if !entry.placed && wrong.is_none() => target,
                _ => of_job.target,
            },
            physical: choice.physical_path.unwrap_or(of_job.physical),
            user: choice.user,
            retries,
            timeout: match choice.timeout {
                Some(seconds) => Duration::from_secs(seconds.max(1)),
                None => of_job.timeout,
            },
            avus: choice.avus,
            grants: choice.grants,
            skip: choice.skip,
            chosen_by: choice.chosen_by,
            wrong: None,
        };
        // Of a file, only what was chosen together must go together: what is deleted is its directory's affair.
        let incompatible = match (entry.is_directory, pair) {
            (true, _) | (false, (Some(_), Some(_))) => {
                check_compatible(options.operation, options.delete_mode).err()
            }
            _ => None,
        };
        let wrong = wrong.or_else(|| incompatible.map(|error| error.to_string()));
        options.refuse(wrong);
        options
    }

    /// Nothing can be done with it, if there is a reason.
    pub(crate) fn refuse(&mut self, why: Option<String>) {
        if let Some(why) = why {
            let message = match &self.chosen_by {
                Some(by) => format!("{why} (chosen by {by})"),
                None => why,
            };
            self.wrong = Some(EntryError::new(WRONG_CHOICE, message));
        }
    }
}

/// Why an entry cannot be put there.
pub(crate) fn wrong_target(
    spec: &JobSpec,
    entry: &Candidate<'_>,
    targets: Targets,
    target: &str,
) -> Option<String> {
    if target == entry.target {
        return None;
    }
    let checked = match naming::target_collection(target) {
        Err(error) => Err(error.to_string()),
        Ok(normal) if normal != target => Err(format!("target `{target}` is not `{normal}`")),
        Ok(_) if target.split('/').nth(1) != Some(&spec.zone) => {
            Err(format!("target {target} is not in zone {}", spec.zone))
        }
        Ok(_) => Ok(()),
    };
    let elsewhere = || path::parent(target) != path::parent(entry.target);
    match checked {
        Err(why) => Some(why),
        Ok(()) if targets < Targets::Anywhere && elsewhere() => Some(format!(
            "target {target} is in another collection than {}",
            entry.target
        )),
        Ok(()) => None,
    }
}

/// Asks for entries; what counts for each, in their order. Where the handler chooses nothing this costs nothing.
pub(crate) async fn choose(
    handler: &dyn EventHandler,
    spec: &JobSpec,
    asked: &[Candidate<'_>],
) -> Vec<EntryOptions> {
    let Some(chooses) = handler.chooses() else {
        let of_job = |entry| EntryOptions::of_job(spec, entry);
        return asked.iter().map(of_job).collect();
    };
    let mut all = Vec::with_capacity(asked.len());
    for some in asked.chunks(MAX_ASKED) {
        match ask(handler, some).await {
            Ok(choices) => {
                let both = some.iter().zip(choices);
                all.extend(both.map(|(entry, choice)| {
                    EntryOptions::chosen(spec, entry, chooses.targets, choice)
                }));
            }
            // It may be one of them that cannot be answered for: each by itself then.
            Err(_) if some.len() > 1 => {
                for entry in some {
                    all.extend(Box::pin(choose(handler, spec, &[*entry])).await);
                }
            }
            Err(why) => all.extend(some.iter().map(|entry| {
                let mut options = EntryOptions::of_job(spec, entry);
                options.refuse(Some(why.clone()));
                options
            })),
        }
    }
    all
}

/// Choices for all of these entries, or why there are none.
async fn ask(handler: &dyn EventHandler, asked: &[Candidate<'_>]) -> Result<Vec<Choice>, String> {
    match handler.choose(asked).await {
        Ok(choices) if choices.len() == asked.len() => Ok(choices),
        Ok(choices) => Err(format!(
            "{} entries were asked for, {} answered",
            asked.len(),
            choices.len()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks for a directory that is about to be scanned, and has this collection.
pub(crate) async fn choose_directory(
    handler: &dyn EventHandler,
    spec: &JobSpec,
    path: &[u8],
    collection: &str,
    attempts: u32,
) -> EntryOptions {
    let directory = Candidate {
        attempts,
        ..Candidate::directory(path, collection)
    };
    match choose(handler, spec, &[directory]).await.pop() {
        Some(options) => options,
        None => EntryOptions::of_job(spec, &directory),
    }
}
