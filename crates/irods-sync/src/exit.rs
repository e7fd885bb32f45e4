//! How the program ends: its exit codes, and the one line on stderr that goes with the bad ones.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use ingest::broker::BrokerError;
use ingest::source::SourceError;
use ingest::survey::SurveyError;
use ingest::sync_task::job::StartError;
use ingest::worker::WorkerError;

use crate::ui;

/// The exit codes. Scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Ended, but some files failed.
    SomeFailed = 1,
    /// Wrong usage, unknown job, name in use: nothing was touched.
    Usage = 2,
    /// Could not run or had to give up.
    CouldNotRun = 3,
    /// The job was stopped.
    Stopped = 4,
    /// Ended by a signal.
    Interrupted = 130,
}

impl Exit {
    /// As which a command ends some of whose output is lost: who reads it must not take it for whole.
    pub fn without_output(self) -> Self {
        match self {
            Exit::Done | Exit::SomeFailed => Exit::CouldNotRun,
            bad => bad,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A command that failed as a whole.
#[derive(Debug)]
pub struct Failed {
    exit: Exit,
    error: Box<dyn Error + Send + Sync>,
}

/// Result of a command.
pub type Result<T, E = Failed> = std::result::Result<T, E>;

impl Failed {
    /// What was asked for makes no sense.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
        }
    }

    /// What was asked for cannot be done.
    pub fn could_not_run(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit: Exit::CouldNotRun,
            error: error.into(),
        }
    }

    /// A signal came before what was asked for was done.
    pub fn interrupted(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit: Exit::Interrupted,
            error: error.into(),
        }
    }

    /// Says it on stderr: in one line, or with `chain` each cause on a line of its own.
    pub fn report(&self, chain: bool) -> Exit {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if chain && !text.ends_with(&format!("\n  because: {message}")) {
                let _ = write!(text, "\n  because: {message}");
            } else if !chain && !text.contains(&message) {
                let _ = write!(text, ": {message}");
            }
            cause = error.source();
        }
        let lines: Vec<String> = text
            .lines()
            .map(|line| ui::plain(line.as_bytes()))
            .collect();
        let joined = lines.join(if chain { "\n" } else { " " });
        ui::note(&format!("irods_sync: {joined}"));
        self.exit
    }
}

impl From<clap::Error> for Failed {
    /// The parser's message without its layout: what is wrong, and where help is.
    fn from(error: clap::Error) -> Self {
        let text = error.to_string();
        let (message, usage) = match text.split_once("\n\nUsage: ") {
            Some((message, rest)) => (message, rest.lines().next().unwrap_or_default()),
            None => (text.as_str(), ""),
        };
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let message = message
            .split("\n\nFor more information")
            .next()
            .unwrap_or_default();
        let paragraphs = message.split("\n\n").map(|paragraph| {
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            words.join(" ")
        });
        let message = paragraphs.collect::<Vec<_>>().join("; ");
        let command: Vec<&str> = usage
            .split(' ')
            .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            .collect();
        let command = match command.is_empty() {
            true => "irods_sync".to_owned(),
            false => command.join(" "),
        };
        Self::usage(format!("{message} (see {command} --help)"))
    }
}

impl From<BrokerError> for Failed {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::UnknownJob { .. }
            | BrokerError::NameInUse { .. }
            | BrokerError::NotEnded { .. }
            | BrokerError::Stopping { .. }
            | BrokerError::Invalid { .. } => Self::usage(error),
            _ => Self::could_not_run(error),
        }
    }
}

impl From<SourceError> for Failed {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::RootMissing { .. } | SourceError::RootNotADirectory { .. } => {
                Self::usage(error)
            }
            _ => Self::could_not_run(error),
        }
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Source(error) => error.into(),
            StartError::Broker(error) => error.into(),
            StartError::Zone(error) => error.into(),
            _ => Self::usage(error),
        }
    }
}

impl From<SurveyError> for Failed {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::Source(error) => error.into(),
            SurveyError::Broker(error) => error.into(),
            SurveyError::Filter(_) | SurveyError::NothingToCompare(_) | SurveyError::Rules(_) => {
                Self::usage(error)
            }
            _ => Self::could_not_run(error),
        }
    }
}

impl From<irods_client::Error> for Failed {
    fn from(error: irods_client::Error) -> Self {
        Self::could_not_run(error)
    }
}

impl From<irods_zone::StartError> for Failed {
    fn from(error: irods_zone::StartError) -> Self {
        Self::could_not_run(error)
    }
}

impl From<WorkerError> for Failed {
    fn from(error: WorkerError) -> Self {
        Self::could_not_run(error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    fn complaint(line: &str) -> String {
        let error = crate::args::Cli::try_parse_from(line.split(' ')).unwrap_err();
        Failed::from(error).error.to_string()
    }

    #[test]
    fn wrong_usage_is_one_line_that_says_where_help_is() {
        insta::assert_snapshot!(
            [
                "irods_sync",
                "irods_sync strat",
                "irods_sync start",
                "irods_sync start a /b --checksums",
                "irods_sync start a /b --operation SYNC",
                "irods_sync start a /b --interval 0",
                "irods_sync start a /b --job_name=",
                "irods_sync list --no_such_flag",
                "irods_sync zone d --listen here",
            ]
            .map(complaint)
            .join("\n")
        );
    }
}
