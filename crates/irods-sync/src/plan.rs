//! `plan`: what `start` would do, and nothing done.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::broker::{Broker, Counts};
use ingest::plan::Decision;
use ingest::survey::forecast::{Doing, Foreseen};

use crate::args::PlanArgs;
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::ui::json::{self, ForeseenJson, PlanTotalsJson};
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
    let (counts, by_rule) = counts?;
    match start.json {
        true => ui::say(&json::line(&PlanTotalsJson {
            totals: counts,
            by_rule,
        })),
        false => {
            let mut lines = vec!["a pass would end with".to_owned()];
            lines.extend(summary::totals(&counts));
            lines.extend(by_rule.iter().map(|(rule, entries)| {
                let (rule, entries) = (ui::plain(rule.as_bytes()), ui::thousands(*entries));
                format!("  by rule      {rule}: {entries}")
            }));
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
) -> Result<(Counts, BTreeMap<String, u64>)> {
    let start = &args.start;
    let survey = handler::survey(config, start, zone).await?;
    // The rules are listed that hit nothing, too.
    let rules = start.job.rules.iter().flat_map(|rules| &rules.rules);
    let mut by_rule: BTreeMap<String, u64> = rules.map(|rule| (rule.name.clone(), 0)).collect();
    let counts = survey.forecast(broker, |foreseen| {
        let hit = foreseen.chosen_by.iter().flat_map(|by| by.split(", "));
        for rule in hit {
            *by_rule.entry(rule.to_owned()).or_default() += 1;
        }
        if !matches!(foreseen.what, Doing::Decided(Decision::Skip(_))) {
            ui::say(&line(&foreseen, start.json));
        }
    });
    let counts = counts.await?;
    Ok((counts, by_rule))
}

fn line(foreseen: &Foreseen, json: bool) -> String {
    if json {
        return json::line(&ForeseenJson::new(foreseen));
    }
    let shown = match foreseen.what {
        Doing::Delete | Doing::Keep(_) | Doing::KeepOf(_) | Doing::DeleteWithin { .. } => {
            foreseen.target.as_bytes()
        }
        _ => &foreseen.path,
    };
    let by = match &foreseen.chosen_by {
        Some(by) => format!(" ({})", ui::plain(by.as_bytes())),
        None => String::new(),
    };
    let (what, shown) = (
        ui::plain(foreseen.what.to_string().as_bytes()),
        ui::plain(shown),
    );
    format!("{what}: {shown}{by}")
}
