//! The log of a service: where its lines go (a file, standard error, the journal, syslog), in which form, and how much is logged.
//!
//! Options, forms and fields are those of oslo.log, so that what operators and their tools do with the log of every other OpenStack
//! service works with ours: kolla's fluentd parses the lines ([`Form::Oslo`]), `journalctl -p warning` shows warnings, SIGHUP changes
//! the level.

mod event;
mod file;
mod journal;
mod oslo;
mod settings;
mod start;
mod syslog;

pub use settings::{Form, LogSettings};
pub use start::{Levels, Program, reopen, set_level, start};
