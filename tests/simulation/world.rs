//! Everything outside the engines, driven by one queue of events in virtual time.

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

use crate::arriving::{PlannedMove, SetOut, Stage, Ways};
use crate::crowd::{Aborts, Act, Crowd};
use crate::draining::LiveMove;
use crate::engine::Engine;
use crate::excluded::ExclusionPlan;
use crate::hooks::HookPlan;
use crate::journal::{Journal, RecIx};
use crate::lag::Past;
use crate::liars::ReportLedger;
use crate::machines::Machine;
use crate::mishap::{Mishap, Mishaps};
use crate::nova::{HostIx, Nova, ServerIx};
use crate::reserve::Reserve;
use crate::rng::Rng;
use crate::weather::Weather;

/// The owner of a call: an answer for another owner is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub engine: usize,
    pub life: u32,
    pub rec: RecIx,
    pub epoch: u64,
}

/// The next event.
#[derive(Debug)]
pub(crate) enum Event {
    Sweep {
        engine: usize,
        life: u32,
    },
    Revive {
        engine: usize,
    },
    /// The time a driver waited for has come, unless it has waited for another since.
    Tick {
        owner: Owner,
        wait: u64,
    },
    /// The budget has changed.
    Permits(Owner),
    /// A slow transaction reaches the database.
    Commit {
        owner: Owner,
        claim: Claim,
        write: Arc<Write>,
        sent: Duration,
    },
    /// The database has answered an owner, or the owner has given it up.
    Journalled {
        owner: Owner,
        sent: Duration,
        outcome: Option<WriteOutcome>,
    },
    /// A driver of an engine that stops in order gives its claim free.
    LetGo(Owner),
    /// An engine that stops in order has ended.
    Stopped {
        engine: usize,
        life: u32,
    },
    /// The first byte of a call, unless the claim or the intent is too old by now.
    Send {
        owner: Owner,
        command: Command,
        intent: Intent,
        started: Elapsed,
    },
    /// A call takes effect; the answer, if it is not lost, arrives after so many milliseconds.
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
        migrations: Vec<Migration>,
    },
    InventoryService {
        owner: Owner,
        migrations: Vec<Migration>,
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
    /// A conductor takes up a cast.
    Conductor {
        job: usize,
    },
    /// The destination claims the instance, builds it, tells Nova.
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
    /// Stop, pause or suspend reaches the guest.
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
    /// A wake-up reaches an engine.
    Wake {
        engine: usize,
        life: u32,
    },
    /// An engine's wall clock jumps by so many seconds.
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
    /// A user calls for an instance.
    UserCall,
    /// A reporter lies.
    Lie,
    /// nova-compute of a host is stopped or started, and nothing else is the matter with it.
    Silence {
        host: HostIx,
        stops: bool,
    },
    /// An instance's process dies on a living host.
    VmFails,
    ProcessFails,
    /// What an instance is told by VM recoveries reaches its guest.
    ReportLedger {
        server: ServerIx,
        host: HostIx,
        life: u32,
        runs: bool,
    },
    /// An owner stops an excluded instance; Nova looks at the guests of a host.
    OwnerStops(ServerIx),
    PowerSync(HostIx, u32),
    /// A stopped instance arrives at the host that Nova has chosen for it.
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
    /// An engine's machine is stopped, with its clocks.
    Suspend {
        engine: usize,
        millis: u64,
    },
    Operator,
    /// The same, as a part of a fault.
    DrainOfFault {
        host: HostIx,
    },
    /// An operator plans a drain.
    Drain {
        host: HostIx,
    },
    /// An operator plans a giveback.
    Giveback {
        host: HostIx,
    },
    /// A live migration is at its end.
    LiveEnds(LiveMove),
    /// An owner or an administrator moves an instance to the host that fails first.
    SetsOut(SetOut),
    Moves(PlannedMove, Stage),
    /// A copy of the journal's database has seen everything so far.
    Replicated,
    /// The replica takes over, after an outage of this many milliseconds.
    FailsOver {
        away: u64,
    },
    /// An operator deletes the record of a host's compute service.
    Reinstalls {
        host: HostIx,
    },
    DeletesService {
        host: HostIx,
    },
    /// An operator confirms that host 0 is off while Nova receives no heartbeats.
    ConfirmsInDeafness,
    Approves {
        rec: RecIx,
    },
    /// A control node reports a host off, without evidence.
    SaysNormal,
    /// An operator freezes the host of a recovery.
    Freezes {
        rec: RecIx,
    },
    TwoAct(Crowd),
    /// The second of two.
    Acts {
        rec: RecIx,
        act: Act,
    },
    /// A running host is reported.
    FalselyReported {
        host: HostIx,
    },
    /// An operator retries its failed recovery.
    Retries {
        host: HostIx,
    },
}

struct Due {
    at: u64,
    seq: u64,
    what: QueuedEvent,
}

/// Apart, so that what the queue moves about is small. Sweeps are every second event.
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

/// An evacuation from the API's answer to its end: the ledger's own view, apart from Nova's records.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub server: ServerIx,
    /// The record the conductor took for it; not always the one its call made.
    pub record: Option<u64>,
    pub dest: Option<(HostIx, u32)>,
    pub was_stopped: bool,
    pub over: bool,
    /// The host that was named.
    pub target: Option<HostIx>,
}

/// The counters of the summary; a run of many seeds in which one is 0 proves too little.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub events: u64,
    pub crashes: u64,
    pub takeovers: u64,
    pub second_looks: u64,
    pub held: u64,
    pub evacuations: u64,
    pub asked_again: u64,
    pub not_sent: u64,
    pub late_effects: u64,
    pub power_ons: u64,
    pub dead_destinations: u64,
    pub lost_casts: u64,
    pub words: u64,
    pub taken: u64,
    pub refused_by_epoch: u64,
    pub hooks: u64,
    /// By the number of the guard: recoveries it has held, made to wait, or warned of.
    pub guards: [u64; Guard::ALL.len()],
    /// Times that a whole failure domain was named.
    pub domains: u64,
    /// Orders that the journal refused, as there were too many lately.
    pub orders_refused: u64,
    /// Writes of engines that had been stopped with their clocks.
    pub too_late: u64,
    /// Writes that would have begun something that was frozen.
    pub frozen: u64,
    /// Times that people were told that a recovery waits.
    pub alarms: u64,
    /// Looks at the time that a driver had named.
    pub looks: u64,
    /// Milliseconds from an owner's death to a claim by an engine that was there all the while.
    pub slowest_takeover: u64,
}

impl Stats {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.crashes += other.crashes;
        self.takeovers += other.takeovers;
        self.second_looks += other.second_looks;
        self.held += other.held;
        self.evacuations += other.evacuations;
        self.asked_again += other.asked_again;
        self.not_sent += other.not_sent;
        self.late_effects += other.late_effects;
        self.power_ons += other.power_ons;
        self.dead_destinations += other.dead_destinations;
        self.lost_casts += other.lost_casts;
        self.words += other.words;
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
        self.looks += other.looks;
        self.slowest_takeover = self.slowest_takeover.max(other.slowest_takeover);
    }

    /// Those that must not be 0 after many seeds.
    pub(crate) fn named(&self) -> Vec<(&'static str, u64)> {
        let guards = Guard::ALL.iter().map(|guard| guard.as_str()).zip(self.guards);
        guards
            .chain([
                ("events", self.events),
                ("crashes", self.crashes),
                ("take-overs", self.takeovers),
                ("second looks", self.second_looks),
                ("held recoveries", self.held),
                ("evacuations", self.evacuations),
                ("evacuations asked for again", self.asked_again),
                ("calls not sent", self.not_sent),
                ("late effects", self.late_effects),
                ("hosts powered on", self.power_ons),
                ("dead destinations", self.dead_destinations),
                ("lost casts", self.lost_casts),
                ("operators' doings", self.words),
                ("instances taken by another recovery", self.taken),
                ("writes refused by epoch", self.refused_by_epoch),
                ("writes refused as too late", self.too_late),
                ("writes refused as frozen", self.frozen),
                ("runs of hooks", self.hooks),
                ("failure domains named", self.domains),
                ("alarms", self.alarms),
                ("looks at the time a driver named", self.looks),
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
    /// Hosts, and which of their lives, whose nova-compute waits for the boot guard's word.
    pub held_at_boot: BTreeSet<(HostIx, u32)>,
    /// When each host's forced_down was last cleared by an engine.
    pub cleared: BTreeSet<HostIx>,
    pub was: Vec<(VmState, PowerState)>,
    pub stats: Stats,
    pub log: Option<Vec<String>>,
    pub violation: Option<String>,
    pub guests_changed: bool,
    pub hooking: HookPlan,
    pub freezer: Option<Rng>,
    pub excluded: Option<ExclusionPlan>,
    /// Somebody drains a host to which an instance has just been sent.
    pub drainer: Option<Rng>,
    pub mishaps: Mishaps,
    /// Calls that were begun, and answers that were heard, for crashes in between.
    pub calls: u64,
    pub heard: u64,
    /// Hosts whose worst moment to come back has been.
    pub worst_over: bool,
    /// A destination has died in mid-rebuild.
    pub dest_died: bool,
    /// What users have called for while the host of their instance was dead, in its queue.
    pub queued: Vec<(HostIx, ServerIx)>,
    /// Instances a returning host has started by a call out of its queue: known not to be prevented by the engine.
    pub slipped: BTreeSet<ServerIx>,
    /// Calls whose process was stopped after the last check, and whether a rule was broken for it.
    pub slips: u64,
    pub slip_harm: Option<String>,
    /// Instances that a VM recovery has worked on.
    pub restarted: BTreeSet<ServerIx>,
    /// Since when more hosts are being recovered than one failure explains.
    pub storm_since: Option<u64>,
    /// What was reported, and what was so.
    pub told: ReportLedger,
    /// Time of the first host's failure.
    pub first_failure: u64,
    pub ways: Ways,
    pub past: Past,
    /// What a copy of the journal's database knows, and until when nobody answers after it has taken over.
    pub copy: Option<Box<Journal>>,
    pub failing_over: Option<u64>,
    pub said: Aborts,
    /// What the journal's states say, by version.
    pub states: BTreeMap<RecIx, (u64, HostRecovery)>,
}

pub(crate) const HOSTS: usize = 5;

/// More events than any run needs.
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
            hooking: HookPlan::draw(seed),
            freezer: crate::freezing::draw(seed),
            excluded: crate::excluded::draw(seed),
            drainer: crate::draining::draw(seed),
            mishaps: Mishaps::default(),
            calls: 0,
            heard: 0,
            worst_over: false,
            dest_died: false,
            queued: Vec::new(),
            slipped: BTreeSet::new(),
            slips: 0,
            slip_harm: None,
            restarted: BTreeSet::new(),
            storm_since: None,
            told: ReportLedger::default(),
            first_failure: 0,
            ways: Ways::of(seed),
            past: Past::default(),
            copy: None,
            failing_over: None,
            said: Aborts::default(),
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
            // Known, stated and counted: docs/design/guarantees.md.
            note!(self, "after a call that could not be held back: {text}");
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

    /// Runs until no event is left, a rule is broken, or the time limit is reached.
    pub(crate) fn run(&mut self) {
        while self.violation.is_none() && self.slip_harm.is_none() && !self.is_done() {
            self.note_operators_no();
            self.note_storm();
            let Some(Reverse(due)) = self.queue.pop() else {
                break;
            };
            self.now = due.at;
            self.journal.now = self.now;
            if self.now > self.weather.end {
                self.violate(format!("still not settled after {} s", self.now / 1_000));
                return;
            }
            self.stats.events += 1;
            if self.stats.events > BUSY {
                self.violate(format!(
                    "{BUSY} events: something is asked again and again without a pause"
                ));
                return;
            }
            self.beat_hosts();
            self.remember();
            self.monitors_beat();
            match due.what {
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

    /// Every host's nova-compute sends a heartbeat every ten seconds.
    fn beat_hosts(&mut self) {
        for host in 0..HOSTS {
            let due = self.now.saturating_sub(self.nova.services[host].updated) >= 10_000;
            let deaf = self.weather.storms.is_deaf_to(host, self.now);
            if due && !deaf && self.machines[host].beats() {
                self.told.heard(host, self.nova.services[host].updated, self.now);
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
            Event::LetGo(owner) => self.let_go(owner),
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
            Event::InventoryServers { owner, migrations } => self.inventory_servers(owner, migrations),
            Event::InventoryService {
                owner,
                migrations,
                servers,
            } => {
                self.inventory_service(owner, migrations, servers);
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
            Event::SetsOut(one) => self.sets_out(one),
            Event::Moves(moving, stage) => self.moves(moving, stage),
            Event::Replicated => self.replicated(),
            Event::FailsOver { away } => self.fails_over(away),
            Event::DeletesService { host } => self.deletes_service(host),
            Event::ConfirmsInDeafness => self.confirms_in_deafness(),
            Event::Approves { rec } => self.approves(rec),
            Event::SaysNormal => self.says_normal(),
            Event::Freezes { rec } => self.freezes_host_of(rec),
            Event::TwoAct(crowd) => self.two_act(crowd),
            Event::Acts { rec, act } => self.acts(rec, act),
            Event::FalselyReported { host } => self.falsely_reported(host),
            Event::Retries { host } => self.retries(host),
            Event::Wake { engine, life } => self.woken(engine, life),
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
            } => self.told(server, host, life, runs),
            Event::ColdArrives {
                record,
                source,
                dest,
                fails,
            } => self.cold_arrives(record, source, dest, fails),
        }
    }
}
