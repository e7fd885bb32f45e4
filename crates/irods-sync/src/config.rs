//! What a command works with, each value from its place: a flag, else the environment, else a default.
//!
//! The zone's own settings (irods_environment.json, .irodsA, IRODS_*) are the client's to read.

use std::ffi::OsString;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::args::CommonFlags;
use crate::broker_info::{BrokerInfo, BrokerInfoError, get_broker_info};

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
    /// The least severe level that is logged.
    pub level: LevelFilter,
}

/// Settles what every command works with.
///
/// # Errors
/// A broker that this version does not know.
pub fn get_config(
    flags: &CommonFlags,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Config, BrokerInfoError> {
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
        level: flags
            .log
            .log_level
            .map_or(by_verbosity, |level| level.filter()),
    }
}
