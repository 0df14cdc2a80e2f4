//! Engines: the real sweeper and the real driver of each recovery, run in virtual time.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::pace::{Demand, Permits};
use tachi_domain::policy::{ExclusionRules, FencingMode, MetadataPair, Policy};
use tachi_domain::recovery::{Command, Observation, RecoveryKind};
use tachi_domain::{Elapsed, Timestamp};
use tachi_driver::journal::{PeerClaim, WriteOutcome};
use tachi_driver::{
    CLAIM_POLL_INTERVAL, Calls, Driver, DriverEnd, Effect, Intent, Sweeper, Time, UncertainClaim, may_act,
    open, refusal,
};

use crate::journal::RecIx;
use crate::local_disks::LocalDisks;
use crate::mishap::Mishap;
use crate::mutate::mutated;
use crate::storms::{index_of_recovery, recovery_id};
use crate::world::{Event, Owner, World, note};

/// Interval between two reads of the database while no other owner's heartbeats are watched, in ms.
const SWEEP: u64 = 2_000;
/// Interval between evacuation permits of an owner that shares the rate with many, in ms. After `THROTTLE_TIME` ms the
/// others are done, and it is alone.
const PERMIT_INTERVAL: u64 = 700;
const THROTTLE_TIME: u64 = 60_000;
/// Maximum wait of an engine for open calls during a graceful stop, in ms.
const DRAIN: u64 = 5_000;

#[derive(Default)]
pub(crate) struct Engine {
    pub dead: bool,
    /// True during a graceful stop: the engine claims no recovery and releases its own.
    stopping: bool,
    pub life: u32,
    pub paused_until: u64,
    sweeper: Sweeper,
    /// Offset of its wall clock, in seconds.
    pub wall_ahead: i64,
    /// Total time for which its clocks stood still with its process, and the end of the last suspension, in ms.
    pub suspended_total: u64,
    pub suspended_until: u64,
    pub drivers: BTreeMap<RecIx, Driven>,
}

/// A driver and the state of its shell.
pub(crate) struct Driven {
    epoch: u64,
    pub driver: Driver,
    claimed_at: u64,
    /// Number of its current wait.
    wait: u64,
    /// Time when its last transaction reached the database.
    pub written: u64,
    /// Send time of its last transaction, by its engine's boot-time clock, and arrival time of the last result.
    pub sent: Duration,
    result_at: Duration,
    /// True if the last result reported an abort.
    got_abort: bool,
    /// Its last declared demand.
    demand: Demand,
    /// Its last received budget.
    leave: Option<Permits>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

impl World {
    /// True if an event for this boot of the engine can happen now. While the engine is stopped, events wait.
    pub(crate) fn awake(&mut self, engine: usize, life: u32, event: impl FnOnce() -> Event) -> bool {
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
        if !self.awake(engine, life, || Event::Sweep { engine, life }) || self.engines[engine].stopping {
            return;
        }
        if !mutated("sweep") {
            self.claim_due(engine);
        }
        let it = &self.engines[engine];
        if it.dead || it.stopping {
            return;
        }
        let pause = if it.sweeper.is_watching() {
            millis(CLAIM_POLL_INTERVAL)
        } else {
            SWEEP
        };
        self.after(pause, Event::Sweep { engine, life });
    }

    /// Starts a sweep early, on a wake-up.
    pub(crate) fn woken(&mut self, engine: usize, life: u32) {
        if self.awake(engine, life, || Event::Wakeup { engine, life }) {
            self.claim_due(engine);
        }
    }

    fn claim_due(&mut self, engine: usize) {
        if self.database_down() {
            return self.mishap(Mishap::DatabaseDown);
        }
        if self.journal.is_settled() && !self.engines[engine].sweeper.is_watching() {
            return;
        }
        let boot = self.boot_of(engine);
        let views = self.journal.unsettled();
        let it = &mut self.engines[engine];
        let drivers = &it.drivers;
        let ours = |id| drivers.contains_key(&index_of_recovery(id));
        for (view, known) in it.sweeper.rewound(&views, boot, ours) {
            self.journal.mark_rewound(&view, known);
        }
        for view in it.sweeper.claimable(&views, boot, ours) {
            let it = &self.engines[engine];
            if it.dead || it.stopping {
                return;
            }
            self.claim(engine, &view);
        }
    }

    fn claim(&mut self, engine: usize, view: &PeerClaim) {
        let rec = index_of_recovery(view.id);
        let name = format!("engine-{engine}-{}", self.engines[engine].life);
        let Some(claimed) = self.journal.claim(view, &name, self.now) else {
            return;
        };
        let epoch = claimed.epoch;
        note!(self, "engine {engine} claims recovery {rec} at epoch {epoch}");
        if self.chaos() && self.rng.percent(self.weather.database) {
            note!(self, "engine {engine} does not receive the claim's answer");
            return self.mishap(Mishap::ClaimLost);
        }
        self.measure_takeover(engine, rec, epoch);
        self.check_waited(rec);
        self.stats.takeovers += u64::from(epoch > 1);
        let state = open(&claimed, &self.policy()).unwrap();
        let row = &self.journal.recs[rec];
        let (kind, host) = (row.kind, row.host);
        let unclear = self.weather.mode == FencingMode::External
            && row.reported == "UNKNOWN"
            && (self.weather.liars.is_none() || !self.machines[host].powered);
        if unclear && kind == RecoveryKind::Host && self.rng.percent(30) {
            // External fencing reports the host off between the read and the first write.
            self.notify(host);
        }
        let driven = Driven {
            epoch,
            driver: Driver::new(&claimed, state, self.boot_of(engine)),
            claimed_at: self.now,
            wait: 0,
            written: self.now,
            sent: self.boot_of(engine),
            result_at: Duration::ZERO,
            got_abort: false,
            demand: Demand::default(),
            leave: None,
        };
        self.engines[engine].drivers.insert(rec, driven);
        let owner = Owner {
            engine,
            life: self.engines[engine].life,
            rec,
            epoch,
        };
        self.send_permits(owner);
    }

    fn policy(&self) -> Policy {
        Policy {
            fencing: self.weather.mode,
            bare_normal: self.weather.bare_normal,
            in_flight: self.weather.in_flight,
            process_all_instances: true,
            max_moves: 2,
            move_limit: Duration::from_mins(5),
            restart_again_for: Duration::from_mins(5),
            leave: ExclusionRules {
                metadata: vec![MetadataPair {
                    key: crate::excluded::MARK.0.into(),
                    value: Some(crate::excluded::MARK.1.into()),
                }],
                ..ExclusionRules::default()
            },
            flows: self.hook_plan.flows.clone(),
            join_aggregates: self.journal.reserve.join,
            enable_after_return: self.journal.reserve.enable_after,
            power_on_after_recovery: self.weather.more.power_on,
            guards: self.weather.storms.rules(),
            local_disk: LocalDisks::rules(self.weather.faults.local_disks.as_ref()),
            ..Policy::default()
        }
    }

    pub(crate) fn revive(&mut self, engine: usize) {
        let it = &mut self.engines[engine];
        it.dead = false;
        it.stopping = false;
        it.life += 1;
        it.paused_until = 0;
        it.sweeper = Sweeper::default();
        let life = it.life;
        note!(self, "engine {engine} restarts");
        self.after(10, Event::Sweep { engine, life });
    }

    /// Takes an engine down: it dies, or stops gracefully and finishes its open calls. Returns true if it died.
    fn goes_down(&mut self, engine: usize) -> bool {
        if self.engines[engine].stopping || !self.rng.percent(25) {
            note!(self, "engine {engine} dies");
            self.dies(engine);
            return true;
        }
        note!(self, "engine {engine} starts a graceful stop");
        self.mishap(Mishap::LetsGo);
        let it = &mut self.engines[engine];
        it.stopping = true;
        let life = it.life;
        for (rec, epoch) in it
            .drivers
            .iter()
            .map(|(rec, it)| (*rec, it.epoch))
            .collect::<Vec<_>>()
        {
            let owner = Owner {
                engine,
                life,
                rec,
                epoch,
            };
            self.feed(owner, tachi_driver::Event::Stop);
        }
        self.after(DRAIN + 1, Event::Stopped { engine, life });
        false
    }

    fn dies(&mut self, engine: usize) {
        self.stats.crashes += 1;
        let it = &mut self.engines[engine];
        it.dead = true;
        for rec in std::mem::take(&mut it.drivers).into_keys() {
            self.journal.recs[rec].died = Some((engine, self.now));
        }
        let delay = self.rng.between(500, 30_000);
        self.after(delay, Event::Revive { engine });
    }

    pub(crate) fn stopped(&mut self, engine: usize, life: u32) {
        let it = &self.engines[engine];
        if !it.dead && it.life == life {
            self.dies(engine);
        }
    }

    pub(crate) fn let_go(&mut self, owner: Owner) {
        if !self.awake(owner.engine, owner.life, || Event::Release(owner)) || !self.is_driving(owner) {
            return;
        }
        let Some(driven) = self.engines[owner.engine].drivers.remove(&owner.rec) else {
            return;
        };
        if self.database_down() {
            return self.mishap(Mishap::DatabaseDown);
        }
        if self.journal.release(driven.driver.claim()) {
            self.journal.recs[owner.rec].died = Some((owner.engine, self.now));
        }
    }

    pub(crate) fn is_driving(&self, owner: Owner) -> bool {
        self.engines[owner.engine]
            .drivers
            .get(&owner.rec)
            .is_some_and(|driven| driven.epoch == owner.epoch)
    }

    /// Returns the time when the owner's last transaction reached the database.
    fn written_at(&self, owner: Owner) -> u64 {
        let driven = self.engines[owner.engine].drivers.get(&owner.rec);
        driven.map_or(self.now, |driven| driven.written)
    }

    pub(crate) fn driver(&self, owner: Owner) -> Option<&Driver> {
        let driven = self.engines[owner.engine].drivers.get(&owner.rec)?;
        (driven.epoch == owner.epoch).then_some(&driven.driver)
    }

    pub(crate) fn tick(&mut self, owner: Owner, wait: u64) {
        if !self.awake(owner.engine, owner.life, || Event::Tick { owner, wait }) || !self.is_driving(owner) {
            return;
        }
        if self.engines[owner.engine].drivers[&owner.rec].wait == wait {
            self.stats.checks += 1;
            self.feed(owner, tachi_driver::Event::Observed(Vec::new()));
        }
    }

    pub(crate) fn answered(&mut self, owner: Owner, observation: Observation) {
        let mut observation = Some(observation);
        let again = || Event::Answer {
            owner,
            observation: Box::new(observation.take().unwrap()),
        };
        if !self.awake(owner.engine, owner.life, again) || !self.is_driving(owner) {
            return;
        }
        let Some(observation) = observation else { return };
        if let Observation::ServerCall {
            result: Err(fault), ..
        } = &observation
        {
            self.stats.second_checks += u64::from(fault.maybe_done);
        }
        self.answers += 1;
        if self.answers == self.weather.more.crash_at_answer {
            self.mishap(Mishap::DiesAtAnswer);
            if self.goes_down(owner.engine) {
                return;
            }
        }
        self.feed(owner, tachi_driver::Event::Observed(vec![observation]));
    }

    pub(crate) fn permits_changed(&mut self, owner: Owner) {
        if !self.awake(owner.engine, owner.life, || Event::Permits(owner)) || !self.is_driving(owner) {
            return;
        }
        self.send_permits(owner);
    }

    fn send_permits(&mut self, owner: Owner) {
        let leave = self.permits(owner);
        let is_one_of_many = self.is_one_of_many(owner);
        let driven = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
        driven.leave = Some(leave);
        if is_one_of_many {
            self.after(PERMIT_INTERVAL, Event::Permits(owner));
        }
        self.feed(
            owner,
            tachi_driver::Event::Observed(vec![Observation::Permits(leave)]),
        );
    }

    /// True for every other owner, for a while. Such an owner shares the rate with many: it gets a few evacuation permits at
    /// a time. It reads the migration records first, and other lists when the records require them.
    fn is_one_of_many(&self, owner: Owner) -> bool {
        let driven = &self.engines[owner.engine].drivers[&owner.rec];
        let is_second = driven.epoch % 2 == u64::try_from(owner.rec).unwrap_or_default() % 2;
        is_second && self.now < driven.claimed_at + THROTTLE_TIME
    }

    /// Returns an owner's permits. An owner that is alone always has the initial budget.
    fn permits(&self, owner: Owner) -> Permits {
        static RULES: LazyLock<Policy> = LazyLock::new(Policy::default);
        let driven = &self.engines[owner.engine].drivers[&owner.rec];
        let (demand, in_flight) = (&driven.demand, self.weather.in_flight);
        let (evacuations, calls) = if self.is_one_of_many(owner) {
            (1 + (self.now - driven.claimed_at) / PERMIT_INTERVAL, 2)
        } else {
            let flight = in_flight.saturating_sub(demand.in_flight);
            let room = flight.min(RULES.queued.saturating_sub(demand.queued));
            (demand.requested + u64::from(room), in_flight)
        };
        Permits {
            evacuations,
            calls,
            pause: RULES.tick,
        }
    }

    fn wall_of(&self, engine: usize) -> Timestamp {
        let it = &self.engines[engine];
        let shown = crate::nova::stamp(self.now.saturating_sub(it.suspended_total));
        Timestamp::from_micros(shown.micros() + it.wall_ahead * 1_000_000)
    }

    /// Returns the engine's boot-time clock.
    pub(crate) fn boot_of(&self, engine: usize) -> Duration {
        if mutated("wall-clock") {
            // Mutation: a wall clock in place of the stopwatch (R3).
            let since = self.wall_of(engine).micros() - crate::nova::stamp(0).micros();
            return Duration::from_micros(since.max(0).unsigned_abs());
        }
        Duration::from_millis(self.now.saturating_sub(self.engines[engine].suspended_total))
    }

    /// Suspends the engine's machine with all of its clocks; everything else continues.
    pub(crate) fn suspend(&mut self, engine: usize, millis: u64) {
        self.mishap(Mishap::Suspended);
        note!(
            self,
            "engine {engine} is suspended with its clocks for {millis} ms"
        );
        let it = &mut self.engines[engine];
        let from = self.now.max(it.suspended_until);
        let until = (self.now + millis).max(from);
        it.paused_until = it.paused_until.max(until);
        it.suspended_until = until;
        it.suspended_total += until - from;
    }

    /// Passes events to a driver and executes its effects until the driver waits.
    pub(crate) fn feed(&mut self, owner: Owner, event: tachi_driver::Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let time = Time {
                boot: self.boot_of(owner.engine),
                wall: self.wall_of(owner.engine),
            };
            let Some(driven) = self.engines[owner.engine].drivers.get_mut(&owner.rec) else {
                return;
            };
            if let tachi_driver::Event::Journalled { outcome, .. } = &event {
                let got_abort = matches!(
                    outcome,
                    Some(WriteOutcome::Written(operator_state)) if operator_state.operator_maintenance || !operator_state.segment_enabled
                );
                // If two owners act at one moment, the owner of the result is ambiguous.
                driven.got_abort = got_abort && (driven.got_abort || driven.result_at != time.boot);
                driven.result_at = time.boot;
            }
            for effect in driven.driver.handle(event, time) {
                next = self.carry_out(owner, effect);
                if !self.is_driving(owner) {
                    return;
                }
            }
        }
    }

    fn carry_out(&mut self, owner: Owner, effect: Effect) -> Option<tachi_driver::Event> {
        match effect {
            Effect::Demand(demand, _) => {
                let driven = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
                let waits = !demand.ready.is_empty();
                driven.demand = demand;
                if waits
                    && !self.is_one_of_many(owner)
                    && self.engines[owner.engine].drivers[&owner.rec].leave != Some(self.permits(owner))
                {
                    self.after(0, Event::Permits(owner));
                }
                None
            }
            Effect::Written(_) => None,
            Effect::Audit(_) => Some(tachi_driver::Event::Audited(self.audit())),
            Effect::Commit(claim, write) => self.commit(owner, &claim, write),
            Effect::RenewLease(beat) => Some(self.beat(owner, &beat)),
            Effect::Alarm { .. } => {
                self.stats.alarms += 1;
                None
            }
            Effect::Call(calls) => {
                self.start(owner, calls);
                None
            }
            Effect::Wait(until) => {
                let pause = millis(until.saturating_sub(self.boot_of(owner.engine)));
                let driven = self.engines[owner.engine].drivers.get_mut(&owner.rec).unwrap();
                driven.wait += 1;
                let wait = driven.wait;
                self.after(pause, Event::Tick { owner, wait });
                None
            }
            Effect::Release => {
                // Open calls may return before that; their answers are dropped.
                let drain = self.rng.between(0, DRAIN);
                self.after(drain, Event::Release(owner));
                None
            }
            Effect::End(ended) => {
                self.ended(owner, ended);
                None
            }
        }
    }

    fn ended(&mut self, owner: Owner, ended: DriverEnd) {
        if ended == DriverEnd::Uncertain(UncertainClaim::Refused) {
            self.violate("a write was refused four times".into());
        }
        let boot = self.boot_of(owner.engine);
        let it = &mut self.engines[owner.engine];
        if let Some(driven) = it.drivers.remove(&owner.rec) {
            it.sweeper.left(driven.driver.claim(), boot);
        }
        if matches!(ended, DriverEnd::Uncertain(_)) {
            it.sweeper.uncertain(recovery_id(owner.rec), owner.epoch);
        }
        let (engine, life) = (owner.engine, owner.life);
        self.after(1, Event::Wakeup { engine, life });
    }

    fn audit(&mut self) -> Option<Fault> {
        if !self.chaos() || !self.rng.percent(2) {
            return None;
        }
        self.mishap(Mishap::AuditFails);
        Some(Fault {
            class: FaultClass::Transient,
            status: None,
            maybe_done: false,
            text: "the audit log cannot be written".into(),
        })
    }

    fn start(&mut self, owner: Owner, calls: Calls) {
        let written = self.engines[owner.engine].drivers[&owner.rec].written;
        for command in calls.commands {
            let is_instance_call = matches!(
                command,
                Command::Stop(_)
                    | Command::Start(_)
                    | Command::Migrate(_)
                    | Command::ConfirmMigration(_)
                    | Command::Activate { .. }
            );
            let own = self.journal.recs[owner.rec].host;
            // The instance's host in Nova, whatever the reporter claims.
            let server = command
                .server_call()
                .map(|(server, _)| crate::calls::index_of(server));
            let host = server.map_or(own, |server| self.nova.servers[server].host);
            let is_unseen = host != own
                && server.is_some_and(|server| self.may_have_been_shown_elsewhere(server, written));
            let mut rows = self.journal.recs.iter();
            // A recovery opened after the intent became durable cannot prevent the call.
            if is_instance_call
                && rows.any(|row| row.is_open_for_host() && row.host == host && row.opened < written)
                && !is_unseen
            {
                self.violate(format!(
                    "an instance receives {} on host {host}, which is being recovered (R12)",
                    command.name()
                ));
            }
            let refused = calls
                .unaudited
                .as_ref()
                .and_then(|fault| refusal(&command, fault));
            if let Some(observation) = refused {
                let observation = Box::new(observation);
                self.after(1, Event::Answer { owner, observation });
                continue;
            }
            // Mostly immediate; sometimes a thread is late.
            let delay = if self.rng.percent(3) {
                self.mishap(Mishap::LateThread);
                self.rng.between(0, 900)
            } else {
                1
            };
            let (intent, started) = (calls.intent, calls.started);
            self.after(
                delay,
                Event::Send {
                    owner,
                    command,
                    intent,
                    started,
                },
            );
        }
    }

    pub(crate) fn send(&mut self, owner: Owner, command: Command, intent: Intent, started: Elapsed) {
        let mut command = Some(command);
        let again = || Event::Send {
            owner,
            command: command.take().unwrap(),
            intent,
            started,
        };
        if !self.awake(owner.engine, owner.life, again) {
            return;
        }
        let (Some(command), Some(driver)) = (command, self.driver(owner)) else {
            return;
        };
        let boot = self.boot_of(owner.engine);
        let young = Intent {
            sent: boot,
            durable: boot,
        };
        let checked = if mutated("intent") { young } else { intent };
        let beat = if mutated("beat") {
            boot
        } else {
            driver.renewal_sent()
        };
        let beat_age = boot.saturating_sub(driver.renewal_sent());
        let now = driver.elapsed(boot);
        if !may_act(boot, beat, checked, command.is_write()) {
            self.stats.not_sent += 1;
            let observation = Box::new(Observation::NotSent(command));
            return self.after(1, Event::Answer { owner, observation });
        }
        // A device query is dated when it is sent; other queries belong to an earlier decision.
        let is_reading = matches!(command, Command::ReadPower(_));
        let started = if is_reading { now } else { started };
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
            if self.goes_down(owner.engine) {
                return;
            }
        }
        if command.is_write() && self.engines[owner.engine].suspended_until > self.written_at(owner) {
            // Same limit as R4: between the commit and the first byte its clocks stood still.
            self.mishap(Mishap::SuspendedAtFirstByte);
            self.slips += 1;
        }
        self.check_call(owner, &command, boot.saturating_sub(intent.durable));
        let its = &self.engines[owner.engine].drivers[&owner.rec];
        // A call without a transaction has the time of its decision.
        let own = intent.durable == its.result_at;
        let sent = if own { its.sent } else { intent.sent };
        if own && its.got_abort && matches!(command, Command::Evacuate(_) | Command::PowerOff { .. }) {
            let name = command.name();
            self.violate(format!(
                "{name} is called although the intent's own transaction reported an abort (R20)"
            ));
        }
        self.check_beat(&command, beat_age, boot.saturating_sub(sent));
        if self.weather.more.slips && self.chaos() && command.is_write() && self.rng.percent(3) {
            // Limit of R4: no check is possible after the last one. The call goes out when the process
            // continues.
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
        if dies && self.weather.more.crash_after_call {
            self.mishap(Mishap::DiesAfterCall);
            self.goes_down(owner.engine);
        }
    }

    /// Stops an engine after its change took effect in Nova and before the answer arrives.
    pub(crate) fn stops_before_poll(&mut self, engine: usize) {
        let Some(millis) = self.weather.stopped_at_put.take() else {
            return;
        };
        self.mishap(Mishap::StoppedAtPut);
        note!(self, "engine {engine} is stopped for {millis} ms after its call");
        let it = &mut self.engines[engine];
        it.paused_until = (self.now + millis).max(it.suspended_until);
    }

    /// Takes an engine down at a journal transaction. Returns true if it died.
    pub(crate) fn goes_down_at(&mut self, engine: usize, what: Mishap) -> bool {
        self.mishap(what);
        self.goes_down(engine)
    }

    pub(crate) fn journalled(&mut self, owner: Owner, sent: Duration, outcome: Option<WriteOutcome>) {
        let mut outcome = Some(outcome);
        let again = || Event::Journalled {
            owner,
            sent,
            outcome: outcome.take().unwrap(),
        };
        if !self.awake(owner.engine, owner.life, again) || !self.is_driving(owner) {
            return;
        }
        let Some(outcome) = outcome else { return };
        self.feed(owner, tachi_driver::Event::Journalled { sent, outcome });
    }
}
