//! Instances of recoveries.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tachi_domain::RecoveryId;
use tachi_domain::host_recovery::{End, Move, MoveStep};
use tachi_domain::recovery::Life;
use tachi_engine::ports::operator::MoveLine;
use utoipa::ToSchema;

use crate::schema;
use crate::snapshot::RegionSnapshot;
use crate::waits::{self, WaitView};

/// An instance of a recovery, with its parsed state if this version understands it.
#[derive(Clone, Debug)]
pub struct VmoveLine {
    /// The stored row.
    pub line: MoveLine,
    /// The parsed state; `None` if another version wrote it in a form that this one cannot read.
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
    /// Returns the step that the move is at.
    pub fn step(&self) -> &'static str {
        match self.one.as_ref().map(|instance| &instance.step) {
            Some(MoveStep::OnHold) => "held",
            Some(MoveStep::Waiting { .. }) => "waiting",
            Some(MoveStep::Asked { .. }) => "asked",
            Some(MoveStep::Restoring { .. }) => "restoring",
            Some(MoveStep::Unlocking { .. }) => "unlocking",
            Some(MoveStep::Done(End::Moved)) => "moved",
            Some(MoveStep::Done(End::Left)) => "left",
            Some(MoveStep::Done(End::Person)) => "needs an operator",
            None => "unknown",
        }
    }
}

/// An instance of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryInstance)]
pub struct VmoveView {
    /// The instance's id in Nova.
    pub instance: String,
    /// The instance's name.
    pub name: String,
    /// The host that failed.
    pub host: String,
    /// The host that the instance is being moved to, or is on now; null if there is none yet.
    #[schema(required)]
    pub to: Option<String>,
    /// Other hosts on which the instance may be running.
    #[schema(value_type = Vec<String>)]
    pub may_run_on: BTreeSet<String>,
    /// The step that the move is at: `held`, `waiting`, `asked`, `restoring`, `unlocking`, `moved`, `left`, `needs an operator` or
    /// `unknown`.
    pub state: String,
    /// True if the instance needs an operator.
    pub needs_person: bool,
    /// The wait that the instance is in; null if no engine has decided on one yet, or an operator has dealt with it.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// The commands that end the wait, for an operator to type.
    pub commands: Vec<String>,
    /// The id of the instance's recovery.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// The life-cycle state of that recovery.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// A message about the instance, for people; null if there is none.
    #[schema(required)]
    pub known: Option<String>,
}

impl From<&VmoveLine> for VmoveView {
    fn from(line: &VmoveLine) -> Self {
        let vmove = &line.line;
        Self {
            instance: vmove.server.to_string(),
            name: vmove.name.clone(),
            host: vmove.host.clone(),
            to: vmove.dest.clone(),
            may_run_on: vmove.may_run.clone(),
            state: line.step().to_owned(),
            needs_person: waits::what(vmove.wait.as_ref()).needs_person(),
            waits: vmove.wait.as_ref().map(WaitView::from),
            commands: waits::to_end_move(vmove),
            recovery: vmove.recovery,
            life: vmove.life,
            known: vmove.message.clone(),
        }
    }
}

impl VmoveView {
    /// Builds the view with the commands that end the wait by what Nova shows now.
    pub fn of(snapshot: &RegionSnapshot, line: &VmoveLine) -> Self {
        Self {
            commands: snapshot.commands_of(&line.line),
            ..Self::from(line)
        }
    }
}
