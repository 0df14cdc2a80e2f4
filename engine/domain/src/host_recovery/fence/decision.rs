//! The decisions of the fencing stage: the queries to devices, the power-off commands, and the proof.

use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::decision_context::{DecisionContext, decision_context};
use super::super::freeze_state;
use super::super::guard::off_claim::confirmed_off;
use super::super::guard::{GuardTrack, Suspect, suspect};
use super::super::monitor_heartbeats::HeartbeatJudgement;
use super::super::service::{MAX_CONTRADICTED_TIME, ServiceTrack};
use super::super::{HoldKind, HostRecovery, Stage, missing_claim};
use super::confirmation::{self, OffConfirmation};
use super::{Failure, Fence, Order};
use crate::elapsed::Elapsed;
use crate::entity::host::MaintenanceReason;
use crate::entity::notification::NotificationStatus;
use crate::guard::GuardPhase;
use crate::policy::{BareNormal, FencingMode};
use crate::proof::Proof;
use crate::recovery::{Command, DecisionTime, Record, StepKind, Task};

/// Maximum age of a heartbeat that proves a host was still running, so that no report can have been made since.
const FRESH_HEARTBEAT_AGE: Duration = Duration::from_secs(2);

impl HostRecovery {
    pub(in super::super) fn act_fencing(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.rejected.is_some() {
            self.finish_rejected(now, record);
            return;
        }
        self.follow_moves(now, record, commands);
        if self.hold.is_some() {
            let suspect = suspect!(self);
            let mut ctx = decision_context!(self, now, record);
            if self.guard.update_hold(&suspect, &mut ctx, commands) {
                self.fence.begin_again(now.elapsed, &self.policy);
            }
            self.act_on_hold(now, record, commands);
            if self
                .hold
                .as_ref()
                .is_some_and(|hold| hold.kind == HoldKind::Storm)
            {
                follow_orders(self, now, commands);
            }
            return;
        }
        if let Some(why) = self.block_reason() {
            // A host that was ordered off, or has moves in flight, must not be forgotten: the fence is followed to its
            // proof. Nothing more is started while that is blocked.
            if self.is_untouched() {
                decision_context!(self, now, record).end(NotificationStatus::Ignored, Some(why));
            } else {
                follow_orders(self, now, commands);
            }
            return;
        }
        if self.in_flight.stopped {
            return;
        }
        let ordered = self.fence.ordered;
        self.guard
            .region_probe
            .request_scan_for_order(ordered, now, commands);
        let every = match (self.policy.fencing, self.policy.bare_normal) {
            (FencingMode::External, BareNormal::Wait(limit))
                if self.service.may_be_still_for(limit, now.elapsed) =>
            {
                Duration::ZERO
            }
            _ => Duration::from_secs(1),
        };
        self.service.request_if_due(now, every, commands);
        if let Some(why) = missing_claim(self) {
            // An approval claims nothing about the host.
            return decision_context!(self, now, record)
                .hold_until(why, "Power the host off, then confirm that it is off");
        }
        let suspect = suspect!(self);
        let mut ctx = decision_context!(self, now, record);
        let (fence, guard) = (&mut self.fence, &mut self.guard);
        let proof = match self.policy.fencing {
            FencingMode::Engine | FencingMode::DryRun if self.confirmation.is_some() => {
                confirmation::act(&mut self.confirmation, fence, guard, &suspect, &mut ctx, commands)
            }
            FencingMode::Engine | FencingMode::DryRun => {
                fence.act_levels(guard, &suspect, &mut ctx, commands);
                None
            }
            FencingMode::External => {
                accepted_claim(self.confirmation.as_mut(), fence.began, guard, &suspect, &mut ctx)
            }
        };
        if let Some(proof) = proof {
            self.proven(proof, now, record);
        }
    }

    pub(in super::super) fn proven(&mut self, proof: Proof, now: DecisionTime, record: &mut Record) {
        let sentence = proof.sentence(&self.host);
        if self.policy.fencing == FencingMode::DryRun {
            let reason = format!(
                "dry-run: {sentence}; its instances would now be evacuated. Nothing was done; abort the recovery"
            );
            record.step(Task::Fence, StepKind::Note, 0.5, reason.clone());
            return decision_context!(self, now, record).hold(HoldKind::DryRun, reason);
        }
        record.step(Task::Fence, StepKind::Outcome, 1.0, sentence);
        record.proofs.push(proof.clone());
        self.proofs += 1;
        let is_claim = proof.is_claim();
        self.proof = Some(proof);
        if let Some(confirmation) = self.confirmation.take().filter(|_| is_claim) {
            confirmed_off(&mut self.off_claim, confirmation.given_at);
        }
        self.in_flight.blockers.end(BlockerKind::Power);
        self.in_flight.blockers.end(BlockerKind::PowerOff);
        self.in_flight.blockers.end(BlockerKind::HostUp);
        self.in_flight.blockers.end(BlockerKind::Monitors);
        self.fence
            .record_confirmed_off(&mut decision_context!(self, now, record));
        // Clients see from now on that the host is not protected any more.
        record.host = Some(MaintenanceReason::Recovery);
        // The heartbeats that Nova got before the proof show nothing about what comes after it.
        let last_heartbeat = self.service.last_heartbeat().filter(|_| is_claim);
        self.service.begin_again(now.elapsed);
        // A claim was accepted because there was no heartbeat: any later one contradicts it.
        self.service.mark = last_heartbeat;
        self.enter(Stage::Disabling, record);
    }
}

/// Follows earlier orders to their proof while nothing may be started.
fn follow_orders(state: &mut HostRecovery, now: DecisionTime, commands: &mut Vec<Command>) {
    if !state.fence.ordered || !state.policy.fencing.queries_devices() {
        return;
    }
    state
        .service
        .request_if_due(now, state.policy.heartbeat_poll, commands);
    if state.fence.request_levels(now, commands) {
        state.fence.read_devices(now, commands);
    }
}

/// Mode `external`: returns the proof from the claim of the notification, once that claim counts.
fn accepted_claim(
    mut confirmation: Option<&mut OffConfirmation>,
    began: Elapsed,
    guard: &mut GuardTrack,
    suspect: &Suspect<'_>,
    ctx: &mut DecisionContext<'_>,
) -> Option<Proof> {
    let now = ctx.now.elapsed;
    if let Some(confirmation) = confirmation.as_deref_mut() {
        confirmation.waits_for_silence = true;
    }
    if !suspect.service.is_silent(now) {
        if let Some(heartbeat) = suspect.service.up_evidence(now) {
            suspect.contradicted(&heartbeat, began, guard, ctx);
        }
        return None;
    }
    if let Some(heartbeat) = suspect.claims.contradicting_heartbeat() {
        suspect.contradicted(&heartbeat, began, guard, ctx);
        return None;
    }
    if let Some(claim) = suspect.claims.claim() {
        let shown = guard.region_probe.heartbeats(ctx.host_id);
        match guard.heartbeats.judge(&claim, began, shown, ctx) {
            HeartbeatJudgement::Silent => ctx.blockers.end(BlockerKind::Monitors),
            HeartbeatJudgement::Undecided(why) => {
                ctx.blockers.begin(BlockerKind::Monitors, ctx.now, || why);
                return None;
            }
            HeartbeatJudgement::Contradicted(why) => {
                ctx.hold_fence(&why);
                return None;
            }
        }
    }
    if !suspect.is_surely_silent(now, ctx.policy) {
        guard.wait_for_silence(suspect, ctx);
        return None;
    }
    ctx.blockers.end(BlockerKind::HostUp);
    let evidence = suspect.claims.uncontradicted_evidence();
    if let Some(confirmation) = confirmation.as_deref_mut() {
        confirmation.waits_for_silence = false;
    }
    let answered_for = confirmation.is_some() || evidence.is_some();
    if suspect.service.bare_claim_waits(answered_for, ctx)
        || !guard.pass_last_scan(GuardPhase::Proof, suspect, ctx)
    {
        return None;
    }
    Some(match confirmation {
        Some(confirmation) => Proof::from_person(ctx.notification, &confirmation.by, now),
        None => Proof::from_claim(ctx.notification, evidence, now),
    })
}

impl Fence {
    /// Works on the current level, and on the next one when it has failed.
    pub(super) fn act_levels(
        &mut self,
        guard: &mut GuardTrack,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        let (now, policy) = (ctx.now, ctx.policy);
        if !self.request_levels(now, commands) {
            return;
        }
        let levels = self.levels.as_ref().map_or(0, Vec::len);
        for _ in 0..=levels {
            let failure = match self.current() {
                None => Some(Failure {
                    why: "no fence device is configured for it".to_owned(),
                    lasting: false,
                }),
                Some(level) => self.level_failure(level, policy, now),
            };
            let Some(failure) = failure else { break };
            if !self.next_level(&failure, ctx) {
                return;
            }
        }
        if self.needs_order(policy, now) {
            // Each order is checked for itself, even if there were orders before.
            if guard.is_corroborated(suspect, ctx) {
                if guard.allows_order(&self.approved, suspect, ctx, commands) {
                    self.order_off(guard, suspect, ctx, commands);
                }
            } else if let Some(evidence) = suspect.service.up_evidence(now.elapsed) {
                suspect.contradicted(&evidence, self.began, guard, ctx);
            } else {
                guard.wait_for_silence(suspect, ctx);
            }
            // The recovery has ended, or waits for an operator: no further query is made. But an earlier order may have taken effect.
            let waits = ctx.hold.as_ref().is_some_and(|hold| match hold.kind {
                HoldKind::Storm => !self.ordered,
                HoldKind::Fence | HoldKind::Alive | HoldKind::DryRun => !self.retrying,
            });
            if *ctx.stage != Stage::Fencing || waits {
                return;
            }
        } else if self.ordered {
            guard.clear_wait(ctx.record);
        }
        self.read_devices(now, commands);
    }

    fn order_off(
        &mut self,
        guard: &mut GuardTrack,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        if !freeze_state::allows_order(ctx) {
            return;
        }
        let (now, host, policy) = (ctx.now, ctx.host, ctx.policy);
        let beside = suspect.supporting_evidence(now);
        let mark = ctx.mark();
        let last_answer = self.last_word.clone().unwrap_or_default();
        let Some(level) = self.current().cloned() else {
            return;
        };
        if policy.fencing == FencingMode::DryRun {
            let reason = format!(
                "dry-run: host {host} is reported down, {beside}, and {last_answer}; {level} would now power it off, and its instances \
                 would be evacuated. Nothing was done; abort the recovery"
            );
            ctx.record.step(Task::Fence, StepKind::Note, 0.3, reason.clone());
            return ctx.hold(HoldKind::DryRun, reason);
        }
        let record = &mut *ctx.record;
        for (index, device) in level.devices.iter().enumerate() {
            if !self.may_order_off(index, device, policy, now) {
                continue;
            }
            let again = self.orders_of(&device.target).next().is_some();
            self.orders.push(Order {
                target: Some(device.target.clone()),
                level: level.number,
                at: now.elapsed,
                limit: device.patience(policy),
                call: device.call,
                answered: false,
                seen_off: false,
            });
            self.ordered = true;
            self.approved.extend(guard.lifted.iter().copied());
            record.unless_frozen.own = true;
            guard.count_order(&self.approved, &policy.guards, record);
            let device_state = self.device_state(index);
            device_state.ordering = true;
            device_state.first_off = None;
            device_state.latest_off = None;
            if !again {
                device_state.waited = Duration::ZERO;
            }
            record.head = true;
            let text = if again {
                format!(
                    "{last_answer} after half of the timeout: sending the power-off through {} to {host} again",
                    device.target
                )
            } else {
                format!(
                    "powering off {host} by level {} ({}): it is reported down, {beside}, and {last_answer}",
                    level.number, device.target
                )
            };
            record.step(Task::Fence, StepKind::Intent, 0.3, text);
            commands.push(Command::PowerOff {
                target: device.target.clone(),
                reason: format!("{mark}: host recovery"),
            });
        }
        ctx.blockers.end(BlockerKind::HostUp);
        ctx.blockers.begin(BlockerKind::PowerOff, now, || {
            format!("waiting for {host} to be off")
        });
    }
}

impl Suspect<'_> {
    /// Handles a host that is reported dead while it is still up in Nova. Waits a while, then gives the report up, so that a later
    /// report is not taken for a repetition.
    pub(super) fn contradicted(
        &self,
        heartbeat: &str,
        began: Elapsed,
        guard: &GuardTrack,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, host) = (ctx.now, ctx.host);
        let doubted = now.elapsed.since(began);
        if doubted >= MAX_CONTRADICTED_TIME && self.service.is_given_up_after(doubted, now.elapsed) {
            let message = format!(
                "host {host} is reported down; {heartbeat} and it is not confirmed off: nothing was done"
            );
            if self.service.was_silent() {
                // Nova has shown it silent. A change of its service's record looks like a heartbeat, so an operator has to decide.
                ctx.hold_fence(heartbeat);
            } else if self.untouched {
                ctx.record.contradicted = !guard.region_probe.was_ever_silent;
                ctx.dismiss(message);
            } else {
                // Something of an earlier episode is not finished yet: it must not be forgotten.
                ctx.hold_fence(&message);
            }
        } else {
            let text =
                format!("host {host} is reported down; {heartbeat}: waiting for the heartbeat to stop");
            ctx.blockers.set(BlockerKind::HostUp, now, text);
        }
    }
}

impl ServiceTrack {
    /// True if a report may be given up now, which is right after a heartbeat. A host that has died since its last heartbeat may have
    /// been reported already, and that report has joined this recovery: nothing else would handle it. If clocks differ, no heartbeat
    /// ever appears this fresh. After a while a heartbeat that was seen to arrive just now is enough. A host that Nova has shown silent
    /// is put on hold, and not given up.
    fn is_given_up_after(&self, doubted: Duration, now: Elapsed) -> bool {
        let seen_to_come = || self.moved_ago(now).is_none_or(|ago| ago <= FRESH_HEARTBEAT_AGE);
        self.heartbeat_age(now)
            .is_none_or(|age| age <= FRESH_HEARTBEAT_AGE)
            || doubted >= MAX_CONTRADICTED_TIME * 2 && (self.was_silent() || seen_to_come())
    }

    /// True while a claim without evidence has to wait: until the heartbeat has stood still for as long as Masakari would have waited.
    fn bare_claim_waits(&self, answered_for: bool, ctx: &mut DecisionContext<'_>) -> bool {
        let BareNormal::Wait(limit) = ctx.policy.bare_normal else {
            return false;
        };
        if answered_for || self.still_for() >= limit {
            ctx.blockers.end(BlockerKind::BareClaim);
            return false;
        }
        let (host, seconds) = (ctx.host, limit.as_secs());
        ctx.blockers.begin(BlockerKind::BareClaim, ctx.now, || {
            format!(
                "host {host} is reported off without evidence: waiting until it has sent no heartbeat for {seconds} s, as \
                 Masakari waits ([fencing] normal_without_evidence); to skip the wait, confirm that it is off"
            )
        });
        true
    }
}
