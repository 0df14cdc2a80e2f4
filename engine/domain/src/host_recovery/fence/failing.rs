//! When a level fails, and when all have: held, told, and tried again from time to time.

use std::time::Duration;

use super::super::guard::HELD_APART;
use super::super::{HoldKind, HostRecovery};
use super::Failure;
use crate::policy::FencingMode;
use crate::recovery::{Command, Now, Record, StepKind, Task};

impl HostRecovery {
    /// The current level has failed: goes on with the next one, if there is one and time for it.
    pub(super) fn next_level(&mut self, failure: &Failure, now: Now, record: &mut Record) -> bool {
        self.fence.tell(false, now, record);
        self.fence.passing |= !failure.lasting;
        let why = &failure.why;
        let text = match self.fence.current() {
            Some(level) => format!("{level}: {why}"),
            None => why.clone(),
        };
        let late = now.elapsed.since(self.fence.began) >= self.policy.episode_deadline;
        let levels = self.fence.levels.as_deref().unwrap_or_default();
        let next = levels.get(self.fence.level + 1).filter(|_| !late);
        // Told the first time; the same once a minute would fill the story.
        if let Some(next) = next
            && self.hold.is_none()
        {
            let text = format!("{text}. Next is {next}");
            record.step(Task::Fence, StepKind::Outcome, 0.3, text);
        }
        let goes_on = next.is_some();
        self.fence.failures.push(text);
        self.fence.posts.clear();
        record.head = true;
        if goes_on {
            self.fence.level += 1;
            self.fence.level_began = now.elapsed;
        } else {
            self.fence_failed(late, now, record);
        }
        goes_on
    }

    /// Every level has failed, or the time is over (`FENCE_FAILED`).
    fn fence_failed(&mut self, late: bool, now: Now, record: &mut Record) {
        let mut why = std::mem::take(&mut self.fence.failures).join("; ");
        if late {
            let limit = self.policy.episode_deadline.as_secs();
            why = format!("{why}; {limit} s are over");
        }
        let every = if self.fence.passing {
            self.policy.fence_retry
        } else {
            self.policy.fence_retry.max(self.policy.episode_deadline)
        };
        let why = format!("{why}. It is tried again every {} s", every.as_secs());
        self.fence.retry_at = Some(now.elapsed.plus(every));
        self.fence.retrying = false;
        self.hold_fence(&why, now, record);
    }

    pub(in super::super) fn hold_fence(&mut self, why: &str, now: Now, record: &mut Record) {
        let reason = format!(
            "host {} is not proven off, so nothing is evacuated: {why}. Repair the power controller or switch the host off, \
             then approve the recovery; or vouch for its being off",
            self.host
        );
        match &mut self.hold {
            Some(hold) if hold.kind == HoldKind::Fence => {
                hold.reason = reason;
                record.head = true;
            }
            Some(_) | None => {
                record.failed(Task::Fence, reason.clone());
                self.hold(HoldKind::Fence, reason, now, record);
            }
        }
    }

    /// While it is held because no level could prove the host off: the levels are tried again from time to time, until one
    /// can, the host is heard of again, or an operator speaks.
    pub(super) fn act_held_fence(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        let failed = self
            .hold
            .as_ref()
            .is_some_and(|hold| hold.kind == HoldKind::Fence);
        let trying = self.fence.retrying || self.fence.retry_at.is_some();
        let forbidden = self.said_no().is_some() || self.asks.stopped;
        if failed && self.is_untouched() {
            let every = self.asks.lookout.heard.looks_apart(now.elapsed, HELD_APART);
            self.asks.lookout.want(now, every, commands);
            if let Some(region) = self.asks.lookout.fresh(now)
                && self.is_well_again(&region, now, record)
            {
                return;
            }
            if self.policy.fencing == FencingMode::External {
                if forbidden {
                    return;
                }
                // Nova misses the host, but has heard it since the time of which the report speaks: who says that it is off now
                // frees it.
                let younger = self.outlived_word().is_none();
                if younger {
                    self.service.want(now, self.policy.heartbeat_poll, commands);
                }
                if younger && self.service.is_silent(now.elapsed) {
                    self.hold = None;
                    record.head = true;
                    let text = format!(
                        "host {} is said to be off by a later report: it goes on",
                        self.host
                    );
                    record.step(Task::Fence, StepKind::Note, 0.3, text);
                }
                return;
            }
        }
        if !failed || !trying || forbidden {
            return;
        }
        self.service.want(now, self.policy.heartbeat_poll, commands);
        if !self.fence.ordered {
            self.asks.lookout.want(now, Duration::from_secs(1), commands);
        }
        if let Some(heard) = self.service.heard(now.elapsed) {
            return self.stays_manual(&heard, now, record);
        }
        if self.fence.retry_at.is_some_and(|at| now.elapsed >= at) {
            self.fence.try_again(now.elapsed, &self.policy);
            self.fence.retrying = true;
            record.head = true;
        }
        if self.fence.retrying {
            self.act_levels(now, record, commands);
        }
    }

    /// The host is heard of again: whether it may still go down by an order of ours, or has been down, nobody can tell, so
    /// a person decides.
    fn stays_manual(&mut self, heard: &str, now: Now, record: &mut Record) {
        self.fence.retry_at = None;
        self.fence.retrying = false;
        // Whoever decides needs to know which device said what.
        let word = self
            .fence
            .last_word
            .as_deref()
            .unwrap_or("no device has answered");
        let text = format!(
            "it could not be switched off ({word}), and now {heard}, so it is not tried again. If the host is well, reject the recovery"
        );
        record.step(
            Task::Fence,
            StepKind::Note,
            0.3,
            format!("host {}: {text}", self.host),
        );
        self.hold_fence(&text, now, record);
    }

    /// A level has proven the host off, perhaps while the recovery was held because none could.
    pub(super) fn fence_has_come_true(&mut self, now: Now, record: &mut Record) {
        self.fence.tell(true, now, record);
        if let Some(hold) = self.hold.take_if(|hold| hold.kind == HoldKind::Fence) {
            let waited = now.elapsed.since(hold.since).as_secs();
            let text = format!("proven off by a later try, after it was held for {waited} s");
            record.step(Task::Fence, StepKind::Note, 1.0, text);
        }
        self.fence.retry_at = None;
        self.fence.retrying = false;
        record.head = true;
    }
}
