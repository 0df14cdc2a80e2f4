//! Scheduled jobs, as the API shows them.

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
