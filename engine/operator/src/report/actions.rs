//! The actions of operators, as a report lists them.

use tachi_engine::ports::operator::acknowledgement_text;

use super::ReportedAction;
use crate::history::RecoveryHistoryView;
use crate::plain::without_repeats;
use crate::when::Time;

/// Returns the time at which an operator acknowledged an instance, by the step that records it; `None` if an engine has seen it running or
/// deleted.
fn acknowledged_at(history: &RecoveryHistoryView, instance: &str, by: &str) -> Option<Time> {
    let text = without_repeats(&acknowledgement_text(by));
    let mut steps = history.steps.iter().rev();
    let step = steps.find(|step| step.instance.as_deref() == Some(instance) && step.text == text)?;
    Some(step.at)
}

/// Returns the actions of operators on the recovery and its instances.
pub(super) fn operator_actions(history: &RecoveryHistoryView) -> Vec<ReportedAction<'_>> {
    // Older versions return the last action only.
    let last = history.word.iter().filter(|_| history.words.is_empty());
    let of_recovery = history.words.iter().chain(last).map(|action| ReportedAction {
        by: &action.by,
        word: action.word.clone(),
        action: action.label().to_owned(),
        at: Some(action.at),
    });
    let name = |id: &str| {
        let found = history.instances.iter().find(|instance| instance.id == id);
        found.map_or_else(|| id.to_owned(), |instance| format!("{} ({id})", instance.name))
    };
    let of_instances = history.instance_words.iter().map(|resolution| {
        let on = resolution
            .on
            .as_deref()
            .map_or_else(String::new, |host| format!(" on {host}"));
        let instance = name(&resolution.instance);
        ReportedAction {
            by: &resolution.by,
            word: format!("{}{on} of {instance}", resolution.word),
            action: format!("{} for {instance}", resolution.label()),
            at: resolution.at,
        }
    });
    let seen_to = history.instances.iter().filter_map(|instance| {
        let by = instance.seen_to.as_deref()?;
        let acknowledged = format!("acknowledged {} ({})", instance.name, instance.id);
        Some(ReportedAction {
            by,
            word: acknowledged.clone(),
            action: acknowledged,
            at: acknowledged_at(history, &instance.id, by),
        })
    });
    of_recovery.chain(of_instances).chain(seen_to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::StepView;

    #[test]
    fn actions_on_instances_have_the_time_at_which_they_were_recorded() {
        let mut history: RecoveryHistoryView =
            serde_json::from_str(include_str!("golden/story.json")).unwrap();
        let opened = history.summary.opened_at.0;
        let at = |seconds: i64| Time(opened.minus_seconds(-seconds));
        let acknowledged = history.instances.iter_mut().find(|one| one.seen_to.is_some());
        let acknowledged = acknowledged.unwrap();
        let by = "carol (rebuilt by hand)";
        acknowledged.seen_to = Some(by.to_owned());
        let id = acknowledged.id.clone();
        let time = |history: &RecoveryHistoryView| {
            let all = operator_actions(history);
            let found = all.iter().find(|action| action.word.starts_with("acknowledged "));
            found.unwrap().at
        };
        assert_eq!(time(&history), None, "no step records it");
        for (seconds, instance) in [(70, id), (80, "another".to_owned())] {
            history.steps.push(StepView {
                at: at(seconds),
                claim: 1,
                task: "EvacuateInstancesTask".to_owned(),
                kind: "note".to_owned(),
                instance: Some(instance),
                text: acknowledgement_text(by),
            });
        }
        assert_eq!(time(&history), Some(at(70)));
        history.instance_words[0].at = Some(at(60));
        let all = operator_actions(&history);
        let of_instance = all
            .iter()
            .find(|action| action.word.contains(&history.instance_words[0].word));
        assert_eq!(of_instance.unwrap().at, Some(at(60)));
    }
}
