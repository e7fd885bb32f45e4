//! An event of a file with its hooks around it, and what a hook before the action changes of it: another logical path, another path
//! that is registered or read, another size, time or resource.
//!
//! Another logical path is decided about anew, within the event that has begun: whatever is there, and whose it is, counts as for an
//! entry that was chosen to be put there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use super::{File, FileItem, own_resource};
use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::choice::{Candidate, EntryOptions, Targets, wrong_target};
use crate::core::{Changes, on_data_obj_create, on_data_obj_modify};
use crate::error::{EntryError, SyncError};
use crate::naming;
use crate::plan::compare::Presence;
use crate::plan::{Effect, Event};
use crate::source::{FileSystem, Look, Source};
use crate::sync_irods;
use crate::zone::Session;

type Acting<'a> = Pin<Box<dyn Future<Output = Result<Counts, SyncError>> + Send + 'a>>;

impl File<'_> {
    /// Does what was decided, with its hooks.
    pub(super) async fn act(
        &self,
        zone: &mut dyn Session,
        event: Event,
        effect: Effect,
        redelivered: bool,
    ) -> Result<Counts, SyncError> {
        let handler = self.context.handler.as_ref();
        let subject = self.action().subject;
        let created = event == Event::Create;
        let deed = async move |changes: Changes| match changes == Changes::default() {
            true => sync_irods::perform(zone, &self.action(), effect, created).await,
            false => {
                self.act_changed(zone, changes, (effect, created), redelivered)
                    .await
            }
        };
        match event {
            Event::Create => on_data_obj_create(handler, subject, deed).await,
            Event::Modify => on_data_obj_modify(handler, subject, deed).await,
        }
    }

    fn act_changed<'a>(
        &'a self,
        zone: &'a mut dyn Session,
        changes: Changes,
        (effect, created): (Effect, bool),
        redelivered: bool,
    ) -> Acting<'a> {
        Box::pin(async move {
            let options = self.changed_options(&changes)?;
            let mut elsewhere = None;
            let mut look = self.look.clone();
            if options.operation.registers() {
                look.stat.size = changes.size.unwrap_or(look.stat.size);
                look.stat.mtime.seconds = changes.mtime.unwrap_or(look.stat.mtime.seconds);
            }
            if options.operation.uploads()
                && let Some(path) = &changes.path
            {
                let (context, name, found) = self.elsewhere(path).await?;
                look = found;
                elsewhere = Some((context, name));
            }
            let item = FileItem {
                name: match &elsewhere {
                    Some((_, name)) => name.clone(),
                    None => self.item.name.clone(),
                },
                presence: Presence::Unknown,
                existed: false,
                ..self.item.clone()
            };
            let (context, directory) = match &elsewhere {
                Some((context, _)) => (context, &b""[..]),
                None => (self.context, self.directory),
            };
            let file = File {
                context,
                directory,
                item: &item,
                absolute: self.absolute,
                logical: &options.target,
                options: &options,
                look: &look,
                content: None,
                verdict: self.verdict,
                within_event: true,
                direct: false,
            };
            let done = match options.target == self.logical {
                true => sync_irods::perform(zone, &file.action(), effect, created).await,
                false => file.decide_and_act(zone, redelivered).await,
            };
            done.map_err(|error| own_resource(self.context, &options, error))
        })
    }

    /// What counts for the file now.
    fn changed_options(&self, changes: &Changes) -> Result<EntryOptions, SyncError> {
        let mut options = self.options.clone();
        if let Some(resource) = &changes.resource {
            options.resource = resource.clone();
        }
        if let Some(path) = &changes.path {
            options.physical = naming::physical_path(path);
        }
        if let Some(physical) = &changes.physical_path {
            options.physical = physical.clone();
        }
        if let Some(target) = &changes.target {
            let entry = Candidate {
                path: self.absolute,
                target: self.logical,
                placed: false,
                is_directory: false,
                stat: Some(&self.look.stat),
                attempts: self.item.attempts,
            };
            let wrong = match self.context.targets() {
                Targets::Anywhere => {
                    wrong_target(&self.context.spec, &entry, Targets::Anywhere, target)
                }
                Targets::Own | Targets::Names => {
                    Some("its handler does not say that it puts files elsewhere".to_owned())
                }
            };
            if let Some(why) = wrong {
                return Err(refused(why));
            }
            options.target = target.clone();
        }
        naming::check_entry(&options.target, &options.physical, options.operation)
            .map_err(|error| SyncError::Entry(EntryError::new("BAD_NAME", error.to_string())))?;
        Ok(options)
    }

    /// A file that is read instead: a job whose source is the directory that it is in, its name, and its facts.
    async fn elsewhere(&self, path: &[u8]) -> Result<(JobContext, Vec<u8>, Look), SyncError> {
        if self.context.spec.options.bucket.is_some() {
            return Err(refused(
                "the path of a bucket's object was changed, and it is uploaded".to_owned(),
            ));
        }
        let whole = PathBuf::from(OsStr::from_bytes(path));
        let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
            return Err(refused(format!("{} is no file", whole.display())));
        };
        let (parent, name) = (parent.to_owned(), name.as_bytes().to_vec());
        let (links, looked_for) = (self.options.operation.links(), name.clone());
        let look = move |_: &dyn Source| {
            // Whatever is wrong there is the entry's affair, also what of the job's own source would be the worker's.
            Ok::<_, SyncError>(FileSystem::open(&parent).and_then(|source| {
                let look = Source::look(&source, Path::new(""), &looked_for, links)?;
                Ok((source, look))
            }))
        };
        let found = self.context.at_source(look).await?;
        let (source, look) = found.map_err(|error| refused(error.to_string()))?;
        if !look.readable {
            return Err(refused(format!("{} is not readable", whole.display())));
        }
        let context = JobContext {
            source: Arc::new(source),
            ..self.context.clone()
        };
        Ok((context, name, look))
    }
}

/// What a hook changed cannot be followed.
fn refused(why: String) -> SyncError {
    SyncError::Entry(EntryError::new(
        "HOOK_FAILED",
        format!("a hook before it changed what is done: {why}"),
    ))
}
