//! What is frozen, as it is told.

use serde::Serialize;
use tachi_domain::freeze::FreezeScope;
use tachi_engine::ports::FreezeLine;

use crate::when::Time;

/// A freeze that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FreezeView {
    /// Later ones have larger numbers.
    pub number: i64,
    /// `region`, `segment`, `host` or `instance`.
    pub scope: &'static str,
    /// The id of the segment, the host or the instance; null for everything.
    pub id: Option<String>,
    /// What that was called; null for everything.
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
            scope: freeze.scope.as_str(),
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
