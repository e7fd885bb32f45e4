//! The shape of the JSON.

use std::collections::BTreeMap;

use ingest::broker::{Counts, Job, Timestamp};
use ingest::profile::{Account, Profile, Row, Stage};
use ingest::sync_task::JobSpec;
use serde::Serialize;

use crate::ui::json::rfc3339;

/// Raised when what is there already gets another meaning.
const FORMAT: u32 = 1;

/// A profile. Times are UTC, RFC 3339, by the broker's clock; durations seconds.
#[derive(Debug, Serialize)]
pub struct Report {
    pub format: u32,
    pub version: &'static str,
    pub job: JobReport,
    /// Of the last pass, or the present one.
    pub last_pass: PassReport,
    /// Of all passes since the job was created.
    pub all_passes: PassReport,
    /// Who handed in something.
    pub workers: Vec<WorkerReport>,
}

#[derive(Debug, Serialize)]
pub struct JobReport {
    pub name: String,
    pub source: String,
    pub target: String,
    pub operation: &'static str,
    pub state: &'static str,
    pub pass: u64,
    pub created: String,
    /// When the last pass began and ended.
    pub started: Option<String>,
    pub ended: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct WorkerReport {
    pub id: String,
    /// Completed tasks that are accounted for.
    pub tasks: u64,
    /// When it handed in something last.
    pub heard: String,
}

/// The account of one pass, or of all.
#[derive(Debug, Serialize)]
pub struct PassReport {
    pub tasks: TasksReport,
    /// Files dealt with, and bytes sent, by the job's totals.
    pub files: u64,
    pub bytes_uploaded: u64,
    pub stages: Vec<StageReport>,
    pub timeline: TimelineReport,
}

/// Completed tasks.
#[derive(Debug, Serialize)]
pub struct TasksReport {
    /// By the job's totals.
    pub done: u64,
    /// Those whose times are in here: all, unless a worker was killed or has not handed in its last ones yet.
    pub accounted: u64,
}

#[derive(Debug, Serialize)]
pub struct StageReport {
    pub stage: &'static str,
    #[serde(flatten)]
    pub all: RowReport,
    pub calls: Vec<CallReport>,
}

#[derive(Debug, Serialize)]
pub struct CallReport {
    pub name: String,
    #[serde(flatten)]
    pub row: RowReport,
}

/// Percentiles are exact to 1 %.
#[derive(Debug, Serialize)]
pub struct RowReport {
    pub count: u64,
    pub errors: u64,
    pub total: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    /// What the longest was about.
    pub slowest: String,
}

/// Columns of equal length, one after the other.
#[derive(Debug, Serialize)]
pub struct TimelineReport {
    pub begin: Option<String>,
    /// Of a column.
    pub seconds: f64,
    /// How many tasks were in each stage, on average.
    pub busy: BTreeMap<&'static str, Vec<f64>>,
    /// A second, those of a task spread over the time that it took.
    pub files: Vec<f64>,
    pub bytes: Vec<f64>,
}

impl Report {
    pub fn new(job: &Job, spec: &JobSpec, profile: &Profile) -> Self {
        // A pass that nothing was handed in for yet has no account.
        let none = Account::default();
        let last = match profile.pass == job.pass {
            true => &profile.last,
            false => &none,
        };
        let workers = profile.workers().map(|(id, part)| WorkerReport {
            id: id.to_owned(),
            tasks: part.tasks,
            heard: rfc3339(Timestamp(part.at)),
        });
        Report {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            job: JobReport {
                name: job.name.clone(),
                source: String::from_utf8_lossy(spec.source_bytes()).into_owned(),
                target: spec.target.clone(),
                operation: spec.options.operation.name(),
                state: job.state.name(),
                pass: job.pass,
                created: rfc3339(job.created),
                started: job.started.map(rfc3339),
                ended: job.ended.map(rfc3339),
            },
            last_pass: PassReport::new(&job.pass_totals, last),
            all_passes: PassReport::new(&job.totals, &profile.whole()),
            workers: workers.collect(),
        }
    }
}

impl PassReport {
    fn new(totals: &Counts, account: &Account) -> Self {
        let stage = |stage: Stage| StageReport {
            stage: stage.name(),
            all: RowReport::new(&account.stage(stage)),
            calls: account
                .rows(stage)
                .map(|(name, row)| CallReport {
                    name: name.to_owned(),
                    row: RowReport::new(row),
                })
                .collect(),
        };
        PassReport {
            tasks: TasksReport {
                done: totals.tasks,
                accounted: account.tasks,
            },
            files: totals.files_done(),
            bytes_uploaded: totals.bytes_uploaded,
            stages: Stage::ALL.into_iter().map(stage).collect(),
            timeline: TimelineReport::new(account),
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

impl RowReport {
    fn new(row: &Row) -> Self {
        let percentile = |percent| seconds(row.percentile(percent));
        RowReport {
            count: row.count,
            errors: row.errors,
            total: seconds(row.total),
            p50: percentile(50.0),
            p95: percentile(95.0),
            p99: percentile(99.0),
            max: seconds(row.max),
            slowest: row.slowest.clone(),
        }
    }
}

impl TimelineReport {
    fn new(account: &Account) -> Self {
        let timeline = account.timeline();
        let width = timeline.width();
        let first = timeline.columns().next().map(|(number, _)| number);
        let last = timeline.columns().last().map(|(number, _)| number);
        let length = match (first, last) {
            (Some(first), Some(last)) => usize::try_from(last - first + 1).unwrap_or(0),
            _ => 0,
        };
        // Four digits after the point are more than a page shows.
        let of_a_column = |amount: u64, unit: f64| (amount as f64 / unit * 1e4).round() / 1e4;
        let mut busy: [Vec<f64>; Stage::COUNT] = std::array::from_fn(|_| vec![0.0; length]);
        let (mut files, mut bytes) = (vec![0.0; length], vec![0.0; length]);
        for (number, column) in timeline.columns() {
            let at = usize::try_from(number - first.unwrap_or(number)).unwrap_or(0);
            for (stage, nanos) in busy.iter_mut().zip(column.busy) {
                stage[at] = of_a_column(nanos, width as f64);
            }
            files[at] = of_a_column(column.files, seconds(width));
            bytes[at] = of_a_column(column.bytes, seconds(width));
        }
        let begin = first.map(|number| Timestamp(number.saturating_mul(width) / 1_000_000));
        let names = Stage::ALL.map(Stage::name);
        TimelineReport {
            begin: begin.map(rfc3339),
            seconds: seconds(width),
            busy: names.into_iter().zip(busy).collect(),
            files,
            bytes,
        }
    }
}
