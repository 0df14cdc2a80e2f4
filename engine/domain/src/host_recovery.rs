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

mod asks;
mod begin;
mod deadlines;
mod fence;
mod freezing;
mod guard;
mod hooks;
mod messaging;
mod method;
mod moves;
mod pace;
mod plan;
mod question;
mod reserve;
mod returning;
mod service;
mod settle;
mod tasks;
mod trouble;
mod turn;
mod waits;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use fence::vouch::Vouch;
pub use fence::{Fence, OffIntent, Order};
pub use freezing::FreezeTrack;
pub use guard::{GuardTrack, Waiting};
pub use method::{Route, Way};
pub use moves::absence::{may_run, may_run_in};
pub use moves::{
    End, GIVEN_UP_BY_LATEST, Lock, Move, MoveStep, Preparation, RestorationCall, RestorationKind, Was,
    WrittenOff, given_up, written_off_in,
};
pub use reserve::{Joining, Reserve, Taken, TakenEnd, TakenStep};
pub use returning::boot_hold::BootHeldFor;
pub use returning::power_on::PowerOn;
pub use service::{Put, ServiceTrack};

use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::entity::{Host, Notification};
use crate::evidence::{OffWord, report_dated};
use crate::guard::{DomainLoss, Guard};
use crate::hooks::HookTrack;
use crate::policy::Policy;
use crate::proof::{Proof, stored};
use crate::recovery::{Command, Decision, Now, Observation, Pulse, Record, ServerCall, mark};
use crate::{Elapsed, HostId, NotificationId, RecoveryId, ServerId, StateVersion, Timestamp, Wait};

use asks::Asks;
use trouble::Topic;
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

/// A recovery that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// See [`HoldKind`].
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
}

/// What a host recovery must not forget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRecovery {
    /// See [`StateVersion`].
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
    /// See [`Stage`].
    pub stage: Stage,
    /// Set while it waits for a person.
    pub hold: Option<Hold>,
    /// The number of the last word heard.
    pub heard: u64,
    /// The number of the last word heard of a single instance.
    #[serde(default)]
    pub heard_moves: u64,
    /// An operator has let it through the storm guards.
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
    pub fn new(id: RecoveryId, notification: &Notification, host: &Host, policy: Policy) -> Self {
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
            reported_at: Some(report_dated(notification)),
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
            service: ServiceTrack::default(),
            reserve: Reserve::default(),
            message: None,
            hooks: HookTrack::default(),
            deadline_from: Elapsed::ZERO,
            guard: GuardTrack::default(),
            power_on: PowerOn::default(),
            vouch: None,
            freeze: FreezeTrack::default(),
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
        if let Some(by) = &self.rejected {
            return Some(format!("rejected by {by}"));
        }
        if let Some(hold) = &self.hold {
            return Some(hold.reason.clone());
        }
        self.said_no()
    }

    /// What an operator has forbidden beside this one recovery.
    fn said_no(&self) -> Option<String> {
        match &self.pulse {
            None => Some("not claimed".into()),
            Some(pulse) if !pulse.segment_enabled => {
                Some("the segment is disabled: nothing new is begun until it is enabled again".into())
            }
            Some(pulse) if pulse.operator_maintenance => Some(
                "an operator has put the host on maintenance: nothing new is begun until that is taken back"
                    .into(),
            ),
            Some(_) => None,
        }
    }

    /// What its guards are waiting for, before anything has been done that they could prevent.
    pub fn guarded(&self) -> Option<&Waiting> {
        let waiting = self.guard.waiting.as_ref();
        waiting.filter(|_| matches!(self.stage, Stage::Begin | Stage::Fencing))
    }

    /// Whether other recoveries may take the host for off (R10): there is a proof that its owner has seen confirmed. The first
    /// sign of life takes it away, and so does a take-over until the new owner has looked.
    pub fn is_proven_off(&self) -> bool {
        self.stage != Stage::Over && self.proof.as_ref().is_some_and(Proof::is_confirmed)
    }

    /// Whether it knows already what a report that joins it could say (R19).
    pub fn has_heard_normal(&self) -> bool {
        self.reported.as_deref() == Some("NORMAL")
    }

    /// Looks at the proof again; if that confirms it for the first time, others may count on it from now on.
    fn renew_proof(&mut self, record: &mut Record, renew: impl FnOnce(&mut Proof)) {
        if let Some(proof) = &mut self.proof {
            let before = proof.is_confirmed();
            renew(proof);
            record.head |= proof.is_confirmed() != before;
        }
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
        (held > 0).then(|| format!("{held} instances may run elsewhere and need a person: see the vmoves"))
    }

    /// The mark on locks and disable reasons.
    fn mark(&self) -> String {
        mark(self.id)
    }

    /// What the notification shows while the recovery is open.
    fn say(&mut self, message: Option<String>, record: &mut Record) {
        if self.message != message {
            self.message.clone_from(&message);
            record.head = true;
            record.notification = Some((NotificationStatus::Running, message));
        }
    }

    fn hold(&mut self, kind: HoldKind, reason: String, now: Now, record: &mut Record) {
        self.hold = Some(Hold {
            kind,
            reason,
            since: now.elapsed,
            guards: BTreeSet::new(),
            domain: None,
        });
        record.head = true;
    }

    fn enter(&mut self, stage: Stage, record: &mut Record) {
        self.stage = stage;
        record.head = true;
    }

    fn learn(&mut self, observation: Observation, now: Now, record: &mut Record) {
        match observation {
            Observation::Tick | Observation::MayRunOn(_) => {}
            Observation::HostUnderRecovery => self.superseded(now, record),
            Observation::Claimed(pulse) => self.claimed(pulse, now, record),
            Observation::Pulse(pulse) => self.heard_pulse(pulse, now, record),
            Observation::Region(region) => self.asks.lookout.looked_around(region),
            Observation::OrderRefused => self.order_refused(now, record),
            Observation::Service(result) => self.service_read(result, now, record),
            Observation::FencingStopped(stopped) => self.asks.stopped = stopped,
            Observation::Levels(levels) => self.levels_learnt(levels, now, record),
            Observation::Power {
                target,
                started,
                waited,
                result,
            } => self.power_read(&target, (started, waited), result, now, record),
            Observation::PowerOff { target, result } => self.power_off_answered(&target, result, now, record),
            Observation::PowerOn { target, result } => self.power_on_answered(&target, result, now, record),
            Observation::ServiceUpdated(result) => self.service_updated(result, now, record),
            Observation::Inventory(result) => self.inventory_taken(result, now, record),
            Observation::Lists(result) => self.lists_read(result, now, record),
            Observation::Evacuations(result) => self.evacuations_read(result, now),
            Observation::ServerIds(result) => self.server_ids_read(result, now, record),
            Observation::Permits(permits) => self.permitted(permits),
            Observation::Conductors(result) => self.asks.messaging.read(result, &self.policy, now),
            Observation::Server { server, result } => self.server_read(server, result, now, record),
            Observation::ServerCall { server, call, result } => {
                self.server_answered(server, call, result, now, record);
            }
            Observation::Hook {
                phase,
                number,
                attempt,
                outcome,
            } => self.hook_answered((phase, number, attempt), &outcome, now, record),
            Observation::NotSent(command) => self.not_sent(&command, now, record),
            Observation::MovesTaken(servers) => self.moves_taken(servers, now),
            Observation::Reserve(answer) => {
                let mut turn = turn!(self, now, record);
                self.reserve.answered(answer, &mut self.moves, &mut turn);
            }
            Observation::ReserveTaken(hosts) => self.reserve.refused(&hosts, now.elapsed),
        }
    }

    fn act(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        self.asks.ready.clear();
        // Instances that other recoveries let go of are planned again; the journal had its say since.
        self.asks.retaken(now);
        if freezing::act(self, now, record, commands) {
            return self.say(self.current_message(now), record);
        }
        if self.forbidden().is_some() || self.guarded().is_some() {
            self.stop_the_clocks(now);
        } else {
            self.give_up_late(now, record);
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
        if self.stage != Stage::Returning && self.stage != Stage::Over {
            self.say(self.current_message(now), record);
        }
    }

    /// A command was not carried out: what was set down for it is taken back, and it is decided anew.
    fn not_sent(&mut self, command: &Command, now: Now, record: &mut Record) {
        match command {
            Command::CountHosts => self.asks.lookout.not_sent(now),
            Command::ReadService => self.service.question.not_sent(),
            Command::LearnLevels => self.fence.levels_not_asked(),
            Command::ReadPower(target) => self.fence.not_asked(target),
            Command::PowerOff { target, .. } => {
                self.fence.not_sent(target);
                freezing::order_withdrawn(self);
            }
            Command::PowerOn { .. } => self.power_on.not_sent(),
            Command::UpdateService { .. } => freezing::update_not_sent(self),
            Command::TakeInventory => self.asks.inventory.not_sent(),
            Command::ReadLists { .. } => self.asks.lists.not_sent(),
            Command::ReadEvacuations { .. } => self.asks.evacuations.not_sent(),
            Command::ReadServerIds => self.asks.server_ids.not_sent(),
            Command::ReadConductors => self.asks.messaging.question.not_sent(),
            Command::ReadServer(server) => {
                self.asks.servers.remove(server);
            }
            Command::Lock { .. }
            | Command::Unlock(_)
            | Command::Prepare(_)
            | Command::Evacuate(_)
            | Command::Restore { .. } => {
                if let Some((server, call)) = command.server_call()
                    && let Some(one) = self.moves.get_mut(&server)
                {
                    if call == ServerCall::Evacuate {
                        self.asks.evacuating.remove(&server);
                    }
                    one.not_sent(call, now.elapsed);
                    if matches!(call, ServerCall::Evacuate | ServerCall::Prepare) {
                        // What the journal has of it is an intent that has come to nothing: who takes over needs not look
                        // for its effect.
                        record.moves.insert(server);
                    }
                }
            }
            Command::RunHook(call) => self.hooks.not_sent((call.phase, call.number, call.attempt), now),
            Command::Reserve(call) => self.reserve.not_sent(call),
            Command::Stop(_) | Command::Start(_) | Command::Activate { .. } => {}
        }
    }

    /// Instances that another recovery is working on are left to it for now: nothing of them has been written. It may leave
    /// them on this host when it ends (it moved them here, and then this host died), so they are looked at again.
    fn moves_taken(&mut self, servers: Vec<ServerId>, now: Now) {
        for server in &servers {
            self.moves.remove(server);
        }
        self.asks.taken = servers.into_iter().collect();
        self.asks.retaking = None;
        self.asks.last_look = false;
        let count = self.asks.taken.len();
        self.asks.troubles.begin(Topic::Taken, now, || {
            format!("{count} instances are still being worked on by another recovery: waiting for it")
        });
    }
}

/// What to do, given what is known, what has just been learnt, and how old the recovery is.
pub fn decide(state: HostRecovery, observation: Observation, now: Now) -> Decision<HostRecovery> {
    decide_all(state, [observation], now)
}

/// As [`decide`], for several observations that came in together: all of them are learnt before anything is decided, so that
/// nothing is begun on the word of the first that the second speaks against.
pub fn decide_all(
    mut state: HostRecovery,
    observations: impl IntoIterator<Item = Observation>,
    now: Now,
) -> Decision<HostRecovery> {
    let mut record = Record::default();
    let mut commands = Vec::new();
    if state.stage != Stage::Over {
        for observation in observations {
            state.learn(observation, now, &mut record);
        }
        state.act(now, &mut record, &mut commands);
        state.note_waits(now, &mut record);
    }
    Decision {
        state,
        record,
        commands,
    }
}

#[cfg(test)]
mod tests;
