//! The guards of one recovery. They are checked before anything is done, before a power-off, and before a host that was
//! found off is treated as lost. After a power-off they are not checked: the host's instances are down, and the fence is
//! followed to its end.

mod approval;
mod host_up;
pub(super) mod neighbours;
pub(super) mod off_claim;
mod region_probe;
mod silence;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use approval::Approval;
pub(super) use region_probe::RegionProbe;

use self::off_claim::{OffClaims, contradicts_claim};
use super::decision_context::DecisionContext;
use super::monitor_heartbeats::MonitorHeartbeats;
use super::service::{MAX_CONTRADICTED_TIME, ServiceTrack};
use super::silence::SilenceTrack;
use super::{HoldKind, RecoveryHold, Stage};
use crate::elapsed::Elapsed;
use crate::evidence::GivenEvidence;
use crate::guard::{self, DomainLoss, Guard, GuardFacts, GuardPhase, HostFacts, Region, Ruling};
use crate::policy::GuardPolicy;
use crate::recovery::{Command, DecisionTime, FenceOrder, Record, StepKind, Task};

/// Maximum age of a scan that counts.
const SCAN_LIFETIME: Duration = Duration::from_secs(3);

/// Interval between two scans while something is to be decided.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// Time after the start of a hold during which the event may still be growing; `GROWTH_SCAN_INTERVAL` is the interval of scans then.
const STORM_GROWTH_PERIOD: Duration = Duration::from_mins(2);
const GROWTH_SCAN_INTERVAL: Duration = Duration::from_secs(2);
/// Interval of scans later in a hold. Silence counts only while scans are at most 20 s apart.
pub(super) const HOLD_SCAN_INTERVAL: Duration = Duration::from_secs(15);

/// Time for which a storm must have ended before its hold ends, in addition to the limit of a heartbeat.
const STORM_END_DELAY: Duration = Duration::from_secs(5);

/// A wait for guards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardWait {
    /// The guards that delay the recovery.
    pub guards: BTreeSet<Guard>,
    /// The reason, as text for operators.
    pub reason: String,
    /// The start of the wait, in the recovery's elapsed time.
    pub since: Elapsed,
}

/// The durable state of the guards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardTrack {
    /// The guards that an operator's approval has lifted.
    pub lifted: BTreeSet<Guard>,
    /// The wait for guards, if there is one.
    pub waiting: Option<GuardWait>,
    /// The time since which the cliff has been seen.
    pub cliff_since: Option<Elapsed>,
    /// The guards whose warning was recorded.
    pub warned: BTreeSet<Guard>,
    /// True if the order of this episode has been counted.
    pub counted: bool,
    /// The heartbeats of the host's own monitors.
    pub heartbeats: MonitorHeartbeats,
    /// The time since which silence in Nova counts.
    pub silence: SilenceTrack,
    /// The approval that has lifted guards, with its limits.
    pub approval: Option<Approval>,
    #[serde(skip)]
    pub(super) region_probe: RegionProbe,
}

impl GuardTrack {
    /// Counts the order to switch a host off: once for each episode, whatever number of devices and tries that takes.
    pub(super) fn count_order(&mut self, lifted: &BTreeSet<Guard>, rules: &GuardPolicy, record: &mut Record) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        let unlimited = rules.fences == 0 || lifted.contains(&Guard::Rate);
        record.order = Some(FenceOrder {
            at_most: (!unlimited).then_some(rules.fences),
            within: rules.window,
        });
    }

    fn warn(&mut self, ruling: &Ruling, record: &mut Record) {
        for (guard, reason) in &ruling.warnings {
            if self.warned.insert(*guard) {
                record.head = true;
                let text = format!("{} {guard}: {reason}", guard.number());
                record.step(Task::Fence, StepKind::Note, 0.0, text);
            }
        }
    }

    /// Ends the wait, because no order is due that a guard could delay.
    pub(super) fn clear_wait(&mut self, record: &mut Record) {
        record.head |= self.waiting.take().is_some();
    }

    fn wait_for(&mut self, ruling: &Ruling, now: DecisionTime, record: &mut Record) {
        let guards: BTreeSet<Guard> = ruling.waits.iter().map(|wait| wait.0).collect();
        if guards.contains(&Guard::Rate)
            && let Some(approval) = &mut self.approval
        {
            approval.since = now.elapsed;
        }
        if guards.is_empty() {
            if self.waiting.take().is_some() {
                record.head = true;
                record.step(
                    Task::Fence,
                    StepKind::Note,
                    0.0,
                    "no guard blocks the recovery any more: it continues",
                );
            }
            return;
        }
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.guards == guards)
        {
            return;
        }
        let mut reason = reasons(&ruling.waits);
        if guards.iter().any(|guard| guard.can_be_lifted()) {
            reason.push_str(". It continues by itself; `tachi recovery approve` skips the wait");
        }
        record.head = true;
        record.step(
            Task::Fence,
            StepKind::Note,
            0.0,
            format!("waiting for {}", reasons(&ruling.waits)),
        );
        self.waiting = Some(GuardWait {
            guards,
            reason,
            since: now.elapsed,
        });
    }
}

/// The facts about the host itself, next to those that a scan of all hosts gives.
pub(super) struct Suspect<'a> {
    pub(super) service: &'a ServiceTrack,
    pub(super) claims: OffClaims<'a>,
    pub(super) silence: SilenceTrack,
    /// True if reports do not count any more.
    pub(super) seen_only: bool,
    /// True if neither Nova nor its power has been touched.
    pub(super) untouched: bool,
}

/// Borrows the host of a recovery, and leaves its other fields to be borrowed beside it.
macro_rules! suspect {
    ($recovery:ident) => {{
        let untouched = $recovery.is_untouched();
        $crate::host_recovery::guard::Suspect {
            service: &$recovery.service,
            claims: $crate::host_recovery::guard::off_claim::OffClaims::new(
                $recovery.off_claim.as_ref(),
                $recovery
                    .confirmation
                    .as_ref()
                    .map(|confirmation| confirmation.given_at),
                $recovery.reported_at,
                &$recovery.service,
            ),
            silence: $recovery.guard.silence,
            seen_only: $recovery.freeze.seen_only,
            untouched,
        }
    }};
}

pub(super) use suspect;

impl Suspect<'_> {
    /// Describes what supports the report that started the recovery.
    pub(super) fn supporting_evidence(&self, now: DecisionTime) -> String {
        if self.service.is_silent(now.elapsed) {
            "it has no current heartbeat in Nova".into()
        } else if let Some(given) = self.claims.uncontradicted_evidence() {
            given.evidence.sentence()
        } else {
            "more than one reporter has reported it".into()
        }
    }
}

impl GuardTrack {
    /// Drops the scans of the previous owner, so that the new owner scans again.
    pub(super) fn forget_answers(&mut self, now: Elapsed) {
        self.region_probe = RegionProbe::default();
        self.silence.claimed(now);
    }

    /// Restarts the guards as if nothing had been scanned yet, and no operator had approved anything.
    pub(super) fn restart(&mut self, now: Elapsed) {
        let mut region_probe = std::mem::take(&mut self.region_probe);
        region_probe.restart();
        let silence = SilenceTrack {
            again: Some(now),
            ..SilenceTrack::default()
        };
        *self = Self {
            silence,
            region_probe,
            heartbeats: std::mem::take(&mut self.heartbeats),
            ..Self::default()
        };
    }

    /// True if the guards of `phase` pass. Requests a scan first if the last one is too old.
    pub(super) fn pass_guards(
        &mut self,
        phase: GuardPhase,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        self.region_probe.request_if_due(ctx.now, SCAN_INTERVAL, commands);
        self.pass_last_scan(phase, suspect, ctx)
    }

    /// True if the guards let an order through, in a try that started with the guards of `approved` lifted.
    pub(super) fn allows_order(
        &mut self,
        approved: &BTreeSet<Guard>,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        self.region_probe.request_if_due(ctx.now, SCAN_INTERVAL, commands);
        self.judge(GuardPhase::Order, approved, suspect, ctx)
    }

    /// True if the guards let the recovery through by the last scan; false if that is too old.
    pub(super) fn pass_last_scan(
        &mut self,
        phase: GuardPhase,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        self.judge(phase, &BTreeSet::new(), suspect, ctx)
    }

    fn judge(
        &mut self,
        phase: GuardPhase,
        approved: &BTreeSet<Guard>,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        // A host that could not be confirmed off is tried again while an operator is shown the hold.
        if ctx.hold.as_ref().is_some_and(|hold| hold.kind != HoldKind::Fence) {
            return false;
        }
        let Some(region) = self.region_probe.fresh(ctx.now) else {
            return false;
        };
        let facts = self.facts(&region, suspect, ctx);
        let lifted = self.lifted.union(approved).copied().collect();
        let ruling = guard::rule(&facts, ctx.policy, phase, &lifted);
        self.warn(&ruling, ctx.record);
        if !ruling.holds.is_empty() {
            self.waiting = None;
            hold_for_guards(&ruling, &facts, &region, ctx);
            return false;
        }
        self.wait_for(&ruling, ctx.now, ctx.record);
        ruling.waits.is_empty()
    }

    fn rule(&self, facts: &GuardFacts, phase: GuardPhase, ctx: &DecisionContext<'_>) -> Ruling {
        guard::rule(facts, ctx.policy, phase, &self.lifted)
    }

    /// Updates the reason of a hold, because the event may grow in the meantime. Returns true if the storm has ended, and the
    /// recovery continues.
    pub(super) fn update_hold(
        &mut self,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        let now = ctx.now;
        let Some(hold) = ctx.hold.as_ref().filter(|hold| hold.kind == HoldKind::Storm) else {
            return false;
        };
        let growing = now.elapsed.since(hold.since) < STORM_GROWTH_PERIOD;
        let every = if growing {
            GROWTH_SCAN_INTERVAL
        } else {
            HOLD_SCAN_INTERVAL
        };
        let every = self.region_probe.up_track.scan_interval(now.elapsed, every);
        self.region_probe.request_if_due(now, every, commands);
        let Some(region) = self.region_probe.fresh(now) else {
            return false;
        };
        if self.end_if_host_up(&region, suspect, ctx) {
            return false;
        }
        let phase = if *ctx.stage == Stage::Begin {
            GuardPhase::Begin
        } else {
            GuardPhase::Proof
        };
        let facts = self.facts(&region, suspect, ctx);
        let ruling = self.rule(&facts, phase, ctx);
        if self.end_hold_after_storm(&region, &facts, phase, ctx) {
            return true;
        }
        let Some(hold) = ctx.hold.as_ref() else {
            return false;
        };
        let named = |ruling: &Ruling| -> BTreeSet<Guard> { ruling.holds.iter().map(|hold| hold.0).collect() };
        let more = named(&ruling).difference(&hold.guards).next().is_some();
        let lost = |domain: Option<&DomainLoss>| domain.map_or(0, |domain| domain.lost);
        let grown = domain_of(&ruling, &facts).is_some_and(|now| now.lost > lost(hold.domain.as_ref()));
        if more || grown {
            let (since, before, hosts) = (hold.since, hold.guards.clone(), hold.hosts.clone());
            hold_for_guards(&ruling, &facts, &region, ctx);
            if let Some(hold) = ctx.hold.as_mut() {
                hold.since = since;
                hold.hosts.extend(hosts);
                // A guard that an operator has seen stays in the reason.
                hold.guards.extend(before);
            }
        }
        false
    }

    /// Ends the hold once the hosts that were counted with this one are up in Nova again: there was no storm, or it is over. One dead
    /// host among false reports is left, and the recovery continues by itself, but past no guard that still holds it.
    fn end_hold_after_storm(
        &mut self,
        region: &Region,
        facts: &GuardFacts,
        phase: GuardPhase,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let (now, policy) = (ctx.now, ctx.policy);
        let nobody = BTreeSet::new();
        let hosts = ctx.hold.as_ref().map_or(&nobody, |hold| &hold.hosts);
        let calm = region
            .lasting_facts(ctx.host_id, hosts, policy, facts)
            .is_some_and(|lasting| self.rule(&lasting, phase, ctx).holds.is_empty());
        if !calm {
            self.region_probe.below_limit_since = None;
            return false;
        }
        let since = *self.region_probe.below_limit_since.get_or_insert(now.elapsed);
        // A host that has died meanwhile is silent by then.
        if now.elapsed.since(since)
            < policy.silent_after().max(policy.others_silent_after()) + STORM_END_DELAY
        {
            return false;
        }
        *ctx.hold = None;
        self.region_probe.below_limit_since = None;
        self.region_probe.clear();
        ctx.record.head = true;
        ctx.record.step(
            Task::Fence,
            StepKind::Note,
            0.0,
            "Nova shows the other failed hosts up again: the recovery continues",
        );
        true
    }

    /// Ends a recovery on hold whose host has been up in Nova again for a while: it was not dead. Returns true if it has ended.
    pub(super) fn end_if_host_up(
        &mut self,
        region: &Region,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let now = ctx.now;
        let is_up = region.has_current_heartbeat(ctx.host, ctx.policy) && !suspect.service.was_silent();
        let region_probe = &mut self.region_probe;
        region_probe.was_ever_silent |= !is_up;
        let heartbeat = region.last_heartbeat(ctx.host);
        let newer = region_probe.has_new_heartbeat(now, heartbeat);
        let denied = |given: &GivenEvidence| {
            heartbeat.is_some_and(|heartbeat| contradicts_claim(heartbeat, given.dated()))
        };
        let may_be_fenced = suspect.claims.evidence().is_some_and(|given| !denied(given));
        if !is_up || may_be_fenced || !suspect.untouched {
            region_probe.up_track.reset();
            return false;
        }
        // Only right after a heartbeat: a host that has died since the last one may have been reported already, and that report has
        // joined this recovery. Nothing else would handle it.
        if region_probe.up_track.up_time(now.elapsed) < MAX_CONTRADICTED_TIME || !newer {
            return false;
        }
        *ctx.hold = None;
        let text = format!(
            "host {} was suspected, and has been up in Nova for {} s: it is not down, and nothing was done",
            ctx.host,
            MAX_CONTRADICTED_TIME.as_secs()
        );
        ctx.record.contradicted = !self.region_probe.was_ever_silent;
        ctx.dismiss(text);
        true
    }

    /// Waits for the rate limit, because the journal has orders that the last scan did not show.
    pub(super) fn order_refused(&mut self, ctx: &mut DecisionContext<'_>) {
        self.counted = false;
        self.region_probe.clear();
        let rules = &ctx.policy.guards;
        let ruling = Ruling {
            waits: vec![(Guard::Rate, guard::too_many(rules.fences, rules.window))],
            ..Ruling::default()
        };
        self.wait_for(&ruling, ctx.now, ctx.record);
    }

    fn facts(&mut self, region: &Region, suspect: &Suspect<'_>, ctx: &mut DecisionContext<'_>) -> GuardFacts {
        let now = ctx.now;
        self.recheck_approval(region, ctx);
        let own = HostFacts {
            silent: suspect.is_surely_silent(now.elapsed, ctx.policy),
            evidence: suspect.claims.uncontradicted_evidence().is_some(),
            cliff_for: Duration::ZERO,
        };
        let mut facts = region.facts(ctx.host_id, ctx.host, ctx.id, own, ctx.policy);
        let since = guard::sees_cliff(&facts, ctx.policy).then(|| self.cliff_since.unwrap_or(now.elapsed));
        ctx.record.head |= since != self.cliff_since;
        self.cliff_since = since;
        facts.own.cliff_for = since.map_or(Duration::ZERO, |since| now.elapsed.since(since));
        facts
    }

    /// True if more than one report supports it (G3).
    pub(super) fn is_corroborated(&self, suspect: &Suspect<'_>, ctx: &DecisionContext<'_>) -> bool {
        let reports = !suspect.seen_only;
        suspect.is_surely_silent(ctx.now.elapsed, ctx.policy)
            || reports && suspect.claims.uncontradicted_evidence().is_some()
            || reports && self.region_probe.has_two_reporters(ctx.host_id, ctx.policy)
    }
}

fn hold_for_guards(ruling: &Ruling, facts: &GuardFacts, region: &Region, ctx: &mut DecisionContext<'_>) {
    let domain = domain_of(ruling, facts);
    let mut reason = reasons(&ruling.holds);
    if let Some(domain) = &domain {
        reason = format!(
            "{}; approve all with `tachi recovery approve --domain {}` ({reason})",
            domain.sentence(),
            domain.name
        );
    }
    let text = format!("on hold: {reason}");
    ctx.record.step(Task::Fence, StepKind::Note, 0.0, text);
    *ctx.hold = Some(RecoveryHold {
        kind: HoldKind::Storm,
        reason,
        since: ctx.now.elapsed,
        guards: ruling.holds.iter().map(|hold| hold.0).collect(),
        domain,
        hosts: region.out(ctx.policy).map(str::to_owned).collect(),
    });
    ctx.record.head = true;
}

fn reasons(found: &[(Guard, String)]) -> String {
    let each: Vec<String> = found
        .iter()
        .map(|(guard, reason)| format!("{} {guard}: {reason}", guard.number()))
        .collect();
    each.join("; ")
}

/// Returns the domain that was lost as a whole, if the guards against many failures hold the recovery. Of several, the
/// smallest explains most.
fn domain_of(ruling: &Ruling, facts: &GuardFacts) -> Option<DomainLoss> {
    let many = |(guard, _): &(Guard, String)| matches!(guard, Guard::Segment | Guard::Global | Guard::Cliff);
    if !ruling.holds.iter().any(many) {
        return None;
    }
    facts
        .domains
        .iter()
        .filter(|domain| domain.is_whole())
        .min_by_key(|domain| domain.hosts)
        .cloned()
}
