//! The process monitor.

use crate::check::{Check, Finding};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::monitor::Monitor;
use crate::settings::Settings;

/// The monitor.
pub(crate) fn monitor(_settings: &Settings, _clock: &Clock) -> Result<Box<dyn Monitor>, Failure> {
    Err(Failure::told("the process monitor is not in this build"))
}

/// What `tachi-monitor check` looks at.
pub(crate) struct Checks;

#[async_trait::async_trait]
impl Check for Checks {
    async fn check(&self, _settings: &Settings) -> Vec<Finding> {
        vec![Finding::wrong(
            "process",
            "the process monitor is not in this build",
        )]
    }
}
