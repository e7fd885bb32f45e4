//! Flags that say what is logged, and where to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

/// What is logged.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "Log")]
pub struct LogFlags {
    /// Write the log to FILE, one JSON object a line, instead of to stderr
    #[arg(long, global = true, value_name = "FILE")]
    pub log_filename: Option<PathBuf>,
    /// Log this and what is more severe [default: warning]
    #[arg(long, global = true, value_name = "LEVEL", ignore_case = true)]
    pub log_level: Option<Level>,
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
