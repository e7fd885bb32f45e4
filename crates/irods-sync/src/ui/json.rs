//! JSON for machines: the shapes of `status --json`, `list --json` and `failures --json`, and Python's way of writing `list`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::broker::{Counts, FailureRecord, Job, JobEvent, Outstanding, Timestamp, Worker};
use ingest::survey::forecast::Foreseen;
use ingest::survey::verify::Difference;
use ingest::sync_task::JobSpec;
use ingest::worker::status::unserved;
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::workers;

/// Events that are shown of a job: the latest.
const MAX_EVENTS: usize = 100;

/// A job as `status --json` and `list --json` show it. Times are UTC, RFC 3339; durations seconds; sizes bytes.
#[derive(Debug, Serialize)]
pub struct StatusJson<'a> {
    name: &'a str,
    state: &'a str,
    /// Why it failed.
    reason: Option<&'a str>,
    source: Option<String>,
    target: Option<String>,
    operation: Option<&'static str>,
    /// Seconds between the starts of passes.
    interval: Option<f64>,
    pass: u64,
    created: String,
    started: Option<String>,
    ended: Option<String>,
    next_pass: Option<String>,
    /// The process that runs it to its end.
    owner: Option<&'a str>,
    owner_lives: bool,
    outstanding: Outstanding,
    /// Entries of the ledger.
    failures: u64,
    failures_not_listed: u64,
    /// In which queues its tasks of files, its directories and the beginnings of its passes are.
    queues: [&'a str; 3],
    /// Of these, those that no living worker serves.
    unserved_queues: Vec<&'a str>,
    /// The most tasks of files in hand.
    max_in_flight: Option<u32>,
    /// Workers with tasks of this job that wait for the zone, a line each.
    waiting_for_zone: Vec<String>,
    /// Of the present or last pass.
    totals: &'a Counts,
    /// Since the job was created.
    totals_of_all_passes: &'a Counts,
    /// The latest lines of its log, oldest first.
    events: Vec<EventJson<'a>>,
}

/// A line of a job's log: what happened, and why.
#[derive(Debug, Serialize)]
struct EventJson<'a> {
    time: String,
    kind: &'static str,
    text: &'a str,
}

impl<'a> EventJson<'a> {
    fn new(event: &'a JobEvent) -> Self {
        Self {
            time: rfc3339(event.time),
            kind: event.kind.name(),
            text: &event.text,
        }
    }
}

impl<'a> StatusJson<'a> {
    /// Of a job, its log, and the workers that live.
    pub fn new(job: &'a Job, events: &'a [JobEvent], living: &[Worker]) -> Self {
        let spec: Option<JobSpec> = serde_json::from_slice(&job.spec).ok();
        Self {
            name: &job.name,
            state: job.state.name(),
            reason: job.failed.as_deref(),
            source: spec
                .as_ref()
                .map(|spec| String::from_utf8_lossy(spec.source_bytes()).into_owned()),
            operation: spec.as_ref().map(|spec| spec.options.operation.name()),
            target: spec.map(|spec| spec.target),
            interval: job.interval.map(|interval| interval.as_secs_f64()),
            pass: job.pass,
            created: rfc3339(job.created),
            started: job.started.map(rfc3339),
            ended: job.ended.map(rfc3339),
            next_pass: job.next_pass.map(rfc3339),
            owner: job.owner.as_ref().map(|owner| owner.0.as_str()),
            owner_lives: job.owner_lives,
            outstanding: job.outstanding,
            failures: job.failures,
            failures_not_listed: job.failures_not_listed,
            queues: [&job.queues.file, &job.queues.path, &job.queues.restart],
            unserved_queues: unserved(job, living),
            max_in_flight: job.max_in_flight,
            waiting_for_zone: workers::waiting_for_zone(job.id, living),
            totals: &job.pass_totals,
            totals_of_all_passes: &job.totals,
            events: latest(events, MAX_EVENTS).map(EventJson::new).collect(),
        }
    }
}

/// The last so many events.
pub fn latest(events: &[JobEvent], most: usize) -> std::slice::Iter<'_, JobEvent> {
    events[events.len().saturating_sub(most)..].iter()
}

/// An entry of the ledger as `failures --json` shows it.
#[derive(Debug, Serialize)]
pub struct FailureJson<'a> {
    #[serde(flatten)]
    path: PathJson,
    operation: &'a str,
    error: &'a str,
    code: Option<i32>,
    message: &'a str,
    attempts: u32,
    time: String,
    retrying: bool,
}

impl<'a> FailureJson<'a> {
    /// Of an entry.
    pub fn new(record: &'a FailureRecord) -> Self {
        let failure = &record.failure;
        Self {
            path: PathJson::new(&failure.path),
            operation: &failure.operation,
            error: &failure.code_name,
            code: failure.code,
            message: &failure.message,
            attempts: failure.attempts,
            time: rfc3339(record.time),
            retrying: record.retrying,
        }
    }
}

/// An entry as `plan --json` shows it.
#[derive(Debug, Serialize)]
pub struct ForeseenJson<'a> {
    #[serde(flatten)]
    path: PathJson,
    target: &'a str,
    what: String,
    /// What chose for it, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen_by: Option<&'a str>,
}

impl<'a> ForeseenJson<'a> {
    /// Of an entry.
    pub fn new(foreseen: &'a Foreseen) -> Self {
        Self {
            path: PathJson::new(&foreseen.path),
            target: &foreseen.target,
            what: foreseen.what.to_string(),
            chosen_by: foreseen.chosen_by.as_deref(),
        }
    }
}

/// A difference as `verify --json` shows it.
#[derive(Debug, Serialize)]
pub struct DifferenceJson<'a> {
    #[serde(flatten)]
    path: PathJson,
    target: &'a str,
    what: &'static str,
    message: String,
}

impl<'a> DifferenceJson<'a> {
    /// Of a difference.
    pub fn new(difference: &'a Difference) -> Self {
        Self {
            path: PathJson::new(&difference.path),
            target: &difference.target,
            what: difference.what.word(),
            message: difference.what.to_string(),
        }
    }
}

/// A path of the source.
#[derive(Debug, Serialize)]
struct PathJson {
    path: String,
    /// The path's bytes, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
}

impl PathJson {
    fn new(path: &[u8]) -> Self {
        let text = String::from_utf8_lossy(path);
        let exact = text.as_bytes() == path;
        Self {
            path_base64: (!exact).then(|| STANDARD.encode(path)),
            path: text.into_owned(),
        }
    }
}

/// The last line of `plan --json`.
#[derive(Debug, Serialize)]
pub struct PlanTotalsJson {
    /// The totals.
    pub totals: Counts,
    /// Entries by the rules that chose for them, those that nothing would be done with too.
    pub by_rule: BTreeMap<String, u64>,
}

/// The last line of `verify --json`.
#[derive(Debug, Serialize)]
pub struct TotalsJson<T> {
    /// The totals.
    pub totals: T,
}

/// One line of JSON. What is shown here, text and numbers, always has such a form.
pub fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// `2026-11-03T09:15:02.250+00:00`.
pub fn rfc3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// One line, as Python's `json.dumps` writes it: a space after commas and colons, and nothing but ASCII.
pub fn python_line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut out = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, Python,
    ))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
    ) -> std::io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> std::io::Result<()> {
        for c in text.chars() {
            if c.is_ascii() {
                write!(out, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn python_writes_it_the_same() {
        let value = serde_json::json!({"a": [1, "é𝄞\"\n"], "b": {}});
        assert_eq!(
            python_line(&value).unwrap(),
            r#"{"a": [1, "\u00e9\ud834\udd1e\"\n"], "b": {}}"#
        );
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000+00:00");
        assert_eq!(
            rfc3339(Timestamp(1_793_693_702_250)),
            "2026-11-03T08:15:02.250+00:00"
        );
        assert_eq!(
            rfc3339(Timestamp(u64::MAX)),
            "1970-01-01T00:00:00.000+00:00"
        );
    }
}
