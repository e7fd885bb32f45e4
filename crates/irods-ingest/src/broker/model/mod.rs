//! The trait in plain memory, written for the eye: what the other engines are compared with.
//!
//! No persistence, no limits but those that can be observed, everything by linear search under one lock. Its clock is set by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::check::{clip, millis};
use super::limits::{MAX_DEPTH, MAX_EVENTS, MAX_FAILURES, MAX_TEXT};
use super::*;

mod engine;

#[derive(Debug, Default)]
pub(crate) struct Model(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: u64,
    jobs: Vec<Entry>,
    last_job: u64,
    last_task: u64,
    last_segment: u64,
    segments: Vec<Stored>,
    workers: BTreeMap<WorkerId, Worker>,
}

#[derive(Debug)]
struct Entry {
    view: Job,
    new: NewJob,
    ending: Option<Ending>,
    reopened: Option<JobState>,
    post_queued: bool,
    turn: u64,
    tasks: Vec<Task>,
    ledger: BTreeMap<Vec<u8>, (FailureRecord, Option<u64>)>,
    events: Vec<JobEvent>,
    profile: (u64, Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Stop,
    Pass,
    Job,
}

#[derive(Debug)]
struct Task {
    id: u64,
    kind: TaskKind,
    class: TaskClass,
    depth: u32,
    payload: Vec<u8>,
    cursor: Vec<u8>,
    expiries: u32,
    /// Of the leases that were counted there.
    lapsed: Vec<Token>,
    begun: bool,
    /// When it became ready, or will.
    since: u64,
    place: Place,
}

#[derive(Debug, PartialEq)]
enum Place {
    Ready,
    Delayed(u64),
    Leased {
        token: Token,
        worker: WorkerId,
        until: u64,
    },
}

#[derive(Debug)]
struct Stored {
    id: u64,
    position: u64,
    key: Vec<u8>,
    bytes: Vec<u8>,
}

fn unknown(job: JobId) -> BrokerError {
    BrokerError::UnknownJob {
        job: job.to_string(),
    }
}

impl Entry {
    fn event(&mut self, now: u64, kind: EventKind, text: &str) {
        self.events.push(JobEvent {
            time: Timestamp(now),
            kind,
            text: clip(text, MAX_TEXT).to_owned(),
        });
        if self.events.len() > MAX_EVENTS {
            self.events.remove(0);
        }
    }

    fn active(&self) -> bool {
        matches!(self.view.state, JobState::Queued | JobState::Running)
    }

    fn count(&self, class: TaskClass, counts: impl Fn(&Place) -> bool) -> usize {
        let tasks = self.tasks.iter();
        tasks
            .filter(|task| task.class == class && counts(&task.place))
            .count()
    }

    /// How many tasks of each class may be taken.
    fn room(&self, filter: &JobFilter) -> BTreeMap<TaskClass, usize> {
        let takes = |class| filter.takes(&self.view.queues, class);
        let in_hand = self.count(TaskClass::Files, |place| {
            matches!(place, Place::Leased { .. })
        });
        let ready = self.count(TaskClass::Files, |place| *place == Place::Ready);
        let cap = self
            .view
            .max_in_flight
            .map_or(usize::MAX, |cap| cap as usize);
        let files = if takes(TaskClass::Files) {
            cap.saturating_sub(in_hand)
        } else {
            0
        };
        let mut room: BTreeMap<_, _> = TaskClass::ALL
            .into_iter()
            .map(|class| (class, if takes(class) { usize::MAX } else { 0 }))
            .collect();
        room.insert(TaskClass::Files, files);
        if ready.saturating_sub(files) >= limits::MAX_AHEAD {
            room.insert(TaskClass::Directory, 0);
        }
        room
    }

    fn end(&mut self, now: u64, state: JobState, kind: EventKind, why: &str) {
        self.view.state = state;
        self.view.ended = Some(Timestamp(now));
        self.view.owner = None;
        self.view.next_pass = None;
        self.ending = None;
        self.reopened = None;
        self.event(now, kind, why);
    }

    fn wait(&mut self, now: u64, kind: EventKind, why: &str) {
        let due = match (self.reopened, self.view.interval) {
            (None, Some(interval)) => {
                self.view.started.map_or(now, |started| started.0) + millis(interval)
            }
            _ => self.view.next_pass.map_or(now, |due| due.0),
        };
        self.view.state = JobState::Waiting;
        self.view.ended = Some(Timestamp(now));
        self.view.next_pass = Some(Timestamp(due.max(now)));
        self.ending = None;
        self.reopened = None;
        self.event(now, kind, why);
    }

    fn drop_tasks(&mut self, drop: impl Fn(&Place) -> bool) {
        self.tasks.retain(|task| !drop(&task.place));
        for (_, task) in self.ledger.values_mut() {
            if task.is_some_and(|id| !self.tasks.iter().any(|task| task.id == id)) {
                *task = None;
            }
        }
    }

    fn begin_ending(&mut self, ending: Ending) {
        self.view.state = JobState::Stopping;
        self.ending = Some(ending);
        self.drop_tasks(|place| !matches!(place, Place::Leased { .. }));
    }
}

impl State {
    fn entry(&mut self, job: JobId) -> Result<&mut Entry> {
        self.jobs
            .iter_mut()
            .find(|entry| entry.view.id == job)
            .ok_or_else(|| unknown(job))
    }

    fn queue(&mut self, job: JobId, kind: TaskKind, new: &NewTask) -> u64 {
        self.last_task += 1;
        let delay = new.delay.map_or(0, millis);
        let task = Task {
            id: self.last_task,
            kind,
            class: new.class,
            depth: new.depth.min(MAX_DEPTH),
            payload: new.payload.clone(),
            cursor: Vec::new(),
            expiries: 0,
            lapsed: Vec::new(),
            begun: false,
            since: self.now + delay,
            place: if delay == 0 {
                Place::Ready
            } else {
                Place::Delayed(self.now + delay)
            },
        };
        let id = task.id;
        if let Ok(entry) = self.entry(job) {
            entry.tasks.push(task);
        }
        id
    }

    fn queue_hook(&mut self, job: JobId, kind: TaskKind) {
        self.queue(
            job,
            kind,
            &NewTask {
                class: TaskClass::Start,
                depth: 0,
                payload: Vec::new(),
                delay: None,
            },
        );
    }

    fn begin_pass(&mut self, job: JobId) {
        let new = self.entry(job).unwrap().new.clone();
        if new.pre_job {
            self.queue_hook(job, TaskKind::PreJob);
        } else {
            self.queue(job, TaskKind::Work, &new.first);
        }
    }

    fn next_pass(&mut self, job: JobId) {
        let entry = self.entry(job).unwrap();
        entry.view.state = JobState::Queued;
        entry.view.pass += 1;
        entry.view.started = None;
        entry.view.ended = None;
        entry.view.next_pass = None;
        entry.view.failed = None;
        entry.view.pass_totals = Counts::default();
        entry.view.failures_not_listed = 0;
        entry.post_queued = false;
        entry.turn = 0;
        entry.ledger.clear();
        self.begin_pass(job);
    }

    fn settle(&mut self, job: JobId) {
        let now = self.now;
        let entry = self.entry(job).unwrap();
        if !entry.tasks.is_empty() {
            return;
        }
        let why = entry.view.failed.clone().unwrap_or_default();
        let returns = entry.reopened == Some(JobState::Waiting);
        match entry.view.state {
            JobState::Stopping => match entry.ending {
                Some(Ending::Pass)
                    if returns || entry.reopened.is_none() && entry.view.interval.is_some() =>
                {
                    entry.wait(now, EventKind::PassFailed, &why);
                }
                Some(Ending::Pass | Ending::Job) => {
                    entry.end(now, JobState::Failed, EventKind::Failed, &why)
                }
                _ => entry.end(now, JobState::Stopped, EventKind::Stopped, ""),
            },
            JobState::Queued | JobState::Running => match entry.reopened {
                Some(JobState::Waiting) => entry.wait(now, EventKind::PassEnded, ""),
                Some(JobState::Stopped) => {
                    entry.end(now, JobState::Stopped, EventKind::Stopped, "")
                }
                Some(JobState::Failed) => entry.end(now, JobState::Failed, EventKind::Failed, &why),
                Some(_) => entry.end(now, JobState::Finished, EventKind::Finished, ""),
                None if entry.new.post_job && !entry.post_queued => {
                    entry.post_queued = true;
                    self.queue_hook(job, TaskKind::PostJob);
                }
                None if entry.view.interval.is_some() => entry.wait(now, EventKind::PassEnded, ""),
                None => entry.end(now, JobState::Finished, EventKind::Finished, ""),
            },
            _ => {}
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        let jobs: Vec<JobId> = self.jobs.iter().map(|entry| entry.view.id).collect();
        for job in jobs {
            let entry = self.entry(job).unwrap();
            match entry.view.state {
                JobState::Waiting if entry.view.next_pass.is_some_and(|due| due.0 <= now) => {
                    self.next_pass(job)
                }
                JobState::Stopping => {
                    entry.drop_tasks(
                        |place| matches!(place, Place::Leased { until, .. } if *until <= now),
                    );
                    self.settle(job);
                }
                _ => {
                    for task in &mut entry.tasks {
                        match task.place {
                            Place::Delayed(due) if due <= now => task.place = Place::Ready,
                            Place::Leased { until, token, .. } if until <= now => {
                                task.place = Place::Ready;
                                task.since = now;
                                task.expiries += 1;
                                task.lapsed.push(token);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    /// The job and the task's place in it, if the token is the task's.
    fn held(&mut self, lease: Lease) -> Result<(JobId, usize)> {
        for entry in &self.jobs {
            let held = entry.tasks.iter().position(|task| {
                task.id == lease.task.0
                    && matches!(task.place, Place::Leased { token, .. } if token == lease.token)
            });
            if let Some(at) = held {
                return Ok((entry.view.id, at));
            }
        }
        Err(BrokerError::Stale { task: lease.task.0 })
    }

    /// A lease that ran out counts no more: its holder has come back.
    fn forgive(&mut self, lease: Lease) {
        let tasks = self.jobs.iter_mut().flat_map(|entry| &mut entry.tasks);
        for task in tasks.filter(|task| task.id == lease.task.0) {
            if let Some(at) = task.lapsed.iter().position(|token| *token == lease.token) {
                task.lapsed.remove(at);
                task.expiries = (task.expiries - 1).max(1);
            }
        }
    }

    fn shown(&self, entry: &Entry) -> Job {
        let mut view = entry.view.clone();
        for task in &entry.tasks {
            match task.place {
                Place::Ready => view.outstanding.ready += 1,
                Place::Delayed(_) => view.outstanding.delayed += 1,
                Place::Leased { .. } => view.outstanding.leased += 1,
            }
        }
        view.failures = entry.ledger.len() as u64;
        view.owner_lives = view.owner.as_ref().is_some_and(|owner| self.lives(owner));
        view
    }

    fn lives(&self, worker: &WorkerId) -> bool {
        self.workers
            .get(worker)
            .is_some_and(|worker| worker.lives_until.0 > self.now)
    }

    fn append(&mut self, key: &[u8], bytes: &[u8], position: Option<u64>) {
        if !bytes.is_empty() {
            self.last_segment += 1;
            let id = self.last_segment;
            let position = position.unwrap_or(id);
            self.segments.push(Stored {
                id,
                position,
                key: key.to_vec(),
                bytes: bytes.to_vec(),
            });
            self.segments.sort_by_key(|segment| segment.position);
        }
    }

    fn fail(&mut self, job: JobId, failure: &Failure) {
        let time = Timestamp(self.now);
        let entry = self.entry(job).unwrap();
        entry.ledger.remove(&failure.path);
        if entry.ledger.len() >= MAX_FAILURES {
            entry.view.failures_not_listed += 1;
            return;
        }
        let mut failure = failure.clone();
        if let Some(retry) = &mut failure.retry {
            retry.delay = None;
        }
        failure.message = clip(&failure.message, MAX_TEXT).to_owned();
        entry.ledger.insert(
            failure.path.clone(),
            (
                FailureRecord {
                    time,
                    retrying: false,
                    failure,
                },
                None,
            ),
        );
    }
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_now(&self, millis: u64) {
        self.state().now = millis;
    }
}
