//! The log of a service: its targets (a file, standard error, the journal, syslog), the form of its lines, and its
//! level.
//!
//! Options, forms and fields are those of oslo.log, so that operators and their tools can treat our log like that of
//! every other OpenStack service: kolla's fluentd parses the lines ([`Form::Oslo`]), `journalctl -p warning` shows
//! warnings, SIGHUP changes the level.

mod event;
mod file;
mod journal;
mod oslo;
mod settings;
mod start;
mod syslog;

pub use settings::{Form, LogSettings};
pub use start::{Levels, Program, reopen, set_level, start};
