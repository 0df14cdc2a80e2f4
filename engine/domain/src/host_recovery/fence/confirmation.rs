//! An operator's confirmation by hand that the host is off, for when no device can show it.
//!
//! The confirmation counts like a claim in mode `external`: only while the host is down in Nova and its heartbeat does not
//! advance. Every level is queried again first: a device that reads "on" contradicts it, and one that reads "off" is the
//! better proof.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::blockers::BlockerKind;
use super::super::decision_context::{DecisionContext, decision_context};
use super::super::guard::{GuardTrack, Suspect};
use super::super::monitor_heartbeats::{HeartbeatJudgement, OffReport};
use super::super::service::MAX_CONTRADICTED_TIME;
use super::super::{HostRecovery, Stage};
use super::Fence;
use crate::elapsed::Elapsed;
use crate::guard::GuardPhase;
use crate::policy::FencingMode;
use crate::proof::Proof;
use crate::recovery::{Command, DecisionTime, OperatorRequest, Record, StepKind, Task};
use crate::timestamp::Timestamp;

/// An operator's confirmation, until it is accepted or contradicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffConfirmation {
    /// The operator and the reason.
    pub by: String,
    /// The time at which the operator gave it.
    #[serde(rename = "said")]
    pub given_at: Timestamp,
    /// The time at which the recovery received it.
    #[serde(rename = "heard")]
    pub received_at: Elapsed,
    /// The time that it has waited for anything but devices and silence.
    #[serde(default)]
    pub waited: Duration,
    /// The time up to which `waited` is counted.
    #[serde(default)]
    pub counted: Elapsed,
    /// True if it has waited for devices or silence since then.
    #[serde(skip)]
    pub(super) waits_for_silence: bool,
}

/// Time for which it counts in any case, by the database's clock.
const CONFIRMATION_LIFETIME: Duration = Duration::from_mins(10);

/// Maximum time that it may wait for anything but devices and silence.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_mins(2);

impl OffConfirmation {
    /// True if a confirmation given at `given_at` may still be acted on at `clock`, the database's time.
    pub fn is_in_time(given_at: Timestamp, clock: Timestamp) -> bool {
        clock <= given_at.plus(CONFIRMATION_LIFETIME)
    }

    /// True if it may still be acted on.
    fn is_pending(&mut self, clock: Timestamp, now: Elapsed) -> bool {
        if !std::mem::take(&mut self.waits_for_silence) {
            self.waited += now.since(self.counted);
        }
        self.counted = now;
        self.waited < CONFIRMATION_TIMEOUT && Self::is_in_time(self.given_at, clock)
    }
}

/// Ends a confirmation that the recovery could not act on in time. The operator's observation may be outdated, so a new
/// one is required.
pub(in super::super) fn end_confirmation(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    let clock = state
        .operator_state
        .as_ref()
        .and_then(|operator_state| operator_state.clock);
    let clock = clock.unwrap_or(now.wall);
    let Some(confirmation) = &mut state.confirmation else {
        // What an operator has overridden counts for this confirmation, and for the proof by it.
        if state.proof.is_none() {
            record.head |= std::mem::take(&mut state.guard.heartbeats.overridden);
        }
        return;
    };
    if confirmation.is_pending(clock, now.elapsed) {
        return;
    }
    let why = "the recovery could not act on that in time: check the host, and confirm it again";
    let text = format!("{} confirmed that it is off, but {why}", confirmation.by);
    let mut ctx = decision_context!(state, now, record);
    if *ctx.stage == Stage::Fencing && ctx.hold.is_none() {
        return reject_confirmation(&mut state.confirmation, why, &mut state.fence, &mut ctx);
    }
    state.confirmation = None;
    record.head = true;
    record.step(Task::Fence, StepKind::Note, 0.0, text);
}

/// Handles an operator's confirmation, which has waited for an engine. Returns true if it has to be checked.
pub(in super::super) fn apply(
    known: &mut Option<OffConfirmation>,
    (action, waited): (&OperatorRequest, Duration),
    ctx: &mut DecisionContext<'_>,
) -> bool {
    let why_not = match (*ctx.stage, ctx.policy.fencing) {
        (Stage::Begin | Stage::Fencing, FencingMode::Engine | FencingMode::External) => None,
        (Stage::Begin | Stage::Fencing, FencingMode::DryRun) => Some("in mode dry-run nothing is evacuated"),
        _ => Some("the host is confirmed off"),
    };
    if let Some(why_not) = why_not {
        let text = format!(
            "{} confirmed that the host is off: nothing changes, because {why_not}",
            action.by
        );
        ctx.record.step(Task::Fence, StepKind::Note, 0.0, text);
        return false;
    }
    *known = Some(OffConfirmation {
        by: action.by.clone(),
        given_at: action.at,
        received_at: ctx.now.elapsed,
        waited,
        counted: ctx.now.elapsed,
        waits_for_silence: false,
    });
    true
}

/// Queries every level once, and then accepts the confirmation unless the host is up in Nova.
pub(super) fn act(
    known: &mut Option<OffConfirmation>,
    fence: &mut Fence,
    guard: &mut GuardTrack,
    suspect: &Suspect<'_>,
    ctx: &mut DecisionContext<'_>,
    commands: &mut Vec<Command>,
) -> Option<Proof> {
    let now = ctx.now;
    if let Some(confirmation) = known {
        confirmation.waits_for_silence = true;
    }
    if !fence.request_levels(now, commands) {
        return None;
    }
    fence.read_devices(now, commands);
    if !fence.is_level_unclear() {
        return None;
    }
    if fence.advance_level(now.elapsed) {
        fence.device_states.clear();
        ctx.record.head = true;
        fence.read_devices(now, commands);
        return None;
    }
    let confirmation = known.as_ref()?;
    if !suspect.service.is_silent(now.elapsed) {
        let heartbeat = suspect.service.up_evidence(now.elapsed);
        if let Some(heartbeat) =
            heartbeat.filter(|_| now.elapsed.since(confirmation.received_at) >= MAX_CONTRADICTED_TIME)
        {
            reject_confirmation(known, &heartbeat, fence, ctx);
        }
        return None;
    }
    if let Some(heartbeat) = suspect.claims.heartbeat_after(confirmation.given_at) {
        reject_confirmation(known, &heartbeat, fence, ctx);
        return None;
    }
    let claim = OffReport::Claim {
        arrived: Some(confirmation.given_at),
        dated: confirmation.given_at,
    };
    let shown = guard.region_probe.heartbeats(ctx.host_id);
    match guard
        .heartbeats
        .judge(&claim, confirmation.received_at, shown, ctx)
    {
        HeartbeatJudgement::Silent => ctx.blockers.end(BlockerKind::Monitors),
        HeartbeatJudgement::Undecided(why) => {
            ctx.blockers.begin(BlockerKind::Monitors, now, || why);
            return None;
        }
        HeartbeatJudgement::Contradicted(why) => {
            reject_confirmation(known, &why, fence, ctx);
            return None;
        }
    }
    if !suspect.is_surely_silent(now.elapsed, ctx.policy) {
        guard.wait_for_silence(suspect, ctx);
        return None;
    }
    if let Some(confirmation) = known {
        confirmation.waits_for_silence = false;
    }
    if !guard.pass_last_scan(GuardPhase::Proof, suspect, ctx) {
        return None;
    }
    let confirmation = known.as_ref()?;
    Some(Proof::from_person(
        ctx.notification,
        &confirmation.by,
        now.elapsed,
    ))
}

/// Drops the confirmation because something shows that the host is not off. Devices are tried again, as before it.
pub(super) fn reject_confirmation(
    known: &mut Option<OffConfirmation>,
    why: &str,
    fence: &mut Fence,
    ctx: &mut DecisionContext<'_>,
) {
    let Some(confirmation) = known.take() else {
        return;
    };
    ctx.record.head = true;
    fence.retry_at = Some(ctx.now.elapsed.plus(ctx.policy.fence_retry));
    ctx.hold_fence(&format!(
        "{} confirmed that it is off, but {why}",
        confirmation.by
    ));
}
