//! The checks that decide if an instance is restarted at all.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{BlockerKind, Stage, VmRecovery, freeze_state};
use crate::entity::notification::NotificationStatus;
use crate::hooks::Phase;
use crate::id::ServerId;
use crate::instance_event::is_failure;
use crate::nova::{Server, VmState};
use crate::policy::is_truthy;
use crate::question::{MAX_READ_LAG, NOT_FOUND_CONFIRM_DELAY};
use crate::recovery::{Command, DecisionTime, Record, StepKind};

/// The end of a recovery whose instance is stopped before it has requested anything.
const STOPPED_MESSAGE: &str = "it was stopped meanwhile: left to its owner";

/// The end of a recovery of an instance in a disabled segment, as Masakari words it.
const SEGMENT_DISABLED_MESSAGE: &str = "Recovery aborted: the segment HA is disabled.";

/// The end of a recovery whose instance a user has stopped.
pub(super) const STOPPED_BY_USER_MESSAGE: &str =
    "a user has stopped it meanwhile, as Nova's record of the instance's actions shows: left to its owner";

/// True for the states that an owner sets: the instance should not run, and Nova would refuse to stop it.
pub(super) fn is_set_by_owner(state: &VmState) -> bool {
    matches!(
        state,
        VmState::Paused
            | VmState::Rescued
            | VmState::Suspended
            | VmState::Shelved
            | VmState::ShelvedOffloaded
            | VmState::Deleted
    )
}

/// Returns the reason why the instance is not restarted, for the notification.
pub(super) fn runs_elsewhere(hosts: &BTreeSet<String>, host: &str) -> String {
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    format!(
        "an earlier evacuation may have left it running on {}, so it is not restarted on {host}: check there, and see `tachi instance list \
         --waiting`",
        hosts.join(" or ")
    )
}

/// True if Nova has shown for a while what ends the recovery before anything was done. A copy of its database that lags behind may
/// show the instance where it was, or as it was; a monitor reports a failure once.
fn confirm_end(state: &mut VmRecovery, now: DecisionTime) -> bool {
    is_shown_for(state, NOT_FOUND_CONFIRM_DELAY, now)
}

/// True if Nova has shown for this long what contradicts the report.
fn is_shown_for(state: &mut VmRecovery, period: Duration, now: DecisionTime) -> bool {
    let at = state.observed.as_ref().map_or(now.elapsed, |server| server.at);
    at.since(*state.doubted_since.get_or_insert(at)) >= period
}

/// True if the reported guest was that of the instance, and should run.
fn has_ended(state: &VmRecovery, server: &Server) -> bool {
    let is_here = server.host.as_deref() == Some(state.host.as_str());
    !state.runs() && is_here && !is_set_by_owner(&server.vm_state)
}

impl VmRecovery {
    /// Applies the gates that need only the notification and the state of its segment and host.
    pub(super) fn begin(&mut self, record: &mut Record) -> Option<ServerId> {
        let operator_state = self.operator_state.as_ref()?;
        let (enabled, maintenance) = (
            operator_state.segment_enabled,
            operator_state.operator_maintenance,
        );
        if self.stage == Stage::Begin {
            if !is_failure(&self.event, &self.detail) {
                let text = format!(
                    "event {}/{} is not a failure of the instance",
                    self.event, self.detail
                );
                self.end(NotificationStatus::Ignored, text, record);
                return None;
            }
            // Whether its guest is gone is read first: otherwise it would not be known that the instance is down.
            if !enabled && (self.runs() || self.server.is_none()) {
                self.end(NotificationStatus::Ignored, SEGMENT_DISABLED_MESSAGE, record);
                return None;
            }
            if maintenance {
                let text = format!("host {} is in maintenance, set by an operator", self.host);
                self.end(NotificationStatus::Ignored, text, record);
                return None;
            }
        }
        if self.server.is_none() {
            self.end(
                NotificationStatus::Ignored,
                "the notification names no instance",
                record,
            );
        }
        self.server
    }

    /// True if the instance was running when the failure was reported. Otherwise Nova itself stops it as well.
    fn runs(&self) -> bool {
        !self.event.eq_ignore_ascii_case("LIFECYCLE")
    }

    /// True if the owner is not stopping or changing the running instance. An agent that stops before its guest is no
    /// failure, and an owner who has stopped an instance does not want it started.
    fn is_owner_idle(&mut self, server: &Server, now: DecisionTime, record: &mut Record) -> bool {
        if let Some(task) = &server.task_state {
            let limit = self.policy.stop_limit;
            if now.elapsed.since(self.since) > limit {
                let text = format!(
                    "{task} has not ended within {} s: left to its owner",
                    limit.as_secs()
                );
                self.end(NotificationStatus::Ignored, text, record);
            }
            return false;
        }
        if server.vm_state == VmState::Stopped && !self.rewound {
            if !confirm_end(self, now) {
                return false;
            }
            self.end(NotificationStatus::Ignored, STOPPED_MESSAGE, record);
            return false;
        }
        true
    }

    pub(super) fn judge(
        &mut self,
        server: &Server,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let operator_state = self.operator_state.as_ref();
        if operator_state.is_some_and(|operator_state| !operator_state.segment_enabled) {
            record.unrepaired = has_ended(self, server);
            return self.end(NotificationStatus::Ignored, SEGMENT_DISABLED_MESSAGE, record);
        }
        let tagged = server
            .metadata
            .get(&self.policy.instance_ha_key)
            .is_some_and(|value| is_truthy(value));
        if !tagged && !self.policy.process_all_instances {
            let text = format!(
                "Skipped: the instance is not marked {}=True and process_all_instances is off",
                self.policy.instance_ha_key
            );
            record.unrepaired = has_ended(self, server);
            return self.end(NotificationStatus::Finished, text, record);
        }
        if server.host.as_deref() != Some(self.host.as_str()) {
            match &server.host {
                // As in Masakari, the instance is recovered wherever it is, but not before Nova has shown it there for the greatest age
                // of a copy: it may still be on the reporting host, which may be under recovery itself (R12).
                Some(own) if !self.bound => {
                    let text = format!("Nova shows the instance on {own}, not on {}", self.host);
                    if !is_shown_for(self, MAX_READ_LAG, now) {
                        let seconds = MAX_READ_LAG.as_secs();
                        let wait = format!(
                            "{text}: waiting {seconds} s, in case Nova has read an old copy of its database"
                        );
                        return self.blocker(BlockerKind::Host, wait, now);
                    }
                    self.clear_blocker(BlockerKind::Host);
                    record.step(self.task(), StepKind::Note, 0.0, text);
                    record.head = true;
                    self.host.clone_from(own);
                    self.service = None;
                }
                _ if !confirm_end(self, now) => return,
                other => {
                    let text = format!(
                        "the instance is on {}, not on the reporting host {}",
                        other.as_deref().unwrap_or("no host"),
                        self.host
                    );
                    return self.end(NotificationStatus::Ignored, text, record);
                }
            }
        }
        if freeze_state::runs_since_thaw(self, server, record) {
            return;
        }
        if is_set_by_owner(&server.vm_state) {
            let text = format!("the instance is {}: left to its owner", server.vm_state);
            return self.end(NotificationStatus::Ignored, text, record);
        }
        if self.runs() && !self.is_owner_idle(server, now, record) {
            return;
        }
        self.doubted_since = None;
        if !self.may_restart(now, record) || !self.pass(Phase::Pre, now, record, commands) {
            return;
        }
        if !self.policy.flows.instance.acts {
            return self.run_hooks_only(now, record, commands);
        }
        let next = if server.vm_state == VmState::Resized {
            Stage::Activating
        } else {
            Stage::Stopping
        };
        self.enter(next, now, record);
    }
}
