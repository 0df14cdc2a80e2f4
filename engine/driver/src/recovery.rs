//! The kinds of recovery behind one face.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::guard::{Guard, process};
use tachi_domain::host_recovery::{self, HostRecovery, Move, Taken};
use tachi_domain::pace::{Demand, Sight};
use tachi_domain::planned::{self, Planned, PlannedMove};
use tachi_domain::policy::Policy;
use tachi_domain::process_recovery::{self, ProcessRecovery};
use tachi_domain::recovery::{Decision, Life, Now, Observation, RecoveryKind};
use tachi_domain::vm_recovery::{self, VmRecovery};
use tachi_domain::{HostId, ServerId, Timestamp, Wait, WaitsFor};

use crate::journal::{Claimed, Write};

/// How often a recovery that does not know when it is due is asked, unless its own tick is shorter.
const LOOK: Duration = Duration::from_millis(100);

/// A recovery of any kind.
#[derive(Debug)]
pub enum Recovery {
    /// Of a host.
    Host(Box<HostRecovery>),
    /// Of one instance.
    Vm(Box<VmRecovery>),
    /// Of a process on a host.
    Process(Box<ProcessRecovery>),
    /// What a person has planned for a living host.
    Planned(Box<Planned>),
}

/// Why a claimed recovery cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Another version may have written it.
    #[error("reading the recovery's state from the journal")]
    State(#[from] serde_json::Error),
    /// It has not begun, and there is no host to begin with.
    #[error("the host of the notification is not registered any more")]
    NoHost,
    /// A plan moves instances of a host that lives, and needs no proof: it is carried out only for an operator.
    #[error("no operator has asked for it: it is a row that somebody has put into the database")]
    Unasked,
}

impl Unusable {
    /// What is written of it: it ends, unless only its state is strange, as a newer version may read that.
    pub fn write(&self, claimed: &Claimed, message: String, now: Timestamp) -> Write {
        let ends = matches!(self, Self::NoHost | Self::Unasked);
        let wait = if ends {
            WaitsFor::Nothing
        } else {
            WaitsFor::NewerVersion
        };
        let status = if ends {
            NotificationStatus::Ignored
        } else {
            NotificationStatus::Running
        };
        Write {
            elapsed: claimed.elapsed,
            wait: Some(Wait::bare(wait, now)),
            life: ends.then_some(Life::Closed),
            notification: (claimed.life == Life::Open).then_some((status, Some(message))),
            ..Write::default()
        }
    }
}

impl Recovery {
    /// As it was last journalled, or as it begins.
    ///
    /// # Errors
    ///
    /// When the journal's rows are none that this version can read.
    pub fn open(claimed: &Claimed, policy: &Policy) -> Result<Self, Unusable> {
        if claimed.kind.is_planned() && claimed.asked_by.is_none() {
            return Err(Unusable::Unasked);
        }
        if let Some(head) = &claimed.state {
            return Ok(match claimed.kind {
                RecoveryKind::Host => Self::Host(Box::new(HostRecovery::restore(head, &claimed.moves)?)),
                RecoveryKind::Vm => Self::Vm(Box::new(VmRecovery::restore(head)?)),
                RecoveryKind::Process => Self::Process(Box::new(ProcessRecovery::restore(head)?)),
                RecoveryKind::Drain | RecoveryKind::Giveback => {
                    Self::Planned(Box::new(Planned::restore(head)?))
                }
            });
        }
        let host = claimed.host.as_ref().ok_or(Unusable::NoHost)?;
        let (id, notification) = (claimed.id, &claimed.notification);
        Ok(match claimed.kind {
            RecoveryKind::Host => Self::Host(Box::new(HostRecovery::new(
                id,
                notification,
                host,
                policy.clone(),
            ))),
            RecoveryKind::Vm => {
                let begun = VmRecovery::new(id, notification, &host.name, policy.clone());
                Self::Vm(Box::new(begun.after(&claimed.restarts)))
            }
            RecoveryKind::Process => Self::Process(Box::new(ProcessRecovery::new(
                id,
                notification,
                &host.name,
                policy.clone(),
            ))),
            kind @ (RecoveryKind::Drain | RecoveryKind::Giveback) => Self::Planned(Box::new(Planned::new(
                id,
                kind,
                notification,
                &host.name,
                policy.clone(),
            ))),
        })
    }

    /// One decision on all that was observed.
    pub fn decide(&mut self, observations: Vec<Observation>, now: Now) -> Decision {
        match self {
            Self::Host(state) => host_recovery::decide(state, observations, now),
            Self::Vm(state) => one_by_one(observations, |observation| {
                vm_recovery::decide(state, observation, now)
            }),
            Self::Process(state) => one_by_one(observations, |observation| {
                process_recovery::decide(state, observation, now)
            }),
            Self::Planned(state) => planned::decide(state, observations, now),
        }
    }

    /// What it could do with of the engine's pace, and what it has seen of its evacuations since.
    pub fn demand(&mut self) -> Option<(Demand, Sight)> {
        match self {
            Self::Host(state) => {
                let sight = state.sight();
                Some((state.demand(), sight))
            }
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => None,
        }
    }

    /// In how long it has to be decided again, if nothing is observed before.
    pub fn next_look(&self, now: Now) -> Duration {
        match self {
            Self::Host(state) => state.next_look(now),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => {
                LOOK.min(self.policy().tick / 2).max(Duration::from_millis(5))
            }
        }
    }

    /// The state's head, to be journalled.
    ///
    /// # Errors
    ///
    /// It cannot be serialised; never in practice.
    pub fn head(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Host(state) => state.head(),
            Self::Vm(state) => state.head(),
            Self::Process(state) => state.head(),
            Self::Planned(state) => state.head(),
        }
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        match self {
            Self::Host(state) => &state.host,
            Self::Vm(state) => &state.host,
            Self::Process(state) => &state.host,
            Self::Planned(state) => &state.host,
        }
    }

    /// The rules it goes by.
    pub fn policy(&self) -> &Policy {
        match self {
            Self::Host(state) => &state.policy,
            Self::Vm(state) => &state.policy,
            Self::Process(state) => &state.policy,
            Self::Planned(state) => &state.policy,
        }
    }

    /// The move of an instance.
    pub fn one_move(&self, server: ServerId) -> Option<&Move> {
        match self {
            Self::Host(state) => state.moves.get(&server),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => None,
        }
    }

    /// The planned move of an instance.
    pub fn planned_move(&self, server: ServerId) -> Option<&PlannedMove> {
        match self {
            Self::Planned(state) => state.moves.get(&server),
            Self::Host(_) | Self::Vm(_) | Self::Process(_) => None,
        }
    }

    /// How far each instance is, as the API shows it.
    pub fn move_statuses(&self) -> BTreeMap<ServerId, VmoveStatus> {
        match self {
            Self::Host(state) => {
                let moves = state.moves.iter();
                moves.map(|(server, one)| (*server, one.status())).collect()
            }
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => BTreeMap::new(),
        }
    }

    /// The instances that Nova has been asked for already.
    pub fn asked_for(&self) -> BTreeSet<ServerId> {
        match self {
            Self::Host(state) => {
                let asked = state.moves.values().filter(|one| one.asked_at.is_some());
                asked.map(|one| one.server).collect()
            }
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => BTreeSet::new(),
        }
    }

    /// What it waits for, as it was decided last; `None` if nobody has decided yet.
    pub fn wait(&self) -> Option<&Wait> {
        match self {
            Self::Host(state) => state.wait(),
            Self::Vm(state) => state.wait(),
            Self::Process(state) => state.wait(),
            Self::Planned(state) => state.wait(),
        }
    }

    fn waits_for(&self) -> WaitsFor {
        self.wait().map_or(WaitsFor::Nothing, |wait| wait.what)
    }

    /// Whether it waits for a person.
    pub fn is_held(&self) -> bool {
        self.waits_for().is_held()
    }

    /// Whether it waits for its guards, which may take long.
    pub fn is_guarded(&self) -> bool {
        self.waits_for() == WaitsFor::Guards
    }

    /// Why it is held, for people; `None` if it is not.
    pub fn held(&self) -> Option<&str> {
        let what = self.waits_for();
        let told = match self {
            Self::Host(state) => state.hold.as_ref().map(|hold| hold.reason.as_str()),
            Self::Process(state) => state.message.as_deref(),
            Self::Vm(_) | Self::Planned(_) => None,
        };
        what.is_held().then(|| told.unwrap_or(what.sentence()))
    }

    /// What its guards wait for, for people; `None` if they do not.
    pub fn guarded(&self) -> Option<&str> {
        let told = match self {
            Self::Host(state) => state.guarded().map(|waiting| waiting.reason.as_str()),
            Self::Process(state) => state.message.as_deref(),
            Self::Vm(_) | Self::Planned(_) => None,
        };
        self.is_guarded()
            .then(|| told.unwrap_or(WaitsFor::Guards.sentence()))
    }

    /// By what it is held, in the words of the metrics; and which guards it waits for.
    pub fn held_by(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let Some(wait) = self.wait() else {
            return (Vec::new(), Vec::new());
        };
        let guards = || {
            let known = Guard::ALL
                .iter()
                .map(|guard| guard.as_str())
                .chain([process::GUARD]);
            known.filter(|guard| wait.on.contains(*guard)).collect()
        };
        let what = wait.what;
        if what == WaitsFor::Frozen {
            return (Vec::new(), vec![what.as_str()]);
        }
        if what == WaitsFor::Guards {
            return (Vec::new(), guards());
        }
        if what == WaitsFor::Approval && !wait.on.is_empty() {
            return (guards(), Vec::new());
        }
        // What an older version wrote may name no guard.
        let word = if what == WaitsFor::Approval {
            "storm"
        } else {
            what.as_str()
        };
        let holds = what.is_held().then_some(word);
        (holds.into_iter().collect(), Vec::new())
    }

    /// A reserved host that it holds, or held.
    pub fn reservation(&self, host: HostId) -> Option<&Taken> {
        match self {
            Self::Host(state) => state.reserve.taken(host),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => None,
        }
    }

    /// Whether the host counts as proven off for others; `None` for kinds that prove nothing.
    pub fn is_proven_off(&self) -> Option<bool> {
        match self {
            Self::Host(state) => Some(state.is_proven_off()),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => None,
        }
    }

    /// The word for the stage it is in, as it is journalled.
    pub fn stage(&self) -> String {
        let stage = match self {
            Self::Host(state) => serde_json::to_value(state.stage),
            Self::Vm(state) => serde_json::to_value(state.stage),
            Self::Planned(state) => serde_json::to_value(state.stage),
            Self::Process(state) => Ok(json!(if state.over { "over" } else { "disabling" })),
        };
        match stage {
            Ok(Value::String(word)) => word,
            // One that carries something along is named by its tag.
            Ok(Value::Object(fields)) => fields.into_iter().next().map_or_else(String::new, |(key, _)| key),
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => String::new(),
        }
    }

    /// How many instances Nova may be rebuilding.
    pub fn in_flight(&self) -> usize {
        match self {
            Self::Host(state) => state.moves.values().filter(|one| one.is_in_flight()).count(),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => 0,
        }
    }

    /// The instances whose move is over.
    pub fn over_moves(&self) -> impl Iterator<Item = ServerId> + '_ {
        let moves = match self {
            Self::Host(state) => Some(state.moves.values()),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => None,
        };
        let over = moves.into_iter().flatten().filter(|one| one.is_over());
        over.map(|one| one.server)
    }

    /// Whether it knows already what a report that joins it could say.
    pub fn has_heard_normal(&self) -> bool {
        match self {
            Self::Host(state) => state.has_heard_normal(),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => true,
        }
    }

    /// Whether it knows already what evidence a report that joins it could bring.
    pub fn has_heard_evidence(&self) -> bool {
        match self {
            Self::Host(state) => state.came_with_evidence(),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => true,
        }
    }

    /// Nothing is left to be done.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Host(state) => state.stage == host_recovery::Stage::Over,
            Self::Vm(state) => state.stage == vm_recovery::Stage::Over,
            Self::Process(state) => state.over,
            Self::Planned(state) => state.stage == planned::PlannedStage::Over,
        }
    }

    /// Whether it is told of the host's storm guards by id.
    pub fn host_id(&self) -> Option<HostId> {
        match self {
            Self::Host(state) => Some(state.host_id),
            Self::Vm(_) | Self::Process(_) | Self::Planned(_) => None,
        }
    }
}

/// Kinds with one call at a time decide on each observation in turn.
fn one_by_one(observations: Vec<Observation>, mut decide: impl FnMut(Observation) -> Decision) -> Decision {
    let mut all = Decision::default();
    for observation in observations {
        let one = decide(observation);
        all.record.merge(one.record);
        all.commands.extend(one.commands);
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use tachi_domain::entity::notification::{Notification, NotificationStatus, NotificationType};
    use tachi_domain::entity::segment::{RecoveryMethod, Segment};
    use tachi_domain::entity::{Host, Stamps};
    use tachi_domain::recovery::Pulse;
    use tachi_domain::{Elapsed, HostId, NotificationId, RecoveryId, SegmentId, Timestamp};
    use uuid::Uuid;

    use super::*;

    pub(crate) fn claimed(kind: RecoveryKind) -> Claimed {
        let stamps = Stamps {
            created_at: Timestamp::from_micros(0),
            updated_at: None,
        };
        let segment = Segment {
            row: 1,
            id: SegmentId(Uuid::from_u128(1)),
            name: "one".into(),
            service_type: "COMPUTE".into(),
            enabled: true,
            description: None,
            recovery_method: RecoveryMethod::Auto,
            stamps,
        };
        let host = Host {
            row: 1,
            id: HostId(Uuid::from_u128(2)),
            name: "compute-1".into(),
            segment,
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: false,
            stamps,
        };
        let notification = Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(3)),
            kind: NotificationType::ComputeHost,
            generated_time: Timestamp::from_micros(0),
            source_host: host.id,
            segment: None,
            payload: BTreeMap::from([("event".to_owned(), "STOPPED".to_owned())]),
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps,
        };
        Claimed {
            id: RecoveryId(Uuid::from_u128(4)),
            epoch: 1,
            kind,
            life: Life::Open,
            notification,
            asked_by: Some("alice".to_owned()),
            host: Some(host),
            elapsed: Elapsed::ZERO,
            state: None,
            moves: Vec::new(),
            opened_at: Timestamp::from_micros(0),
            pulse: Pulse {
                segment_enabled: true,
                operator_maintenance: false,
                word: None,
                joined_normal: false,
                off_word: None,
                move_words: Vec::new(),
                frozen: tachi_domain::freeze::Frozen::NOTHING,
                clock: None,
            },
            restarts: Vec::new(),
        }
    }

    #[test]
    fn ew12_a_host_whose_row_is_gone_ends_what_was_not_begun_with_its_reason() {
        for &kind in RecoveryKind::ALL {
            let gone = Claimed {
                host: None,
                ..claimed(kind)
            };
            let Err(why) = Recovery::open(&gone, &Policy::default()) else {
                panic!("{kind}: opened");
            };
            assert!(matches!(why, Unusable::NoHost), "{kind}: {why}");
            assert!(why.to_string().contains("not registered any more"), "{kind}");
        }
    }

    #[test]
    fn t2_a_plan_that_no_operator_has_asked_for_ends_with_its_reason() {
        for &kind in RecoveryKind::ALL {
            let invented = Claimed {
                asked_by: None,
                ..claimed(kind)
            };
            let opened = Recovery::open(&invented, &Policy::default());
            assert_eq!(opened.is_err(), kind.is_planned(), "{kind}");
            let Err(why) = opened else { continue };
            assert!(matches!(why, Unusable::Unasked), "{kind}: {why}");
            let write = why.write(&invented, why.to_string(), Timestamp::from_micros(0));
            assert_eq!(write.life, Some(Life::Closed), "{kind}");
        }
    }

    #[test]
    fn ew12_a_recovery_that_has_begun_goes_on_without_the_hosts_row() {
        for &kind in RecoveryKind::ALL {
            let begun = Recovery::open(&claimed(kind), &Policy::default()).ok().unwrap();
            let gone = Claimed {
                host: None,
                state: Some(begun.head().unwrap()),
                ..claimed(kind)
            };
            let again = Recovery::open(&gone, &Policy::default()).ok().unwrap();
            assert_eq!(again.host(), "compute-1", "{kind}: it knows the host by itself");
        }
    }
}
