//! Tests of the protocol's rules. EW numbers are weaknesses of other engines.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test searches for one command among all, including later ones"
)]

mod arrivals;
mod boot_hold;
mod confirm_off;
mod confirmation;
mod excluded;
mod fencing;
mod freezes;
mod guards;
mod half_done;
mod harness;
mod holds;
mod hooks;
mod host_return;
mod instance_resolutions;
mod joined_reports;
mod levels;
mod local_disks;
mod locks;
mod monitor_heartbeats;
mod neighbours;
mod off_claims;
mod order;
mod outages;
mod pace;
mod placement;
mod plans;
mod polling_intervals;
mod power_on;
mod progress;
mod properties;
mod refusals;
mod registered;
mod reservations;
mod restoration;
mod silence;
mod states_page;
mod stopped;
mod take_over;
mod waits;
