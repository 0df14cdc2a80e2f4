//! The log of this program: its levels, and the log of commands without logging options.

use std::io;

use tachi_log::{Form, Levels, LogSettings, Program};

/// Name of a log without a name of its own.
const NAME: &str = "tachi";

// The broker client logs every "no such queue" as an error; the bus itself logs the real ones.
const SERVICE: Levels = Levels {
    normal: "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn,osauth=warn,lapin=off",
    debug: "info,tachi=debug,tachi_engine=debug,tachi_api=debug,tachi_openstack=debug,tachi_operator=debug,tachi_fence=debug,tachi_store=debug",
};
const WARNINGS: &str = "warn,lapin=off";

/// Starts the log of the service `name`; `masakari` is true if it was started by a name of Masakari's.
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

/// Starts the log of a simulated region, on standard error: without a line for each request, because the operator's own commands and
/// the board make two a second.
pub(crate) fn start_on_stderr() {
    on_stderr(Levels {
        normal: "info,tachi_api::access_log=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn,osauth=warn,lapin=off",
        debug: SERVICE.debug,
    });
}

/// Starts no log except what `RUST_LOG` requests: the demo prints its own output.
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
        tracing::debug!(%error, "failed to start the log");
    }
}
