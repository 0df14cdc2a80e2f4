//! Freezes, as the API shows them.

use serde::{Deserialize, Serialize};
use tachi_domain::freeze::{Freeze, FreezeScope, typed};
use tachi_engine::ports::FreezeLine;
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// A freeze that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Freeze)]
pub struct FreezeView {
    /// The number that identifies the freeze; later ones have larger numbers.
    pub number: i64,
    /// `region`, `segment`, `host` or `instance`.
    #[schema(schema_with = schema::freeze_scope)]
    pub scope: FreezeScope,
    /// The id of the segment, host or instance; null for a region.
    #[schema(required)]
    pub id: Option<String>,
    /// The name of the segment, host or instance at the time of the freeze; null for a region.
    #[schema(required)]
    pub name: Option<String>,
    /// When the freeze began.
    pub since: Time,
    /// When the freeze expires.
    pub until: Time,
    /// The time until it expires, in seconds.
    pub left_seconds: u64,
    /// The operator who requested it.
    pub by: String,
    /// The reason, for people.
    pub reason: String,
    /// True if the freeze ends early when a second host of a segment fails.
    pub unless_worse: bool,
    /// True if a drain of the host set it; `tachi host undrain` ends no other freeze.
    #[serde(default)]
    #[schema(required)]
    pub by_drain: bool,
}

impl From<&FreezeLine> for FreezeView {
    fn from(line: &FreezeLine) -> Self {
        let freeze = &line.freeze;
        let one = |text: &String| (freeze.scope != FreezeScope::Region).then(|| text.clone());
        Self {
            number: freeze.number,
            scope: freeze.scope,
            id: one(&line.target),
            name: one(&freeze.name),
            since: Time(line.since),
            until: Time(freeze.until),
            left_seconds: line.left.as_secs(),
            by: freeze.by.clone(),
            reason: freeze.reason.clone(),
            unless_worse: freeze.unless_worse,
            by_drain: line.by_drain,
        }
    }
}

impl From<&FreezeView> for Freeze {
    fn from(view: &FreezeView) -> Self {
        Self {
            number: view.number,
            scope: view.scope,
            name: view.name.clone().unwrap_or_default(),
            until: view.until.0,
            by: view.by.clone(),
            reason: view.reason.clone(),
            unless_worse: view.unless_worse,
        }
    }
}

/// Returns the command that ends a freeze. `undrains` is true if `tachi host undrain` would enable the host's service, which it refuses if
/// others have disabled it.
pub fn end_command(line: &FreezeLine, undrains: bool) -> String {
    if line.by_drain && undrains {
        format!("tachi host undrain {} --reason TEXT", typed(&line.freeze.name))
    } else {
        line.freeze.thaw()
    }
}

/// A freeze that was just requested, and its consequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Frozen)]
pub struct FrozenView {
    /// The freeze in force.
    pub freeze: FreezeView,
    /// The freeze that it replaces, which would have ended earlier; null if there was none.
    #[schema(required)]
    pub before: Option<FreezeView>,
    /// True if the same operator had just made the same request, so that nothing was written.
    pub already: bool,
    /// The number of instances that the freeze leaves unprotected; null if no engine has listed them yet.
    #[schema(required)]
    pub unprotected: Option<u64>,
    /// True if every engine that could still act on the frozen object has read the freeze. If false, an engine may still start something:
    /// repeat the request.
    pub heard: bool,
    /// The recoveries whose engine has not read the freeze yet, for people.
    pub unheard: Vec<String>,
    /// The work in progress on the frozen object, one sentence each.
    pub underway: Vec<String>,
    /// Further points to check, one sentence each.
    pub notes: Vec<String>,
}
