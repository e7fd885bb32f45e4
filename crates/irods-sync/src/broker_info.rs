//! Which broker: from the flags, else the environment, else a file in the user's state directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::broker::Broker;
use ingest::broker::sqlite::SqliteBroker;

use crate::args::BrokerFlags;
use crate::exit::{Failed, Result};

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    /// The SQLite file.
    pub path: PathBuf,
    /// Whether it was chosen by a flag, so that commands that are suggested must repeat it.
    pub by_flag: bool,
}

/// Why there is no broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerInfoError {
    /// Redis was asked for.
    #[error(
        "{origin} asks for Redis, for which this version has no engine yet; use --broker sqlite:PATH"
    )]
    Redis {
        /// The flag or variable.
        origin: &'static str,
    },
    /// Something else was asked for.
    #[error("{origin} is {given:?}; sqlite:PATH is accepted")]
    Unknown {
        /// The flag or variable.
        origin: &'static str,
        /// What was given, without anything that could be a password.
        given: String,
    },
    /// There is no state directory.
    #[error(
        "neither XDG_STATE_HOME nor HOME is set; say where the broker is with --broker sqlite:PATH"
    )]
    NoHome,
}

/// Chooses the broker. `variable` looks up an environment variable.
///
/// # Errors
/// An address that names none that this version knows.
pub fn get_broker_info(
    flags: &BrokerFlags,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<BrokerInfo, BrokerInfoError> {
    const VARIABLE: &str = "CELERY_BROKER_URL";
    if let Some(url) = &flags.broker {
        let path = sqlite_path("--broker", url)?;
        return Ok(BrokerInfo {
            path,
            by_flag: true,
        });
    }
    if flags.redis_host.is_some() || flags.redis_port.is_some() || flags.redis_db.is_some() {
        return Err(BrokerInfoError::Redis {
            origin: "--redis_host, --redis_port or --redis_db",
        });
    }
    let url = variable(VARIABLE).filter(|url| !url.is_empty());
    let path = match url {
        Some(url) => sqlite_path(VARIABLE, &url.to_string_lossy())?,
        None => default_path(variable)?,
    };
    Ok(BrokerInfo {
        path,
        by_flag: false,
    })
}

fn sqlite_path(origin: &'static str, url: &str) -> Result<PathBuf, BrokerInfoError> {
    match url.split_once(':') {
        Some(("redis" | "rediss" | "unix", _)) => Err(BrokerInfoError::Redis { origin }),
        Some(("sqlite", path)) if !path.is_empty() => {
            // sqlite:///PATH, as others write it, is meant too.
            Ok(path
                .strip_prefix("//")
                .filter(|p| p.starts_with('/'))
                .unwrap_or(path)
                .into())
        }
        _ => {
            let given = match url.rsplit_once('@') {
                Some((_, host)) => format!("...@{host}"),
                None => url.to_owned(),
            };
            Err(BrokerInfoError::Unknown { origin, given })
        }
    }
}

fn default_path(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, BrokerInfoError> {
    // A relative XDG_STATE_HOME counts as none, as its specification has it.
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let state = state.or_else(|| {
        let home = variable("HOME").filter(|home| !home.is_empty())?;
        Some(Path::new(&home).join(".local/state"))
    });
    let state = state.ok_or(BrokerInfoError::NoHome)?;
    Ok(state.join("irods_sync/broker.sqlite3"))
}

impl BrokerInfo {
    /// Opens the broker, making it if there is none. The directory of the default one is made too.
    ///
    /// # Errors
    /// It cannot be used.
    pub async fn open(&self) -> Result<Arc<dyn Broker>> {
        if !self.by_flag
            && let Some(directory) = self.path.parent()
        {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| {
                    Failed::could_not_run(format!("cannot make {}: {error}", directory.display()))
                })?;
        }
        Ok(Arc::new(SqliteBroker::open(&self.path).await?))
    }

    /// What a suggested command needs to find this broker again: nothing, or a space and the flag.
    pub fn flag(&self) -> String {
        match self.by_flag {
            true => format!(
                " --broker sqlite:{}",
                crate::ui::shell_word(self.path.as_os_str().as_bytes())
            ),
            false => String::new(),
        }
    }
}

impl From<BrokerInfoError> for Failed {
    fn from(error: BrokerInfoError) -> Self {
        match error {
            BrokerInfoError::Unknown { .. } => Self::usage(error),
            _ => Self::could_not_run(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn info(broker: Option<&str>, variables: &[(&str, &str)]) -> Result<PathBuf, BrokerInfoError> {
        let flags = BrokerFlags {
            broker: broker.map(str::to_owned),
            redis_host: None,
            redis_port: None,
            redis_db: None,
        };
        let find = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        get_broker_info(&flags, &find).map(|info| info.path)
    }

    #[test]
    fn flag_then_variable_then_state_directory() {
        let all = [
            ("CELERY_BROKER_URL", "sqlite:/from/variable"),
            ("XDG_STATE_HOME", "/state"),
            ("HOME", "/home/u"),
        ];
        assert_eq!(info(Some("sqlite:b.db"), &all), Ok("b.db".into()));
        assert_eq!(info(None, &all), Ok("/from/variable".into()));
        assert_eq!(
            info(None, &all[1..]),
            Ok("/state/irods_sync/broker.sqlite3".into())
        );
        assert_eq!(
            info(None, &all[2..]),
            Ok("/home/u/.local/state/irods_sync/broker.sqlite3".into())
        );
        assert_eq!(
            info(None, &[("XDG_STATE_HOME", "state")]),
            Err(BrokerInfoError::NoHome)
        );
        assert_eq!(info(Some("sqlite:///a/b"), &[]), Ok("/a/b".into()));
    }

    #[test]
    fn redis_and_nonsense_are_told_apart_and_show_no_password() {
        let variable = [("CELERY_BROKER_URL", "redis://:secret@h:6379/0")];
        let error = info(None, &variable).unwrap_err();
        assert_eq!(
            error,
            BrokerInfoError::Redis {
                origin: "CELERY_BROKER_URL"
            }
        );
        let error = info(Some("amqp://u:secret@h"), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--broker") && !error.contains("secret"),
            "{error}"
        );
    }
}
