//! The thread that owns the only connection that writes.
//!
//! Invariants: closures run in the order in which they were sent, each in a savepoint of its own;
//! all that wait are put into one transaction and none is answered before that has committed; a
//! closure that fails or panics undoes only its own work. It knows nothing of what the closures do.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{CatalogError, Result, code};

/// Closures in one transaction: bounds how long the first of them waits for its answer.
const MAX_GROUP: usize = 256;

/// A closure together with the way its answer goes back.
trait Job: Send {
    /// Runs the closure and keeps its result; true if its work is to stay.
    fn run(&mut self, conn: &Connection) -> bool;
    /// Sends the kept result, or `failure` in place of a success.
    fn answer(self: Box<Self>, failure: Option<&CatalogError>);
}

struct Task<F, T> {
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Task<F, T>
where
    F: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, conn: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(conn)))
            .unwrap_or_else(|panic| Err(panic_error(panic.as_ref())));
        let keep = outcome.is_ok();
        self.result = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, failure: Option<&CatalogError>) {
        let answer = match (failure, self.result) {
            (Some(failure), Some(Ok(_)) | None) => Err(failure.clone()),
            (_, Some(result)) => result,
            (None, None) => Err(CatalogError::new(
                code::SYS_INTERNAL_ERR,
                "the work never ran",
            )),
        };
        // The caller may have given up waiting; what was committed stays committed.
        let _ = self.reply.send(answer);
    }
}

/// Turns a caught panic into an error for the one caller whose closure panicked.
pub(crate) fn panic_error(panic: &(dyn Any + Send)) -> CatalogError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = %text, "a catalog operation panicked");
    CatalogError::new(
        code::SYS_INTERNAL_ERR,
        "internal error in a catalog operation",
    )
}

/// Handle of the writer thread. Dropping it lets the thread finish what was sent and waits for that.
pub(crate) struct Writer {
    sender: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on that connection.
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("catalog-writer".to_owned())
            .spawn(move || run(&connection, &receiver))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    /// Sends a closure; the answer arrives after its transaction has committed.
    pub(crate) fn send<F, T>(&self, work: F) -> oneshot::Receiver<Result<T>>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        if let Some(sender) = &self.sender {
            // If the thread is gone the sender half of `answer` is dropped, which the caller sees.
            let _ = sender.send(Box::new(Task {
                work: Some(work),
                result: None,
                reply,
            }));
        }
        answer
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.sender.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A closure may have held the last handle; a thread cannot wait for itself.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

fn run(conn: &Connection, jobs: &Receiver<Box<dyn Job>>) {
    let mut group = Vec::new();
    while let Ok(first) = jobs.recv() {
        let failure = commit_group(conn, first, jobs, &mut group).err();
        if let Some(failure) = &failure {
            tracing::error!(error = %failure, "a catalog transaction was lost");
        }
        for job in group.drain(..) {
            job.answer(failure.as_ref());
        }
    }
}

/// Runs what waits in one transaction. On error nothing of the group was kept.
fn commit_group(
    conn: &Connection,
    first: Box<dyn Job>,
    jobs: &Receiver<Box<dyn Job>>,
    group: &mut Vec<Box<dyn Job>>,
) -> Result<()> {
    group.push(first);
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let mut next = 0;
    while let Some(job) = group.get_mut(next) {
        run_in_savepoint(conn, job.as_mut()).inspect_err(|_| abandon(conn))?;
        next += 1;
        if next < MAX_GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
    }
    conn.execute_batch("COMMIT")
        .inspect_err(|_| abandon(conn))?;
    Ok(())
}

fn run_in_savepoint(conn: &Connection, job: &mut dyn Job) -> Result<()> {
    conn.prepare_cached("SAVEPOINT work")?.execute([])?;
    let keep = job.run(conn);
    // A full disk or an I/O error makes SQLite roll the whole transaction back by itself.
    if conn.is_autocommit() {
        return Err(CatalogError::new(
            code::CAT_SQL_ERR,
            "the database gave up the transaction",
        ));
    }
    if !keep {
        conn.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    conn.prepare_cached("RELEASE work")?.execute([])?;
    Ok(())
}

fn abandon(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "cannot roll back");
    }
}
