//! Requests through the router, section by section of the measured wire behaviour.

#![expect(clippy::too_many_lines, reason = "a table is read in one piece")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "bodies are built where they are sent"
)]

mod actions;
mod auth;
mod bench;
mod binding;
mod board;
mod board_actions;
mod boot_guard;
mod controller;
mod downtime;
mod errors;
mod event_streams;
mod events;
mod evidence;
mod failures;
mod fake;
mod freezes;
mod fuzz;
mod hosts;
mod maintenance;
mod monitors;
#[cfg(test)]
mod notifications;
mod openapi;
mod operations;
mod operator;
mod operator_journal;
mod plans;
mod policy;
mod report_limit;
mod segments;
mod versions;
mod vmoves;
