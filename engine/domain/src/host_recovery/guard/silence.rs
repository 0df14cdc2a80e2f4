//! Checks if a missing heartbeat in Nova shows anything about the host.

use std::collections::BTreeSet;

use super::super::blockers::BlockerKind;
use super::super::decision_context::DecisionContext;
use super::{GuardTrack, Suspect};
use crate::elapsed::Elapsed;
use crate::guard::{Guard, GuardFacts, GuardResult, Region, Ruling, sees_cliff};
use crate::policy::Policy;

/// True if Nova's view shows nothing about single hosts. An operator's approval may have lifted all of these guards except G1.
fn is_deaf(
    facts: &GuardFacts,
    region: &Region,
    host: &str,
    lifted: &BTreeSet<Guard>,
    rules: &Policy,
) -> bool {
    let trips = |guard: Guard| !matches!(guard.check(facts, rules), GuardResult::Pass);
    let approved = lifted.contains(&Guard::AllStale) || lifted.contains(&Guard::Cliff);
    trips(Guard::Observer)
        || (!lifted.contains(&Guard::AllStale) && trips(Guard::AllStale))
        || (!lifted.contains(&Guard::Cliff) && sees_cliff(facts, rules))
        || (!approved && region.is_deaf_to_all_but(host, rules))
}

impl GuardTrack {
    /// Updates the track of silence after a scan.
    pub(in super::super) fn note_silence(&mut self, ctx: &mut DecisionContext<'_>) {
        let Some((requested_at, region)) = self.region_probe.last() else {
            return;
        };
        let rules = ctx.policy;
        let is_deaf = region.nova.is_ok().then(|| {
            let own = crate::guard::HostFacts::default();
            let facts = region.facts(ctx.host_id, ctx.host, ctx.id, own, rules);
            is_deaf(&facts, &region, ctx.host, &self.lifted, rules)
        });
        ctx.record.head |= self.silence.record_scan(requested_at, is_deaf);
    }

    /// Delays the recovery while the silence of the host in Nova does not count yet.
    pub(in super::super) fn wait_for_silence(
        &mut self,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
    ) {
        if !suspect.service.is_silent(ctx.now.elapsed) {
            return;
        }
        let (host, rules) = (ctx.host, ctx.policy);
        if self.silence.is_deaf_now() {
            let reason = "most other compute services have no current heartbeat in Nova either, so that of this host shows nothing";
            let ruling = Ruling {
                waits: vec![(Guard::AllStale, reason.into())],
                ..Ruling::default()
            };
            return self.wait_for(&ruling, ctx.now, ctx.record);
        }
        self.clear_wait(ctx.record);
        let after = if self.silence.deaf.is_some() {
            rules.silent_after_deafness()
        } else {
            rules.silent_after()
        };
        // Nova may have shown it up before, and the reason follows what it shows.
        let text = format!(
            "{host} has no current heartbeat in Nova: that counts once it has sent none for {} s",
            after.as_secs()
        );
        ctx.blockers.set(BlockerKind::HostUp, ctx.now, text);
    }
}

impl Suspect<'_> {
    /// True if the host is down in Nova, has been seen silent for long enough, and others are up.
    pub(in super::super) fn is_surely_silent(&self, now: Elapsed, rules: &Policy) -> bool {
        self.service.is_silent(now) && self.service.has_stood_still(&self.silence, rules)
    }
}
