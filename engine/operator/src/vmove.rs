//! An instance of a recovery.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tachi_domain::RecoveryId;
use tachi_domain::host_recovery::{End, Move, MoveStep};
use tachi_domain::recovery::Life;
use tachi_engine::ports::operator::MoveLine;
use utoipa::ToSchema;

use crate::schema;
use crate::waits::{self, WaitView};

/// An instance of a recovery, and its state if this program understands it.
#[derive(Clone, Debug)]
pub struct VmoveLine {
    /// As it is kept.
    pub line: MoveLine,
    /// Its state.
    pub one: Option<Move>,
}

impl From<MoveLine> for VmoveLine {
    fn from(line: MoveLine) -> Self {
        Self {
            one: serde_json::from_str(&line.state).ok(),
            line,
        }
    }
}

impl VmoveLine {
    /// Where it is.
    pub fn step(&self) -> &'static str {
        match self.one.as_ref().map(|one| &one.step) {
            Some(MoveStep::Held) => "held",
            Some(MoveStep::Waiting { .. }) => "waiting",
            Some(MoveStep::Asked { .. }) => "asked",
            Some(MoveStep::Restoring { .. }) => "restoring",
            Some(MoveStep::Unlocking { .. }) => "unlocking",
            Some(MoveStep::Over(End::Moved)) => "moved",
            Some(MoveStep::Over(End::Left)) => "left",
            Some(MoveStep::Over(End::Person)) => "needs an operator",
            None => "unknown",
        }
    }
}

/// An instance of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryInstance)]
pub struct VmoveView {
    /// Its id.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// The host that failed.
    pub host: String,
    /// Where it goes, or is.
    #[schema(required)]
    pub to: Option<String>,
    /// Other hosts on which it may run.
    #[schema(value_type = Vec<String>)]
    pub may_run_on: BTreeSet<String>,
    /// Where its move is.
    pub state: String,
    /// Whether a person has to see to it.
    pub needs_person: bool,
    /// For what it waits.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// What to type.
    pub commands: Vec<String>,
    /// Its recovery.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// Where that is in its life.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// For people.
    #[schema(required)]
    pub known: Option<String>,
}

impl From<&VmoveLine> for VmoveView {
    fn from(line: &VmoveLine) -> Self {
        let one = &line.line;
        Self {
            instance: one.server.to_string(),
            name: one.name.clone(),
            host: one.host.clone(),
            to: one.dest.clone(),
            may_run_on: one.may_run.clone(),
            state: line.step().to_owned(),
            needs_person: waits::what(one.wait.as_ref()).needs_person(),
            waits: one.wait.as_ref().map(WaitView::from),
            commands: waits::to_end_move(one),
            recovery: one.recovery,
            life: one.life,
            known: one.message.clone(),
        }
    }
}
