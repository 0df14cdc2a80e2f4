//! Scheduled jobs, as the API shows them.

use std::fmt;

use serde::{Deserialize, Serialize};
use tachi_domain::situation::Severity;
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// A job that engines run on a schedule, or that an operator has started by hand: the last run with its result, and the next run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScheduledJob)]
pub struct JobView {
    /// `devices` (the tests of fence devices), `doctor`, `purge` or `drill`; `drill HOST` or `live drill HOST` for drills started by hand.
    pub job: String,
    /// The schedule in the configuration of the process that answers, such as `every 6h`; empty for a job that is only run by hand.
    pub when: String,
    /// The start of the last run; null if there was none.
    #[schema(required)]
    pub last_at: Option<Time>,
    /// The duration of the last run in seconds; null while it is running, and if it is not known.
    #[schema(required)]
    pub took_seconds: Option<f64>,
    /// The grade of the last result; null if there is none yet.
    #[schema(required, schema_with = schema::grade_or_null)]
    pub grade: Option<Severity>,
    /// The result of the last run, for people.
    pub result: String,
    /// The start of the next run; null for a job that is only run by hand.
    #[schema(required)]
    pub next_at: Option<Time>,
}

/// A job that can be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// All checks of `tachi doctor`.
    Doctor,
    /// A purge, as `tachi db purge`.
    Purge,
    /// A shadow drill of one host of each segment.
    Drill,
}

impl Job {
    /// All jobs.
    pub const ALL: [Self; 3] = [Self::Doctor, Self::Purge, Self::Drill];

    /// Returns the name in the configuration, the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Doctor => "doctor",
            Self::Purge => "purge",
            Self::Drill => "drill",
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
