use std::collections::BTreeMap;

use super::super::Facts;
use super::super::monitors::tests::monitor;
use super::super::tests::{ALL_WELL, TestCase, ago, computes};
use super::*;

/// Returns a host monitor that checks network planes and has reported these as lost for a minute.
fn judging(host: &str, seconds: i64, watches: &[&str], lost: &[(&str, &[&str])]) -> Monitor {
    let mut one = monitor(host, MonitorKind::Host, seconds, watches);
    let planes = |planes: &[&str]| {
        let each = planes.iter().map(|plane| ((*plane).to_owned(), ago(60)));
        each.collect::<BTreeMap<_, _>>()
    };
    let lost = lost.iter().map(|(host, of)| ((*host).to_owned(), planes(of)));
    one.heartbeat.planes = Some(lost.collect());
    one
}

fn not_restarted(host: &str, process: &str) -> Monitor {
    let mut one = monitor(host, MonitorKind::Process, 5, &[]);
    one.heartbeat.processes_down.insert(process.into(), ago(60));
    one
}

/// Adds two monitors that watch all hosts, so that there are no other findings.
fn watched(facts: &mut Facts) {
    for host in ["y", "z"] {
        facts
            .monitors
            .push(monitor(host, MonitorKind::Host, 5, &["a", "b", "c"]));
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(in super::super) fn cases() -> Vec<TestCase> {
    vec![
        (
            "a host has lost its storage network, as two monitors report",
            |facts| {
                watched(facts);
                for host in ["b", "c"] {
                    facts.monitors.push(judging(
                        host,
                        5,
                        &["a", "b", "c"],
                        &[("a", &["storage", "tenant"])],
                    ));
                }
            },
            &[(
                FindingCode::PlaneLost,
                "a",
                "cut off from its storage and tenant networks, as the host monitor of b, c reports",
            )],
            [4, 0, 2, 0, 0, 0],
        ),
        (
            "a host has lost its tenant network alone: it can be drained",
            |facts| {
                watched(facts);
                facts
                    .monitors
                    .push(judging("b", 5, &["a", "c"], &[("a", &["tenant"])]));
            },
            &[(FindingCode::PlaneLost, "a", "cut off from its tenant network")],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "the monitor that reported it is silent, and no other one judges planes",
            |facts| {
                watched(facts);
                facts
                    .monitors
                    .push(judging("z", 46, &["a", "b", "c"], &[("a", &["tenant"])]));
            },
            &[(
                FindingCode::PlaneLost,
                "a",
                "at the last heartbeat of the host monitor of z",
            )],
            [4, 0, 2, 0, 0, 0],
        ),
        (
            "the monitor that reported it is silent, and another one sees the host well",
            |facts| {
                watched(facts);
                facts
                    .monitors
                    .push(judging("z", 46, &["a", "b", "c"], &[("a", &["tenant"])]));
                facts.monitors.push(judging("y", 5, &["a", "b", "c"], &[]));
            },
            &[],
            ALL_WELL,
        ),
        (
            "a host that is down has lost more than a network",
            |facts| {
                watched(facts);
                computes(facts)[0].up = false;
                facts
                    .monitors
                    .push(judging("b", 5, &["a", "c"], &[("a", &["storage"])]));
            },
            &[(FindingCode::HostDown, "a", "down in Nova")],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "a process without which a host stays in service",
            |facts| {
                watched(facts);
                facts.monitors.push(not_restarted("a", "ovn-controller"));
            },
            &[(
                FindingCode::ProcessDown,
                "a",
                "in service, and ovn-controller could not be restarted",
            )],
            ALL_WELL,
        ),
        (
            "a process on a host in maintenance for another reason",
            |facts| {
                watched(facts);
                facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Operator);
                facts.monitors.push(not_restarted("a", "libvirtd"));
            },
            &[
                (FindingCode::HostOnMaintenance, "a", ""),
                (
                    FindingCode::ProcessDown,
                    "a",
                    "in maintenance, and libvirtd could not be restarted",
                ),
            ],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "a process without which a host is out of use is named",
            |facts| {
                watched(facts);
                facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Process);
                facts.monitors.push(not_restarted("a", "libvirtd"));
            },
            &[(
                FindingCode::ProcessDown,
                "a",
                "one of its processes has failed: libvirtd",
            )],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "an operator works on the host",
            |facts| {
                watched(facts);
                facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Operator);
                facts
                    .monitors
                    .push(judging("b", 5, &["a", "c"], &[("a", &["storage"])]));
            },
            &[(FindingCode::HostOnMaintenance, "a", "")],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "a process monitor that is silent knows nothing of its processes now",
            |facts| {
                watched(facts);
                let mut one = monitor("a", MonitorKind::Process, 600, &[]);
                one.heartbeat.processes_down.insert("libvirtd".into(), ago(900));
                facts.monitors.push(one);
            },
            &[(FindingCode::MonitorSilent, "a", "")],
            [4, 2, 0, 0, 0, 0],
        ),
    ]
}

/// Covers R36, R34.
#[test]
fn the_command_for_a_network_that_was_lost_follows_the_age_of_the_report() {
    for (seconds, part) in [(5, "tachi fence off a"), (600, "restart the host monitor of b")] {
        let mut facts = super::super::tests::fine();
        facts
            .monitors
            .push(judging("b", seconds, &["c"], &[("a", &["storage"])]));
        let situation = super::super::assess(&facts, super::super::tests::NOW);
        let mut found = situation.findings.iter();
        let lost = found
            .find(|finding| finding.code == FindingCode::PlaneLost)
            .unwrap();
        let fix = lost.fix.as_deref().unwrap();
        assert!(fix.contains(part), "{fix}");
    }
}
