//! Is there anything to be done, and are the guards content?

use super::{HostRecovery, Stage};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::guard::Moment;
use crate::policy::{BareNormal, FencingMode};
use crate::recovery::{Command, Life, Now, Record, StepKind, Task};

impl HostRecovery {
    pub(super) fn act_begin(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if let Some((status, message)) = self.nothing_to_do() {
            // A report that says more may be joining just now.
            record.unless_joined = self.event == "STOPPED";
            self.end(status, Some(message), record);
            return;
        }
        if self.rejected.is_some() {
            self.settle_now(record);
            return;
        }
        if self.hold.is_some() {
            self.while_held(now, record, commands);
            return;
        }
        // Once they are content, hooks may take their time; they are asked again after those.
        if !self.asks.guarded && !self.guards_let(Moment::Begin, now, record, commands) {
            return;
        }
        self.asks.guarded = true;
        if !self.before_fence(now, record, commands) {
            return;
        }
        record.step(
            Task::Fence,
            StepKind::Note,
            0.1,
            format!("host {} is reported down; recovery {} begins", self.host, self.id),
        );
        if self.method != RecoveryMethod::Auto {
            record.step(
                Task::Fence,
                StepKind::Note,
                0.1,
                format!("the segment's recovery method is {}", self.method),
            );
        }
        let silent_after = self.policy.silent_after();
        if silent_after > self.policy.heartbeat_stale {
            let (age, limit) = (self.policy.heartbeat_age.as_secs(), silent_after.as_secs());
            record.step(
                Task::Fence,
                StepKind::Note,
                0.1,
                format!(
                    "its heartbeats were up to {age} s old while it lived, so it is silent after {limit} s without one"
                ),
            );
        }
        self.fence.begin_again(now.elapsed, &self.policy);
        self.enter(Stage::Fencing, record);
    }

    /// The gates that end a recovery before anything was touched.
    fn nothing_to_do(&self) -> Option<(NotificationStatus, String)> {
        use NotificationStatus::{Finished, Ignored};
        let pulse = self.pulse.as_ref()?;
        if self.event == "STARTED" {
            return Some((Finished, format!("host {} has started: nothing to do", self.host)));
        }
        if self.event != "STOPPED" {
            return Some((Ignored, format!("event {:?} asks for nothing", self.event)));
        }
        if !pulse.segment_enabled {
            return Some((Ignored, "Recovery aborted: the segment HA is disabled.".into()));
        }
        if pulse.operator_maintenance {
            return Some((
                Ignored,
                format!("an operator has put host {} on maintenance", self.host),
            ));
        }
        if self.policy.fencing == FencingMode::External && self.reported.as_deref() != Some("NORMAL") {
            let said = self.reported.as_deref().unwrap_or("missing");
            return Some((
                Ignored,
                format!(
                    "host_status is {said}, so nobody says that host {} is off, and in fencing mode external the \
                     engine cannot see for itself",
                    self.host
                ),
            ));
        }
        let refused =
            self.policy.fencing == FencingMode::External && self.policy.bare_normal == BareNormal::Refuse;
        if refused && !self.came_with_evidence() {
            return Some((
                Ignored,
                format!(
                    "host_status is NORMAL, but no evidence says that host {} is off, and [fencing] normal_without_evidence is \
                     refuse",
                    self.host
                ),
            ));
        }
        None
    }

    /// Ends before Nova was touched.
    pub(super) fn end(&mut self, status: NotificationStatus, message: Option<String>, record: &mut Record) {
        self.message.clone_from(&message);
        record.notification = Some((status, message));
        record.life = Some(Life::Closed);
        self.enter(Stage::Over, record);
    }
}
