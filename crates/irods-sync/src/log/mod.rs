//! The log: for people, or as the JSON lines that readers of the Python tool's logs know: the fields of the event, then `event`,
//! `logger`, `level`, `@timestamp`. An event is one line, whatever is in its fields. To stderr, or to a file (`file`) that is rotated (`when`).

use std::fmt;
use std::io;
use std::sync::Mutex;

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::LogFormat;
use crate::config::LogConfig;
use crate::exit::{Failed, Result};
use crate::ui;

mod file;
mod when;

use file::{LogFile, Rotation};
use when::Schedule;
pub use when::When;

/// Starts logging.
///
/// # Errors
/// The file cannot be opened.
pub fn init(config: &LogConfig) -> Result<()> {
    let Some(path) = &config.file else {
        if config.rotation.is_some() {
            ui::note(
                "irods_sync: --log_when and --log_interval mean nothing without --log_filename",
            );
        }
        let format = config.format.unwrap_or(LogFormat::Text);
        start(config, format, "stderr", || ui::Stderr);
        return Ok(());
    };
    let rotation = config.rotation.map(|(when, interval)| Rotation {
        schedule: Schedule::new(when, interval, jiff::tz::TimeZone::system()),
        now: Box::new(jiff::Timestamp::now),
    });
    let complain = |text: &str| ui::note(&format!("irods_sync: {text}"));
    let file = LogFile::open(path, rotation, complain).map_err(|error| {
        Failed::could_not_run(format!("cannot open the log {}: {error}", path.display()))
    })?;
    let format = config.format.unwrap_or(LogFormat::Json);
    start(config, format, &path.to_string_lossy(), Mutex::new(file));
    Ok(())
}

fn start<W>(config: &LogConfig, format: LogFormat, name: &str, writer: W)
where
    W: for<'a> MakeWriter<'a, Writer: io::Write> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_writer(writer);
    match format {
        LogFormat::Text => builder
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(debug_fn(one_field).delimited(" "))
            .finish()
            .with(of_libraries(config.level))
            .init(),
        LogFormat::Json => builder
            .event_format(ReferenceJson {
                file: name.to_owned(),
            })
            .finish()
            .with(of_libraries(config.level))
            .init(),
    }
}

/// What the libraries of AWS warn of is said once more by the error that it leads to, with less in it.
fn of_libraries(level: LevelFilter) -> Targets {
    let theirs = match level {
        LevelFilter::WARN => LevelFilter::ERROR,
        level => level,
    };
    Targets::new()
        .with_default(level)
        .with_target("aws_", theirs)
}

/// A field of an event as text. Names of files and messages of servers are in it: they neither end the line nor steer a terminal.
fn one_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = ui::plain(format!("{value:?}").as_bytes());
    match field.name() {
        "message" => write!(writer, "{text}"),
        name => write!(writer, "{name}={text}"),
    }
}

/// One event as one line of JSON.
struct ReferenceJson {
    file: String,
}

impl<S, N> FormatEvent<S, N> for ReferenceJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::ZonedDateTime::now();
        let line =
            line(&fields, &self.file, *event.metadata().level(), &time).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// The fields of an event, in its order; the message apart.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

fn line(
    fields: &Fields,
    file: &str,
    level: Level,
    time: &jiff::ZonedDateTime,
) -> serde_json::Result<String> {
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    };
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut out);
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in &fields.others {
        map.serialize_entry(name, value)?;
    }
    map.serialize_entry("event", &fields.message)?;
    map.serialize_entry("logger", &format!("irods_sync/{file}/{level}"))?;
    map.serialize_entry("level", level)?;
    map.serialize_entry(
        "@timestamp",
        &time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
    )?;
    map.end()?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_is_one_line_without_control_characters() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .fmt_fields(debug_fn(one_field).delimited(" "))
            .with_writer(Mutex::new(file.reopen().unwrap()))
            .finish();
        let path = "/a\x1b[31m\nWARN forged\r\u{9b}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(task = "sync\x1b", path = %path, failures = 1, "failed {path}");
        });
        let shown = r"/a\u{1b}[31m\nWARN forged\r\u{9b}";
        assert_eq!(
            std::fs::read_to_string(file.path()).unwrap(),
            format!(" INFO failed {shown} task=\"sync\\u{{1b}}\" path={shown} failures=1\n")
        );
    }

    #[test]
    fn a_line_has_the_fields_first_and_the_time_last() {
        let fields = Fields {
            message: "succeeded_task".into(),
            others: vec![("task", "sync_files".into()), ("path", "/a\n\"b\"".into())],
        };
        let time: jiff::ZonedDateTime = "2026-11-03T09:15:02.25+01:00[+01:00]".parse().unwrap();
        let line = line(&fields, "/var/log/i.log", Level::WARN, &time).unwrap();
        assert_eq!(
            line,
            r#"{"task":"sync_files","path":"/a\n\"b\"","event":"succeeded_task","logger":"irods_sync//var/log/i.log/warning","level":"warning","@timestamp":"2026-11-03T09:15:02.250+01:00"}"#
        );
    }
}
