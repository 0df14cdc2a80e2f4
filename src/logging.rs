//! The log: standard error or a file, text or JSON, filtered by `RUST_LOG` or by `debug`.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::OnceLock;

use tachi_config::LogFile;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How much and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logging {
    /// Everything of ours, not only what an operator wants at 3 a.m.
    pub(crate) debug: bool,
    /// One JSON object a line.
    pub(crate) json: bool,
    /// Only warnings and worse: the demo speaks for itself.
    pub(crate) quiet: bool,
}

/// The file of this process's log.
static FILE: OnceLock<LogFile> = OnceLock::new();

/// Starts the log on standard error. A second call changes nothing.
pub(crate) fn start(logging: Logging) {
    // Colours are for eyes, not for files.
    begin(
        logging,
        BoxMakeWriter::new(io::stderr),
        io::stderr().is_terminal(),
    );
}

/// Tells warnings on standard error: for a command that may have to wait.
pub(crate) fn start_with_warnings() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,lapin=off"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "the log was already started");
    }
}

/// Starts the log in a file, at its end.
///
/// # Errors
///
/// The file cannot be opened.
pub(crate) fn start_in(path: &Path, logging: Logging) -> io::Result<()> {
    let file = LogFile::open(path)?;
    let file = FILE.get_or_init(|| file);
    begin(logging, BoxMakeWriter::new(move || file.clone()), false);
    Ok(())
}

fn begin(logging: Logging, writer: BoxMakeWriter, colours: bool) {
    let default = match logging {
        Logging { quiet: true, .. } => "off",
        Logging { debug: true, .. } => {
            "info,tachi=debug,tachi_engine=debug,tachi_api=debug,tachi_openstack=debug,tachi_fence=debug,tachi_store=debug"
        }
        // The broker client calls every "no such queue" an error; what is one is told by the bus itself.
        Logging { .. } => "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn,osauth=warn,lapin=off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours)
        .with_span_events(FmtSpan::NONE)
        .with_target(logging.debug);
    let started = if logging.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log was already started");
    }
}

/// SIGHUP: logrotate may have moved the file away.
pub(crate) fn reopen() {
    if let Some(file) = FILE.get()
        && let Err(error) = file.reopen()
    {
        tracing::error!(%error, "SIGHUP: the log cannot be opened anew, the old file is still written");
    }
}
