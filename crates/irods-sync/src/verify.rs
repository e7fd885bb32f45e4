//! `verify`: whether the zone holds what the source holds.

use std::time::Instant;

use ingest::core::{EventHandler as _, NoHandler};
use ingest::survey::Survey;
use ingest::survey::verify::{Difference, Verified};
use ingest::sync_task::job::{self, JobRequest};

use crate::args::VerifyArgs;
use crate::exit::{Exit, Result};
use crate::signals;
use crate::ui::json::{self, DifferenceJson, TotalsJson};
use crate::ui::{self, summary};
use crate::zone_access::{Joining, ZoneAccess};

/// Prints each difference, then how much was compared.
///
/// # Errors
/// Source or zone cannot be looked at, or a signal came.
pub async fn handle_verify(args: VerifyArgs) -> Result<Exit> {
    let began = Instant::now();
    let at_once = args.worker.concurrency();
    let signals = signals::listen()?;
    let zone = ZoneAccess::open(&args.zone, at_once, Joining::UntilDone);
    let zone = signals.unless_told("nothing was looked at", zone).await?;
    let so = "what is shown is not all";
    let verified = signals.unless_told(so, verify(&args, &zone)).await;
    zone.close(&signals.shutdown).await;
    let verified = verified?;
    match args.json {
        true => ui::say(&json::line(&TotalsJson { totals: verified })),
        false => {
            let bytes = match args.checksum {
                true => format!(", {} read from both sides", ui::bytes(verified.bytes)),
                false => String::new(),
            };
            ui::say(&format!(
                "{} differences in {} files and {} directories, {} left out{bytes}\n{}",
                ui::thousands(verified.differences),
                ui::thousands(verified.files),
                ui::thousands(verified.directories),
                ui::thousands(verified.excluded),
                summary::pace(began.elapsed(), verified.files),
            ));
        }
    }
    Ok(match verified.differences {
        0 => Exit::Done,
        _ => Exit::SomeFailed,
    })
}

async fn verify(args: &VerifyArgs, zone: &ZoneAccess) -> Result<Verified> {
    let request = JobRequest {
        name: None,
        source: &args.source,
        target: &args.target,
        options: args.options(),
        interval: None,
        owner: None,
        hooks: NoHandler.job_hooks(),
    };
    let spec = job::check(&zone.pool, &request).await?;
    let survey = Survey::new(spec, zone.pool.clone(), args.worker.concurrency())?;
    let verified = survey.verify(args.checksum, |difference| {
        ui::say(&line(&difference, args.json));
    });
    Ok(verified.await?)
}

fn line(difference: &Difference, json: bool) -> String {
    if json {
        return json::line(&DifferenceJson::new(difference));
    }
    format!(
        "{:<9} {}: {}",
        difference.what.word(),
        ui::plain(&difference.path),
        ui::plain(difference.what.to_string().as_bytes())
    )
}
