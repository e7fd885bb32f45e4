//! How far a job is: a bar on a terminal, a line now and then elsewhere, nothing if nobody asked.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ingest::broker::{Job, JobState};

use super::{BARS, note, seconds, thousands};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a job is.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    /// Of the job when it was first seen, so that the rate is of what was done since.
    first: Option<(Instant, u64)>,
}

#[derive(Debug)]
enum Style {
    Silent,
    Lines { last: Option<(Instant, JobState)> },
    Bar(ProgressBar),
}

impl Progress {
    /// Shows nothing.
    pub fn silent() -> Self {
        Self {
            style: Style::Silent,
            first: None,
        }
    }

    /// Shows a bar if stderr is a terminal, else lines.
    pub fn shown() -> Self {
        let style = match std::io::stderr().is_terminal() {
            true => Style::Bar(BARS.add(bar())),
            false => Style::Lines { last: None },
        };
        Self { style, first: None }
    }

    /// Shows the job as it is now.
    pub fn show(&mut self, job: &Job) {
        let done = job.pass_totals.files_done();
        let (since, before) = *self.first.get_or_insert((Instant::now(), done));
        let seconds = since.elapsed().as_secs_f64();
        let rate = done.saturating_sub(before) as f64 / seconds.max(0.1);
        match &mut self.style {
            Style::Silent => {}
            Style::Lines { last } => {
                let due = last
                    .is_none_or(|(when, state)| when.elapsed() >= LINE_EVERY || state != job.state);
                if due {
                    *last = Some((Instant::now(), job.state));
                    note(&line(job, done, rate));
                }
            }
            Style::Bar(bar) => {
                let all = job.pass_totals.files_seen.max(done);
                bar.set_length(all.max(1));
                bar.set_position(done);
                bar.set_message(details(job, all - done, rate));
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    let template = "[{bar:20}] {human_pos}/{human_len} files {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// The most important first, for a narrow terminal cuts the end.
fn details(job: &Job, left: u64, rate: f64) -> String {
    let mut parts = Vec::new();
    if !matches!(job.state, JobState::Queued | JobState::Running) {
        parts.push(job.state.name().to_owned());
    }
    parts.push(format!("{rate:.0}/s"));
    if rate > 0.0 {
        // Of what is known by now: the scan may still find more.
        let eta = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
        parts.push(format!("ETA {}", seconds(eta)));
    }
    parts.push(format!("failed {}", thousands(job.pass_totals.failed)));
    parts.push(format!("retried {}", thousands(job.pass_totals.retried)));
    parts.extend(repeated(job));
    parts.push(format!("{} tasks left", thousands(job.outstanding.total())));
    parts.join(", ")
}

/// What is told of a source that has too much to do.
fn repeated(job: &Job) -> Option<String> {
    let number = job.pass_totals.requests_repeated;
    (number > 0).then(|| format!("{} S3 requests made again", thousands(number)))
}

fn line(job: &Job, done: u64, rate: f64) -> String {
    let counts = &job.pass_totals;
    let repeated = repeated(job).map_or_else(String::new, |repeated| format!(", {repeated}"));
    format!(
        "{}: {} of {} files, {rate:.0}/s, failed {}, retried {}{repeated}, {} tasks left",
        job.state.name(),
        thousands(done),
        thousands(counts.files_seen.max(done)),
        thousands(counts.failed),
        thousands(counts.retried),
        thousands(job.outstanding.total())
    )
}
