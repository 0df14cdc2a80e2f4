//! The progress of the starts, as the notification shows it.

use super::super::{HostRecovery, StartEnd};
use crate::count;

/// Returns the part of the notification's message about excluded instances.
pub(in super::super) fn summary(state: &HostRecovery) -> String {
    let starts = || state.moves.values().filter_map(|instance| instance.start);
    let ended = |end: StartEnd| starts().filter(|start| start.end == Some(end)).count();
    let (all, started, failed) = (
        starts().count(),
        ended(StartEnd::Started),
        ended(StartEnd::NotStarted),
    );
    if all == 0 {
        String::new()
    } else if started + failed < all {
        format!(
            "; {} started when {} has returned",
            count(all, "excluded instance is", "excluded instances are"),
            state.host
        )
    } else {
        let again = count(started, "excluded instance runs", "excluded instances run");
        let not = if failed == 0 {
            String::new()
        } else {
            format!(", {failed} not started")
        };
        format!("; {again} on {} again{not}", state.host)
    }
}
