//! One large source over several connections of a pool.
//!
//! The source is read once, in order, and hashed on the way; each connection takes the next block and writes it where it
//! belongs. So the source need not be a file, a slow connection delays nobody, and further connections may come late, not at
//! all, or leave early: they are taken only while the pool has some to spare, and given back between two blocks when somebody
//! waits for one. The first connection opens the object, as any put does, and finishes it when all others have left; until then
//! the replica is not good. Nothing is resumed: one failure ends the whole.
//!
//! It pays where a block takes longer on the way than in the server: a connection has two blocks under way, so it moves at most two in a round
//! trip. With the embedded zone on the same machine it gains nothing; with 50 ms for a round trip four
//! connections are two to three times as fast as one (`examples/put_streams.rs`).

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::blocks::{self, ReadAhead};
use super::in_flight::OpenInfo;
use super::open::OpenReplica;
use super::put::{check_source, local, put_input};
use super::{Put, PutChecksum, Stored};
use crate::connection::Identity;
use crate::error::{Error, Result};
use crate::pool::{Pool, Pooled};
use irods_protocol::keywords;

/// Sources from this size on may take several connections: 32 MiB.
pub const PARALLEL_FROM: u64 = 32 * 1024 * 1024;

/// The blocks of a source, each with where it belongs.
struct Queue {
    blocks: Mutex<Blocks>,
    stopped: AtomicBool,
}

struct Blocks {
    ahead: Option<ReadAhead>,
    next: u64,
}

struct Block {
    at: u64,
    bytes: blocks::Block,
}

impl Queue {
    async fn next(&self) -> Option<Block> {
        let mut blocks = self.blocks.lock().await;
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let bytes = blocks.ahead.as_mut()?.next().await?;
        let at = blocks.next;
        blocks.next += bytes.len() as u64;
        Some(Block { at, bytes })
    }

    /// No more blocks for anybody.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Pooled {
    /// Puts `size` bytes from `source` as [`crate::Connection::put`] does, over up to `streams` connections: this one, and
    /// others that the pool can spare meanwhile. Sources below [`PARALLEL_FROM`] and servers before 4.2.9 get one.
    ///
    /// # Errors
    /// As [`crate::Connection::put`].
    pub async fn put_in_streams(
        &mut self,
        object: &str,
        source: impl Read + Send + 'static,
        size: u64,
        how: &Put,
        streams: usize,
    ) -> Result<Stored> {
        let worthwhile = streams > 1 && size >= PARALLEL_FROM;
        let possible = self.server_version().has_replica_tokens();
        let Some(pool) = self.pool().filter(|_| worthwhile && possible) else {
            return self.put(object, source, size, how).await;
        };
        let mut input = put_input(object, size, how)?;
        if how.checksum != PutChecksum::None {
            input.cond_input.set(keywords::REG_CHKSUM, "");
        }
        let mut ahead = ReadAhead::start(source, size, self.scheme(how));
        // The first block before anything is opened: a source that cannot be read overwrites nothing.
        let Some(bytes) = ahead.next().await else {
            let summary = ahead.finish().await.map_err(|e| local(object, e))?;
            return Err(match check_source(object, size, &summary) {
                Err(e) => e,
                Ok(()) => local(object, io::ErrorKind::UnexpectedEof.into()),
            });
        };
        let queue = Arc::new(Queue {
            blocks: Mutex::new(Blocks {
                ahead: Some(ahead),
                next: bytes.len() as u64,
            }),
            stopped: AtomicBool::new(false),
        });
        let first = Block { at: 0, bytes };
        let who = self.identity().clone();
        let open = self.begin_put(object, &input).await?;
        let work = Work {
            pool,
            who,
            object: object.to_owned(),
            size,
            queue,
        };
        match work.run(open, first, streams, how).await {
            Ok(Some(ours)) => self.compare_checksum(object, how, size, ours).await,
            Ok(None) => Ok(Stored {
                size,
                checksum: None,
            }),
            Err(cause) => Err(self.clean_up(object, how, true, cause).await),
        }
    }
}

/// One source on its way; each connection has a copy.
#[derive(Clone)]
struct Work {
    pool: Pool,
    /// On whose behalf.
    who: Identity,
    object: String,
    size: u64,
    queue: Arc<Queue>,
}

impl Work {
    /// Writes everything and finishes the object; its checksum, if one was computed.
    async fn run(
        self,
        mut open: OpenReplica<'_>,
        first: Block,
        streams: usize,
        how: &Put,
    ) -> Result<Option<String>> {
        if let Err(cause) = open.attach(&how.metadata).await {
            if !how.overwrite {
                open.spoil(self.size).await;
            }
            return Err(cause);
        }
        // If this is given up, so are they.
        let mut helpers = JoinSet::new();
        match open.info().await {
            Ok(info) if !info.token.is_empty() => {
                let info = Arc::new(info);
                for _ in 1..streams {
                    helpers.spawn(self.clone().help(info.clone()));
                }
            }
            // Without a token it takes one connection.
            Ok(_) | Err(Error::Server(_)) => {}
            Err(e) => return Err(e),
        }
        let mut outcome = self.write(&mut open, Some(first), || false).await;
        if outcome.is_err() && !open.connection.is_usable() {
            // Nobody is left to finish it: the others' connections end as well, so that no server waits for one.
            helpers.abort_all();
        }
        while let Some(ended) = helpers.join_next().await {
            let ended = ended.unwrap_or_else(|e| Err(local(&self.object, io::Error::other(e))));
            outcome = outcome.and(ended);
        }
        match self.summary(outcome).await {
            Ok(checksum) => open.close().await.map(|()| checksum),
            Err(cause) => {
                // An overwritten object is left to the loss of its connection, which makes it stale.
                if !how.overwrite {
                    open.spoil(self.size).await;
                }
                Err(cause)
            }
        }
    }

    async fn summary(&self, outcome: Result<()>) -> Result<Option<String>> {
        let ahead = self.queue.blocks.lock().await.ahead.take();
        outcome?;
        let Some(ahead) = ahead else {
            return Ok(None);
        };
        let summary = ahead.finish().await.map_err(|e| local(&self.object, e))?;
        check_source(&self.object, self.size, &summary)?;
        Ok(summary.checksum)
    }

    /// One more connection, if there is one.
    async fn help(self, first: Arc<OpenInfo>) -> Result<()> {
        let mut connection = match self.pool.get_if_free(&self.who).await {
            Ok(Some(connection)) => connection,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!(%error, object = self.object, "goes on with fewer connections");
                return Ok(());
            }
        };
        let joined = connection
            .join_replica(&self.object, &first, Some(self.size))
            .await;
        let mut open = match joined {
            Ok(open) => open,
            Err(error @ Error::Server(_)) => {
                tracing::debug!(%error, "goes on with fewer connections");
                return Ok(());
            }
            Err(e) => {
                self.queue.stop();
                return Err(e);
            }
        };
        let pool = &self.pool;
        self.write(&mut open, None, || pool.is_wanted()).await?;
        open.detach().await.inspect_err(|_| self.queue.stop())
    }

    /// Writes blocks until there are no more, or `leave` says so. A failure stops all.
    async fn write(
        &self,
        open: &mut OpenReplica<'_>,
        first: Option<Block>,
        leave: impl Fn() -> bool,
    ) -> Result<()> {
        let mut block = first;
        let mut position = 0;
        loop {
            let Some(Block { at, bytes }) = block.take() else {
                if !leave() {
                    block = self.queue.next().await;
                }
                if block.is_none() {
                    return open.settle().await.inspect_err(|_| self.queue.stop());
                }
                continue;
            };
            let elsewhere = (at != position).then_some(at);
            let outcome = open.write_ahead(elsewhere, &bytes).await;
            outcome.inspect_err(|_| self.queue.stop())?;
            position = at + bytes.len() as u64;
        }
    }
}
