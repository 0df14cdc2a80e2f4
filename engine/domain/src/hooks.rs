//! What operators put into a recovery's way: the built-in steps as they may be listed in the configuration, and hooks of
//! their own, programs or web addresses, that are run before, during and after it.
//!
//! A hook is a step like any other: its intent is journalled before it is run and its outcome after, so that nobody runs
//! it twice by mistake. What a hook says can end a recovery early, or fail it; it can never make one go further than the
//! proof allows, because nothing here makes a proof.

mod call;
mod entry;
mod flow;

pub use call::{HookCall, HookInstance, HookOutcome, HookVerdict};
pub use entry::{Defaults, EntryError, Hook, HookTarget, OnFailure};
pub use flow::{Flow, FlowError, FlowKind, Flows, Note};

use serde::{Deserialize, Serialize};

/// How many hooks a phase may have.
pub const MOST_HOOKS: usize = 8;

/// Where in a recovery a hook is run. The words are those of Masakari's option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Once the guards are content, before anything is touched.
    Pre,
    /// A host: after the proof and `forced_down`, before the first evacuation. An instance: between stop and start. A
    /// process: after the service is disabled.
    Main,
    /// When all is done, before the notification ends.
    Post,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Pre, Self::Main, Self::Post];

    /// The word in the option and in the hook's document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Main => "main",
            Self::Post => "post",
        }
    }
}
