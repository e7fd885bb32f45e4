//! The job file of `start`, `plan` and `verify`: its flags, as if they had been typed, and its rules.
//!
//! A flag that is typed as well must have the same value there: nobody has to know which of two would win.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command as ClapCommand, CommandFactory, FromArgMatches};
use ingest::core::rules::{Flag, JobFile, RuleError};

use super::{Cli, Command, StartArgs};
use crate::exit::{Failed, Result};

/// What a job file may set: flags that say what the job is. Where it runs, and against which zone, is typed.
const HEADINGS: [&str; 3] = ["Job", "Scan", "S3"];

/// The command line once more, with what its job file says, if it names one.
///
/// # Errors
/// The file cannot be read, or something in it is wrong; or a flag has another value there than typed.
pub fn with_job_file(cli: Cli, typed: &[OsString], matches: &ArgMatches) -> Result<Cli> {
    let Some(path) = job_of(&cli.command).and_then(|start| start.job.job_file.as_deref()) else {
        return Ok(cli);
    };
    let file = read(path)?;
    let mut words = typed.to_vec();
    let end = words.iter().position(|word| word == "--");
    let end = end.unwrap_or(words.len());
    let added = typed_as(&file.flags, path, matches)?;
    words.splice(end..end, added);
    let matches = Cli::command().try_get_matches_from(words)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    match &mut cli.command {
        Command::Start(start) => start.job.rules = file.rules,
        Command::Plan(plan) => plan.start.job.rules = file.rules,
        Command::Verify(verify) => verify.start.job.rules = file.rules,
        _ => {}
    }
    Ok(cli)
}

fn job_of(command: &Command) -> Option<&StartArgs> {
    match command {
        Command::Start(start) => Some(start),
        Command::Plan(plan) => Some(&plan.start),
        Command::Verify(verify) => Some(&verify.start),
        _ => None,
    }
}

fn read(path: &Path) -> Result<JobFile> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::usage(format!("cannot read job file {shown}: {error}")))?;
    JobFile::parse(&shown, &text).map_err(Failed::usage)
}

/// The words that set these flags, but for those that were typed.
fn typed_as(flags: &[Flag], path: &Path, matches: &ArgMatches) -> Result<Vec<OsString>> {
    let Some((name, typed)) = matches.subcommand() else {
        return Ok(Vec::new());
    };
    let mut command = Cli::command();
    command.build();
    let mut all = Vec::new();
    for flag in flags {
        let wrong = |message: String| {
            Failed::usage(RuleError {
                file: path.display().to_string(),
                line: flag.line,
                message,
            })
        };
        let argument = command
            .find_subcommand(name)
            .and_then(|command| find(command, &flag.name))
            .ok_or_else(|| {
                wrong(format!(
                    "`{}` is no flag that says what a job is",
                    flag.name
                ))
            })?;
        let words = words(argument, flag).map_err(wrong)?;
        if typed.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine) {
            let there = typed.get_raw(argument.get_id().as_str());
            let there: Vec<_> = there
                .into_iter()
                .flatten()
                .map(|value| value.to_string_lossy().into_owned())
                .collect();
            if there != flag.values && argument.get_action().takes_values() {
                return Err(wrong(format!(
                    "{} is {} here, and {} as typed",
                    flag.name,
                    flag.values.join(" "),
                    there.join(" ")
                )));
            }
            continue;
        }
        // By itself, so that what is wrong with it is told with its line.
        let alone = ["irods_sync", name, "SRC", "DEST"].map(OsString::from);
        let alone = alone.into_iter().chain(words.iter().cloned());
        if let Err(error) = Cli::command().try_get_matches_from(alone) {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or_default();
            let message = line.strip_prefix("error: ").unwrap_or(line);
            return Err(wrong(message.to_owned()));
        }
        all.extend(words);
    }
    Ok(all)
}

fn find<'a>(command: &'a ClapCommand, name: &str) -> Option<&'a Arg> {
    let named = |argument: &&Arg| {
        argument.get_long() == Some(name)
            || argument
                .get_visible_aliases()
                .is_some_and(|aliases| aliases.contains(&name))
    };
    let allowed = |argument: &&Arg| {
        let heading = argument
            .get_help_heading()
            .and_then(|text| text.split(':').next());
        argument.get_id() != "job_file" && heading.is_some_and(|name| HEADINGS.contains(&name))
    };
    command.get_arguments().filter(allowed).find(named)
}

fn words(argument: &Arg, flag: &Flag) -> Result<Vec<OsString>, String> {
    let name = &flag.name;
    let optional = argument.get_num_args().is_some_and(|n| n.min_values() == 0);
    match (argument.get_action().takes_values(), flag.values.as_slice()) {
        (false, []) => Ok(vec![format!("--{name}").into()]),
        (false, _) => Err(format!("{name}: true or false is expected")),
        (true, []) if optional => Ok(vec![format!("--{name}").into()]),
        (true, []) => Err(format!("{name}: a value is expected")),
        (true, values) => Ok(values
            .iter()
            .map(|value| format!("--{name}={value}").into())
            .collect()),
    }
}
