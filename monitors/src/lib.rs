//! The monitors: they report failures on a hypervisor to the Instance-HA API, once, and never wrongly.
//!
//! One binary, `tachi-monitor`, runs one of four [monitors](Monitor): `host`, `process`, `instance`, `introspective`.
//! This crate contains the shared code: the configuration of the Python monitors, the [`Reporter`] that keeps a
//! report on disk until the API has answered, [`Health`], logs, signals, and `tachi-monitor check`.
//!
//! ```text
//! Monitor::run -> Reporter::report -> spool (fsync) -> delivery, one task, in order -> Instance-HA API
//!            \--> Health: /healthz, /metrics, systemd's watchdog
//! ```
//!
//! A monitor may forget an event as soon as [`Reporter::report`] has returned. Everything runs on one thread, except
//! what may block (the disk, other programs).

mod boot_guard;
mod check;
mod cli;
mod clock;
mod delivery;
mod drop_in;
mod failure;
mod guests;
mod health;
mod heartbeat;
mod host;
mod instance;
mod introspective;
mod kind;
mod libvirt;
mod logging;
mod monitor;
mod out;
mod planes;
mod process;
mod reporter;
mod run;
mod saved;
mod settings;
mod status_server;

#[cfg(test)]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "it is shared with the tests of the client"
)]
#[path = "../libvirt/tests/support/fake.rs"]
mod fake_libvirt;
#[cfg(test)]
mod harness;

/// The version. Packages build with `TACHI_VERSION`, which names the commit; a plain `cargo build` has the number
/// alone, so that a new commit recompiles nothing.
pub(crate) const VERSION: &str = match option_env!("TACHI_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

pub use check::{Check, Finding, FindingLevel};
pub use clock::Clock;
pub use failure::Failure;
pub use health::Health;
pub use kind::Kind;
pub use monitor::Monitor;
pub use reporter::{ReportError, Reporter};
pub use run::main;
pub use settings::{
    BridgeSettings, ConsulSettings, GuestSettings, HostSettings, InstanceSettings, KubernetesSettings,
    ProcessSettings, Settings,
};
