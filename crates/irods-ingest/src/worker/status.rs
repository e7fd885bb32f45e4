//! What a worker says of itself with each heartbeat, beyond who it is: what it serves, what it does, how fast, and whether it
//! waits. The broker keeps it as an opaque text (JSON); fields that a version does not know are ignored, and those it misses
//! have their defaults.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::broker::{Counts, Job, JobId, TaskClass, Worker};

/// Tasks that are named; of more than these only the number is told.
const MOST_TASKS: usize = 64;
/// Bytes of a path or a reason that are shown.
const MOST_BYTES: usize = 512;
/// The time over which rates are taken.
const WINDOW: Duration = Duration::from_secs(10);

/// The status of a worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerStatus {
    /// The name that it was given.
    pub name: Option<String>,
    /// The queues that it serves; none: all.
    pub queues: Option<Vec<String>>,
    /// The only job that it takes tasks of, if there is one.
    pub only: Option<JobId>,
    /// The most tasks that it does at the same time.
    pub concurrency: usize,
    /// It finishes what is in hand and leaves.
    pub draining: bool,
    /// Since when the zone does not answer it.
    pub waiting_for_zone: Option<Waiting>,
    /// What it does.
    pub tasks: Vec<Doing>,
    /// Tasks in hand that are not among these.
    pub more_tasks: usize,
    /// Files dealt with, a second, over the last ten seconds.
    pub files_per_second: f64,
    /// Bytes uploaded, a second, over the last ten seconds.
    pub bytes_per_second: f64,
    /// Requests to S3 servers that it had to make again, since it was started.
    pub requests_repeated: u64,
}

/// A wait for the zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// For how long, when the heartbeat was sent.
    pub seconds: f64,
    /// What the last attempt to connect said.
    pub why: String,
}

/// A task in hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doing {
    /// Whose it is.
    pub job: JobId,
    /// What is done: `sync_files` and such.
    pub what: String,
    /// The directory that it is about, relative to the source root.
    pub path: String,
    /// For how long, when the heartbeat was sent.
    pub seconds: f64,
}

impl WorkerStatus {
    /// The status of a worker, as far as it can be read.
    pub fn of(worker: &Worker) -> Self {
        serde_json::from_str(&worker.info.status).unwrap_or_default()
    }

    /// Whether it takes tasks of a job from the queue of a class.
    pub fn serves(&self, job: &Job, class: TaskClass) -> bool {
        let queue = job.queues.of(class);
        let served = |queues: &Vec<String>| queues.iter().any(|name| name == queue);
        !self.draining
            && self.only.is_none_or(|only| only == job.id)
            && self.queues.as_ref().is_none_or(served)
    }

    /// Names tasks, the oldest first, up to a bound.
    pub(super) fn list(&mut self, mut tasks: Vec<Doing>) {
        tasks.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        self.more_tasks = tasks.len().saturating_sub(MOST_TASKS);
        tasks.truncate(MOST_TASKS);
        self.tasks = tasks;
    }
}

/// The queues of an unfinished job that none of these workers serves.
pub fn unserved<'a>(job: &'a Job, workers: &[Worker]) -> Vec<&'a str> {
    let served: Vec<WorkerStatus> = workers.iter().map(WorkerStatus::of).collect();
    let mut queues = Vec::new();
    for class in TaskClass::ALL {
        let queue = job.queues.of(class);
        let lonely = !served.iter().any(|status| status.serves(job, class));
        if !job.state.has_ended() && lonely && !queues.contains(&queue) {
            queues.push(queue);
        }
    }
    queues
}

/// The beginning of a text from outside.
pub(super) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text[..text.floor_char_boundary(MOST_BYTES)].to_owned()
}

/// What was done in the last seconds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    files: u64,
    bytes: u64,
    /// The counts as they were at some times, the oldest first.
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Meter {
    pub(super) fn add(&mut self, counts: &Counts) {
        self.files = self.files.saturating_add(counts.files_done());
        self.bytes = self.bytes.saturating_add(counts.bytes_uploaded);
    }

    /// Files and bytes a second since the sample that is about a window old, or since the first.
    pub(super) fn rates(&mut self, now: Instant) -> (f64, f64) {
        while self
            .samples
            .get(1)
            .is_some_and(|(at, ..)| now.duration_since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
        self.samples.push_back((now, self.files, self.bytes));
        let Some((since, files, bytes)) = self.samples.front() else {
            return (0.0, 0.0);
        };
        let seconds = now.duration_since(*since).as_secs_f64();
        let rate = |now: u64, then: u64| match seconds > 0.0 {
            true => now.saturating_sub(then) as f64 / seconds,
            false => 0.0,
        };
        (rate(self.files, *files), rate(self.bytes, *bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_ten_seconds() {
        let (start, mut meter) = (Instant::now(), Meter::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let done = |files, bytes| Counts {
            uploaded: files,
            bytes_uploaded: bytes,
            ..Counts::default()
        };
        assert_eq!(meter.rates(at(0)), (0.0, 0.0));
        meter.add(&done(20, 2000));
        assert_eq!(meter.rates(at(2)), (10.0, 1000.0));
        assert_eq!(meter.rates(at(10)), (2.0, 200.0));
        // What is older has left the window.
        assert_eq!(meter.rates(at(12)), (0.0, 0.0));
        meter.add(&done(5, 0));
        assert_eq!(meter.rates(at(60)), (5.0 / 48.0, 0.0));
        assert_eq!(meter.rates(at(70)), (0.0, 0.0));
    }

    #[test]
    fn what_is_no_status_is_an_empty_one_and_long_lists_are_cut() {
        let read = |text: &str| serde_json::from_str::<WorkerStatus>(text).unwrap_or_default();
        for text in ["", "nonsense", "{}", "{\"tasks\": 5}", "{\"new\": 1}"] {
            assert_eq!(read(text), WorkerStatus::default(), "{text}");
        }
        let doing = |seconds| Doing {
            job: JobId(1),
            what: "sync_files".to_owned(),
            path: shown(&[0xff; 4000]),
            seconds,
        };
        let mut status = WorkerStatus::default();
        status.list((0..1000).map(|number| doing(f64::from(number))).collect());
        assert_eq!(
            (status.tasks.len(), status.more_tasks),
            (MOST_TASKS, 1000 - MOST_TASKS)
        );
        assert_eq!(status.tasks[0].seconds, 999.0);
        let text = serde_json::to_string(&status).unwrap();
        assert!(text.len() < 100_000, "{}", text.len());
        assert_eq!(read(&text), status);
    }
}
