//! What is done by the clock, as it is told.

use serde::{Deserialize, Serialize};
use tachi_domain::situation::Grade;
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// What engines do by the clock, or was begun by a person: when last, what came of it, and when next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScheduledJob)]
pub struct JobView {
    /// `devices` (the tests of fence devices), `doctor`, `purge`, `drill`, or `drill HOST` and `live drill HOST` of those that were begun by hand.
    pub job: String,
    /// As it is configured where this was asked; empty for what is only done by hand.
    pub when: String,
    /// When it was begun last; null if it never was.
    #[schema(required)]
    pub last_at: Option<Time>,
    /// How long that took; null while it runs, and where it is not known.
    #[schema(required)]
    pub took_seconds: Option<f64>,
    /// How good what came of it is; null while nothing has.
    #[schema(required, schema_with = schema::grade_or_null)]
    pub grade: Option<Grade>,
    /// What came of it, for people.
    pub result: String,
    /// When it begins next; null for what is only done by hand.
    #[schema(required)]
    pub next_at: Option<Time>,
}
