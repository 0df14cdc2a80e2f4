//! Requests through the router, section by section of the measured wire behaviour.

#![expect(clippy::too_many_lines, reason = "a table is read in one piece")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "bodies are built where they are sent"
)]

mod auth;
mod bench;
mod binding;
mod board;
mod board_words;
mod boot_guard;
mod controller;
mod desk;
mod downtime;
mod errors;
mod events;
mod evidence;
mod failures;
mod fake;
mod freezes;
mod fuzz;
mod hosts;
mod live;
mod monitors;
#[cfg(test)]
mod notifications;
mod openapi;
mod operations;
mod operator;
mod plans;
mod policy;
mod report_limit;
mod segments;
mod upkeep;
mod versions;
mod vmoves;
mod words;
