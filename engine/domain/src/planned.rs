//! What a person has planned for a host that lives: its instances are moved away from it, or those that were moved away before are
//! moved back. Each goes by a live migration that Nova makes. Nothing here has to do with power, and nothing is evacuated (ADR 0060).
//!
//! A recovery of the host wins: nothing is asked for while one is open, and what was planned ends then.

mod arrivals;
mod asking;
mod ending;
mod follow;
mod listing;
mod moves;
mod named;
mod order;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;
use crate::entity::Notification;
use crate::entity::notification::NotificationStatus;
use crate::id::{NotificationId, RecoveryId, ServerId};
use crate::nova::Service;
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::action;
use crate::recovery::{
    Command, Decision, Inventory, Life, Now, Observation, Pulse, REWOUND, Record, RecoveryKind, Task, Word,
};
use crate::state_version::StateVersion;
use crate::wait::Wait;
use crate::wait::{WaitsFor, note};

pub use moves::{MoveStage, PlannedMove};
pub use order::{LONGEST_FREEZE, LONGEST_LIMIT, MOST_AT_ONCE, PlannedOrder, SHORTEST_LIMIT};

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedStage {
    /// Does the host live, and may anything be done?
    Begin,
    /// Until Nova places nothing new on it.
    Disabling,
    /// What is on it? Asked before the moves and after them.
    Listing,
    /// Until each instance is over.
    Moving,
    /// Nothing left.
    Over,
}

/// A call that has been journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCall {
    /// When.
    pub at: Elapsed,
    /// When Nova has answered. Until then, or until D + Q have passed, it may still take effect (R5).
    pub answered: Option<Elapsed>,
}

/// What Nova has shown, and when it was asked.
#[derive(Clone, Debug, PartialEq)]
struct Dated<T> {
    at: Elapsed,
    what: T,
}

/// What must not be forgotten of what a person has planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// A state of a newer version is refused when it is read.
    #[serde(default)]
    pub version: StateVersion,
    /// Its id.
    pub id: RecoveryId,
    /// The row that holds what was asked for.
    pub notification: NotificationId,
    /// Away from the host, or back to it.
    pub kind: RecoveryKind,
    /// The host's service name in Nova.
    pub host: String,
    /// The rules it goes by.
    pub policy: Policy,
    /// What was asked for.
    pub order: PlannedOrder,
    /// Decides what is asked next.
    pub stage: PlannedStage,
    /// The call that disables the host's service.
    pub disabling: Option<PlannedCall>,
    /// How often instances were found on it that were not known.
    pub lists: u32,
    /// Its instances.
    pub moves: BTreeMap<ServerId, PlannedMove>,
    /// Who has given it up.
    pub aborted: Option<String>,
    /// The number of the last word heard.
    pub heard: u64,
    /// What the notification shows.
    pub message: Option<String>,
    /// What it waits for.
    #[serde(default)]
    wait: Option<Wait>,
    #[serde(skip)]
    pulse: Option<Pulse>,
    #[serde(skip)]
    service: Option<Dated<Service>>,
    /// The host's service.
    #[serde(skip)]
    service_read: Question,
    #[serde(skip)]
    updating: bool,
    /// Since when Nova places nothing new on it, as far as this engine knows: another one begins anew, and waits for longer.
    #[serde(skip)]
    closed: Option<Elapsed>,
    /// Since which list nothing has been shown that comes there, or is being changed there.
    #[serde(skip)]
    quiet: Option<Elapsed>,
    /// What is on the host.
    #[serde(skip)]
    list: Question,
    #[serde(skip)]
    listed: Option<Dated<Inventory>>,
    /// Instances of the host whose own recoveries have kept this from its end.
    #[serde(skip)]
    recovered: BTreeSet<ServerId>,
    #[serde(skip)]
    not_before: Elapsed,
    /// The instance whose call was journalled last.
    #[serde(skip)]
    asking: Option<ServerId>,
    /// When the journal was last asked whether the host is being recovered.
    #[serde(skip)]
    looked_for_recovery: Elapsed,
    /// What keeps it from going on, and when that was seen last.
    #[serde(skip)]
    trouble: Option<(Elapsed, String)>,
}

/// How much younger than its intent a call may be (R4), rounded up.
const SENT_WITHIN: Duration = Duration::from_secs(1);

/// How often a host that Nova shows down is looked for in the journal.
const LOOK_FOR_RECOVERY: Duration = Duration::from_secs(5);

/// A trouble that is not seen again for so long is over.
const TROUBLE_LASTS: Duration = Duration::from_secs(5);

impl Planned {
    /// As it begins.
    pub fn new(
        id: RecoveryId,
        kind: RecoveryKind,
        notification: &Notification,
        host: &str,
        policy: Policy,
    ) -> Self {
        Self {
            version: StateVersion,
            id,
            notification: notification.id,
            kind,
            host: host.to_owned(),
            policy,
            order: PlannedOrder::read(&notification.payload),
            stage: PlannedStage::Begin,
            disabling: None,
            lists: 0,
            moves: BTreeMap::new(),
            aborted: None,
            heard: 0,
            message: None,
            wait: None,
            pulse: None,
            service: None,
            service_read: Question::default(),
            updating: false,
            closed: None,
            quiet: None,
            list: Question::default(),
            listed: None,
            recovered: BTreeSet::new(),
            not_before: Elapsed::ZERO,
            asking: None,
            looked_for_recovery: Elapsed::ZERO,
            trouble: None,
        }
    }

    /// Reads one back from the journal.
    ///
    /// # Errors
    ///
    /// What was stored cannot be understood.
    pub fn restore(head: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(head)
    }

    /// For the journal.
    ///
    /// # Errors
    ///
    /// Never in practice; serde's signature.
    pub fn head(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// What it waits for, as it was decided last; `None` if nobody has decided yet.
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    /// Whether it takes instances away from its host.
    pub fn is_drain(&self) -> bool {
        self.kind == RecoveryKind::Drain
    }

    /// Whether a call asked for at `at` can no longer take effect (R5).
    fn is_settled(&self, at: Elapsed, now: Now) -> bool {
        now.elapsed.since(at) >= self.policy.settle_time() + SENT_WITHIN
    }

    fn waits(&self) -> WaitsFor {
        let is_frozen = self.stage != PlannedStage::Over && self.aborted.is_none() && self.frozen().is_some();
        if is_frozen {
            WaitsFor::Frozen
        } else {
            WaitsFor::Nothing
        }
    }

    /// What holds all that is not begun yet.
    fn frozen(&self) -> Option<String> {
        let frozen = &self.pulse.as_ref()?.frozen;
        frozen.of_host().map(|freeze| {
            format!(
                "{}; nothing new is begun before that ends, or `{}` ends it",
                freeze.sentence(),
                freeze.thaw()
            )
        })
    }

    fn learn(&mut self, observation: Observation, now: Now, record: &mut Record) {
        match observation {
            Observation::Rewound => {
                self.message = Some(REWOUND.to_owned());
                record.head = true;
            }
            Observation::Claimed(pulse) | Observation::Pulse(pulse) => self.heard_pulse(pulse, record),
            Observation::Service(result) => self.learn_service(result, now),
            Observation::ServiceUpdated(result) => self.learn_update(result, now, record),
            Observation::Inventory(result) => self.learn_inventory(result, now),
            Observation::Followed { server, result } => self.learn_followed(server, result, now, record),
            Observation::ServerCall { server, call, result } => {
                self.learn_call(server, call, result, now, record);
            }
            Observation::NotSent(command) => self.learn_not_sent(&command, now),
            Observation::HostUnderRecovery => self.give_way(now, record),
            Observation::InstancesUnderRecovery(servers) => {
                ending::instances_recovered(self, &servers, now, record);
            }
            Observation::MayRunOn(hosts) => self.learn_elsewhere(&hosts, now, record),
            Observation::Tick
            | Observation::Region(_)
            | Observation::OrderRefused
            | Observation::Power { .. }
            | Observation::PowerOff { .. }
            | Observation::PowerOn { .. }
            | Observation::FencingStopped(_)
            | Observation::Levels(_)
            | Observation::Lists(_)
            | Observation::Evacuations(_)
            | Observation::ServerIds(_)
            | Observation::Permits(_)
            | Observation::Conductors(_)
            | Observation::MovesTaken(_)
            | Observation::Server { .. }
            | Observation::Hook { .. }
            | Observation::Reserve(_)
            | Observation::ReserveTaken(_) => {}
        }
    }

    fn heard_pulse(&mut self, pulse: Pulse, record: &mut Record) {
        for heard in action::hear(&pulse, &mut self.heard, Task::LiveMigrate, record) {
            let said = &heard.said;
            if said.word == Word::Reject && self.stage != PlannedStage::Over {
                self.aborted = Some(said.by.clone());
            }
        }
        self.pulse = Some(pulse);
    }

    fn act(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        for _ in 0..5 {
            let before = (self.stage, self.lists);
            match self.stage {
                PlannedStage::Begin => self.act_begin(now, record, commands),
                PlannedStage::Disabling => self.act_disabling(now, record, commands),
                PlannedStage::Listing => self.act_listing(now, record, commands),
                PlannedStage::Moving => self.act_moving(now, record, commands),
                PlannedStage::Over => {}
            }
            if before == (self.stage, self.lists) {
                break;
            }
        }
        self.tell(now, record);
    }

    /// Every change is a write: running numbers stand in the rows of the instances.
    fn tell(&mut self, now: Now, record: &mut Record) {
        if self.stage == PlannedStage::Over {
            return;
        }
        self.trouble
            .take_if(|(seen, _)| now.elapsed.since(*seen) > TROUBLE_LASTS);
        let trouble = self.trouble.as_ref().map(|(_, text)| text.clone());
        let text = trouble.or_else(|| self.counts());
        if self.message != text {
            self.message.clone_from(&text);
            record.head = true;
            record.notification = Some((NotificationStatus::Running, text));
        }
    }

    /// Something keeps it from going on. The first words for it stay for as long as it is seen again and again.
    fn trouble(&mut self, text: impl Into<String>, now: Now) {
        match &mut self.trouble {
            Some((seen, _)) if now.elapsed.since(*seen) <= TROUBLE_LASTS => *seen = now.elapsed,
            trouble => *trouble = Some((now.elapsed, text.into())),
        }
    }

    fn enter(&mut self, stage: PlannedStage, record: &mut Record) {
        self.stage = stage;
        record.head = true;
    }
}

/// What to do, given what is known, what has just been learnt, and how old it is. All is learnt before anything is asked for: what
/// forbids a call must not come second.
pub fn decide(
    state: &mut Planned,
    observations: impl IntoIterator<Item = Observation>,
    now: Now,
) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    for observation in observations {
        state.learn(observation, now, &mut record);
    }
    if state.stage != PlannedStage::Over {
        state.act(now, &mut record, &mut commands);
        if state.stage == PlannedStage::Over {
            // Nothing is left to be known.
            commands.clear();
        }
        let waits = state.waits();
        record.head |= note(&mut state.wait, waits, BTreeSet::new(), now.wall);
    }
    debug_assert!(record.life.is_none() || record.life == Some(Life::Closed));
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
