//! `plan`: what `start` would do, and nothing done.

use std::sync::Arc;

use ingest::broker::{Broker, Counts};
use ingest::survey::Survey;
use ingest::survey::forecast::{Doing, Foreseen};
use ingest::sync_task::job;

use crate::args::PlanArgs;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::ui::json::{self, ForeseenJson, TotalsJson};
use crate::ui::{self, summary};
use crate::zone_access::{Joining, ZoneAccess};
use crate::{handler, signals, start};

/// Prints each entry that something would be done with, then the totals.
///
/// # Errors
/// As `start` would have before it queues anything, or a signal.
pub async fn handle_plan(config: &Config, args: PlanArgs) -> Result<Exit> {
    let start = &args.start;
    start::check_here(start)?;
    let signals = signals::listen()?;
    let opened = async {
        let broker = config.broker.open_existing().await?;
        let at_once = start.worker.concurrency();
        let zone = ZoneAccess::open(&start.zone, at_once, Joining::UntilDone).await?;
        Ok((broker, zone))
    };
    let (broker, zone) = signals.unless_told("nothing was looked at", opened).await?;
    let so = "what is shown is not all";
    let counts = signals
        .unless_told(so, forecast(config, &args, broker, &zone))
        .await;
    zone.close(&signals.shutdown).await;
    let counts = counts?;
    match start.json {
        true => ui::say(&json::line(&TotalsJson { totals: counts })),
        false => {
            let mut lines = vec!["a pass would end with".to_owned()];
            lines.extend(summary::totals(&counts));
            ui::say(&lines.join("\n"));
        }
    }
    Ok(Exit::Done)
}

async fn forecast(
    config: &Config,
    args: &PlanArgs,
    broker: Option<Arc<dyn Broker>>,
    zone: &ZoneAccess,
) -> Result<Counts> {
    let start = &args.start;
    let mut request = start::request(start, None);
    handler::add(config, start, zone, &mut request).await?;
    let spec = job::check(&zone.pool, &request).await?;
    let survey = Survey::new(spec, zone.pool.clone(), start.worker.concurrency())?;
    let counts = survey.forecast(broker, |foreseen| {
        ui::say(&line(&foreseen, args.start.json))
    });
    Ok(counts.await?)
}

fn line(foreseen: &Foreseen, json: bool) -> String {
    if json {
        return json::line(&ForeseenJson::new(foreseen));
    }
    let shown = match foreseen.what {
        Doing::Delete | Doing::Keep(_) => foreseen.target.as_bytes(),
        _ => &foreseen.path,
    };
    format!(
        "{}: {}",
        ui::plain(foreseen.what.to_string().as_bytes()),
        ui::plain(shown)
    )
}
