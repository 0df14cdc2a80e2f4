//! The two forms of time in the database: Masakari's `DATETIME` columns, and microseconds in our columns.

use chrono::{DateTime, NaiveDateTime};
use tachi_domain::Timestamp;

use crate::error::Failure;

/// Converts a time to the form of Masakari's columns: UTC without a zone.
pub(crate) fn to_column(at: Timestamp) -> Result<NaiveDateTime, Failure> {
    DateTime::from_timestamp_micros(at.micros())
        .map(|at| at.naive_utc())
        .ok_or_else(|| Failure::Range {
            what: "time",
            value: at.micros().to_string(),
        })
}

pub(crate) fn to_column_opt(at: Option<Timestamp>) -> Result<Option<NaiveDateTime>, Failure> {
    at.map(to_column).transpose()
}

/// Converts a time from one of Masakari's columns.
pub(crate) fn from_column(at: NaiveDateTime) -> Timestamp {
    Timestamp::from_micros(at.and_utc().timestamp_micros())
}
