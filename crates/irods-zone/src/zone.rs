//! Starting and stopping a zone.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use irods_protocol::version::Version;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::agent::RELEASE;
use crate::catalog::{self, Catalog, CatalogError, OpenError, bootstrap, repair, users};
use crate::counters::Counters;
use crate::harsh::{Fortune, Harsh};
use crate::home::{self, Entrance, Home, HomeError, Running};
use crate::locks::PathLocks;
use crate::pam_file::PamFile;
use crate::server;
use crate::tls::{Tls, TlsOptions};
use crate::writing::Writings;

/// Name of every embedded zone.
pub const ZONE_NAME: &str = "tempZone";
/// Name of the administrator.
pub const ADMIN: &str = "rods";
/// Name of the first resource, used where a client names none.
pub const DEFAULT_RESOURCE: &str = "demoResc";

/// How long a stopping zone waits for calls in hand.
const DRAIN: Duration = Duration::from_secs(10);

/// What the zone grants to its peers.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections at a time; more are refused with an answer.
    pub connections: usize,
    /// Time from the first byte to the end of the login.
    pub login: Duration,
    /// Time between two requests.
    pub idle: Duration,
    /// Time without progress in the middle of a message, either way.
    pub stall: Duration,
    /// Bytes of a byte stream in one message.
    pub stream: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 500,
            login: Duration::from_secs(60),
            idle: Duration::from_secs(86_400),
            stall: Duration::from_secs(120),
            stream: 64 * 1024 * 1024,
        }
    }
}

/// How to start a zone.
#[derive(Debug, Clone)]
pub struct ZoneOptions {
    /// Directory of the zone, made on first use.
    pub dir: PathBuf,
    /// Where to listen. Without it: on loopback, on the port of the last time if that is free.
    pub listen: Option<SocketAddr>,
    /// Host name that clients are told; without it the address.
    pub host: Option<String>,
    /// File whose first line becomes the administrator's password (3 to 42 bytes).
    pub password_file: Option<PathBuf>,
    /// Make every commit and the bytes that it is about survive power loss.
    pub durable: bool,
    /// What peers are granted.
    pub limits: ServerLimits,
    /// Offer TLS. It holds for this start: a zone that is started without it refuses TLS.
    pub tls: Option<TlsOptions>,
    /// File with the passwords that `pam_password` accepts, which needs [`ZoneOptions::tls`]: lines `USER:PASSWORD`,
    /// or `USER:HASH` with a hash that `openssl passwd -6` printed.
    pub pam_password_file: Option<PathBuf>,
    /// Behave as badly as real servers can, for tests of clients.
    pub harsh: Option<Harsh>,
}

impl ZoneOptions {
    /// The defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            listen: None,
            host: None,
            password_file: None,
            durable: false,
            limits: ServerLimits::default(),
            tls: None,
            pam_password_file: None,
            harsh: None,
        }
    }
}

/// Why a zone did not start. Nothing was changed in the directory, except by [`StartError::Catalog`].
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process serves the directory.
    #[error("the zone in {dir} is served by another process{}", .running.as_ref().map(|r| format!(" at {}:{}", r.host, r.port)).unwrap_or_default())]
    AlreadyServed {
        /// The directory.
        dir: PathBuf,
        /// Where it listens, once it does.
        running: Option<Running>,
    },
    /// The directory cannot be made, read or written.
    #[error("cannot use {path}: {source}")]
    Directory {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is taken.
    #[error("{address} is in use")]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The password file cannot be read or holds no acceptable password.
    #[error("password file {path}: {reason}")]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate or its key cannot be used.
    #[error("TLS: {path}: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The catalog is damaged, of a newer program, or cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The catalog could not be set up.
    #[error("cannot set up the catalog: {0}")]
    Catalog(#[from] CatalogError),
}

/// A zone that this process serves. Dropping it stops it without waiting.
pub struct Zone {
    shared: Arc<Shared>,
    address: SocketAddr,
    environment_file: PathBuf,
    tasks: TaskTracker,
    _stop_on_drop: DropGuard,
    // The lock of the directory goes last.
    _home: Home,
}

/// A zone to talk to: this process's own, or the one that another process serves.
pub enum Joined {
    /// Started here.
    Own(Zone),
    /// Served by another process.
    Other(Running),
}

/// What all connections of a zone share.
pub(crate) struct Shared {
    pub catalog: Catalog,
    pub limits: ServerLimits,
    pub durable: bool,
    /// Host by which clients know this zone.
    pub host: String,
    /// Seconds since the epoch.
    pub started: u64,
    pub counters: Counters,
    pub writings: Writings,
    pub path_locks: PathLocks,
    pub stop: CancellationToken,
    pub tls: Option<Tls>,
    pub pam_password_file: Option<PathBuf>,
    /// The release that is announced.
    pub release: Version,
    harsh: Option<Harsh>,
    /// Connections so far, counted in the harsh mode.
    connections: AtomicU64,
}

impl Shared {
    /// Whether the harsh mode orders rows by a locale.
    pub fn orders_by_locale(&self) -> bool {
        self.harsh.as_ref().is_some_and(|harsh| harsh.locale_order)
    }

    /// Whether the harsh mode hides rows even from administrators.
    pub fn hides_rows_from_all(&self) -> bool {
        self.harsh.as_ref().is_some_and(|harsh| harsh.strict)
    }

    /// What the harsh mode has in store for a new connection.
    pub fn fortune(&self) -> Option<Fortune> {
        let harsh = self.harsh.as_ref()?;
        Some(harsh.fortune(self.connections.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Zone {
    /// Starts the zone of a directory, setting it up on first use.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: ZoneOptions) -> Result<Self, StartError> {
        let password = match &options.password_file {
            Some(path) => Some(password_of(path)?),
            None => None,
        };
        if let Some(path) = &options.pam_password_file {
            PamFile::read(path).map_err(|error| StartError::Password {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        }
        let dir = options.dir.clone();
        let mut home = Home::take(&dir).map_err(|error| match error {
            HomeError::Served(running) => StartError::AlreadyServed { dir, running },
            HomeError::Io { path, source } => StartError::Directory { path, source },
        })?;
        let listener = listen(options.listen, home.remembered_port()).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            source,
        })?;
        let host = options
            .host
            .clone()
            .unwrap_or_else(|| home::host_of(address));

        let tls = match &options.tls {
            Some(wanted) => Some(Tls::prepare(wanted, &home, &host)?),
            None => None,
        };
        let settings = catalog::Options {
            durable: options.durable,
            ..catalog::Options::default()
        };
        let path = home.catalog();
        let catalog = tokio::task::spawn_blocking(move || Catalog::open(&path, &settings))
            .await
            .map_err(|_| {
                CatalogError::new(irods_protocol::codes::SYS_INTERNAL_ERR, "opening it failed")
            })??;
        let password = set_up(&catalog, &home, &host, password).await?;
        let entrance = Entrance {
            host: &host,
            port: address.port(),
            zone: ZONE_NAME,
            user: ADMIN,
            password: &password,
            tls: tls.as_ref().map(|tls| tls.authorities.as_deref()),
        };
        home.open_door(&entrance).map_err(|error| match error {
            HomeError::Io { path, source } => StartError::Directory { path, source },
            HomeError::Served(running) => StartError::AlreadyServed {
                dir: options.dir.clone(),
                running,
            },
        })?;

        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            catalog,
            limits: options.limits,
            durable: options.durable,
            host,
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_secs()),
            counters: Counters::default(),
            writings: Writings::default(),
            path_locks: PathLocks::default(),
            stop: stop.clone(),
            tls,
            pam_password_file: options.pam_password_file,
            release: options
                .harsh
                .as_ref()
                .map_or(RELEASE, |harsh| harsh.release),
            harsh: options.harsh,
            connections: AtomicU64::new(0),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(server::accept(listener, Arc::clone(&shared), tasks.clone()));
        tracing::info!(%address, dir = %options.dir.display(), "the zone is open");
        Ok(Self {
            shared,
            address,
            environment_file: home.environment_file(),
            tasks,
            _stop_on_drop: stop.drop_guard(),
            _home: home,
        })
    }

    /// Starts the zone of a directory, or finds the process that serves it, waiting for one that is
    /// just starting.
    ///
    /// # Errors
    /// As [`Zone::start`].
    pub async fn start_or_join(options: ZoneOptions) -> Result<Joined, StartError> {
        const TRIES: usize = 100;
        for _ in 1..TRIES {
            match Self::start(options.clone()).await {
                Ok(zone) => return Ok(Joined::Own(zone)),
                Err(StartError::AlreadyServed {
                    running: Some(running),
                    ..
                }) => return Ok(Joined::Other(running)),
                Err(StartError::AlreadyServed { running: None, .. }) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(other) => return Err(other),
            }
        }
        Self::start(options).await.map(Joined::Own)
    }

    /// Where the zone listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host that clients are told.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.shared.host
    }

    /// The environment file with which iRODS clients connect as administrator.
    #[must_use]
    pub fn environment_file(&self) -> &Path {
        &self.environment_file
    }

    /// Calls so far, by API number.
    #[must_use]
    pub fn call_counts(&self) -> BTreeMap<i32, u64> {
        self.shared.counters.snapshot()
    }

    /// Stops: no new connections, calls in hand are finished, what was open for writing becomes
    /// stale. Returns when the catalog and the directory are free.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("calls are still running; the zone stops without them");
        }
    }
}

fn password_of(path: &Path) -> Result<String, StartError> {
    let fail = |reason: String| StartError::Password {
        path: path.to_owned(),
        reason,
    };
    let password = home::read_password(path).map_err(|error| fail(error.to_string()))?;
    if !(3..=42).contains(&password.len()) {
        return Err(fail("a password has 3 to 42 bytes".to_owned()));
    }
    Ok(password)
}

async fn listen(
    wanted: Option<SocketAddr>,
    remembered: Option<u16>,
) -> Result<TcpListener, StartError> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if wanted.is_none()
        && let Some(port) = remembered
        && let Ok(listener) = TcpListener::bind((loopback, port)).await
    {
        return Ok(listener);
    }
    let address = wanted.unwrap_or_else(|| SocketAddr::new(loopback, 0));
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse { address },
            _ => StartError::Listen { address, source },
        })
}

/// Sets a new catalog up, repairs one that was killed, and gives the administrator's password.
async fn set_up(
    catalog: &Catalog,
    home: &Home,
    host: &str,
    password: Option<String>,
) -> Result<String, CatalogError> {
    let zone = bootstrap::Zone {
        name: ZONE_NAME.to_owned(),
        admin: ADMIN.to_owned(),
        password: password.clone().unwrap_or_else(home::generate_password),
        resource: DEFAULT_RESOURCE.to_owned(),
        host: host.to_owned(),
        vault_path: crate::vault::text(&home.vault()),
    };
    catalog
        .write(move |conn| {
            if bootstrap::is_done(conn)? {
                let repaired = repair::run(conn)?;
                if repaired.made_stale > 0 {
                    tracing::warn!(
                        replicas = repaired.made_stale,
                        "replicas that were being written are stale"
                    );
                }
                if let Some(password) = password {
                    users::set_password(
                        conn,
                        users::identity(conn, ADMIN, "")?.user_id,
                        &password,
                    )?;
                }
            } else {
                bootstrap::run(conn, &zone)?;
            }
            let passwords = users::passwords(conn, ADMIN, "")?;
            let permanent = passwords.into_iter().find(|p| p.expires.is_none());
            Ok(permanent.map(|p| p.clear).unwrap_or_default())
        })
        .await
}
