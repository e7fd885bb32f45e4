//! What would become of a file: whether it can be read, whose the object in its place is, and the decision that the job ends with.

use bstr::BString;
use irods_client::metadata::Entity;
use irods_client::protocol::path;

use super::{Day, Doing, Meant, left_out, outcome};
use crate::core::choice::{EntryOptions, Targets};
use crate::naming;
use crate::plan::{
    CatalogState, Checksums, Decision, Effect, FileFacts, Operation, Reason, Refusal, decide_file,
};
use crate::signature::Verdict;
use crate::source::Entry;
use crate::survey::{Holding, Place, Survey, SurveyError};
use crate::sync_irods::{self, Holder, Meeting, Owner, Standing};
use crate::sync_task::{join, relative_path};

/// A file that something is to be done with.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) entry: &'a Entry,
    pub(super) options: &'a EntryOptions,
    pub(super) verdict: Verdict,
}

/// What keeps a file from being read.
pub(super) enum Hindrance {
    None,
    /// It cannot be looked at, which is done first.
    Look(String),
    /// It cannot be opened, which an upload does before it calls the zone.
    Open(String),
    /// It is what the object is registered from.
    OwnSource,
}

/// What is done in the end. A call that finds the name taken is followed by another decision; here it is known beforehand
/// that it would.
fn as_executed(facts: &FileFacts<'_>, state: &CatalogState, hindrance: Hindrance) -> Doing {
    let taken = matches!(
        state,
        CatalogState::DataObject(_) | CatalogState::Collection
    );
    let known = FileFacts {
        catalog: state,
        ..*facts
    };
    let hinders = |decision: Decision| match decision {
        Decision::CompareChecksums => true,
        Decision::Act { effect, .. } => matches!(
            effect,
            Effect::PutNew | Effect::PutOver | Effect::Append { .. }
        ),
        _ => false,
    };
    let first = decide_file(facts);
    let decision = match (first, &hindrance) {
        (decision, Hindrance::Open(why)) if hinders(decision) => return Doing::Fail(why.clone()),
        (Decision::Look, _) => decide_file(&known),
        (Decision::Act { effect, .. }, _)
            if taken && matches!(effect, Effect::Register | Effect::PutNew) =>
        {
            decide_file(&known)
        }
        (decision, _) => decision,
    };
    match hindrance {
        Hindrance::Open(why) if hinders(decision) => Doing::Fail(why),
        _ => Doing::Decided(decision),
    }
}

impl Survey {
    /// Of each file, what would keep it from being read.
    pub(super) async fn hindrances(
        &self,
        place: &Place,
        files: &[File<'_>],
        holding: &Holding,
    ) -> Result<Vec<Hindrance>, SurveyError> {
        let directory = relative_path(&place.directory);
        let of_zone = |target: &str| {
            let replicas = holding.replicas(target).into_iter().flatten();
            replicas.map(|r| r.path.to_string()).collect()
        };
        let names: Vec<(BString, Operation, Vec<String>)> = files
            .iter()
            .map(|file| {
                let options = file.options;
                let name = file.entry.name.clone();
                (name, options.operation, of_zone(&options.target))
            })
            .collect();
        let spec = self.spec.clone();
        self.at_source(move |source| {
            let same = |name: &BString, path: &String| {
                spec.has_as_own(path) || source.is_same_file(&directory, name, path.as_ref())
            };
            let hindrance =
                |(name, operation, paths): &(BString, Operation, Vec<String>)| match source.look(
                    &directory,
                    name,
                    operation.links(),
                ) {
                    Err(error) => Hindrance::Look(error.to_string()),
                    Ok(look) if !look.readable => Hindrance::Look("it is not readable".to_owned()),
                    // What has a version was asked for with the right to read it.
                    Ok(_) if operation.uploads() && !source.is_versioned() => {
                        match source.open(&directory, name, 0) {
                            Err(error) => Hindrance::Open(error.to_string()),
                            Ok(_) if paths.iter().any(|path| same(name, path)) => {
                                Hindrance::OwnSource
                            }
                            Ok(_) => Hindrance::None,
                        }
                    }
                    Ok(_) => Hindrance::None,
                };
            names.iter().map(hindrance).collect()
        })
        .await
    }

    pub(super) async fn foresee_file(
        &self,
        place: &Place,
        file: &File<'_>,
        hindrance: Hindrance,
        (holding, meant): (&Holding, &Meant),
        day: &mut Day,
    ) -> Result<(), SurveyError> {
        let File {
            entry,
            options,
            verdict,
        } = *file;
        let relative = join(&place.directory, &entry.name);
        let operation = options.operation;
        let state = holding.state(&options.target);
        let facts = FileFacts {
            own_source: matches!(hindrance, Hindrance::OwnSource),
            operation,
            stat: &entry.stat,
            verdict,
            catalog: &CatalogState::Unknown,
            checksums: Checksums::Unknown,
            physical_path: &options.physical,
            resource: options.resource.as_deref(),
            options: self.options(),
        };
        let checked = naming::check_entry(&options.target, &options.physical, operation);
        let mut what = match (checked, hindrance) {
            _ if let Some(what) = left_out(options) => what,
            (Err(error), _) => Doing::Fail(error.to_string()),
            (_, Hindrance::Look(why)) => Doing::Fail(why),
            (_, hindrance) => as_executed(&facts, &state, hindrance),
        };
        let absolute = self.spec.absolute(&relative);
        let claims = self
            .spec
            .claims(self.handler.chooses(), &absolute, &options.target);
        let at_home = self.spec.is_at_home(&absolute, &options.target);
        if facts.own_source && claims && !at_home && matches!(what, Doing::Decided(_)) {
            what = Doing::Decided(Decision::Refuse(Refusal::OwnSource));
        } else if let Doing::Decided(decision) = what
            && let Some(holder) = self
                .holder(&absolute, file, &state, decision, meant)
                .await?
        {
            let taken = sync_irods::taken(&options.target, &absolute, &holder);
            what = match operation.uploads() {
                true => Doing::Fail(taken.to_string()),
                // Its path tells whose it is, and that this is another one's.
                false => Doing::Decided(Decision::Refuse(Refusal::WrongResourceOrPath)),
            };
        }
        day.counts += outcome(&what, Some(&entry.stat), operation);
        if let Doing::Decided(Decision::Act { effect, .. }) = what
            && matches!(effect, Effect::Register | Effect::PutNew)
        {
            let elsewhere = path::parent(&options.target).filter(|c| *c != place.collection);
            day.counts.collections_created += self.above(elsewhere, meant).await?;
        }
        let skipped = matches!(what, Doing::Decided(Decision::Skip(_)));
        if !skipped || options.chosen_by.is_some() {
            day.foreseen.push(self.foreseen(&relative, options, what));
        }
        Ok(())
    }

    /// Who has the object that something would be done with, if it is not this file's.
    async fn holder(
        &self,
        absolute: &[u8],
        file: &File<'_>,
        state: &CatalogState,
        decision: Decision,
        meant: &Meant,
    ) -> Result<Option<Holder>, SurveyError> {
        let options = file.options;
        let chooses = self.handler.chooses();
        let claims = self.spec.claims(chooses, absolute, &options.target)
            && (options.operation.uploads()
                || options.operation == Operation::RegisterAsReplicaSync);
        let writes = match decision {
            Decision::CompareChecksums => true,
            Decision::Act { effect, .. } => {
                matches!(effect, Effect::PutOver | Effect::Append { .. })
            }
            _ => false,
        };
        if let CatalogState::DataObject(replicas) = state
            && (claims || writes)
        {
            let avus = {
                let mut zone = self.zone.get().await?;
                zone.list_avus(Entity::DataObject(&options.target)).await?
            };
            let met = Meeting {
                operation: options.operation,
                at_home: self.spec.is_at_home(absolute, &options.target),
                redelivered: false,
                replicas,
            };
            match Owner::of(&avus, absolute) {
                Owner::Other(other) => return Ok(Some(Holder::File(other))),
                owner if claims => {
                    if let Standing::Taken(by) = sync_irods::stand(owner, &met) {
                        return Ok(Some(by));
                    }
                }
                _ => {}
            }
        }
        let has_it = match decision {
            Decision::Act { effect, .. } => effect != Effect::Nothing,
            Decision::CompareChecksums | Decision::Skip(Reason::AlreadyEqual) => true,
            _ => false,
        };
        let first = !has_it || self.targets() == Targets::Own || meant.is_first(&options.target);
        Ok((!first).then(|| Holder::File("another entry".to_owned())))
    }
}
