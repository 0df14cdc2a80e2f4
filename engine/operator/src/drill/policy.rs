//! The findings by which nothing of a host would be recovered, whatever its services answer.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::situation::{FindingCode, HostOrInstance, Severity};
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
            let explained = snapshot.situation.explain(host);
            let of_host = explained
                .iter()
                .filter(|one| matches!(one.subject, HostOrInstance::Host(_)));
            let needs = of_host.flat_map(|one| &one.needs);
            let findings = needs.flat_map(|(_, findings)| findings);
            allowed(findings.map(|one| (one.code, one.text.as_str())))
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

/// Returns the findings that block each recovery, of those that concern the host.
fn allowed<'a>(findings: impl Iterator<Item = (FindingCode, &'a str)>) -> Result<String, String> {
    let blockers: Vec<String> = findings
        .filter(|(code, _)| {
            matches!(
                code,
                FindingCode::HostOnMaintenance
                    | FindingCode::HostNotBack
                    | FindingCode::SegmentDisabled
                    | FindingCode::Frozen
                    | FindingCode::FencingStopped
                    | FindingCode::FencingDryRun
            )
        })
        .map(|(code, text)| format!("{code}: {text}"))
        .collect();
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
        for (code, is_ready) in [
            (FindingCode::HostOnMaintenance, false),
            (FindingCode::HostNotBack, false),
            (FindingCode::SegmentDisabled, false),
            (FindingCode::Frozen, false),
            (FindingCode::FencingStopped, false),
            (FindingCode::FencingDryRun, false),
            // The guards have a step of their own.
            (FindingCode::RecoveryWouldHold, true),
        ] {
            let findings = [(FindingCode::NoRoom, "no room"), (code, "the reason")];
            let answer = graded(allowed(findings.into_iter()), Duration::ZERO);
            let expected = if is_ready { Severity::Ok } else { Severity::Err };
            assert_eq!(answer.grade, expected, "{code}");
            let outcome = answer.answer.outcome;
            let named = outcome.is_err_and(|text| text.ends_with(&format!("{code}: the reason")));
            assert_eq!(named, !is_ready, "{code}");
        }
    }
}
