//! The one thread of a process that writes, and group commit.
//!
//! Requests that wait while a transaction commits share the next one: each runs in a savepoint of its own, so a refused one undoes
//! itself alone, and none is answered before the commit. If the commit fails, every request of the batch is answered with that, for
//! even a refusal may rest on what another request of the batch did.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::clock::Clock;
use super::fault::{Fault, Tried};
use crate::broker::{BrokerError, Result, Timestamp};

/// The most requests in one transaction, which bounds how long other processes wait for it.
const MAX_BATCH: usize = 64;

/// What a request works with.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Timestamp,
    /// Set by what makes a task ready, so that those who wait for work look again.
    pub(super) wake: Cell<bool>,
}

/// Runs in the transaction, or is told why there is none; answers after the commit.
type Request = Box<dyn FnOnce(std::result::Result<&Tx<'_>, BrokerError>) -> Done + Send>;
type Answer = Box<dyn FnOnce(Option<&BrokerError>)>;

struct Done {
    keep: bool,
    answer: Answer,
}

/// The handle of the thread; the thread ends when it is dropped.
pub(super) struct Writer {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    broker: Arc<str>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        clock: Clock,
        work: Arc<Notify>,
        broker: Arc<str>,
    ) -> Result<Self> {
        let (requests, receiver) = channel();
        let label = Arc::clone(&broker);
        let thread = std::thread::Builder::new()
            .name("broker-writer".to_owned())
            .spawn(move || {
                while let Ok(first) = receiver.recv() {
                    if batch(&connection, &clock, first, &receiver, &label) {
                        work.notify_waiters();
                    }
                }
            })
            .map_err(|error| BrokerError::Unavailable {
                broker: broker.to_string(),
                detail: error.to_string(),
            })?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            broker,
        })
    }

    /// Runs `work` in a transaction and returns when that is committed.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Tried<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let broker = Arc::clone(&self.broker);
        let request: Request = Box::new(move |tx| {
            let result = tx.and_then(|tx| work(tx).map_err(|fault| fault.into_error(&broker)));
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |failed| {
                // Nobody may be waiting any more; what was done stays done.
                let _ = sender.send(match failed {
                    Some(error) => Err(error.clone()),
                    None => result,
                });
            });
            Done { keep, answer }
        });
        let gone = || BrokerError::Unavailable {
            broker: self.broker.to_string(),
            detail: "its thread ended".to_owned(),
        };
        self.requests
            .as_ref()
            .ok_or_else(gone)?
            .send(request)
            .map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // It ended by a panic at worst, and then there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

/// Runs one transaction and answers its requests; says whether some task became ready.
fn batch(
    connection: &Connection,
    clock: &Clock,
    first: Request,
    receiver: &Receiver<Request>,
    broker: &str,
) -> bool {
    let run = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop);
    if let Err(error) = run("BEGIN IMMEDIATE") {
        let error = Fault::from(error).into_error(broker);
        (first(Err(error)).answer)(None);
        return false;
    }
    let tx = Tx {
        connection,
        now: clock.now(),
        wake: Cell::new(false),
    };
    let mut answers = Vec::new();
    let mut next = Some(first);
    let mut outcome = Ok(());
    while let Some(request) = next {
        outcome = in_savepoint(&tx, request, &mut answers);
        next = if outcome.is_ok() && answers.len() < MAX_BATCH {
            receiver.try_recv().ok()
        } else {
            None
        };
    }
    let outcome = outcome.and_then(|()| Ok(run("COMMIT")?));
    if outcome.is_err() && !connection.is_autocommit() {
        // If even this fails, the next BEGIN does, and says so.
        let _ = connection.execute_batch("ROLLBACK");
    }
    let failed = outcome.err().map(|fault| fault.into_error(broker));
    for answer in answers {
        answer(failed.as_ref());
    }
    failed.is_none() && tx.wake.get()
}

fn in_savepoint(tx: &Tx<'_>, request: Request, answers: &mut Vec<Answer>) -> Tried<()> {
    let run = |sql: &str| tx.connection.prepare_cached(sql)?.execute([]).map(|_| ());
    let begun = run("SAVEPOINT request");
    let Done { keep, answer } = request(Ok(tx));
    answers.push(answer);
    begun?;
    if keep {
        return Ok(run("RELEASE request")?);
    }
    if tx.connection.is_autocommit() {
        // SQLite rolls the whole transaction back when, for example, the disk is full.
        return Err(Fault::Sql(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("the transaction was rolled back (disk full or not readable?)".to_owned()),
        )));
    }
    run("ROLLBACK TO request")?;
    Ok(run("RELEASE request")?)
}
