//! Powers a recovered host on again, if an operator has configured that.
//!
//! This applies only to a host that this very recovery has switched off, that its devices still read as off, and whose instances
//! are all elsewhere by a check of just now. Nothing is powered on during an evacuation of any caller. From the
//! order on, no recovery may count on the host being off, so the proof is dropped.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::decision_context::{DecisionContext, Moves};
use super::super::fence::Fence;
use super::super::{End, MoveStep, Stage};
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::id::MigrationId;
use crate::level::Target;
use crate::nova::Migration;
use crate::policy::{FencingMode, Policy};
use crate::power::Power;
use crate::proof::{DatedReading, Proof};
use crate::recovery::{Command, Evacuations, StepKind, Task};

/// Maximum number of orders to power a host on.
const MAX_ORDERS: u32 = 3;

/// Maximum age of the reading of Nova's evacuation records.
const MAX_RECORDS_AGE: Duration = Duration::from_secs(30);

/// The state of powering the host on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PowerOn {
    /// The number of orders to the host.
    pub orders: u32,
    /// The time of the last order.
    pub at: Option<Elapsed>,
    /// True if nothing more is to be done about it.
    pub over: bool,
    /// The reason why the last order failed.
    pub last_word: Option<String>,
    #[serde(skip)]
    ordering: u32,
    /// The time since which this owner has confirmed the host off.
    #[serde(skip)]
    shown: Option<Elapsed>,
    /// The devices of the level whose last answer was "off", with the time of each query.
    #[serde(skip)]
    off: std::collections::BTreeMap<usize, Elapsed>,
    /// The time at which the evacuation records were read, and the one that was open.
    #[serde(skip)]
    last_listing: Option<(Elapsed, Option<MigrationId>)>,
    /// True if the wait for one of them has been recorded.
    #[serde(skip)]
    recorded: bool,
}

impl PowerOn {
    /// Drops the answers to the last owner, so that the new owner checks for itself.
    pub(in super::super) fn forget_answers(&mut self) {
        self.ordering = 0;
        self.off.clear();
        self.last_listing = None;
    }

    pub(in super::super) fn not_sent(&mut self) {
        self.ordering = self.ordering.saturating_sub(1);
        self.orders = self.orders.saturating_sub(1);
        self.off.clear();
    }

    /// Checks for an unfinished evacuation of the host by any caller. A record that a move has given up as lost stays
    /// open until nova-compute of this very host starts.
    pub(in super::super) fn evacuations_seen(&mut self, read: &Evacuations, moves: &Moves) {
        let given_up = |record: &Migration| {
            let instance = moves.get(&record.server);
            instance.is_some_and(|instance| instance.has_written_off(record))
        };
        let open = read
            .records
            .iter()
            .find(|record| !record.status.is_finished() && !given_up(record));
        self.last_listing = Some((read.started, open.map(|record| record.id)));
    }
}

impl PowerOn {
    /// True if this recovery is to power the host on at all.
    fn is_wanted(&self, fence: &Fence, moves: &Moves, policy: &Policy) -> bool {
        let settled = |step: &MoveStep| matches!(step, MoveStep::Done(End::Moved | End::Left));
        policy.power_on_after_recovery
            && policy.fencing == FencingMode::Engine
            && fence.ordered
            && !self.over
            // An instance that needs an operator may run elsewhere: that operator decides whether the host comes back.
            && moves.values().all(|instance| settled(&instance.step))
    }

    /// Takes one step towards powering the host on, while its return is awaited. Returns true if Nova's evacuation records are to be read.
    pub(in super::super) fn act(
        &mut self,
        is_back: bool,
        fence: &mut Fence,
        proof: &mut Option<Proof>,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        let (now, policy) = (ctx.now, ctx.policy);
        if !self.is_wanted(fence, moves, policy) {
            return false;
        }
        if is_back {
            self.is_on("it sends heartbeats", ctx);
            return false;
        }
        // It waits while it is blocked, and while a power-off may still take effect.
        if ctx.rejected.is_some()
            || ctx.operator_block().is_some()
            || ctx.frozen_host().is_some()
            || ctx.stopped
            || !fence.has_no_pending_orders(now.elapsed, policy)
            || self.ordering > 0
        {
            return false;
        }
        // The time between orders: until it has passed, an order may still take effect, and the host may be about to start.
        let between_orders = policy.late_effect_window() + policy.power_off_limit;
        let wait = self.at.map(|at| at.plus(between_orders));
        if !fence.request_levels(now, commands) {
            return false;
        }
        fence.read_devices(now, commands);
        if wait.is_none() {
            let confirmed = proof.as_ref().is_some_and(Proof::is_confirmed);
            let since = confirmed.then(|| self.shown.unwrap_or(now.elapsed));
            self.shown = since;
            if since.is_none_or(|at| now.elapsed.since(at) < policy.power_on_delay) {
                return false;
            }
        }
        if wait.is_some_and(|until| now.elapsed < until) {
            return false;
        }
        let young = |at: Elapsed, limit: Duration| now.elapsed.since(at) <= limit;
        let is_off = |index: usize| {
            let requested = self.off.get(&index);
            requested.is_some_and(|at| young(*at, policy.proof_age) && wait.is_none_or(|until| *at >= until))
        };
        let targets = fence.targets();
        if targets.is_empty() || !(0..targets.len()).all(is_off) {
            return false;
        }
        if self.orders >= MAX_ORDERS {
            let why = self.last_word.take();
            let why = why.unwrap_or_else(|| "its devices keep reading \"off\"".to_owned());
            let text = format!(
                "ALARM: host {} could not be powered on after its recovery, ordered {MAX_ORDERS} times: {why}; power it on by hand",
                ctx.host
            );
            ctx.record.step(Task::Return, StepKind::Outcome, 0.3, text);
            self.over = true;
            ctx.record.head = true;
            return false;
        }
        match self.last_listing {
            Some((at, None)) if young(at, MAX_RECORDS_AGE) => {}
            Some((at, Some(open))) if young(at, policy.heartbeat_poll) => {
                if !std::mem::replace(&mut self.recorded, true) {
                    let text = format!(
                        "{} is not powered on yet: an evacuation of it is in progress (migration {open})",
                        ctx.host
                    );
                    ctx.record.step(Task::Return, StepKind::Note, 0.1, text);
                }
                return false;
            }
            _ => return true,
        }
        // Other recoveries must not count on the proof any more.
        *proof = None;
        self.order(&targets, ctx, commands);
        false
    }

    fn order(&mut self, targets: &[Target], ctx: &mut DecisionContext<'_>, commands: &mut Vec<Command>) {
        self.orders += 1;
        self.at = Some(ctx.now.elapsed);
        self.ordering = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        self.off.clear();
        let mark = ctx.mark();
        let (host, record) = (ctx.host, &mut *ctx.record);
        record.head = true;
        // The host may have been reported again: then its new recovery wants it off.
        record.unless_host_recovery = Some(host.to_owned());
        record.unless_frozen.own = true;
        let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let text = format!(
            "powering on {} ({}): its instances are elsewhere, no evacuation from it is in progress, and it is off",
            host,
            names.join(", ")
        );
        record.step(Task::Return, StepKind::Intent, 0.2, text);
        commands.extend(targets.iter().map(|target| Command::PowerOn {
            target: target.clone(),
            reason: format!("{mark}: back to service"),
        }));
    }

    pub(in super::super) fn answered(
        &mut self,
        target: &Target,
        result: Result<(), Fault>,
        fence: &mut Fence,
        ctx: &mut DecisionContext<'_>,
    ) {
        self.ordering = self.ordering.saturating_sub(1);
        let text = match result {
            Ok(()) => format!(
                "{target} has accepted the power-on; waiting for nova-compute of {}",
                ctx.host
            ),
            Err(fault) => {
                self.last_word = Some(fault.text.clone());
                format!("{target} has not accepted the power-on: {}", fault.text)
            }
        };
        ctx.record.head = true;
        ctx.record.step(Task::Return, StepKind::Outcome, 0.3, text);
        if let Some(index) = fence.index_of(target) {
            fence.device_state(index).not_before = ctx.now.elapsed;
        }
    }

    /// Handles a device's reading while the host's return is awaited.
    pub(in super::super) fn power_read(
        &mut self,
        index: usize,
        dated: &DatedReading,
        fence: &mut Fence,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        if *ctx.stage != Stage::Returning || !self.is_wanted(fence, moves, ctx.policy) {
            return;
        }
        fence.device_state(index).not_before = ctx.now.elapsed.plus(ctx.policy.power_poll);
        match dated.reading.power {
            Power::Off => {
                self.off.insert(index, dated.started);
            }
            Power::On if self.at.is_none_or(|at| dated.started > at) => {
                let how = format!("{} reads {:?}", dated.reading.device, dated.reading.raw);
                self.is_on(&how, ctx);
            }
            Power::On | Power::Unknown => {
                self.off.remove(&index);
            }
        }
    }

    fn is_on(&mut self, how: &str, ctx: &mut DecisionContext<'_>) {
        self.over = true;
        ctx.record.head = true;
        let text = format!("host {} is on: {how}", ctx.host);
        ctx.record.step(Task::Return, StepKind::Note, 0.4, text);
    }
}
