//! One run of a hook: what it is told, and what it answers.

use super::{Hook, Phase};
use crate::id::ServerId;

/// An instance, as a hook is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookInstance {
    /// Nova's id.
    pub id: ServerId,
    /// Its name; `None` if Nova has not been asked for it.
    pub name: Option<String>,
    /// `pending`, `ongoing`, `succeeded`, `failed` or `ignored`, as the vmove shows it.
    pub status: &'static str,
    /// Nova's service host it is on now, if it has left the failed one.
    pub dest_host: Option<String>,
    /// What a person should know.
    pub message: Option<String>,
}

/// A hook that is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    /// In which phase.
    pub phase: Phase,
    /// Which of the phase's hooks, counted from 0.
    pub number: u8,
    /// Which run of it, counted from 1.
    pub attempt: u32,
    /// What to run.
    pub hook: Hook,
    /// The recovery's instances; `None` before they are known.
    pub instances: Option<Vec<HookInstance>>,
    /// Why the host is known to be off, if it is.
    pub proof: Option<String>,
}

/// What a hook has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookVerdict {
    /// Exit code 0, or a status of 2xx.
    GoOn,
    /// Exit code 10, or status 409: nothing more is to be done, and that is well.
    Skip,
    /// Anything else, a time-out included.
    Failed,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOutcome {
    /// By its exit code or HTTP status.
    pub verdict: HookVerdict,
    /// One line for a person: how it ended and the beginning of what it said.
    pub text: String,
}
