//! Operators' changes to the course of a recovery: the built-in steps as listed in the configuration, and the operators' own
//! hooks. Hooks are programs or web addresses that run before, during and after a recovery.
//!
//! A hook is a step like any other: its intent is journalled before the run and its outcome after it, so that no engine runs
//! it twice by mistake. A hook can end a recovery early, or fail it. It cannot extend one beyond the proof, because this
//! module creates no proof.

mod call;
mod entry;
mod flow;

pub use call::{HookCall, HookInstance, HookOutcome, HookVerdict};
pub use entry::{Defaults, EntryError, Hook, HookTarget, OnFailure};
pub use flow::{Flow, FlowError, FlowKind, Flows, Note};

use serde::{Deserialize, Serialize};

/// The maximum number of hooks in a phase.
pub const MAX_HOOKS_PER_PHASE: usize = 8;

/// The point in a recovery at which a hook runs. The names are those of Masakari's option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// After the guards have passed, before anything is changed.
    Pre,
    /// For a host: after the proof and `forced_down`, before the first evacuation. For an instance: between stop and start.
    /// For a process: after the service is disabled.
    Main,
    /// After all other work, before the notification is finished.
    Post,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 3] = [Self::Pre, Self::Main, Self::Post];

    /// Returns the name in the option and in the hook's document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Main => "main",
            Self::Post => "post",
        }
    }
}
