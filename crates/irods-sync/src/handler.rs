//! Event handlers in Python, as commands load and run them.

use std::sync::Arc;

use ingest::core::EventHandler;
use ingest::core::python::{self, Allowed, Python, PythonHandler};
use ingest::survey::Survey;
use ingest::sync_task::JobSpec;
use ingest::sync_task::job::{self, JobRequest};

use crate::args::{HandlerFlags, StartArgs, WorkerArgs};
use crate::config::Config;
use crate::exit::{Failed, Result};
use crate::start;
use crate::zone_access::ZoneAccess;

/// How handlers are run here: connected to the zone that this command talks to.
pub fn python(config: &Config, flags: &HandlerFlags, zone: &ZoneAccess) -> Python {
    let mut environment = Vec::new();
    if let Some(file) = &zone.environment_file {
        let variables = ["HOST", "PORT", "USER_NAME", "ZONE_NAME", "PASSWORD"];
        environment.extend(variables.map(|name| (format!("IRODS_{name}"), None)));
        let file = file.to_string_lossy().into_owned();
        environment.push(("IRODS_ENVIRONMENT_FILE".to_owned(), Some(file)));
    }
    Python {
        program: flags.python.clone(),
        environment,
        store: config.broker.handler_store(),
    }
}

/// Which handlers a worker runs.
pub fn allowed(config: &Config, args: &WorkerArgs) -> Allowed {
    match &args.handler_dir {
        Some(directory) => Allowed::In(directory.clone()),
        None if args.allow_uploaded_handlers || !config.broker.is_shared() => Allowed::All,
        None => Allowed::None,
    }
}

/// Puts the handler that was asked for, and what it chooses, into a request.
///
/// # Errors
/// It cannot be used.
pub async fn add(
    config: &Config,
    args: &StartArgs,
    zone: &ZoneAccess,
    request: &mut JobRequest<'_>,
) -> Result<()> {
    let Some(file) = &args.job.event_handler else {
        return Ok(());
    };
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failed::usage(format!("cannot read event handler {shown}: {error}")))?;
    let spec = job::check(&zone.pool, request).await?;
    let python = python(config, &args.handler, zone);
    let (handler, settings) = python::load(&python, &shown, &text, &spec)
        .await
        .map_err(Failed::usage)?;
    if let Some(rules) = &request.options.rules {
        let together = rules.check_with_handler(&handler, &settings);
        together.map_err(Failed::usage)?;
    }
    settings.apply(&mut request.options);
    request.hooks = handler.job_hooks();
    request.options.handler = Some(handler);
    Ok(())
}

/// What looks at source and zone for the job that `start` with these arguments would be.
///
/// # Errors
/// As `start` would have before it queues anything.
pub async fn survey(config: &Config, args: &StartArgs, zone: &ZoneAccess) -> Result<Survey> {
    let mut request = start::request(args, None);
    add(config, args, zone, &mut request).await?;
    let spec = job::check(&zone.pool, &request).await?;
    let handler = to_look(config, &args.handler, zone, &spec);
    let survey = Survey::new(spec, zone.pool.clone(), args.worker.concurrency())?;
    Ok(match handler {
        Some(handler) => survey.with_handler(handler)?,
        None => survey,
    })
}

/// The handler of a job of which only is looked what it would do, if it has one.
fn to_look(
    config: &Config,
    flags: &HandlerFlags,
    zone: &ZoneAccess,
    spec: &JobSpec,
) -> Option<Arc<dyn EventHandler>> {
    let handler = spec.options.handler.clone()?;
    if handler.chooses.is_empty() && !handler.places_files {
        return None;
    }
    let python = python(config, flags, zone);
    let spec = Arc::new(spec.clone());
    Some(Arc::new(PythonHandler::new(python, handler, None, spec)))
}
