//! The number of hosts at which the guards' shares put recoveries on hold, for this cloud's sizes.

use tachi_domain::count;
use tachi_domain::guard::first_held;
use tachi_domain::policy::Policy;
use tachi_domain::situation::Severity;
use tachi_operator::SituationView;

use super::checks::{Check, MAX_NAMED_SUBJECTS, check};

/// Name of the check.
pub(super) const NAME: &str = "storm-limits";

/// Shows the number of hosts that each share comes to. `RECOVERY_WOULD_HOLD` warns where the failure of a single host would be on hold.
pub(super) fn of(policy: &Policy, situation: &SituationView) -> Check {
    let sizes: Vec<(&str, u64)> = situation
        .segments
        .iter()
        .map(|segment| (segment.name.as_str(), segment.hosts.len() as u64))
        .collect();
    let all = sizes.iter().map(|(_, hosts)| hosts).sum();
    let mut lines: Vec<String> = sizes
        .iter()
        .take(MAX_NAMED_SUBJECTS)
        .map(|(name, hosts)| {
            line(
                &format!("segment {name}"),
                *hosts,
                policy.segment_percent,
                "out of service at once",
                "recoveries",
            )
        })
        .collect();
    if let Some(more) = sizes
        .len()
        .checked_sub(MAX_NAMED_SUBJECTS)
        .filter(|more| *more > 0)
    {
        lines.push(format!(
            "and {}",
            count(more as u64, "more segment", "more segments")
        ));
    }
    let window = format!("failed within {} s", policy.guards.window.as_secs());
    lines.push(line(
        "all segments",
        all,
        policy.global_percent,
        &window,
        "recoveries",
    ));
    let guards = &policy.guards;
    for (name, hosts) in sizes.iter().take(MAX_NAMED_SUBJECTS) {
        let share = guards.process_segment_percent;
        lines.push(line(
            &format!("processes, segment {name}"),
            *hosts,
            share,
            "disabled",
            "disabling",
        ));
    }
    let share = guards.process_global_percent;
    lines.push(line(
        "processes, all segments",
        all,
        share,
        "disabled",
        "disabling",
    ));
    check(NAME, Severity::Ok, lines.join("; "))
}

fn line(scope: &str, hosts: u64, percent: u32, out: &str, subject: &str) -> String {
    let of = count(hosts, "host", "hosts");
    match first_held(hosts, percent) {
        Some(first) => {
            format!("{scope}: {percent} % of {of}: {subject} on hold from {first} hosts {out}")
        }
        None => format!("{scope}: {percent} % of {of}: {subject} never on hold"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers C4, R24.
    #[test]
    fn shares_are_shown_as_numbers_of_hosts() {
        for (hosts, percent, shown) in [
            (6, 34, "s: 34 % of 6 hosts: recoveries on hold from 3 hosts out"),
            (5, 34, "s: 34 % of 5 hosts: recoveries on hold from 2 hosts out"),
            (1, 34, "s: 34 % of 1 host: recoveries never on hold"),
            (4, 100, "s: 100 % of 4 hosts: recoveries never on hold"),
        ] {
            assert_eq!(line("s", hosts, percent, "out", "recoveries"), shown);
        }
    }
}
