//! `tachi host`: reporting a host as down, and moving instances away from a running one or back to it.

pub mod giveback;
pub mod list;
pub mod planned;
pub mod report_down;
