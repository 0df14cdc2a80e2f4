//! The return of a recovered host to service: what blocks it, and what is left to do.

mod blocking_evacuations;
mod checks;
mod enable;
mod facts;
mod steps;

pub use checks::{Check, CheckResult, checks};
pub use enable::{enable, ready};
pub use facts::{ReturnFacts, ReturnPorts};

use crate::{ReturnCheckView, ReturnView};

/// Returns the checks and steps.
pub fn view(facts: &ReturnFacts) -> ReturnView {
    let checked = checks(facts);
    let host = &facts.view.host;
    ReturnView {
        host: host.name.clone(),
        segment: host.segment.name.clone(),
        ready: is_ready(&checked),
        checks: checked
            .into_iter()
            .map(|check| ReturnCheckView {
                verdict: check.verdict.as_str().to_owned(),
                text: check.text,
            })
            .collect(),
        steps: steps::steps(facts).into_iter().map(steps::Step::view).collect(),
    }
}

/// True if nothing blocks the host's return to service.
pub fn is_ready(checked: &[Check]) -> bool {
    !checked.iter().any(Check::is_blocker)
}
