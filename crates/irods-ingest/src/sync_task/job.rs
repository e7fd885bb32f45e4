//! The life of a job: created by [`start_synchronization`] once everything that can be known beforehand is checked,
//! begun pass by pass by `restart`, stopped by [`interrupt`], forgotten by [`cleanup`].

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use irods_client::connection::Identity;
use irods_client::data_object::ObjectKind;
use irods_client::protocol::path;
use irods_client::{Connection, Pool};

use super::{PathTask, Task, TaskEnd};
use crate::broker::limits::MAX_CHILDREN;
use crate::broker::{
    Broker, BrokerError, Completion, Counts, Created, JobId, JobState, NewJob, WorkerId,
};
use crate::context::JobContext;
use crate::core::JobHooks;
use crate::core::rules::RuleError;
use crate::error::SyncError;
use crate::naming::{self, NameError};
use crate::plan::{Incompatible, Operation, check_compatible};
use crate::signature::CacheKey;
use crate::source::{self, FilterError, SourceError};
use crate::spec::{JobOptions, JobSpec};

/// A job as it is asked for.
#[derive(Debug, Clone)]
pub struct JobRequest<'a> {
    /// Its name; one is made if there is none.
    pub name: Option<String>,
    /// The source directory.
    pub source: &'a Path,
    /// The target collection.
    pub target: &'a str,
    /// How.
    pub options: JobOptions,
    /// For a periodic job, the time between the starts of its passes.
    pub interval: Option<Duration>,
    /// The process that runs it to its end, if one does.
    pub owner: Option<WorkerId>,
    /// The hooks around its passes, of the handler that its workers have ([`EventHandler::job_hooks`]).
    ///
    /// [`EventHandler::job_hooks`]: crate::core::EventHandler::job_hooks
    pub hooks: JobHooks,
}

/// Why a job is not started. Nothing was queued and nothing changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The target's name.
    #[error(transparent)]
    Target(#[from] NameError),
    /// The target is in another zone than the one we are connected to.
    #[error("target {target} is not in zone {zone}, which this client is connected to")]
    OtherZone {
        /// The target.
        target: String,
        /// The zone.
        zone: String,
    },
    /// The target is a data object.
    #[error("target {0} is a data object; a collection is expected")]
    NotACollection(String),
    /// The resource cannot read what would be registered on it.
    #[error(
        "resource {name} is of type {kind}; objects of a bucket are registered on one of type s3"
    )]
    NotAnS3Resource {
        /// Its name.
        name: String,
        /// Its type.
        kind: String,
    },
    /// There is no such resource.
    #[error("resource {0} does not exist")]
    NoSuchResource(String),
    /// An exclusion.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Operation and delete mode.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// A rule.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// An option outside its range.
    #[error("{0}")]
    Option(String),
    /// The zone.
    #[error(transparent)]
    Zone(#[from] irods_client::Error),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Checks a job and queues it, or goes on with an unfinished one that does the same.
///
/// # Errors
/// The first thing that is wrong; nothing was queued.
pub async fn start_synchronization(
    broker: &dyn Broker,
    zone: &Pool,
    request: JobRequest<'_>,
) -> Result<Created, StartError> {
    let spec = check(zone, &request).await?;
    Ok(init(broker, &spec, &request).await?)
}

/// Everything that can be known before anything is queued.
///
/// # Errors
/// The first thing that is wrong.
pub async fn check(zone: &Pool, request: &JobRequest<'_>) -> Result<JobSpec, StartError> {
    let options = &request.options;
    if !(1..=MAX_CHILDREN).contains(&options.files_per_task) {
        return Err(StartError::Option(format!(
            "files_per_task is {}; 1 to {MAX_CHILDREN} are possible",
            options.files_per_task
        )));
    }
    check_compatible(options.operation, options.delete_mode)?;
    if options.direct_register {
        check_direct(options)?;
    }
    options.filter()?;
    if let Some(rules) = &options.rules {
        rules.check(options)?;
    }
    let source = find_source(request).await?;
    let target = naming::target_collection(request.target)?;
    let mut connection = zone.get().await?;
    let identity = connection.identity().clone();
    let zone_name = target.split('/').nth(1).unwrap_or_default();
    if zone_name != identity.zone {
        return Err(StartError::OtherZone {
            target,
            zone: identity.zone,
        });
    }
    let mut found = connection.stat(&target).await?;
    let target_is_missing = found.is_none();
    // It is made, below what there is of it.
    let mut there = target.as_str();
    while found.is_none()
        && let Some(parent) = path::parent(there).filter(|parent| path::parent(parent).is_some())
    {
        there = parent;
        found = connection.stat(there).await?;
    }
    if found.is_some_and(|stat| stat.kind != ObjectKind::Collection) {
        return Err(StartError::NotACollection(there.to_owned()));
    }
    if let Some(name) = &options.resource {
        let Some(resource) = connection.resource(name).await? else {
            return Err(StartError::NoSuchResource(name.clone()));
        };
        if options.direct_register && !resource.stores() {
            return Err(StartError::Option(format!(
                "direct_register needs the name of a resource that holds files itself; {name} is of type {}",
                resource.kind
            )));
        }
        let registers_objects = options.bucket.is_some() && options.operation.registers();
        if registers_objects && resource.stores() && resource.kind != "s3" {
            return Err(StartError::NotAnS3Resource {
                name: name.clone(),
                kind: resource.kind,
            });
        }
    }
    if let Some(rules) = &options.rules {
        rules.check_in_zone(&mut connection).await?;
    }
    let user = format!("{}#{}", identity.user, identity.zone);
    if let Some(handler) = &options.handler
        && handler.chooses_users()
        && !may_act_for_others(&mut connection, &identity).await?
    {
        return Err(StartError::Option(format!(
            "event handler {}: as_user needs a user of type rodsadmin, which {user} is not",
            handler.path
        )));
    }
    let mut spec = JobSpec::new(
        &source,
        target,
        identity.zone,
        user,
        request.options.clone(),
    );
    spec.target_is_missing = target_is_missing;
    Ok(spec)
}

fn check_direct(options: &JobOptions) -> Result<(), StartError> {
    let operation = options.operation;
    if operation != Operation::RegisterSync {
        let name = operation.name();
        return Err(StartError::Option(format!(
            "direct_register writes the rows of new data objects; it does not go with {name}"
        )));
    }
    match options.resource {
        Some(_) => Ok(()),
        None => Err(StartError::Option(
            "direct_register needs the name of the resource that holds the files".into(),
        )),
    }
}

/// Where the source is, on a thread that may block.
async fn find_source(request: &JobRequest<'_>) -> Result<PathBuf, StartError> {
    let (path, bucket) = (request.source.to_owned(), request.options.bucket.clone());
    let looking = tokio::task::spawn_blocking(move || source::find(&path, bucket.as_ref()));
    match looking.await {
        Ok(found) => Ok(found?),
        Err(_) => Err(StartError::Option(
            "a look at the source did not end".into(),
        )),
    }
}

/// Whether this user may act for others.
async fn may_act_for_others(
    connection: &mut Connection,
    who: &Identity,
) -> Result<bool, irods_client::Error> {
    let users = connection.list_users().await?;
    let mut is = users
        .iter()
        .filter(|user| user.name == who.user && user.zone == who.zone);
    Ok(is.any(|user| user.kind == "rodsadmin"))
}

/// Queues a checked job, or goes on with an unfinished one that does the same.
///
/// # Errors
/// The name is taken, or the broker fails.
pub async fn init(
    broker: &dyn Broker,
    spec: &JobSpec,
    request: &JobRequest<'_>,
) -> Result<Created, BrokerError> {
    let json = serde_json::to_vec(spec).map_err(unwritable)?;
    let mut what = spec.clone();
    what.options.profile = false;
    let identity = serde_json::to_vec(&what).map_err(unwritable)?;
    if spec.target_is_missing && spec.options.operation != Operation::NoOp {
        // What is remembered as applied to it is gone with it: a new zone of the same name, or somebody removed it.
        let prefix = CacheKey::target_prefix(&spec.cache_root(), &spec.target);
        broker.clear_signatures(&prefix).await?;
    }
    broker
        .create_job(NewJob {
            name: request.name.clone(),
            identity: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&identity)),
            spec: json,
            first: Task::Restart.to_new_task().map_err(unwritable)?,
            pre_job: request.hooks.pre_job,
            post_job: request.hooks.post_job,
            interval: request.interval,
            owner: request.owner.clone(),
            queues: request.options.queues.clone(),
            max_in_flight: request.options.max_in_flight,
        })
        .await
}

fn unwritable(error: impl Display) -> BrokerError {
    BrokerError::Invalid {
        what: format!("this job: {error}"),
    }
}

/// The first task of each pass: the source root must be there, then it is queued.
///
/// # Errors
/// This worker does not see the source.
pub(super) async fn restart(context: &JobContext) -> Result<TaskEnd, SyncError> {
    let mount = context
        .at_source(|source| source.mount_facts(Path::new("")))
        .await
        .map_err(|error| SyncError::Worker(error.to_string()))?;
    let root = Task::SyncPath(PathTask {
        directory: Vec::new(),
        attempts: 0,
        exists: false,
        redelivered: false,
        mount: Some(mount),
        collection: None,
        fresh: false,
        cursor: Vec::new(),
    });
    let root = root
        .to_new_task()
        .map_err(|error| SyncError::Job(error.to_string()))?;
    Ok(TaskEnd::complete(Completion {
        counts: Counts {
            dirs_seen: 1,
            ..Counts::default()
        },
        children: vec![root],
        ..Completion::default()
    }))
}

/// Stops a job: nothing new is begun; with `now`, what is in hand is abandoned too.
///
/// # Errors
/// As [`Broker::stop`].
pub async fn interrupt(
    broker: &dyn Broker,
    job: JobId,
    now: bool,
) -> Result<JobState, BrokerError> {
    broker.stop(job, now).await
}

/// Removes what is left of an ended job: totals, ledger, events. Its signatures stay.
///
/// # Errors
/// As [`Broker::forget`].
pub async fn cleanup(broker: &dyn Broker, job: JobId) -> Result<(), BrokerError> {
    broker.forget(job).await
}
