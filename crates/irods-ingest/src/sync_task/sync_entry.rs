//! One file: look at it again, gather what must be known, ask the plan, act through `core`. (`sync_files` looks once more.)

use irods_client::metadata::Entity;

use super::FileItem;
use super::looks::{Looks, Seen};
use super::task::{join, relative_path};
use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::Subject;
use crate::core::choice::{EntryOptions, Targets};
use crate::error::{EntryError, SyncError};
use crate::naming;
use crate::plan::compare::Presence;
use crate::plan::{
    self, CatalogState, Checksums, Decision, FileFacts, Operation, Options, Reason, Refusal,
    Replica, decide_file,
};
use crate::profile::{About, Stage};
use crate::signature::Verdict;
use crate::source::{EntryKind, Look, SourceError, Stat, Timestamp};
use crate::sync_irods::{self, FileAction, Meeting, Owner, Standing, in_time, patiently};
use crate::zone::Session;

mod changed;

/// What became of one file.
#[derive(Debug, Default)]
pub(super) struct FileDone {
    pub(super) counts: Counts,
    /// What to remember if it is still so, and when that was seen.
    pub(super) signature: Option<(Stat, Timestamp)>,
    /// Nothing was done: it looks like this now, and it must be written down first that its data has changed.
    pub(super) changed: Option<Stat>,
}

/// So many turns may be taken by asking and deciding again; see `sync_dir`.
const MAX_TURNS: usize = 8;

/// Applies one file; `direct` as in [`FileAction`].
///
/// # Errors
/// [`SyncError::Entry`] for what concerns this file alone.
pub(super) async fn sync_entry(
    context: &JobContext,
    directory: &[u8],
    item: &FileItem,
    options: &EntryOptions,
    looks: &mut Looks<'_>,
    direct: bool,
) -> Result<FileDone, SyncError> {
    if let Some(wrong) = &options.wrong {
        return Err(SyncError::Entry(wrong.clone()));
    }
    if options.skip.is_some() {
        return Ok(FileDone {
            counts: left_out(),
            ..FileDone::default()
        });
    }
    let operation = options.operation;
    let absolute = context.absolute(&join(directory, &item.name));
    let logical = &options.target;
    naming::check_entry(logical, &options.physical, operation)
        .map_err(|error| SyncError::Entry(EntryError::new("BAD_NAME", error.to_string())))?;
    let Seen {
        look,
        at: seen_at,
        content,
        ..
    } = looks.take().await?;
    if !look.readable {
        return Err(SyncError::Entry(EntryError::new(
            "SOURCE_UNREADABLE",
            format!(
                "physical path is not readable [{}]",
                bstr::BStr::new(&absolute)
            ),
        )));
    }
    if look.stat.kind != item.stat.kind {
        if look.stat.kind == EntryKind::Directory {
            let path = bstr::BStr::new(&absolute);
            return Err(SyncError::Entry(EntryError::new(
                "SOURCE_CHANGED",
                format!("{path} has become a directory; the next scan takes it up"),
            )));
        }
        if context.filter.excludes(&absolute, look.stat.kind) {
            return Ok(FileDone {
                counts: Counts {
                    excluded: 1,
                    ..Counts::default()
                },
                ..FileDone::default()
            });
        }
    }
    let found = (absolute.as_slice(), &look, content.as_deref());
    let file = File::new(context, directory, item, options, found).directly(direct);
    if !file.is_as_scanned() && item.verdict == Verdict::MetadataChanged {
        return Ok(FileDone {
            changed: Some(look.stat),
            ..FileDone::default()
        });
    }
    let done = patiently(context, options.user.as_ref(), |mut zone, redelivered| {
        let file = &file;
        async move {
            let work = std::pin::pin!(file.decide_and_act(zone.as_mut(), redelivered));
            in_time(options.timeout, logical, work).await
        }
    })
    .await;
    let counts = match done {
        // A handler that replaces the action did not have it done: whatever it did instead is not known here.
        Ok(counts) if counts == Counts::default() => left_out(),
        Ok(counts) => counts,
        Err(SyncError::LeftOut(_)) => {
            return Ok(FileDone {
                counts: left_out(),
                ..FileDone::default()
            });
        }
        Err(other) => return Err(own_resource(context, options, other)),
    };
    Ok(FileDone {
        counts,
        signature: Some((look.stat, seen_at)),
        changed: None,
    })
}

/// What the job names, all of its entries name; what an entry names itself is its own affair.
fn own_resource(context: &JobContext, options: &EntryOptions, error: SyncError) -> SyncError {
    match error {
        SyncError::Job(why) if options.resource != context.spec.options.resource => {
            SyncError::Entry(EntryError::new("WRONG_RESOURCE", why))
        }
        other => other,
    }
}

/// A file and all that counts for it.
pub(super) struct File<'a> {
    context: &'a JobContext,
    directory: &'a [u8],
    item: &'a FileItem,
    absolute: &'a [u8],
    logical: &'a str,
    options: &'a EntryOptions,
    look: &'a Look,
    /// What the file holds, if it was read already.
    content: Option<&'a [u8]>,
    verdict: Verdict,
    /// Whether the hooks of an event are around it already.
    within_event: bool,
    /// See [`FileAction::direct`].
    direct: bool,
}

impl<'a> File<'a> {
    /// At its absolute path, as it was looked at and perhaps read.
    pub(super) fn new(
        context: &'a JobContext,
        directory: &'a [u8],
        item: &'a FileItem,
        options: &'a EntryOptions,
        (absolute, look, content): (&'a [u8], &'a Look, Option<&'a [u8]>),
    ) -> Self {
        let mut file = File {
            context,
            directory,
            item,
            absolute,
            logical: &options.target,
            options,
            look,
            content,
            verdict: item.verdict,
            within_event: false,
            direct: false,
        };
        // Changed again since the scan: whatever the scan thought of it, its data may differ.
        file.verdict = match file.is_as_scanned() {
            true => as_placed(context.targets(), options.operation, item.verdict),
            false => item.verdict.min(Verdict::DataChanged),
        };
        file
    }

    /// See [`FileAction::direct`].
    pub(super) fn directly(self, direct: bool) -> Self {
        File { direct, ..self }
    }

    fn is_as_scanned(&self) -> bool {
        self.look.stat.unchanged_since(&self.item.stat)
    }

    /// Whether one call makes its object, if nothing has the name: nothing is asked for before, and nothing follows.
    pub(super) fn is_one_call(&self) -> bool {
        let catalog = match self.item.presence {
            Presence::Absent => CatalogState::Absent,
            Presence::Unknown | Presence::Exists => CatalogState::Unknown,
        };
        let create = |effect| Decision::Act {
            event: plan::Event::Create,
            effect,
        };
        let (physical, operation) = (&self.options.physical, self.options.operation);
        self.look.readable
            && self.is_as_scanned()
            && naming::check_entry(self.logical, physical, operation).is_ok()
            && match self.decide(&catalog, false, Checksums::Unknown, false) {
                decision if decision == create(plan::Effect::Register) => true,
                decision if decision == create(plan::Effect::PutNew) => self.content.is_some(),
                _ => false,
            }
    }

    fn decide(
        &self,
        catalog: &CatalogState,
        own_source: bool,
        checksums: Checksums,
        redelivered: bool,
    ) -> Decision {
        let options = &self.context.spec.options;
        let facts = FileFacts {
            own_source,
            operation: self.options.operation,
            stat: &self.look.stat,
            verdict: self.verdict,
            catalog,
            checksums,
            physical_path: &self.options.physical,
            resource: self.options.resource.as_deref(),
            options: Options {
                ignore_cache: options.ignore_cache,
                initial_ingest: options.initial_ingest && *catalog == CatalogState::Unknown,
                hooks: self.context.has_object_hooks(),
                redelivered: redelivered || self.item.redelivered,
                existed: self.item.existed,
            },
        };
        let about = About::path(self.absolute);
        let stages = &self.context.stages;
        stages.time(Stage::Plan, "file", about, || decide_file(&facts))
    }

    async fn decide_and_act(
        &self,
        zone: &mut dyn Session,
        redelivered: bool,
    ) -> Result<Counts, SyncError> {
        let mut standing = match sync_irods::is_claimed(&self.action()) {
            true => None,
            false => Some(Standing::Ours),
        };
        let mut catalog = match self.item.presence {
            Presence::Unknown => CatalogState::Unknown,
            Presence::Absent => CatalogState::Absent,
            Presence::Exists => sync_irods::look(zone, self.logical).await?,
        };
        let mut checksums = Checksums::Unknown;
        let mut taken = false;
        for _ in 0..MAX_TURNS {
            let own_source = self.is_own_source(&catalog).await?;
            if let (None, CatalogState::DataObject(replicas)) = (&standing, &catalog) {
                if own_source && !self.is_at_home() {
                    return Err(self.refuse(Refusal::OwnSource));
                }
                match self.stand(zone, replicas, redelivered).await? {
                    Standing::Taken(by) => {
                        let taken = sync_irods::taken(self.logical, self.absolute, &by);
                        return Err(SyncError::Entry(taken));
                    }
                    found => standing = Some(found),
                }
            }
            match self.decide(&catalog, own_source, checksums, redelivered) {
                Decision::Skip(reason) => {
                    if reason == Reason::AlreadyEqual {
                        // An earlier run may have registered it and failed before its AVUs.
                        sync_irods::complete(zone, &self.action()).await?;
                    }
                    return Ok(skipped());
                }
                Decision::Refuse(refusal) => return Err(self.refuse(refusal)),
                Decision::Look => catalog = sync_irods::look(zone, self.logical).await?,
                Decision::CompareChecksums => {
                    checksums = self.compare_checksums(zone).await?;
                }
                Decision::Act { event, effect } => {
                    self.context.tenure.hold.check()?;
                    let acted = match self.within_event {
                        true => {
                            let created = event == plan::Event::Create;
                            sync_irods::perform(zone, &self.action(), effect, created).await
                        }
                        false => self.act(zone, event, effect, redelivered).await,
                    };
                    match acted {
                        Err(SyncError::Entry(error))
                            if error.is_name_taken() && !is_known(&catalog) =>
                        {
                            catalog = sync_irods::look(zone, self.logical).await?;
                            if taken && catalog == CatalogState::Absent {
                                return Err(SyncError::Entry(EntryError {
                                    message: format!(
                                        "{} is taken by something that this user may not see: {}",
                                        self.logical, error.message
                                    ),
                                    ..error
                                }));
                            }
                            taken = true;
                        }
                        Err(SyncError::Entry(error))
                            if error.may_be_in_use() && !is_known(&catalog) =>
                        {
                            catalog = sync_irods::look(zone, self.logical).await?;
                            if !is_known(&catalog) {
                                return Err(SyncError::Entry(error));
                            }
                        }
                        other => return other,
                    }
                }
            }
        }
        Err(SyncError::Entry(EntryError::new(
            "UNSTABLE",
            format!("{} keeps changing while it is looked at", self.logical),
        )))
    }

    fn refuse(&self, refusal: Refusal) -> SyncError {
        let message = refusal.describe(self.absolute, self.logical);
        SyncError::Entry(EntryError::new("REFUSED", message))
    }

    /// How this file stands to the object that is there; its own is claimed.
    async fn stand(
        &self,
        zone: &mut dyn Session,
        replicas: &[Replica],
        redelivered: bool,
    ) -> Result<Standing, SyncError> {
        let avus = zone.list_avus(Entity::DataObject(self.logical)).await?;
        let owner = Owner::of(&avus, self.absolute);
        let standing = sync_irods::stand(
            owner,
            &Meeting {
                operation: self.options.operation,
                at_home: self.is_at_home(),
                redelivered: redelivered || self.item.redelivered,
                replicas,
            },
        );
        if standing == Standing::Ours {
            sync_irods::claim(zone, &self.action(), Some(avus)).await?;
        }
        Ok(standing)
    }

    /// Whether it is put where its name says.
    fn is_at_home(&self) -> bool {
        self.context.spec.is_at_home(self.absolute, self.logical)
    }

    async fn compare_checksums(&self, zone: &mut dyn Session) -> Result<Checksums, SyncError> {
        let action = self.action();
        Box::pin(sync_irods::compare_checksums(zone, &action)).await
    }

    /// Whether an upload would be over the file itself, which the object is registered from by another name, or over another file of the
    /// source.
    async fn is_own_source(&self, catalog: &CatalogState) -> Result<bool, SyncError> {
        let CatalogState::DataObject(replicas) = catalog else {
            return Ok(false);
        };
        if !self.options.operation.uploads() {
            return Ok(false);
        }
        let paths: Vec<String> = replicas.iter().map(|r| r.physical_path.clone()).collect();
        if paths.iter().any(|path| self.context.spec.has_as_own(path)) {
            return Ok(true);
        }
        let (directory, name) = (relative_path(self.directory), self.item.name.clone());
        self.context
            .at_source(move |source| {
                let same = |path: &String| source.is_same_file(&directory, &name, path.as_ref());
                Ok::<_, SourceError>(paths.iter().any(same))
            })
            .await
    }

    pub(super) fn action(&self) -> FileAction<'_> {
        FileAction {
            context: self.context,
            directory: self.directory,
            name: &self.item.name,
            subject: Subject {
                path: self.absolute,
                target: self.logical,
                operation: self.options.operation,
                stat: Some(&self.look.stat),
                user: self.options.user.as_ref(),
            },
            options: self.options,
            stat: &self.look.stat,
            content: self.content,
            link: self.look.link.as_ref().map(|text| text.as_slice()),
            direct: self.direct,
        }
    }
}

/// Where facts decide of the target, one that changed at all may have another than before: what is there must be looked at.
pub(crate) fn as_placed(targets: Targets, operation: Operation, verdict: Verdict) -> Verdict {
    match (targets, verdict) {
        (Targets::Anywhere, Verdict::MetadataChanged) if operation.registers() => {
            Verdict::DataChanged
        }
        _ => verdict,
    }
}

fn is_known(catalog: &CatalogState) -> bool {
    matches!(
        catalog,
        CatalogState::Collection | CatalogState::DataObject(_)
    )
}

/// Of an entry that was chosen to be left out.
pub(super) fn left_out() -> Counts {
    Counts {
        left_out: 1,
        ..Counts::default()
    }
}

/// Of a file that nothing was done with.
fn skipped() -> Counts {
    Counts {
        skipped_unchanged: 1,
        ..Counts::default()
    }
}
