//! Rules as an event handler: they choose, together with the job's handler if that chooses too, and whatever hooks there are besides
//! run as they would without them.

use std::sync::Arc;

use async_trait::async_trait;
use irods_client::connection::Identity;
use xxhash_rust::xxh3::xxh3_64;

use super::{Compiled, Entry, RuleError, with_handler};
use crate::core::choice::{Candidate, Choice, Chooses, Targets};
use crate::core::{Changes, Event, EventDone, EventHandler, HookError, JobHooks, JobPass, Subject};
use crate::source::Timestamp;
use crate::spec::JobSpec;

/// The rules of a job, and the handler whose hooks it has.
#[derive(Debug)]
pub(crate) struct RuleHandler {
    spec: Arc<JobSpec>,
    rules: Compiled,
    /// As whom everything is done.
    user: Option<Identity>,
    digest: u64,
    hooks: Arc<dyn EventHandler>,
}

impl RuleHandler {
    /// `hooks` as they are, with what the job's rules choose, if it has any.
    ///
    /// # Errors
    /// This version does not understand the rules.
    pub(crate) fn around(
        spec: &Arc<JobSpec>,
        hooks: Arc<dyn EventHandler>,
    ) -> Result<Arc<dyn EventHandler>, RuleError> {
        let Some(rules) = &spec.options.rules else {
            return Ok(hooks);
        };
        // Rules always have such a form.
        let json = serde_json::to_vec(rules).unwrap_or_default();
        Ok(Arc::new(RuleHandler {
            spec: spec.clone(),
            rules: rules.compile()?,
            user: rules.user().map(|(user, zone)| Identity {
                user: user.to_owned(),
                zone: match zone {
                    "" => spec.zone.clone(),
                    zone => zone.to_owned(),
                },
            }),
            digest: xxh3_64(&json),
            hooks,
        }))
    }

    fn choice(&self, candidate: &Candidate<'_>) -> Choice {
        let root = self.spec.source_bytes();
        let below = candidate.path.strip_prefix(root);
        let path = below.map(|path| path.strip_prefix(b"/").unwrap_or(path));
        let choice = match path {
            None | Some([]) => Choice::default(),
            Some(path) => self.rules.choose(
                &Entry {
                    path,
                    is_directory: candidate.is_directory,
                    stat: candidate.stat,
                    now: Timestamp::now(),
                },
                &self.spec.target,
            ),
        };
        Choice {
            user: self.user.clone(),
            ..choice
        }
    }
}

#[async_trait]
impl EventHandler for RuleHandler {
    fn chooses(&self) -> Option<Chooses> {
        let ours = Chooses {
            targets: self.rules.targets(),
            users: self.user.is_some(),
            claims: true,
            digest: self.digest,
        };
        Some(match self.hooks.chooses() {
            None => ours,
            Some(theirs) => Chooses {
                targets: ours.targets.max(theirs.targets),
                users: ours.users || theirs.users,
                // A name that their handler maps has an AVU that says so.
                claims: ours.targets != Targets::Own,
                digest: ours.digest.rotate_left(1) ^ theirs.digest,
            },
        })
    }

    async fn choose(&self, asked: &[Candidate<'_>]) -> Result<Vec<Choice>, HookError> {
        let ours = asked.iter().map(|entry| self.choice(entry));
        if self.hooks.chooses().is_none() {
            return Ok(ours.collect());
        }
        let theirs = self.hooks.choose(asked).await?;
        let together = ours.zip(theirs);
        Ok(together
            .map(|(ours, theirs)| with_handler::both(ours, theirs))
            .collect())
    }

    fn has_hooks(&self, event: Event) -> bool {
        self.hooks.has_hooks(event)
    }

    fn replaces(&self, event: Event) -> bool {
        self.hooks.replaces(event)
    }

    async fn begin<'a>(
        &'a self,
        event: Event,
        subject: Subject<'_>,
    ) -> Result<Box<dyn EventDone + 'a>, HookError> {
        self.hooks.begin(event, subject).await
    }

    async fn pre(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.hooks.pre(event, subject).await
    }

    async fn prepare(&self, event: Event, subject: Subject<'_>) -> Result<Changes, HookError> {
        self.hooks.prepare(event, subject).await
    }

    async fn post(&self, event: Event, subject: Subject<'_>) -> Result<(), HookError> {
        self.hooks.post(event, subject).await
    }

    fn job_hooks(&self) -> JobHooks {
        self.hooks.job_hooks()
    }

    async fn pre_job(&self, pass: JobPass<'_>) -> Result<(), HookError> {
        self.hooks.pre_job(pass).await
    }

    async fn post_job(&self, pass: JobPass<'_>) -> Result<(), HookError> {
        self.hooks.post_job(pass).await
    }
}
