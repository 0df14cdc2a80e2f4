//! The recovery of a dead host: guards, fencing, proof, `forced_down`, list, plan, evacuation, confirmation and finish. The
//! recovery then watches until the host has returned.
//!
//! [`decide`] is total and pure. All durable state is in [`HostRecovery`] and its [`Move`]s, which the engine journals
//! before it carries out a single command. Volatile state (the requests in flight) is in `InFlight` and starts empty after a
//! take-over. A restart therefore needs no special handling: observe, decide, continue.
//!
//! ```text
//! Begin --guards--> Fencing --proof--> Disabling --forced_down--> Listing --plan--> Moving --all done--> Returning --> Starting --> Over
//!    \________________\____ on hold, until an operator acts ___________________________/
//! ```

mod arrivals;
mod begin;
mod blockers;
mod deadlines;
mod decision_context;
mod excluded;
mod fence;
mod finish;
mod freeze_state;
mod guard;
mod hooks;
mod host_return;
mod in_flight;
mod late_effects;
pub(crate) mod lock_mark;
mod method;
mod monitor_heartbeats;
mod moves;
mod nova_bus;
mod observe;
mod operator_actions;
mod pace;
mod plan;
mod reserve;
mod service;
mod silence;
mod tasks;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use arrivals::{Arrival, Arrivals, LastSighting};
pub use fence::confirmation::OffConfirmation;
pub use fence::{Fence, OffIntent, Order};
pub use freeze_state::FreezeTrack;
pub use guard::off_claim::contradicts_claim;
pub use guard::{Approval, GuardTrack, GuardWait};
pub use host_return::boot_hold::BootHeldFor;
pub use host_return::power_on::PowerOn;
pub use method::{PlacementPlan, PlacementTarget};
pub use monitor_heartbeats::{Claimant, MonitorHeartbeats};
pub use moves::{
    DiskWait, End, ExcludedStart, Lock, Move, MoveStep, OriginalState, Preparation, RestorationCall,
    RestorationKind, StartCall, StartEnd,
};
pub use plan::order::in_order;
pub(crate) use plan::runs_elsewhere;
pub use reserve::{AggregateMembership, Reservation, ReservationEnd, ReservationStep, Reserve};
pub use service::{ForceDownRequest, ServiceTrack};
pub use silence::SilenceTrack;

use crate::elapsed::Elapsed;
use crate::entity::segment::RecoveryMethod;
use crate::entity::{Host, Notification};
use crate::guard::{DomainLoss, Guard};
use crate::id::{HostId, NotificationId, RecoveryId, ServerId};
use crate::policy::{BareNormal, FencingMode, Policy};
use crate::proof::{Proof, stored};
use crate::recovery::retry::OwnStamp;
use crate::recovery::{
    Command, Decision, DecisionTime, HookTrack, Observation, OffClaim, OperatorState, Record, off_claim,
    retry,
};
use crate::state_version::StateVersion;
use crate::timestamp::Timestamp;
use crate::wait::Wait;

use decision_context::decision_context;
use in_flight::InFlight;

/// The stage of a host recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Checks whether a recovery is needed, and whether the guards pass.
    Begin,
    /// Lasts until there is a proof.
    Fencing,
    /// Lasts until Nova shows the host `forced_down`.
    Disabling,
    /// Lasts until there is a plan.
    Listing,
    /// Lasts until every move is done.
    Moving,
    /// The notification is closed; lasts until the host's nova-compute is back.
    Returning,
    /// The host has returned; lasts until its excluded instances run again.
    Starting,
    /// The recovery is done.
    #[serde(rename = "over")]
    Done,
}

/// The reason of a hold, which decides the effect of an operator's `approve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// A guard against storms: approve continues this recovery, past the guards that were shown.
    Storm,
    /// The host could not be confirmed off: approve tries again.
    Fence,
    /// The host was seen running after its proof: approve starts a new episode with a new proof.
    Alive,
    /// Mode dry-run has reported what it would do: approve checks and reports it again.
    DryRun,
}

/// The hold of a recovery that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryHold {
    /// The kind, which decides what an operator's `approve` does.
    pub kind: HoldKind,
    /// The reason, as text for operators.
    pub reason: String,
    /// The start of the hold, in the recovery's elapsed time.
    pub since: Elapsed,
    /// The guards that caused the hold; empty if none did.
    #[serde(default)]
    pub guards: BTreeSet<Guard>,
    /// The failure domain that was lost as a whole, if that caused the hold.
    #[serde(default)]
    pub domain: Option<DomainLoss>,
    /// The hosts that were out at that time, if guards caused the hold.
    #[serde(default)]
    pub hosts: BTreeSet<String>,
}

/// The durable state of a host recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRecovery {
    /// The version of the stored state. Reading a state of a newer version fails.
    #[serde(default)]
    pub version: StateVersion,
    /// The recovery's id, which is part of the mark on locks and disable reasons.
    pub id: RecoveryId,
    pub notification: NotificationId,
    pub host_id: HostId,
    /// The host's service name in Nova.
    pub host: String,
    /// `host_status` of the notification, upper case.
    pub reported: Option<String>,
    /// `event` of the notification, upper case.
    pub event: String,
    /// The policy that it follows, as it was when the recovery started.
    pub policy: Policy,
    pub method: RecoveryMethod,
    /// The time that the notification reports, or that of its evidence if that is earlier.
    #[serde(default)]
    pub reported_at: Option<Timestamp>,
    /// The other claims that reports make about the host's fencing.
    #[serde(default)]
    #[serde(rename = "off_word")]
    pub off_claim: Option<OffClaim>,
    pub stage: Stage,
    /// The hold, while it waits for an operator.
    pub hold: Option<RecoveryHold>,
    /// The number of the last operator action that it has taken.
    #[serde(rename = "heard")]
    pub last_action: u64,
    /// The number of the last operator action on a single instance that it has taken.
    #[serde(default)]
    pub heard_moves: u64,
    /// True if an operator has approved it past the storm guards: written by versions that named no guards.
    pub storm_approved: bool,
    /// The operator who has rejected it, after which nothing new is started.
    pub rejected: Option<String>,
    /// The progress towards the proof.
    pub fence: Fence,
    /// The proof that the host is off, without which nothing is evacuated.
    #[serde(with = "stored")]
    pub proof: Option<Proof>,
    /// The number of proofs so far, which is also the number of the latest.
    #[serde(default)]
    pub proofs: u32,
    /// The state of Nova's record of the host.
    pub service: ServiceTrack,
    /// The segment's reserved hosts that this recovery has reserved.
    #[serde(default)]
    pub reserve: Reserve,
    pub message: Option<String>,
    #[serde(default)]
    pub hooks: HookTrack,
    /// The start of its deadline: when the recovery started, or when an operator last let it continue.
    #[serde(default)]
    pub deadline_from: Elapsed,
    /// The state of the guards.
    #[serde(default)]
    pub guard: GuardTrack,
    /// The attempts to power the host on again.
    #[serde(default)]
    pub power_on: PowerOn,
    /// An operator's confirmation that the host is off, until it is accepted or contradicted.
    #[serde(default)]
    #[serde(rename = "vouch")]
    pub confirmation: Option<OffConfirmation>,
    /// The freezes that it has processed.
    #[serde(default)]
    pub freeze: FreezeTrack,
    /// True if it retries a recovery that has failed. Its notification then makes no claim that the host is off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retry: bool,
    /// True if the journal has lost the last writes of earlier owners, or may have lost them before the recovery ends: Nova may show locks
    /// and evacuations that no move records.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rewound: bool,
    /// The instances that Nova was moving to the host.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// The time of the host's return, from which its excluded instances are started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    returned: Option<Elapsed>,
    /// The current wait; `None` in a state that an older version wrote.
    #[serde(default)]
    wait: Option<Wait>,
    /// The instances. Each is stored in a row of its own beside the head.
    #[serde(skip)]
    pub moves: BTreeMap<ServerId, Move>,
    #[serde(skip)]
    in_flight: InFlight,
    #[serde(skip)]
    operator_state: Option<OperatorState>,
}

/// True if nothing has begun, so that a freeze holds the recovery. After lost writes an instance in error under its owner's lock is
/// planned, as one that may have been prepared. That alone is no sign of a beginning: what comes first is a power-off or the change of
/// Nova's record, and neither is known.
fn has_not_begun(state: &HostRecovery) -> bool {
    let early = matches!(state.stage, Stage::Begin | Stage::Fencing | Stage::Disabling);
    let untouched = !state.rewound && state.service.put.is_none() && !state.fence.ordered;
    let is_suspected = |instance: &Move| {
        let waits = matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold);
        (waits && instance.lock == Lock::Owners) || (instance.is_finished() && instance.asked_at.is_none())
    };
    early && state.is_stop_report() && untouched && state.moves.values().all(is_suspected)
}

impl HostRecovery {
    /// Returns a recovery that has not started yet.
    pub fn new(id: RecoveryId, notification: &Notification, host: &Host, mut policy: Policy) -> Self {
        let service = ServiceTrack {
            watched: policy.watched.take(),
            ..ServiceTrack::default()
        };
        policy.local_disk = std::mem::take(&mut policy.local_disk)
            .of_segment(&host.segment.name, &host.segment.id.to_string());
        let upper = |key: &str| {
            notification
                .payload
                .get(key)
                .map(|value| value.to_ascii_uppercase())
        };
        Self {
            version: StateVersion,
            id,
            notification: notification.id,
            host_id: host.id,
            host: host.name.clone(),
            reported: upper("host_status"),
            event: upper("event").unwrap_or_default(),
            policy,
            method: host.segment.recovery_method,
            reported_at: Some(off_claim::dated(notification)),
            off_claim: None,
            stage: Stage::Begin,
            hold: None,
            last_action: 0,
            heard_moves: 0,
            storm_approved: false,
            rejected: None,
            fence: Fence::default(),
            proof: None,
            proofs: 0,
            service: ServiceTrack {
                own_stamp: retry::own_stamp(&notification.payload),
                ..service
            },
            reserve: Reserve::default(),
            message: None,
            hooks: HookTrack::default(),
            deadline_from: Elapsed::ZERO,
            guard: GuardTrack::default(),
            power_on: PowerOn::default(),
            confirmation: None,
            freeze: FreezeTrack::default(),
            retry: retry::is_retry(&notification.payload),
            rewound: false,
            arrivals: Arrivals::default(),
            returned: None,
            wait: None,
            moves: BTreeMap::new(),
            in_flight: InFlight::default(),
            operator_state: None,
        }
    }

    /// Reads a recovery back from the journal.
    ///
    /// # Errors
    ///
    /// Fails if the stored text cannot be parsed.
    pub fn restore(head: &str, moves: &[String]) -> Result<Self, serde_json::Error> {
        let mut state: Self = serde_json::from_str(head)?;
        for text in moves {
            let instance: Move = serde_json::from_str(text)?;
            state.moves.insert(instance.server, instance);
        }
        Ok(state)
    }

    /// Serializes all but the moves, for the journal.
    ///
    /// # Errors
    ///
    /// Never fails in practice; serde's signature requires the result.
    pub fn head(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Returns the reason why nothing destructive may be started now, if there is one.
    fn block_reason(&self) -> Option<String> {
        decision_context::block_reason(
            self.rejected.as_deref(),
            self.hold.as_ref(),
            self.operator_state.as_ref(),
        )
    }

    /// Returns the wait of its guards, while they can still prevent something.
    pub fn guarded(&self) -> Option<&GuardWait> {
        let waiting = self.guard.waiting.as_ref();
        waiting.filter(|_| matches!(self.stage, Stage::Begin | Stage::Fencing))
    }

    /// True if other recoveries may treat the host as off: there is a proof that its owner has seen confirmed, and it is
    /// not a bare NORMAL. The first heartbeat revokes it. A take-over suspends it until the new owner has checked.
    pub fn is_proven_off(&self) -> bool {
        let shows_absence = |proof: &Proof| proof.is_confirmed() && proof.shows_absence();
        !matches!(self.stage, Stage::Starting | Stage::Done) && self.proof.as_ref().is_some_and(shows_absence)
    }

    /// True if a joining report could add nothing.
    pub fn has_normal_report(&self) -> bool {
        self.reported.as_deref() == Some("NORMAL")
    }

    /// True if any report has brought evidence, even if that evidence no longer counts.
    pub fn came_with_evidence(&self) -> bool {
        let claim = self.off_claim.as_ref();
        claim.is_some_and(|claim| claim.evidence.is_some())
    }

    /// True if neither Nova nor the host's power has been touched, and no call in flight may touch them. After a loss of requests this
    /// is known once the host's instances have been listed.
    fn is_untouched(&self) -> bool {
        !self.rewound && self.moves.is_empty() && self.service.put.is_none() && !self.fence.ordered
    }

    /// True if the report says that the host has stopped. Any other report ends at once.
    fn is_stop_report(&self) -> bool {
        self.event == "STOPPED"
    }

    /// Reads the service and the instances for effects of lost requests. True until both have been read: nothing can end the recovery
    /// before. A list of a host that has no service does not count, so none is awaited.
    fn check_lost_requests(&mut self, now: DecisionTime, commands: &mut Vec<Command>) -> bool {
        let may_end = match self.stage {
            Stage::Begin | Stage::Fencing | Stage::Disabling => true,
            Stage::Listing => self.rejected.is_some(),
            Stage::Moving | Stage::Returning | Stage::Starting | Stage::Done => false,
        };
        if !self.rewound || !may_end || self.service.is_gone() {
            return false;
        }
        // The return of the host is followed in any case, so an abort does not wait for a list without an end.
        if self.rejected.is_some() && self.service.put.is_some() {
            let from = *self.in_flight.abort_listed_from.get_or_insert(now.elapsed);
            if now.elapsed.since(from) >= ABORT_LIST_TIMEOUT {
                return false;
            }
        }
        self.service.request_if_due(now, Duration::from_secs(1), commands);
        if self.service.observed.is_some() && !self.service.is_awaited() {
            self.in_flight.listing.request_if_due(
                &self.service,
                (self.reported_at, &self.moves),
                now,
                commands,
            );
        }
        true
    }

    /// Returns the message that the notification shows while the recovery is open: the most important one that applies.
    fn current_message(&self, now: DecisionTime) -> Option<String> {
        if let Some(freeze) = freeze_state::waits_for(self) {
            return Some(freeze.message());
        }
        if let Some(hold) = &self.hold {
            return Some(format!("on hold: {}", hold.reason));
        }
        if let Some(waiting) = self.guarded() {
            return Some(format!("waiting for {}", waiting.reason));
        }
        if let Some(why) = self.block_reason() {
            return Some(why);
        }
        if self.in_flight.stopped && matches!(self.stage, Stage::Begin | Stage::Fencing) {
            return Some(
                "on hold: fencing is stopped ([fencing] enabled = false), so no host is powered off and no instance evacuated; it \
                 continues when fencing is enabled again"
                    .into(),
            );
        }
        if let Some(text) = self.in_flight.blockers.due(now) {
            return Some(text.to_owned());
        }
        let on_hold = self
            .moves
            .values()
            .filter(|instance| instance.step == MoveStep::OnHold)
            .count();
        match on_hold {
            0 => moves::local_disk::message(&self.moves, now.elapsed),
            1 => Some(
                "1 instance may run elsewhere and needs an operator: tachi instance list --waiting".into(),
            ),
            _ => Some(format!(
                "{on_hold} instances may run elsewhere and need an operator: tachi instance list --waiting"
            )),
        }
    }

    fn enter(&mut self, stage: Stage, record: &mut Record) {
        self.stage = stage;
        record.head = true;
    }

    fn act(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        self.in_flight.move_track.pace.ready.clear();
        // Instances that other recoveries have released are planned again. The journal has had time to refuse them.
        self.in_flight.listing.retaken(&mut self.in_flight.blockers, now);
        if freeze_state::act(self, now, record, commands) {
            let message = self.current_message(now);
            return decision_context!(self, now, record).set_message(message);
        }
        fence::confirmation::end_confirmation(self, now, record);
        if self.block_reason().is_some() || self.guarded().is_some() {
            deadlines::pause_deadlines(&mut self.deadline_from, &mut self.moves, now);
        } else {
            self.give_up_late(now, record);
        }
        fence::monitors::watch(self, now, record, commands);
        if self.stage == Stage::Moving {
            late_effects::leave_if_unproven(self, now, record);
        }
        if !self.check_lost_requests(now, commands) {
            act_in_stages(self, now, record, commands);
        }
        if self.arrivals.settled {
            late_effects::correct_notification(self, now, record);
        } else if !matches!(self.stage, Stage::Returning | Stage::Starting | Stage::Done) {
            let message = self.current_message(now);
            decision_context!(self, now, record).set_message(message);
        }
    }
}

/// Acts in the current stage. When a stage ends, the next one runs at once; there are eight.
fn act_in_stages(
    state: &mut HostRecovery,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    for _ in 0..9 {
        let before = state.stage;
        match state.stage {
            Stage::Begin => state.act_begin(now, record, commands),
            Stage::Fencing => state.act_fencing(now, record, commands),
            Stage::Disabling => state.act_disabling(now, record, commands),
            Stage::Listing => state.act_listing(now, record, commands),
            Stage::Moving => state.act_moving(now, record, commands),
            Stage::Returning => state.act_returning(now, record, commands),
            Stage::Starting => state.act_starting(now, record, commands),
            Stage::Done => {}
        }
        if state.stage == before {
            break;
        }
    }
}

/// Returns the heartbeat that the latest change of Nova's record has caused, from a stored state.
pub fn own_stamp_in(head: &str) -> Option<OwnStamp> {
    let service = HostRecovery::restore(head, &[]).ok()?.service;
    service.put?;
    Some(OwnStamp {
        made: service.mark?,
        before: service.before?,
    })
}

/// Time within which an aborted recovery must have listed the instances of a host that is forced down.
const ABORT_LIST_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns the reason for which only an operator's confirmation or a further report can show that the host is off, if there is one. In mode
/// external, a retry makes no claim about it. Without a claim a recovery ends as it begins, except one of which the journal has lost the
/// latest writes: it may have acted.
fn missing_claim(state: &HostRecovery) -> Option<&'static str> {
    if state.policy.fencing != FencingMode::External
        || state.confirmation.is_some()
        || state.came_with_evidence()
    {
        None
    } else if state.retry {
        Some(
            "this is a retry, and an earlier report's NORMAL shows nothing about the current state; a report with evidence \
             ends this",
        )
    } else if !state.has_normal_report() && state.policy.bare_normal != BareNormal::Refuse {
        Some("no report claims that the host is off; one with host_status NORMAL ends this")
    } else if !state.has_normal_report() {
        Some("no report claims that the host is off; one with evidence ends this")
    } else if state.policy.bare_normal == BareNormal::Refuse {
        Some(
            "host_status is NORMAL without evidence, and [fencing] normal_without_evidence is refuse; a report with evidence \
             ends this",
        )
    } else {
        None
    }
}

/// Returns the next decision, given the state, the new observations and the age of the recovery. Applies all observations that
/// have arrived together before it decides. Otherwise the first could start something that the second rules out.
pub fn decide(
    state: &mut HostRecovery,
    observations: impl IntoIterator<Item = Observation>,
    now: DecisionTime,
) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    if state.stage != Stage::Done {
        for observation in observations {
            state.observe(observation, now, &mut record);
        }
        state.act(now, &mut record, &mut commands);
        state.note_waits(now, &mut record);
    }
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
