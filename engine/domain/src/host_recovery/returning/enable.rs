//! The last step home, if an operator wants it taken without a person: a recovered host that has been up for long enough is
//! enabled, and off maintenance. Only if it was this recovery that has disabled it (R23).

use super::super::service::ServiceTrack;
use super::super::turn::Turn;
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::nova::Service;
use crate::recovery::{Command, ServiceUpdate, StepKind, Task};

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

impl ServiceTrack {
    /// `forced_down` has been cleared by us.
    pub(in super::super) fn cleared(&mut self, seen: Service, turn: &mut Turn<'_>) {
        turn.record.running_again = true;
        let Some(stable) = turn.policy.enable_after_return else {
            return turn.returned(CLEARED);
        };
        let now = turn.now;
        self.faults = 0;
        self.changed = now.elapsed;
        self.not_before = now.elapsed;
        self.seen = Some(seen);
        self.question.seen = None;
        turn.record.head = true;
        let text = format!(
            "forced_down of {} is cleared: {CLEARED}; its service is enabled once it has been up for {} s",
            turn.host,
            stable.as_secs()
        );
        turn.record.step(Task::Return, StepKind::Outcome, 0.7, text);
    }

    /// Seen without `forced_down`, by a look that is young enough.
    pub(super) fn act_enabling(&mut self, how: &str, turn: &mut Turn<'_>, commands: &mut Vec<Command>) {
        let Some(stable) = turn.policy.enable_after_return else {
            return turn.returned(how);
        };
        let now = turn.now;
        let (Some(seen), Some(id)) = (self.seen.clone(), self.id) else {
            return;
        };
        let mark = turn.mark();
        let ours = seen
            .disabled_reason
            .as_deref()
            .is_some_and(|reason| reason.contains(&mark));
        match verdict(self, &seen, ours, now.elapsed) {
            Verdict::Leave(why) => {
                // By an unanswered call of ours: what goes with it is done now.
                turn.record.host_back = seen.enabled && self.enable_asked;
                turn.record.running_again |= self.heard(now.elapsed).is_some();
                turn.returned(why);
            }
            Verdict::Down => {
                turn.record.head |= self.back.take().is_some();
            }
            Verdict::UpSince(since) => {
                turn.record.head |= self.back.is_none();
                turn.record.running_again |= self.back.is_none();
                self.back = Some(since);
                let due = now.elapsed.since(since) >= stable && now.elapsed >= self.not_before;
                let age = self.question.age(now.elapsed);
                // Whoever has it frozen works at it: nothing new is to be put on it.
                let due = due && turn.frozen_host().is_none();
                if due && age.is_some_and(|age| age <= turn.policy.heartbeat_poll * 2) {
                    self.updating = true;
                    self.enabling = true;
                    self.enable_asked = true;
                    let record = &mut *turn.record;
                    record.head = true;
                    self.clearing = false;
                    // As for `forced_down`: a new recovery of this host would want it disabled.
                    record.unless_host_recovery = Some(turn.host.to_owned());
                    record.unless_frozen.own = true;
                    let text = format!(
                        "enabling the service of {}: it has been up for {} s",
                        turn.host,
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

    pub(in super::super) fn enabled(&mut self, result: Result<Service, Fault>, turn: &mut Turn<'_>) {
        match result {
            Ok(seen) if seen.enabled => {
                turn.record.host_back = true;
                turn.returned("it is enabled and off maintenance again");
            }
            Ok(_) => self.question.seen = None,
            Err(fault) => {
                // It may have taken effect: the next look says so.
                self.question.seen = None;
                self.changed = turn.now.elapsed;
                self.clearing_failed(&fault, turn.host, turn.now, turn.record);
            }
        }
    }
}
