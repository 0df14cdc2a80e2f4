//! The log: standard error or a file, text or JSON, filtered by `RUST_LOG` or by `debug`.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tachi_config::LogFile;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::failure::Failure;
use crate::settings::LogSettings;

/// The file of this process's log.
static FILE: OnceLock<LogFile> = OnceLock::new();

/// Starts the log.
pub(crate) fn start(settings: &LogSettings) {
    let (writer, colours, unopened) = match settings.file.as_ref().map(|path| (path, LogFile::open(path))) {
        Some((_, Ok(file))) => {
            let file = FILE.get_or_init(|| file);
            (BoxMakeWriter::new(move || file.clone()), false, None)
        }
        // A monitor that does not start because of its log sees nothing.
        Some((path, Err(error))) => {
            let why = Failure::new(format!("opening the log {}", path.display()), error).chain();
            (BoxMakeWriter::new(io::stderr), false, Some(why))
        }
        // Colours are for eyes, not for files.
        None => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal(), None),
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
    if let Some(why) = unopened {
        tracing::error!(%why, "the log goes to standard error instead");
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
