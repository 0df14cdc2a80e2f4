//! `reason` of a 404 of `/operator/v1`: the object that is missing, for clients.
//!
//! A 404 without a reason is that of a path without a route: the API is older than its client, or another service.

/// The reason for a name or id that no object has.
pub const UNKNOWN_NAME: &str = "unknown_name";

/// The reason for a host about which nothing is stored.
pub const NO_RECORDS: &str = "no_records";

/// All reasons.
pub const ALL: [&str; 2] = [UNKNOWN_NAME, NO_RECORDS];
