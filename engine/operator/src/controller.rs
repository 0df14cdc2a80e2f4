//! Facts that a controller has beside the database: the current state in Nova, and the audit logs of its machine.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tachi_domain::SegmentId;
use utoipa::ToSchema;

use crate::schema;

/// The verdicts of a check before a host returns to service: passed, for information, blocks the return, and unknown.
pub const VERDICTS: &[&str] = &["ok", "note", "WAIT", "ASK"];

/// The checks before a host returns to service, and the steps of its return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostReturn)]
pub struct ReturnView {
    /// The host's name.
    pub host: String,
    /// The name of the host's segment.
    pub segment: String,
    /// True if no check blocks the return.
    pub ready: bool,
    /// The checks that were made.
    pub checks: Vec<ReturnCheckView>,
    /// The steps to take, in order.
    pub steps: Vec<ReturnStepView>,
}

/// A check before a host returns to service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostReturnCheck)]
pub struct ReturnCheckView {
    /// `ok`: passed. `note`: for information only. `WAIT`: blocks the return. `ASK`: could not be determined, and blocks the return too.
    #[schema(schema_with = schema::return_verdict)]
    pub verdict: String,
    /// The result, for people.
    pub text: String,
}

/// A step of a host's return to service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostReturnStep)]
pub struct ReturnStepView {
    /// True if the step is done; null if that cannot be determined from a controller.
    #[schema(required)]
    pub done: Option<bool>,
    /// The step, for people.
    pub text: String,
    /// The commands to type for this step.
    pub commands: Vec<String>,
}

/// The segments and hosts that would be created from Nova's hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FromNova)]
pub struct FromNovaView {
    /// The segments that would get hosts, with those hosts.
    pub segments: Vec<FromNovaSegmentView>,
    /// The number of Nova's hosts that are in a segment already and stay there.
    pub stay: u64,
    /// The hosts that would be added to no segment.
    pub left: Vec<FromNovaLeftView>,
    /// The hosts that no fence device can switch off, as a sentence for people; null if every host has a fence level.
    #[schema(required)]
    pub without_level: Option<String>,
}

/// A segment and the hosts that would be added to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FromNovaSegment)]
pub struct FromNovaSegmentView {
    /// The segment's name.
    pub name: String,
    /// The segment's id; null if it would be created.
    #[schema(required, value_type = Option<String>, format = "uuid")]
    pub segment: Option<SegmentId>,
    /// The names of the hosts that would be added.
    pub hosts: Vec<String>,
}

/// A host that would be added to no segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FromNovaLeft)]
pub struct FromNovaLeftView {
    /// The host's name in Nova.
    pub host: String,
    /// The reason, for people.
    pub why: String,
}

/// A query for lines of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRequest {
    /// Only the lines about this host.
    pub host: Option<String>,
    /// Only the lines of recoveries whose id starts with this.
    pub recovery: Option<String>,
    /// The `marker` of the previous page.
    pub marker: Option<String>,
    /// The maximum number of lines.
    pub limit: usize,
}

/// Lines of the audit logs of one machine, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct AuditView {
    /// The machine's name: each controller has its own logs.
    pub machine: String,
    /// The paths of the logs that were read.
    pub logs: Vec<String>,
    /// The lines as they are in the logs.
    #[schema(value_type = Vec<Object>)]
    pub lines: Vec<Map<String, Value>>,
    /// The parts of the logs that could not be read, with the reason. Their lines are missing from `lines`.
    pub unread: Vec<String>,
    /// The `marker` to pass for the next page; null if this is the last one.
    #[schema(required)]
    pub marker: Option<String>,
}
