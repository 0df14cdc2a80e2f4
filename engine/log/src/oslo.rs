//! oslo.log's forms: its default format of lines, and the objects of its `JSONFormatter`.

use std::fmt;
use std::sync::LazyLock;
use std::time::Instant;

use chrono::{DateTime, Local};
use serde_json::{Map, Value, json};
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::event::{MESSAGE, Values};

/// The fields shown in brackets, or below `context` in JSON.
const CONTEXT: [&str; 4] = ["global_request_id", "request_id", "user_id", "project_id"];

/// Forms of oslo.log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oslo {
    /// The defaults of `logging_context_format_string` and `logging_default_format_string`.
    Line,
    /// A line without the time and the process, which syslog adds.
    Bare,
    /// `use_json`.
    Json,
}

impl<S, N> FormatEvent<S, N> for Oslo
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut values = Values::of(event);
        for span in context.event_scope().into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Values>() {
                values.inherit(outer);
            }
        }
        let now = Local::now();
        match self {
            Self::Line => {
                let time = now.format("%Y-%m-%d %H:%M:%S%.3f");
                write!(to, "{time} {} ", std::process::id())?;
                writeln!(to, "{}", line(event, &values))
            }
            Self::Bare => writeln!(to, "{}", line(event, &values)),
            Self::Json => writeln!(to, "{}", object(event, &values, now)),
        }
    }
}

/// Formats `LEVEL logger [context] message`.
fn line(event: &Event<'_>, values: &Values) -> String {
    let context = match values.text("request_id") {
        // Order: user, project, domain, system scope, the user's domain, the project's domain.
        Some(request) => {
            let global = values
                .text("global_request_id")
                .unwrap_or_else(|| "None".to_owned());
            let known = |name| values.text(name).unwrap_or_else(|| "-".to_owned());
            format!(
                "{global} {request} {} {} - - - -",
                known("user_id"),
                known("project_id")
            )
        }
        None => "-".to_owned(),
    };
    let line = format!(
        "{} {} [{context}] {}",
        level(event),
        logger(event),
        values.sentence(&CONTEXT)
    );
    // Control characters are escaped, so that foreign text cannot forge a line of its own.
    let mut whole = String::with_capacity(line.len());
    for letter in line.chars() {
        if letter.is_control() {
            whole.extend(letter.escape_default());
        } else {
            whole.push(letter);
        }
    }
    whole
}

/// Returns the module, with dots as in Python.
fn logger(event: &Event<'_>) -> String {
    let normal = event.normalized_metadata();
    let metadata = normal.as_ref().unwrap_or_else(|| event.metadata());
    metadata.target().replace("::", ".")
}

fn level(event: &Event<'_>) -> &'static str {
    match *event.metadata().level() {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// Returns Python's number of the level. TRACE is a level of oslo.log alone.
const fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

static STARTED_AT: LazyLock<Instant> = LazyLock::new(Instant::now);
static HOST: LazyLock<String> = LazyLock::new(|| {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| String::new(), |name| name.trim().to_owned())
});

fn object(event: &Event<'_>, values: &Values, now: DateTime<Local>) -> Value {
    let normal = event.normalized_metadata();
    let metadata = normal.as_ref().unwrap_or_else(|| event.metadata());
    let path = metadata.file().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let message = values.text(MESSAGE).unwrap_or_default();
    let map = |names: &mut dyn Iterator<Item = (&'static str, Value)>| {
        names
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
    };
    let context = map(&mut CONTEXT
        .iter()
        .filter_map(|name| Some((*name, values.get(name)?.clone()))));
    let extra = map(&mut values.others(&CONTEXT).map(|(name, value)| (name, value.clone())));
    let thread = std::thread::current();
    let mut object = json!({
        "message": message,
        "asctime": now.format("%Y-%m-%d %H:%M:%S").to_string(),
        "name": logger(event),
        "msg": message,
        "args": [],
        "levelname": level(event),
        "levelno": number(*metadata.level()),
        "pathname": path,
        "filename": file,
        "module": file.strip_suffix(".rs").unwrap_or(file),
        "lineno": metadata.line(),
        "funcname": null,
        "created": seconds(&now),
        "msecs": now.timestamp_subsec_millis(),
        "relative_created": STARTED_AT.elapsed().as_secs_f64() * 1_000.0,
        "thread": null,
        "thread_name": thread.name(),
        "process_name": "MainProcess",
        "process": std::process::id(),
        "traceback": null,
        "hostname": *HOST,
        "error_summary": values.text("error").unwrap_or_default(),
        "extra": extra,
    });
    if !context.is_empty() {
        object["context"] = Value::Object(context);
    }
    object
}

/// Returns the time like Python's `time.time()`.
fn seconds(now: &DateTime<Local>) -> f64 {
    let since = now.signed_duration_since(DateTime::UNIX_EPOCH);
    since.to_std().map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
#[path = "oslo/tests.rs"]
mod tests;
