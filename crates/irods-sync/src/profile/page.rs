//! The page: the report as one HTML file that needs nothing else, and no network. Everything that is known when it is made is written out; the
//! script only reads off the timeline what is under the pointer. Names from outside are text, never markup, and never in the script's
//! data.

use std::fmt::Write as _;

use serde_json::json;

use super::report::{PassReport, Report, RowReport, StageReport, TimelineReport};
use crate::ui::{bytes, plain, thousands};

/// Nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// What each stage is.
fn about(stage: &str) -> &'static str {
    match stage {
        "queue" => "tasks that were ready and that nobody had taken",
        "scan" => "looks at the source: listings, facts of files, opening them",
        "plan" => "comparing and deciding",
        "handler" => "calls of the event handler in Python, starts of its processes",
        "connect" => "waits for a connection to the zone, and making one",
        "irods" => "calls of the zone, those of transfers and logins too",
        "transfer" => "files on their way into the zone, with the calls for it",
        "task" => "tasks in hand, from lease to completion",
        _ => "",
    }
}

/// Text that is shown as it is.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text.as_bytes()).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A name from outside; what turns the direction of text in it turns nothing else.
fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

/// A duration with three digits and its unit.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        0.0 => return "0".to_owned(),
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = match value {
        0.0..9.995 => 2,
        9.995..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// The whole page.
pub fn page(report: &Report) -> String {
    let job = &report.job;
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <h1>Profile of job {job_name}</h1>\n<p>{source} &rarr; {target}<br>\n{operation}, {state}; \
         pass {pass} began {started} and ended {ended}</p>\n",
        title = escape(&format!("{} - profile", job.name)),
        style = include_str!("page.css"),
        job_name = name(&job.name),
        source = name(&job.source),
        target = name(&job.target),
        operation = job.operation,
        state = job.state,
        pass = job.pass,
        started = job.started.as_deref().unwrap_or("not yet"),
        ended = job.ended.as_deref().unwrap_or("not yet"),
    );
    match job.pass {
        0 | 1 => pass(&mut html, "last_pass", "The job", &report.last_pass),
        _ => {
            pass(&mut html, "last_pass", "Last pass", &report.last_pass);
            pass(&mut html, "all_passes", "All passes", &report.all_passes);
        }
    }
    html += "<h2>Workers</h2>\n<table><thead><tr><th>worker<th class=\"n\">tasks<th>handed in last</tr></thead>\n<tbody>\n";
    for worker in &report.workers {
        let (tasks, heard) = (thousands(worker.tasks), escape(&worker.heard));
        let _ = writeln!(
            html,
            "<tr><th>{}<td class=\"n\">{tasks}<td>{heard}</tr>",
            name(&worker.id)
        );
    }
    let _ = write!(
        html,
        "</tbody></table>\n<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("page.js")
    );
    html
}

fn pass(html: &mut String, id: &str, title: &str, pass: &PassReport) {
    let tasks = &pass.tasks;
    let _ = writeln!(
        html,
        "<section id=\"{id}\">\n<h2>{title}</h2>\n<p>{} files, {} sent; {} of {} tasks are accounted for</p>",
        thousands(pass.files),
        bytes(pass.bytes_uploaded),
        thousands(tasks.accounted),
        thousands(tasks.done),
    );
    if tasks.accounted < tasks.done {
        *html += "<p class=\"warning\">Some tasks are missing here: a worker was killed before it handed in what it measured, or has not \
            done so yet, or was not told to measure.</p>\n";
    }
    timeline(html, &pass.timeline);
    *html += "<div class=\"wide\"><table>\n<thead><tr><th>stage<th class=\"n\">calls<th class=\"n\">errors<th class=\"n\">total\
        <th class=\"n\">median<th class=\"n\">95 %<th class=\"n\">99 %<th class=\"n\">longest<th>which</tr></thead>\n";
    for stage in &pass.stages {
        stage_rows(html, stage);
    }
    *html += "</table></div>\n</section>\n";
}

fn stage_rows(html: &mut String, stage: &StageReport) {
    let _ = writeln!(
        html,
        "<tbody>\n<tr class=\"stage\" data-row=\"{name}\"><th>{name} <small>{about}</small>{cells}",
        name = stage.stage,
        about = about(stage.stage),
        cells = cells(&stage.all)
    );
    for call in &stage.calls {
        let _ = writeln!(
            html,
            "<tr data-row=\"{}/{}\"><th>{}{}",
            stage.stage,
            escape(&call.name),
            name(&call.name),
            cells(&call.row)
        );
    }
    *html += "</tbody>\n";
}

fn cells(row: &RowReport) -> String {
    let mut cells = String::new();
    for (field, number) in [("count", row.count), ("errors", row.errors)] {
        let shown = thousands(number);
        let _ = write!(
            cells,
            "<td class=\"n\"><data class=\"{field}\" value=\"{number}\">{shown}</data>"
        );
    }
    for (field, seconds) in [
        ("total", row.total),
        ("p50", row.p50),
        ("p95", row.p95),
        ("p99", row.p99),
        ("max", row.max),
    ] {
        let shown = time(seconds);
        let _ = write!(
            cells,
            "<td class=\"n\"><data class=\"{field}\" value=\"{seconds}\">{shown}</data>"
        );
    }
    let _ = write!(cells, "<td class=\"path\">{}</tr>", name(&row.slowest));
    cells
}

/// Height of a lane, and of the space above it.
const LANE: usize = 44;
const GAP: usize = 16;
/// Width of the drawing, whatever the number of columns.
const WIDTH: f64 = 1000.0;

fn timeline(html: &mut String, timeline: &TimelineReport) {
    let columns = timeline.files.len();
    let Some(begin) = timeline.begin.as_deref().filter(|_| columns > 0) else {
        *html += "<p>Nothing was measured.</p>\n";
        return;
    };
    let of_stage = |stage: &'static str| (stage, "busy", timeline.busy.get(stage));
    let stages = [
        "queue", "scan", "plan", "handler", "connect", "irods", "transfer", "task",
    ];
    let lanes = stages.map(of_stage).into_iter().chain([
        ("files/s", "rate", Some(&timeline.files)),
        ("bytes/s", "rate", Some(&timeline.bytes)),
    ]);
    let lanes: Vec<_> = lanes
        .filter_map(|(label, class, values)| Some((label, class, values?)))
        .filter(|(_, _, values)| values.iter().any(|value| *value > 0.0))
        .collect();
    let bottom = lanes.len() * (LANE + GAP);
    let height = bottom + GAP;
    let length = time(timeline.seconds * columns as f64);
    let _ = writeln!(
        html,
        "<figure>\n<figcaption>{length} from {begin}, in columns of {width}: how many tasks were in each stage on average, and how much \
         was done. Each lane has a scale of its own.</figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"timeline\">",
        begin = escape(begin),
        width = time(timeline.seconds),
    );
    for (index, (label, class, values)) in lanes.iter().enumerate() {
        let top = index * (LANE + GAP);
        let most = values.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            html,
            "<text x=\"0\" y=\"{}\">{label}</text><text x=\"{WIDTH}\" y=\"{0}\" text-anchor=\"end\">up to {}</text>\
             <path class=\"{class}\" d=\"{}\"/>",
            top + GAP - 4,
            amount(label, most),
            area(values, most, (top + GAP) as f64),
        );
    }
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let anchor = ["start", "middle", "middle", "middle", "end"][quarter as usize];
        let _ = writeln!(
            html,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            share * WIDTH,
            bottom + GAP - 4,
            time(share * timeline.seconds * columns as f64),
        );
    }
    let data: serde_json::Map<_, _> = lanes
        .iter()
        .map(|(label, _, values)| ((*label).to_owned(), json!(values)))
        .collect();
    // Numbers, and names of this program: nothing in it ends a script.
    let data = json!({ "seconds": timeline.seconds, "lanes": data });
    let _ = writeln!(
        html,
        "<line class=\"cursor\" y1=\"0\" y2=\"{height}\" visibility=\"hidden\"/></svg>\n<output></output>\n\
         <script type=\"application/json\">{data}</script>\n</figure>"
    );
}

/// A value of a lane, for people.
fn amount(label: &str, value: f64) -> String {
    match label {
        "bytes/s" => {
            let text = bytes(value.round() as u64);
            let (short, _) = text.split_once(" (").unwrap_or((&text, ""));
            format!("{short}/s")
        }
        "files/s" => format!("{} files/s", thousands(value.round() as u64)),
        _ if value < 10.0 => format!("{value:.2} tasks"),
        _ => format!("{} tasks", thousands(value.round() as u64)),
    }
}

/// The outline of columns of these heights.
fn area(values: &[f64], most: f64, top: f64) -> String {
    let bottom = top + LANE as f64;
    let width = WIDTH / values.len() as f64;
    let mut path = format!("M0 {bottom}");
    let mut last = f64::NAN;
    for (index, value) in values.iter().enumerate() {
        let height = (bottom - LANE as f64 * value / most)
            .mul_add(100.0, 0.0)
            .round()
            / 100.0;
        if height != last {
            let x = (index as f64 * width * 100.0).round() / 100.0;
            let _ = write!(path, "H{x}V{height}");
            last = height;
        }
    }
    let _ = write!(path, "H{WIDTH}V{bottom}Z");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (seconds, text) in [
            (0.0, "0"),
            (4.2e-8, "42.0 ns"),
            (1.2345e-5, "12.3 µs"),
            (0.001_234, "1.23 ms"),
            (0.5, "500 ms"),
            (75.04, "75.0 s"),
            (4321.0, "4321 s"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }

    #[test]
    fn text_is_never_markup() {
        assert_eq!(
            name("</script><img src=x onerror='a(\"&\")'>\u{1b}"),
            "<bdi>&lt;/script&gt;&lt;img src=x onerror=&#39;a(&quot;&amp;&quot;)&#39;&gt;\\u{1b}</bdi>"
        );
    }

    #[test]
    fn an_outline_has_a_step_where_the_height_changes() {
        assert_eq!(
            area(&[1.0, 1.0, 0.0, 2.0], 2.0, 10.0),
            "M0 54H0V32H500V54H750V10H1000V54Z"
        );
    }
}
