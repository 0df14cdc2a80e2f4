//! The state of a guest's agent over time, and the time of its report. Pure.
//!
//! | state | after an answer | after a missing answer | report |
//! |---|---|---|---|
//! | `NeverAnswered` | `Answers` | `NeverAnswered` | |
//! | `Answers` | `Answers` | `Silent(1)` | |
//! | `Silent(n)` | `Answers` | `Silent(n + 1)` | if n was above the threshold, unless too many are silent at once |
//! | `Reported` | `NeverAnswered` | `Reported` | |

use serde::{Deserialize, Serialize};

/// The state of a guest's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AgentState {
    /// The agent has not answered since the guest started: there may be no agent.
    #[serde(rename = "unheard")]
    NeverAnswered,
    /// The agent answers.
    Answers,
    /// The agent did not answer this many times in a row.
    Silent(u32),
    /// The report is being sent. If this process dies now, the report is repeated with the same time, by which the
    /// API detects the duplicate.
    #[serde(rename = "telling")]
    Reporting {
        /// The time of the decision, in microseconds since the epoch.
        #[serde(rename = "seen")]
        decided_at: i64,
    },
    /// The guest was reported.
    #[serde(rename = "told")]
    Reported,
}

/// The consequence of an answer or a missing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    Nothing,
    /// The guest is due for a report.
    Report,
    /// The agent answers again: undelivered reports about the guest are obsolete.
    Back,
}

impl AgentState {
    /// Returns the state after an answer or a missing one, with the consequence.
    pub(crate) fn after(self, answered: bool, threshold: u32) -> (Self, Transition) {
        match (self, answered) {
            (Self::NeverAnswered, false) => (Self::NeverAnswered, Transition::Nothing),
            (Self::Reported | Self::Reporting { .. }, false) => (self, Transition::Nothing),
            (Self::Reported | Self::Reporting { .. }, true) => (Self::NeverAnswered, Transition::Back),
            (Self::NeverAnswered | Self::Answers | Self::Silent(_), true) => {
                (Self::Answers, Transition::Nothing)
            }
            (Self::Answers, false) => (Self::Silent(1), Transition::Nothing),
            (Self::Silent(times), false) => {
                let due = if times > threshold {
                    Transition::Report
                } else {
                    Transition::Nothing
                };
                (Self::Silent(times.saturating_add(1)), due)
            }
        }
    }
}

/// Returns the number of consecutive missing answers that causes a report, counted as upstream does.
pub(crate) const fn needed(threshold: u32) -> u32 {
    threshold.saturating_add(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the calls, counted from one, that cause a report.
    fn reported_at(answers: &str, threshold: u32) -> Vec<usize> {
        let mut state = AgentState::NeverAnswered;
        let mut reported = Vec::new();
        for (at, answer) in answers.chars().enumerate() {
            let (next, turn) = state.after(answer == '+', threshold);
            state = next;
            if turn == Transition::Report {
                state = AgentState::Reported;
                reported.push(at + 1);
            }
        }
        reported
    }

    #[test]
    fn guests_are_reported_after_the_count_of_upstream() {
        for (case, answers, threshold, expected) in [
            ("the fifth in a row", "+-----", 3, &[6][..]),
            ("four are borne", "+----+", 3, &[]),
            ("and the count begins again", "+----+----+", 3, &[]),
            ("a guest that never answered", "----------", 3, &[]),
            ("once while it lasts", "+---------------", 3, &[6]),
            ("no threshold", "+--", 0, &[3]),
        ] {
            assert_eq!(reported_at(answers, threshold), expected, "{case}");
            let in_a_row = usize::try_from(needed(threshold)).unwrap();
            if let Some(first) = expected.first() {
                assert_eq!(*first, in_a_row + 1, "{case}");
            }
        }
    }

    /// Covers MW19.
    #[test]
    fn a_guest_that_hangs_again_is_reported_again() {
        assert_eq!(reported_at("+-----++-----", 3), [6, 13]);
    }

    #[test]
    fn a_guest_that_answers_again_overtakes_what_was_told() {
        assert_eq!(
            AgentState::Reported.after(true, 3),
            (AgentState::NeverAnswered, Transition::Back)
        );
    }

    proptest! {
        /// Checks that there is an answer between two reports, and enough consecutive silences before each.
        /// Covers MW19.
        #[test]
        fn reports_are_earned(answers in "[+-]{0,120}", threshold in 0_u32..6) {
            let needed = usize::try_from(needed(threshold)).unwrap();
            let mut from = 0;
            for at in reported_at(&answers, threshold) {
                let before = &answers[from..at];
                prop_assert!(before.contains('+'));
                prop_assert!(before.ends_with(&"-".repeat(needed)));
                from = at;
            }
        }
    }
}
