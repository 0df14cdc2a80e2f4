//! Invariants between several processes on one database, and during an outage of the database.

mod exclusion;
mod failover;
mod grants;
mod local_disks;
mod servers;
