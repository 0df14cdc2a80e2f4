//! A test bench for host recoveries: feeds observations, records commands and journal writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use crate::entity::Stamps;
use crate::entity::host::Host;
use crate::entity::notification::{Notification, NotificationStatus, NotificationType};
use crate::entity::segment::{RecoveryMethod, Segment};
use crate::fault::{Fault, FaultClass};
use crate::guard::{NovaView, Region, RegionHost};
use crate::host_recovery::{HostRecovery, Move, MoveStep, decide};
use crate::level::{Device, Level, Target};
use crate::nova::{InstanceTraits, Migration, MigrationType, PowerState, Server, Service, VmState};
use crate::pace::Permits;
use crate::policy::{BareNormal, FencingMode, Policy};
use crate::power::{Power, PowerReading};
use crate::recovery::OffClaim;
use crate::recovery::{
    Command, DecisionTime, Evacuations, InCell, Inventory, Lists, Messaging, Observation, OperatorCommand,
    OperatorRequest, OperatorState, Record, ReserveAnswer, ReserveCall, ServerCall, ServiceUpdate, mark,
};
use crate::{
    Elapsed, HostId, MigrationId, NotificationId, RecoveryId, SegmentId, ServerId, ServiceId, Timestamp,
};

mod cloud;

pub(super) use cloud::*;

pub(super) const HOST: &str = "compute-1";

/// Returns Nova's services with every host up.
pub(super) fn bus(conductors_up: bool) -> Messaging {
    Messaging {
        conductors_up,
        latest_heartbeat_age: Some(Duration::from_secs(3)),
        latest_heartbeat: None,
        silent: BTreeMap::new(),
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(super) struct Harness {
    pub(super) state: HostRecovery,
    /// The recovery's elapsed time, in milliseconds.
    pub(super) at: u64,
    pub(super) record: Record,
    /// True if one of its records had this set.
    pub(super) contradicted: bool,
    pub(super) dismissed: bool,
    pub(super) commands: Vec<Command>,
    head: Option<String>,
    rows: BTreeMap<ServerId, String>,
    pub(super) writes: BTreeMap<ServerId, u32>,
    pub(super) status: NotificationStatus,
    pub(super) message: Option<String>,
    pub(super) message_count: u32,
    pub(super) operator_state: OperatorState,
    action_count: u64,
    /// The host's service in Nova.
    pub(super) service: Service,
    /// The state of all hosts, returned to each scan.
    region: Option<Arc<Region>>,
    /// Unanswered calls about reserved hosts.
    pub(super) pending: Vec<ReserveCall>,
    /// The configured devices.
    pub(super) levels: Vec<Level>,
    /// The last permits; `None` if this owner got none yet.
    leave: Option<Permits>,
    /// True if the test sets the permits; otherwise they are those of the policy.
    pub(super) leave_is_given: bool,
    /// True if the heartbeat was observed for a long time before the recovery.
    pub(super) watched: bool,
    /// The instances that a monitor on the host has read as being on its local disk.
    pub(super) local_disks: BTreeSet<ServerId>,
}

/// Returns a healthy segment with this number of hosts, some of them under recovery.
pub(super) fn region(out: usize, of: usize) -> Region {
    let name = |ix: usize| format!("compute-{}", ix + 1);
    let hosts = (0..of).map(|ix| RegionHost {
        id: HostId(Uuid::from_u128(2 + u128::try_from(ix).unwrap())),
        name: name(ix),
        segment: SegmentId(Uuid::from_u128(1)),
        on_maintenance: false,
        by_operator: false,
        by_process: false,
        recovering: ix < out,
        waits_for_disks: false,
        reported_ago: Some(Duration::ZERO),
        reporters: Vec::new(),
        heartbeats: crate::monitor::BootHeartbeats::default(),
    });
    let services = (0..of.max(2)).map(|ix| (name(ix), Some(up_service(&name(ix)))));
    Region {
        running_for: Duration::from_hours(1),
        hosts: hosts.collect(),
        orders: Vec::new(),
        proofs: Vec::new(),
        processes: Vec::new(),
        nova: Ok(NovaView {
            services: services.collect(),
            scheduler_up: true,
            aggregates: Vec::new(),
        }),
        witnesses: Vec::new(),
        domains: BTreeMap::new(),
    }
}

/// Returns a service with a heartbeat five seconds ago.
pub(super) fn up_service(host: &str) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(5)),
        host: host.into(),
        enabled: true,
        disabled_reason: None,
        up: true,
        forced_down: false,
        last_heartbeat: Some(nova_time(100_000)),
        nova_now: Some(nova_time(105_000)),
    }
}

/// True if this is an answer to that command.
fn answers(answer: &ReserveAnswer, call: &ReserveCall) -> bool {
    match (answer, call) {
        (ReserveAnswer::Survey(_), ReserveCall::Survey) => true,
        (ReserveAnswer::ReadHost { host, .. }, ReserveCall::ReadHost { host: other, .. })
        | (ReserveAnswer::StatusSet { host, .. }, ReserveCall::SetStatus { host: other, .. })
        | (ReserveAnswer::Joined { host, .. }, ReserveCall::Join { host: other, .. })
        | (ReserveAnswer::Left { host, .. }, ReserveCall::Leave { host: other, .. }) => host == other,
        _ => false,
    }
}

impl Harness {
    pub(super) fn with(reported: &str, change: impl FnOnce(&mut Policy)) -> Self {
        if reported.is_empty() {
            Self::with_payload(&[], change)
        } else {
            Self::with_payload(&[("host_status", reported)], change)
        }
    }

    pub(super) fn with_payload(own: &[(&str, &str)], change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy {
            fencing: FencingMode::Engine,
            retry_for: Duration::ZERO,
            ..Policy::default()
        };
        change(&mut policy);
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
            name: HOST.into(),
            segment,
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: false,
            stamps,
        };
        let mut payload: BTreeMap<String, String> = [("event".to_owned(), "STOPPED".to_owned())].into();
        payload.extend(
            own.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let notification = Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(3)),
            kind: NotificationType::ComputeHost,
            generated_time: nova_time(100_000),
            source_host: host.id,
            segment: None,
            payload,
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps: Stamps {
                created_at: nova_time(100_000),
                ..stamps
            },
        };
        let state = HostRecovery::new(RecoveryId(Uuid::from_u128(4)), &notification, &host, policy);
        Self {
            state,
            at: 0,
            record: Record::default(),
            contradicted: false,
            dismissed: false,
            commands: Vec::new(),
            head: None,
            rows: BTreeMap::new(),
            writes: BTreeMap::new(),
            status: NotificationStatus::Running,
            message: None,
            message_count: 0,
            operator_state: OperatorState::DEFAULT,
            action_count: 0,
            service: Service {
                id: ServiceId(Uuid::from_u128(5)),
                host: HOST.into(),
                enabled: true,
                disabled_reason: None,
                up: true,
                forced_down: false,
                last_heartbeat: Some(nova_time(0)),
                nova_now: None,
            },
            region: None,
            pending: Vec::new(),
            levels: levels(&[&["bmc"]]),
            leave: None,
            leave_is_given: false,
            watched: true,
            local_disks: BTreeSet::new(),
        }
    }

    pub(super) fn engine() -> Self {
        Self::with("UNKNOWN", |_| {})
    }

    pub(super) fn external() -> Self {
        Self::with("NORMAL", |policy| {
            policy.fencing = FencingMode::External;
            policy.bare_normal = BareNormal::Wait(Duration::ZERO);
        })
    }

    /// Answers the request for the configured levels in the same step.
    pub(super) fn see_all(&mut self, mut observations: Vec<Observation>) -> &mut Self {
        // A scan requested by the last decision is answered with the next one.
        if self.scans_region()
            && let Some(region) = self.region.clone()
        {
            observations.insert(0, Observation::Region(region));
        }
        self.leave_is_given |= observations
            .iter()
            .any(|observation| matches!(observation, Observation::Permits(_)));
        if self.leave.is_none()
            && let Some(leave) = self.leave()
        {
            observations.push(leave);
        }
        self.decide(observations);
        let is_level_read = |command: &Command| *command == Command::ReadLevels;
        if let Some(requested) = self.commands.iter().position(is_level_read) {
            self.commands.remove(requested);
            self.decide_too(Observation::Levels(self.levels.clone()));
        }
        // After a first order, the engine always has a recent scan before a further order.
        if self.state.fence.ordered
            && self.scans_region()
            && let Some(region) = self.region.clone()
        {
            self.commands.retain(|command| *command != Command::ScanHosts);
            self.decide_too(Observation::Region(region));
        }
        while let Some(leave) = self.leave() {
            self.decide_too(leave);
        }
        self
    }

    /// Answers in the same step.
    fn decide_too(&mut self, observation: Observation) {
        let (record, commands) = (
            std::mem::take(&mut self.record),
            std::mem::take(&mut self.commands),
        );
        self.decide(vec![observation]);
        let later = std::mem::replace(&mut self.record, record);
        self.record.merge(later);
        self.commands.splice(0..0, commands);
    }

    /// Returns the permits if they have changed: the policy's initial windows.
    fn leave(&mut self) -> Option<Observation> {
        let (demand, policy) = (self.state.demand(), &self.state.policy);
        let flight = policy.in_flight.saturating_sub(demand.in_flight);
        let room = flight.min(policy.queued.saturating_sub(demand.queued));
        let leave = Permits {
            evacuations: demand.requested + u64::from(room),
            calls: policy.in_flight,
            pause: policy.tick,
        };
        let is_new = !self.leave_is_given && self.leave != Some(leave);
        is_new.then(|| {
            self.leave = Some(leave);
            Observation::Permits(leave)
        })
    }

    fn decide(&mut self, observations: Vec<Observation>) {
        let now = DecisionTime {
            elapsed: Elapsed::from_millis(self.at),
            wall: wall(self.at),
        };
        // The journal refused the write that set it.
        let refused = observations
            .iter()
            .find(|observation| matches!(observation, Observation::MovesTaken(_)))
            .cloned();
        for observation in &observations {
            match observation {
                Observation::Reserve(answer) => self.pending.retain(|call| !answers(answer, call)),
                Observation::NotSent(Command::Reserve(call)) => self.pending.retain(|one| one != call),
                _ => {}
            }
        }
        let decision = decide(&mut self.state, observations, now);
        self.record = decision.record;
        self.commands = decision.commands;
        self.contradicted |= self.record.contradicted;
        self.dismissed |= self.record.dismissed;
        for command in &self.commands {
            if let Command::Reserve(call) = command {
                self.pending.push(call.clone());
            }
        }
        if let Some(Observation::MovesTaken(taken)) = &refused {
            self.rows.retain(|server, _| !taken.contains(server));
        }
        if self.record.head {
            self.head = Some(self.state.head().unwrap());
        }
        for server in &self.record.moves {
            if let Some(instance) = self.state.moves.get(server) {
                self.rows.insert(*server, instance.to_json().unwrap());
                *self.writes.entry(*server).or_default() += 1;
            }
        }
        if let Some((status, message)) = &self.record.notification {
            self.status = *status;
            self.message.clone_from(message);
            self.message_count += 1;
        }
    }

    pub(super) fn see(&mut self, observation: Observation) -> &mut Self {
        self.see_all(vec![observation])
    }

    pub(super) fn tick(&mut self, millis: u64) -> &mut Self {
        self.at += millis;
        self.see(Observation::Tick)
    }

    pub(super) fn claim(&mut self) -> &mut Self {
        self.see(Observation::Claimed(self.operator_state.clone()))
    }

    /// Asserts the content of the journal.
    pub(super) fn journalled(&mut self, head: String) {
        self.head = Some(head);
    }

    /// Replaces the owner by a new one that reads the journal.
    pub(super) fn take_over(&mut self) -> &mut Self {
        self.pending.clear();
        let rows: Vec<String> = self.rows.values().cloned().collect();
        let head = self.head.clone().unwrap();
        self.state = HostRecovery::restore(&head, &rows).unwrap();
        self.leave = None;
        self.claim()
    }

    pub(super) fn operator_state(&mut self, enabled: bool, maintenance: bool) -> &mut Self {
        self.operator_state.segment_enabled = enabled;
        self.operator_state.operator_maintenance = maintenance;
        self.see(Observation::OperatorState(self.operator_state.clone()))
    }

    /// Adds a joined report with NORMAL to the next pulse.
    pub(super) fn join_normal(&mut self) -> &mut Self {
        self.operator_state.joined_normal = true;
        self
    }

    pub(super) fn join_claim(&mut self, claim: OffClaim) -> &mut Self {
        self.operator_state.off_claim = Some(claim);
        self.see(Observation::OperatorState(self.operator_state.clone()))
    }

    pub(super) fn command(&mut self, command: OperatorCommand) -> &mut Self {
        self.action_count += 1;
        self.operator_state.word = Some(OperatorRequest {
            number: self.action_count,
            word: command,
            by: "ada".into(),
            at: nova_time(self.at + 100_000),
        });
        self.see(Observation::OperatorState(self.operator_state.clone()))
    }

    pub(super) fn requests(&self, matches: impl Fn(&Command) -> bool) -> bool {
        self.commands.iter().any(matches)
    }

    pub(super) fn evacuates(&self, number: u128) -> bool {
        self.requests(|command| matches!(command, Command::Evacuate(it) if it.server() == id(number)))
    }

    pub(super) fn evacuates_any(&self) -> bool {
        self.requests(|command| matches!(command, Command::Evacuate(_)))
    }

    pub(super) fn orders_off(&self) -> bool {
        self.requests(|command| matches!(command, Command::PowerOff { .. }))
    }

    pub(super) fn clears(&self) -> bool {
        let update = |command: &Command| {
            matches!(
                command,
                Command::UpdateService {
                    update: ServiceUpdate::ClearForcedDown,
                    ..
                }
            )
        };
        self.requests(update)
    }

    pub(super) fn updates(&self) -> Option<ServiceUpdate> {
        self.commands.iter().find_map(|command| match command {
            Command::UpdateService { update, .. } => Some(update.clone()),
            _ => None,
        })
    }

    pub(super) fn one(&self, number: u128) -> &Move {
        &self.state.moves[&id(number)]
    }

    pub(super) fn step(&self, number: u128) -> &MoveStep {
        &self.one(number).step
    }

    pub(super) fn is_asked(&self, number: u128) -> bool {
        matches!(self.step(number), MoveStep::Asked { .. })
    }

    pub(super) fn is_waiting(&self, number: u128) -> bool {
        matches!(self.step(number), MoveStep::Waiting { .. })
    }

    // --- answers of Nova and the devices

    pub(super) fn scans_region(&self) -> bool {
        self.requests(|command| *command == Command::ScanHosts)
    }

    /// Sets the number of hosts under recovery, including this one.
    pub(super) fn storm(&mut self, out: usize, of: usize) -> &mut Self {
        self.region(region(out, of))
    }

    /// Sets the state of all hosts from now on.
    pub(super) fn region(&mut self, region: Region) -> &mut Self {
        self.region = Some(Arc::new(region));
        if self.scans_region() {
            // The answer arrives together with it.
            return self.see_all(Vec::new());
        }
        self.tick(0)
    }

    /// Sets the state of all hosts for the next scan.
    pub(super) fn region_later(&mut self, region: Region) -> &mut Self {
        self.region = Some(Arc::new(region));
        self
    }

    /// Answers a read of the service with its current state.
    pub(super) fn service(&mut self) -> &mut Self {
        let service = self.seen_now();
        self.watch(&service);
        self.see(Observation::Service(Ok(Some(service))))
    }

    /// Answers a read of the service late; the answer is dated by its request.
    pub(super) fn service_now(&mut self) -> &mut Self {
        self.service().service()
    }

    /// Sets the age of the last heartbeat.
    pub(super) fn heartbeat_age(&mut self, millis: u64) -> &mut Self {
        self.service.last_heartbeat = Some(nova_time(self.at + 100_000 - millis));
        self
    }

    /// Sends two heartbeats: one could be a change of the record by another client.
    pub(super) fn beats(&mut self) -> &mut Self {
        self.heartbeat_age(0).service();
        self.at += 10_000;
        self.heartbeat_age(0).service()
    }

    pub(super) fn power(&mut self, power: Power) -> &mut Self {
        self.power_at(self.at, power)
    }

    pub(super) fn power_at(&mut self, started: u64, power: Power) -> &mut Self {
        self.device_at("bmc", started, power)
    }

    /// Answers with a power reading of this device.
    pub(super) fn device(&mut self, name: &str, power: Power) -> &mut Self {
        self.device_at(name, self.at, power)
    }

    /// Answers with a power reading that was requested at this time.
    pub(super) fn device_at(&mut self, name: &str, started: u64, power: Power) -> &mut Self {
        let reading = PowerReading {
            power,
            raw: format!("{power:?}"),
            device: name.into(),
            at: Timestamp::from_micros(0),
            machine: None,
        };
        self.see(Observation::Power {
            target: target(name),
            started: Elapsed::from_millis(started),
            waited: Duration::ZERO,
            result: Ok(reading),
        })
    }

    pub(super) fn power_fails(&mut self, fault: Fault) -> &mut Self {
        self.device_fails("bmc", fault)
    }

    pub(super) fn device_fails(&mut self, name: &str, fault: Fault) -> &mut Self {
        let started = Elapsed::from_millis(self.at);
        self.see(Observation::Power {
            target: target(name),
            started,
            waited: Duration::ZERO,
            result: Err(fault),
        })
    }

    /// Answers the order to `bmc`.
    pub(super) fn powered_off(&mut self, result: Result<(), Fault>) -> &mut Self {
        self.ordered("bmc", result)
    }

    /// Answers the order to this device.
    pub(super) fn ordered(&mut self, name: &str, result: Result<(), Fault>) -> &mut Self {
        self.see(Observation::PowerOff {
            target: target(name),
            result,
        })
    }

    /// Returns the devices that get a power-off command.
    pub(super) fn ordered_devices(&self) -> Vec<&str> {
        self.commands
            .iter()
            .filter_map(|command| match command {
                Command::PowerOff { target, .. } => Some(target.device.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Returns the devices that are being read.
    pub(super) fn queries(&self) -> Vec<&str> {
        self.commands
            .iter()
            .filter_map(|command| match command {
                Command::ReadPower(target) => Some(target.device.as_str()),
                _ => None,
            })
            .collect()
    }

    /// True if a device is being read.
    pub(super) fn reads_power(&self) -> bool {
        !self.queries().is_empty()
    }

    /// Lists the host; its cell confirms an empty list.
    pub(super) fn inventory(&mut self, servers: Vec<Server>, migrations: Vec<Migration>) -> &mut Self {
        self.listed(servers, migrations, InCell::Has(0))
    }

    pub(super) fn empty(&mut self, in_cell: InCell) -> &mut Self {
        self.listed(Vec::new(), Vec::new(), in_cell)
    }

    fn listed(&mut self, servers: Vec<Server>, migrations: Vec<Migration>, in_cell: InCell) -> &mut Self {
        self.see(Observation::Inventory(Ok(Inventory {
            evacuated: Vec::new(),
            migrations,
            servers,
            in_cell,
            service: Some(self.seen_now()),
            written_off: BTreeMap::new(),
            may_run: BTreeMap::new(),
            local_disks: self.local_disks.clone(),
        })))
    }

    pub(super) fn lists(&mut self, servers: Vec<Server>, evacuations: Vec<Migration>) -> &mut Self {
        self.lists_with(servers, evacuations, &[])
    }

    pub(super) fn records(&mut self, records: Vec<Migration>) -> &mut Self {
        let started = Elapsed::from_millis(self.at);
        self.see(Observation::Evacuations(Ok(Evacuations { started, records })))
    }

    pub(super) fn lists_with(
        &mut self,
        servers: Vec<Server>,
        evacuations: Vec<Migration>,
        off: &[&str],
    ) -> &mut Self {
        let proven_off: BTreeSet<String> = off.iter().map(|host| (*host).to_owned()).collect();
        self.see(Observation::Lists(Ok(Lists {
            started: Elapsed::from_millis(self.at),
            servers,
            evacuations,
            proven_off,
        })))
    }

    pub(super) fn reads(&mut self, number: u128, shown: Option<Server>) -> &mut Self {
        self.see(Observation::Server {
            server: id(number),
            result: Ok(shown),
        })
    }

    /// Answers the read of a lock with this reason; `None` for no lock.
    pub(super) fn lock_is(&mut self, number: u128, reason: Option<&str>) -> &mut Self {
        assert!(
            self.requests(|command| *command == Command::ReadServer(id(number))),
            "{:?}",
            self.commands
        );
        let shown = Server {
            locked: reason.is_some(),
            locked_reason: reason.map(Into::into),
            ..server(number)
        };
        self.reads(number, Some(shown))
    }

    /// Returns the reason of this recovery's locks.
    pub(super) fn mark(&self) -> String {
        mark(self.state.id)
    }

    /// Answers the read of a lock with this recovery's own.
    pub(super) fn lock_is_ours(&mut self, number: u128) -> &mut Self {
        let mark = self.mark();
        self.lock_is(number, Some(&mark))
    }

    /// Answers that Nova does not know the instance, now and later.
    pub(super) fn gone(&mut self, number: u128) -> &mut Self {
        self.reads(number, None).tick(5_000).reads(number, None)
    }

    pub(super) fn answer(&mut self, number: u128, call: ServerCall, result: Result<(), Fault>) -> &mut Self {
        self.see(Observation::ServerCall {
            server: id(number),
            call,
            result,
        })
    }

    // --- the steps up to a stage

    /// Lets the guards pass.
    pub(super) fn begun(mut self) -> Self {
        self.claim().storm(1, 10);
        self
    }

    /// Sends two readings of "off", three seconds apart, for a host that is down in Nova.
    pub(super) fn proven(self) -> Self {
        let mut harness = self.begun();
        harness.heartbeat_age(20_000).service();
        harness.power(Power::Off).tick(3_000).power(Power::Off);
        assert!(harness.state.proof.is_some());
        harness
    }

    pub(super) fn forced_down(&mut self) -> &mut Self {
        assert!(self.updates().is_some(), "{:?}", self.commands);
        self.service.forced_down = true;
        self.service.up = false;
        // Nova updates the record's date with each change.
        self.heartbeat_age(0);
        let service = self.service.clone();
        self.see(Observation::ServiceUpdated(Ok(service)));
        self.at += 1;
        self.service()
    }

    /// Lists these instances and answers their locks.
    pub(super) fn planned(self, servers: Vec<Server>) -> Self {
        self.planned_with(servers, Vec::new())
    }

    pub(super) fn planned_with(self, servers: Vec<Server>, migrations: Vec<Migration>) -> Self {
        let mut harness = self.proven();
        harness.forced_down().inventory(servers, migrations);
        let locking: Vec<ServerId> = harness
            .commands
            .iter()
            .filter_map(|command| match command {
                Command::Lock { server, .. } => Some(*server),
                _ => None,
            })
            .collect();
        if !locking.is_empty() {
            let locked = |server| Observation::ServerCall {
                server,
                call: ServerCall::Lock,
                result: Ok(()),
            };
            harness.see_all(locking.into_iter().map(locked).collect());
        }
        harness
    }

    /// Returns a recovery with one instance whose evacuation Nova has accepted.
    pub(super) fn requested(self) -> Self {
        let mut harness = self.planned(vec![server(1)]);
        assert!(harness.evacuates(1), "{:?}", harness.commands);
        harness.answer(1, ServerCall::Evacuate, Ok(()));
        harness.at += 1;
        harness
    }

    /// Answers the last unlocks and the last check of the host.
    pub(super) fn over(&mut self, servers: Vec<Server>) -> &mut Self {
        let requested: Vec<Observation> = self
            .state
            .moves
            .values()
            .filter(|instance| matches!(instance.step, MoveStep::Unlocking { .. }))
            .map(|instance| Observation::ServerCall {
                server: instance.server,
                call: ServerCall::Unlock,
                result: Ok(()),
            })
            .collect();
        let lists_requested =
            |harness: &Self| harness.requests(|command| matches!(command, Command::TakeInventory { .. }));
        let was_requested = lists_requested(self);
        if !requested.is_empty() {
            self.see_all(requested);
        }
        if !was_requested && !lists_requested(self) {
            self.tick(500);
        }
        if was_requested || lists_requested(self) {
            self.inventory(servers, Vec::new());
        }
        self
    }
}
