//! What a job would do, and why: the decisions of [`crate::plan`] on what is there now, and nothing done.
//!
//! Signatures are read where a broker has some, and the catalog is listed where they do not settle a directory, so a decision
//! is made here with more knowledge than the job has when it begins; it comes out the same, since the job learns what it lacks
//! from the errors of its calls. Where only comparing checksums could tell, an upload is foreseen and called possible.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use irods_client::protocol::path;
use xxhash_rust::xxh3::xxh3_64;

use self::file::File;
use super::{Holding, Place, Survey, SurveyError};
use crate::broker::{Broker, Counts};
use crate::core::choice::{EntryOptions, Targets};
use crate::error::EntryError;
use crate::plan::compare::{CatalogNames, Wanted, with_catalog, with_record};
use crate::plan::{
    CatalogState, Decision, DeleteMode, DirectoryFacts, Effect, Operation, Options, Reason,
    decide_directory, guard,
};
use crate::signature::{Record, Verdict};
use crate::source::{Entry, EntryKind, Listing, Stat};
use crate::sync_irods;
use crate::sync_task::{as_placed, join, was_applied};

mod deletions;
mod file;

/// One entry that something would be done with, or that could not be dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Absolute path in the source, whether it is there or not.
    pub path: Vec<u8>,
    /// Logical path.
    pub target: String,
    /// What would be done.
    pub what: Doing,
    /// What chose for it, if something did.
    pub chosen_by: Option<String>,
}

/// What would be done with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// What the plan decided.
    Decided(Decision),
    /// It would be removed from the zone, with what is below it.
    Delete,
    /// It would stay, since it is not certain that it is gone.
    Keep(guard::Kept),
    /// It would stay, since it is of another file: the path that it says.
    KeepOf(String),
    /// A collection would stay for the data objects in it that are of other files.
    DeleteWithin {
        /// What would be removed that is in it, collections too.
        deleted: u64,
        /// Objects that would stay.
        kept: u64,
    },
    /// It would be left out, with what is below it, for this reason.
    LeaveOut(String),
    /// It could not be looked at, or has a name that iRODS does not take.
    Fail(String),
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(Decision::CompareChecksums) => {
                f.write_str("modify: put over, unless the checksums agree")
            }
            Self::Decided(decision) => decision.fmt(f),
            Self::Delete => f.write_str("delete"),
            Self::Keep(why) => write!(f, "keep ({why})"),
            Self::KeepOf(path) => write!(f, "keep (it is of {path})"),
            Self::DeleteWithin { deleted: 0, kept } => {
                write!(f, "keep (of other files in it: {kept})")
            }
            Self::DeleteWithin { deleted, kept } => {
                write!(f, "delete {deleted} in it (of other files: {kept})")
            }
            Self::LeaveOut(why) => write!(f, "leave out ({why})"),
            Self::Fail(why) => write!(f, "fail ({why})"),
        }
    }
}

impl Survey {
    /// Foresees a whole pass; each entry that would not simply be skipped goes to `report` as soon as its directory has been
    /// looked at, in no order; one that would be skipped is reported where something chose for it. `broker` has the signatures, if there is one yet. The counts are those that the pass would end
    /// with; `tasks` and `retried` stay 0.
    ///
    /// # Errors
    /// The source root, the zone or the broker cannot be used.
    pub async fn forecast(
        &self,
        broker: Option<Arc<dyn Broker>>,
        mut report: impl FnMut(Foreseen),
    ) -> Result<Counts, SurveyError> {
        let mut counts = self.above_target().await?;
        // The root counts as found.
        counts.dirs_seen = 1;
        let meant = Arc::new(Meant::default());
        let visit = move |survey: Survey, place| {
            let (broker, meant) = (broker.clone(), meant.clone());
            async move { survey.foresee(broker, &meant, place).await }
        };
        self.walk(visit, |(part, foreseen): (Counts, Vec<Foreseen>)| {
            counts += part;
            foreseen.into_iter().for_each(&mut report);
        })
        .await?;
        Ok(counts)
    }

    /// Collections above the target that would have to be made.
    async fn above_target(&self) -> Result<Counts, SurveyError> {
        let mut counts = Counts::default();
        if self.spec.options.operation == Operation::NoOp {
            return Ok(counts);
        }
        let mut zone = self.zone.get().await?;
        let mut above = path::parent(&self.spec.target);
        while let Some(collection) = above
            && !zone.collection_exists(collection).await?
        {
            counts.collections_created += 1;
            above = path::parent(collection);
        }
        Ok(counts)
    }

    /// One directory: itself, its files, and what the zone has besides.
    async fn foresee(
        self,
        broker: Option<Arc<dyn Broker>>,
        meant: &Meant,
        place: Place,
    ) -> Result<(Vec<Place>, (Counts, Vec<Foreseen>)), SurveyError> {
        let options = &self.spec.options;
        let here = self.here(&place).await;
        if let Some(what) = left_out(&here) {
            let mut day = Day::default();
            day.counts += outcome(&what, None, here.operation);
            day.foreseen
                .push(self.foreseen(&place.directory, &here, what));
            return Ok((Vec::new(), (day.counts, day.foreseen)));
        }
        let segments = match &broker {
            Some(broker) if !options.compare_catalog && !place.fresh => {
                let key = self
                    .spec
                    .cache_key(&place.directory, self.handler.chooses());
                broker.signatures(&key).await?
            }
            _ => Vec::new(),
        };
        let record = Record::read(segments.iter().map(|segment| segment.bytes.as_slice()));
        // Sub-directories are looked for in it too, so it is listed in any case.
        let mut holding = self.holding(&place).await?;
        let names = match options.compare_catalog {
            true => Some(holding.names()),
            false => None,
        };
        let listing = match self.list(&place, here.operation).await? {
            Ok(listing) => listing,
            Err(error) if place.directory.is_empty() => return Err(error.into()),
            Err(error) => {
                let what = Doing::Fail(error.to_string());
                let counts = Counts {
                    failed: 1,
                    ..Counts::default()
                };
                let failed = self.foreseen(&place.directory, &here, what);
                return Ok((Vec::new(), (counts, vec![failed])));
            }
        };
        let mut day = Day::default();
        if !self.foresee_directory((&place, &here), &record, (&listing, meant), &mut day) {
            return Ok((Vec::new(), (day.counts, day.foreseen)));
        }
        let mut placing = self.place_entries(&place, &listing, &mut holding).await?;
        let deletes =
            here.delete_mode != DeleteMode::DoNotDelete && self.targets() != Targets::Anywhere;
        let listed = options.compare_catalog || deletes;
        for double in placing.doubles(&listing, self.targets()) {
            let mut holder = None;
            for at in double.iter().copied().filter(|_| !options.compare_catalog) {
                let target = placing.at(at).map_or("", |options| &options.target);
                if was_applied(&record, &listing.entries[at], target) {
                    holder = Some(at);
                    break;
                }
            }
            let there = |at: &&usize| {
                let target = placing.at(**at).map_or("", |options| &options.target);
                listed && (holding.replicas(target).is_some() || holding.is_collection(target))
            };
            let first = double.first().filter(|at| !there(at)).copied();
            placing.settle(&listing, &double, holder.or(first));
        }
        let known = Known {
            record: &record,
            names: names.as_ref(),
            listed,
            holding: &holding,
        };
        let mut files = Vec::new();
        for (index, entry) in listing.entries.iter().enumerate() {
            let Some(options) = placing.at(index) else {
                break;
            };
            let refusal = placing.refusal(index);
            let verdict = self.count_entry(&place, (entry, options, refusal), &known, &mut day);
            if let Some(verdict) = verdict {
                let file = File {
                    entry,
                    options,
                    verdict,
                };
                files.push(file);
            }
        }
        let hindrances = self.hindrances(&place, &files, &holding).await?;
        for (file, hindrance) in files.into_iter().zip(hindrances) {
            let found = (&holding, meant);
            self.foresee_file(&place, &file, hindrance, found, &mut day)
                .await?;
        }
        for (index, (name, error)) in listing.errors.iter().enumerate() {
            day.counts.failed += 1;
            let what = Doing::Fail(error.to_string());
            let options = placing.at(listing.entries.len() + index).unwrap_or(&here);
            let relative = join(&place.directory, name);
            day.foreseen.push(self.foreseen(&relative, options, what));
        }
        if deletes {
            let at = (place.directory.as_slice(), place.collection.as_str());
            let present = placing.present(&self.spec, at, &listing);
            self.deletions((&place, &here), &record, &present, &holding, &mut day)
                .await?;
        }
        Ok((day.below, (day.counts, day.foreseen)))
    }

    fn foreseen(&self, relative: &[u8], options: &EntryOptions, what: Doing) -> Foreseen {
        Foreseen {
            path: self.spec.absolute(relative),
            target: options.target.clone(),
            what,
            chosen_by: options.chosen_by.clone(),
        }
    }

    /// The directory itself; whether its entries are looked at.
    fn foresee_directory(
        &self,
        (place, here): (&Place, &EntryOptions),
        record: &Record,
        (listing, meant): (&Listing, &Meant),
        day: &mut Day,
    ) -> bool {
        let options = &self.spec.options;
        let verdict = match (options.compare_catalog, place.in_zone) {
            (true, true) => Verdict::Unchanged,
            (true, false) => Verdict::New,
            (false, _) => record.verdict(b"", &listing.directory),
        };
        let decide = |catalog| {
            decide_directory(&DirectoryFacts {
                operation: here.operation,
                verdict,
                catalog: &catalog,
                options: self.options(),
            })
        };
        let mut decision = decide(match place.in_zone {
            true => CatalogState::Collection,
            false => CatalogState::Absent,
        });
        let creates = |decision| {
            matches!(
                decision,
                Decision::Act {
                    effect: Effect::CreateCollection,
                    ..
                }
            )
        };
        if creates(decision) && place.blocked {
            decision = decide(CatalogState::DataObject(Vec::new()));
        }
        let refused = matches!(decision, Decision::Refuse(_));
        day.counts.failed += u64::from(refused);
        day.counts.collections_created +=
            u64::from(creates(decision) && meant.makes(&place.collection));
        if refused || creates(decision) {
            let what = Doing::Decided(decision);
            day.foreseen
                .push(self.foreseen(&place.directory, here, what));
        }
        !refused
    }

    fn options(&self) -> Options {
        Options {
            ignore_cache: self.spec.options.ignore_cache,
            initial_ingest: self.spec.options.initial_ingest,
            ..Options::default()
        }
    }

    /// Counts an entry; answers how a file that something is to be done with compares with what is known.
    fn count_entry(
        &self,
        place: &Place,
        (entry, options, refusal): (&Entry, &EntryOptions, Option<&EntryError>),
        known: &Known<'_>,
        day: &mut Day,
    ) -> Option<Verdict> {
        let relative = join(&place.directory, &entry.name);
        let is_directory = entry.stat.kind == EntryKind::Directory;
        day.counts.dirs_seen += u64::from(is_directory);
        day.counts.files_seen += u64::from(!is_directory);
        if self
            .filter
            .excludes(&self.spec.absolute(&relative), entry.stat.kind)
        {
            day.counts.excluded += 1;
            return None;
        }
        if let Some(refusal) = refusal {
            day.counts.failed += 1;
            let what = Doing::Fail(refusal.to_string());
            day.foreseen.push(self.foreseen(&relative, options, what));
            return None;
        }
        let gone = known.certainly_lacks(options);
        if is_directory {
            let moved = self.targets() != Targets::Own
                && !known.record.is_placed(&entry.name, &options.target);
            day.below.push(Place {
                fresh: place.fresh || moved || gone,
                ..self.below(place, &entry.name, options, known.holding)
            });
            return None;
        }
        let verdict = match known.names {
            Some(names) => match known.holding.name(&options.target) {
                Some(name) => {
                    let wanted = Wanted {
                        name,
                        physical_path: &options.physical,
                        operation: options.operation,
                        resource: options.resource.as_deref(),
                    };
                    with_catalog(entry, names, wanted).0
                }
                None => Verdict::New,
            },
            None => match with_record(entry, known.record, self.options()) {
                Verdict::Unchanged if gone => Verdict::New,
                verdict => verdict,
            },
        };
        if verdict == Verdict::Unchanged {
            day.counts.skipped_unchanged += 1;
            if options.chosen_by.is_some() {
                let what = Doing::Decided(Decision::Skip(Reason::Unchanged));
                day.foreseen.push(self.foreseen(&relative, options, what));
            }
            return None;
        }
        Some(as_placed(self.targets(), options.operation, verdict))
    }

    /// How many collections there have to be made for something in this one.
    async fn above(&self, mut collection: Option<&str>, meant: &Meant) -> Result<u64, SurveyError> {
        let mut made = 0;
        while let Some(next) = collection
            && path::parent(next).is_some()
            && !meant.is_made(next)
        {
            if self.zone.get().await?.collection_exists(next).await? {
                break;
            }
            made += u64::from(meant.makes(next));
            collection = path::parent(next);
        }
        Ok(made)
    }
}

/// What the pass would have made so far, whatever directory it is from.
#[derive(Debug, Default)]
struct Meant {
    /// Hashes of the logical paths of files, where rules or handlers place them.
    objects: Mutex<HashSet<u64>>,
    collections: Mutex<HashSet<String>>,
}

impl Meant {
    /// Whether no other file was meant for this path.
    fn is_first(&self, target: &str) -> bool {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(xxh3_64(target.as_bytes()))
    }

    /// Makes a collection; whether it was not made before.
    fn makes(&self, collection: &str) -> bool {
        let made = &self.collections;
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(collection.to_owned())
    }

    fn is_made(&self, collection: &str) -> bool {
        let made = &self.collections;
        let made = made.lock().unwrap_or_else(PoisonError::into_inner);
        made.contains(collection)
    }
}

/// What is foreseen of one directory.
#[derive(Debug, Default)]
struct Day {
    below: Vec<Place>,
    counts: Counts,
    foreseen: Vec<Foreseen>,
}

/// What is done with an entry that is left out or cannot be dealt with, whatever it is.
fn left_out(options: &EntryOptions) -> Option<Doing> {
    match (&options.wrong, &options.skip) {
        (Some(wrong), _) => Some(Doing::Fail(wrong.to_string())),
        (None, Some(why)) => Some(Doing::LeaveOut(why.clone())),
        (None, None) => None,
    }
}

/// What decides, besides the entries.
struct Known<'a> {
    record: &'a Record,
    /// The catalog, where it is what is compared with.
    names: Option<&'a CatalogNames>,
    /// The job lists the collection.
    listed: bool,
    holding: &'a Holding,
}

impl Known<'_> {
    /// The job sees that there is nothing where an entry belongs.
    fn certainly_lacks(&self, options: &EntryOptions) -> bool {
        let target = &options.target;
        let is_there =
            || self.holding.replicas(target).is_some() || self.holding.is_collection(target);
        self.listed && self.holding.name(target).is_some() && !is_there()
    }
}

/// What the pass would count for an entry.
fn outcome(what: &Doing, stat: Option<&Stat>, operation: Operation) -> Counts {
    let mut counts = Counts::default();
    let size = stat.map_or(0, |stat| stat.size);
    match what {
        Doing::Decided(Decision::Act { effect, .. }) => match *effect {
            Effect::Register | Effect::RegisterReplica => {
                counts.registered = 1;
                counts.bytes_registered = size;
            }
            Effect::UpdateReplica { .. } => counts.updated = 1,
            Effect::PutNew | Effect::PutOver => {
                counts.uploaded = 1;
                counts.bytes_uploaded = size;
            }
            Effect::Append { from } => {
                counts.appended = 1;
                counts.bytes_uploaded = size.saturating_sub(from);
            }
            Effect::Nothing if operation == Operation::NoOp => counts.skipped_unchanged = 1,
            Effect::Nothing => counts.metadata_only = 1,
            Effect::CreateCollection => counts.collections_created = 1,
        },
        Doing::Decided(Decision::Skip(_)) => counts.skipped_unchanged = 1,
        Doing::Decided(Decision::CompareChecksums) => {
            counts.uploaded = 1;
            counts.bytes_uploaded = size;
        }
        Doing::Decided(Decision::Look) => {}
        Doing::Decided(Decision::Refuse(_)) | Doing::Fail(_) => counts.failed = 1,
        Doing::LeaveOut(_) => counts.left_out = 1,
        Doing::Delete | Doing::Keep(_) | Doing::KeepOf(_) | Doing::DeleteWithin { .. } => {}
    }
    counts
}

impl Holding {
    /// As comparing with the catalog wants it.
    fn names(&self) -> CatalogNames {
        let mut names = CatalogNames::default();
        for (name, replicas) in &self.objects {
            for replica in replicas {
                names.add_replica(name, &sync_irods::replica(replica.clone()));
            }
        }
        for name in &self.collections {
            names.add_collection(name);
        }
        names
    }

    /// As a decision wants it.
    fn state(&self, target: &str) -> CatalogState {
        match self.replicas(target) {
            Some(replicas) => CatalogState::DataObject(
                replicas.iter().cloned().map(sync_irods::replica).collect(),
            ),
            None if self.is_collection(target) => CatalogState::Collection,
            None => CatalogState::Absent,
        }
    }
}
