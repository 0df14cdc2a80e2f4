//! Everything outside the engines, driven by one event queue in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::guard::Guard;
use tachi_domain::host_recovery::HostRecovery;
use tachi_domain::nova::{Migration, PowerState, Server, VmState};
use tachi_domain::recovery::{Command, Observation};
use tachi_domain::{Elapsed, Timestamp};
use tachi_driver::Intent;
use tachi_driver::journal::{Claim, Write, WriteOutcome};

use crate::arrivals::{Arrivals, PlannedDeparture, PlannedMove, Stage};
use crate::calls::InventoryRead;
use crate::crowd::{Aborts, Act, Crowd};
use crate::drains::LiveMove;
use crate::engine::Engine;
use crate::excluded::ExclusionPlan;
use crate::hooks::HookPlan;
use crate::journal::{Journal, RecIx};
use crate::lag::Snapshot;
use crate::liars::ReportLedger;
use crate::machines::Machine;
use crate::mishap::{Mishap, Mishaps};
use crate::nova::{HostIx, Nova, ServerIx};
use crate::reserve::Reserve;
use crate::rng::Rng;
use crate::weather::Weather;

/// The owner of a call; answers for another owner are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub engine: usize,
    pub life: u32,
    pub rec: RecIx,
    pub epoch: u64,
}

#[derive(Debug)]
pub(crate) enum Event {
    Sweep {
        engine: usize,
        life: u32,
    },
    Revive {
        engine: usize,
    },
    /// The end of a driver's wait, unless it has started another.
    Tick {
        owner: Owner,
        wait: u64,
    },
    /// A changed budget.
    Permits(Owner),
    /// The arrival of a slow transaction at the database.
    Commit {
        owner: Owner,
        claim: Claim,
        write: Arc<Write>,
        sent: Duration,
    },
    /// The database's answer to an owner, or the owner's timeout.
    Journalled {
        owner: Owner,
        sent: Duration,
        outcome: Option<WriteOutcome>,
    },
    /// A released claim of an engine that stops gracefully.
    Release(Owner),
    /// The end of a graceful stop.
    Stopped {
        engine: usize,
        life: u32,
    },
    /// The first byte of a call, unless its claim or intent is too old.
    Send {
        owner: Owner,
        command: Command,
        intent: Intent,
        started: Elapsed,
    },
    /// The effect of a call; the answer, if not lost, arrives after this delay in ms.
    Effect {
        owner: Owner,
        command: Command,
        started: Elapsed,
        answer: Option<u64>,
    },
    Answer {
        owner: Owner,
        observation: Box<Observation>,
    },
    InventoryServers {
        owner: Owner,
        read: InventoryRead,
    },
    InventoryService {
        owner: Owner,
        read: InventoryRead,
        servers: Vec<Server>,
    },
    ListsEvacuations {
        owner: Owner,
        started: Elapsed,
        since: Option<Timestamp>,
        servers: Vec<Server>,
    },
    ListsProven {
        owner: Owner,
        started: Elapsed,
        servers: Vec<Server>,
        evacuations: Vec<Migration>,
    },
    /// A cast that a conductor takes up.
    Conductor {
        job: usize,
    },
    /// A step of the destination: it claims the instance, builds it, reports to Nova.
    Claim {
        job: usize,
        dest: HostIx,
        life: u32,
    },
    Spawn {
        job: usize,
    },
    Switch {
        job: usize,
    },
    Finish {
        job: usize,
    },
    /// A stop, pause or suspend that reaches the guest.
    Reached {
        server: ServerIx,
        host: HostIx,
        life: u32,
        state: VmState,
    },
    PowerOff {
        host: HostIx,
    },
    Fail {
        host: HostIx,
    },
    Notify {
        host: HostIx,
    },
    Boot {
        host: HostIx,
    },
    ComputeStart {
        host: HostIx,
        life: u32,
    },
    Delete {
        server: ServerIx,
    },
    /// A wake-up of an engine.
    Wakeup {
        engine: usize,
        life: u32,
    },
    /// A jump of an engine's wall clock, in seconds.
    Jump {
        engine: usize,
        seconds: i64,
    },
    /// The first byte of a call whose process was stopped after its last check.
    Slip {
        owner: Owner,
        command: Command,
        started: Elapsed,
    },
    /// A user's call for an instance.
    UserCall,
    /// A false report.
    Lie,
    /// A stop or start of a host's nova-compute on an otherwise healthy host.
    Silence {
        host: HostIx,
        stops: bool,
    },
    /// The death of an instance's process on a running host.
    VmFails,
    ProcessFails,
    /// A start or stop by a VM recovery that reaches the guest.
    ReportLedger {
        server: ServerIx,
        host: HostIx,
        life: u32,
        runs: bool,
    },
    /// An owner's stop of an excluded instance, or Nova's power-state sync of a host.
    OwnerStops(ServerIx),
    PowerSync(HostIx, u32),
    /// The arrival of a stopped instance at the host that Nova has chosen for it.
    ColdArrives {
        record: u64,
        source: (HostIx, u32),
        dest: (HostIx, u32),
        fails: bool,
    },
    Pause {
        engine: usize,
        millis: u64,
    },
    /// A suspension of an engine's machine with its clocks.
    Suspend {
        engine: usize,
        millis: u64,
    },
    Operator,
    /// The same as part of a fault.
    DrainOfFault {
        host: HostIx,
    },
    /// An operator's drain.
    Drain {
        host: HostIx,
    },
    /// An operator's giveback.
    Giveback {
        host: HostIx,
    },
    /// The end of a live migration.
    LiveEnds(LiveMove),
    /// A move to the host that fails first, by an owner or an administrator.
    Departs(PlannedDeparture),
    Moves(PlannedMove, Stage),
    /// A replica of the journal's database that has caught up.
    Replicated,
    /// The replica's takeover, after an outage of this many ms.
    FailsOver {
        away: u64,
    },
    /// An operator's deletion of a host's service record.
    Reinstalls {
        host: HostIx,
    },
    DeletesService {
        host: HostIx,
    },
    /// An operator's confirmation that host 0 is off while Nova receives no heartbeats.
    ConfirmsInDeafness,
    Approves {
        rec: RecIx,
    },
    /// A control node's report of a host as off, without evidence.
    ReportsNormal,
    /// An operator's freeze of a recovery's host.
    Freezes {
        rec: RecIx,
    },
    TwoAct(Crowd),
    /// The second action of two operators.
    Acts {
        rec: RecIx,
        act: Act,
    },
    /// A report of a running host.
    FalselyReported {
        host: HostIx,
    },
    /// An operator's retry of its failed recovery.
    Retries {
        host: HostIx,
    },
}

struct Due {
    at: u64,
    seq: u64,
    what: QueuedEvent,
}

/// Separate from the event, so that the queue moves little data: every second event is a sweep.
enum QueuedEvent {
    Sweep { engine: u32, life: u32 },
    Other(Box<Event>),
}

impl From<Event> for QueuedEvent {
    fn from(event: Event) -> Self {
        if let Event::Sweep { engine, life } = event {
            let engine = u32::try_from(engine).unwrap();
            return Self::Sweep { engine, life };
        }
        Self::Other(Box::new(event))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// An evacuation from the API's answer to its end: the ledger's view, separate from Nova's records.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub server: ServerIx,
    /// The record that the conductor took for it, not always that of its own call.
    pub record: Option<u64>,
    pub dest: Option<(HostIx, u32)>,
    pub was_stopped: bool,
    pub over: bool,
    /// The host that the call named.
    pub target: Option<HostIx>,
}

/// Counters of the summary; in a run of many seeds none may be 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub events: u64,
    pub crashes: u64,
    pub takeovers: u64,
    pub second_checks: u64,
    pub holds: u64,
    pub evacuations: u64,
    pub evacuation_retries: u64,
    pub not_sent: u64,
    pub late_effects: u64,
    pub power_ons: u64,
    pub dead_destinations: u64,
    pub lost_casts: u64,
    pub operator_actions: u64,
    pub taken: u64,
    pub refused_by_epoch: u64,
    pub hooks: u64,
    /// Per guard: recoveries that it held, delayed, or warned of.
    pub guards: [u64; Guard::ALL.len()],
    /// Number of times that a whole failure domain was named.
    pub domains: u64,
    /// Orders refused by the journal's rate limit.
    pub orders_refused: u64,
    /// Writes of engines that were suspended with their clocks.
    pub too_late: u64,
    /// Writes that would have started an action on a frozen object.
    pub frozen: u64,
    /// Number of times that operators were notified of a waiting recovery.
    pub alarms: u64,
    /// Checks at the time that a driver named.
    pub checks: u64,
    /// Times in ms from an owner's death to a claim by an engine that was up throughout.
    pub slowest_takeover: u64,
}

impl Stats {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.crashes += other.crashes;
        self.takeovers += other.takeovers;
        self.second_checks += other.second_checks;
        self.holds += other.holds;
        self.evacuations += other.evacuations;
        self.evacuation_retries += other.evacuation_retries;
        self.not_sent += other.not_sent;
        self.late_effects += other.late_effects;
        self.power_ons += other.power_ons;
        self.dead_destinations += other.dead_destinations;
        self.lost_casts += other.lost_casts;
        self.operator_actions += other.operator_actions;
        self.taken += other.taken;
        self.refused_by_epoch += other.refused_by_epoch;
        self.hooks += other.hooks;
        for (sum, one) in self.guards.iter_mut().zip(other.guards) {
            *sum += one;
        }
        self.domains += other.domains;
        self.orders_refused += other.orders_refused;
        self.too_late += other.too_late;
        self.frozen += other.frozen;
        self.alarms += other.alarms;
        self.checks += other.checks;
        self.slowest_takeover = self.slowest_takeover.max(other.slowest_takeover);
    }

    /// Returns the counters that must not be 0 after many seeds.
    pub(crate) fn named(&self) -> Vec<(&'static str, u64)> {
        let guards = Guard::ALL.iter().map(|guard| guard.as_str()).zip(self.guards);
        guards
            .chain([
                ("events", self.events),
                ("crashes", self.crashes),
                ("take-overs", self.takeovers),
                ("second looks", self.second_checks),
                ("held recoveries", self.holds),
                ("evacuations", self.evacuations),
                ("evacuations retried", self.evacuation_retries),
                ("calls not sent", self.not_sent),
                ("late effects", self.late_effects),
                ("hosts powered on", self.power_ons),
                ("dead destinations", self.dead_destinations),
                ("lost casts", self.lost_casts),
                ("operators' doings", self.operator_actions),
                ("instances taken by another recovery", self.taken),
                ("writes refused by epoch", self.refused_by_epoch),
                ("writes refused as too late", self.too_late),
                ("writes refused as frozen", self.frozen),
                ("runs of hooks", self.hooks),
                ("failure domains named", self.domains),
                ("alarms", self.alarms),
                ("checks at the time a driver named", self.checks),
            ])
            .collect()
    }
}

pub(crate) struct World {
    pub now: u64,
    pub rng: Rng,
    pub weather: Weather,
    queue: BinaryHeap<Reverse<Due>>,
    seq: u64,
    pub nova: Nova,
    pub machines: Vec<Machine>,
    pub journal: Journal,
    pub engines: Vec<Engine>,
    pub jobs: Vec<Job>,
    pub commits: u64,
    /// Hosts that have failed and were not brought back.
    pub failed: BTreeSet<HostIx>,
    /// Hosts that failed at any time.
    pub ever_failed: BTreeSet<HostIx>,
    pub booted: BTreeSet<HostIx>,
    /// Hosts, with boot numbers, whose nova-compute waits for the boot guard.
    pub held_at_boot: BTreeSet<(HostIx, u32)>,
    /// Hosts whose forced_down an engine has cleared.
    pub cleared: BTreeSet<HostIx>,
    pub was: Vec<(VmState, PowerState)>,
    pub stats: Stats,
    pub log: Option<Vec<String>>,
    pub violation: Option<String>,
    pub guests_changed: bool,
    pub hook_plan: HookPlan,
    pub freezer: Option<Rng>,
    pub excluded: Option<ExclusionPlan>,
    /// Drains of a host that an instance has just been sent to.
    pub drainer: Option<Rng>,
    pub mishaps: Mishaps,
    /// Numbers of calls started and answers received, for crashes in between.
    pub calls: u64,
    pub answers: u64,
    /// True once the worst moment for a host's return has passed.
    pub return_triggered: bool,
    /// True once a destination has died during a rebuild.
    pub dest_died: bool,
    /// Users' calls in a dead host's queue.
    pub queued: Vec<(HostIx, ServerIx)>,
    /// Instances started by a call from a returning host's queue, which the engine cannot prevent.
    pub slipped: BTreeSet<ServerIx>,
    /// Calls whose process was stopped after the last check; true if a violation followed.
    pub slips: u64,
    pub slip_harm: Option<String>,
    /// Instances that a VM recovery has worked on.
    pub restarted: BTreeSet<ServerIx>,
    /// Time since which more hosts are being recovered than one failure explains.
    pub storm_since: Option<u64>,
    /// The reports and the true states.
    pub report_ledger: ReportLedger,
    /// Time of the first host's failure.
    pub first_failure: u64,
    pub arrivals: Arrivals,
    pub past: Snapshot,
    /// The state of the journal's replica, and the end of the outage after its takeover.
    pub copy: Option<Box<Journal>>,
    pub failing_over: Option<u64>,
    pub aborts: Aborts,
    /// Parsed journal states, by version.
    pub states: BTreeMap<RecIx, (u64, HostRecovery)>,
}

pub(crate) const HOSTS: usize = 5;

/// Maximum number of events in a run.
const BUSY: u64 = 300_000;

macro_rules! note {
    ($world:expr, $($text:tt)*) => {
        if $world.log.is_some() {
            let text = format!($($text)*);
            $world.write(&text);
        }
    };
}
pub(crate) use note;

impl World {
    pub(crate) fn new(seed: u64, logged: bool) -> Self {
        let mut rng = Rng::new(seed);
        let weather = Weather::draw(seed, &mut rng);
        let servers = weather.servers;
        let mut world = Self {
            now: 0,
            queue: BinaryHeap::new(),
            seq: 0,
            nova: Nova::default(),
            machines: (0..HOSTS).map(|_| Machine::new()).collect(),
            journal: Journal::new(Reserve::draw(seed), weather.storms.ordered.clone()),
            engines: (0..weather.engines).map(|_| Engine::default()).collect(),
            jobs: Vec::new(),
            commits: 0,
            failed: BTreeSet::new(),
            ever_failed: BTreeSet::new(),
            booted: BTreeSet::new(),
            held_at_boot: BTreeSet::new(),
            cleared: BTreeSet::new(),
            was: Vec::new(),
            stats: Stats::default(),
            log: logged.then(Vec::new),
            violation: None,
            guests_changed: false,
            hook_plan: HookPlan::draw(seed),
            freezer: crate::freeze_checks::draw(seed),
            excluded: crate::excluded::draw(seed),
            drainer: crate::drains::draw(seed),
            mishaps: Mishaps::default(),
            calls: 0,
            answers: 0,
            return_triggered: false,
            dest_died: false,
            queued: Vec::new(),
            slipped: BTreeSet::new(),
            slips: 0,
            slip_harm: None,
            restarted: BTreeSet::new(),
            storm_since: None,
            report_ledger: ReportLedger::default(),
            first_failure: 0,
            arrivals: Arrivals::of(seed),
            past: Snapshot::default(),
            copy: None,
            failing_over: None,
            aborts: Aborts::default(),
            states: BTreeMap::new(),
            rng,
            weather,
        };
        world.nova.services = vec![crate::nova::ServiceRow::default(); HOSTS];
        world.put_in_reserve();
        world.populate(servers);
        world.plan_failures();
        world.plan_excluded();
        world.plan_more();
        world.plan_lies();
        world.plan_drains(seed);
        world.plan_faults();
        for engine in 0..world.engines.len() {
            let at = world.rng.between(0, 900);
            world.at(at, Event::Sweep { engine, life: 0 });
        }
        world.at(5_000, Event::Operator);
        note!(world, "weather {:?}", world.weather);
        world
    }

    pub(crate) fn write(&mut self, text: &str) {
        let line = format!(
            "{:>9.3} {text}",
            f64::from(u32::try_from(self.now).unwrap()) / 1_000.0
        );
        if let Some(log) = &mut self.log {
            log.push(line);
        }
    }

    pub(crate) fn violate(&mut self, text: String) {
        if self.slips > 0 {
            // Known limit, counted: docs/design/guarantees.md.
            note!(self, "after a call that R4 could not prevent: {text}");
            self.slip_harm.get_or_insert(text);
            return;
        }
        note!(self, "VIOLATION {text}");
        self.violation.get_or_insert(text);
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.seq += 1;
        self.queue.push(Reverse(Due {
            at: at.max(self.now),
            seq: self.seq,
            what: event.into(),
        }));
    }

    pub(crate) fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now + millis, event);
    }

    pub(crate) fn mishap(&mut self, what: Mishap) {
        self.mishaps.happened(what);
    }

    /// True during an outage of the database.
    pub(crate) fn database_down(&self) -> bool {
        let outage = self.weather.more.outage;
        outage.is_some_and(|(from, to)| self.now >= from && self.now < to)
            || self.failing_over.is_some_and(|to| self.now < to)
    }

    pub(crate) fn chaos(&self) -> bool {
        self.now < self.weather.chaos_end
    }

    /// Runs until no event is left, a violation occurs, or the time limit is reached.
    pub(crate) fn run(&mut self) {
        while self.violation.is_none() && self.slip_harm.is_none() && !self.is_done() {
            self.note_operators_no();
            self.note_storm();
            let Some(Reverse(entry)) = self.queue.pop() else {
                break;
            };
            self.now = entry.at;
            self.journal.now = self.now;
            if self.now > self.weather.end {
                self.violate(format!("still not settled after {} s", self.now / 1_000));
                return;
            }
            self.stats.events += 1;
            if self.stats.events > BUSY {
                self.violate(format!("{BUSY} events: an action repeats without a pause"));
                return;
            }
            self.beat_hosts();
            self.remember();
            self.monitors_beat();
            match entry.what {
                QueuedEvent::Sweep { engine, life } => self.sweep(usize::try_from(engine).unwrap(), life),
                QueuedEvent::Other(event) => self.happen(*event),
            }
            if std::mem::take(&mut self.guests_changed) {
                self.check_never_two();
            }
        }
        if self.violation.is_none() && self.slip_harm.is_none() {
            self.check_end();
        }
    }

    /// Sends a heartbeat of every host's nova-compute, every ten seconds.
    fn beat_hosts(&mut self) {
        for host in 0..HOSTS {
            let due = self.now.saturating_sub(self.nova.services[host].updated) >= 10_000;
            let deaf = self.weather.storms.is_deaf_to(host, self.now);
            if due && !deaf && self.machines[host].beats() {
                self.report_ledger
                    .note_heartbeat(host, self.nova.services[host].updated, self.now);
                self.nova.services[host].updated = self.now;
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each event")]
    fn happen(&mut self, event: Event) {
        match event {
            Event::Sweep { engine, life } => self.sweep(engine, life),
            Event::Revive { engine } => self.revive(engine),
            Event::Tick { owner, wait } => self.tick(owner, wait),
            Event::Permits(owner) => self.permits_changed(owner),
            Event::Commit {
                owner,
                claim,
                write,
                sent,
            } => self.commit_arrives(owner, &claim, &write, sent),
            Event::Journalled { owner, sent, outcome } => self.journalled(owner, sent, outcome),
            Event::Release(owner) => self.let_go(owner),
            Event::Stopped { engine, life } => self.stopped(engine, life),
            Event::Send {
                owner,
                command,
                intent,
                started,
            } => self.send(owner, command, intent, started),
            Event::Effect {
                owner,
                command,
                started,
                answer,
            } => {
                self.effect(owner, &command, started, answer);
            }
            Event::Answer { owner, observation } => self.answered(owner, *observation),
            Event::InventoryServers { owner, read } => self.inventory_servers(owner, read),
            Event::InventoryService { owner, read, servers } => {
                self.inventory_service(owner, read, servers);
            }
            Event::ListsEvacuations {
                owner,
                started,
                since,
                servers,
            } => {
                self.lists_evacuations(owner, started, since, servers);
            }
            Event::ListsProven {
                owner,
                started,
                servers,
                evacuations,
            } => {
                self.lists_proven(owner, started, servers, evacuations);
            }
            Event::Conductor { job } => self.conductor(job),
            Event::Claim { job, dest, life } => self.claim_job(job, dest, life),
            Event::Spawn { job } => self.spawn(job),
            Event::Switch { job } => self.switch(job),
            Event::Finish { job } => self.finish_job(job),
            Event::Reached {
                server,
                host,
                life,
                state,
            } => self.reached(server, host, life, state),
            Event::PowerOff { host } => self.power_off(host, "by its controller"),
            Event::Fail { host } => self.fail(host),
            Event::Notify { host } => self.notify(host),
            Event::Boot { host } => self.boot(host),
            Event::Reinstalls { host } => self.reinstalls(host),
            Event::ComputeStart { host, life } => self.compute_start(host, life),
            Event::Delete { server } => self.delete(server),
            Event::Pause { engine, millis } => {
                self.mishap(Mishap::Stopped);
                note!(self, "engine {engine} is stopped for {millis} ms");
                let it = &mut self.engines[engine];
                it.paused_until = (self.now + millis).max(it.suspended_until);
            }
            Event::Suspend { engine, millis } => self.suspend(engine, millis),
            Event::Operator => self.operate(),
            Event::Drain { host } => self.drain(host),
            Event::DrainOfFault { host } => self.drain_of_fault(host),
            Event::Giveback { host } => self.give_back(host),
            Event::LiveEnds(live) => self.live_ends(&live),
            Event::Departs(departure) => self.departs(departure),
            Event::Moves(moving, stage) => self.moves(moving, stage),
            Event::Replicated => self.replicated(),
            Event::FailsOver { away } => self.fails_over(away),
            Event::DeletesService { host } => self.deletes_service(host),
            Event::ConfirmsInDeafness => self.confirms_in_deafness(),
            Event::Approves { rec } => self.approves(rec),
            Event::ReportsNormal => self.reports_normal(),
            Event::Freezes { rec } => self.freezes_host_of(rec),
            Event::TwoAct(crowd) => self.two_act(crowd),
            Event::Acts { rec, act } => self.acts(rec, act),
            Event::FalselyReported { host } => self.falsely_reported(host),
            Event::Retries { host } => self.retries(host),
            Event::Wakeup { engine, life } => self.woken(engine, life),
            Event::Jump { engine, seconds } => {
                self.mishap(Mishap::ClockJump);
                note!(self, "the wall clock of engine {engine} jumps by {seconds} s");
                self.engines[engine].wall_ahead += seconds;
            }
            Event::Slip {
                owner,
                command,
                started,
            } => self.travel(owner, command, started),
            Event::UserCall => self.user_call(),
            Event::OwnerStops(server) => self.owner_stops(server),
            Event::PowerSync(host, life) => self.power_sync(host, life),
            Event::Lie => self.lie(),
            Event::Silence { host, stops } => self.silence(host, stops),
            Event::VmFails => self.vm_fails(),
            Event::ProcessFails => self.process_fails(),
            Event::ReportLedger {
                server,
                host,
                life,
                runs,
            } => self.apply_guest_call(server, host, life, runs),
            Event::ColdArrives {
                record,
                source,
                dest,
                fails,
            } => self.cold_arrives(record, source, dest, fails),
        }
    }
}
