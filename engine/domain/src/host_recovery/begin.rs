//! Is there anything to be done, and are the guards content?

use super::{HoldKind, HostRecovery, Stage};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::policy::FencingMode;
use crate::recovery::{Command, Life, Now, Record, StepKind, Storm, Task};

impl HostRecovery {
    pub(super) fn counted(&mut self, storm: Storm) {
        self.asks.storm = None;
        self.asks.counted = Some(storm);
    }

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
            return;
        }
        if self.asks.counted.is_none() {
            if self.asks.storm.is_none() && now.elapsed >= self.asks.storm_not_before {
                self.asks.storm = Some(now.elapsed);
                commands.push(Command::CountHosts);
            }
            return;
        }
        let storm = self.asks.counted.as_ref().and_then(|storm| self.storm(storm));
        if let Some(reason) = storm.filter(|_| !self.storm_approved) {
            record.step(Task::Fence, StepKind::Note, 0.0, format!("held: {reason}"));
            self.hold(HoldKind::Storm, reason, now, record);
            return;
        }
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
        self.fence.begin_again(now.elapsed);
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
        None
    }

    /// Whether more hosts are out than one failure explains (R24).
    fn storm(&self, storm: &Storm) -> Option<String> {
        let over = |out: u64, of: u64, percent: u32| out > 1 && out * 100 > of * u64::from(percent);
        if over(
            storm.segment_out,
            storm.segment_hosts,
            self.policy.segment_percent,
        ) {
            return Some(format!(
                "{} of the segment's {} hosts are out at once, more than {} %: a switch or a rack may have failed, not \
                 the hosts",
                storm.segment_out, storm.segment_hosts, self.policy.segment_percent
            ));
        }
        if over(storm.all_out, storm.all_hosts, self.policy.global_percent) {
            return Some(format!(
                "{} of all {} hosts are out at once, more than {} %: a switch or a rack may have failed, not the hosts",
                storm.all_out, storm.all_hosts, self.policy.global_percent
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
