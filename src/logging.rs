//! The log: standard error, text or JSON, filtered by `RUST_LOG` or by `debug`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

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

/// Starts the log. A second call changes nothing.
pub(crate) fn start(logging: Logging) {
    let default = match logging {
        Logging { quiet: true, .. } => "off",
        Logging { debug: true, .. } => {
            "info,tachi=debug,tachi_engine=debug,tachi_api=debug,tachi_openstack=debug,tachi_fence=debug,tachi_store=debug"
        }
        Logging { .. } => "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn,osauth=warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for eyes, not for files.
        .with_ansi(std::io::stderr().is_terminal())
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
