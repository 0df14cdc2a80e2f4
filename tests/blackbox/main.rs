//! Black-box tests: the real store, the real clients and the real binaries against the simulated region. What counts as lost
//! or doubled is read from the region's ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod acknowledging;
mod alarms;
mod answers;
mod booting;
mod checking;
mod crash;
mod database;
mod defects;
mod doctor;
mod draining;
mod drilling;
mod excluded;
mod explaining;
mod failing;
mod freezing;
mod from_nova;
mod hooks;
mod identity;
mod instances;
mod invariants;
mod levels;
mod live_drill;
mod local_disk;
mod mending;
mod monitor_heartbeats;
mod operator;
mod operator_api;
mod policies;
mod processes;
mod recovery;
mod refusing;
mod regions;
mod remote;
mod remote_controller;
mod remote_draining;
mod remote_freezing;
mod remote_upkeep;
mod renamed;
mod replicas;
mod reserved;
mod saying;
mod scheduling;
mod schema;
mod showing;
mod speed;
mod support;
mod telling;
mod three;
mod waits;
