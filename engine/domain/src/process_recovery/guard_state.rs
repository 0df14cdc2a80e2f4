//! The guard before a service is disabled: a reporter with false reports must not take a segment out of use.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ProcessRecovery;
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::guard::{GuardResult, Region, process};
use crate::nova::Service;
use crate::recovery::{Command, DecisionTime, OperatorRequest, Record, StepKind, Task};
use crate::wait::WaitsFor;

/// The time for which a region scan is valid.
const SCAN_LIFETIME: Duration = Duration::from_secs(3);

/// The interval between region scans while the guard blocks.
const SCAN_INTERVAL: Duration = Duration::from_secs(30);

/// The time for which a host on hold must be up in Nova until its process counts as running.
const MIN_UP_TIME: Duration = Duration::from_mins(2);

/// The stored state of the guard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct GuardState {
    /// True if an operator has approved the recovery.
    lifted: bool,
    /// The reason why it waits for an operator.
    #[serde(rename = "held")]
    hold: Option<String>,
    /// The reason why it waits, and continues by itself.
    waits: Option<String>,
    /// The time since which the host has been up in Nova while the recovery is on hold.
    #[serde(skip)]
    up_since: Option<Elapsed>,
}

impl GuardState {
    pub(super) fn waits(&self) -> (WaitsFor, BTreeSet<String>) {
        let what = match (&self.hold, &self.waits) {
            (Some(_), _) => WaitsFor::Approval,
            (None, Some(_)) => WaitsFor::Guards,
            (None, None) => return (WaitsFor::Nothing, BTreeSet::new()),
        };
        (what, [process::GUARD.to_owned()].into())
    }

    /// Returns the message for the notification.
    pub(super) fn message(&self) -> Option<String> {
        let hold = self.hold.as_ref().map(|why| format!("on hold: {why}"));
        hold.or_else(|| self.waits.as_ref().map(|why| format!("waiting for {why}")))
    }
}

impl ProcessRecovery {
    pub(super) fn approved(&mut self, action: &OperatorRequest, record: &mut Record) {
        if self.guarded.hold.take().is_some() || self.guarded.waits.take().is_some() {
            self.guarded.lifted = true;
            self.question.not_before = Elapsed::ZERO;
            record.step(
                Task::DisableNode,
                StepKind::Note,
                0.2,
                format!("{} by {}", action.word.verb(), action.by),
            );
        }
    }

    /// True if the guard lets the service be disabled. Requests a region scan first if the last one is too old.
    pub(super) fn guards_pass(
        &mut self,
        service: &Service,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        let Some(host) = self.host_id.filter(|_| !self.guarded.lifted) else {
            return true;
        };
        let Some(region) = self.fresh_region(now) else {
            self.question.send_at_once(now.elapsed);
            self.waits_for_region = Some((now.elapsed, service.clone()));
            commands.push(Command::ScanHosts);
            return false;
        };
        let verdict = process::check(&region, host, self.id, &self.policy);
        let before = self.guarded.message();
        (self.guarded.hold, self.guarded.waits) = match verdict {
            GuardResult::Pass | GuardResult::Warn { .. } => (None, None),
            GuardResult::Hold { reason } => (
                Some(format!(
                    "{}: {reason}. Approve or abort it; nothing was done",
                    process::NAME
                )),
                None,
            ),
            GuardResult::Wait { reason, .. } => (None, Some(format!("{}: {reason}", process::NAME))),
        };
        let message = self.guarded.message();
        if message != before {
            record.head = true;
            let text = message.clone().unwrap_or_else(|| {
                format!(
                    "{} does not block it any more: the recovery continues",
                    process::NAME
                )
            });
            record.step(Task::DisableNode, StepKind::Note, 0.1, text);
        }
        if message.is_none() {
            return true;
        }
        self.question.not_before = now.elapsed.plus(SCAN_INTERVAL);
        self.ends_if_it_runs(&region, service, now, record);
        false
    }

    fn fresh_region(&self, now: DecisionTime) -> Option<Arc<Region>> {
        let (scanned_at, region) = self.region.as_ref()?;
        (now.elapsed.since(*scanned_at) <= SCAN_LIFETIME).then(|| region.clone())
    }

    /// Ends a recovery on hold if the host has been up in Nova long enough, because the suspicion was wrong.
    fn ends_if_it_runs(
        &mut self,
        region: &Region,
        service: &Service,
        now: DecisionTime,
        record: &mut Record,
    ) {
        if !region.has_current_heartbeat(&service.host, &self.policy) {
            self.guarded.up_since = None;
            return;
        }
        let since = *self.guarded.up_since.get_or_insert(now.elapsed);
        if now.elapsed.since(since) >= MIN_UP_TIME {
            let text = format!(
                "the nova-compute of {} has been up in Nova for {} s: it runs, and nothing was done",
                self.host,
                MIN_UP_TIME.as_secs()
            );
            self.guarded = GuardState::default();
            // Nova shows nothing of other processes.
            record.dismissed = self.process.contains("nova-compute");
            self.end(NotificationStatus::Finished, text, record);
        }
    }
}
