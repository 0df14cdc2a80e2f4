//! The log of a monitor.

use tachi_log::{Form, Levels, LogSettings, Program};

use crate::kind::Kind;

const LEVELS: Levels = Levels {
    normal: "info,zbus=warn",
    debug: "info,tachi_monitor=debug,tachi_instance_ha=debug,tachi_spool=debug,tachi_libvirt=debug,tachi_pacemaker=debug",
};

/// Starts the log. `masakari` is true if the monitor was started under a name of Masakari's.
pub(crate) fn start(settings: &LogSettings, kind: Kind, masakari: bool) {
    let (name, form) = if masakari {
        (kind.upstream().to_owned(), Form::Oslo)
    } else {
        (format!("tachi-{}-monitor", kind.name()), Form::Text)
    };
    let program = Program {
        name: &name,
        form,
        levels: LEVELS,
    };
    // A problem with the log must not prevent the monitor from starting.
    if let Err(why) = tachi_log::start(settings, program) {
        let started = tachi_log::start(&settings.on_stderr(), program);
        tracing::error!(%why, started = started.is_ok(), "failed to start the log as configured; logging to standard error");
    }
}
