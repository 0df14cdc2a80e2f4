//! Combines our tables and an engine's observations of the cloud to the facts about a region.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::guard::{JointLoss, WouldHold};
use tachi_domain::machine_id::MachineId;
use tachi_domain::policy::LocalDiskRules;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::{
    Acknowledgement, ActiveFreeze, ComputeService, DeviceTest, Engine, EnginePart, Facts, Fencing, Host,
    Instance, Instances, Monitor, MutedReporter, Queue, Recovery, ReportedFailure, Rooms, Segment, TimedFact,
    WaitingInstance, WrongMachine,
};
use tachi_domain::{NotificationId, ServerId, Timestamp};

use crate::ports::engine_registry::{Backlog, EngineRow};
use crate::ports::machines::MachineLine;
use crate::ports::operator::{HostView, MoveFilter, MoveLine, RecoverySummary, SegmentView};
use crate::ports::{
    EngineRegistry, Fact, FactStore, FreezeLine, Freezes, JournalError, Machines, Monitors, OperatorJournal,
    freezes,
};
use crate::watcher::kind;

/// True if the state that an engine reports for one of its parts is healthy.
pub fn is_healthy(how: &str) -> bool {
    how.starts_with("ok")
}

/// Parts of an engine with separate facts. Only older engines report the second one.
const PARTS_WITH_FACTS: [&str; 2] = ["fencing", "hypervisors"];

/// Time after the end of a recovery after which every list of Nova contains its results.
const LISTING_DELAY: Duration = Duration::from_mins(30);

/// The content of our own tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Every segment with its hosts.
    pub segments: Vec<SegmentView>,
    /// The recoveries that are open or watching.
    pub recoveries: Vec<RecoverySummary>,
    /// Instances that wait for an operator.
    pub waiting: Vec<MoveLine>,
    /// The moves of host recoveries that are open, or were until recently.
    pub moves: Vec<Vmove>,
    /// The engines in the registry.
    pub engines: Vec<EngineRow>,
    pub backlog: Backlog,
    /// Reporters that are muted, or would be if the limit allowed it.
    pub muted_reporters: Vec<MutedReporter>,
    /// The instances whose reported failure no recovery has repaired.
    pub failed: BTreeMap<ServerId, ReportedFailure>,
    /// The machines that the devices switch.
    pub machines: Vec<MachineLine>,
    /// The freezes in force, ordered by their end.
    pub freezes: Vec<FreezeLine>,
    /// The monitors that ever sent a heartbeat.
    pub monitors: Vec<Monitor>,
    /// The instances on the local disk of each host that a monitor bound to it has read.
    pub local_disks: Arc<BTreeMap<String, BTreeSet<ServerId>>>,
    /// The findings that operators have acknowledged.
    pub acknowledged: Vec<Acknowledgement>,
}

/// An engine's observations of the cloud.
#[derive(Clone, Debug, Default)]
pub struct CloudSnapshot {
    pub computes: Option<TimedFact<Vec<ComputeService>>>,
    pub instances: Option<TimedFact<Instances>>,
    /// The latest tests of fence devices.
    pub tests: Option<Vec<DeviceTest>>,
    /// The capacity of hosts.
    pub rooms: Option<TimedFact<Rooms>>,
    /// The hosts whose recovery the guards would put on hold.
    pub holds: Option<TimedFact<Vec<WouldHold>>>,
    /// The guards' answers to the loss of several hosts at once.
    pub joint_losses: Option<TimedFact<Vec<JointLoss>>>,
}

/// The configured facts.
#[derive(Clone, Debug)]
pub struct ConfiguredFacts {
    /// The method to confirm hosts off, without the tests and the devices of other machines.
    pub fencing: Fencing,
    /// The rules for instances on a local disk.
    pub local_disk: LocalDiskRules,
}

/// Returns the acknowledgements; one that cannot be read was written by another version, and counts as missing.
pub fn acknowledged(facts: &[Fact]) -> Vec<Acknowledgement> {
    let read = facts.iter().map(|fact| serde_json::from_str(&fact.value));
    read.filter_map(Result::ok).collect()
}

impl Tables {
    /// Reads the tables.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn read(
        operator_journal: &impl OperatorJournal,
        engine_registry: &impl EngineRegistry,
        machines: &impl Machines,
        freezes: &impl Freezes,
        monitors: &impl Monitors,
        facts: &impl FactStore,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        let recoveries = operator_journal.recoveries(false).await?;
        let lately = recent_recoveries(&recoveries, now);
        Ok(Self {
            segments: operator_journal.region().await?,
            moves: operator_journal.moved(&lately).await?,
            recoveries,
            waiting: operator_journal.moves(MoveFilter::NeedsPerson).await?,
            engines: engine_registry.engines().await?,
            backlog: engine_registry.backlog().await?,
            muted_reporters: operator_journal.muted_reporters().await?,
            failed: operator_journal.reported_failures().await?,
            machines: machines.machines().await?,
            freezes: freezes.freezes().await?,
            monitors: monitors.monitors().await?,
            local_disks: Arc::new(monitors.local_disks().await?),
            acknowledged: acknowledged(&facts.facts(Some(kind::ACKNOWLEDGED)).await?),
        })
    }

    /// Returns the names of the registered hosts.
    pub fn hosts(&self) -> Vec<&str> {
        let views = self.segments.iter().flat_map(|view| &view.hosts);
        views.map(|view| view.host.name.as_str()).collect()
    }

    /// Combines the tables with the observations of the cloud.
    pub fn facts(&self, watched: CloudSnapshot, configured: ConfiguredFacts) -> Facts {
        Facts {
            engines: self.engines.iter().map(engine).collect(),
            queue: Queue {
                new: self.backlog.new,
                oldest: self.backlog.oldest_new,
            },
            segments: self
                .segments
                .iter()
                .map(|view| segment(view, &configured.local_disk))
                .collect(),
            recoveries: self.recoveries.iter().map(recovery).collect(),
            waiting: self.waiting.iter().map(waiting).collect(),
            displaced_instances: self.displaced_instances(),
            muted_reporters: self.muted_reporters.clone(),
            failed: self.failed.clone(),
            freezes: self.freezes.iter().map(|line| self.active_freeze(line)).collect(),
            monitors: self.monitors.clone(),
            local_disks: Arc::clone(&self.local_disks),
            acknowledged: self.acknowledged.clone(),
            fencing: Fencing {
                foreign: self.foreign(),
                tests: watched.tests,
                ..configured.fencing
            },
            computes: watched.computes,
            instances: watched.instances.map(|known| self.after_moves(known)),
            rooms: watched.rooms,
            holds: watched.holds,
            joint_losses: watched.joint_losses,
        }
    }

    /// Returns the instances that open recoveries of hosts have not brought back.
    fn displaced_instances(&self) -> BTreeSet<ServerId> {
        let open = self.recoveries.iter().filter(|row| row.life == Life::Open);
        let open: BTreeSet<NotificationId> = open.map(|row| row.notification).collect();
        let under_way = self.moves.iter().filter(|vmove| {
            let goes_on = matches!(vmove.status, Some(VmoveStatus::Pending | VmoveStatus::Ongoing));
            goes_on && open.contains(&vmove.notification)
        });
        under_way
            .filter_map(|vmove| vmove.instance_uuid.parse().ok())
            .collect()
    }

    /// Updates the list of Nova's instances, which is some seconds old, with the later moves in the journal.
    fn after_moves(&self, mut known: TimedFact<Instances>) -> TimedFact<Instances> {
        let on = &mut known.value.on;
        for vmove in &self.moves {
            let is_younger = vmove.end_time.is_some_and(|end| end > known.as_of);
            let (Some(from), Some(to)) = (&vmove.source_host, &vmove.dest_host) else {
                continue;
            };
            if !is_younger || vmove.status != Some(VmoveStatus::Succeeded) || from == to {
                continue;
            }
            let Ok(server) = vmove.instance_uuid.parse::<ServerId>() else {
                continue;
            };
            let is_it = |instance: &Instance| instance.id == server;
            let Some(instances) = on.get_mut(from) else {
                continue;
            };
            let Some(place) = instances.iter().position(is_it) else {
                continue;
            };
            let mut instance = Arc::make_mut(instances).remove(place);
            instance.moving = false;
            Arc::make_mut(on.entry(to.clone()).or_default()).push(instance);
        }
        known
    }

    /// Returns a freeze under the current name of the host or segment.
    fn active_freeze(&self, line: &FreezeLine) -> ActiveFreeze {
        let mut freeze = line.freeze.clone();
        let hosts = self.segments.iter().flat_map(|view| &view.hosts);
        let hosts = hosts.map(|view| (view.host.id.to_string(), &view.host.name));
        let segments = self.segments.iter();
        let segments = segments.map(|view| (view.segment.id.to_string(), &view.segment.name));
        if let Some((_, name)) = hosts.chain(segments).find(|(id, _)| *id == line.target) {
            freeze.name.clone_from(name);
        }
        ActiveFreeze {
            freeze,
            server: line.target.parse().ok(),
            since: line.since,
            by_drain: line.by_drain,
        }
    }

    fn foreign(&self) -> Vec<WrongMachine> {
        let hosts = self.hosts();
        let lines = self
            .machines
            .iter()
            .filter(|line| hosts.contains(&line.host.as_str()));
        lines.filter_map(foreign).collect()
    }
}

/// Returns the recoveries of hosts whose moves may be later than the last observation of Nova.
fn recent_recoveries(recoveries: &[RecoverySummary], now: Timestamp) -> Vec<NotificationId> {
    let is_young = |row: &&RecoverySummary| {
        let age = u128::from(now.micros_since(row.opened_at).unsigned_abs());
        row.kind == RecoveryKind::Host && (row.life == Life::Open || age <= LISTING_DELAY.as_micros())
    };
    recoveries
        .iter()
        .filter(is_young)
        .map(|row| row.notification)
        .collect()
}

fn engine(line: &EngineRow) -> Engine {
    let parts = line.heartbeat.facts.iter();
    let parts = parts.filter(|(name, _)| !PARTS_WITH_FACTS.contains(&name.as_str()));
    Engine {
        name: line.heartbeat.name.clone(),
        started_at: line.heartbeat.started_at,
        seen_at: line.seen_at,
        supports_freezes: line.heartbeat.facts.contains_key(freezes::FREEZES_FACT),
        parts: parts
            .map(|(name, text)| {
                let part = EnginePart {
                    is_working: is_healthy(text),
                    text: text.clone(),
                };
                (name.clone(), part)
            })
            .collect(),
    }
}

fn segment(view: &SegmentView, local_disk: &LocalDiskRules) -> Segment {
    let (name, id) = (&view.segment.name, view.segment.id.to_string());
    Segment {
        local_disk: local_disk.usual_in(name, &id),
        name: view.segment.name.clone(),
        method: view.segment.recovery_method,
        enabled: view.segment.enabled,
        hosts: view.hosts.iter().map(host).collect(),
    }
}

fn host(view: &HostView) -> Host {
    Host {
        name: view.host.name.clone(),
        reserved: view.host.reserved,
        maintenance: view.why,
        recovery: view.recovery,
    }
}

fn recovery(row: &RecoverySummary) -> Recovery {
    Recovery {
        id: row.id,
        kind: row.kind,
        host: row.host.clone(),
        life: row.life,
        wait: row.wait.clone(),
        instances: row.moves.total(),
        back: row.moves.succeeded,
        message: row.message.clone(),
    }
}

fn waiting(line: &MoveLine) -> WaitingInstance {
    WaitingInstance {
        server: line.server,
        name: line.name.clone(),
        host: line.host.clone(),
        recovery: line.recovery,
        wait: line.wait.clone(),
        reason: line.message.clone(),
    }
}

/// Returns a device that is answered by the wrong machine, so that its answers do not count.
fn foreign(line: &MachineLine) -> Option<WrongMachine> {
    let (answers, since): &(Option<MachineId>, Timestamp) = line.foreign.as_ref()?;
    let answers = answers
        .as_ref()
        .map_or_else(|| "none".to_owned(), ToString::to_string);
    let what = match &line.machine {
        Some(expected) => format!("answers for another machine: expected {expected}, {answers} answers"),
        None => format!("answers for a machine that other hosts have too: {answers}"),
    };
    Some(WrongMachine {
        host: line.host.clone(),
        device: line.device.clone(),
        what,
        since: *since,
    })
}

#[cfg(test)]
mod tests;
