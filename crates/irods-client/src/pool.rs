//! Connections kept for the next who needs one: never more than a bound, none idle for long.
//!
//! A handle gives its connection back when it is dropped; one that is broken, or was left in the middle of a request, is closed
//! instead. Before an idle connection is handed out it is checked, without a round trip, for having been closed by the
//! server. Nothing is retried: who gets a connection error asks again.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as Slot, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use irods_protocol::api;

use crate::connect::{ConnectOptions, identity};
use crate::connection::{Connection, Identity};
use crate::counts::CallCounts;
use crate::environment::{Environment, Password};
use crate::error::{Error, Result};
use crate::login::authentication;
use crate::observe::CallObserver;

/// How many connections, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Most connections at once, at least 1; who wants another one waits.
    pub size: usize,
    /// Idle connections are closed after this long; [`Duration::MAX`] keeps them.
    pub idle: Duration,
}

impl Default for PoolOptions {
    /// 4 connections, 60 s (the default of `--irods_idle_disconnect_seconds`).
    fn default() -> Self {
        PoolOptions {
            size: 4,
            idle: Duration::from_secs(60),
        }
    }
}

/// A bounded pool of connections that one user logs in to. Clones share it.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Inner>,
    /// Who hears of the calls of what this handle lends.
    observer: Option<Arc<dyn CallObserver>>,
}

#[derive(Debug)]
struct Inner {
    environment: Environment,
    connect: ConnectOptions,
    idle_for: Duration,
    permits: Arc<Semaphore>,
    /// The password that the server made for a PAM password, so that PAM is asked once and not for each connection.
    made: Mutex<Option<Password>>,
    /// How many wait for a connection.
    waiting: AtomicUsize,
    slots: Mutex<Slots>,
}

/// All connections of a pool. One that is on loan is locked by its handle.
#[derive(Debug, Default)]
struct Slots {
    all: Vec<Arc<Slot<Connection>>>,
    /// Whether a task waits for idle connections to expire.
    reaper: bool,
}

impl Pool {
    /// A pool without connections; the first is made when it is needed.
    pub fn new(environment: Environment, connect: ConnectOptions, options: PoolOptions) -> Self {
        let observer = connect.observer.clone();
        let shared = Arc::new(Inner {
            environment,
            connect,
            idle_for: options.idle,
            permits: Arc::new(Semaphore::new(options.size.max(1))),
            made: Mutex::default(),
            waiting: AtomicUsize::new(0),
            slots: Mutex::default(),
        });
        Pool { shared, observer }
    }

    /// The same pool, of which this one hears of each call on what the new handle lends, and of those that make it: logins, and the
    /// change to another user. What is lent by other handles is not told.
    #[must_use]
    pub fn observed(&self, observer: Arc<dyn CallObserver>) -> Self {
        Pool {
            shared: self.shared.clone(),
            observer: Some(observer),
        }
    }

    /// Whom this pool's connections log in as.
    pub fn environment(&self) -> &Environment {
        &self.shared.environment
    }

    /// The counters of all connections of this pool.
    pub fn counts(&self) -> &Arc<CallCounts> {
        &self.shared.connect.counts
    }

    /// A connection: an idle one, or a new one. Waits while all are in use.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn get(&self) -> Result<Pooled> {
        let home = identity(&self.shared.environment);
        self.wait_for(&home).await
    }

    /// A connection on which calls run on behalf of another user, with that user's rights; the environment's own must be a
    /// `rodsadmin`. An idle connection changes over to that user where the server can do that (from 4.3.1 on); else it is a
    /// connection of its own. Either way it counts as one of this pool's, and [`Pool::get`] never hands it out as it is.
    ///
    /// # Errors
    /// Those of connecting; [`Error::Authentication`] where there is no such user, or one may not act for others.
    pub async fn get_acting_for(&self, user: &str, zone: &str) -> Result<Pooled> {
        let who = Identity {
            user: user.to_owned(),
            zone: zone.to_owned(),
        };
        self.wait_for(&who).await
    }

    async fn wait_for(&self, who: &Identity) -> Result<Pooled> {
        // The semaphore is never closed, so there always is a permit.
        let permit = {
            let _waiting = Waiting::new(&self.shared.waiting);
            self.shared.permits.clone().acquire_owned().await.ok()
        };
        self.lend(permit, who).await
    }

    /// A connection, unless all are in use or somebody waits for one.
    ///
    /// # Errors
    /// Those of connecting.
    pub(crate) async fn get_if_free(&self, who: &Identity) -> Result<Option<Pooled>> {
        match self.shared.permits.clone().try_acquire_owned() {
            Ok(permit) => self.lend(Some(permit), who).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Whether somebody waits for a connection.
    pub(crate) fn is_wanted(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }

    async fn lend(&self, permit: Option<OwnedSemaphorePermit>, who: &Identity) -> Result<Pooled> {
        let pooled = |connection| Pooled {
            connection,
            pool: Arc::downgrade(&self.shared),
            _permit: permit,
        };
        if let Some(mut connection) = self.shared.take_idle(who) {
            connection.observer.clone_from(&self.observer);
            if connection.identity() == who {
                return Ok(pooled(connection));
            }
            if connection.has(api::SWITCH_USER) {
                // Back in the pool, or out of it if it is of no use any more, should this fail.
                let mut connection = pooled(connection);
                let switched = connection.switch_user(&who.user, &who.zone).await;
                return match switched {
                    Ok(()) => Ok(connection),
                    Err(e) => Err(authentication(&self.shared.environment, e)),
                };
            }
            // It makes room for a new one.
            self.shared.forget(&connection);
        }
        let new = self.shared.open(who, self.observer.clone()).await?;
        Ok(pooled(self.shared.lend_new(new).await))
    }

    /// Number of idle connections.
    pub fn idle(&self) -> usize {
        let slots = self.shared.lock();
        slots.all.iter().filter(|s| s.try_lock().is_ok()).count()
    }

    /// Says goodbye on all idle connections and closes them.
    pub async fn close_idle(&self) {
        self.shared.close(|_| true).await;
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection.
    async fn open(
        &self,
        who: &Identity,
        observer: Option<Arc<dyn CallObserver>>,
    ) -> Result<Connection> {
        let connect = ConnectOptions {
            observer,
            ..self.connect.clone()
        };
        let home = identity(&self.environment) == *who;
        let own = match home {
            true => self.environment.clone(),
            false => self.environment.acting_for(&who.user, &who.zone),
        };
        let made = self.made().clone();
        if let Some(password) = made {
            let environment = Environment {
                password,
                ..own.clone()
            };
            match Connection::open(&environment, &connect).await {
                // It has expired.
                Err(Error::Authentication { .. }) => *self.made() = None,
                other => return other,
            }
        }
        let new = Connection::open(&own, &connect).await?;
        if new.password() != &own.password {
            *self.made() = Some(new.password().clone());
        }
        Ok(new)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Option<Password>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest connection that is free and good, so that the surplus of a busy time ages; one that acts for `who` already,
    /// if there is one. Bad ones are dropped.
    fn take_idle(&self, who: &Identity) -> Option<OwnedMutexGuard<Connection>> {
        let mut taken: Option<OwnedMutexGuard<Connection>> = None;
        self.lock().all.retain(|slot| {
            if taken.as_ref().is_some_and(|t| t.identity() == who) {
                return true;
            }
            let Ok(mut connection) = slot.clone().try_lock_owned() else {
                return true;
            };
            let good = connection.idle_time() < self.idle_for && connection.is_quiet();
            if good && (taken.is_none() || connection.identity() == who) {
                taken = Some(connection);
            }
            good
        });
        taken
    }

    /// Takes a connection that is on loan out of the pool.
    fn forget(&self, loan: &OwnedMutexGuard<Connection>) {
        let lent = OwnedMutexGuard::mutex(loan);
        self.lock().all.retain(|slot| !Arc::ptr_eq(slot, lent));
    }

    async fn lend_new(self: &Arc<Self>, connection: Connection) -> OwnedMutexGuard<Connection> {
        let slot = Arc::new(Slot::new(connection));
        let loan = slot.clone().lock_owned().await;
        let start_reaper = {
            let mut slots = self.lock();
            slots.all.push(slot);
            let needed = !slots.reaper && self.idle_for != Duration::MAX;
            slots.reaper |= needed;
            needed
        };
        if start_reaper {
            tokio::spawn(reap(Arc::downgrade(self), self.idle_for));
        }
        loan
    }

    /// Closes the idle connections that `unwanted` says.
    async fn close(&self, unwanted: impl Fn(&Connection) -> bool) {
        let mut closing = Vec::new();
        self.lock().all.retain(|slot| match slot.try_lock() {
            Ok(connection) if unwanted(&connection) => {
                closing.push(slot.clone());
                false
            }
            _ => true,
        });
        for connection in closing.into_iter().filter_map(Arc::into_inner) {
            connection.into_inner().disconnect().await;
        }
    }
}

/// Closes connections as they expire, until there are none or the pool is gone.
async fn reap(pool: Weak<Inner>, idle_for: Duration) {
    let mut next = idle_for;
    loop {
        tokio::time::sleep(next).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.close(|c| c.idle_time() >= idle_for).await;
        let mut slots = pool.lock();
        if slots.all.is_empty() {
            slots.reaper = false;
            return;
        }
        let ages = slots
            .all
            .iter()
            .filter_map(|s| Some(s.try_lock().ok()?.idle_time()));
        let oldest = ages.max().unwrap_or(Duration::ZERO);
        next = idle_for.saturating_sub(oldest);
    }
}

/// A connection on loan.
#[derive(Debug)]
pub struct Pooled {
    connection: OwnedMutexGuard<Connection>,
    pool: Weak<Inner>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Pooled {
    /// The pool that it is from, as who lent it has it, if that is still there.
    pub(crate) fn pool(&self) -> Option<Pool> {
        self.pool.upgrade().map(|shared| Pool {
            shared,
            observer: self.connection.observer.clone(),
        })
    }
}

/// Counts one who waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Pooled {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.connection.mark_used();
        self.connection.observer = None;
        if self.connection.is_usable() && !self.connection.has_ticket {
            return;
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.forget(&self.connection);
        }
    }
}
