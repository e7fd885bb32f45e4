//! What goes on beside the tasks of a worker: heartbeats that say how it is, and leases that are extended in time.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, warn};

use super::status::{Doing, Meter, Waiting, WorkerStatus, shown};
use super::width::Width;
use super::{InHand, Worker};
use crate::breaker::Breaker;
use crate::broker::{Counts, JobId, Lease, WorkerInfo};
use crate::profile::recorder::Recorder;
use crate::rate::Throttle;
use crate::shutdown::Urgency;
use crate::source::s3::Requests;

/// How often what is measured is handed in.
const HAND_IN: Duration = Duration::from_secs(5);
/// How often a worker says how it is, if leases do not ask for more. What changes at once is said at once.
const REPORT: Duration = Duration::from_secs(2);

/// What the tasks of a worker share, and what it says of itself.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether the zone is there.
    pub(super) breaker: Breaker,
    /// The bound on its bytes.
    pub(super) throttle: Option<Arc<Throttle>>,
    /// Those to S3 servers.
    pub(super) requests: Arc<Requests>,
    meter: Mutex<Meter>,
    width: Mutex<Width>,
    doing: Mutex<HashMap<Lease, Begun>>,
    /// Of jobs whose stages are measured.
    recorders: Mutex<BTreeMap<JobId, Arc<Recorder>>>,
}

/// A task that was begun.
#[derive(Debug)]
struct Begun {
    job: JobId,
    what: &'static str,
    path: String,
    since: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task is listed as long as this lives.
#[must_use]
pub(super) struct Listed<'a>(&'a Shared, Lease);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        lock(&self.0.doing).remove(&self.1);
    }
}

impl Shared {
    pub(super) fn new(width: Width, max_rate: Option<NonZeroU64>, requests: Arc<Requests>) -> Self {
        Shared {
            breaker: Breaker::default(),
            throttle: max_rate.map(|rate| Arc::new(Throttle::new(rate))),
            requests,
            meter: Mutex::default(),
            width: Mutex::new(width),
            doing: Mutex::default(),
            recorders: Mutex::default(),
        }
    }

    /// Lists a task that is begun.
    pub(super) fn list(
        &self,
        lease: Lease,
        job: JobId,
        what: &'static str,
        path: &[u8],
    ) -> Listed<'_> {
        let begun = Begun {
            job,
            what,
            path: shown(path),
            since: Instant::now(),
        };
        lock(&self.doing).insert(lease, begun);
        Listed(self, lease)
    }

    /// Where the stages of a job are measured.
    pub(super) fn recorder(&self, job: JobId) -> Arc<Recorder> {
        let mut recorders = lock(&self.recorders);
        let recorder = recorders.entry(job);
        recorder
            .or_insert_with(|| Arc::new(Recorder::new(job)))
            .clone()
    }

    /// Counts what a task has done.
    pub(super) fn count(&self, counts: &Counts) {
        lock(&self.meter).add(counts);
        self.width().ended(counts, Instant::now());
    }

    /// How many tasks there may be at once.
    pub(super) fn width(&self) -> MutexGuard<'_, Width> {
        lock(&self.width)
    }
}

impl Worker {
    /// Hands in what was measured.
    pub(super) async fn hand_in(&self) {
        let recorders: Vec<_> = lock(&self.shared.recorders).values().cloned().collect();
        for recorder in recorders {
            let broker = self.broker.as_ref();
            if let Err(error) = recorder.hand_in(broker, &self.options.info.id).await {
                debug!(%error, "the profile of a job was not handed in");
            }
        }
    }

    /// Who it is, and how it is now.
    fn report(&self) -> WorkerInfo {
        let (files_per_second, bytes_per_second) = lock(&self.shared.meter).rates(Instant::now());
        let away = self.shared.breaker.away();
        let mut status = WorkerStatus {
            name: self.options.name.clone(),
            queues: self.options.filter.queues.clone(),
            only: self.options.filter.only,
            concurrency: self.shared.width().now(),
            draining: self.shutdown.requested(),
            waiting_for_zone: away.map(|(time, why)| Waiting {
                seconds: time.as_secs_f64(),
                why: shown(why.as_bytes()),
            }),
            files_per_second,
            bytes_per_second,
            requests_repeated: self.shared.requests.repeated(),
            ..WorkerStatus::default()
        };
        let doing = lock(&self.shared.doing);
        let tasks = doing.values().map(|begun| Doing {
            job: begun.job,
            what: begun.what.to_owned(),
            path: begun.path.clone(),
            seconds: begun.since.elapsed().as_secs_f64(),
        });
        status.list(tasks.collect());
        WorkerInfo {
            // All of it has a JSON form.
            status: serde_json::to_string(&status).unwrap_or_default(),
            ..self.options.info.clone()
        }
    }
}

/// Heartbeats and extended leases, three times as often as needed. A lease that is lost ends its task.
pub(super) async fn keep_alive(worker: Worker, in_hand: Arc<InHand>) {
    let lease_for = worker.options.lease_for;
    let mut every = tokio::time::interval((lease_for / 3).min(REPORT));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut extended = Instant::now();
    let mut drains = false;
    let mut handed_in = Instant::now();
    loop {
        let before = worker.shared.breaker.away().is_some();
        let turned = async {
            loop {
                let changed = worker.shared.breaker.changed();
                if worker.shared.breaker.away().is_some() != before {
                    return;
                }
                changed.await;
            }
        };
        tokio::select! {
            biased;
            _ = every.tick() => {}
            () = turned => {}
            () = worker.shutdown.wait_for(Urgency::Drain), if !drains => drains = true,
        }
        let heartbeat = worker.broker.heartbeat(&worker.report(), lease_for).await;
        if let Err(error) = heartbeat {
            warn!(%error, "no heartbeat");
        }
        if handed_in.elapsed() >= HAND_IN {
            handed_in = Instant::now();
            // Beside, since it may take some turns.
            let worker = worker.clone();
            tokio::spawn(async move { worker.hand_in().await });
        }
        if extended.elapsed() >= lease_for / 3 - every.period() / 2 {
            let asked = Instant::now();
            // In vain, it is tried again at the next turn.
            if extend(&worker, &in_hand).await {
                extended = asked;
            }
        }
    }
}

/// Whether the broker answered.
async fn extend(worker: &Worker, in_hand: &InHand) -> bool {
    let mut leases = in_hand.leases();
    leases.sort_unstable_by_key(|lease| lease.task);
    if leases.is_empty() {
        return true;
    }
    let until = Instant::now() + worker.options.lease_for;
    match worker
        .broker
        .extend(&leases, worker.options.lease_for)
        .await
    {
        Ok(extended) => {
            leases.retain(|lease| !extended.lost.contains(lease));
            for lost in extended.lost {
                in_hand.lose(lost);
            }
            for lease in leases {
                in_hand.extended(lease, until);
            }
            true
        }
        Err(error) => {
            warn!(%error, "leases not extended");
            false
        }
    }
}
