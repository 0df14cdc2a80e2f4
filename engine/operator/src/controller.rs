//! What a controller knows beside the database: Nova as it is now, and the audit logs of its machine.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tachi_domain::SegmentId;
use utoipa::ToSchema;

use crate::schema;

/// What a check of a host that is to work again says: for it, neither for nor against, against, and not known.
pub const VERDICTS: &[&str] = &["ok", "note", "WAIT", "ASK"];

/// What speaks for and against putting a host to work again, and how that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostReturn)]
pub struct ReturnView {
    /// The host's name.
    pub host: String,
    /// The name of its segment.
    pub segment: String,
    /// Whether nothing speaks against it.
    pub ready: bool,
    /// What was looked at.
    pub checks: Vec<ReturnCheckView>,
    /// What is to be done, in order.
    pub steps: Vec<ReturnStepView>,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostReturnCheck)]
pub struct ReturnCheckView {
    /// `ok` speaks for it, `note` neither for nor against; `WAIT` speaks against it, and so does `ASK`, which could not be found out.
    #[schema(schema_with = schema::return_verdict)]
    pub verdict: String,
    /// For people.
    pub text: String,
}

/// A step of the way back to work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostReturnStep)]
pub struct ReturnStepView {
    /// Whether it is behind us; null if nobody can see that from here.
    #[schema(required)]
    pub done: Option<bool>,
    /// For people.
    pub text: String,
    /// What to type for it.
    pub commands: Vec<String>,
}

/// Which segments and hosts would be made of what Nova has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FromNova)]
pub struct FromNovaView {
    /// What would be put where.
    pub segments: Vec<FromNovaSegmentView>,
    /// So many of Nova's hosts are in a segment already, and stay there.
    pub stay: u64,
    /// Those that would be put nowhere.
    pub left: Vec<FromNovaLeftView>,
    /// Which hosts no fence device can switch off; null if each has a level.
    #[schema(required)]
    pub without_level: Option<String>,
}

/// A segment, and what would be put into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FromNovaSegment)]
pub struct FromNovaSegmentView {
    /// Its name.
    pub name: String,
    /// Its id; null if it would be made.
    #[schema(required, value_type = Option<String>, format = "uuid")]
    pub segment: Option<SegmentId>,
    /// The hosts that would be added.
    pub hosts: Vec<String>,
}

/// A host that would be put nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FromNovaLeft)]
pub struct FromNovaLeftView {
    /// Its name in Nova.
    pub host: String,
    /// For people.
    pub why: String,
}

/// Which lines of the audit log are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditWish {
    /// Only those about this host.
    pub host: Option<String>,
    /// Only those of recoveries whose id begins so.
    pub recovery: Option<String>,
    /// The `marker` of the page before.
    pub marker: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Lines of the audit logs of one machine, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct AuditView {
    /// The machine: each controller has logs of its own.
    pub machine: String,
    /// Its logs, by their paths.
    pub logs: Vec<String>,
    /// As they stand in the logs.
    #[schema(value_type = Vec<Object>)]
    pub lines: Vec<Map<String, Value>>,
    /// What of the logs could not be read, and why: what is missing from `lines`.
    pub unread: Vec<String>,
    /// With this the next page is asked for; null if this is the last one.
    #[schema(required)]
    pub marker: Option<String>,
}
