//! What a command works with, each value from its place: a flag, else the environment, else a default.
//!
//! The zone's own settings (irods_environment.json, .irodsA, IRODS_*) are the client's to read.

use std::ffi::OsString;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::args::{CommonFlags, LogFlags, LogFormat};
use crate::broker_info::{BrokerInfo, BrokerInfoError, get_broker_info};
use crate::exit::Failed;
use crate::log::When;

/// What every command works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where jobs are kept: flag, environment, state directory.
    pub broker: BrokerInfo,
    /// What is logged, and where to: flags.
    pub log: LogConfig,
    /// Whether errors are shown with their causes: flag.
    pub verbose: bool,
}

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The file; stderr without one.
    pub file: Option<PathBuf>,
    /// How a file is rotated: the unit of time and how many of it.
    pub rotation: Option<(When, u32)>,
    /// How it is written, if somebody said so.
    pub format: Option<LogFormat>,
    /// The least severe level that is logged.
    pub level: LevelFilter,
}

/// Why a command has nothing to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No broker.
    #[error(transparent)]
    Broker(#[from] BrokerInfoError),
    /// So many of what?
    #[error("--log_interval needs --log_when, the unit that it counts")]
    IntervalAlone,
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Broker(error) => error.into(),
            ConfigError::IntervalAlone => Self::usage(error),
        }
    }
}

/// Settles what every command works with.
///
/// # Errors
/// A broker that this version does not know, or flags that do not go together.
pub fn get_config(
    flags: &CommonFlags,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Config, ConfigError> {
    if flags.log.log_interval.is_some() && flags.log.log_when.is_none() {
        return Err(ConfigError::IntervalAlone);
    }
    Ok(Config {
        broker: get_broker_info(&flags.broker, variable)?,
        log: log_config(flags),
        verbose: flags.verbose > 0,
    })
}

/// `--log_level` says the level; else `-v` does.
fn log_config(flags: &CommonFlags) -> LogConfig {
    let by_verbosity = match flags.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    LogConfig {
        file: flags.log.log_filename.clone(),
        rotation: rotation(&flags.log),
        format: flags.log.log_format,
        level: flags
            .log
            .log_level
            .map_or(by_verbosity, |level| level.filter()),
    }
}

/// One unit of time where none says how many.
fn rotation(flags: &LogFlags) -> Option<(When, u32)> {
    let when = flags.log_when?;
    Some((when, flags.log_interval.unwrap_or(1)))
}
