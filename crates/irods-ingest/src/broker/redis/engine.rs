//! The trait on the scripts: each method is one request, and its answer.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::Cmd;
use uuid::Uuid;

use super::codec::lease_bytes;
use super::fault::Tried;
use super::link::Request;
use super::reply::Fields;
use super::{LostLeases, RedisBroker};
use crate::broker::check::{self, clip, millis};
use crate::broker::limits::{MAX_LEASE, MAX_PROFILE, MAX_TEXT};
use crate::broker::{
    Append, Begun, Broker, BrokerError, Completion, Created, Departure, Extended, FailureFilter,
    FailurePage, Fatal, Job, JobEvent, JobFilter, JobId, JobState, Lease, LeaseRequest, Leased,
    NewJob, NewTask, Result, Retried, Segment, Spawned, Token, Worker, WorkerId, WorkerInfo,
    until_next_look,
};

/// Tokens that are on their way. Unless there is an answer, they are lost.
struct Handing<'a> {
    broker: &'a RedisBroker,
    leases: Option<LostLeases>,
}

impl Drop for Handing<'_> {
    fn drop(&mut self) {
        /// Requests whose leases are remembered; those of others run out.
        const MOST: usize = 256;
        if let Some(leases) = self.leases.take() {
            let mut lost = self
                .broker
                .lost
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if lost.len() >= MOST {
                lost.remove(0);
            }
            lost.push(leases);
        }
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn create_job(&self, job: NewJob) -> Result<Created> {
        check::new_job(&job)?;
        let name = job.name.clone().unwrap_or_default();
        let interval = job.interval.map(|interval| millis(interval).to_string());
        let interval = interval.unwrap_or_default();
        let about = format!("{name}\0{}\0{interval}", job.identity).into_bytes();
        let attempt = self.attempts.begin("create", about);
        let request = self
            .request("create")
            .bytes(attempt.number())
            .bytes(name)
            .bytes(Uuid::new_v4().to_string())
            .bytes(job.identity)
            .bytes(job.owner.map(|owner| owner.0).unwrap_or_default())
            .bytes(job.spec)
            .flag(job.pre_job)
            .flag(job.post_job)
            .bytes(interval)
            .bytes(job.queues.file)
            .bytes(job.queues.path)
            .bytes(job.queues.restart)
            .bytes(
                job.max_in_flight
                    .map(|cap| cap.to_string())
                    .unwrap_or_default(),
            )
            .task(&job.first);
        let mut fields = self.attempt(attempt, request).await?;
        let created = || -> Tried<Created> {
            let how = fields.text()?;
            let view = fields.list()?.view()?;
            Ok(match how.as_str() {
                "new" => Created::New(view),
                _ => Created::Resumed(view),
            })
        };
        self.told({ created }())
    }

    async fn find_job(&self, name: &str) -> Result<Option<Job>> {
        let mut fields = self.send(self.request("find").bytes(name)).await?;
        let found = self.told(fields.maybe_list())?;
        found.map(|view| self.told(view.view())).transpose()
    }

    async fn job(&self, job: JobId) -> Result<Job> {
        let mut fields = self.send(self.request("job").int(job.0)).await?;
        self.told(fields.list().and_then(Fields::view))
    }

    async fn jobs(&self) -> Result<Vec<Job>> {
        let mut fields = self.send(self.request("jobs")).await?;
        self.told(fields.list().and_then(Fields::views))
    }

    async fn events(&self, job: JobId) -> Result<Vec<JobEvent>> {
        let mut fields = self.send(self.request("events").int(job.0)).await?;
        self.told(fields.list().and_then(Fields::events))
    }

    async fn note(&self, job: JobId, text: &str) -> Result<()> {
        let request = self.request("note").int(job.0).bytes(clip(text, MAX_TEXT));
        self.send(request).await.map(|_| ())
    }

    async fn profile(&self, job: JobId) -> Result<(u64, Vec<u8>)> {
        let mut fields = self.send(self.request("profile").int(job.0)).await?;
        let found =
            || -> Tried<(u64, Vec<u8>)> { Ok((fields.uint()?, fields.bytes(MAX_PROFILE)?)) };
        self.told({ found }())
    }

    async fn put_profile(&self, job: JobId, revision: u64, bytes: Vec<u8>) -> Result<bool> {
        check::profile(&bytes)?;
        let request = self
            .request("put_profile")
            .int(job.0)
            .int(revision)
            .bytes(bytes);
        let mut fields = self.send(request).await?;
        Ok(self.told(fields.uint())? == 1)
    }

    async fn stop(&self, job: JobId, now: bool) -> Result<JobState> {
        let request = self.request("stop").int(job.0).flag(now);
        let mut fields = self.send(request).await?;
        self.told(fields.job_state())
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        let attempt = self.attempts.begin("forget", job.0.to_be_bytes().to_vec());
        let again = attempt.again();
        let request = self.request("forget").int(job.0);
        match self.attempt(attempt, request).await {
            Err(BrokerError::UnknownJob { .. }) if again => Ok(()),
            done => done.map(|_| ()),
        }
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<Leased>> {
        let max = request.max.min(MAX_LEASE);
        let tokens: Vec<Token> = (0..max).map(|_| Token::random()).collect();
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| *token.as_bytes()).collect();
        let lost = self.lost_of(&request.worker);
        let script = self
            .request("lease")
            .bytes(request.worker.0.as_str())
            .len(max)
            .int(millis(request.lease_for))
            .bytes(bytes.as_slice())
            .bytes(lost.as_slice())
            .filter(&request.filter);
        let mut handing = Handing {
            broker: self,
            leases: Some(LostLeases {
                worker: request.worker.clone(),
                tokens: bytes,
            }),
        };
        let fields = self.send(script).await?;
        let leased = self.told(fields.leased(&tokens))?;
        handing.leases = None;
        if !lost.is_empty() {
            let mut all = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|leases| {
                leases.worker != request.worker
                    || !lost
                        .chunks(16)
                        .any(|token| leases.tokens.starts_with(token))
            });
        }
        Ok(leased)
    }

    async fn extend(&self, leases: &[Lease], lease_for: Duration) -> Result<Extended> {
        let request = self
            .request("extend")
            .int(millis(lease_for))
            .len(leases.len())
            .each(leases.iter().copied(), Request::lease);
        let mut fields = self.send(request).await?;
        let extended = || -> Tried<Extended> {
            let mut extended = Extended::default();
            let mut lost = fields.list()?;
            while !lost.is_empty() {
                let index = usize::try_from(lost.uint()?).unwrap_or(usize::MAX);
                extended.lost.extend(leases.get(index));
            }
            let mut stopping = fields.list()?;
            while !stopping.is_empty() {
                extended.stopping.push(stopping.job()?);
            }
            Ok(extended)
        };
        self.told({ extended }())
    }

    async fn release(&self, lease: Lease, delay: Duration) -> Result<()> {
        let attempt = self.attempts.begin("release", lease_bytes(lease));
        let again = attempt.again();
        let request = self.request("release").lease(lease).int(millis(delay));
        match self.attempt(attempt, request).await {
            // It is given back, by the call before or because it ran out.
            Err(BrokerError::Stale { .. }) if again => Ok(()),
            done => done.map(|_| ()),
        }
    }

    async fn spawn(
        &self,
        lease: Lease,
        children: Vec<NewTask>,
        cursor: Vec<u8>,
        signatures: Vec<Append>,
    ) -> Result<Spawned> {
        check::batch(&children, &cursor, &signatures)?;
        let mut about = lease_bytes(lease);
        about.extend(&cursor);
        let attempt = self.attempts.begin("spawn", about);
        let request = self
            .request("spawn")
            .lease(lease)
            .bytes(attempt.number())
            .bytes(cursor)
            .tasks(&children)
            .appends(&signatures);
        let mut fields = self.attempt(attempt, request).await?;
        Ok(match self.told(fields.text())?.as_str() {
            "queued" => Spawned::Queued,
            "crowded" => Spawned::Crowded,
            _ => Spawned::Stopping,
        })
    }

    async fn begin_once(&self, lease: Lease) -> Result<Begun> {
        let attempt = self.attempts.begin("begin", lease_bytes(lease));
        let request = self.request("begin").lease(lease).bytes(attempt.number());
        let mut fields = self.attempt(attempt, request).await?;
        Ok(match self.told(fields.text())?.as_str() {
            "first" => Begun::First,
            _ => Begun::Again,
        })
    }

    async fn complete(&self, lease: Lease, completion: Completion) -> Result<()> {
        check::completion(&completion)?;
        let attempt = self.attempts.begin("complete", lease_bytes(lease));
        let (ending, why) = match &completion.fatal {
            None => ("", ""),
            Some(Fatal::Pass(why)) => ("pass", clip(why, MAX_TEXT)),
            Some(Fatal::Job(why)) => ("job", clip(why, MAX_TEXT)),
        };
        let request = self
            .request("complete")
            .lease(lease)
            .bytes(attempt.number())
            .bytes(ending)
            .bytes(why)
            .tasks(&completion.children)
            .counts(&completion.counts)
            .appends(&completion.signatures)
            .len(completion.compactions.len())
            .each(&completion.compactions, |request, compaction| {
                let mut replaces = compaction.replaces.clone();
                replaces.sort_unstable();
                replaces.dedup();
                request
                    .bytes(compaction.key.as_slice())
                    .bytes(compaction.bytes.as_slice())
                    .len(replaces.len())
                    .each(replaces, |request, segment| request.int(segment.0))
            })
            .tasks(&completion.retries)
            .failures(&completion.failures);
        self.attempt(attempt, request).await.map(|_| ())
    }

    async fn tick(&self) -> Result<()> {
        self.send(self.request("tick")).await.map(|_| ())
    }

    async fn wait_for_work(&self, filter: &JobFilter, timeout: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            let mut fields = self.send(self.request("has_work").filter(filter)).await?;
            if self.told(fields.uint())? == 1 {
                return Ok(true);
            }
            let waited = start.elapsed();
            let left = timeout.saturating_sub(waited);
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(left.min(until_next_look(waited))).await;
        }
    }

    async fn signatures(&self, key: &[u8]) -> Result<Vec<Segment>> {
        check::key(key)?;
        let mut command = Cmd::new();
        command.arg("HGETALL").arg(self.record_key(key));
        let answer = self.told(self.link.command(&command).await)?;
        self.told(Fields::of(answer).and_then(Fields::segments))
    }

    async fn clear_signatures(&self, prefix: &[u8]) -> Result<u64> {
        check::key(prefix)?;
        self.told(self.clear(prefix).await)
    }

    async fn failures(&self, job: JobId, after: Option<&[u8]>, max: usize) -> Result<FailurePage> {
        // How a range of names begins: at the first, or after this one.
        let from = match after {
            Some(after) => [b"(", after].concat(),
            None => b"-".to_vec(),
        };
        let request = self
            .request("failures")
            .int(job.0)
            .bytes(from)
            .len(max.clamp(1, MAX_LEASE));
        let fields = self.send(request).await?;
        self.told(fields.failure_page())
    }

    async fn retry(&self, job: JobId, filter: &FailureFilter) -> Result<Retried> {
        let about = format!("{job} {filter:?}").into_bytes();
        let attempt = self.attempts.begin("retry", about);
        let request = self
            .request("retry")
            .int(job.0)
            .bytes(attempt.number())
            .flag(filter.path.is_some())
            .bytes(filter.path.clone().unwrap_or_default())
            .flag(filter.code_name.is_some())
            .bytes(filter.code_name.clone().unwrap_or_default());
        let mut fields = self.attempt(attempt, request).await?;
        let retried = || -> Tried<Retried> {
            Ok(Retried {
                queued: fields.uint()?,
                left: fields.uint()?,
                not_listed: fields.uint()?,
            })
        };
        self.told({ retried }())
    }

    async fn heartbeat(&self, worker: &WorkerInfo, lives_for: Duration) -> Result<()> {
        check::worker(worker)?;
        let request = self
            .request("heartbeat")
            .bytes(worker.id.0.as_str())
            .int(millis(lives_for))
            .bytes(worker.host.as_str())
            .int(worker.pid)
            .bytes(worker.process.as_str())
            .bytes(worker.version.as_str())
            .bytes(worker.status.as_str());
        self.send(request).await.map(|_| ())
    }

    async fn workers(&self) -> Result<Vec<Worker>> {
        let mut fields = self.send(self.request("workers")).await?;
        self.told(fields.list().and_then(Fields::workers))
    }

    async fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Result<()> {
        let request = self
            .request("gone")
            .bytes(worker.0.as_str())
            .bytes(match how {
                Departure::Left => "left",
                Departure::Interrupted => "middle",
                Departure::Died => "died",
            });
        self.send(request).await.map(|_| ())
    }
}
