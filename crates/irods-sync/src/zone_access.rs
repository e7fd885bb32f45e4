//! The zone that a command talks to: the one of the client's environment, or an embedded one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use irods_client::environment::Sources;
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};
use irods_zone::{Joined, Zone, ZoneOptions};

use crate::args::ZoneFlags;
use crate::exit::{Failed, Result};

/// How often a zone that another process serves, and that does not answer, is looked for again.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// A zone to talk to.
pub struct ZoneAccess {
    /// Connections to it.
    pub pool: Pool,
    /// Its environment file, if it is an embedded one.
    pub environment_file: Option<PathBuf>,
    own: Option<Zone>,
}

impl ZoneAccess {
    /// Starts or joins the embedded zone if one is asked for, and gets ready to connect.
    ///
    /// # Errors
    /// The zone does not start, or there is no usable environment.
    pub async fn open(flags: &ZoneFlags, connections: usize) -> Result<Self> {
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
            });
        };
        let mut tries = 0;
        loop {
            let (file, own) = match Zone::start_or_join(ZoneOptions::new(dir)).await? {
                Joined::Own(zone) => (zone.environment_file().to_owned(), Some(zone)),
                Joined::Other(running) => (running.environment_file, None),
            };
            let pool = Pool::new(environment_of(&file)?, ConnectOptions::default(), options);
            // Whoever serves the zone may be about to end; then it is ours to start.
            tries += 1;
            if own.is_none() && tries < TRIES && is_lost(&pool).await {
                tokio::time::sleep(BETWEEN_TRIES).await;
                continue;
            }
            return Ok(Self {
                pool,
                environment_file: Some(file),
                own,
            });
        }
    }

    /// Says goodbye, and ends the zone if it was started here.
    pub async fn close(self) {
        self.pool.close_idle().await;
        if let Some(zone) = self.own {
            zone.stop().await;
        }
    }
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
