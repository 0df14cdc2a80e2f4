//! The end of a recovery, as the notification shows it.

use super::arrivals::lost_arrivals::name_all;
use super::decision_context::Moves;
use super::excluded;
use super::{End, Fence, HostRecovery, MoveStep, Stage};
use crate::count;
use crate::entity::notification::NotificationStatus;
use crate::recovery::{DecisionTime, Life, Record, StepKind, Task, mark};

/// Number of names in a message; the rest is only counted.
const MAX_LISTED_NAMES: usize = 5;

impl HostRecovery {
    /// Closes the notification when every move is done.
    pub(super) fn finish(&mut self, now: DecisionTime, record: &mut Record) {
        // Nothing lists the host any more.
        if self.rejected.is_some() || self.service.is_gone() {
            name_all(self, now, record);
        }
        let (status, message) = final_result(self);
        if status == NotificationStatus::Failed {
            record.failed(Task::Evacuate, message.clone());
        } else {
            record.step(Task::Evacuate, StepKind::Outcome, 1.0, message.clone());
        }
        self.message = Some(message.clone());
        record.notification = Some((status, Some(message)));
        self.hold = None;
        self.arrivals.settled = true;
        self.service.faults = 0;
        if self.service.put.is_some() {
            record.life = Some(Life::Watching);
            self.enter(Stage::Returning, record);
        } else {
            record.life = Some(Life::Closed);
            self.enter(Stage::Done, record);
        }
    }

    /// Finishes a recovery that was rejected before there was a plan, or with a plan that is done.
    pub(super) fn finish_rejected(&mut self, now: DecisionTime, record: &mut Record) {
        if self.moves.values().all(super::Move::is_finished) && self.reserve.is_settled() {
            self.finish(now, record);
        } else {
            // Moves of an earlier episode are still followed, and its reserved hosts are put back.
            self.enter(Stage::Moving, record);
        }
    }
}

/// Returns the final status and message of the notification, by the moves and the instances on their way.
pub(super) fn final_result(state: &HostRecovery) -> (NotificationStatus, String) {
    let ended = |end: End| {
        state
            .moves
            .values()
            .filter(|instance| instance.step == MoveStep::Done(end))
            .count()
    };
    let (moved, left, person) = (ended(End::Moved), ended(End::Left), ended(End::Person));
    let summary = if !state.moves.is_empty() {
        outcome(moved, left, person)
    } else if state.rejected.is_some() {
        "nothing was moved".to_owned()
    } else {
        "no instance had to move".to_owned()
    };
    let (status, message) = if let Some(by) = &state.rejected {
        (
            NotificationStatus::Failed,
            format!(
                "aborted by {by}: {}{}{}{}",
                if state.moves.is_empty() {
                    // They were not listed, so their number is not known here.
                    let host = &state.host;
                    format!(
                        "{summary}; if {host} is down, so are its instances (tachi instance list --host {host})"
                    )
                } else {
                    summary
                },
                unlisted_warning(state),
                names(&state.moves),
                power_off_warning(&state.host, &state.fence, &state.moves)
            ),
        )
    } else if person > 0 {
        let lack = state.reserve.lack.as_ref();
        let lack = lack
            .map(|why| format!("; no reserved host: {why}"))
            .unwrap_or_default();
        (
            NotificationStatus::Failed,
            format!("{summary}{}{lack}", names(&state.moves)),
        )
    } else {
        (NotificationStatus::Finished, summary)
    };
    let coming = state
        .arrivals
        .last_sighting_text(&state.host, state.policy.nova_long_rpc_timeout);
    let starts = excluded::summary(state);
    state.hooks.final_result(status, message + &starts + &coming)
}

/// Renders the numbers of instances that have moved, stay, and need an operator, without those that are zero.
fn outcome(moved: usize, left: usize, person: usize) -> String {
    let parts = [
        (moved, "moved", "moved"),
        (left, "left where it was", "left where they were"),
        (person, "needs an operator", "need an operator"),
    ];
    let mut rendered = Vec::new();
    for (number, one, several) in parts.into_iter().filter(|(number, ..)| *number > 0) {
        let subject = if rendered.is_empty() {
            count(number, "instance", "instances")
        } else {
            number.to_string()
        };
        rendered.push(format!("{subject} {}", if number == 1 { one } else { several }));
    }
    rendered.join(", ")
}

/// Returns a warning for a recovery whose requests may be unknown to it, and which has listed nothing since.
fn unlisted_warning(state: &HostRecovery) -> String {
    if !state.rewound {
        return String::new();
    }
    format!(
        "; the database may have lost the latest requests of this recovery, and nothing could be listed since: further instances may have left {}, and may be locked ({}): openstack server list --all-projects --locked",
        state.host,
        mark(state.id)
    )
}

/// Returns a warning for a host that was ordered off before its instances were listed.
pub(super) fn power_off_warning(host: &str, fence: &Fence, moves: &Moves) -> String {
    if !fence.ordered || !moves.is_empty() {
        return String::new();
    }
    format!("; {host} was ordered off before its instances were listed: power it on, or retry the recovery")
}

/// Names the instances that need an operator.
fn names(moves: &Moves) -> String {
    let mut names: Vec<String> = moves
        .values()
        .filter(|instance| instance.step == MoveStep::Done(End::Person))
        .take(MAX_LISTED_NAMES)
        .map(|instance| format!("{} ({})", instance.name, instance.server))
        .collect();
    let all = moves
        .values()
        .filter(|instance| instance.step == MoveStep::Done(End::Person))
        .count();
    if names.is_empty() {
        return String::new();
    }
    if all > MAX_LISTED_NAMES {
        names.push(format!("and {} more", all - MAX_LISTED_NAMES));
    }
    format!(": {}", names.join(", "))
}
