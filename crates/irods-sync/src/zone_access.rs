//! The zone that a command talks to: the one of the client's environment, or an embedded one.
//!
//! An embedded zone is served by the command that found it at rest; others join it. Those that will end by themselves hold a
//! shared lock meanwhile, and who serves does not leave before that lock is free. Workers, which do not end, wait until
//! somebody serves the zone again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingest::shutdown::{Shutdown, Urgency};
use irods_client::environment::Sources;
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};
use irods_zone::{Joined, Zone, ZoneOptions};
use rustix::fs::{FlockOperation, flock};

use crate::args::ZoneFlags;
use crate::exit::{Failed, Result};
use crate::ui;

/// How often a zone that another process serves, and that does not answer, is looked for again.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// A zone to talk to.
pub struct ZoneAccess {
    /// Connections to it.
    pub pool: Pool,
    /// Its environment file, if it is an embedded one.
    pub environment_file: Option<PathBuf>,
    own: Option<Own>,
    _guest: Option<File>,
}

/// For how long a command joins a zone that another one serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Until it has done what it is for; the zone stays for it.
    UntilDone,
    /// For as long as the zone is there.
    WhileServed,
}

/// A zone that this process serves.
struct Own {
    zone: Zone,
    guests: File,
}

impl ZoneAccess {
    /// Starts or joins the embedded zone if one is asked for, and gets ready to connect.
    ///
    /// # Errors
    /// The zone does not start, or there is no usable environment.
    pub async fn open(flags: &ZoneFlags, connections: usize, joining: Joining) -> Result<Self> {
        let options = PoolOptions {
            size: connections,
            idle: Duration::from_secs(flags.irods_idle_disconnect_seconds),
        };
        let Some(dir) = &flags.embedded_zone else {
            let environment = Environment::load().map_err(Failed::could_not_run)?;
            return Ok(Self {
                pool: Pool::new(environment, ConnectOptions::default(), options),
                environment_file: None,
                own: None,
                _guest: None,
            });
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let (file, own, guest) = match Zone::start_or_join(ZoneOptions::new(dir)).await? {
                Joined::Own(zone) => {
                    let guests = guest_book(dir).map_err(Failed::could_not_run)?;
                    (
                        zone.environment_file().to_owned(),
                        Some(Own { zone, guests }),
                        None,
                    )
                }
                Joined::Other(running) => {
                    let guests = guest_book(dir).map_err(Failed::could_not_run)?;
                    let welcome = flock(&guests, FlockOperation::NonBlockingLockShared).is_ok();
                    (running.environment_file, None, welcome.then_some(guests))
                }
            };
            let pool = Pool::new(environment_of(&file)?, ConnectOptions::default(), options);
            // Whoever serves the zone may be about to end; then it is ours to start.
            let leaving = own.is_none() && (guest.is_none() || is_lost(&pool).await);
            if leaving && tries < TRIES {
                tokio::time::sleep(BETWEEN_TRIES).await;
                continue;
            }
            return Ok(Self {
                pool,
                environment_file: Some(file),
                own,
                _guest: guest.filter(|_| joining == Joining::UntilDone),
            });
        }
    }

    /// Says goodbye, and ends the zone if it was started here: when those who joined it have left, or at once if told so.
    pub async fn close(self, told: &Shutdown) {
        self.pool.close_idle().await;
        let Some(Own { zone, guests }) = self.own else {
            return;
        };
        let mut said = false;
        while flock(&guests, FlockOperation::NonBlockingLockExclusive).is_err() {
            if !said {
                ui::note("other commands use this zone: serving it until they have ended");
                said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_TRIES) => {}
                () = told.wait_for(Urgency::Now) => break,
            }
        }
        zone.stop().await;
    }
}

/// The file whose lock says that somebody has joined the zone in a directory.
fn guest_book(dir: &Path) -> std::io::Result<File> {
    let path = dir.join("guests.lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

async fn is_lost(pool: &Pool) -> bool {
    matches!(pool.get().await, Err(error) if error.is_connection_loss())
}

/// The environment in a file, whatever the variables of this process say.
fn environment_of(file: &Path) -> Result<Environment> {
    let name = file
        .to_str()
        .ok_or_else(|| Failed::usage("the path of an embedded zone must be UTF-8"))?;
    Environment::read(&Sources {
        variable: &|variable| (variable == "IRODS_ENVIRONMENT_FILE").then(|| name.to_owned()),
        uid: rustix::process::getuid().as_raw(),
    })
    .map_err(Failed::could_not_run)
}
