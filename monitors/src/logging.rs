//! The log: standard error or a file, text or JSON, filtered by `RUST_LOG` or by `debug`.

mod file;

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use self::file::LogFile;
use crate::failure::Failure;
use crate::settings::LogSettings;

/// The file of this process's log.
static FILE: OnceLock<LogFile> = OnceLock::new();

/// Starts the log.
pub(crate) fn start(settings: &LogSettings) -> Result<(), Failure> {
    let (writer, colours) = match &settings.file {
        Some(path) => {
            let file = LogFile::open(path)
                .map_err(|error| Failure::new(format!("opening the log {}", path.display()), error))?;
            (BoxMakeWriter::new(FILE.get_or_init(|| file).clone()), false)
        }
        // Colours are for eyes, not for files.
        None => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    let default = if settings.debug {
        "info,tachi_monitor=debug,tachi_instance_ha=debug,tachi_spool=debug,tachi_libvirt=debug,tachi_pacemaker=debug"
    } else {
        "info,zbus=warn"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours)
        .with_target(settings.debug);
    let started = if settings.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log was already started");
    }
    Ok(())
}

/// SIGHUP: logrotate may have moved the file away.
pub(crate) fn reopen() {
    if let Some(file) = FILE.get()
        && let Err(error) = file.reopen()
    {
        tracing::error!(%error, "SIGHUP: the log cannot be opened anew, the old file is still written");
    }
}
