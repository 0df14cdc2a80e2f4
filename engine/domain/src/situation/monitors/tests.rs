use std::collections::{BTreeMap, BTreeSet};

use super::super::tests::{ALL_WELL, NONE, NOW, TestCase, ago, computes, fine};
use super::super::{Aspect, assess};
use super::*;
use crate::monitor::{Guests, HeartbeatUse, MonitorHeartbeat, Resume};

pub(in super::super) fn monitor(host: &str, kind: MonitorKind, seconds: i64, watches: &[&str]) -> Monitor {
    Monitor {
        heartbeat: MonitorHeartbeat {
            host: host.into(),
            kind,
            version: "0.9.0".into(),
            troubles: BTreeMap::new(),
            watches: watches.iter().map(|name| (*name).to_owned()).collect(),
            watching: kind == MonitorKind::Host,
            guests: None,
            notice: None,
            planes: None,
            processes_down: BTreeMap::new(),
            boot: None,
            local_disks: None,
            shut_down: BTreeSet::new(),
            heartbeat_use: HeartbeatUse::Unknown,
        },
        signed_at: ago(seconds),
    }
}

fn saying(host: &str, kind: MonitorKind, seconds: i64, resume: Resume) -> Monitor {
    let mut one = monitor(host, kind, seconds, &[]);
    one.heartbeat.guests = Some(Guests {
        resume,
        by: "nova.conf:2".into(),
    });
    one
}

fn guests() -> TestCase {
    (
        "guests of a host that resume by themselves, per the latest check",
        |facts| {
            facts
                .monitors
                .push(saying("a", MonitorKind::Instance, 9, Resume::No));
            facts
                .monitors
                .push(saying("a", MonitorKind::Process, 5, Resume::Yes));
            facts
                .monitors
                .push(saying("b", MonitorKind::Instance, 9, Resume::Yes));
            facts
                .monitors
                .push(saying("b", MonitorKind::Process, 5, Resume::No));
            facts
                .monitors
                .push(saying("c", MonitorKind::Process, 5, Resume::Unknown));
        },
        &[(
            FindingCode::GuestsResume,
            "a",
            "resume_guests_state_on_host_boot is true (nova.conf:2)",
        )],
        [4, 2, 0, 0, 0, 0],
    )
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(in super::super) fn cases() -> Vec<TestCase> {
    vec![
        (
            "each host is watched by another",
            |facts| {
                facts
                    .monitors
                    .push(monitor("a", MonitorKind::Host, 5, &["a", "b", "c"]));
                facts
                    .monitors
                    .push(monitor("b", MonitorKind::Host, 5, &["a", "b", "c"]));
                facts.monitors.push(monitor("a", MonitorKind::Instance, 45, &[]));
            },
            &[],
            ALL_WELL,
        ),
        (
            "one host is watched by itself alone, and dies with its monitor",
            |facts| {
                facts
                    .monitors
                    .push(monitor("a", MonitorKind::Host, 5, &["a", "b", "c"]));
            },
            &[(FindingCode::MonitorUnknown, "a", "has ever watched it")],
            [4, 0, 2, 0, 0, 0],
        ),
        (
            "the only one that watched two hosts is silent",
            |facts| {
                facts
                    .monitors
                    .push(monitor("a", MonitorKind::Host, 46, &["a", "b", "c"]));
            },
            &[
                (
                    FindingCode::HostNotWatched,
                    "b,c",
                    "no running host monitor watches it",
                ),
                (FindingCode::MonitorUnknown, "a", "has ever watched it"),
                (
                    FindingCode::MonitorSilent,
                    "a",
                    "its host monitor sends no heartbeat",
                ),
            ],
            [0, 0, 2, 4, 0, 0],
        ),
        (
            "it signs, and does not reach the cluster",
            |facts| {
                let mut blind = monitor("z", MonitorKind::Host, 5, &["a", "b", "c"]);
                blind.heartbeat.watching = false;
                facts.monitors.push(blind);
            },
            &[(
                FindingCode::HostNotWatched,
                "a,b,c",
                "its failure would not be reported",
            )],
            NONE,
        ),
        (
            "one of two that watch is silent: the other is enough",
            |facts| {
                facts
                    .monitors
                    .push(monitor("y", MonitorKind::Host, 500, &["a", "b", "c"]));
                facts
                    .monitors
                    .push(monitor("z", MonitorKind::Host, 5, &["a", "b", "c"]));
            },
            &[],
            ALL_WELL,
        ),
        (
            "an instance monitor is silent, and another has trouble",
            |facts| {
                facts.monitors.push(monitor("a", MonitorKind::Instance, 400, &[]));
                let mut ill = monitor("b", MonitorKind::Instance, 4, &[]);
                ill.heartbeat.troubles.insert("libvirt".into(), "refused".into());
                facts.monitors.push(ill);
            },
            &[
                (
                    FindingCode::MonitorSilent,
                    "a",
                    "its instance monitor sends no heartbeat",
                ),
                (
                    FindingCode::MonitorPart,
                    "b",
                    "its instance monitor has a problem: libvirt: refused",
                ),
            ],
            [2, 4, 0, 0, 0, 0],
        ),
        (
            "the monitors of a host that is down are silent for that",
            |facts| {
                computes(facts)[0].up = false;
                facts.monitors.push(monitor("a", MonitorKind::Instance, 400, &[]));
            },
            &[(FindingCode::HostDown, "a", "down in Nova")],
            [4, 0, 0, 0, 2, 0],
        ),
        guests(),
        (
            "a signature from the future is none",
            |facts| facts.monitors.push(monitor("a", MonitorKind::Process, -600, &[])),
            &[(
                FindingCode::MonitorSilent,
                "a",
                "its process monitor sends no heartbeat",
            )],
            [4, 2, 0, 0, 0, 0],
        ),
    ]
}

#[test]
fn monitors_are_judged_from_the_first_signature_of_one_that_watches_hosts() {
    let mut facts = fine();
    facts.monitors.push(monitor("a", MonitorKind::Instance, 5, &[]));
    let situation = assess(&facts, NOW);
    assert_eq!(situation.not_assessed, [Aspect::Room, Aspect::Monitors]);
    assert_eq!(situation.monitors.len(), 1);
    facts.monitors.push(monitor("z", MonitorKind::Host, 60, &["a"]));
    let situation = assess(&facts, NOW);
    assert_eq!(situation.not_assessed, [Aspect::Room]);
    let grades: Vec<_> = situation
        .monitors
        .iter()
        .map(|monitor| (monitor.host.as_str(), monitor.grade))
        .collect();
    assert_eq!(grades, [("z", Severity::Err), ("a", Severity::Ok)], "worst first");
}
