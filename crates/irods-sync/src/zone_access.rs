//! The zone that a command talks to: the one of the client's environment, or an embedded one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use irods_client::environment::Sources;
use irods_client::{ConnectOptions, Environment, Pool, PoolOptions};
use irods_zone::{Joined, Zone, ZoneOptions};

use crate::args::ZoneFlags;
use crate::exit::{Failed, Result};

/// A zone to talk to.
pub struct ZoneAccess {
    /// Connections to it.
    pub pool: Pool,
    /// Its environment file, if it is an embedded one.
    pub environment_file: Option<PathBuf>,
    own: Option<Zone>,
}

impl ZoneAccess {
    /// Starts or joins the embedded zone if one is asked for, and gets ready to connect; nothing is sent yet.
    ///
    /// # Errors
    /// The zone does not start, or there is no usable environment.
    pub async fn open(flags: &ZoneFlags, connections: usize) -> Result<Self> {
        let (environment, environment_file, own) = match &flags.embedded_zone {
            None => (
                Environment::load().map_err(Failed::could_not_run)?,
                None,
                None,
            ),
            Some(dir) => {
                let (file, own) = match Zone::start_or_join(ZoneOptions::new(dir)).await? {
                    Joined::Own(zone) => (zone.environment_file().to_owned(), Some(zone)),
                    Joined::Other(running) => (running.environment_file, None),
                };
                (environment_of(&file)?, Some(file), own)
            }
        };
        let options = PoolOptions {
            size: connections,
            idle: Duration::from_secs(flags.irods_idle_disconnect_seconds),
        };
        Ok(Self {
            pool: Pool::new(environment, ConnectOptions::default(), options),
            environment_file,
            own,
        })
    }

    /// Says goodbye, and ends the zone if it was started here.
    pub async fn close(self) {
        self.pool.close_idle().await;
        if let Some(zone) = self.own {
            zone.stop().await;
        }
    }
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
