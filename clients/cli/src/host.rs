//! `tachi host`: reporting a host as down, moving instances away from a running one or back to it, and what is left of a failure.

pub mod giveback;
pub mod list;
pub mod planned;
pub mod readiness;
pub mod report_down;
