//! What is frozen, as it is told.

use serde::{Deserialize, Serialize};
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_engine::ports::FreezeLine;
use utoipa::ToSchema;

use crate::schema;
use crate::when::Time;

/// A freeze that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Freeze)]
pub struct FreezeView {
    /// Names it. Later ones have larger numbers.
    pub number: i64,
    /// `region`, `segment`, `host` or `instance`.
    #[schema(schema_with = schema::freeze_scope)]
    pub scope: FreezeScope,
    /// The id of the segment, the host or the instance; null for everything.
    #[schema(required)]
    pub id: Option<String>,
    /// What that was called; null for everything.
    #[schema(required)]
    pub name: Option<String>,
    /// When it was said.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// How long it lasts yet.
    pub left_seconds: u64,
    /// Who said it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// It ends early if a second host of a segment dies.
    pub unless_worse: bool,
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

/// A freeze that somebody has just said, and what that means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Frozen)]
pub struct FrozenView {
    /// As it is in force.
    pub freeze: FreezeView,
    /// The one that it takes the place of, which would have ended earlier.
    #[schema(required)]
    pub before: Option<FreezeView>,
    /// Whether the same had just been said by the same person, so that nothing was written.
    pub already: bool,
    /// How many instances are unprotected by it; null if no engine has listed them.
    #[schema(required)]
    pub unprotected: Option<u64>,
    /// Whether every engine that could still begin something of it has heard of it. If not, something may still be begun: say it again.
    pub heard: bool,
    /// The recoveries whose engine has not.
    pub unheard: Vec<String>,
    /// What is under way with it, in sentences.
    pub underway: Vec<String>,
    /// What else there is to look at, in sentences.
    pub notes: Vec<String>,
}
