//! How far a job is: a bar on a terminal, a line now and then elsewhere, nothing if nobody asked.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ingest::broker::{Job, JobState};

use super::summary::files_done;
use super::{BARS, note, thousands};

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
        let done = files_done(&job.pass_totals);
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
                bar.set_length(job.pass_totals.files_seen.max(done).max(1));
                bar.set_position(done);
                bar.set_message(details(job, rate));
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
    let template =
        "{elapsed_precise} [{bar:28}] {human_pos}/{human_len} files, ETA {eta} {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn details(job: &Job, rate: f64) -> String {
    let mut text = format!("{rate:.0}/s, failed {}", thousands(job.pass_totals.failed));
    if job.pass_totals.retried > 0 {
        text += &format!(", retried {}", thousands(job.pass_totals.retried));
    }
    text += &format!(", {} tasks left", thousands(job.outstanding.total()));
    match job.state {
        JobState::Queued | JobState::Running => text,
        other => format!("{}, {text}", other.name()),
    }
}

fn line(job: &Job, done: u64, rate: f64) -> String {
    let counts = &job.pass_totals;
    format!(
        "{}: {} of {} files, {rate:.0}/s, failed {}, retried {}, {} tasks left",
        job.state.name(),
        thousands(done),
        thousands(counts.files_seen.max(done)),
        thousands(counts.failed),
        thousands(counts.retried),
        thousands(job.outstanding.total())
    )
}
