//! The start of an excluded instance after the host's return, as it is stored.

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;

/// A journalled start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartCall {
    pub at: Elapsed,
    /// True if Nova has accepted it. Otherwise it may take effect until D + Q have passed.
    pub answered: bool,
}

/// The end of an excluded instance's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartEnd {
    /// The instance runs again.
    Started,
    /// The instance was not started; the move's note gives the reason.
    NotStarted,
}

/// The start of an excluded instance after its host's return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExcludedStart {
    /// The number of starts that were requested.
    pub tries: u32,
    /// The latest request.
    #[serde(rename = "asked")]
    pub requested: Option<StartCall>,
    /// The end; `None` while it is to be started.
    pub end: Option<StartEnd>,
}
