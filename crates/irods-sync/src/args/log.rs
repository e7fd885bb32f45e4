//! Flags that say what is logged, and where to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::log::When;

/// What is logged.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Log")]
pub struct LogFlags {
    /// Write the log to FILE instead of to stderr; several processes may share one
    #[arg(long, global = true, value_name = "FILE")]
    pub log_filename: Option<PathBuf>,
    /// Rotate the log file with this unit of time: S, M, H, D or midnight, or W0 to W6 when Monday to Sunday has ended. The old
    /// file is named after the time at which its period began, and none is removed
    #[arg(long, global = true, value_name = "UNIT")]
    pub log_when: Option<When>,
    /// Rotate after so many of these units [default: 1]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub log_interval: Option<u32>,
    /// One JSON object a line, or text for people [default: json in a file, text on stderr]
    #[arg(long, global = true, value_name = "FORMAT", ignore_case = true)]
    pub log_format: Option<LogFormat>,
    /// Log this and what is more severe [default: warning]
    #[arg(long, global = true, value_name = "LEVEL", ignore_case = true)]
    pub log_level: Option<Level>,
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Text,
}

/// Levels by the names of Python's logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Everything.
    Debug,
    /// Each task and file.
    Info,
    /// What somebody should look at.
    #[value(alias = "warn")]
    Warning,
    /// What failed.
    #[value(alias = "critical", alias = "fatal")]
    Error,
}

impl Level {
    /// The filter for it.
    pub fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}
