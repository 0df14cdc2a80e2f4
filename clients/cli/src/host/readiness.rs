//! `tachi host return`: how to return a recovered host to service, and what blocks it now.

use serde_json::json;
use tachi_domain::Timestamp;
use tachi_operator::{Failure, ReturnStepView, ReturnView};

use crate::arguments::HostReturnArgs;
use crate::out::answer;

/// Prints the checks and the steps.
pub fn show(args: &HostReturnArgs, steps: &ReturnView, now: Timestamp) -> Result<u8, Failure> {
    answer::object(
        &args.shape,
        now,
        || json!(steps),
        |_| {
            let mut lines: Vec<String> = steps
                .checks
                .iter()
                .map(|check| format!("{:<5} {}", check.verdict, check.text))
                .collect();
            if !args.check {
                lines.push(String::new());
                lines.extend(self::lines(&steps.steps));
            }
            lines.push(String::new());
            lines.push(if steps.ready {
                format!("{}: ready to return to service", steps.host)
            } else {
                format!("{}: not ready to return to service", steps.host)
            });
            lines
        },
    )?;
    Ok(if args.check && !steps.ready {
        crate::FAILED
    } else {
        crate::DONE
    })
}

/// Renders the steps as lines.
fn lines(steps: &[ReturnStepView]) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        lines.push(format!("{}. {}{}", number + 1, step.text, done_text(step.done)));
        lines.extend(step.commands.iter().map(|command| format!("     {command}")));
    }
    lines
}

/// Returns the text behind the step.
const fn done_text(done: Option<bool>) -> &'static str {
    match done {
        Some(true) => " (done)",
        Some(false) => "",
        None => {
            " (not checked: nova-compute is running again, and it is not visible from here if this was done before)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_that_is_known_to_be_done_is_shown_as_done() {
        let step = |done| ReturnStepView {
            done,
            text: "power it on".into(),
            commands: vec!["virsh list".into()],
        };
        let shown = lines(&[step(Some(true)), step(Some(false)), step(None)]);
        let [done, first, open, second, unknown, third] = &shown[..] else {
            panic!("{shown:?}")
        };
        assert_eq!(done, "1. power it on (done)");
        assert_eq!(open, "2. power it on");
        assert!(unknown.starts_with("3. power it on (not checked"), "{unknown}");
        assert!(
            [first, second, third]
                .iter()
                .all(|line| *line == "     virsh list")
        );
    }
}
