//! The connection, which is made again whenever it is lost, and the one script that everything goes through.
//!
//! One multiplexed connection a process: calls under way share it. A call is never repeated here, because that is the caller's
//! to decide; it only never meets a connection that is known to be dead.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult, Script, Value,
};
use tokio::sync::Mutex;

use super::address::Address;
use super::fault::Tried;
use crate::broker::limits::{MAX_AHEAD, MAX_DEPTH, MAX_EVENTS, MAX_FAILURES, MAX_PAYLOAD};

const CONNECT: Duration = Duration::from_secs(10);
/// Longer than any script takes; whoever does not answer for so long is gone.
const ANSWER: Duration = Duration::from_secs(60);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    let limits = format!(
        "local MAX_DEPTH, MAX_EVENTS, MAX_FAILURES = {MAX_DEPTH}, {MAX_EVENTS}, {MAX_FAILURES}
local MAX_AHEAD, MAX_PAYLOAD = {MAX_AHEAD}, {MAX_PAYLOAD}\n"
    );
    let parts = [
        limits.as_str(),
        include_str!("lua/base.lua"),
        include_str!("lua/tasks.lua"),
        include_str!("lua/passes.lua"),
        include_str!("lua/jobs.lua"),
        include_str!("lua/leases.lua"),
        include_str!("lua/ledger.lua"),
        include_str!("lua/complete.lua"),
        include_str!("lua/workers.lua"),
    ];
    Script::new(&parts.concat())
});

/// A connection and the hash that names the deployment.
pub(super) struct Link {
    client: Client,
    meta: String,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    generation: u64,
    /// When connecting failed last, and how: whoever waited for that attempt shares its outcome.
    failed: Option<(Instant, RedisError)>,
}

/// Arguments of the script, in order.
#[derive(Debug)]
pub(super) struct Request(Vec<Vec<u8>>);

impl Request {
    pub(super) fn new(operation: &str, now: &str) -> Self {
        Self(vec![operation.into(), now.into()])
    }

    pub(super) fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.push(bytes.into());
        self
    }

    pub(super) fn int(self, number: impl Into<u64>) -> Self {
        let number: u64 = number.into();
        self.bytes(number.to_string())
    }

    pub(super) fn len(self, length: usize) -> Self {
        self.bytes(length.to_string())
    }

    pub(super) fn flag(self, flag: bool) -> Self {
        self.bytes(if flag { "1" } else { "0" })
    }

    /// One after the other.
    pub(super) fn each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        add: impl FnMut(Self, T) -> Self,
    ) -> Self {
        items.into_iter().fold(self, add)
    }
}

impl Link {
    pub(super) fn new(address: &Address) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(address.connection.clone())?,
            meta: format!("{}meta", address.prefix()),
            current: Mutex::default(),
        })
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let asked = Instant::now();
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((current.generation, connection.clone()));
        }
        if let Some((when, error)) = &current.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        match self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
        {
            Ok(connection) => {
                current.generation += 1;
                current.connection = Some(connection.clone());
                current.failed = None;
                Ok((current.generation, connection))
            }
            Err(error) => {
                current.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Forgets a connection that an error has shown to be of no more use.
    async fn judge(&self, generation: u64, error: &RedisError) {
        // After a time-out or half an answer nobody knows what comes next.
        let broken = error.is_io_error() || error.is_timeout() || error.kind() == ErrorKind::Parse;
        if broken || error.is_unrecoverable_error() {
            let mut current = self.current.lock().await;
            if current.generation == generation {
                current.connection = None;
            }
        }
    }

    pub(super) async fn command(&self, command: &Cmd) -> Tried<Value> {
        let (generation, mut connection) = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        if let Err(error) = &answer {
            self.judge(generation, error).await;
        }
        Ok(answer?)
    }

    pub(super) async fn script(&self, request: &Request) -> Tried<Value> {
        let (generation, mut connection) = self.connection().await?;
        let mut invocation = SCRIPT.key(&self.meta);
        for argument in &request.0 {
            invocation.arg(argument.as_slice());
        }
        let answer = invocation.invoke_async(&mut connection).await;
        if let Err(error) = &answer {
            self.judge(generation, error).await;
        }
        Ok(answer?)
    }
}
