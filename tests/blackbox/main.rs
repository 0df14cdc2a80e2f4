//! Black-box tests: the real store, the real clients and the real binaries against the simulated region. What counts as lost
//! or doubled is read from the region's ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod acknowledgement;
mod alarms;
mod answers;
mod boot_guard;
mod checks;
mod crash;
mod database;
mod defects;
mod doctor;
mod drains;
mod drills;
mod event_log;
mod excluded;
mod explanations;
mod fixes;
mod freezes;
mod from_nova;
mod guards_beforehand;
mod hooks;
mod identity;
mod instances;
mod invariants;
mod jobs;
mod levels;
mod live_drill;
mod local_disk;
mod monitor_heartbeats;
mod operator;
mod operator_actions;
mod operator_api;
mod policies;
mod processes;
mod protected;
mod recovery;
mod refusals;
mod regions;
mod remote;
mod remote_controller;
mod remote_drains;
mod remote_freezes;
mod remote_maintenance;
mod renamed;
mod replicas;
mod report_down;
mod reserved;
mod schema;
mod speed;
mod support;
mod three;
mod views;
mod waits;
