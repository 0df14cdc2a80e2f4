//! Starts the log of this process, and changes it on SIGHUP.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::event::Spans;
use crate::file::LogFile;
use crate::journal::Journal;
use crate::oslo::Oslo;
use crate::settings::{Form, LogSettings};
use crate::syslog::Syslog;

/// A program that logs.
#[derive(Clone, Copy, Debug)]
pub struct Program<'p> {
    /// The name of the log file and in the journal.
    pub name: &'p str,
    /// The form of its lines if the options set none.
    pub form: Form,
    pub levels: Levels,
}

/// Log filters in the syntax of `RUST_LOG`. A `RUST_LOG` that is set takes precedence over both.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// The filter for normal operation: all that an operator needs at 3 a.m.
    pub normal: &'static str,
    /// The filter with `debug`.
    pub debug: &'static str,
}

impl Levels {
    const fn of(self, debug: bool) -> &'static str {
        if debug { self.debug } else { self.normal }
    }
}

/// The state that SIGHUP changes.
struct ReloadState {
    file: Option<LogFile>,
    filter: reload::Handle<EnvFilter, Registry>,
    levels: Levels,
}

static RUNNING: OnceLock<ReloadState> = OnceLock::new();

type Sink<S> = Box<dyn Layer<S> + Send + Sync>;

/// Starts the log. A second call has no effect.
///
/// # Errors
///
/// The file cannot be opened.
pub fn start(settings: &LogSettings, program: Program<'_>) -> io::Result<()> {
    let named =
        |what: String| move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    let file = match settings.file(program.name) {
        None => None,
        Some(path) => {
            Some(LogFile::open(&path).map_err(named(format!("{} (log_file, log_dir)", path.display())))?)
        }
    };
    let mut sinks: Vec<Sink<_>> = Vec::new();
    let form = settings.form(program.form);
    if let Some(file) = file.clone() {
        sinks.push(lines(form, settings.debug, false, move || file.clone()));
    }
    let mut missing = Vec::new();
    if settings.journal {
        match Journal::open(program.name) {
            Ok(journal) => sinks.push(journal.boxed()),
            Err(error) => missing.push(("use_journal", error)),
        }
    }
    if let Some(facility) = settings.syslog {
        let form = if form == Form::Json {
            Oslo::Json
        } else {
            Oslo::Bare
        };
        match Syslog::open(facility, program.name) {
            Ok(syslog) => sinks.push(
                fmt::layer()
                    .with_ansi(false)
                    .event_format(form)
                    .with_writer(syslog)
                    .boxed(),
            ),
            Err(error) => missing.push(("use_syslog", error)),
        }
    }
    // A container has neither the journal nor syslog; its log is standard error.
    if settings.has_stderr() || !missing.is_empty() {
        // Colours are for terminals, not for files.
        let colours = sinks.is_empty() && io::stderr().is_terminal();
        sinks.push(lines(form, settings.debug, colours, io::stderr));
    }
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(program.levels.of(settings.debug)));
    let (filter, handle) = reload::Layer::new(filter);
    let started = Registry::default()
        .with(filter)
        .with(Spans)
        .with(sinks)
        .try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "log is already started");
        return Ok(());
    }
    RUNNING.get_or_init(|| ReloadState {
        file,
        filter: handle,
        levels: program.levels,
    });
    for (option, error) in missing {
        tracing::warn!(option, %error, "log target is unavailable; logging to standard error");
    }
    Ok(())
}

fn lines<S, W>(form: Form, targets: bool, colours: bool, writer: W) -> Sink<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer()
        .with_ansi(colours && form == Form::Text)
        .with_writer(writer);
    match form {
        Form::Text => layer.with_target(targets).boxed(),
        Form::Oslo => layer.event_format(Oslo::Line).boxed(),
        Form::Json => layer.event_format(Oslo::Json).boxed(),
    }
}

/// Handles SIGHUP: logrotate may have moved the file away.
pub fn reopen() {
    if let Some(file) = RUNNING.get().and_then(|running| running.file.as_ref())
        && let Err(error) = file.reopen()
    {
        tracing::error!(%error, "failed to reopen the log file; still writing to the old one");
    }
}

/// Handles SIGHUP: sets the log level according to `verbose`.
pub fn set_level(verbose: bool) {
    let Some(running) = RUNNING.get() else { return };
    // A `RUST_LOG` in the environment takes precedence, as at the start.
    if EnvFilter::try_from_default_env().is_ok() {
        return;
    }
    match running.filter.reload(EnvFilter::new(running.levels.of(verbose))) {
        Ok(()) => tracing::info!(debug = verbose, "log level reloaded"),
        Err(error) => tracing::error!(%error, "failed to reload the log level"),
    }
}
