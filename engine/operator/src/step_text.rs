//! Actions of operators on a recovery.

use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::recovery::{InstanceResolution, OperatorCommand, ResolutionKind};
use tachi_engine::ports::operator::StepLine;
use utoipa::ToSchema;

use crate::when::Time;

/// An operator's action on a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryWord)]
pub struct RecoveryActionView {
    /// The action as it is stored: `approve`, `reject` (an abort) or `host-is-off` (a confirmation that the host is off).
    pub word: String,
    /// The operator, with the reason in parentheses if one was given.
    pub by: String,
    /// When an engine read the action. Until then, and in `word`, when the operator requested it.
    pub at: Time,
}

/// An operator's action on one instance of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryInstanceWord)]
pub struct InstanceActionView {
    /// The action as it is stored: `success` (runs on `on`), `failure` (does not run on `on`), `retry` or `ignore`.
    pub word: String,
    /// The instance's id in Nova.
    pub instance: String,
    /// The host that the action names; null if it names none.
    #[schema(required)]
    pub on: Option<String>,
    /// The operator, with the reason in parentheses if one was given.
    pub by: String,
    /// When an engine read the action; null if none has yet.
    #[serde(default)]
    #[schema(required)]
    pub at: Option<Time>,
}

impl RecoveryActionView {
    /// Returns the action as the commands name it.
    #[must_use]
    pub fn label(&self) -> &str {
        match OperatorCommand::from_value(&self.word) {
            Some(command) => command.verb(),
            None => &self.word,
        }
    }
}

impl InstanceActionView {
    /// Returns the action as the commands name it, with its host.
    #[must_use]
    pub fn label(&self) -> String {
        let kind = ResolutionKind::from_value(&self.word);
        kind.map_or_else(|| self.word.clone(), |kind| kind.verb(self.on.as_deref()))
    }

    /// Returns every action on an instance of a recovery, oldest first, each with the time of the step that records it.
    pub(crate) fn all(actions: &[InstanceResolution], steps: &[StepLine]) -> Vec<Self> {
        let mut notes: Vec<&StepLine> = steps.iter().filter(|line| line.kind == "note").collect();
        let view = actions.iter().map(|action_row| {
            let (server, on) = (action_row.server, action_row.on.as_deref());
            let verb = action_row.word.verb(on);
            let server = server.to_string();
            let old = on.map_or_else(String::new, |host| format!(" on {host}"));
            let prefixes = [
                format!("{verb} requested for "),
                // 0.9.0 wrote the stored value.
                format!("{}{old} said of ", action_row.word),
            ];
            let records = |line: &StepLine| {
                line.server.as_ref() == Some(&server)
                    && prefixes.iter().any(|prefix| line.text.starts_with(prefix))
            };
            let place = notes.iter().position(|line| records(line));
            Self {
                word: action_row.word.to_string(),
                instance: action_row.server.to_string(),
                on: action_row.on.clone(),
                by: action_row.by.clone(),
                at: place.map(|place| Time(notes.remove(place).at)),
            }
        });
        view.collect()
    }
}

/// The separator between an action and its operator in the text of the step that records the action.
const BY: &str = " by ";

/// The separators before the time on hold, which follows the operator in that text; the second is that of older engines.
const HELD_SUFFIXES: [(&str, &str); 2] = [(", after ", " s on hold"), (", after being held for ", " s")];

/// Returns the text before the time on hold.
fn without_hold(by: &str) -> &str {
    let before = HELD_SUFFIXES.iter().find_map(|(separator, end)| {
        let (by, seconds) = by.strip_suffix(end)?.rsplit_once(separator)?;
        seconds.parse::<u64>().is_ok().then_some(by)
    });
    before.unwrap_or(by)
}

/// Returns every action that engines have read, oldest first. The last requested action follows if no engine has read it yet. An action
/// that was replaced before an engine read it is only in the audit log.
pub(crate) fn words(
    steps: &[StepLine],
    last: Option<&(String, String, Timestamp)>,
) -> Vec<RecoveryActionView> {
    let notes = steps.iter().filter(|line| line.kind == "note");
    let applied = notes.filter_map(|line| {
        let (verb, by) = line.text.split_once(BY)?;
        let command = OperatorCommand::ALL
            .iter()
            .find(|known| [known.as_str(), known.verb()].contains(&verb))?;
        let by = without_hold(by);
        Some(RecoveryActionView {
            word: command.to_string(),
            by: by.to_owned(),
            at: Time(line.at),
        })
    });
    let mut all: Vec<RecoveryActionView> = applied.collect();
    if let Some((action, by, at)) = last {
        let last = OperatorCommand::ALL.iter().find(|known| known.as_str() == action);
        let last = last.map_or_else(|| action.clone(), ToString::to_string);
        let is_applied = |shown_action: &RecoveryActionView| {
            shown_action.word == last && shown_action.by == *by && shown_action.at.0 >= *at
        };
        if !all.iter().any(is_applied) {
            all.push(RecoveryActionView {
                word: last,
                by: by.clone(),
                at: Time(*at),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServerId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_action_on_an_instance_has_the_time_of_its_own_step() {
        let server = ServerId(Uuid::from_u128(7));
        let action = |number, kind, on: Option<&str>| InstanceResolution {
            number,
            server,
            word: kind,
            on: on.map(str::to_owned),
            by: "alice".to_owned(),
            at: None,
            is_late: false,
        };
        let note = |seconds: i64, server: u128, text: &str| StepLine {
            at: Timestamp::from_micros(seconds * 1_000_000),
            epoch: 1,
            task: "EvacuateInstancesTask".to_owned(),
            kind: "note".to_owned(),
            server: Some(ServerId(Uuid::from_u128(server)).to_string()),
            text: text.to_owned(),
        };
        let steps = [
            note(1, 7, "retry said of vm-7 by alice"),
            note(2, 7, "failure on b said of vm-7 by alice"),
            note(3, 7, "retry requested for vm-7 by alice"),
            note(5, 8, "dismiss requested for vm-8 by alice (broken)"),
            note(6, 7, "dismiss requested for vm-7 by alice (broken)"),
            note(7, 7, "not-running-on c requested for vm-7 by alice"),
        ];
        let actions = [
            action(1, ResolutionKind::Retry, None),
            action(2, ResolutionKind::Retry, None),
            action(3, ResolutionKind::Failure, Some("b")),
            action(4, ResolutionKind::Retry, None),
            action(5, ResolutionKind::Ignore, None),
            action(6, ResolutionKind::Failure, Some("c")),
        ];
        let rendered = InstanceActionView::all(&actions, &steps);
        let at: Vec<Option<i64>> = rendered
            .iter()
            .map(|row| row.at.map(|at| at.0.micros() / 1_000_000))
            .collect();
        assert_eq!(at, [Some(1), Some(3), Some(2), None, Some(6), Some(7)]);
        let labels: Vec<String> = rendered.iter().map(InstanceActionView::label).collect();
        assert_eq!(
            labels,
            [
                "retry",
                "retry",
                "not-running-on b",
                "retry",
                "dismiss",
                "not-running-on c"
            ]
        );
    }

    #[test]
    fn every_action_is_listed_once_and_in_order() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let note = |seconds, text: &str| StepLine {
            at: at(seconds),
            epoch: 1,
            task: "FenceHostTask".to_owned(),
            kind: "note".to_owned(),
            server: None,
            text: text.to_owned(),
        };
        let steps = [
            note(
                10,
                "approve by alice (root): by the rack, after being held for 7 s",
            ),
            note(11, "powered off by bmc"),
            note(12, "approve by"),
            note(15, "confirm-off by carol, after 90 s on hold"),
            note(18, "reject by bob"),
            note(20, "abort by bob"),
        ];
        let action = |seconds| ("reject".to_owned(), "bob".to_owned(), at(seconds));
        let rendered = |steps: &[StepLine], last: Option<&(String, String, Timestamp)>| -> Vec<String> {
            let all = words(steps, last).into_iter();
            all.map(|action| {
                format!(
                    "{} {} {}",
                    action.at.0.micros() / 1_000_000,
                    action.word,
                    action.by
                )
            })
            .collect()
        };
        assert_eq!(
            rendered(&steps, Some(&action(19))),
            [
                "10 approve alice (root): by the rack",
                "15 host-is-off carol",
                "18 reject bob",
                "20 reject bob"
            ]
        );
        // The same action again, which no engine has read yet.
        assert_eq!(rendered(&steps, Some(&action(30)))[4], "30 reject bob");
        assert_eq!(rendered(&[], None), [""; 0]);
        let shown = words(&steps, Some(&action(30)));
        let labels: Vec<&str> = shown.iter().map(RecoveryActionView::label).collect();
        assert_eq!(labels, ["approve", "confirm-off", "abort", "abort", "abort"]);
    }
}
