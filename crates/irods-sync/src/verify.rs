//! `verify`: whether the zone holds what the source holds.

use std::time::Instant;

use ingest::survey::verify::{Difference, Verified};
use ingest::sync_task::ChecksumPolicy;

use crate::args::{StartArgs, VerifyArgs};
use crate::config::Config;
use crate::exit::{Exit, Result};
use crate::ui::json::{self, DifferenceJson, TotalsJson};
use crate::ui::{self, summary};
use crate::zone_access::{Joining, ZoneAccess};
use crate::{handler, signals, start};

/// Prints each difference, then how much was compared.
///
/// # Errors
/// Source or zone cannot be looked at, or a signal came.
pub async fn handle_verify(config: &Config, args: VerifyArgs) -> Result<Exit> {
    let began = Instant::now();
    let start = &args.start;
    start::check_here(start)?;
    let at_once = start.worker.concurrency();
    let signals = signals::listen()?;
    let zone = ZoneAccess::open(&start.zone, at_once, Joining::UntilDone);
    let zone = signals.unless_told("nothing was looked at", zone).await?;
    let so = "what is shown is not all";
    let verified = signals.unless_told(so, verify(config, start, &zone)).await;
    zone.close(&signals.shutdown).await;
    let verified = verified?;
    match start.json {
        true => ui::say(&json::line(&TotalsJson { totals: verified })),
        false => {
            let bytes = match reads_bytes(start) {
                true => format!(", {} read from both sides", ui::bytes(verified.bytes)),
                false => String::new(),
            };
            ui::say(&format!(
                "{} differences in {} files and {} directories, {} left out{bytes}\n{}",
                ui::thousands(verified.differences),
                ui::thousands(verified.files),
                ui::thousands(verified.directories),
                ui::thousands(verified.excluded + verified.left_out),
                summary::pace(began.elapsed(), verified.files),
            ));
        }
    }
    Ok(match verified.differences {
        0 => Exit::Done,
        _ => Exit::SomeFailed,
    })
}

async fn verify(config: &Config, start: &StartArgs, zone: &ZoneAccess) -> Result<Verified> {
    let survey = handler::survey(config, start, zone).await?;
    let verified = survey.verify(reads_bytes(start), |difference| {
        ui::say(&line(&difference, start.json));
    });
    Ok(verified.await?)
}

fn reads_bytes(start: &StartArgs) -> bool {
    start.scan.checksum == ChecksumPolicy::Verify
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
