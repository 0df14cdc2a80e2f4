//! Rendering of a bridge's state for people and their tools.

use std::collections::BTreeMap;

use tachi_pacemaker::{Judgement, PlanResult, PlanTime, Snapshot, Verdict};

use super::Bridge;
use crate::health::Health;

impl Bridge {
    pub(super) fn report_health(
        snapshot: &Snapshot,
        judged: &BTreeMap<String, Judgement>,
        hosts: &BTreeMap<String, Judgement>,
        health: &Health,
    ) {
        let blind: Vec<_> = judged
            .values()
            .filter(|judgement| judgement.verdict == Verdict::Blind)
            .collect();
        let all = !blind.is_empty()
            && snapshot.mon.nodes.iter().all(|node| {
                judged
                    .get(&node.name)
                    .is_some_and(|j| j.verdict == Verdict::Blind)
            });
        match blind.first() {
            Some(judgement) if all => health.bad("pacemaker", format!("blind: {}", judgement.reason)),
            _ => health.good("pacemaker"),
        }
        let all_verdicts = [
            Verdict::Up,
            Verdict::Fenced,
            Verdict::Lost,
            Verdict::Planned,
            Verdict::Keep,
            Verdict::Blind,
        ];
        let mut status = Vec::new();
        for verdict in all_verdicts {
            let count = hosts
                .values()
                .filter(|judgement| judgement.verdict == verdict)
                .count();
            metrics::gauge!("tachi_monitor_host_nodes", "verdict" => verdict.as_str()).set(float(count));
            if count > 0 {
                status.push(format!("{count} {}", verdict.as_str()));
            }
        }
        health.status(format!("hosts: {}", status.join(", ")));
    }

    pub(super) fn report_storm(&self, planned: &PlanResult, now: PlanTime, health: &Health) {
        metrics::gauge!("tachi_monitor_host_held_reports").set(float(planned.delayed.len()));
        match self.streaks.storm(now.steady) {
            Some(_) if !planned.delayed.is_empty() => health.bad(
                "storm",
                format!(
                    "{} hosts are lost at the same time: not reporting them for {} s",
                    planned.delayed.len(),
                    self.setup.pace.brake.hold.as_secs()
                ),
            ),
            _ => health.good("storm"),
        }
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
