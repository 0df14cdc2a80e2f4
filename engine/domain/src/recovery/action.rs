//! Actions that operators request of a recovery. Each has a row of its own until an engine has processed it.

use std::time::Duration;

use super::{OperatorCommand, OperatorRequest, OperatorState, Record, StepKind, Task};
use crate::wait::Wait;

/// Age at which an approval that no engine has read yet expires and has to be given again.
pub const APPROVAL_LIFETIME: Duration = Duration::from_mins(2);

/// An operator's action that no engine has processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// The number of the row.
    pub id: i64,
    /// The action and its author.
    pub request: OperatorRequest,
    /// The condition that the recovery waited for when the action was given; `None` if no engine had decided yet.
    pub hold: Option<Wait>,
    /// True if the action was given more than [`APPROVAL_LASTS`] ago, by the database's clock.
    pub is_late: bool,
}

impl OperatorAction {
    /// True if the action applies to the current wait of the recovery, once an engine processes it.
    pub fn counts_for(&self, wait: &Wait) -> bool {
        match self.request.word {
            OperatorCommand::Reject => true,
            OperatorCommand::HostIsOff => !self.is_late,
            OperatorCommand::Approve => !self.is_late && is_same(self.hold.as_ref(), Some(wait)),
        }
    }
}

/// True if the action was given for the condition that is waited for.
fn is_same(given: Option<&Wait>, wait: Option<&Wait>) -> bool {
    match (given, wait) {
        (Some(given), Some(wait)) => given.covers(wait),
        // An action before the hold does not approve it.
        (None, Some(_)) => false,
        (None | Some(_), None) => true,
    }
}

/// An action that a recovery processes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedAction {
    pub(crate) request: OperatorRequest,
    given: ActionScope,
}

/// The condition that an action was given for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ActionScope {
    /// An older API does not record the condition.
    Anything,
    For(Option<Wait>),
    /// The action was given too long ago, whatever it was for.
    Late,
}

impl AppliedAction {
    /// Returns the reason why the action does not count for the condition that the recovery waits for now, if it does not.
    pub(crate) fn mismatch_reason(&self, wait: Option<&Wait>) -> Option<String> {
        let by = &self.request.by;
        let why = match &self.given {
            ActionScope::Anything => return None,
            ActionScope::Late => format!(
                "it was given more than {} s before it was read",
                APPROVAL_LIFETIME.as_secs()
            ),
            ActionScope::For(given) => {
                if is_same(given.as_ref(), wait) {
                    return None;
                }
                "the recovery now waits for something else".to_owned()
            }
        };
        Some(format!(
            "{} by {by} does not count: {why}. Repeat it if it is still intended",
            self.request.word.verb()
        ))
    }

    /// True if the recovery now waits for a condition of the same kind.
    pub(crate) fn is_for_this_kind(&self, wait: Option<&Wait>) -> bool {
        match (&self.given, wait) {
            (ActionScope::For(Some(given)), Some(wait)) => given.what == wait.what,
            (ActionScope::Anything | ActionScope::For(_), _) => true,
            (ActionScope::Late, _) => false,
        }
    }
}

/// Processes the actions that no owner has processed, in the order in which they were given, and marks each row. An abort wins over
/// all other actions given meanwhile. `number` is that of the last processed action of those that an older API writes.
pub(crate) fn apply(
    operator_state: &OperatorState,
    number: &mut u64,
    task: Task,
    record: &mut Record,
) -> Vec<AppliedAction> {
    let mut applied: Vec<AppliedAction> = Vec::new();
    for action in &operator_state.actions {
        record.processed_action_ids.insert(action.id);
        record.head = true;
        *number = (*number).max(action.request.number);
        applied.push(AppliedAction {
            request: action.request.clone(),
            given: if action.is_late {
                ActionScope::Late
            } else {
                ActionScope::For(action.hold.clone())
            },
        });
    }
    if let Some(action) = operator_state
        .word
        .as_ref()
        .filter(|action| action.number > *number)
    {
        *number = action.number;
        record.head = true;
        applied.push(AppliedAction {
            request: action.clone(),
            given: ActionScope::Anything,
        });
    }
    let abort = applied
        .iter()
        .find(|action| action.request.word == OperatorCommand::Reject)
        .cloned();
    if let Some(abort) = abort {
        for other in applied
            .iter()
            .filter(|action| action.request.word != OperatorCommand::Reject)
        {
            let (command, by) = (other.request.word, &other.request.by);
            let text = format!(
                "{} by {by}, not applied: {} has aborted the recovery",
                command.verb(),
                abort.request.by
            );
            record.applied(command.verb(), by);
            record.step(task, StepKind::Note, 0.0, text);
        }
        applied.retain(|action| action.request.word == OperatorCommand::Reject);
    }
    for action in &applied {
        record.applied(action.request.word.verb(), &action.request.by);
    }
    applied
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::timestamp::Timestamp;
    use crate::wait::WaitsFor;

    fn wait(what: WaitsFor, on: &[&str], since: i64) -> Wait {
        Wait {
            what,
            on: on.iter().map(|name| (*name).to_owned()).collect(),
            since: Timestamp::from_micros(since),
        }
    }

    fn action(id: i64, command: OperatorCommand, by: &str, hold: Option<Wait>) -> OperatorAction {
        OperatorAction {
            id,
            request: OperatorRequest {
                number: u64::try_from(id).unwrap(),
                word: command,
                by: by.to_owned(),
                at: Timestamp::from_micros(id),
            },
            hold,
            is_late: false,
        }
    }

    fn operator_state(actions: Vec<OperatorAction>, command: Option<OperatorRequest>) -> OperatorState {
        OperatorState {
            word: command,
            actions,
            ..OperatorState::DEFAULT
        }
    }

    fn processed_actions(processed: &[AppliedAction]) -> Vec<(OperatorCommand, &str)> {
        processed
            .iter()
            .map(|action| (action.request.word, action.request.by.as_str()))
            .collect()
    }

    /// Covers R32.
    #[test]
    fn an_abort_wins_over_approvals_in_any_order() {
        for (first, second) in [
            (OperatorCommand::Reject, OperatorCommand::Approve),
            (OperatorCommand::Approve, OperatorCommand::Reject),
        ] {
            let both = operator_state(
                vec![action(1, first, "ada", None), action(2, second, "bob", None)],
                None,
            );
            let mut record = Record::default();
            let mut number = 0;
            let processed = apply(&both, &mut number, Task::Fence, &mut record);
            assert_eq!(processed.len(), 1);
            assert_eq!(processed[0].request.word, OperatorCommand::Reject);
            assert_eq!(record.processed_action_ids, [1, 2].into(), "each is marked");
            let audited: BTreeSet<(&str, &str)> = record
                .processed_actions
                .iter()
                .map(|action| (action.word.as_str(), action.by.as_str()))
                .collect();
            let (aborted_by, approved_by) = if first == OperatorCommand::Reject {
                ("ada", "bob")
            } else {
                ("bob", "ada")
            };
            assert_eq!(
                audited,
                [("abort", aborted_by), ("approve", approved_by)].into(),
                "both are in the audit log, named as in its intents"
            );
            assert_eq!(record.processed_actions.len(), 2);
            assert!(record.steps[0].text.contains("not applied"), "{:?}", record.steps);
        }
    }

    /// Covers R32.
    #[test]
    fn every_row_applies_and_the_column_of_an_older_api_only_if_it_is_newer() {
        let column = |number| {
            Some(OperatorRequest {
                number,
                word: OperatorCommand::HostIsOff,
                by: "old".to_owned(),
                at: Timestamp::from_micros(9),
            })
        };
        let mut record = Record::default();
        let mut number = 0;
        let rows = vec![
            action(1, OperatorCommand::Approve, "ada", None),
            action(2, OperatorCommand::HostIsOff, "bob", None),
        ];
        let processed = apply(
            &operator_state(rows.clone(), column(2)),
            &mut number,
            Task::Fence,
            &mut record,
        );
        assert_eq!(
            processed_actions(&processed),
            [
                (OperatorCommand::Approve, "ada"),
                (OperatorCommand::HostIsOff, "bob")
            ]
        );
        assert_eq!(number, 2);
        let processed = apply(
            &operator_state(Vec::new(), column(2)),
            &mut number,
            Task::Fence,
            &mut record,
        );
        assert!(processed.is_empty(), "{processed:?}");
        let processed = apply(
            &operator_state(Vec::new(), column(3)),
            &mut number,
            Task::Fence,
            &mut record,
        );
        assert_eq!(
            processed_actions(&processed),
            [(OperatorCommand::HostIsOff, "old")]
        );
        let audited = record.processed_actions.iter();
        let audited: Vec<&str> = audited.map(|action| action.word.as_str()).collect();
        assert_eq!(audited, ["approve", "confirm-off", "confirm-off"]);
        assert!(
            processed[0]
                .mismatch_reason(Some(&wait(WaitsFor::Fence, &[], 1)))
                .is_none()
        );
    }

    /// Covers R32.
    #[test]
    fn an_approval_counts_for_the_hold_that_it_was_given_for() {
        let given = wait(WaitsFor::Approval, &["segment", "rate"], 5);
        let cases = [
            (
                "the same",
                wait(WaitsFor::Approval, &["segment", "rate"], 5),
                true,
            ),
            ("with less", wait(WaitsFor::Approval, &["rate"], 5), true),
            (
                "with more",
                wait(WaitsFor::Approval, &["segment", "rate", "global"], 5),
                false,
            ),
            (
                "a later one",
                wait(WaitsFor::Approval, &["segment", "rate"], 1_000),
                false,
            ),
            ("another", wait(WaitsFor::Alive, &[], 5), false),
        ];
        let unheld = action(1, OperatorCommand::Approve, "ada", None);
        let processed = apply(
            &operator_state(vec![unheld], None),
            &mut 0,
            Task::Fence,
            &mut Record::default(),
        );
        assert!(
            processed[0].mismatch_reason(Some(&given)).is_some(),
            "given before the hold"
        );
        assert!(processed[0].mismatch_reason(None).is_none());
        for (name, now, counts) in cases {
            let mut action = action(1, OperatorCommand::Approve, "ada", Some(given.clone()));
            let processed = |action: &OperatorAction| {
                apply(
                    &operator_state(vec![action.clone()], None),
                    &mut 0,
                    Task::Fence,
                    &mut Record::default(),
                )
                .remove(0)
            };
            assert_eq!(
                processed(&action).mismatch_reason(Some(&now)).is_none(),
                counts,
                "{name}"
            );
            assert_eq!(action.counts_for(&now), counts, "{name}: it need not be repeated");
            action.is_late = true;
            assert!(
                processed(&action).mismatch_reason(Some(&now)).is_some(),
                "{name}, late"
            );
        }
    }
}
