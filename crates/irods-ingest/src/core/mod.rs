//! Events on data objects and collections, and the hooks around them; passes of a job, and the hooks around those.
//!
//! This module is the only caller of the hooks of events. Each event runs `pre`, the action, `post`, in this order and once: a `pre` that
//! fails keeps the action from happening, an action that fails keeps `post` from happening.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;
use irods_client::connection::Identity;

use crate::broker::Job;
use crate::error::{EntryError, SyncError};
use crate::plan::Operation;
use crate::source::Stat;
use crate::spec::JobSpec;

mod changes;
pub mod choice;
pub mod python;
pub mod rules;

pub use changes::Changes;
use choice::{Candidate, Choice, Chooses};

/// What happens to an entry of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A data object comes into being, or gets a replica registered.
    DataObjCreate,
    /// A data object's bytes or system metadata change.
    DataObjModify,
    /// A data object goes.
    DataObjDelete,
    /// A collection comes into being.
    CollCreate,
    /// A collection's directory changed.
    CollModify,
    /// A collection goes.
    CollDelete,
}

impl Event {
    /// The name that hooks carry after `pre_` and `post_`.
    pub fn name(self) -> &'static str {
        match self {
            Event::DataObjCreate => "data_obj_create",
            Event::DataObjModify => "data_obj_modify",
            Event::DataObjDelete => "data_obj_delete",
            Event::CollCreate => "coll_create",
            Event::CollModify => "coll_modify",
            Event::CollDelete => "coll_delete",
        }
    }
}

/// What an event happens to.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Absolute path in the source.
    pub path: &'a [u8],
    /// Logical path.
    pub target: &'a str,
    /// The operation of the job.
    pub operation: Operation,
    /// Facts of the entry, where it is a file that is there.
    pub stat: Option<&'a Stat>,
    /// As whom it happens, if not as the worker's own user.
    pub user: Option<&'a Identity>,
}

/// One pass of a job, as the hooks around it see it.
#[derive(Debug, Clone, Copy)]
pub struct JobPass<'a> {
    /// The job as it stands: its name, which pass it is, and for post_job the totals of the pass.
    pub job: &'a Job,
    /// What it is.
    pub spec: &'a JobSpec,
}

/// Which hooks around passes there are. A job is made with them; see [`crate::sync_task::job::JobRequest`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobHooks {
    /// Whether [`EventHandler::pre_job`] does anything.
    pub pre_job: bool,
    /// Whether [`EventHandler::post_job`] does anything.
    pub post_job: bool,
}

/// A hook that failed, in its own words.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    /// What it says; may have several lines.
    pub message: String,
    /// It is no failure: the entry is to be left out, for this reason.
    pub skip: bool,
}

/// An event that a handler has done itself.
#[async_trait]
pub trait EventDone: Send {
    /// Goes on until the event's action is to be done, with what is changed of it, or the event has ended (`None`). `acted` is how
    /// the action went, if it was asked for.
    async fn next(
        &mut self,
        acted: Option<Result<(), String>>,
    ) -> Result<Option<Changes>, HookError>;
}

/// What a site wants to happen around events.
#[async_trait]
pub trait EventHandler: fmt::Debug + Send + Sync {
    /// Whether there is any hook around this event. Decisions differ where one has to know before.
    fn has_hooks(&self, event: Event) -> bool;

    /// Runs before the action.
    async fn pre(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        Ok(())
    }

    /// Runs `pre`, and says what is to be done otherwise because of it.
    async fn prepare(&self, event: Event, subject: Subject<'_>) -> Result<Changes, HookError> {
        self.pre(event, subject).await?;
        Ok(Changes::default())
    }

    /// Runs after the action.
    async fn post(&self, _: Event, _: Subject<'_>) -> Result<(), HookError> {
        Ok(())
    }

    /// Whether the handler has this event done itself: then there is no `pre` and no `post` of it but [`EventHandler::begin`].
    fn replaces(&self, _: Event) -> bool {
        false
    }

    /// Begins such an event.
    async fn begin<'a>(
        &'a self,
        event: Event,
        _: Subject<'_>,
    ) -> Result<Box<dyn EventDone + 'a>, HookError> {
        Err(HookError {
            message: format!("on_{} is not the handler's", event.name()),
            skip: false,
        })
    }

    /// What this handler may choose for single entries. Where it is `None`, [`EventHandler::choose`] is never called.
    fn chooses(&self) -> Option<Chooses> {
        None
    }

    /// What it chooses for these entries, in their order: files of one directory that are about to be worked on, a directory
    /// that is about to be scanned, or all entries of a directory. An error is that of each of them.
    async fn choose(&self, asked: &[Candidate<'_>]) -> Result<Vec<Choice>, HookError> {
        Ok(vec![Choice::default(); asked.len()])
    }

    /// Which hooks around passes there are.
    fn job_hooks(&self) -> JobHooks {
        JobHooks::default()
    }

    /// Runs before each full pass, at most once: a worker that dies meanwhile leaves its outcome unknown. Unless it succeeds,
    /// the pass fails with its error and nothing of the source is looked at.
    async fn pre_job(&self, _: JobPass<'_>) -> Result<(), HookError> {
        Ok(())
    }

    /// Runs after each full pass that was not stopped and did not fail, at most once, whether entries failed or not. Its error,
    /// or that its outcome is unknown, goes into the ledger.
    async fn post_job(&self, _: JobPass<'_>) -> Result<(), HookError> {
        Ok(())
    }
}

/// No hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHandler;

#[async_trait]
impl EventHandler for NoHandler {
    fn has_hooks(&self, _: Event) -> bool {
        false
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident $event:ident;)*) => {$(
        $(#[$doc])*
        pub async fn $name<T: Default>(
            handler: &dyn EventHandler,
            subject: Subject<'_>,
            action: impl Future<Output = Result<T, SyncError>>,
        ) -> Result<T, SyncError> {
            around(handler, Event::$event, subject, |_| action).await
        }
    )*};
}

events! {
    /// A data object is deleted by `action`.
    on_data_obj_delete DataObjDelete;
    /// A collection is created by `action`.
    on_coll_create CollCreate;
    /// A collection is modified by `action`.
    on_coll_modify CollModify;
    /// A collection is deleted by `action`.
    on_coll_delete CollDelete;
}

/// A data object is created by `action`, which is told what the hooks before it change.
pub async fn on_data_obj_create<T: Default, F: Future<Output = Result<T, SyncError>>>(
    handler: &dyn EventHandler,
    subject: Subject<'_>,
    action: impl FnOnce(Changes) -> F,
) -> Result<T, SyncError> {
    around(handler, Event::DataObjCreate, subject, action).await
}

/// A data object is modified by `action`, which is told what the hooks before it change.
pub async fn on_data_obj_modify<T: Default, F: Future<Output = Result<T, SyncError>>>(
    handler: &dyn EventHandler,
    subject: Subject<'_>,
    action: impl FnOnce(Changes) -> F,
) -> Result<T, SyncError> {
    around(handler, Event::DataObjModify, subject, action).await
}

async fn around<T: Default, F: Future<Output = Result<T, SyncError>>>(
    handler: &dyn EventHandler,
    event: Event,
    subject: Subject<'_>,
    action: impl FnOnce(Changes) -> F,
) -> Result<T, SyncError> {
    let failed = |when: &str, error: HookError| match error.skip {
        true => SyncError::LeftOut(error.message),
        false => SyncError::Entry(EntryError::new(
            "HOOK_FAILED",
            format!("{when}_{}: {error}", event.name()),
        )),
    };
    if handler.replaces(event) {
        let mut action = Some(action);
        let mut event = handler
            .begin(event, subject)
            .await
            .map_err(|e| failed("on", e))?;
        let (mut value, mut failure, mut acted) = (T::default(), None, None);
        let ended = loop {
            let changes = match event.next(acted).await {
                Ok(Some(changes)) => changes,
                ended => break ended,
            };
            acted = Some(match action.take() {
                None => Err("it was done already".to_owned()),
                Some(action) => match action(changes).await {
                    Ok(done) => {
                        value = done;
                        Ok(())
                    }
                    Err(error) => {
                        let told = error.to_string();
                        failure = Some(error);
                        Err(told)
                    }
                },
            });
        };
        // Whatever the handler makes of a failure, the entry has failed.
        return match (failure, ended) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(failed("on", error)),
            (None, Ok(_)) => Ok(value),
        };
    }
    let hooks = handler.has_hooks(event);
    let changes = match hooks {
        true => handler
            .prepare(event, subject)
            .await
            .map_err(|e| failed("pre", e))?,
        false => Changes::default(),
    };
    let value = action(changes).await?;
    if hooks {
        handler
            .post(event, subject)
            .await
            .map_err(|e| failed("post", e))?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Recorder {
        seen: Mutex<Vec<String>>,
        fail_pre: bool,
    }

    impl Recorder {
        fn note(&self, when: &str, event: Event) {
            self.seen
                .lock()
                .unwrap()
                .push(format!("{when}_{}", event.name()));
        }
    }

    #[async_trait]
    impl EventHandler for Recorder {
        fn has_hooks(&self, _: Event) -> bool {
            true
        }
        async fn pre(&self, event: Event, _: Subject<'_>) -> Result<(), HookError> {
            self.note("pre", event);
            match self.fail_pre {
                true => Err(HookError {
                    message: "no".into(),
                    skip: false,
                }),
                false => Ok(()),
            }
        }
        async fn post(&self, event: Event, _: Subject<'_>) -> Result<(), HookError> {
            self.note("post", event);
            Ok(())
        }
    }

    const SUBJECT: Subject<'_> = Subject {
        path: b"/data/a",
        target: "/tempZone/a",
        operation: Operation::Put,
        stat: None,
        user: None,
    };

    fn run(recorder: &Recorder, ok: bool) -> (Vec<String>, bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let done = runtime.block_on(on_coll_create(recorder, SUBJECT, async {
            recorder.seen.lock().unwrap().push("action".into());
            match ok {
                true => Ok(()),
                false => Err(SyncError::Entry(EntryError::new("X", "failed"))),
            }
        }));
        (recorder.seen.lock().unwrap().clone(), done.is_ok())
    }

    #[test]
    fn pre_then_action_then_post() {
        let seen = run(&Recorder::default(), true);
        let order = ["pre_coll_create", "action", "post_coll_create"];
        assert_eq!(seen, (order.map(String::from).to_vec(), true));
    }

    #[test]
    fn a_failed_action_has_no_post_and_a_failed_pre_no_action() {
        let seen = run(&Recorder::default(), false);
        let order = ["pre_coll_create", "action"];
        assert_eq!(seen, (order.map(String::from).to_vec(), false));
        let refusing = Recorder {
            fail_pre: true,
            ..Recorder::default()
        };
        assert_eq!(
            run(&refusing, true),
            (vec!["pre_coll_create".into()], false)
        );
    }
}
