//! What a job did, for people.

use std::time::Duration;

use ingest::broker::{Counts, Job};

use super::{bytes, seconds, thousands};

/// The totals of the present or last pass of a job. A pass of retries counts what it did; what else is in the ledger is said.
pub fn of_job(job: &Job) -> Vec<String> {
    let listed = job.failures.saturating_add(job.failures_not_listed);
    lines(
        &job.pass_totals,
        listed.saturating_sub(job.pass_totals.failed),
    )
}

/// Totals, a line for each kind of thing.
pub fn totals(counts: &Counts) -> Vec<String> {
    lines(counts, 0)
}

fn lines(counts: &Counts, failed_before: u64) -> Vec<String> {
    let mut files = format!(
        "  files        {} seen: {} registered, {} uploaded, {} appended, {} updated, {} skipped, {} excluded, {} failed",
        thousands(counts.files_seen),
        thousands(counts.registered),
        thousands(counts.uploaded),
        thousands(counts.appended),
        thousands(counts.updated),
        thousands(counts.skipped_unchanged),
        thousands(counts.excluded),
        thousands(counts.failed),
    );
    for (number, what) in [
        (counts.left_out, "left out by choice"),
        (counts.metadata_only, "with new times only"),
        (counts.retried, "tried again"),
        (counts.deleted, "removed"),
        (counts.kept, "kept for other files"),
        (failed_before, "failed before"),
        (counts.requests_repeated, "S3 requests made again"),
    ] {
        if number > 0 {
            files += &format!(", {} {what}", thousands(number));
        }
    }
    vec![
        files,
        format!(
            "  collections  {} created for {} directories",
            thousands(counts.collections_created),
            thousands(counts.dirs_seen)
        ),
        format!(
            "  data         {} registered, {} uploaded",
            bytes(counts.bytes_registered),
            bytes(counts.bytes_uploaded)
        ),
    ]
}

/// Time and rate, for a run that dealt with so many files.
pub fn pace(time: Duration, files: u64) -> String {
    let rate = files as f64 / time.as_secs_f64().max(0.001);
    let rate = match rate {
        0.0..10.0 => format!("{rate:.1}"),
        _ => thousands(rate.round() as u64),
    };
    format!("  time         {}, {rate} files/s", seconds(time))
}
