//! The event log of a recovery. A run of events about many instances is one line that expands.

use std::fmt::Write as _;

use tachi_operator::StepView;

use super::fragments::{Fragment, clock, escaped, many};

/// Maximum length of a run that is shown as separate lines.
const MAX_SEPARATE_LINES: usize = 3;

/// Events in runs of the same task and kind.
pub(super) struct Events<'a>(Vec<Vec<&'a StepView>>);

impl<'a> Events<'a> {
    /// Groups the steps about instances; each step about the host is a group of its own.
    pub(super) fn of(steps: &'a [StepView]) -> Self {
        let mut groups: Vec<Vec<&'a StepView>> = Vec::new();
        let same = |one: &StepView, other: &StepView| {
            let both = one.instance.is_some() && other.instance.is_some();
            both && one.task == other.task && one.kind == other.kind
        };
        for step in steps {
            match groups.last_mut() {
                Some(group) if group.last().is_some_and(|last| same(last, step)) => group.push(step),
                Some(_) | None => groups.push(vec![step]),
            }
        }
        Self(groups)
    }

    /// Renders the rows of the table.
    pub(super) fn rows(&self) -> Fragment {
        let mut rows = String::new();
        for group in &self.0 {
            match group.as_slice() {
                [first, .., last] if group.len() > MAX_SEPARATE_LINES => {
                    let number = many(group.len() as u64, "event");
                    let lines: Vec<String> = group
                        .iter()
                        .map(|step| format!("<div>{} {}</div>", clock(&step.at), escaped(&step.text)))
                        .collect();
                    let text = format!(
                        "<details data-key=\"steps {} {}\"><summary>{number} until {}: {}</summary>{}</details>",
                        first.at,
                        escaped(&first.kind),
                        clock(&last.at),
                        escaped(&first.text),
                        lines.concat()
                    );
                    row(&mut rows, first, &text);
                }
                few => {
                    for step in few {
                        row(&mut rows, step, &escaped(&step.text));
                    }
                }
            }
        }
        Fragment(rows)
    }
}

fn row(rows: &mut String, step: &StepView, text: &str) {
    // Writing to a string cannot fail.
    let _ = write!(
        rows,
        "<tr><td data-head=\"when\">{}</td><td data-head=\"task\">{}</td><td data-head=\"kind\">{}</td>\
         <td data-head=\"event\" class=\"text\">{text}</td></tr>",
        clock(&step.at),
        escaped(&step.task),
        escaped(&step.kind)
    );
}
