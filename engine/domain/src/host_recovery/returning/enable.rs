//! The last step home, if an operator wants it taken without a person: a recovered host that has been up for long enough is
//! enabled, and off maintenance. Only if it was this recovery that has disabled it (R23).

use super::super::HostRecovery;
use super::super::freezing;
use super::super::service::ServiceTrack;
use crate::Elapsed;
use crate::fault::Fault;
use crate::nova::Service;
use crate::recovery::{Command, Now, Record, ServiceUpdate, StepKind, Task};

const CLEARED: &str = "its nova-compute is back and its evacuated instances are cleaned up";

/// What is to be done about a host that is not forced down any more.
enum Verdict {
    /// Nothing of ours is left on it.
    Leave(&'static str),
    /// It is not up just now.
    Down,
    /// It has been up since then.
    UpSince(Elapsed),
}

fn verdict(service: &ServiceTrack, seen: &Service, ours: bool, now: Elapsed) -> Verdict {
    if seen.enabled {
        Verdict::Leave("it is enabled")
    } else if !ours {
        Verdict::Leave("it stays disabled, for a reason that is not ours")
    } else if !seen.up || service.heard(now).is_none() {
        Verdict::Down
    } else {
        Verdict::UpSince(service.back.unwrap_or(now))
    }
}

impl HostRecovery {
    /// `forced_down` has been cleared by us.
    pub(in super::super) fn cleared(&mut self, seen: Service, now: Now, record: &mut Record) {
        let Some(stable) = self.policy.enable_after_return else {
            return self.returned(CLEARED, record);
        };
        self.service.faults = 0;
        self.service.changed = now.elapsed;
        self.service.not_before = now.elapsed;
        self.service.seen = Some(seen);
        self.service.question.seen = None;
        record.head = true;
        let text = format!(
            "forced_down of {} is cleared: {CLEARED}; its service is enabled once it has been up for {} s",
            self.host,
            stable.as_secs()
        );
        record.step(Task::Return, StepKind::Outcome, 0.7, text);
    }

    /// Seen without `forced_down`, by a look that is young enough.
    pub(in super::super) fn act_reenabling(
        &mut self,
        how: &str,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let Some(stable) = self.policy.enable_after_return else {
            return self.returned(how, record);
        };
        let (Some(seen), Some(id)) = (self.service.seen.clone(), self.service.id) else {
            return;
        };
        let mark = self.mark();
        let ours = seen
            .disabled_reason
            .as_deref()
            .is_some_and(|reason| reason.contains(&mark));
        match verdict(&self.service, &seen, ours, now.elapsed) {
            Verdict::Leave(why) => {
                // By an unanswered call of ours: what goes with it is done now.
                record.host_back = seen.enabled && self.service.enable_asked;
                self.returned(why, record);
            }
            Verdict::Down => {
                record.head |= self.service.back.take().is_some();
            }
            Verdict::UpSince(since) => {
                record.head |= self.service.back.is_none();
                self.service.back = Some(since);
                let due = now.elapsed.since(since) >= stable && now.elapsed >= self.service.not_before;
                let age = self.service.question.age(now.elapsed);
                // Whoever has it frozen works at it: nothing new is to be put on it.
                let due = due && freezing::over(self).is_none();
                if due && age.is_some_and(|age| age <= self.policy.heartbeat_poll * 2) {
                    self.service.updating = true;
                    self.service.enabling = true;
                    self.service.enable_asked = true;
                    record.head = true;
                    self.service.clearing = false;
                    // As for `forced_down`: a new recovery of this host would want it disabled.
                    record.unless_host_recovery = Some(self.host.clone());
                    record.unless_frozen.own = true;
                    let text = format!(
                        "enabling the service of {}: it has been up for {} s",
                        self.host,
                        now.elapsed.since(since).as_secs()
                    );
                    record.step(Task::Return, StepKind::Intent, 0.9, text);
                    commands.push(Command::UpdateService {
                        id,
                        update: ServiceUpdate::Enable,
                    });
                }
            }
        }
    }

    pub(in super::super) fn reenabled(
        &mut self,
        result: Result<Service, Fault>,
        now: Now,
        record: &mut Record,
    ) {
        match result {
            Ok(seen) if seen.enabled => {
                record.host_back = true;
                self.returned("it is enabled and off maintenance again", record);
            }
            Ok(_) => self.service.question.seen = None,
            Err(fault) => {
                // It may have taken effect: the next look says so.
                self.service.question.seen = None;
                self.service.changed = now.elapsed;
                self.service.clearing_failed(&fault, &self.host, now, record);
            }
        }
    }
}
