//! Looking into the broker's file while others work with it.

use ingest::broker::sqlite::SqliteBroker;
use ingest::broker::{Broker, Job};

use super::Site;

/// The broker that [`Site::with_broker`] gives to the program.
pub const BROKER: &str = "broker.sqlite3";

/// The jobs of a site, read from the broker's file.
pub struct JobFile<'s> {
    site: &'s Site,
    runtime: tokio::runtime::Runtime,
}

impl<'s> JobFile<'s> {
    pub fn new(site: &'s Site) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        JobFile { site, runtime }
    }

    /// Looks at a job, again and again, until `enough` says so. The file is closed before this returns, so that a process
    /// that is killed next is the last that has it.
    pub fn watch(&self, name: &str, mut enough: impl FnMut(Option<&Job>) -> bool) {
        self.runtime.block_on(async {
            let broker = SqliteBroker::open(self.site.path(BROKER)).await.unwrap();
            loop {
                let job = broker.find_job(name).await.unwrap();
                if enough(job.as_ref()) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
    }

    pub fn job(&self, name: &str) -> Option<Job> {
        let mut found = None;
        self.watch(name, |job| {
            found = job.cloned();
            true
        });
        found
    }

    /// The messages of the ledger, by path.
    pub fn failures(&self, name: &str) -> Vec<(String, String)> {
        self.runtime.block_on(async {
            let broker = SqliteBroker::open(self.site.path(BROKER)).await.unwrap();
            let job = broker.find_job(name).await.unwrap().unwrap();
            let page = broker.failures(job.id, None, 10_000).await.unwrap();
            let entry = |failure: ingest::broker::Failure| {
                (
                    String::from_utf8_lossy(&failure.path).into_owned(),
                    format!("{} {}", failure.code_name, failure.message),
                )
            };
            page.entries.into_iter().map(|e| entry(e.failure)).collect()
        })
    }
}
