//! Plans for a host, as the API shows them.

use serde::{Deserialize, Serialize};
use tachi_domain::RecoveryId;
use tachi_domain::recovery::RecoveryKind;
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// A drain of a host, or a giveback to it, that was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlannedView {
    /// The host's name.
    pub host: String,
    /// `drain` or `giveback`.
    #[schema(schema_with = schema::kind)]
    pub kind: RecoveryKind,
    /// The id of the recovery that carries out the plan. Aborting that recovery aborts the plan.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// The operator who requested it.
    pub by: String,
    /// True if the same operator had just made the same request, so that nothing was written.
    pub already: bool,
}

/// A preview of a giveback: the instances that would be moved back to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GivebackOutlook)]
pub struct GivebackView {
    /// The host's name.
    pub host: String,
    /// The reason why a giveback would be refused now, for people; null if nothing blocks it.
    #[schema(required)]
    pub against: Option<String>,
    /// When Nova's instances were read; null if Nova was asked for this answer, or if no engine has read them yet.
    #[serde(default)]
    #[schema(required)]
    pub seen_at: Option<Time>,
    /// The instances that recoveries and drains have moved away from the host and that are still on other hosts.
    pub instances: Vec<AwayView>,
}

/// An instance that was moved away from a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceAway)]
pub struct AwayView {
    /// The instance's id in Nova.
    pub instance: String,
    /// The instance's name.
    pub name: String,
    /// The host that the instance was moved to.
    pub on: String,
    /// The id of the recovery that moved it.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// The reason why the instance is not moved back, for people; null if it can be.
    #[schema(required)]
    pub stays: Option<String>,
}
