//! Making several data objects at once, each by one call.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use irods_client::{Error, NewObject};
use tokio::time::{Instant, timeout};

use super::{FileAction, direct, made, register_file, upload_file};
use crate::broker::Counts;
use crate::error::{EntryError, SyncError};
use crate::zone::Session;

/// Whether a data object was made of a file.
#[derive(Debug)]
pub(crate) enum Created {
    /// What counts for it.
    Yes(Counts),
    /// Nobody knows: the connection was lost or took too long, or what was begun could not be ended.
    Perhaps,
    /// It was begun, went wrong, and would do so again.
    Failed(EntryError),
    /// Nothing was done.
    No,
}

/// Makes data objects of files that are all done alike: registered, registered as rows, or uploaded with what was read already. What
/// became of each. An answer may be `limit` behind the one before.
pub(crate) async fn create_all(
    zone: &mut dyn Session,
    actions: &[FileAction<'_>],
    limit: Duration,
) -> Vec<Created> {
    let nothing = || actions.iter().map(|_| Created::No).collect();
    let Some(first) = actions.first().filter(|_| zone.takes_requests_ahead()) else {
        return nothing();
    };
    let answers = if first.subject.operation.uploads() {
        let how = |action| upload_file::how(action, false);
        let hows: Vec<_> = actions.iter().map(how).collect();
        let all = hows
            .iter()
            .zip(actions)
            .map(|(how, action)| NewObject::Put {
                object: action.subject.target,
                bytes: action.content.unwrap_or_default(),
                how,
            });
        let transfer = |action| upload_file::transfer(action, "put");
        let mut transfers = actions.iter().map(transfer);
        let mut measured = transfers.next();
        let heard = |good: bool| {
            let put = std::mem::replace(&mut measured, transfers.next());
            if let Some(put) = put.filter(|_| good) {
                put.done();
            }
        };
        ask(zone, &all.collect::<Vec<_>>(), limit, heard).await
    } else if first.direct {
        let Ok(leaf) = first.context.leaves.get(zone, first).await else {
            return nothing();
        };
        let rows: Vec<_> = actions.iter().map(direct::row).collect();
        let all = rows
            .iter()
            .zip(actions)
            .map(|(row, action)| NewObject::Row {
                row,
                leaf: &leaf,
                mtime: action.stat.mtime.seconds,
            });
        ask(zone, &all.collect::<Vec<_>>(), limit, |_| {}).await
    } else {
        let request = |action| register_file::request(action, false);
        let requests: Vec<_> = actions.iter().map(request).collect();
        let all = requests
            .iter()
            .zip(actions)
            .map(|(what, action)| NewObject::Registered {
                object: action.subject.target,
                what,
            });
        ask(zone, &all.collect::<Vec<_>>(), limit, |_| {}).await
    };
    match answers {
        Ok(results) => {
            let told = |(action, result)| told(action, result);
            actions.iter().zip(results).map(told).collect()
        }
        Err(in_time) => {
            let good = in_time.into_iter().chain(std::iter::repeat(false));
            let told = |(action, good)| match good {
                true => Created::Yes(made(action)),
                false => Created::Perhaps,
            };
            actions.iter().zip(good).map(told).collect()
        }
    }
}

/// Asks for all. `heard` is told of each answer whether it is good.
///
/// # Errors
/// An answer stayed away for longer than `limit`: those that were in time, in order, and whether they were good.
async fn ask(
    zone: &mut dyn Session,
    all: &[NewObject<'_>],
    limit: Duration,
    mut heard: impl FnMut(bool) + Send,
) -> Result<Vec<irods_client::Result<()>>, Vec<bool>> {
    let answers = Answers::default();
    let mut answered = |answer: &irods_client::Result<()>| {
        answers.take(answer);
        heard(answer.is_ok());
    };
    let results = zone.create_all(all, &mut answered);
    let results = answers.wait_for(results, limit).await;
    results.ok_or_else(|| std::mem::take(&mut answers.lock().good))
}

fn told(action: &FileAction<'_>, result: irods_client::Result<()>) -> Created {
    let error = match result {
        Ok(()) => return Created::Yes(made(action)),
        Err(error @ (Error::Lost(_) | Error::Protocol { .. })) => {
            return match error.may_have_happened() {
                true => Created::Perhaps,
                false => Created::No,
            };
        }
        Err(error) => error,
    };
    tracing::debug!(%error, "not made with others");
    let begun = matches!(error, Error::Transfer { .. });
    match SyncError::from(error) {
        SyncError::Entry(error) if begun && !error.may_be_in_use() => Created::Failed(error),
        SyncError::Entry(_) if !begun => Created::No,
        // Done by itself it is looked for first, and if it is the same again its scope counts.
        _ => Created::Perhaps,
    }
}

/// The answers so far, in order.
#[derive(Debug)]
struct Answers(Mutex<SoFar>);

#[derive(Debug)]
struct SoFar {
    good: Vec<bool>,
    /// When the last one came.
    last: Instant,
}

impl Default for Answers {
    fn default() -> Self {
        Answers(Mutex::new(SoFar {
            good: Vec::new(),
            last: Instant::now(),
        }))
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, SoFar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, answer: &irods_client::Result<()>) {
        let mut so_far = self.lock();
        so_far.good.push(answer.is_ok());
        so_far.last = Instant::now();
    }

    /// None if an answer stays away for longer than that.
    async fn wait_for<T>(&self, all: impl Future<Output = T>, limit: Duration) -> Option<T> {
        let mut all = pin!(all);
        loop {
            let before = self.lock().last;
            let left = limit.saturating_sub(before.elapsed());
            match timeout(left, &mut all).await {
                Ok(all) => return Some(all),
                Err(_) if self.lock().last > before => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_answer_has_its_own_time() {
        let seconds = Duration::from_secs;
        let answers = Answers::default();
        let slow = async {
            for _ in 0..5 {
                sleep(seconds(3)).await;
                answers.take(&Ok(()));
            }
            "all"
        };
        assert_eq!(answers.wait_for(slow, seconds(4)).await, Some("all"));
        assert_eq!(answers.lock().good, [true; 5]);

        let answers = Answers::default();
        let hanging = async {
            sleep(seconds(3)).await;
            answers.take(&Ok(()));
            sleep(seconds(5)).await;
            answers.take(&Ok(()));
        };
        assert_eq!(answers.wait_for(hanging, seconds(4)).await, None);
        assert_eq!(answers.lock().good, [true]);
        let forever = std::future::pending::<()>();
        let most = answers.wait_for(forever, Duration::MAX);
        assert!(timeout(seconds(1_000_000), most).await.is_err());
    }
}
