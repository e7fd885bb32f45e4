//! The embedded engine: one SQLite file in WAL mode, shared by the processes of one machine.
//!
//! Every change is a request to the one thread of the process that writes (`writer`); reads use connections of their own on the
//! runtime's blocking threads and never wait for a writer. Processes share nothing but the file, so it must be on a local file
//! system (WAL needs memory that all of them map). The time is the machine's.
//!
//! A killed process loses nothing that was answered. A power failure may undo the last transactions, whole and in order: tasks
//! then run again, and a job that was just created may be gone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::Notify;

use super::{
    Append, Begun, Broker, BrokerError, Completion, Created, Departure, Extended, FailureFilter,
    FailurePage, Job, JobEvent, JobFilter, JobId, JobState, Lease, LeaseRequest, Leased, NewJob,
    NewTask, Result, Retried, Segment, Spawned, Timestamp, Worker, WorkerId, WorkerInfo, check,
    until_next_look,
};

mod clock;
mod complete;
mod fault;
mod jobs;
mod ledger;
mod passes;
mod schema;
mod signatures;
mod tasks;
#[cfg(test)]
mod tests;
mod workers;
mod writer;

pub(crate) use clock::Clock;
use fault::Tried;
use writer::Writer;

/// Reading connections that are kept open.
const READERS: usize = 4;

/// A broker in an SQLite file.
#[derive(Debug)]
pub struct SqliteBroker {
    path: PathBuf,
    clock: Clock,
    writer: Writer,
    readers: Arc<Mutex<Vec<Connection>>>,
    work: Arc<Notify>,
}

fn label(path: &Path) -> String {
    format!("broker {}", path.display())
}

impl SqliteBroker {
    /// Opens the file, or makes it if there is none (its directory must exist).
    ///
    /// # Errors
    /// [`BrokerError::Unusable`] if it cannot be made or written, [`BrokerError::Corrupt`] if it is no broker's file,
    /// [`BrokerError::Version`] if another version made it, [`BrokerError::Unavailable`] if other processes keep it locked.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_at(path.into(), Clock::System).await
    }

    /// Like [`Self::open`], with a clock.
    pub(crate) async fn open_at(path: PathBuf, clock: Clock) -> Result<Self> {
        let broker = label(&path);
        let connection = {
            let path = path.clone();
            blocking(&broker, move || schema::open(&path)).await?
        };
        let work = Arc::new(Notify::new());
        let writer = Writer::start(connection, clock.clone(), Arc::clone(&work), broker.into())?;
        Ok(Self {
            path,
            clock,
            writer,
            readers: Arc::default(),
            work,
        })
    }

    /// Reads from one snapshot of the file.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, Timestamp) -> Tried<T> + Send + 'static,
    ) -> Result<T> {
        let readers = Arc::clone(&self.readers);
        let path = self.path.clone();
        let now = self.clock.now();
        blocking(&label(&self.path), move || {
            let kept = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => schema::open_reader(&path)?,
            };
            connection.prepare_cached("BEGIN")?.execute([])?;
            let result = work(&connection, now);
            connection.prepare_cached("COMMIT")?.execute([])?;
            let mut kept = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < READERS {
                kept.push(connection);
            }
            result
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    broker: &str,
    work: impl FnOnce() -> Tried<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|fault| fault.into_error(broker)),
        Err(error) => Err(BrokerError::Unavailable {
            broker: broker.to_owned(),
            detail: error.to_string(),
        }),
    }
}

#[async_trait]
impl Broker for SqliteBroker {
    async fn create_job(&self, job: NewJob) -> Result<Created> {
        check::new_job(&job)?;
        // By itself, because a refusal would undo it: a job whose last holders died while it was stopping has stopped by now.
        self.tick().await?;
        self.writer.run(move |tx| tx.create_job(&job)).await
    }

    async fn find_job(&self, name: &str) -> Result<Option<Job>> {
        let name = name.to_owned();
        self.read(move |connection, now| jobs::find(connection, now, &name))
            .await
    }

    async fn job(&self, job: JobId) -> Result<Job> {
        self.read(move |connection, now| jobs::view(connection, now, job))
            .await
    }

    async fn jobs(&self) -> Result<Vec<Job>> {
        self.read(jobs::views).await
    }

    async fn events(&self, job: JobId) -> Result<Vec<JobEvent>> {
        self.read(move |connection, _| jobs::events(connection, job))
            .await
    }

    async fn note(&self, job: JobId, text: &str) -> Result<()> {
        let text = text.to_owned();
        self.writer.run(move |tx| tx.note(job, &text)).await
    }

    async fn profile(&self, job: JobId) -> Result<(u64, Vec<u8>)> {
        self.read(move |connection, _| jobs::profile(connection, job))
            .await
    }

    async fn put_profile(&self, job: JobId, revision: u64, bytes: Vec<u8>) -> Result<bool> {
        check::profile(&bytes)?;
        self.writer
            .run(move |tx| tx.put_profile(job, revision, &bytes))
            .await
    }

    async fn stop(&self, job: JobId, now: bool) -> Result<JobState> {
        self.writer.run(move |tx| tx.stop(job, now)).await
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        self.writer.run(move |tx| tx.forget(job)).await
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<Leased>> {
        let request = request.clone();
        self.writer.run(move |tx| tx.lease(&request)).await
    }

    async fn extend(&self, leases: &[Lease], lease_for: Duration) -> Result<Extended> {
        let leases = leases.to_vec();
        self.writer
            .run(move |tx| tx.extend(&leases, lease_for))
            .await
    }

    async fn release(&self, lease: Lease, delay: Duration) -> Result<()> {
        self.writer.run(move |tx| tx.release(lease, delay)).await
    }

    async fn spawn(
        &self,
        lease: Lease,
        children: Vec<NewTask>,
        cursor: Vec<u8>,
        signatures: Vec<Append>,
    ) -> Result<Spawned> {
        check::batch(&children, &cursor, &signatures)?;
        self.writer
            .run(move |tx| tx.spawn(lease, &children, &cursor, &signatures))
            .await
    }

    async fn begin_once(&self, lease: Lease) -> Result<Begun> {
        self.writer.run(move |tx| tx.begin_once(lease)).await
    }

    async fn complete(&self, lease: Lease, completion: Completion) -> Result<()> {
        check::completion(&completion)?;
        self.writer
            .run(move |tx| tx.complete(lease, &completion))
            .await
    }

    async fn tick(&self) -> Result<()> {
        self.writer.run(|tx| tx.tick()).await
    }

    async fn wait_for_work(&self, filter: &JobFilter, timeout: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            let queued = self.work.notified();
            tokio::pin!(queued);
            // From here on nothing queued by this process is missed.
            queued.as_mut().enable();
            let filter = filter.clone();
            if self
                .read(move |connection, now| tasks::has_work(connection, now, &filter))
                .await?
            {
                return Ok(true);
            }
            let waited = start.elapsed();
            let left = timeout.saturating_sub(waited);
            if left.is_zero() {
                return Ok(false);
            }
            tokio::select! {
                () = queued => {}
                () = tokio::time::sleep(left.min(until_next_look(waited))) => {}
            }
        }
    }

    async fn signatures(&self, key: &[u8]) -> Result<Vec<Segment>> {
        check::key(key)?;
        let key = key.to_vec();
        self.read(move |connection, _| signatures::signatures(connection, &key))
            .await
    }

    async fn clear_signatures(&self, prefix: &[u8]) -> Result<u64> {
        check::key(prefix)?;
        let prefix = prefix.to_vec();
        self.writer
            .run(move |tx| tx.clear_signatures(&prefix))
            .await
    }

    async fn failures(&self, job: JobId, after: Option<&[u8]>, max: usize) -> Result<FailurePage> {
        let after = after.map(<[u8]>::to_vec);
        self.read(move |connection, _| ledger::failures(connection, job, after.as_deref(), max))
            .await
    }

    async fn retry(&self, job: JobId, filter: &FailureFilter) -> Result<Retried> {
        let filter = filter.clone();
        self.writer.run(move |tx| tx.retry(job, &filter)).await
    }

    async fn heartbeat(&self, worker: &WorkerInfo, lives_for: Duration) -> Result<()> {
        check::worker(worker)?;
        let worker = worker.clone();
        self.writer
            .run(move |tx| tx.heartbeat(&worker, lives_for))
            .await
    }

    async fn workers(&self) -> Result<Vec<Worker>> {
        self.read(workers::workers).await
    }

    async fn worker_gone(&self, worker: &WorkerId, how: Departure) -> Result<()> {
        let worker = worker.clone();
        self.writer
            .run(move |tx| tx.worker_gone(&worker, how))
            .await
    }
}
