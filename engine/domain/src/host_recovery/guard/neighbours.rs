//! Concurrent host failures.
//!
//! If a row loses its power, the first of its hosts is confirmed off while Nova still shows the others up. Nova's scheduler
//! would send instances to them. Such an evacuation stays in the queue of a dead host, and cannot be requested elsewhere for
//! minutes. The first evacuations therefore wait a moment until Nova no longer chooses the others.

use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::decision_context::DecisionContext;
use super::region_probe::RegionProbe;
use crate::elapsed::Elapsed;
use crate::recovery::Command;

/// Longest wait. Power controllers of hosts without power take seconds to read "off" twice, and in any case Nova does not choose
/// a host that has sent no heartbeat for a minute.
const MAX_NEIGHBOUR_WAIT: Duration = Duration::from_secs(12);

/// The wait for hosts that fail together with this one. Not stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Neighbours {
    since: Option<Elapsed>,
    over: bool,
}

impl Neighbours {
    /// True if evacuations wait for other hosts to be confirmed off.
    pub(in super::super) fn waits_for_neighbours(
        &mut self,
        region_probe: &mut RegionProbe,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        if self.over {
            return false;
        }
        let now = ctx.now;
        let since = *self.since.get_or_insert(now.elapsed);
        let late = now.elapsed.since(since) >= MAX_NEIGHBOUR_WAIT;
        if late || !region_probe.has_other_recoveries(ctx.host_id) {
            return self.end(ctx);
        }
        region_probe.request_scan_now(now, commands);
        let Some(region) = region_probe.fresh(now) else {
            return true;
        };
        let dying: Vec<&str> = region.schedulable_lost_hosts(ctx.host_id, ctx.policy).collect();
        if dying.is_empty() && region.nova.is_ok() {
            return self.end(ctx);
        }
        ctx.blockers.begin(BlockerKind::Neighbours, now, || {
            format!(
                "Nova may still choose {}, reported dead too: waiting until it is confirmed off",
                named(&dying)
            )
        });
        true
    }

    fn end(&mut self, ctx: &mut DecisionContext<'_>) -> bool {
        self.over = true;
        ctx.blockers.end(BlockerKind::Neighbours);
        false
    }
}

/// Names the first few hosts, and counts the rest.
fn named(hosts: &[&str]) -> String {
    const MAX_LISTED_NAMES: usize = 3;
    let first = hosts[..hosts.len().min(MAX_LISTED_NAMES)].join(", ");
    match hosts.len().saturating_sub(MAX_LISTED_NAMES) {
        0 if hosts.is_empty() => "hosts".into(),
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
