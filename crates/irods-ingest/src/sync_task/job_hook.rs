//! Hooks around passes, pre_job and post_job: each at most once a pass, and exactly once unless a worker dies.
//!
//! The task is marked before its hook runs. Whoever finds the mark of another knows that the hook began and not how it ended, and
//! does not run it again: a pass whose pre_job may not have ended fails, a post_job of unknown outcome goes into the ledger.
//! Neither is tried again: that is for the next pass.

use std::time::Duration;

use super::{Task, TaskEnd};
use crate::broker::{Begun, BrokerError, Completion, Failure, Fatal, Leased, TaskKind};
use crate::context::JobContext;
use crate::core::JobPass;
use crate::error::SyncError;
use crate::patience::persist;

/// What a hook that did not succeed is called in the ledger.
const FAILED: &str = "HOOK_FAILED";
/// What one is called of which nobody knows.
const UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// Runs the hook of a pass.
///
/// # Errors
/// Those of the broker.
pub(super) async fn job_hook(
    context: &JobContext,
    leased: &Leased,
    task: &Task,
) -> Result<TaskEnd, SyncError> {
    if context.shutdown.requested() {
        return Ok(TaskEnd::Release(Duration::ZERO));
    }
    let broker = context.broker.as_ref();
    let shutdown = &context.shutdown;
    // All that can fail comes before the mark.
    let job = persist(shutdown, || broker.job(leased.job)).await?;
    let begun = persist(shutdown, || broker.begin_once(leased.lease)).await?;
    let pass = JobPass {
        job: &job,
        spec: &context.spec,
    };
    let name = task.name();
    let done = match (begun, leased.kind) {
        (Begun::Again, _) => Err((
            UNKNOWN,
            format!(
                "{name}: its outcome is unknown, for the worker that ran it was lost; it is not run twice"
            ),
        )),
        (Begun::First, TaskKind::PostJob) => {
            context.handler.post_job(pass).await.map_err(failed(name))
        }
        (Begun::First, _) => context.handler.pre_job(pass).await.map_err(failed(name)),
    };
    let mut completion = Completion::default();
    if let Err((code_name, message)) = done {
        not_done(context, leased, code_name, &message, &mut completion).await?;
    }
    Ok(TaskEnd::complete(completion))
}

fn failed(name: &str) -> impl FnOnce(crate::core::HookError) -> (&'static str, String) {
    let name = name.to_owned();
    move |error| (FAILED, format!("{name}: {error}"))
}

/// Without pre_job there is no pass; without post_job the pass is what it was, but somebody must know.
async fn not_done(
    context: &JobContext,
    leased: &Leased,
    code_name: &str,
    message: &str,
    completion: &mut Completion,
) -> Result<(), BrokerError> {
    if leased.kind == TaskKind::PreJob {
        completion.fatal = Some(Fatal::Pass(message.to_owned()));
        return Ok(());
    }
    persist(&context.shutdown, || {
        context.broker.note(leased.job, message)
    })
    .await?;
    completion.failures.push(Failure {
        path: context.absolute(b""),
        operation: Task::PostJob.name().to_owned(),
        code: None,
        code_name: code_name.to_owned(),
        message: message.to_owned(),
        attempts: 1,
        retry: None,
    });
    Ok(())
}
