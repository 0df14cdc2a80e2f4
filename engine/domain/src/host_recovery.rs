//! The recovery of a dead host: guard, fence, proof, `forced_down`, list, plan, evacuate, confirm, settle, and watch until
//! the host is back.
//!
//! [`decide`] is total and pure. What it must not forget is in [`HostRecovery`] and its [`Move`]s, which the engine journals
//! before it carries out a single command. What may be forgotten (which questions are under way) is in `Asks` and starts
//! empty after a take-over, so that a restart is nothing special: observe, decide, go on.
//!
//! ```text
//! Begin --guards--> Fencing --proof--> Disabling --forced_down--> Listing --plan--> Moving --all over--> Returning --> Over
//!    \________________\____ held, until an operator speaks ____________________________/
//! ```

mod arrivals;
mod asks;
mod begin;
mod deadlines;
mod fence;
mod freezing;
mod guard;
mod hooks;
mod late;
mod learn;
mod messaging;
mod method;
mod monitor_heartbeats;
mod moves;
mod pace;
mod plan;
mod reserve;
mod returning;
mod service;
mod settle;
mod silence;
mod tasks;
mod trouble;
mod turn;
mod waits;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use arrivals::{Arrival, Arrivals, Sighting};
pub use fence::vouch::Vouch;
pub use fence::{Fence, OffIntent, Order};
pub use freezing::FreezeTrack;
pub use guard::{Approval, GuardTrack, GuardWait};
pub use method::{Route, Way};
pub use monitor_heartbeats::{Claimant, MonitorHeartbeats};
pub use moves::{End, Lock, Move, MoveStep, Preparation, RestorationCall, RestorationKind, Was};
pub use plan::order::in_order;
pub use reserve::{Joining, Reserve, Taken, TakenEnd, TakenStep};
pub use returning::boot_hold::BootHeldFor;
pub use returning::power_on::PowerOn;
pub use service::{Put, ServiceTrack};
pub use silence::SilenceTrack;

use crate::elapsed::Elapsed;
use crate::entity::segment::RecoveryMethod;
use crate::entity::{Host, Notification};
use crate::guard::{DomainLoss, Guard};
use crate::id::{HostId, NotificationId, RecoveryId, ServerId};
use crate::policy::{FencingMode, Policy};
use crate::proof::{Proof, stored};
use crate::recovery::retry::OwnStamp;
use crate::recovery::{
    Command, Decision, HookTrack, Now, Observation, OffWord, Pulse, Record, off_word, retry,
};
use crate::state_version::StateVersion;
use crate::timestamp::Timestamp;
use crate::wait::Wait;

use asks::Asks;
use turn::turn;

/// Which part of the way a recovery is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Is there anything to be done at all, and are the guards content?
    Begin,
    /// Until there is a proof.
    Fencing,
    /// Until Nova shows the host `forced_down`.
    Disabling,
    /// Until there is a plan.
    Listing,
    /// Until every move is over.
    Moving,
    /// The notification has ended; until the host's nova-compute is back.
    Returning,
    /// Nothing left.
    Over,
}

/// Why a recovery is held, which decides what an operator's `approve` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// A guard against storms asks: approve goes on with this one, past the guards that were named.
    Storm,
    /// The host could not be proven off: approve tries again.
    Fence,
    /// The host was seen alive after its proof: approve begins a new episode with a new proof.
    Alive,
    /// Mode dry-run has said what it would do: approve looks and says it again.
    DryRun,
}

/// A recovery that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Decides what an operator's `approve` does.
    pub kind: HoldKind,
    /// For people.
    pub reason: String,
    /// Since when, in the recovery's own time.
    pub since: Elapsed,
    /// The guards that ask, if it is guards that do.
    #[serde(default)]
    pub guards: BTreeSet<Guard>,
    /// The failure domain that was lost as a whole, if that is what they have met.
    #[serde(default)]
    pub domain: Option<DomainLoss>,
    /// The hosts that were out then, if it is guards that ask.
    #[serde(default)]
    pub hosts: BTreeSet<String>,
}

/// What a host recovery must not forget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRecovery {
    /// A state of a newer version is refused when it is read.
    #[serde(default)]
    pub version: StateVersion,
    /// Its id; part of the mark on locks and disable reasons.
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    /// The host.
    pub host_id: HostId,
    /// The host's service name in Nova.
    pub host: String,
    /// `host_status` of the notification, upper case.
    pub reported: Option<String>,
    /// `event` of the notification, upper case.
    pub event: String,
    /// The rules it goes by, as they were when it began.
    pub policy: Policy,
    /// The segment's method.
    pub method: RecoveryMethod,
    /// The moment the notification speaks of, unless its evidence speaks of an earlier one.
    #[serde(default)]
    pub reported_at: Option<Timestamp>,
    /// What reports say of its fence beyond that.
    #[serde(default)]
    pub off_word: Option<OffWord>,
    /// How far the recovery is.
    pub stage: Stage,
    /// Set while it waits for an operator.
    pub hold: Option<Hold>,
    /// The number of the last word heard.
    pub heard: u64,
    /// The number of the last word heard of a single instance.
    #[serde(default)]
    pub heard_moves: u64,
    /// An operator has let it through the storm guards: written by versions that named no guards.
    pub storm_approved: bool,
    /// Who has rejected it, if somebody has: nothing new is begun any more.
    pub rejected: Option<String>,
    /// The way to the proof.
    pub fence: Fence,
    /// What makes an evacuation possible.
    #[serde(with = "stored")]
    pub proof: Option<Proof>,
    /// How many proofs there were so far: the number of the latest.
    #[serde(default)]
    pub proofs: u32,
    /// Nova's record of the host.
    pub service: ServiceTrack,
    /// The segment's reserved hosts, as far as this recovery holds them.
    #[serde(default)]
    pub reserve: Reserve,
    /// What the notification shows.
    pub message: Option<String>,
    /// What came of the operator's hooks.
    #[serde(default)]
    pub hooks: HookTrack,
    /// What its deadline is counted from: its beginning, or when an operator last let it go on.
    #[serde(default)]
    pub deadline_from: Elapsed,
    /// What came of the guards.
    #[serde(default)]
    pub guard: GuardTrack,
    /// What was done to give the host its power back.
    #[serde(default)]
    pub power_on: PowerOn,
    /// A person vouches for its being off, and it is not yet known whether that can be believed.
    #[serde(default)]
    pub vouch: Option<Vouch>,
    /// What was heard of freezes.
    #[serde(default)]
    pub freeze: FreezeTrack,
    /// It is another attempt at what a recovery has failed at: it claims nothing (R31).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retry: bool,
    /// The journal has lost what earlier owners wrote last: Nova may show evacuations that no move tells of (R33).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rewound: bool,
    /// What is on its way to the host.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// What it waits for; `None` in what an older program wrote.
    #[serde(default)]
    wait: Option<Wait>,
    /// The instances. Kept row by row beside the head.
    #[serde(skip)]
    pub moves: BTreeMap<ServerId, Move>,
    #[serde(skip)]
    asks: Asks,
    #[serde(skip)]
    pulse: Option<Pulse>,
}

impl HostRecovery {
    /// A recovery as it begins.
    pub fn new(id: RecoveryId, notification: &Notification, host: &Host, mut policy: Policy) -> Self {
        let service = ServiceTrack {
            watched: policy.watched.take(),
            ..ServiceTrack::default()
        };
        let upper = |key: &str| {
            notification
                .payload
                .get(key)
                .map(|word| word.to_ascii_uppercase())
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
            reported_at: Some(off_word::dated(notification)),
            off_word: None,
            stage: Stage::Begin,
            hold: None,
            heard: 0,
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
            vouch: None,
            freeze: FreezeTrack::default(),
            retry: retry::is_retry(&notification.payload),
            rewound: false,
            arrivals: Arrivals::default(),
            wait: None,
            moves: BTreeMap::new(),
            asks: Asks::default(),
            pulse: None,
        }
    }

    /// Reads one back from the journal.
    ///
    /// # Errors
    ///
    /// What was stored cannot be understood.
    pub fn restore(head: &str, moves: &[String]) -> Result<Self, serde_json::Error> {
        let mut state: Self = serde_json::from_str(head)?;
        for text in moves {
            let one: Move = serde_json::from_str(text)?;
            state.moves.insert(one.server, one);
        }
        Ok(state)
    }

    /// All but the moves, for the journal.
    ///
    /// # Errors
    ///
    /// Never in practice; serde's signature.
    pub fn head(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Why nothing destructive may be begun just now, if so.
    fn forbidden(&self) -> Option<String> {
        turn::forbidden(self.rejected.as_deref(), self.hold.as_ref(), self.pulse.as_ref())
    }

    /// What its guards are waiting for, before anything has been done that they could prevent.
    pub fn guarded(&self) -> Option<&GuardWait> {
        let waiting = self.guard.waiting.as_ref();
        waiting.filter(|_| matches!(self.stage, Stage::Begin | Stage::Fencing))
    }

    /// Whether other recoveries may take the host for off (R10): there is a proof that its owner has seen confirmed, and that is
    /// no bare NORMAL (R29). The first sign of life takes it away, and so does a take-over until the new owner has looked.
    pub fn is_proven_off(&self) -> bool {
        let shows_absence = |proof: &Proof| proof.is_confirmed() && proof.shows_absence();
        self.stage != Stage::Over && self.proof.as_ref().is_some_and(shows_absence)
    }

    /// Whether it knows already what a report that joins it could say (R19).
    pub fn has_heard_normal(&self) -> bool {
        self.reported.as_deref() == Some("NORMAL")
    }

    /// Whether any report has brought evidence, whatever it is worth by now.
    pub fn came_with_evidence(&self) -> bool {
        let word = self.off_word.as_ref();
        word.is_some_and(|word| word.evidence.is_some())
    }

    /// Whether neither Nova nor the host's power has been touched, nor may be by a call that is under way.
    fn is_untouched(&self) -> bool {
        self.moves.is_empty() && self.service.put.is_none() && !self.fence.ordered
    }

    /// What the notification shows while the recovery is open: the weightiest thing there is to say.
    fn current_message(&self, now: Now) -> Option<String> {
        if let Some(freeze) = freezing::waits_for(self) {
            return Some(freeze.message());
        }
        if let Some(hold) = &self.hold {
            return Some(format!("held: {}", hold.reason));
        }
        if let Some(waiting) = self.guarded() {
            return Some(format!("waiting for {}", waiting.reason));
        }
        if let Some(why) = self.forbidden() {
            return Some(why);
        }
        if self.asks.stopped && matches!(self.stage, Stage::Begin | Stage::Fencing) {
            return Some(
                "held: fencing is stopped ([fencing] enabled = false), so nothing is switched off and nothing evacuated; it \
                 goes on when fencing is enabled again"
                    .into(),
            );
        }
        if let Some(text) = self.asks.troubles.told(now) {
            return Some(text.to_owned());
        }
        let held = self
            .moves
            .values()
            .filter(|one| one.step == MoveStep::Held)
            .count();
        match held {
            0 => None,
            1 => Some(
                "1 instance may run elsewhere and needs an operator: tachi instance list --waiting".into(),
            ),
            _ => Some(format!(
                "{held} instances may run elsewhere and need an operator: tachi instance list --waiting"
            )),
        }
    }

    fn enter(&mut self, stage: Stage, record: &mut Record) {
        self.stage = stage;
        record.head = true;
    }

    fn act(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        self.asks.move_track.pace.ready.clear();
        // Instances that other recoveries let go of are planned again; the journal had its say since.
        self.asks.listing.retaken(&mut self.asks.troubles, now);
        if freezing::act(self, now, record, commands) {
            let message = self.current_message(now);
            return turn!(self, now, record).say(message);
        }
        fence::vouch::end_confirmation(self, now, record);
        if self.forbidden().is_some() || self.guarded().is_some() {
            deadlines::stop_the_clocks(&mut self.deadline_from, &mut self.moves, now);
        } else {
            self.give_up_late(now, record);
        }
        fence::monitors::watch(self, now, record, commands);
        if self.stage == Stage::Moving {
            late::leave_if_unproven(self, now, record);
        }
        // What lost calls have set on the service is seen before anything can end the recovery (R33).
        let may_end = matches!(self.stage, Stage::Begin | Stage::Fencing);
        if self.rewound && may_end && self.service.seen.is_none() && !self.service.is_gone() {
            self.service.want(now, Duration::from_secs(1), commands);
            return;
        }
        // A stage that is left makes way for the next one at once; there are seven.
        for _ in 0..8 {
            let before = self.stage;
            match self.stage {
                Stage::Begin => self.act_begin(now, record, commands),
                Stage::Fencing => self.act_fencing(now, record, commands),
                Stage::Disabling => self.act_disabling(now, record, commands),
                Stage::Listing => self.act_listing(now, record, commands),
                Stage::Moving => self.act_moving(now, record, commands),
                Stage::Returning => self.act_returning(now, record, commands),
                Stage::Over => {}
            }
            if self.stage == before {
                break;
            }
        }
        if self.arrivals.settled {
            late::correct(self, now, record);
        } else if self.stage != Stage::Returning && self.stage != Stage::Over {
            let message = self.current_message(now);
            turn!(self, now, record).say(message);
        }
    }
}

/// The heartbeat that the latest change of Nova's record has made, in a stored state.
pub fn own_stamp_in(head: &str) -> Option<OwnStamp> {
    let service = HostRecovery::restore(head, &[]).ok()?.service;
    service.put?;
    Some(OwnStamp {
        made: service.mark?,
        before: service.before?,
    })
}

/// True if nothing but a person's word or a report with evidence can show the host off: in mode external another attempt says
/// nothing of it (R31).
fn asks_for_confirmation(state: &HostRecovery) -> bool {
    state.retry
        && state.policy.fencing == FencingMode::External
        && state.vouch.is_none()
        && !state.came_with_evidence()
}

/// What to do, given what is known, what has just been learnt, and how old the recovery is. All that came in together is learnt before
/// anything is decided, so that nothing is begun on the word of the first that the second speaks against.
pub fn decide(
    state: &mut HostRecovery,
    observations: impl IntoIterator<Item = Observation>,
    now: Now,
) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    if state.stage != Stage::Over {
        for observation in observations {
            state.learn(observation, now, &mut record);
        }
        state.act(now, &mut record, &mut commands);
        state.note_waits(now, &mut record);
    }
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
