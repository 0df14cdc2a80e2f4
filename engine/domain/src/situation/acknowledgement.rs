//! Acknowledgements: an operator knows of a finding, and accepts it for a time.

use serde::{Deserialize, Serialize};

use super::{Finding, FindingCode, Severity, name_in_command};
use crate::evidence::time_text;
use crate::timestamp::Timestamp;

/// An operator's acknowledgement of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub code: FindingCode,
    /// The subject; `None` for every finding of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The time at which it ends.
    pub until: Timestamp,
    /// The operator, with the reason.
    pub by: String,
}

impl Acknowledgement {
    fn is_of(&self, finding: &Finding) -> bool {
        let names = |name: &str| {
            let mut subjects = finding.subjects.iter();
            subjects.any(|subject| subject == name || name_in_command(subject) == name)
        };
        self.code == finding.code && self.subject.as_deref().is_none_or(names)
    }

    /// Lowers an acknowledged finding: it is shown, and is no alarm.
    pub(super) fn lower(finding: Finding, all: &[Self], now: Timestamp) -> Finding {
        let mut valid = all.iter().filter(|acknowledgement| acknowledgement.until > now);
        let Some(acknowledgement) = valid.find(|acknowledgement| acknowledgement.is_of(&finding)) else {
            return finding;
        };
        Finding {
            grade: finding.grade.min(Severity::Info),
            text: format!(
                "{}; acknowledged until {} by {}",
                finding.text,
                time_text(acknowledgement.until),
                acknowledgement.by
            ),
            acknowledged_until: Some(acknowledgement.until),
            ..finding
        }
    }
}

impl FindingCode {
    /// True if an operator can acknowledge it. What is or may be down, or waits for an operator's decision, stays an alarm until it has ended.
    pub const fn may_be_acknowledged(self) -> bool {
        !matches!(
            self,
            Self::MoveNeedsPerson
                | Self::MoveFailed
                | Self::InstanceDown
                | Self::RecoveryHeld
                | Self::NoEngine
                | Self::NovaAway
                | Self::QueueStalls
                | Self::HostDown
                | Self::PlaneLost
                | Self::FactsOld
                | Self::InstancesNotListed
                | Self::HostCellDown
                | Self::HostUnderRecovery
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(subject: Option<&str>, seconds: i64) -> Acknowledgement {
        Acknowledgement {
            code: FindingCode::HostNotInSegment,
            subject: subject.map(str::to_owned),
            until: Timestamp::from_micros(seconds * 1_000_000),
            by: "alice: the test lab".to_owned(),
        }
    }

    #[test]
    fn only_the_named_finding_is_lowered_and_only_for_its_time() {
        let now = Timestamp::from_micros(100_000_000);
        let of = |code, subject: &str| Finding::new(code, "is outside").about(subject, 2);
        let outside = |subject| of(FindingCode::HostNotInSegment, subject);
        let lower = |finding: Finding, ack| Acknowledgement::lower(finding, &[ack], now);
        let lowered = lower(outside("a"), ack(Some("a"), 101));
        assert_eq!(lowered.grade, Severity::Info);
        assert_eq!(
            lowered.text,
            "is outside; acknowledged until 1970-01-01T00:01:41Z by alice: the test lab"
        );
        assert_eq!(
            lowered.acknowledged_until,
            Some(Timestamp::from_micros(101_000_000))
        );
        assert_eq!(lower(outside("a"), ack(None, 101)).grade, Severity::Info);
        assert_eq!(
            lower(outside("segment a"), ack(Some("a"), 101)).grade,
            Severity::Info
        );
        for (finding, ack) in [
            (outside("b"), ack(Some("a"), 101)),
            (outside("a"), ack(Some("a"), 100)),
            (of(FindingCode::NoRoom, "a"), ack(Some("a"), 101)),
        ] {
            assert_eq!(lower(finding.clone(), ack), finding);
        }
    }

    #[test]
    fn what_is_down_or_waits_for_an_operator_cannot_be_acknowledged() {
        for code in [
            FindingCode::InstanceDown,
            FindingCode::RecoveryHeld,
            FindingCode::HostDown,
            FindingCode::NoEngine,
        ] {
            assert!(!code.may_be_acknowledged(), "{code}");
        }
        assert!(FindingCode::HostNotInSegment.may_be_acknowledged());
    }
}
