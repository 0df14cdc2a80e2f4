use super::*;
use crate::parse_time;

fn time(seconds: i64) -> Time {
    parse_time(&(1_795_158_000 + seconds).to_string()).unwrap()
}

fn now(seconds: u64) -> PlanTime {
    PlanTime {
        wall: time(i64::try_from(seconds).unwrap()),
        steady: Duration::from_secs(seconds),
    }
}

fn judgement(verdict: Verdict, fenced_at: i64) -> Judgement {
    let proof = (verdict == Verdict::Fenced).then(|| Proof {
        target: "cmp1".to_owned(),
        action: "off".to_owned(),
        completed: time(fenced_at),
        delegate: None,
        origin: None,
        client: None,
        by_operator: false,
        node_fenced: None,
        device: None,
        agent: None,
    });
    Judgement {
        verdict,
        reason: String::new(),
        proof,
        left: false,
    }
}

/// A bridge that reports all planned changes at once, and its reports as (second, node, state).
#[derive(Default)]
struct BridgeHarness {
    ledger: Ledger,
    streaks: Streaks,
    reports: Vec<(u64, String, ReportedState)>,
    delayed: usize,
}

impl BridgeHarness {
    fn see(&mut self, second: u64, nodes: &[(&str, Verdict, i64)]) {
        let judged = nodes
            .iter()
            .map(|(node, verdict, at)| ((*node).to_owned(), judgement(*verdict, *at)))
            .collect();
        self.ledger.observe(&judged);
        let planned = plan(
            &self.ledger,
            &judged,
            &mut self.streaks,
            &Pace::default(),
            now(second),
        );
        for change in &planned.changes {
            self.ledger.record_report(change, now(second).wall, true);
            self.reports
                .push((second, change.node.clone(), change.report.state()));
        }
        self.delayed = planned.delayed.len();
    }

    fn restart(&mut self) {
        let text = serde_json::to_string(&self.ledger).unwrap();
        self.ledger = serde_json::from_str(&text).unwrap();
        self.streaks = Streaks::default();
    }

    fn reported_states(&self) -> Vec<(u64, ReportedState)> {
        self.reports
            .iter()
            .map(|(second, _, reported_states)| (*second, *reported_states))
            .collect()
    }
}

/// Covers MW1.
#[test]
fn a_fencing_is_reported_once_and_a_return_after_it_held() {
    let mut bridge = BridgeHarness::default();
    for second in 0..5 {
        bridge.see(second, &[("cmp1", Verdict::Up, 0)]);
    }
    for second in 5..30 {
        bridge.see(second, &[("cmp1", Verdict::Lost, 0)]);
    }
    for second in 30..60 {
        bridge.see(second, &[("cmp1", Verdict::Fenced, 30)]);
    }
    for second in 60..80 {
        bridge.see(second, &[("cmp1", Verdict::Up, 0)]);
    }
    assert_eq!(
        bridge.reported_states(),
        [(30, ReportedState::Fenced), (70, ReportedState::Started)]
    );
}

/// Covers MW2.
#[test]
fn a_fenced_node_that_flaps_is_never_reported_as_started() {
    let mut bridge = BridgeHarness::default();
    bridge.see(0, &[("cmp1", Verdict::Fenced, 0)]);
    for second in 1..200 {
        let verdict = if second / 17 % 2 == 0 {
            Verdict::Keep
        } else {
            Verdict::Fenced
        };
        bridge.see(second, &[("cmp1", verdict, 0)]);
    }
    assert_eq!(bridge.reported_states(), [(0, ReportedState::Fenced)]);
}

/// Covers MW7.
#[test]
fn a_host_that_died_while_nobody_watched_is_reported_by_its_proof() {
    let mut bridge = BridgeHarness::default();
    bridge.see(0, &[("cmp1", Verdict::Fenced, -500)]);
    assert_eq!(bridge.reported_states(), [(0, ReportedState::Fenced)]);
}

/// Covers MW3.
#[test]
fn a_restart_neither_loses_nor_repeats() {
    let mut bridge = BridgeHarness::default();
    bridge.see(0, &[("cmp1", Verdict::Fenced, 0)]);
    bridge.restart();
    for second in 1..100 {
        bridge.see(second, &[("cmp1", Verdict::Fenced, 0)]);
    }
    bridge.restart();
    for second in 100..120 {
        bridge.see(second, &[("cmp1", Verdict::Up, 0)]);
    }
    assert_eq!(
        bridge.reported_states(),
        [(0, ReportedState::Fenced), (110, ReportedState::Started)]
    );
}

#[test]
fn a_host_that_is_fenced_twice_without_having_been_up_is_reported_once() {
    let mut bridge = BridgeHarness::default();
    bridge.see(0, &[("cmp1", Verdict::Fenced, 0)]);
    bridge.see(30, &[("cmp1", Verdict::Lost, 0)]);
    bridge.see(31, &[("cmp1", Verdict::Fenced, 31)]);
    assert_eq!(bridge.reported_states(), [(0, ReportedState::Fenced)]);
}

#[test]
fn a_host_that_was_up_for_a_moment_and_dies_again_is_reported_again() {
    let mut bridge = BridgeHarness::default();
    bridge.see(0, &[("cmp1", Verdict::Fenced, 0)]);
    bridge.see(30, &[("cmp1", Verdict::Up, 0)]);
    bridge.see(32, &[("cmp1", Verdict::Lost, 0)]);
    bridge.see(33, &[("cmp1", Verdict::Fenced, 33)]);
    assert_eq!(
        bridge.reported_states(),
        [(0, ReportedState::Fenced), (33, ReportedState::Fenced)]
    );
}

#[test]
fn a_lasting_loss_is_reported_and_then_the_fencing() {
    let mut bridge = BridgeHarness::default();
    for second in 0..100 {
        bridge.see(second, &[("cmp1", Verdict::Lost, 0)]);
    }
    bridge.see(100, &[("cmp1", Verdict::Fenced, 100)]);
    assert_eq!(
        bridge.reported_states(),
        [(60, ReportedState::Lost), (100, ReportedState::Fenced)]
    );
}

#[test]
fn a_loss_lasts_while_the_cluster_tries_to_reconnect() {
    let mut bridge = BridgeHarness::default();
    // As with a reconnect interval of 50 s: each attempt shows the connection as starting for a while.
    for second in 0..60 {
        let verdict = if second % 50 < 45 {
            Verdict::Lost
        } else {
            Verdict::Keep
        };
        bridge.see(second, &[("cmp1", verdict, 0)]);
    }
    assert_eq!(bridge.reported_states(), vec![]);
    bridge.see(60, &[("cmp1", Verdict::Lost, 0)]);
    assert_eq!(bridge.reported_states(), vec![(60, ReportedState::Lost)]);
}

/// Covers MW10.
#[test]
fn a_planned_stop_is_not_reported_nor_is_its_end() {
    let mut bridge = BridgeHarness::default();
    for (second, verdict) in [
        (0, Verdict::Up),
        (1, Verdict::Planned),
        (100, Verdict::Planned),
        (101, Verdict::Up),
        (150, Verdict::Up),
    ] {
        bridge.see(second, &[("cmp1", verdict, 0)]);
    }
    assert!(bridge.reports.is_empty());
}

/// Covers MW9.
#[test]
fn a_storm_is_held_and_the_failures_that_remain_are_reported_at_its_end() {
    let names: Vec<String> = (0..10).map(|i| format!("cmp{i}")).collect();
    let at = |verdict: Verdict| -> Vec<(&str, Verdict, i64)> {
        names.iter().map(|name| (name.as_str(), verdict, 0)).collect()
    };
    let mut bridge = BridgeHarness::default();
    bridge.see(0, &at(Verdict::Up));
    for second in 1..121 {
        bridge.see(second, &at(Verdict::Fenced));
        assert!(
            bridge.reports.is_empty(),
            "held at {second}: {:?}",
            bridge.reports
        );
        assert_eq!(bridge.delayed, 10);
    }
    bridge.see(121, &at(Verdict::Fenced));
    assert_eq!(bridge.reports.len(), 10);
}

/// Covers MW9.
#[test]
fn a_storm_of_losses_is_never_reported() {
    let names: Vec<String> = (0..10).map(|i| format!("cmp{i}")).collect();
    let mut bridge = BridgeHarness::default();
    for second in 0..600 {
        let nodes: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Verdict::Lost, 0))
            .collect();
        bridge.see(second, &nodes);
    }
    assert!(bridge.reports.is_empty());
}

/// Covers MW9.
#[test]
fn hosts_that_die_one_by_one_are_no_storm() {
    let names: Vec<String> = (0..10).map(|i| format!("cmp{i}")).collect();
    let mut bridge = BridgeHarness::default();
    for second in 0..300_u64 {
        let nodes: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let dies = u64::try_from(i).unwrap() * 30;
                let verdict = if second >= dies {
                    Verdict::Fenced
                } else {
                    Verdict::Up
                };
                (name.as_str(), verdict, i64::try_from(dies).unwrap())
            })
            .collect();
        bridge.see(second, &nodes);
    }
    assert_eq!(bridge.reports.len(), 10);
}

#[test]
fn a_ledger_of_an_older_version_is_read() {
    let ledger: Ledger = serde_json::from_str(
        r#"{"nodes":{"cmp1":{"said":"fenced","key":"fenced:1","at":"2026-11-20T07:06:43Z"}}}"#,
    )
    .unwrap();
    assert!(!ledger.nodes["cmp1"].handed_over);
}

/// A UPS, a press of its power button, or `poweroff`: the host leaves in order, but its guests are down all the same.
/// Covers F9.
#[test]
fn a_host_that_left_in_order_without_an_operators_mark_is_reported_as_lost() {
    let see = |bridge: &mut BridgeHarness, second, left| {
        let judged = [(
            "cmp1".to_owned(),
            Judgement {
                left,
                ..judgement(Verdict::Planned, 0)
            },
        )];
        let planned = plan(
            &bridge.ledger,
            &judged.into(),
            &mut bridge.streaks,
            &Pace::default(),
            now(second),
        );
        for change in planned.changes {
            bridge.ledger.record_report(&change, now(second).wall, true);
            bridge.reports.push((second, change.node, change.report.state()));
        }
    };
    let mut meant = BridgeHarness::default();
    let mut left = BridgeHarness::default();
    for second in 0..900 {
        see(&mut meant, second, false);
        see(&mut left, second, true);
    }
    assert_eq!(meant.reports, []);
    assert_eq!(
        left.reports,
        [(300, "cmp1".to_owned(), ReportedState::Lost)],
        "once"
    );
}
