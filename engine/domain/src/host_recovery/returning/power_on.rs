//! Giving a recovered host its power back, if an operator wants that done without a person.
//!
//! Only a host that this very recovery has switched off, that its devices still say is off, and whose every instance is
//! somewhere else by a look of just now: nothing is powered on in the middle of an evacuation, whoever asked for it. From the
//! order on nobody may count on the host's being off, so the proof goes with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::freezing;
use super::super::turn::Moves;
use super::super::{End, HostRecovery, MoveStep, Stage};
use crate::fault::Fault;
use crate::level::Target;
use crate::nova::Migration;
use crate::policy::FencingMode;
use crate::power::Power;
use crate::proof::{DatedReading, Proof};
use crate::recovery::{Command, Evacuations, Now, Record, StepKind, Task};
use crate::{Elapsed, MigrationId};

/// How often a host is told to power on.
const ORDERS: u32 = 3;

/// How young a look at Nova's evacuation records has to be.
const LOOKED: Duration = Duration::from_secs(30);

/// What has been done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PowerOn {
    /// How often the host was told.
    pub orders: u32,
    /// When it was last.
    pub at: Option<Elapsed>,
    /// Nothing more is to be done about it.
    pub over: bool,
    /// Why it could not be done the last time.
    pub last_word: Option<String>,
    #[serde(skip)]
    ordering: u32,
    /// Since when this owner has shown it to be off.
    #[serde(skip)]
    shown: Option<Elapsed>,
    /// When each device of the level was asked that said "off" last.
    #[serde(skip)]
    off: std::collections::BTreeMap<usize, Elapsed>,
    /// When the evacuation records were looked at, and which was open.
    #[serde(skip)]
    looked: Option<(Elapsed, Option<MigrationId>)>,
    /// That one of them is waited for has been told.
    #[serde(skip)]
    told: bool,
}

impl PowerOn {
    /// A new owner looks for himself.
    pub(in super::super) fn forget_answers(&mut self) {
        self.ordering = 0;
        self.off.clear();
        self.looked = None;
    }

    pub(in super::super) fn not_sent(&mut self) {
        self.ordering = self.ordering.saturating_sub(1);
        self.orders = self.orders.saturating_sub(1);
        self.off.clear();
    }

    /// Looks for an evacuation of the host that is under way, whoever has asked for it. What a move has given up for lost
    /// stays open until nova-compute of this very host starts.
    pub(in super::super) fn evacuations_seen(&mut self, read: &Evacuations, moves: &Moves) {
        let given_up = |record: &Migration| {
            let one = moves.get(&record.server);
            one.is_some_and(|one| one.has_written_off(record))
        };
        let open = read
            .records
            .iter()
            .find(|record| !record.status.is_over() && !given_up(record));
        self.looked = Some((read.started, open.map(|record| record.id)));
    }
}

impl HostRecovery {
    /// Whether this host is to be powered on by this recovery at all.
    fn is_to_be_powered_on(&self) -> bool {
        let settled = |step: &MoveStep| matches!(step, MoveStep::Over(End::Moved | End::Left));
        self.policy.power_on_after_recovery
            && self.policy.fencing == FencingMode::Engine
            && self.fence.ordered
            && !self.power_on.over
            // An instance that needs a person may run elsewhere: whether the host comes back is for that person to say.
            && self.moves.values().all(|one| settled(&one.step))
    }

    /// While the host is waited for: one step towards its power.
    pub(in super::super) fn act_powering_on(
        &mut self,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if !self.is_to_be_powered_on() {
            return;
        }
        if self.service.is_back() {
            return self.powered_on("it sends heartbeats", record);
        }
        // What has been forbidden since is waited for; so is a power-off that may still take effect (R5).
        if self.rejected.is_some()
            || self.said_no().is_some()
            || freezing::over(self).is_some()
            || self.asks.stopped
            || !self.fence.is_quiet(now.elapsed, &self.policy)
            || self.power_on.ordering > 0
        {
            return;
        }
        let wait = self.power_on.at.map(|at| at.plus(self.between_orders()));
        if !self.fence.want_levels(now, commands) {
            return;
        }
        self.fence.read_devices(now, commands);
        if wait.is_none() {
            let confirmed = self.proof.as_ref().is_some_and(Proof::is_confirmed);
            let since = confirmed.then(|| self.power_on.shown.unwrap_or(now.elapsed));
            self.power_on.shown = since;
            if since.is_none_or(|at| now.elapsed.since(at) < self.policy.power_on_delay) {
                return;
            }
        }
        if wait.is_some_and(|until| now.elapsed < until) {
            return;
        }
        let young = |at: Elapsed, limit: Duration| now.elapsed.since(at) <= limit;
        let is_off = |index: usize| {
            let asked = self.power_on.off.get(&index);
            asked.is_some_and(|at| young(*at, self.policy.proof_age) && wait.is_none_or(|until| *at >= until))
        };
        let targets = self.fence.targets();
        if targets.is_empty() || !(0..targets.len()).all(is_off) {
            return;
        }
        if self.power_on.orders >= ORDERS {
            let why = self.power_on.last_word.take();
            let why = why.unwrap_or_else(|| "its devices go on saying \"off\"".to_owned());
            let text = format!(
                "ALARM: host {} could not be powered on after its recovery, told {ORDERS} times: {why}; a person has to do it",
                self.host
            );
            record.step(Task::Return, StepKind::Outcome, 0.3, text);
            self.power_on.over = true;
            record.head = true;
            return;
        }
        match self.power_on.looked {
            Some((at, None)) if young(at, LOOKED) => {}
            Some((at, Some(open))) if young(at, self.policy.heartbeat_poll) => {
                if !std::mem::replace(&mut self.power_on.told, true) {
                    let text = format!(
                        "{} is not powered on yet: an evacuation of it is under way (migration {open})",
                        self.host
                    );
                    record.step(Task::Return, StepKind::Note, 0.1, text);
                }
                return;
            }
            _ => return self.asks.want_evacuations(self.service.since, now, commands),
        }
        self.order_on(&targets, now, record, commands);
    }

    fn order_on(&mut self, targets: &[Target], now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        self.power_on.orders += 1;
        self.power_on.at = Some(now.elapsed);
        self.power_on.ordering = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        self.power_on.off.clear();
        // Other recoveries must not count on it any more (R10).
        self.proof = None;
        record.head = true;
        // The host may have been reported again: then its new recovery wants it off.
        record.unless_host_recovery = Some(self.host.clone());
        record.unless_frozen.own = true;
        let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let text = format!(
            "powering on {} ({}): its instances are elsewhere, no evacuation of it is under way, and it is off",
            self.host,
            names.join(", ")
        );
        record.step(Task::Return, StepKind::Intent, 0.2, text);
        commands.extend(targets.iter().map(|target| Command::PowerOn {
            target: target.clone(),
            reason: format!("{}: back to service", self.mark()),
        }));
    }

    /// How long after an order it is given again: until then it may still take effect, and the host may be about to start.
    fn between_orders(&self) -> Duration {
        self.policy.settle_time() + self.policy.power_off_limit
    }

    pub(in super::super) fn power_on_answered(
        &mut self,
        target: &Target,
        result: Result<(), Fault>,
        now: Now,
        record: &mut Record,
    ) {
        self.power_on.ordering = self.power_on.ordering.saturating_sub(1);
        let text = match result {
            Ok(()) => format!(
                "{target} has accepted the power-on; waiting for nova-compute of {}",
                self.host
            ),
            Err(fault) => {
                self.power_on.last_word = Some(fault.text.clone());
                format!("{target} has not accepted the power-on: {}", fault.text)
            }
        };
        record.head = true;
        record.step(Task::Return, StepKind::Outcome, 0.3, text);
        if let Some(index) = self.fence.index_of(target) {
            self.fence.post(index).not_before = now.elapsed;
        }
    }

    /// What a device says while the host is waited for.
    pub(in super::super) fn power_read_while_returning(
        &mut self,
        index: usize,
        dated: &DatedReading,
        now: Now,
        record: &mut Record,
    ) {
        if self.stage != Stage::Returning || !self.is_to_be_powered_on() {
            return;
        }
        self.fence.post(index).not_before = now.elapsed.plus(self.policy.power_poll);
        match dated.reading.power {
            Power::Off => {
                self.power_on.off.insert(index, dated.started);
            }
            Power::On if self.power_on.at.is_none_or(|at| dated.started > at) => {
                let how = format!("{} says {:?}", dated.reading.device, dated.reading.raw);
                self.powered_on(&how, record);
            }
            Power::On | Power::Unknown => {
                self.power_on.off.remove(&index);
            }
        }
    }

    fn powered_on(&mut self, how: &str, record: &mut Record) {
        self.power_on.over = true;
        record.head = true;
        let text = format!("host {} is on: {how}", self.host);
        record.step(Task::Return, StepKind::Note, 0.4, text);
    }
}
