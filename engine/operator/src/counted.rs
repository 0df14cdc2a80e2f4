//! Instance counts as a sentence.

use tachi_domain::count;

use crate::{CountsView, SituationView};

impl SituationView {
    /// Summarizes the region: what is down, what waits for an operator, and how many instances would be recovered.
    pub fn sentence(&self) -> String {
        let needs = &self.needs_person;
        let waiting = needs.recoveries.len() + needs.instances.len();
        let counted = counted(self.instances, self.being_recovered());
        match waiting {
            0 => counted,
            some => format!(
                "{counted}; {}",
                count(some, "thing needs attention", "things need attention")
            ),
        }
    }
}

/// Summarizes how many instances would be recovered and how many would not. Recoveries are bringing back `recovering` of those that are
/// down.
pub fn counted(counts: Option<CountsView>, recovering: u64) -> String {
    let Some(counts) = counts else {
        return "the number of protected instances is unknown".into();
    };
    let all = counts.included();
    let mut parts = Vec::new();
    if counts.down > 0 {
        let down = count(counts.down, "instance", "instances");
        parts.push(match recovering {
            0 => format!("{down} down"),
            all if all >= counts.down => format!("{down} down, being brought back by a recovery"),
            some => format!("{down} down, {some} of them being brought back by a recovery"),
        });
    }
    for (count, what) in [
        (counts.unprotected, "unprotected"),
        (counts.unknown, "unknown"),
        (counts.degraded, "degraded"),
        (counts.protected, "protected"),
    ] {
        if count > 0 {
            parts.push(format!("{count} of {all} {what}"));
        }
    }
    if counts.not_meant > 0 {
        parts.push(format!("{} excluded", counts.not_meant));
    }
    if parts.is_empty() {
        "no instances".into()
    } else {
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_under_recovery_are_counted_separately() {
        let counts = |down| CountsView {
            protected: 20,
            degraded: 0,
            unknown: 0,
            unprotected: 0,
            down,
            not_meant: 0,
        };
        for (down, recovering, expected) in [
            (0, 0, "20 of 20 protected"),
            (4, 0, "4 instances down; 20 of 24 protected"),
            (
                4,
                4,
                "4 instances down, being brought back by a recovery; 20 of 24 protected",
            ),
            (
                6,
                4,
                "6 instances down, 4 of them being brought back by a recovery; 20 of 26 protected",
            ),
        ] {
            assert_eq!(counted(Some(counts(down)), recovering), expected);
        }
    }
}
