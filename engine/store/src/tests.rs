//! What must hold between several processes on one database, and when the database goes away.

mod exclusion;
mod failover;
mod grants;
mod local_disks;
mod servers;
