//! Frozen hosts: the service is not disabled, and after the freeze only if Nova gets no heartbeat from it (ADR 0051).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ProcessRecovery;
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::freeze::Freeze;
use crate::nova::Service;
use crate::recovery::{DecisionTime, Record, StepKind, Task};

/// The time for which the host must be up in Nova until its process counts as running.
const MIN_UP_TIME: Duration = Duration::from_mins(2);

/// The interval between the reads during that time.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The stored state of freezes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FreezeTrack {
    /// The number of the latest freeze whose end was observed.
    thawed: i64,
    /// True if the failure was reported before that end.
    seen_only: bool,
    /// The time since which the host has been up in Nova after the freeze.
    #[serde(skip)]
    up_since: Option<Elapsed>,
    /// True if the call in progress is the first one.
    #[serde(skip)]
    pub(super) first: bool,
    /// True if the first call was not made.
    #[serde(skip)]
    withdrawn: bool,
}

impl ProcessRecovery {
    /// Returns the freeze that the recovery waits for.
    pub(super) fn frozen(&self) -> Option<&Freeze> {
        let may_wait = self.requested.is_none() && !self.disabled && !self.over;
        self.operator_state
            .as_ref()
            .filter(|_| may_wait)?
            .frozen
            .of_host()
    }

    /// Handles the end of a freeze, once.
    pub(super) fn apply_freeze_end(&mut self, record: &mut Record) {
        let frozen = self
            .operator_state
            .as_ref()
            .is_some_and(|operator_state| operator_state.frozen.of_host().is_some());
        if frozen && std::mem::take(&mut self.freeze.withdrawn) {
            // A call that the journal has refused was never made.
            self.requested = None;
            record.head = true;
        }
        let thawed = self
            .operator_state
            .as_ref()
            .map_or(0, |operator_state| operator_state.frozen.thawed);
        if thawed <= self.freeze.thawed {
            return;
        }
        self.freeze.thawed = thawed;
        record.head = true;
        if self.requested.is_none() && !self.disabled {
            self.freeze.seen_only = true;
            self.region = None;
            self.waits_for_region = None;
            self.question.not_before = Elapsed::ZERO;
            let text = format!("the freeze of host {} has ended: it is checked again", self.host);
            record.step(Task::DisableNode, StepKind::Note, 0.0, text);
        }
    }

    /// True if the service may be disabled, given its state in Nova.
    pub(super) fn freeze_allows(
        &mut self,
        service: &Service,
        now: DecisionTime,
        record: &mut Record,
    ) -> bool {
        if self.frozen().is_some() {
            return false;
        }
        if !self.freeze.seen_only || self.requested.is_some() {
            return true;
        }
        if !service.up {
            self.freeze.up_since = None;
            return true;
        }
        let since = *self.freeze.up_since.get_or_insert(now.elapsed);
        self.question.not_before = now.elapsed.plus(POLL_INTERVAL);
        if now.elapsed.since(since) >= MIN_UP_TIME {
            let text = format!(
                "reported before a freeze of host {} ended, and its nova-compute has been up in Nova for {} s since: nothing was done",
                self.host,
                MIN_UP_TIME.as_secs()
            );
            // Nova shows nothing of other processes.
            record.dismissed = self.process.contains("nova-compute");
            self.end(NotificationStatus::Finished, text, record);
        }
        false
    }

    /// Records that a call was not made.
    pub(super) fn call_withdrawn(&mut self) {
        self.freeze.withdrawn |= std::mem::take(&mut self.freeze.first);
    }
}
