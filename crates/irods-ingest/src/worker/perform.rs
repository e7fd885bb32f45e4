//! One task: what it is, what it does, and that it is accounted for.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::in_hand::InHand;
use super::{Left, Worker};
use crate::broker::{BrokerError, Completion, Fatal, Leased, TaskClass};
use crate::context::JobContext;
use crate::error::SyncError;
use crate::patience::persist;
use crate::sync_task::{self, Task, TaskEnd, TaskError};

/// How long a task rests that met a broker which could not serve.
const BROKER_AWAY: Duration = Duration::from_secs(1);

impl Worker {
    /// From what was leased to how it left the worker.
    pub(super) async fn perform(
        &self,
        context: &JobContext,
        leased: &Leased,
        in_hand: &InHand,
    ) -> Left {
        let task = match Task::of(leased) {
            Ok(task) => task,
            Err(error) => {
                in_hand.completing(leased.lease);
                return self.give_up_unreadable(context, leased, &error).await;
            }
        };
        let path = context.absolute(task.directory());
        let about = (task.name(), path.as_slice());
        let shared = &self.shared;
        let _listed = shared.list(leased.lease, leased.job, task.name(), task.directory());
        let stages = context.stages.clone();
        let began = Instant::now();
        let measured = stages.task(leased, task.name(), &path, self.options.lease_for);
        let complete = async |completion: &Completion| {
            in_hand.completing(leased.lease);
            self.complete(context, leased, (about, began), completion)
                .await
        };
        let end = match sync_task::run(context, leased, task).await {
            Ok(TaskEnd::Complete(completion)) => complete(&completion).await,
            Ok(TaskEnd::CompleteInPart(completion, why)) => match complete(&completion).await {
                Ok(()) => return Left::Refused(leased.job, why.to_string()),
                failed => failed,
            },
            Ok(TaskEnd::Release(delay)) => self.broker.release(leased.lease, delay).await,
            Err(SyncError::Job(why)) => {
                let completion = Completion {
                    fatal: Some(Fatal::Job(why)),
                    ..Completion::default()
                };
                complete(&completion).await
            }
            // It goes back as soon as that can be said, and counts nothing: left alone, its lease would run out. That it does for a
            // directory whose collection may have been made just now: who is next must know.
            Err(SyncError::Broker(error))
                if error.is_unavailable()
                    && (leased.class != TaskClass::Directory || !leased.cursor.is_empty()) =>
            {
                warn!(%error, "waiting for the broker");
                persist(&self.shutdown, || {
                    self.broker.release(leased.lease, BROKER_AWAY)
                })
                .await
            }
            Err(SyncError::Broker(error)) => Err(error),
            Err(SyncError::Drained) => self.broker.release(leased.lease, Duration::ZERO).await,
            Err(error) => {
                self.give_back(leased.lease).await;
                return Left::Refused(leased.job, error.to_string());
            }
        };
        match measured.end(end) {
            Ok(()) => Left::Completed(leased.job),
            Err(error) => {
                if error.is_stale() {
                    // Its lease ran out, but this worker has survived it, which the keeper of leases may not have said yet.
                    let survived = [leased.lease];
                    let _ = self.broker.extend(&survived, self.options.lease_for).await;
                }
                Left::from(error)
            }
        }
    }

    /// A task that is none can be done by nobody: it is accounted for, so that it does not go from worker to worker.
    async fn give_up_unreadable(
        &self,
        context: &JobContext,
        leased: &Leased,
        error: &TaskError,
    ) -> Left {
        warn!(job = %leased.job, task = %leased.lease.task, %error, "a task is unreadable");
        let completion = sync_task::unreadable(context, leased, error);
        let about = ("task", context.spec.source_bytes());
        match self
            .complete(context, leased, (about, Instant::now()), &completion)
            .await
        {
            Ok(()) => Left::Completed(leased.job),
            Err(error) => Left::from(error),
        }
    }

    /// Completes, waiting for a broker that does not answer (the lease may be lost by then, and the task done again), and tells who
    /// watches. `about` is the name of the task and its directory, with when it was begun.
    async fn complete(
        &self,
        context: &JobContext,
        leased: &Leased,
        (about, began): ((&'static str, &[u8]), Instant),
        completion: &Completion,
    ) -> Result<(), BrokerError> {
        let mut counted = completion.clone();
        counted.counts.tasks += 1;
        counted.counts.requests_repeated += context.source.take_repeated();
        persist(&self.shutdown, || {
            self.broker.complete(leased.lease, counted.clone())
        })
        .await?;
        self.shared.count(&completion.counts);
        context.stages.completed(&completion.counts, began);
        let (watcher, task) = (self.watcher.as_ref(), leased.lease.task);
        sync_task::report(watcher, context, task, about, completion).await;
        Ok(())
    }
}
