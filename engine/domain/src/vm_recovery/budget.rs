//! How often an instance may be restarted (EW26): one that fails again and again is not helped by the next restart.
//!
//! Only one recovery of an instance is open at a time, so what was counted when it began is true to its end.

use std::time::Duration;

use super::{About, VmRecovery};
use crate::count;
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::recovery::{Now, Record};

/// The longest pause before a restart.
const LONGEST: Duration = Duration::from_mins(10);

/// While it waits it is looked at so often: it may be deleted, or be well again.
const LOOK: Duration = Duration::from_secs(5);

impl VmRecovery {
    /// As it begins for an instance that was restarted before, this long ago each time.
    #[must_use]
    pub fn after(mut self, ages: &[Duration]) -> Self {
        let lately = ages.iter().filter(|age| **age < self.policy.restart_window);
        self.restarts = u32::try_from(lately.clone().count()).unwrap_or(u32::MAX);
        if let Some(last) = lately.min() {
            let doubled = 1_u32 << self.restarts.saturating_sub(1).min(16);
            let pause = self.policy.restart_pause.saturating_mul(doubled).min(LONGEST);
            self.pause_until = Elapsed::ZERO.plus(pause.saturating_sub(*last));
        }
        self
    }

    /// Whether it may be restarted now. If it never may, the recovery ends.
    pub(super) fn may_restart(&mut self, now: Now, record: &mut Record) -> bool {
        let most = self.policy.max_restarts;
        let times = count(self.restarts, "time", "times");
        if most > 0 && self.restarts >= most {
            let text = format!(
                "the instance has been restarted {times} within {} s, and max_restarts allows {most}: left as it is; \
                 see to what stops it, then start it",
                self.policy.restart_window.as_secs()
            );
            self.end(NotificationStatus::Failed, text, record);
            return false;
        }
        if now.elapsed < self.pause_until {
            let text =
                format!("the instance has been restarted {times} lately: waiting before the next restart");
            self.trouble(About::Budget, text, now);
            self.server_read.not_before = self.pause_until.min(now.elapsed.plus(LOOK));
            return false;
        }
        self.no_trouble(About::Budget);
        true
    }

    /// The first call of a recovery is what counts as a restart.
    pub(super) fn count_restart(&mut self, record: &mut Record) {
        if !self.counted {
            self.counted = true;
            record.restarted = self.server;
        }
    }
}
