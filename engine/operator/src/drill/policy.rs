//! The findings by which nothing of a host would be recovered, whatever its services answer.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::situation::{FindingCode, Severity};
use tachi_engine::dry_run::Answer;
use tachi_engine::ports::JournalError;

use super::GradedAnswer;
use crate::snapshot::RegionSnapshot;

/// The name of the step.
const STEP: &str = "policy";

/// Checks that maintenance, segment, freezes and the fencing mode allow a recovery of the host.
pub(super) fn policy(
    situation: (Result<Arc<RegionSnapshot>, JournalError>, Duration),
    host: &str,
) -> GradedAnswer {
    let (snapshot, took) = situation;
    let outcome = match snapshot {
        Ok(snapshot) => {
            let blockers = snapshot.situation.recovery_blockers(host);
            allowed(blockers.iter().map(|one| (one.code, one.text.as_str())))
        }
        Err(error) => Err(error.to_string()),
    };
    graded(outcome, took)
}

fn graded(outcome: Result<String, String>, took: Duration) -> GradedAnswer {
    let answer = Answer {
        what: STEP.to_owned(),
        took,
        outcome,
    };
    GradedAnswer::of(answer, Severity::Err)
}

/// Describes the findings that block each recovery of the host, if there are any.
fn allowed<'a>(findings: impl Iterator<Item = (FindingCode, &'a str)>) -> Result<String, String> {
    let blockers: Vec<String> = findings.map(|(code, text)| format!("{code}: {text}")).collect();
    if blockers.is_empty() {
        Ok("maintenance, segment, freezes and fencing mode allow a recovery".to_owned())
    } else {
        Err(format!(
            "nothing of it would be recovered: {}",
            blockers.join("; ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_which_nothing_would_be_recovered_is_not_ready() {
        let answer = |found: &[(FindingCode, &str)]| graded(allowed(found.iter().copied()), Duration::ZERO);
        assert_eq!(answer(&[]).grade, Severity::Ok);
        let frozen = answer(&[(FindingCode::Frozen, "frozen for 2 h")]);
        assert_eq!(frozen.grade, Severity::Err);
        assert_eq!(
            frozen.answer.outcome,
            Err("nothing of it would be recovered: FROZEN: frozen for 2 h".to_owned())
        );
    }
}
