//! The three kinds of recovery behind one face, as the real engine has it.

use tachi_domain::ServerId;
use tachi_domain::host_recovery::{self, HostRecovery, Move, decide_all};
use tachi_domain::process_recovery::{self, ProcessRecovery};
use tachi_domain::recovery::{Command, Decision, Now, Observation, Record, RecoveryKind};
use tachi_domain::vm_recovery::{self, VmRecovery};

/// A recovery of any kind.
pub(crate) enum Driven {
    Host(Box<HostRecovery>),
    Vm(Box<VmRecovery>),
    Process(Box<ProcessRecovery>),
}

impl Driven {
    pub(crate) fn restore(kind: RecoveryKind, head: &str, moves: &[String]) -> Self {
        match kind {
            RecoveryKind::Host => Self::Host(Box::new(HostRecovery::restore(head, moves).unwrap())),
            RecoveryKind::Vm => Self::Vm(Box::new(VmRecovery::restore(head).unwrap())),
            RecoveryKind::Process => Self::Process(Box::new(ProcessRecovery::restore(head).unwrap())),
        }
    }

    pub(crate) fn decide(self, observations: Vec<Observation>, now: Now) -> (Self, Record, Vec<Command>) {
        match self {
            Self::Host(state) => {
                let decision = decide_all(*state, observations, now);
                let state = Self::Host(Box::new(decision.state));
                (state, decision.record, decision.commands)
            }
            Self::Vm(state) => {
                let (state, record, commands) = one_by_one(*state, observations, |state, observation| {
                    vm_recovery::decide(state, observation, now)
                });
                (Self::Vm(Box::new(state)), record, commands)
            }
            Self::Process(state) => {
                let (state, record, commands) = one_by_one(*state, observations, |state, observation| {
                    process_recovery::decide(state, observation, now)
                });
                (Self::Process(Box::new(state)), record, commands)
            }
        }
    }

    pub(crate) fn head(&self) -> String {
        match self {
            Self::Host(state) => state.head().unwrap(),
            Self::Vm(state) => state.head().unwrap(),
            Self::Process(state) => state.head().unwrap(),
        }
    }

    pub(crate) fn host_recovery(&self) -> Option<&HostRecovery> {
        match self {
            Self::Host(state) => Some(state),
            Self::Vm(_) | Self::Process(_) => None,
        }
    }

    pub(crate) fn one_move(&self, server: ServerId) -> Option<&Move> {
        self.host_recovery()?.moves.get(&server)
    }

    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Host(state) => state.stage == host_recovery::Stage::Over,
            Self::Vm(state) => state.stage == vm_recovery::Stage::Over,
            Self::Process(state) => state.over,
        }
    }

    /// Whether a terminal status may be written now.
    pub(crate) fn is_settled(&self) -> bool {
        use host_recovery::Stage;
        self.is_over()
            || self
                .host_recovery()
                .is_some_and(|state| matches!(state.stage, Stage::Returning | Stage::Over))
    }
}

/// Kinds with one call at a time decide on each observation in turn.
fn one_by_one<S>(
    mut state: S,
    observations: Vec<Observation>,
    decide: impl Fn(S, Observation) -> Decision<S>,
) -> (S, Record, Vec<Command>) {
    let mut record = Record::default();
    let mut commands = Vec::new();
    for observation in observations {
        let decision = decide(state, observation);
        state = decision.state;
        record.merge(decision.record);
        commands.extend(decision.commands);
    }
    (state, record, commands)
}
