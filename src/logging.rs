//! The log of this program: how much is logged, and where a command logs that reads no options.

use std::io;

use tachi_log::{Form, Levels, LogSettings, Program};

/// The name of a log nobody has named.
const NAME: &str = "tachi";

// The broker client calls every "no such queue" an error; what is one is told by the bus itself.
const SERVICE: Levels = Levels {
    normal: "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn,osauth=warn,lapin=off",
    debug: "info,tachi=debug,tachi_engine=debug,tachi_api=debug,tachi_openstack=debug,tachi_fence=debug,tachi_store=debug",
};
const WARNINGS: &str = "warn,lapin=off";

/// Starts the log of the service `name`; `masakari` if it was started by a name of Masakari's.
///
/// # Errors
///
/// The file cannot be opened.
pub(crate) fn start(settings: &LogSettings, name: &str, masakari: bool) -> io::Result<()> {
    let form = if masakari { Form::Oslo } else { Form::Text };
    let program = Program {
        name,
        form,
        levels: SERVICE,
    };
    tachi_log::start(settings, program)
}

/// Starts the log of a simulated region, on standard error.
pub(crate) fn start_on_stderr() {
    on_stderr(SERVICE);
}

/// Starts no log but for what `RUST_LOG` asks for: the demo speaks for itself.
pub(crate) fn start_quietly() {
    on_stderr(Levels {
        normal: "off",
        debug: "off",
    });
}

/// Logs warnings on standard error: for a command that may have to wait.
pub(crate) fn start_with_warnings() {
    on_stderr(Levels {
        normal: WARNINGS,
        debug: WARNINGS,
    });
}

fn on_stderr(levels: Levels) {
    let program = Program {
        name: NAME,
        form: Form::Text,
        levels,
    };
    if let Err(error) = tachi_log::start(&LogSettings::default(), program) {
        tracing::debug!(%error, "the log was not started");
    }
}
