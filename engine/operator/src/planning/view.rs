//! What is planned, as it is told.

use serde::{Deserialize, Serialize};
use tachi_domain::RecoveryId;
use tachi_domain::recovery::RecoveryKind;
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// Something that is planned for a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlannedView {
    /// The host's name.
    pub host: String,
    /// `drain` or `giveback`.
    #[schema(schema_with = schema::kind)]
    pub kind: RecoveryKind,
    /// What follows it, and by which it is aborted.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// Who wants it.
    pub by: String,
    /// Whether the same person had just asked for the same: nothing was written.
    pub already: bool,
}

/// What would be given back to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GivebackOutlook)]
pub struct GivebackView {
    /// The host's name.
    pub host: String,
    /// What speaks against it now; null if nothing does.
    #[schema(required)]
    pub against: Option<String>,
    /// When Nova's instances were seen so; null if it was asked now, or nobody has ever looked.
    #[serde(default)]
    #[schema(required)]
    pub seen_at: Option<Time>,
    /// What recoveries and drains have moved away from the host and that is elsewhere.
    pub instances: Vec<AwayView>,
}

/// An instance that was moved away from a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceAway)]
pub struct AwayView {
    /// Its id.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// Where it was put.
    pub on: String,
    /// By which recovery.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// Why it stays where it is; null if it can go back.
    #[schema(required)]
    pub stays: Option<String>,
}
