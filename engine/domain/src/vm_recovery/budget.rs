//! The limit for restarts of an instance: another restart does not help an instance that fails again and again.
//!
//! Only one recovery of an instance is open at a time, so the count made at the start stays valid until the end.

use std::time::Duration;

use super::{BlockerKind, VmRecovery};
use crate::count;
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::recovery::{DecisionTime, Record};

/// The longest pause before a restart.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// The interval between checks during the pause: the instance may be deleted, or healthy again.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

impl VmRecovery {
    /// Sets the restart count and the pause of a new recovery from the ages of the instance's earlier restarts.
    #[must_use]
    pub fn after(mut self, ages: &[Duration]) -> Self {
        let lately = ages.iter().filter(|age| **age < self.policy.restart_window);
        self.restarts = u32::try_from(lately.clone().count()).unwrap_or(u32::MAX);
        if let Some(last) = lately.min() {
            let doubled = 1_u32 << self.restarts.saturating_sub(1).min(16);
            let pause = self.policy.restart_pause.saturating_mul(doubled).min(MAX_PAUSE);
            self.pause_until = Elapsed::ZERO.plus(pause.saturating_sub(*last));
        }
        self
    }

    /// True if the instance may be restarted now. The recovery ends if it never may be.
    pub(super) fn may_restart(&mut self, now: DecisionTime, record: &mut Record) -> bool {
        let most = self.policy.max_restarts;
        let times = count(self.restarts, "time", "times");
        // The start after a move counts as a restart too, so a further failure ends here.
        self.relocation.first = most > 0 && self.restarts == most && self.policy.max_moves > 0;
        if self.relocation.first {
            self.relocation.failure = Some(format!(
                "restarted {times} within {} s",
                self.policy.restart_window.as_secs()
            ));
        }
        if most > 0 && self.restarts >= most && !self.relocation.first {
            let text = format!(
                "the instance has been restarted {times} within {} s, and max_restarts allows {most}: left as it is; \
                 find out what stops it, then start it",
                self.policy.restart_window.as_secs()
            );
            self.end(NotificationStatus::Failed, text, record);
            return false;
        }
        if now.elapsed < self.pause_until {
            let text =
                format!("the instance has been restarted {times} recently: waiting before the next restart");
            self.blocker(BlockerKind::Budget, text, now);
            self.server_read.not_before = self.pause_until.min(now.elapsed.plus(CHECK_INTERVAL));
            return false;
        }
        self.clear_blocker(BlockerKind::Budget);
        true
    }

    /// Counts the restart, once per recovery, with its first call.
    pub(super) fn count_restart(&mut self, record: &mut Record) {
        if !self.counted {
            self.counted = true;
            record.restarted = self.server;
        }
    }
}
