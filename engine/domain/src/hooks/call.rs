//! One run of a hook: its input and its result.

use super::{Hook, Phase};
use crate::id::ServerId;

/// An instance in a hook's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookInstance {
    /// Nova's id.
    pub id: ServerId,
    /// The instance's name; `None` if it has not been read from Nova.
    pub name: Option<String>,
    /// `pending`, `ongoing`, `succeeded`, `failed` or `ignored`, as the vmove shows it.
    pub status: &'static str,
    /// The Nova service host the instance is on now, if it has left the failed one.
    pub dest_host: Option<String>,
    /// The text for operators.
    pub message: Option<String>,
}

/// A run of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    pub phase: Phase,
    /// The index of the hook in its phase, from 0.
    pub number: u8,
    /// The number of the run, from 1.
    pub attempt: u32,
    pub hook: Hook,
    /// The recovery's instances; `None` before they are known.
    pub instances: Option<Vec<HookInstance>>,
    /// The reason why the host is known to be off, if it is.
    pub proof: Option<String>,
}

/// The result that a hook reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookVerdict {
    /// Exit code 0, or a status of 2xx.
    GoOn,
    /// Exit code 10, or status 409: the recovery ends successfully without further work.
    Skip,
    /// Any other result, including a time-out.
    Failed,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOutcome {
    /// The result by exit code or HTTP status.
    pub verdict: HookVerdict,
    /// One line for operators: the result and the beginning of the hook's output.
    pub text: String,
}
