//! The connection, which is made again whenever it is lost, and the scripts that everything goes through.
//!
//! One multiplexed connection a process: calls under way share it. A call is never repeated here, because that is the caller's
//! to decide; it only never meets a connection that is known to be dead.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use super::address::Address;
use super::fault::{Fault, Tried};
use super::script::script;

const CONNECT: Duration = Duration::from_secs(10);
/// Longer than any script takes; whoever does not answer for so long is gone.
const ANSWER: Duration = Duration::from_secs(60);

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

/// An operation and its arguments, in order.
#[derive(Debug)]
pub(super) struct Request {
    operation: &'static str,
    bytes: Vec<u8>,
    /// Where each argument ends.
    ends: Vec<usize>,
}

impl Request {
    pub(super) fn new(operation: &'static str, now: &str) -> Self {
        let request = Self {
            operation,
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        request.bytes(operation).bytes(now)
    }

    pub(super) fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend_from_slice(bytes.as_ref());
        self.ends.push(self.bytes.len());
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

    /// Runs the operation's script, which the server is given when it does not know it yet.
    pub(super) async fn script(&self, request: &Request) -> Tried<Value> {
        let script = script(request.operation);
        let mut call = Cmd::with_capacity(request.ends.len() + 4, request.bytes.len() + 128);
        call.arg("EVALSHA").arg(&script.hash).arg(1).arg(&self.meta);
        let mut from = 0;
        for end in &request.ends {
            call.arg(&request.bytes[from..*end]);
            from = *end;
        }
        match self.command(&call).await {
            Err(Fault::Redis(error))
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
            {
                let mut load = Cmd::new();
                load.arg("SCRIPT").arg("LOAD").arg(&script.text);
                self.command(&load).await?;
                self.command(&call).await
            }
            answer => answer,
        }
    }
}
