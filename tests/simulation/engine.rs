//! Engines: a sweeper and one driver per recovery, as in the real one, in virtual time.

use std::collections::BTreeMap;

use tachi_domain::entity::Stamps;
use tachi_domain::entity::host::Host;
use tachi_domain::entity::notification::{Notification, NotificationStatus, NotificationType};
use tachi_domain::entity::segment::Segment;
use tachi_domain::host_recovery::{HostRecovery, MoveStep};
use tachi_domain::pace::Permits;
use tachi_domain::policy::{FencingMode, Policy};
use tachi_domain::process_recovery::ProcessRecovery;
use tachi_domain::recovery::{
    Command, Life, News, Now, Observation, Pulse, Record, RecoveryKind, StepKind, Task,
};
use tachi_domain::vm_recovery::VmRecovery;
use tachi_domain::{Elapsed, HostId, NotificationId, RecoveryId, SegmentId, Timestamp};
use uuid::Uuid;

use crate::driven::Driven;
use crate::journal::{Committed, MoveRow, RecIx, Write};
use crate::mishap::Mishap;
use crate::more_weather::Worst;
use crate::mutate::mutated;
use crate::nova::{host_name, server_id, stamp};
use crate::reserve::reservations;
use crate::world::{Event, Owner, World, note};

const SILENCE: u64 = 4_000;
/// Between two looks at the database when nobody else's beats are watched, and when they are.
const SWEEP: u64 = 2_000;
const WATCH: u64 = 250;
const BEAT: u64 = 1_000;
const BEAT_LIMIT: u64 = 3_000;
const INTENT_LIMIT: u64 = 500;

#[derive(Default)]
pub(crate) struct Engine {
    pub dead: bool,
    pub life: u32,
    pub paused_until: u64,
    /// Epoch and beat of a recovery, and since when they have been the same.
    seen: BTreeMap<RecIx, (u64, u64, u64)>,
    /// Claims of its own it is not sure of any more, by epoch.
    unsure: BTreeMap<RecIx, u64>,
    /// How many seconds its wall clock is ahead of the truth.
    pub wall_ahead: i64,
    drivers: BTreeMap<RecIx, Driver>,
}

struct Driver {
    epoch: u64,
    state: Option<Driven>,
    claimed_elapsed: Elapsed,
    claimed_at: u64,
    last_beat: u64,
    pulse: Pulse,
    news: News,
}

/// Why a driver must go.
#[derive(PartialEq)]
enum Ended {
    /// Over, dead, or somebody else's.
    Gone,
    /// The database did not answer: nothing is known to be held.
    Unsure,
}

impl World {
    /// Whether something meant for this life of the engine may happen now. While it is stopped, it waits.
    fn awake(&mut self, engine: usize, life: u32, event: impl FnOnce() -> Event) -> bool {
        let it = &self.engines[engine];
        if it.dead || it.life != life {
            return false;
        }
        if it.paused_until > self.now {
            let until = it.paused_until;
            self.at(until, event());
            return false;
        }
        true
    }

    pub(crate) fn sweep(&mut self, engine: usize, life: u32) {
        if !self.awake(engine, life, || Event::Sweep { engine, life }) {
            return;
        }
        if !mutated("sweep") {
            self.look_for_work(engine);
        }
        if self.engines[engine].dead {
            return;
        }
        let it = &self.engines[engine];
        let watching = it
            .seen
            .keys()
            .any(|rec| self.journal.recs[*rec].life != Life::Closed && !it.drivers.contains_key(rec));
        let pause = if watching { WATCH } else { SWEEP };
        self.after(pause, Event::Sweep { engine, life });
    }

    /// A wake-up does what a sweep does, only sooner.
    pub(crate) fn woken(&mut self, engine: usize, life: u32) {
        if self.awake(engine, life, || Event::Wake { engine, life }) {
            self.look_for_work(engine);
        }
    }

    fn look_for_work(&mut self, engine: usize) {
        if self.database_down() {
            return self.mishap(Mishap::DatabaseDown);
        }
        for rec in 0..self.journal.recs.len() {
            let row = &self.journal.recs[rec];
            if row.life == Life::Closed || self.engines[engine].drivers.contains_key(&rec) {
                continue;
            }
            let (epoch, beat, free) = (row.epoch, row.beat, row.owner.is_none());
            let unsure = self.engines[engine].unsure.remove(&rec) == Some(epoch);
            let first = self.engines[engine]
                .seen
                .entry(rec)
                .or_insert((epoch, beat, self.now));
            let mut due = free || unsure;
            if (first.0, first.1) != (epoch, beat) {
                *first = (epoch, beat, self.now);
            } else if self.now - first.2 >= SILENCE {
                due = true;
            }
            if due {
                self.claim(engine, rec, epoch);
            }
            if self.engines[engine].dead {
                return;
            }
        }
    }

    fn claim(&mut self, engine: usize, rec: RecIx, seen_epoch: u64) {
        let Some(epoch) = self.journal.claim(rec, seen_epoch, engine) else {
            return;
        };
        note!(self, "engine {engine} claims recovery {rec} at epoch {epoch}");
        if self.chaos() && self.rng.percent(self.weather.database) {
            note!(self, "and does not hear that it did");
            return self.mishap(Mishap::ClaimLost);
        }
        self.measure_takeover(engine, rec, epoch);
        self.check_waited(rec);
        self.stats.takeovers += u64::from(epoch > 1);
        let row = &self.journal.recs[rec];
        let (head, moves) = self.journal.read(rec);
        let elapsed = row.elapsed;
        let state = match head {
            Some(head) => Driven::restore(row.kind, &head, &moves),
            None => self.fresh(rec),
        };
        let pulse = self.journal.pulse(rec);
        let unclear = self.weather.mode == FencingMode::External && row.reported == "UNKNOWN";
        let (kind, host) = (row.kind, row.host);
        if unclear && kind == RecoveryKind::Host && self.rng.percent(30) {
            // Between what was read and the first write: whoever fences it says so.
            self.notify(host);
        }
        let driver = Driver {
            epoch,
            state: Some(state),
            claimed_elapsed: elapsed,
            claimed_at: self.now,
            last_beat: self.now,
            pulse: pulse.clone(),
            news: News::Nothing,
        };
        self.engines[engine].drivers.insert(rec, driver);
        let owner = Owner {
            engine,
            life: self.engines[engine].life,
            rec,
            epoch,
        };
        let mut first = vec![Observation::Claimed(pulse)];
        first.extend(self.permits(owner));
        self.step(owner, first);
        self.after(250, Event::Tick(owner));
    }

    fn fresh(&self, rec: RecIx) -> Driven {
        let row = &self.journal.recs[rec];
        let host = row.host;
        let stamps = Stamps {
            created_at: Timestamp::from_micros(0),
            updated_at: None,
        };
        let segment = Segment {
            row: 1,
            id: SegmentId(Uuid::from_u128(1)),
            name: "segment".into(),
            service_type: "COMPUTE".into(),
            enabled: true,
            description: None,
            recovery_method: self.journal.reserve.method,
            stamps,
        };
        let id = u128::try_from(rec).unwrap();
        let source = HostId(Uuid::from_u128(0x40 + u128::try_from(host).unwrap()));
        let named = row.server.map(|server| server_id(server).to_string());
        let (kind, payload): (_, Vec<(&str, &str)>) = match row.kind {
            RecoveryKind::Host => (
                NotificationType::ComputeHost,
                vec![
                    ("event", "STOPPED"),
                    ("cluster_status", "OFFLINE"),
                    ("host_status", row.reported),
                ],
            ),
            RecoveryKind::Vm => (
                NotificationType::Vm,
                vec![
                    ("event", "LIFECYCLE"),
                    ("vir_domain_event", "STOPPED_FAILED"),
                    ("instance_uuid", named.as_deref().unwrap_or_default()),
                ],
            ),
            RecoveryKind::Process => (
                NotificationType::Process,
                vec![("event", "STOPPED"), ("process_name", "nova-compute")],
            ),
        };
        let notification = Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(0x70 + id)),
            kind,
            generated_time: stamp(row.seen),
            source_host: source,
            segment: Some(segment.id),
            payload: payload
                .into_iter()
                .map(|(key, word)| (key.into(), word.into()))
                .collect(),
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps: Stamps {
                created_at: stamp(row.opened),
                ..stamps
            },
        };
        let host = Host {
            row: 1,
            id: source,
            name: host_name(host),
            segment,
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: false,
            stamps,
        };
        let policy = Policy {
            fencing: self.weather.mode,
            in_flight: self.weather.in_flight,
            process_all_instances: true,
            flows: self.hooking.flows.clone(),
            join_aggregates: self.journal.reserve.join,
            enable_after_return: self.journal.reserve.enable_after,
            power_on_after_recovery: self.weather.more.power_on,
            guards: self.weather.storms.rules(),
            ..Policy::default()
        };
        let id = RecoveryId(Uuid::from_u128(0x4ec + id));
        match row.kind {
            RecoveryKind::Host => Driven::Host(Box::new(HostRecovery::new(id, &notification, &host, policy))),
            RecoveryKind::Vm => Driven::Vm(Box::new(VmRecovery::new(id, &notification, &host.name, policy))),
            RecoveryKind::Process => Driven::Process(Box::new(ProcessRecovery::new(
                id,
                &notification,
                &host.name,
                policy,
            ))),
        }
    }

    pub(crate) fn revive(&mut self, engine: usize) {
        let it = &mut self.engines[engine];
        it.dead = false;
        it.life += 1;
        it.paused_until = 0;
        let life = it.life;
        note!(self, "engine {engine} starts again");
        self.after(10, Event::Sweep { engine, life });
    }

    fn crash(&mut self, engine: usize) {
        note!(self, "engine {engine} dies");
        self.stats.crashes += 1;
        let it = &mut self.engines[engine];
        it.dead = true;
        let owned: Vec<RecIx> = std::mem::take(&mut it.drivers).into_keys().collect();
        it.seen.clear();
        it.unsure.clear();
        // Stopped in order it lets go of its claims; calls that will not end are under way all the same.
        let lets_go = self.rng.percent(25);
        if lets_go {
            self.mishap(Mishap::LetsGo);
        }
        for rec in owned {
            let row = &mut self.journal.recs[rec];
            row.died = Some((engine, self.now));
            if lets_go && row.owner == Some(engine) {
                row.owner = None;
            }
        }
        let delay = self.rng.between(500, 30_000);
        self.after(delay, Event::Revive { engine });
    }

    fn drives(&self, owner: Owner) -> bool {
        self.engines[owner.engine]
            .drivers
            .get(&owner.rec)
            .is_some_and(|driver| driver.epoch == owner.epoch)
    }

    pub(crate) fn tick(&mut self, owner: Owner) {
        if !self.awake(owner.engine, owner.life, || Event::Tick(owner)) || !self.drives(owner) {
            return;
        }
        let mut observations = vec![Observation::Tick];
        observations.extend(self.permits(owner));
        self.step(owner, observations);
        if self.drives(owner) {
            let watching = self.journal.recs[owner.rec].life == Life::Watching;
            self.after(if watching { 900 } else { 250 }, Event::Tick(owner));
        }
    }

    pub(crate) fn answered(&mut self, owner: Owner, observation: Observation) {
        let mut observation = Some(observation);
        let again = || Event::Answer {
            owner,
            observation: Box::new(observation.take().unwrap()),
        };
        if !self.awake(owner.engine, owner.life, again) || !self.drives(owner) {
            return;
        }
        let Some(observation) = observation else { return };
        if let Observation::ServerCall {
            result: Err(fault), ..
        } = &observation
        {
            self.stats.second_looks += u64::from(fault.maybe_done);
        }
        self.heard += 1;
        if self.heard == self.weather.more.crash_at_answer {
            self.mishap(Mishap::DiesAtAnswer);
            return self.crash(owner.engine);
        }
        let mut observations = vec![observation];
        let driver = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
        if std::mem::take(&mut driver.news) != News::Nothing {
            observations.insert(0, Observation::Pulse(driver.pulse.clone()));
        }
        self.step(owner, observations);
    }

    /// Every other owner is one of many recoveries: it has leave for a few evacuations at a time, and reads the records
    /// first and its lists when they say so.
    fn permits(&self, owner: Owner) -> Option<Observation> {
        let driver = &self.engines[owner.engine].drivers[&owner.rec];
        let one_of_many = driver.epoch % 2 == u64::try_from(owner.rec).unwrap_or_default() % 2;
        one_of_many.then(|| {
            Observation::Permits(Permits {
                evacuations: 1 + (self.now - driver.claimed_at) / 700,
                calls: 2,
            })
        })
    }

    fn elapsed(&self, owner: Owner) -> Elapsed {
        let driver = &self.engines[owner.engine].drivers[&owner.rec];
        let since = std::time::Duration::from_millis(self.now - driver.claimed_at);
        driver.claimed_elapsed.plus(since)
    }

    fn time_of(&self, owner: Owner) -> Now {
        let ahead = self.engines[owner.engine].wall_ahead * 1_000_000;
        let wall = Timestamp::from_micros(crate::nova::stamp(self.now).micros() + ahead);
        let elapsed = if mutated("wall-clock") {
            // A wall clock for a stopwatch (R3).
            let began = crate::nova::stamp(0).micros();
            Elapsed::from_millis(u64::try_from((wall.micros() - began).max(0)).unwrap() / 1_000)
        } else {
            self.elapsed(owner)
        };
        Now { elapsed, wall }
    }

    fn step(&mut self, owner: Owner, observations: Vec<Observation>) {
        if let Err(why) = self.try_step(owner, observations) {
            let it = &mut self.engines[owner.engine];
            it.drivers.remove(&owner.rec);
            if why == Ended::Unsure {
                it.unsure.insert(owner.rec, owner.epoch);
            }
        }
    }

    fn try_step(&mut self, owner: Owner, mut observations: Vec<Observation>) -> Result<(), Ended> {
        let mut record = Record::default();
        for _ in 0..4 {
            let time = self.time_of(owner);
            let driver = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
            let state = driver.state.take().unwrap();
            let (state, more, commands) = state.decide(std::mem::take(&mut observations), time);
            driver.state = Some(state);
            record.merge(more);
            if record.is_empty() {
                self.beat_if_due(owner)?;
                return self.start(owner, commands);
            }
            let Some(refusal) = self.commit(owner, &record)? else {
                let driver = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
                if driver.news == News::Operator && commands.iter().any(Command::is_write) {
                    driver.news = News::Nothing;
                    record = Record::default();
                    observations = vec![Observation::Pulse(driver.pulse.clone())];
                    observations.extend(commands.into_iter().map(Observation::NotSent));
                    continue;
                }
                return self.start(owner, commands);
            };
            record.unless_host_recovery = None;
            if matches!(refusal, Observation::HostUnderRecovery) {
                record.steps.clear();
            } else if matches!(refusal, Observation::OrderRefused) {
                self.stats.orders_refused += 1;
                record.order = None;
                record
                    .steps
                    .retain(|step| step.task != Task::Fence || step.kind != StepKind::Intent);
            } else {
                self.stats.taken += 1;
            }
            observations = commands.into_iter().map(Observation::NotSent).collect();
            observations.push(refusal);
        }
        self.violate("a write was refused four times".into());
        Err(Ended::Gone)
    }

    fn commit(&mut self, owner: Owner, record: &Record) -> Result<Option<Observation>, Ended> {
        self.commits += 1;
        if self.database_down() {
            self.mishap(Mishap::DatabaseDown);
            return Err(Ended::Unsure);
        }
        let due =
            self.commits == self.weather.crash_at || (self.chaos() && self.rng.percent(self.weather.crash));
        if due && !self.weather.crash_after {
            self.mishap(Mishap::DiesBeforeCommit);
            self.crash(owner.engine);
            return Err(Ended::Gone);
        }
        let lost = self.chaos() && self.rng.percent(self.weather.database);
        if lost && self.rng.percent(50) {
            note!(self, "engine {}'s commit fails, unknown to it", owner.engine);
            self.mishap(Mishap::CommitLostUnwritten);
            if mutated("unsure") {
                return Ok(None);
            }
            return Err(Ended::Unsure);
        }
        let write = self.write_of(owner, record);
        let outcome = self.journal.commit(owner.rec, owner.epoch, &write, self.now);
        if outcome == Committed::Written {
            self.look_at_write(owner, record, &write);
        }
        if due {
            self.mishap(Mishap::DiesAfterCommit);
            self.crash(owner.engine);
            return Err(Ended::Gone);
        }
        if lost {
            note!(self, "engine {} gets no answer from the database", owner.engine);
            self.mishap(Mishap::CommitLostWritten);
            if !mutated("unsure") {
                return Err(Ended::Unsure);
            }
        }
        match outcome {
            Committed::Written => {
                self.beaten(owner);
                if self.chaos() && self.rng.percent(self.weather.stopped) {
                    let long = self.rng.percent(50);
                    let millis = if long {
                        self.rng.between(60_000, 200_000)
                    } else {
                        self.rng.between(300, 12_000)
                    };
                    self.mishap(Mishap::StoppedAfterCommit);
                    note!(
                        self,
                        "engine {} is stopped for {millis} ms after a commit",
                        owner.engine
                    );
                    self.engines[owner.engine].paused_until = self.now + millis;
                }
                Ok(None)
            }
            Committed::Lost => {
                self.stats.refused_by_epoch += 1;
                Err(Ended::Gone)
            }
            Committed::MovesTaken(servers) => Ok(Some(Observation::MovesTaken(servers))),
            Committed::HostUnderRecovery => Ok(Some(Observation::HostUnderRecovery)),
            Committed::Joined => {
                self.mishap(Mishap::ReportJoins);
                Err(Ended::Unsure)
            }
            Committed::ReserveTaken(hosts) => Ok(Some(Observation::ReserveTaken(hosts))),
            Committed::TooManyOrders => Ok(Some(Observation::OrderRefused)),
        }
    }

    fn beaten(&mut self, owner: Owner) {
        let pulse = self.journal.pulse(owner.rec);
        let now = self.now;
        let driver = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
        driver.last_beat = now;
        driver.news = driver.news.max(pulse.news_since(&driver.pulse));
        driver.pulse = pulse;
    }

    fn beat_if_due(&mut self, owner: Owner) -> Result<(), Ended> {
        let driver = &self.engines[owner.engine].drivers[&owner.rec];
        if self.now - driver.last_beat < BEAT {
            return Ok(());
        }
        if self.database_down() {
            self.mishap(Mishap::DatabaseDown);
            return Err(Ended::Unsure);
        }
        let elapsed = self.elapsed(owner);
        match self.journal.beat(owner.rec, owner.epoch, elapsed) {
            Committed::Written => self.beaten(owner),
            Committed::Lost
            | Committed::MovesTaken(_)
            | Committed::HostUnderRecovery
            | Committed::Joined
            | Committed::TooManyOrders
            | Committed::ReserveTaken(_) => {
                self.stats.refused_by_epoch += 1;
                return Err(Ended::Gone);
            }
        }
        // It goes before whatever is decided next, and something is decided soon.
        if self.engines[owner.engine].drivers[&owner.rec].news != News::Nothing {
            let observation = Box::new(Observation::Tick);
            self.after(1, Event::Answer { owner, observation });
        }
        Ok(())
    }

    fn write_of(&self, owner: Owner, record: &Record) -> Write {
        let state = self.engines[owner.engine].drivers[&owner.rec]
            .state
            .as_ref()
            .unwrap();
        let moves = record
            .moves
            .iter()
            .filter_map(|server| state.one_move(*server))
            .map(|one| {
                let row = MoveRow {
                    state: one.to_json().unwrap(),
                    open: !one.is_over(),
                };
                (one.server, row)
            })
            .collect();
        Write {
            elapsed: self.elapsed(owner),
            head: record.head.then(|| state.head()),
            life: record.life,
            moves,
            notification: record.notification.clone(),
            proven_off: state
                .host_recovery()
                .filter(|_| record.head)
                .map(HostRecovery::is_proven_off),
            unless_host_recovery: record.unless_host_recovery.clone(),
            reservations: state
                .host_recovery()
                .map(|state| reservations(record, state))
                .unwrap_or_default(),
            order: record.order,
            proven: !record.proofs.is_empty(),
            unless_joined: record.unless_joined
                && state
                    .host_recovery()
                    .is_some_and(|state| !state.has_heard_normal()),
        }
    }

    /// What has just become durable, seen by the ledger.
    fn look_at_write(&mut self, owner: Owner, record: &Record, write: &Write) {
        self.check_one_move(write);
        if !record.proofs.is_empty() {
            self.check_found_off(owner.rec);
            self.worst_moment(Worst::Proof);
        }
        if record.order.is_some() {
            self.check_order(owner.rec, self.journal.recs[owner.rec].host);
        }
        if self.log.is_some() {
            for step in &record.steps {
                note!(
                    self,
                    "[{} of {}] {:?} {}",
                    owner.engine,
                    owner.rec,
                    step.kind,
                    step.text
                );
            }
        }
        let state = self.engines[owner.engine].drivers[&owner.rec]
            .state
            .as_ref()
            .unwrap();
        let guarded = state.host_recovery().cloned();
        let unheard = guarded.as_ref().is_some_and(|state| !state.has_heard_normal());
        if let Some(state) = state.host_recovery()
            && (state.hold.is_some() || state.moves.values().any(|one| one.step == MoveStep::Held))
        {
            self.stats.held += u64::from(record.notification.is_some());
        }
        if let Some(state) = guarded {
            self.note_guards(owner.rec, &state, record.notification.is_some());
        }
        if let Some((status, message)) = &write.notification {
            note!(self, "notification of {}: {status} {message:?}", owner.rec);
            if !status.is_open() {
                let over = self.engines[owner.engine].drivers[&owner.rec]
                    .state
                    .as_ref()
                    .is_some_and(Driven::is_settled);
                if !over {
                    self.violate("a terminal status before the end".into());
                }
                self.check_terminal(owner.rec, *status);
                self.check_heard(owner.rec, unheard);
            }
        }
    }

    fn start(&mut self, owner: Owner, commands: Vec<Command>) -> Result<(), Ended> {
        let over = self.engines[owner.engine].drivers[&owner.rec]
            .state
            .as_ref()
            .is_some_and(Driven::is_over);
        let committed = self.now;
        for command in commands {
            let told = matches!(
                command,
                Command::Stop(_) | Command::Start(_) | Command::Activate { .. }
            );
            let host = self.journal.recs[owner.rec].host;
            if told
                && self
                    .journal
                    .recs
                    .iter()
                    .any(|row| row.is_open_for_host() && row.host == host)
            {
                self.violate(format!(
                    "an instance is told to {} on host {host}, which is being recovered (R12)",
                    command.name()
                ));
            }
            // Mostly at once; sometimes a thread is late.
            let delay = if self.rng.percent(3) {
                self.mishap(Mishap::LateThread);
                self.rng.between(0, 900)
            } else {
                1
            };
            self.after(
                delay,
                Event::Send {
                    owner,
                    command,
                    committed,
                },
            );
        }
        if over { Err(Ended::Gone) } else { Ok(()) }
    }

    pub(crate) fn send(&mut self, owner: Owner, command: Command, committed: u64) {
        let mut command = Some(command);
        let again = || Event::Send {
            owner,
            command: command.take().unwrap(),
            committed,
        };
        if !self.awake(owner.engine, owner.life, again) || !self.drives(owner) {
            return;
        }
        let Some(command) = command else { return };
        let last_beat = self.engines[owner.engine].drivers[&owner.rec].last_beat;
        let young_beat = self.now - last_beat <= BEAT_LIMIT || mutated("beat");
        let young_intent = !command.is_write() || self.now - committed <= INTENT_LIMIT || mutated("intent");
        if !young_beat || !young_intent {
            self.stats.not_sent += 1;
            let observation = Box::new(Observation::NotSent(command));
            return self.after(1, Event::Answer { owner, observation });
        }
        let started = self.elapsed(owner);
        if command.is_write() {
            note!(self, "engine {} sends: {command:?}", owner.engine);
        }
        if matches!(command, Command::Evacuate(_)) {
            self.check_no_hook_runs(owner.rec);
        }
        if command.is_write() {
            self.calls += 1;
        }
        let dies = command.is_write() && self.calls == self.weather.more.crash_at_call;
        if dies && !self.weather.more.crash_after_call {
            self.mishap(Mishap::DiesBeforeCall);
            return self.crash(owner.engine);
        }
        self.check_call(owner, &command, committed);
        if self.weather.more.slips && self.chaos() && command.is_write() && self.rng.percent(3) {
            // R4 ends here: no check can be made after the last one. The call goes out whenever the process goes on.
            self.mishap(Mishap::StoppedAtFirstByte);
            self.slips += 1;
            let millis = self.rng.between(5_000, 200_000);
            note!(
                self,
                "engine {} is stopped for {millis} ms right before {}",
                owner.engine,
                command.name()
            );
            self.engines[owner.engine].paused_until = self.now + millis;
            return self.after(
                millis,
                Event::Slip {
                    owner,
                    command,
                    started,
                },
            );
        }
        if mutated("send-twice") && matches!(command, Command::Evacuate(_)) {
            self.travel(owner, command.clone(), started);
        }
        self.travel(owner, command, started);
        if dies {
            self.mishap(Mishap::DiesAfterCall);
            self.crash(owner.engine);
        }
    }
}
