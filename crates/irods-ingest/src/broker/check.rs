//! Requests against [`limits`](super::limits), the same for every engine, before anything is sent to one.

use std::time::Duration;

use super::limits::{
    MAX_CHILDREN, MAX_CURSOR, MAX_KEY, MAX_MILLIS, MAX_NAME, MAX_PAYLOAD, MAX_PROFILE, MAX_SEGMENT,
    MAX_SPEC,
};
use super::{Append, BrokerError, Completion, NewJob, NewTask, Result, WorkerInfo};

fn at_most(what: &str, unit: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(BrokerError::Invalid {
        what: format!("{what} of {size} {unit}; the limit is {limit}"),
    })
}

fn name(what: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.contains('\0') {
        return Err(BrokerError::Invalid {
            what: format!("{what} that is empty or contains a zero byte"),
        });
    }
    at_most(what, "bytes", text.len(), MAX_NAME)
}

pub(super) fn new_job(job: &NewJob) -> Result<()> {
    if let Some(text) = &job.name {
        name("a job name", text)?;
    }
    name("a job identity", &job.identity)?;
    if let Some(owner) = &job.owner {
        name("a worker name", &owner.0)?;
    }
    let queues = &job.queues;
    for queue in [&queues.file, &queues.path, &queues.restart] {
        name("a queue name", queue)?;
    }
    if job.max_in_flight == Some(0) {
        return Err(BrokerError::Invalid {
            what: "a job of which nothing may be in flight".to_owned(),
        });
    }
    at_most("a job specification", "bytes", job.spec.len(), MAX_SPEC)?;
    task(&job.first)
}

fn task(task: &NewTask) -> Result<()> {
    at_most("a task", "bytes", task.payload.len(), MAX_PAYLOAD)
}

pub(super) fn batch(children: &[NewTask], cursor: &[u8], signatures: &[Append]) -> Result<()> {
    at_most("a batch", "children", children.len(), MAX_CHILDREN)?;
    at_most("a cursor", "bytes", cursor.len(), MAX_CURSOR)?;
    children.iter().try_for_each(task)?;
    signatures.iter().try_for_each(append)
}

fn append(append: &Append) -> Result<()> {
    key(&append.key)?;
    segment(&append.bytes)
}

fn segment(bytes: &[u8]) -> Result<()> {
    at_most("a signature segment", "bytes", bytes.len(), MAX_SEGMENT)
}

pub(super) fn key(key: &[u8]) -> Result<()> {
    at_most("a signature key", "bytes", key.len(), MAX_KEY)
}

pub(super) fn completion(completion: &Completion) -> Result<()> {
    at_most(
        "a completion",
        "retries",
        completion.retries.len(),
        MAX_CHILDREN,
    )?;
    at_most(
        "a completion",
        "children",
        completion.children.len(),
        MAX_CHILDREN,
    )?;
    let tasks = completion.retries.iter().chain(&completion.children);
    tasks.into_iter().try_for_each(task)?;
    completion
        .failures
        .iter()
        .filter_map(|failure| failure.retry.as_ref())
        .try_for_each(task)?;
    completion.signatures.iter().try_for_each(append)?;
    for compaction in &completion.compactions {
        key(&compaction.key)?;
        segment(&compaction.bytes)?;
        if compaction.replaces.is_empty() {
            return Err(BrokerError::Invalid {
                what: "a compaction that replaces nothing".to_owned(),
            });
        }
    }
    Ok(())
}

pub(super) fn profile(bytes: &[u8]) -> Result<()> {
    at_most("a profile", "bytes", bytes.len(), MAX_PROFILE)
}

pub(super) fn worker(info: &WorkerInfo) -> Result<()> {
    name("a worker name", &info.id.0)?;
    for text in [&info.host, &info.process, &info.version] {
        at_most("a worker's description", "bytes", text.len(), MAX_NAME)?;
    }
    at_most("a worker's status", "bytes", info.status.len(), MAX_SPEC)
}

/// A duration in milliseconds, rounded up so that no positive one becomes none.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000))
        .unwrap_or(MAX_MILLIS)
        .min(MAX_MILLIS)
}

/// The beginning of a text, at most `limit` bytes.
pub(super) fn clip(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clip("aé", 2), "a");
        assert_eq!(clip("aé", 3), "aé");
        assert_eq!(clip("aé", 99), "aé");
    }

    #[test]
    fn no_wait_is_lost_and_none_overflows() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::MAX), MAX_MILLIS);
    }
}
