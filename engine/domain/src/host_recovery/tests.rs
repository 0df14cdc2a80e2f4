//! Tests of the protocol's rules. EW numbers are weaknesses of other engines.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test searches for one command among all, including later ones"
)]

mod arriving;
mod bed;
mod booting;
mod choosing;
mod confirming;
mod enduring;
mod excluded;
mod fencing;
mod following;
mod freezing;
mod guarding;
mod half_done;
mod holding;
mod hooking;
mod joining;
mod levels;
mod local_disks;
mod locks;
mod looking;
mod monitor_heartbeats;
mod neighbours;
mod off_words;
mod ordering;
mod pacing;
mod planning;
mod powering_on;
mod properties;
mod refusals;
mod registered;
mod reserving;
mod restoring;
mod returning;
mod saying;
mod silence;
mod states_page;
mod stopped;
mod taking_over;
mod vouching;
mod waits;
