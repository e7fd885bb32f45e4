//! `worker`: takes tasks of all jobs until told to stop.

use std::sync::Arc;
use std::time::Duration;

use ingest::broker::WorkerInfo;
use ingest::core::NoHandler;
use ingest::sync_task::LogTasks;
use ingest::worker::{Worker, WorkerOptions};

use crate::args::{Concurrency, MAX_STREAMS, WorkerArgs, WorkerFlags};
use crate::config::Config;
use crate::exit::{Exit, Failed, Result};
use crate::zone_access::{Joining, ZoneAccess};
use crate::{handler, presence, signals, ui};

/// Tasks that there may be where their number is searched for: more connections than a server of any size gains by.
const MOST_FOUND: usize = 32;

impl WorkerFlags {
    /// Directories that are looked at, or tasks, at the same time: as given, else the number of cores.
    pub fn concurrency(&self) -> usize {
        match self.concurrency {
            Some(Concurrency::Given(given)) => given.into(),
            None | Some(Concurrency::Auto) => {
                std::thread::available_parallelism().map_or(1, usize::from)
            }
        }
    }

    /// Tasks of a worker at the same time, at most.
    fn tasks(&self) -> usize {
        match self.concurrency {
            Some(Concurrency::Auto) => MOST_FOUND,
            _ => self.concurrency(),
        }
    }

    /// Connections at the same time: as given, else one for each task, and further ones for jobs that upload a file over
    /// several.
    pub fn connections(&self) -> usize {
        self.max_connections
            .map_or_else(|| self.tasks() + MAX_STREAMS - 1, usize::from)
    }

    /// What a worker needs to know of them.
    pub fn options(&self, info: WorkerInfo) -> WorkerOptions {
        let mut options = WorkerOptions::new(info, self.tasks());
        options.adaptive = self.concurrency == Some(Concurrency::Auto);
        options.max_rate = self.max_rate;
        options.s3_max_requests = self.s3_max_requests;
        options.s3_timeout = Duration::from_secs(self.s3_timeout);
        options
    }
}

/// Works until a signal arrives.
///
/// # Errors
/// The broker or the zone cannot be used.
pub async fn handle_worker(config: &Config, args: &WorkerArgs) -> Result<Exit> {
    let signals = signals::listen()?;
    let opened = async {
        let broker = config.broker.open().await?;
        presence::bury_the_dead(&*broker).await?;
        let connections = args.worker.connections();
        let zone = ZoneAccess::open(&args.zone, connections, Joining::WhileServed).await?;
        Ok::<_, Failed>((broker, zone))
    };
    let Some(opened) = signals.before(opened).await else {
        return Ok(signals.exit_of_service());
    };
    let (broker, zone) = opened?;
    // A zone that cannot be reached, or refuses us, is said now rather than at the first task.
    let Some(user) = signals.before(log_in(&zone)).await else {
        zone.close(&signals.shutdown).await;
        return Ok(signals.exit_of_service());
    };
    let user = user?;
    let mut options = args.worker.options(presence::me());
    options.name = args.fleet.name.clone();
    options.filter.queues = Some(args.fleet.queues.clone());
    ui::note(&format!(
        "worker {} takes tasks, as {user} at {}",
        options.name.as_deref().unwrap_or(&options.info.id.0),
        zone.pool.environment().peer()
    ));
    let worker = Worker::new(
        broker,
        zone.pool.clone(),
        Arc::new(NoHandler),
        Arc::new(LogTasks),
        options,
        signals.shutdown.clone(),
    );
    let python = handler::python(config, &args.handler, &zone);
    let worker = worker.with_python(python, handler::allowed(config, args));
    signals.have_in_hand("what is");
    let worked = worker.run().await;
    zone.close(&signals.shutdown).await;
    worked?;
    Ok(signals.exit_of_service())
}

/// As whom the zone lets us in.
async fn log_in(zone: &ZoneAccess) -> Result<String> {
    let connection = zone.pool.get().await?;
    let identity = connection.identity();
    Ok(format!("{}#{}", identity.user, identity.zone))
}
