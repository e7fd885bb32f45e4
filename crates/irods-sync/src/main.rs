//! `irods_sync`: keep a collection in an iRODS zone in step with a directory tree.
//!
//! This program is arguments, progress and output; whatever a user of the library would miss is in the library `ingest`.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

mod args;
mod broker_info;
mod cache;
mod config;
mod exit;
mod failures;
mod forget;
mod handler;
mod jobs;
mod list;
mod log;
mod plan;
mod presence;
mod profile;
mod retry;
mod signals;
mod start;
mod status;
mod stop;
mod ui;
mod verify;
mod watch;
mod worker;
mod workers;
mod zone;
mod zone_access;

use args::{CacheCommand, Cli, Command};
use config::get_config;
use exit::{Exit, Failed, Result};

fn main() -> ExitCode {
    let typed = args::argv::normalise(Cli::command(), std::env::args_os());
    let parsed = Cli::command().try_get_matches_from(&typed);
    let exit = match parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches))) {
        Ok((cli, matches)) => {
            let verbose = cli.common.verbose > 0;
            args::job_file::with_job_file(cli, &typed, &matches)
                .and_then(run)
                .unwrap_or_else(|failed| failed.report(verbose))
        }
        Err(error) if !error.use_stderr() => {
            ui::say(error.to_string().trim_end());
            Exit::Done
        }
        Err(error) => Failed::from(error).report(false),
    };
    match ui::output_is_lost() {
        true => exit.without_output().into(),
        false => exit.into(),
    }
}

fn run(cli: Cli) -> Result<Exit> {
    let config = get_config(&cli.common, &|name| std::env::var_os(name))?;
    log::init(&config.log)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failed::could_not_run)?;
    let exit = runtime.block_on(async {
        match cli.command {
            Command::Start(args) => start::handle_start(&config, *args).await,
            Command::Plan(args) => plan::handle_plan(&config, *args).await,
            Command::Verify(args) => verify::handle_verify(&config, *args).await,
            Command::Stop(args) => stop::handle_stop(&config, &args).await,
            Command::List(args) => list::handle_list(&config, &args).await,
            Command::Watch(args) => watch::handle_watch(&config, &args).await,
            Command::Status(args) => status::handle_status(&config, &args).await,
            Command::Worker(args) => worker::handle_worker(&config, &args).await,
            Command::Failures(args) => failures::handle_failures(&config, &args).await,
            Command::Retry(args) => retry::handle_retry(&config, args).await,
            Command::Forget(args) => forget::handle_forget(&config, &args).await,
            Command::Cache {
                command: CacheCommand::Clear { source, s3 },
            } => cache::handle_clear(&config, &source, &s3).await,
            Command::Zone(args) => zone::handle_zone(args).await,
        }
    });
    // A task that blocks on a file system that does not answer must not keep the program from ending.
    runtime.shutdown_background();
    exit
}
