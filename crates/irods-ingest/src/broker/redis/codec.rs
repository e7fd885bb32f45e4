//! Jobs, tasks, failures, workers and signatures between Rust and the script: the order of values here is the order there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::fault::{Fault, Tried};
use super::link::Request;
use super::reply::{Fields, TASK_BITS, number};
use crate::broker::check::{clip, millis};
use crate::broker::limits::{
    MAX_CURSOR, MAX_DEPTH, MAX_NAME, MAX_PATH, MAX_PAYLOAD, MAX_SEGMENT, MAX_SPEC, MAX_TEXT,
};
use crate::broker::{
    Append, Counts, EventKind, Failure, FailurePage, FailureRecord, Job, JobEvent, JobFilter,
    JobId, JobState, Lease, Leased, NewTask, Outstanding, Queues, Segment, SegmentId, TaskClass,
    TaskId, TaskKind, Timestamp, Token, Worker, WorkerId, WorkerInfo,
};

fn class_code(class: TaskClass) -> &'static str {
    match class {
        TaskClass::Files => "0",
        TaskClass::Other => "1",
        TaskClass::Directory => "2",
        TaskClass::Start => "3",
    }
}

fn class_of(code: &str) -> Tried<TaskClass> {
    match code {
        "0" => Ok(TaskClass::Files),
        "1" => Ok(TaskClass::Other),
        "2" => Ok(TaskClass::Directory),
        "3" => Ok(TaskClass::Start),
        _ => Err(Fault::corrupt(format!("no such task class: {code:?}"))),
    }
}

/// The bytes that tell a lease from any other.
pub(super) fn lease_bytes(lease: Lease) -> Vec<u8> {
    [&lease.task.0.to_be_bytes()[..], lease.token.as_bytes()].concat()
}

impl Request {
    pub(super) fn lease(self, lease: Lease) -> Self {
        let job = lease.task.0 >> TASK_BITS;
        let task = lease.task.0 & ((1 << TASK_BITS) - 1);
        self.int(job)
            .bytes(format!("{task:013}"))
            .bytes(lease.token.as_bytes().as_slice())
    }

    pub(super) fn task(self, task: &NewTask) -> Self {
        self.bytes(class_code(task.class))
            .int(task.depth)
            .bytes(&task.payload)
            .int(task.delay.map_or(0, millis))
    }

    pub(super) fn tasks(self, tasks: &[NewTask]) -> Self {
        self.len(tasks.len()).each(tasks, Self::task)
    }

    /// Segments; the empty ones are left out.
    pub(super) fn appends(self, appends: &[Append]) -> Self {
        let appends = appends.iter().filter(|append| !append.bytes.is_empty());
        self.len(appends.clone().count())
            .each(appends, |request, append| {
                request
                    .bytes(append.key.as_slice())
                    .bytes(append.bytes.as_slice())
            })
    }

    pub(super) fn filter(self, filter: &JobFilter) -> Self {
        let only = filter.only.map(|job| job.to_string()).unwrap_or_default();
        self.bytes(only)
            .len(filter.except.len())
            .each(&filter.except, |request, job| request.int(job.0))
            .queues(filter.queues.as_deref())
    }

    /// How many, and their names; nothing for all.
    fn queues(self, queues: Option<&[String]>) -> Self {
        match queues {
            None => self.bytes(""),
            Some(queues) => self
                .len(queues.len())
                .each(queues, |request, name| request.bytes(name.as_str())),
        }
    }

    /// The counters that are not zero.
    pub(super) fn counts(self, counts: &Counts) -> Self {
        let counters = counts.named().filter(|(_, value)| *value > 0);
        self.len(counters.clone().count())
            .each(counters, |request, (name, value)| {
                // The most that Redis counts to.
                request.bytes(name).int(value.min(i64::MAX.unsigned_abs()))
            })
    }

    pub(super) fn failures(self, failures: &[Failure]) -> Self {
        self.len(failures.len()).each(failures, |request, failure| {
            let code = failure.code.map(|code| code.to_string());
            let retry = failure.retry.as_ref();
            request
                .bytes(&failure.path[..failure.path.len().min(MAX_PATH)])
                .bytes(clip(&failure.operation, MAX_NAME))
                .bytes(code.unwrap_or_default())
                .bytes(clip(&failure.code_name, MAX_NAME))
                .bytes(clip(&failure.message, MAX_TEXT))
                .int(failure.attempts)
                .bytes(retry.map_or("", |task| class_code(task.class)))
                .int(retry.map_or(0, |task| task.depth))
                .bytes(retry.map_or(&[][..], |task| task.payload.as_slice()))
        })
    }
}

impl Fields {
    fn state(&mut self) -> Tried<JobState> {
        let name = self.text()?;
        JobState::from_name(&name)
            .ok_or_else(|| Fault::corrupt(format!("no such job state: {name:?}")))
    }

    fn timestamp(&mut self) -> Tried<Timestamp> {
        self.uint().map(Timestamp)
    }

    fn maybe_timestamp(&mut self) -> Tried<Option<Timestamp>> {
        Ok(self.maybe_uint()?.map(Timestamp))
    }

    /// Totals; counters that this version does not know are ignored.
    fn counts(&mut self) -> Tried<Counts> {
        let mut fields = self.list()?;
        let mut counters = Map::new();
        while !fields.is_empty() {
            let (name, value) = (fields.text()?, fields.uint()?);
            counters.insert(name, Json::from(value));
        }
        serde_json::from_value(Json::Object(counters))
            .map_err(|error| Fault::corrupt(format!("totals: {error}")))
    }

    pub(super) fn view(mut self) -> Tried<Job> {
        let id = self.job()?;
        let mut of = self.list()?;
        let owner_lives = self.uint()? == 1;
        let pass_totals = self.counts()?;
        let mut totals = self.counts()?;
        totals += pass_totals;
        Ok(Job {
            id,
            name: of.text()?,
            identity: of.text()?,
            spec: of.bytes(MAX_SPEC)?,
            state: of.state()?,
            failed: of.maybe_text()?,
            pass: of.uint()?,
            interval: of.maybe_uint()?.map(Duration::from_millis),
            owner: of.maybe_text()?.map(WorkerId),
            created: of.timestamp()?,
            started: of.maybe_timestamp()?,
            ended: of.maybe_timestamp()?,
            next_pass: of.maybe_timestamp()?,
            failures_not_listed: of.maybe_uint()?.unwrap_or(0),
            queues: Queues {
                file: of.text()?,
                path: of.text()?,
                restart: of.text()?,
            },
            max_in_flight: of.maybe_small()?,
            owner_lives,
            pass_totals,
            totals,
            outstanding: Outstanding {
                ready: self.uint()?,
                delayed: self.uint()?,
                leased: self.uint()?,
            },
            failures: self.uint()?,
        })
    }

    pub(super) fn views(mut self) -> Tried<Vec<Job>> {
        let mut views = Vec::new();
        while !self.is_empty() {
            views.push(self.list()?.view()?);
        }
        Ok(views)
    }

    pub(super) fn job_state(&mut self) -> Tried<JobState> {
        self.state()
    }

    pub(super) fn events(mut self) -> Tried<Vec<JobEvent>> {
        let mut events = Vec::new();
        while !self.is_empty() {
            let line = self.text()?;
            let mut parts = line.splitn(3, ' ');
            let (Some(time), Some(kind), Some(text)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(Fault::corrupt("an event that is cut short"));
            };
            events.push(JobEvent {
                time: Timestamp(number(time)?),
                kind: EventKind::from_name(kind)
                    .ok_or_else(|| Fault::corrupt(format!("no such event: {kind:?}")))?,
                text: text.to_owned(),
            });
        }
        Ok(events)
    }

    /// What a lease call answers, under the tokens that it was given, in order.
    pub(super) fn leased(mut self, tokens: &[Token]) -> Tried<Vec<Leased>> {
        let deadline = self.timestamp()?;
        let mut specs: HashMap<JobId, (Arc<[u8]>, u64)> = HashMap::new();
        let mut list = self.list()?;
        while !list.is_empty() {
            let mut of = list.list()?;
            let (job, spec) = (of.job()?, of.bytes(MAX_SPEC)?);
            specs.insert(job, (spec.into(), of.uint()?));
        }
        let mut list = self.list()?;
        let mut leased = Vec::new();
        for token in tokens {
            if list.is_empty() {
                break;
            }
            let mut of = list.list()?;
            let (job, task, place) = (of.job()?, of.uint()?, of.text()?);
            let (class, shallow) = place
                .split_at_checked(1)
                .ok_or_else(|| Fault::corrupt("a task without a place"))?;
            let shallow = u32::try_from(number(shallow)?).unwrap_or(MAX_DEPTH);
            let kind = match of.text()?.as_str() {
                "0" => TaskKind::Work,
                "1" => TaskKind::PreJob,
                "2" => TaskKind::PostJob,
                code => return Err(Fault::corrupt(format!("no such task kind: {code:?}"))),
            };
            let (spec, pass) = specs.get(&job).cloned().unwrap_or_default();
            leased.push(Leased {
                lease: Lease {
                    task: TaskId(job.0 << TASK_BITS | task),
                    token: *token,
                },
                job,
                spec,
                kind,
                class: class_of(class)?,
                depth: MAX_DEPTH.saturating_sub(shallow),
                payload: of.bytes(MAX_PAYLOAD)?,
                cursor: of.bytes(MAX_CURSOR)?,
                expiries: of.small()?,
                deadline,
                pass,
                waited: Duration::from_millis(of.uint()?),
            });
        }
        Ok(leased)
    }

    pub(super) fn failure_page(mut self) -> Tried<FailurePage> {
        let (more, not_listed) = (self.uint()? == 1, self.uint()?);
        let mut list = self.list()?;
        let mut entries = Vec::new();
        while !list.is_empty() {
            let mut entry = list.list()?;
            let (path, retrying) = (entry.bytes(MAX_PATH)?, entry.uint()? == 1);
            let mut of = entry.list()?;
            let (time, operation, code) = (of.timestamp()?, of.text()?, of.text()?);
            let code = match code.as_str() {
                "" => None,
                code => Some(code.parse().map_err(|_| Fault::corrupt("an error code"))?),
            };
            let (code_name, message, attempts) = (of.text()?, of.text()?, of.small()?);
            let (class, depth, payload) = (of.text()?, of.small()?, of.bytes(MAX_PAYLOAD)?);
            let retry = match class.as_str() {
                "" => None,
                class => Some(NewTask {
                    class: class_of(class)?,
                    depth,
                    payload,
                    delay: None,
                }),
            };
            entries.push(FailureRecord {
                time,
                retrying,
                failure: Failure {
                    path,
                    operation,
                    code,
                    code_name,
                    message,
                    attempts,
                    retry,
                },
            });
        }
        Ok(FailurePage {
            entries,
            more,
            not_listed,
        })
    }

    pub(super) fn workers(mut self) -> Tried<Vec<Worker>> {
        let mut workers = Vec::new();
        while !self.is_empty() {
            let mut worker = self.list()?;
            let id = WorkerId(worker.text()?);
            let mut of = worker.list()?;
            let info = WorkerInfo {
                id,
                host: of.text()?,
                pid: of.small()?,
                process: of.text()?,
                version: of.text()?,
                status: of.text()?,
            };
            let (since, heard) = (of.timestamp()?, of.timestamp()?);
            let lives_until = worker.timestamp()?;
            let mut list = worker.list()?;
            let mut leases = Vec::new();
            while !list.is_empty() {
                let mut of = list.list()?;
                leases.push((of.job()?, of.uint()?));
            }
            workers.push(Worker {
                info,
                since,
                heard,
                lives_until,
                leases,
            });
        }
        workers.sort_by(|a, b| a.info.id.cmp(&b.info.id));
        Ok(workers)
    }

    /// The fields of a record: segments by number, and positions of those that replaced others.
    pub(super) fn segments(mut self) -> Tried<Vec<Segment>> {
        let mut positions: HashMap<u64, u64> = HashMap::new();
        let mut segments = Vec::new();
        while !self.is_empty() {
            let name = self.text()?;
            match name.strip_prefix('p') {
                Some(id) => {
                    positions.insert(number(id)?, self.uint()?);
                }
                None => segments.push(Segment {
                    id: SegmentId(number(&name)?),
                    bytes: self.bytes(MAX_SEGMENT)?,
                }),
            }
        }
        segments.sort_by_key(|segment| *positions.get(&segment.id.0).unwrap_or(&segment.id.0));
        Ok(segments)
    }
}
