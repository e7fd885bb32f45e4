//! Which broker: from the flags, else the environment, else a file in the user's state directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::broker::redis::{Address, RedisBroker};
use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{Broker, BrokerError};
use ingest::core::python::Store;

use crate::args::BrokerFlags;
use crate::exit::{Failed, Result};

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    place: Place,
    /// Whether it was chosen by a flag, so that commands that are suggested must repeat it.
    by_flag: bool,
}

/// One of the two engines.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Redis(Box<Address>),
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerInfoError {
    /// An address of a Redis that cannot be one.
    #[error("{origin}: {why}")]
    Redis {
        /// The flag or variable.
        origin: &'static str,
        /// What is wrong with it.
        why: BrokerError,
    },
    /// Something else was asked for.
    #[error("{origin} is {given:?}; sqlite:PATH and redis://HOST:PORT/DB are accepted")]
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
    let by_flag = |place| BrokerInfo {
        place,
        by_flag: true,
    };
    if let Some(url) = &flags.broker {
        return place("--broker", url).map(by_flag);
    }
    if flags.redis_host.is_some() || flags.redis_port.is_some() || flags.redis_db.is_some() {
        return redis_flags(flags).map(by_flag);
    }
    let url = variable(VARIABLE).filter(|url| !url.is_empty());
    let place = match url {
        Some(url) => place(VARIABLE, &url.to_string_lossy())?,
        None => Place::Sqlite(default_path(variable)?),
    };
    Ok(BrokerInfo {
        place,
        by_flag: false,
    })
}

/// The flags of the Python tool, with its defaults.
fn redis_flags(flags: &BrokerFlags) -> Result<Place, BrokerInfoError> {
    let host = flags.redis_host.as_deref().unwrap_or("localhost");
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(harmless) {
        return Err(BrokerInfoError::Unknown {
            origin: "--redis_host",
            given: without_secrets(host),
        });
    }
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let (port, db) = (
        flags.redis_port.unwrap_or(6379),
        flags.redis_db.unwrap_or(0),
    );
    redis(
        "--redis_host, --redis_port or --redis_db",
        &format!("redis://{host}:{port}/{db}"),
    )
}

fn redis(origin: &'static str, url: &str) -> Result<Place, BrokerInfoError> {
    match Address::parse(url) {
        Ok(address) => Ok(Place::Redis(Box::new(address))),
        Err(why) => Err(BrokerInfoError::Redis { origin, why }),
    }
}

fn place(origin: &'static str, url: &str) -> Result<Place, BrokerInfoError> {
    if Address::is_meant(url) {
        return redis(origin, url);
    }
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => {
            // sqlite:///PATH, as others write it, is meant too.
            let path = path
                .strip_prefix("//")
                .filter(|p| p.starts_with('/'))
                .unwrap_or(path);
            Ok(Place::Sqlite(path.into()))
        }
        _ => Err(BrokerInfoError::Unknown {
            origin,
            given: without_secrets(url),
        }),
    }
}

fn without_secrets(given: &str) -> String {
    match given.rsplit_once('@') {
        Some((_, host)) => format!("...@{host}"),
        None => given.to_owned(),
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
        let path = match &self.place {
            Place::Redis(address) => {
                return Ok(Arc::new(RedisBroker::open(Address::clone(address)).await?));
            }
            Place::Sqlite(path) => path,
        };
        if !self.by_flag
            && let Some(directory) = path.parent()
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
        Ok(Arc::new(SqliteBroker::open(path).await?))
    }

    /// Opens the broker if there is one; makes none.
    ///
    /// # Errors
    /// It cannot be used.
    pub async fn open_existing(&self) -> Result<Option<Arc<dyn Broker>>> {
        match &self.place {
            Place::Sqlite(path) if !path.exists() => Ok(None),
            _ => self.open().await.map(Some),
        }
    }

    /// Where event handlers keep what must outlive a call.
    pub fn handler_store(&self) -> Store {
        match &self.place {
            Place::Sqlite(path) => Store::File(path.with_added_extension("handlers")),
            Place::Redis(address) => Store::Redis(address.host_port_db()),
        }
    }

    /// Whether workers of other machines may take the tasks.
    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Redis(_))
    }

    /// What a suggested command needs to find this broker again: nothing, or a space and the flag. Passwords are not repeated.
    pub fn flag(&self) -> String {
        if !self.by_flag {
            return String::new();
        }
        let url = match &self.place {
            Place::Sqlite(path) => [b"sqlite:", path.as_os_str().as_bytes()].concat(),
            Place::Redis(address) => address.with_placeholders().into_bytes(),
        };
        format!(" --broker {}", crate::ui::shell_word(&url))
    }
}

impl From<BrokerInfoError> for Failed {
    fn from(error: BrokerInfoError) -> Self {
        match error {
            BrokerInfoError::NoHome => Self::could_not_run(error),
            _ => Self::usage(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn flags(broker: Option<&str>) -> BrokerFlags {
        BrokerFlags {
            broker: broker.map(str::to_owned),
            redis_host: None,
            redis_port: None,
            redis_db: None,
        }
    }

    /// What is chosen, as it would be written after `--broker`, or what is wrong.
    fn info(flags: &BrokerFlags, variables: &[(&str, &str)]) -> Result<String, String> {
        let find = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        let found = get_broker_info(flags, &find).map_err(|error| error.to_string())?;
        Ok(match found.place {
            Place::Sqlite(path) => path.display().to_string(),
            Place::Redis(address) => address.to_string(),
        })
    }

    #[test]
    fn flag_then_variable_then_state_directory() {
        let all = [
            ("CELERY_BROKER_URL", "sqlite:/from/variable"),
            ("XDG_STATE_HOME", "/state"),
            ("HOME", "/home/u"),
        ];
        let chosen = |broker, variables| info(&flags(broker), variables).unwrap();
        assert_eq!(chosen(Some("sqlite:b.db"), &all), "b.db");
        assert_eq!(chosen(None, &all), "/from/variable");
        assert_eq!(chosen(None, &all[1..]), "/state/irods_sync/broker.sqlite3");
        assert_eq!(
            chosen(None, &all[2..]),
            "/home/u/.local/state/irods_sync/broker.sqlite3"
        );
        assert!(info(&flags(None), &[("XDG_STATE_HOME", "state")]).is_err());
        assert_eq!(chosen(Some("sqlite:///a/b"), &[]), "/a/b");
    }

    #[test]
    fn redis_by_url_by_variable_or_by_the_flags_of_the_python_tool() {
        let variable = [("CELERY_BROKER_URL", "redis://:secret@h:6379/2")];
        assert_eq!(info(&flags(None), &variable).unwrap(), "redis://h:6379/2");
        let url = flags(Some("rediss://u:secret@h/1"));
        assert_eq!(info(&url, &variable).unwrap(), "rediss://h:6379/1");
        let db = BrokerFlags {
            redis_db: Some(3),
            ..flags(None)
        };
        assert_eq!(info(&db, &variable).unwrap(), "redis://localhost:6379/3");
        let host = BrokerFlags {
            redis_host: Some("::1".to_owned()),
            redis_port: Some(7),
            ..flags(None)
        };
        assert_eq!(info(&host, &[]).unwrap(), "redis://[::1]:7/0");
    }

    #[test]
    fn nonsense_is_refused_and_shows_no_password() {
        for url in ["amqp://u:secret@h", "redis://u:secret@h/x"] {
            let error = info(&flags(Some(url)), &[]).unwrap_err();
            assert!(
                error.contains("--broker") && !error.contains("secret"),
                "{error}"
            );
        }
        let host = BrokerFlags {
            redis_host: Some("u:secret@h".to_owned()),
            ..flags(None)
        };
        assert!(!info(&host, &[]).unwrap_err().contains("secret"));
    }

    #[test]
    fn suggested_commands_have_no_password() {
        let given = flags(Some("redis://u:secret@h:7/1"));
        let found = get_broker_info(&given, &|_| None).unwrap();
        assert!(found.is_shared());
        assert_eq!(found.flag(), " --broker redis://USER:PASSWORD@h:7/1");
        let by_variable = |_: &str| Some(OsString::from("redis://:secret@h"));
        let found = get_broker_info(&flags(None), &by_variable).unwrap();
        assert_eq!(found.flag(), "");
    }
}
