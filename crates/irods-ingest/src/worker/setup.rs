//! What is set up once for a job: source, filter, handler.

use std::sync::Arc;

use super::Worker;
use crate::broker::{JobId, Leased};
use crate::context::{JobContext, Tenure};
use crate::core::EventHandler;
use crate::core::python::PythonHandler;
use crate::core::rules::RuleHandler;
use crate::profile::Stages;
use crate::spec::JobSpec;

impl Worker {
    /// What a task of a job is done with.
    ///
    /// # Errors
    /// Why this worker can do none of the job.
    pub(super) fn context(&self, leased: &Leased) -> Result<JobContext, String> {
        let spec: JobSpec = serde_json::from_slice(&leased.spec)
            .map_err(|error| format!("this version does not understand the job: {error}"))?;
        let zone = self.zone.name();
        if spec.zone != zone {
            return Err(format!(
                "the job is for zone {}, this worker is connected to {zone}",
                spec.zone
            ));
        }
        let stages = match spec.options.profile {
            true => Stages::of(self.shared.recorder(leased.job)),
            false => Stages::default(),
        };
        let source = match &self.source {
            Some(source) => source.clone(),
            None => spec
                .open_source(self.shared.requests.clone())
                .map_err(|error| error.to_string())?,
        };
        let filter = spec.options.filter().map_err(|error| error.to_string())?;
        let spec = Arc::new(spec);
        Ok(JobContext {
            job: leased.job,
            source: stages.source(source, spec.source_bytes()),
            filter: Arc::new(filter),
            handler: RuleHandler::around(&spec, self.handler_of(leased.job, &spec, &stages)?)
                .map_err(|error| error.to_string())?,
            spec,
            zone: stages.zone(&self.zone),
            breaker: self.shared.breaker.clone(),
            throttle: self.shared.throttle.clone(),
            broker: self.broker.clone(),
            shutdown: self.shutdown.clone(),
            removals: Arc::default(),
            leaves: Arc::default(),
            name: Arc::default(),
            stages,
            tenure: Tenure::none(),
        })
    }

    /// The job's own handler, if it has one.
    fn handler_of(
        &self,
        job: JobId,
        spec: &Arc<JobSpec>,
        stages: &Stages,
    ) -> Result<Arc<dyn EventHandler>, String> {
        let Some(handler) = &spec.options.handler else {
            return Ok(self.handler.clone());
        };
        let (python, allowed) = match &self.python {
            Some((python, allowed)) => (python.clone(), allowed),
            None => return Err("this worker runs no event handlers".to_owned()),
        };
        allowed.check(handler)?;
        let job = Some((job, self.broker.clone()));
        let handler = PythonHandler::new(python, handler.clone(), job, spec.clone());
        Ok(Arc::new(handler.measured(stages.clone())))
    }
}
