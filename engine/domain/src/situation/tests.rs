//! Each finding alone, and its effect on the instances.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::entity::host::MaintenanceReason;
use crate::entity::segment::RecoveryMethod;
use crate::freeze::{Freeze, FreezeScope};
use crate::guard::WouldHold;
use crate::nova::{Rest, StopReason};
use crate::policy::FencingMode;
use crate::recovery::{Life, RecoveryKind};
use crate::{RecoveryId, ServerId, Wait, WaitsFor};

mod outage;
mod region;

pub(super) use region::{
    ago, compute, computes, engine, failing, fine, host, ice, instance, recovery, rest, test, tests_of,
    waiting,
};

pub(super) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub(super) type Change = fn(&mut Facts);

/// Name, change, findings (code, subjects, part of the text), and the numbers of instances: protected,
/// degraded, unknown, unprotected, down, excluded.
pub(super) type TestCase = (
    &'static str,
    Change,
    &'static [(FindingCode, &'static str, &'static str)],
    [u64; 6],
);

pub(super) const ALL_WELL: [u64; 6] = [6, 0, 0, 0, 0, 0];
pub(super) const NONE: [u64; 6] = [0, 0, 0, 6, 0, 0];

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn cases() -> Vec<TestCase> {
    vec![
        ("all is well", |_| {}, &[], ALL_WELL),
        (
            "an instance that should run does not",
            |facts| rest(facts, StopReason::Due, 60),
            &[(FindingCode::InstanceDown, "vm-1", "without a request")],
            [5, 0, 0, 0, 1, 0],
        ),
        (
            "an instance rests, and why is not known yet",
            |facts| rest(facts, StopReason::Unasked, 1),
            &[(FindingCode::InstanceDown, "vm-1", "is checking")],
            [5, 0, 1, 0, 0, 0],
        ),
        (
            "an instance rests, and whether it should is not known",
            |facts| rest(facts, StopReason::Unclear, 60),
            &[(
                FindingCode::InstanceDown,
                "vm-1",
                "its guest may have shut itself down",
            )],
            [5, 0, 1, 0, 0, 0],
        ),
        (
            "an instance stopped on purpose",
            |facts| rest(facts, StopReason::Meant, 60),
            &[],
            ALL_WELL,
        ),
        (
            "an instance that may run elsewhere waits for an operator",
            |facts| facts.waiting.push(waiting(1, WaitsFor::Absence)),
            &[(
                FindingCode::MoveNeedsPerson,
                "vm-1",
                "it may run on another host: check there, and record the result (b)",
            )],
            [5, 0, 0, 0, 1, 0],
        ),
        (
            "two with the same finding are one finding",
            |facts| {
                facts.waiting.push(waiting(1, WaitsFor::Absence));
                facts.waiting.push(waiting(2, WaitsFor::Absence));
            },
            &[(
                FindingCode::MoveNeedsPerson,
                "vm-1,vm-2",
                "it may run on another host",
            )],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "a recovery that is held",
            |facts| facts.recoveries.push(recovery("gone", WaitsFor::Approval)),
            &[(
                FindingCode::RecoveryHeld,
                "gone",
                "a guard requires an operator's approval",
            )],
            ALL_WELL,
        ),
        (
            "one that waits by itself",
            |facts| facts.recoveries.push(recovery("gone", WaitsFor::Guards)),
            &[],
            ALL_WELL,
        ),
        (
            "an instance was read on the local disk of its host",
            |facts| {
                facts.local_disks = Arc::new([("a".to_owned(), [instance(1).id].into())].into());
            },
            &[(FindingCode::LocalDisk, "a", "without that disk")],
            ALL_WELL,
        ),
        (
            "no engine has ever run",
            |facts| facts.engines.clear(),
            &[(FindingCode::NoEngine, "", "no engine runs")],
            NONE,
        ),
        (
            "all engines are silent",
            |facts| facts.engines[0].seen_at = ago(21),
            &[(FindingCode::NoEngine, "", "no heartbeat recently")],
            NONE,
        ),
        (
            "one of two is silent",
            |facts| facts.engines.push(engine("ctl-2:9:y", 2_880, &[])),
            &[(FindingCode::EngineSilent, "ctl-2:9:y", "no heartbeat recently")],
            ALL_WELL,
        ),
        (
            "one was killed, and another runs in its place",
            |facts| facts.engines.push(engine("ctl-1:5:y", 2_880, &[])),
            &[],
            ALL_WELL,
        ),
        (
            "Nova answers no engine",
            |facts| facts.engines[0] = engine("e:1", 4, &[("nova", false, "away for 50 s: refused")]),
            &[(FindingCode::NovaAway, "", "away for 50 s: refused")],
            NONE,
        ),
        (
            "Nova answers one of two",
            |facts| {
                facts
                    .engines
                    .push(engine("e:1", 4, &[("nova", false, "away for 50 s")]));
            },
            &[(FindingCode::EnginePart, "e:1", "nova is away for 50 s")],
            ALL_WELL,
        ),
        (
            "an engine without its broker",
            |facts| facts.engines[0] = engine("e:1", 1, &[("broker", false, "down: no route")]),
            &[(FindingCode::EnginePart, "e:1", "broker is down: no route")],
            ALL_WELL,
        ),
        (
            "Nova was never read",
            |facts| facts.computes = None,
            &[(
                FindingCode::FactsOld,
                "",
                "no engine has read Nova's services yet",
            )],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "no recent read of Nova",
            |facts| facts.computes.as_mut().unwrap().as_of = ago(46),
            &[(
                FindingCode::FactsOld,
                "",
                "no engine has read Nova's services recently",
            )],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "a read from the future",
            |facts| facts.computes.as_mut().unwrap().as_of = ago(-46),
            &[(FindingCode::FactsOld, "", "recently")],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "instances that were listed too long ago",
            |facts| facts.instances.as_mut().unwrap().as_of = ago(46),
            &[(FindingCode::FactsOld, "", "listed too long ago")],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "instances that are being listed",
            |facts| facts.instances.as_mut().unwrap().value.complete = false,
            &[(
                FindingCode::InstancesNotListed,
                "",
                "first listing of Nova's instances: 6 instances so far",
            )],
            ALL_WELL,
        ),
        (
            "an engine that does not take what comes",
            |facts| {
                facts.queue = Queue {
                    new: 2,
                    oldest: Some(ago(31)),
                }
            },
            &[(
                FindingCode::QueueStalls,
                "",
                "2 notifications that no engine has started",
            )],
            NONE,
        ),
        (
            "one that has only just come",
            |facts| {
                facts.queue = Queue {
                    new: 1,
                    oldest: Some(ago(30)),
                }
            },
            &[],
            ALL_WELL,
        ),
        (
            "fencing is stopped",
            |facts| facts.fencing.stopped = true,
            &[(FindingCode::FencingStopped, "", "every recovery is put on hold")],
            NONE,
        ),
        (
            "a mode that does nothing",
            |facts| facts.fencing.mode = FencingMode::DryRun,
            &[(FindingCode::FencingDryRun, "", "dry-run")],
            NONE,
        ),
        (
            "a mode that needs a device, and none",
            |facts| facts.fencing.has_devices = false,
            &[(
                FindingCode::NoFenceDevice,
                "",
                "no power controller is configured",
            )],
            NONE,
        ),
        (
            "mode external needs none",
            |facts| {
                facts.fencing.mode = FencingMode::External;
                facts.fencing.has_devices = false;
                facts.fencing.tests = None;
            },
            &[],
            ALL_WELL,
        ),
        (
            "a devices' file with problems",
            |facts| facts.fencing.trouble = Some("line 3: no".into()),
            &[(FindingCode::FenceFileUnreadable, "", "cannot be read: line 3: no")],
            ALL_WELL,
        ),
        (
            "a host that no device is for",
            |facts| facts.fencing.without.push("b".into()),
            &[(FindingCode::HostWithoutFence, "b", "cannot be confirmed off")],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "a device that answers for another machine, and is the only one",
            |facts| {
                facts.fencing.foreign.push(WrongMachine {
                    host: "a".into(),
                    device: "bmc".into(),
                    what: "answers for another machine: expected 1, 2 answers".into(),
                    since: ago(30),
                });
            },
            &[(
                FindingCode::FenceForeignMachine,
                "a",
                "its device bmc answers for another machine",
            )],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "the same, and another device is right",
            |facts| {
                facts.fencing.foreign.push(WrongMachine {
                    host: "a".into(),
                    device: "bmc".into(),
                    what: "answers for another machine".into(),
                    since: ago(30),
                });
                tests_of(facts).push(test("a", "pdu"));
            },
            &[(FindingCode::FenceForeignMachine, "a", "another machine")],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "the only device fails",
            |facts| failing(&mut tests_of(facts)[0], 2),
            &[(FindingCode::FenceFailing, "a", "bmc: timed out")],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "it has failed once",
            |facts| failing(&mut tests_of(facts)[0], 1),
            &[(FindingCode::FenceLevelFailing, "a", "bmc: timed out; failed once")],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "one of two devices fails",
            |facts| {
                failing(&mut tests_of(facts)[0], 4);
                tests_of(facts).push(test("a", "pdu"));
            },
            &[(FindingCode::FenceLevelFailing, "a", "bmc: timed out; pdu works")],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "no device was tested lately",
            |facts| tests_of(facts)[2].as_of = ago(661),
            &[(FindingCode::FenceNotTested, "c", "no recent test")],
            [4, 0, 2, 0, 0, 0],
        ),
        (
            "none has been tested",
            |facts| facts.fencing.tests = None,
            &[(FindingCode::FenceNotTested, "a,b,c", "no recent test")],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "no host at all",
            |facts| {
                facts.segments.clear();
                computes(facts).clear();
                facts.instances.as_mut().unwrap().value.on = BTreeMap::new();
            },
            &[(FindingCode::NoHosts, "", "no host is registered")],
            [0; 6],
        ),
        (
            "a hypervisor in no segment",
            |facts| {
                facts.segments[0].hosts.remove(2);
            },
            &[(FindingCode::HostNotInSegment, "c", "in no segment")],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "a host that is down in Nova",
            |facts| computes(facts)[1].up = false,
            &[(FindingCode::HostDown, "b", "no recovery of it is open")],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "one that Nova does not know",
            |facts| {
                computes(facts).remove(1);
            },
            &[(FindingCode::HostUnknownToNova, "b", "unknown to Nova")],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "one of a cell that is away",
            |facts| computes(facts)[1].cell_down = true,
            &[(FindingCode::HostCellDown, "b", "its cell does not answer")],
            [4, 0, 2, 0, 0, 0],
        ),
        (
            "one with two records",
            |facts| {
                computes(facts)[1].cell_down = true;
                computes(facts)[1].ambiguous = true;
            },
            &[(FindingCode::HostCellDown, "b", "two compute services")],
            [4, 0, 2, 0, 0, 0],
        ),
        (
            "one that is disabled",
            |facts| computes(facts)[1].enabled = false,
            &[(FindingCode::HostDisabled, "b", "takes no instances")],
            ALL_WELL,
        ),
        (
            "a reserved one is disabled by design",
            |facts| {
                computes(facts)[1].enabled = false;
                facts.segments[0].hosts[1].reserved = true;
            },
            &[],
            ALL_WELL,
        ),
        (
            "a host in maintenance",
            |facts| facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Operator),
            &[(FindingCode::HostOnMaintenance, "a", "an operator")],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "a host whose recovery the guards would hold",
            |facts| {
                facts.holds = Some(TimedFact {
                    as_of: ago(5),
                    value: vec![WouldHold {
                        host: "a".into(),
                        why: vec!["G11 protected: it is listed".into()],
                    }],
                });
            },
            &[(
                FindingCode::RecoveryWouldHold,
                "a",
                "a failure now would put the recovery on hold: G11",
            )],
            [4, 2, 0, 0, 0, 0],
        ),
        (
            "a frozen host",
            |facts| facts.freezes = vec![ice(FreezeScope::Host, "a")],
            &[(
                FindingCode::Frozen,
                "a",
                "frozen until 2023-11-14T23:13:20Z by alice (firmware): no fencing",
            )],
            [4, 0, 0, 2, 0, 0],
        ),
        (
            "one that was recovered, whatever its heartbeats",
            |facts| {
                facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Recovery);
                computes(facts)[0].up = false;
            },
            &[(FindingCode::HostNotBack, "a", "recovered, not yet")],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "two hosts in maintenance leave one",
            |facts| {
                for host in &mut facts.segments[0].hosts[..2] {
                    host.maintenance = Some(MaintenanceReason::Process);
                }
            },
            &[
                (
                    FindingCode::FewHosts,
                    "segment s1",
                    "only one of its hosts is in service",
                ),
                (FindingCode::ProcessDown, "a,b", "one of its processes"),
            ],
            [0, 6, 0, 0, 0, 0],
        ),
        (
            "a host in maintenance because of a process has died",
            |facts| {
                facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Process);
                computes(facts)[0].up = false;
                facts.fencing.without.push("a".into());
            },
            &[
                (FindingCode::HostDown, "a", "no recovery of it is open"),
                (FindingCode::HostWithoutFence, "a", "cannot be confirmed off"),
                (FindingCode::ProcessDown, "a", "one of its processes"),
            ],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "reports on living hosts leave all of them",
            |facts| {
                for host in &mut facts.segments[0].hosts {
                    host.recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
                }
            },
            &[(
                FindingCode::HostUnderRecovery,
                "a,b,c",
                "it is reported down, but is up in Nova",
            )],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "a host under recovery",
            |facts| {
                facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
                facts.recoveries.push(recovery("a", WaitsFor::Nothing));
                computes(facts)[0].up = false;
            },
            &[(
                FindingCode::HostUnderRecovery,
                "a",
                "being recovered: 1/2 instances back",
            )],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "instances that a recovery has not brought back, wherever Nova shows them",
            |facts| {
                facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
                facts.recoveries.push(recovery("a", WaitsFor::Nothing));
                computes(facts)[0].up = false;
                // Nova shows one of them where it is being rebuilt.
                let on = &mut facts.instances.as_mut().unwrap().value.on;
                let mut rebuilt = Arc::make_mut(on.get_mut("a").unwrap()).remove(1);
                rebuilt.moving = true;
                facts.displaced_instances = [rebuilt.id, on["a"][0].id].into();
                Arc::make_mut(on.get_mut("b").unwrap()).push(rebuilt);
            },
            &[(
                FindingCode::HostUnderRecovery,
                "a",
                "being recovered: 1/2 instances back",
            )],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "Nova refuses an evacuation for good",
            |facts| {
                facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
                let refused = "Nova has not evacuated vm-1; the request is repeated: POST ...: 403: vTPM";
                facts.recoveries.push(Recovery {
                    message: Some(refused.into()),
                    ..recovery("a", WaitsFor::Nothing)
                });
                computes(facts)[0].up = false;
            },
            &[(
                FindingCode::HostUnderRecovery,
                "a",
                "1/2 instances back; Nova has not evacuated vm-1; the request is repeated: POST ...: 403: vTPM",
            )],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "a host whose recovery waits for an operator",
            |facts| {
                facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
                facts.recoveries.push(recovery("a", WaitsFor::Approval));
                computes(facts)[0].up = false;
            },
            &[
                (
                    FindingCode::RecoveryHeld,
                    "a",
                    "a guard requires an operator's approval",
                ),
                (
                    FindingCode::HostUnderRecovery,
                    "a",
                    "its recovery waits for an operator: 1/2 instances back",
                ),
            ],
            [4, 0, 0, 0, 2, 0],
        ),
        (
            "a disabled segment",
            |facts| facts.segments[0].enabled = false,
            &[(
                FindingCode::SegmentDisabled,
                "segment s1",
                "failures of its 3 hosts are not handled",
            )],
            NONE,
        ),
        (
            "a reserved host that is not there",
            |facts| facts.segments[0].method = RecoveryMethod::ReservedHost,
            &[(
                FindingCode::NoReservedHost,
                "segment s1",
                "it has no reserved host",
            )],
            NONE,
        ),
        (
            "one that would be preferred",
            |facts| facts.segments[0].method = RecoveryMethod::RhPriority,
            &[(
                FindingCode::NoReservedHost,
                "segment s1",
                "only Nova's own choice",
            )],
            [0, 6, 0, 0, 0, 0],
        ),
        (
            "one that is down",
            |facts| {
                facts.segments[0].method = RecoveryMethod::ReservedHost;
                facts.segments[0].hosts[2].reserved = true;
                computes(facts)[2].up = false;
            },
            &[
                (FindingCode::HostDown, "c", "down in Nova"),
                (
                    FindingCode::NoReservedHost,
                    "segment s1",
                    "its only reserved host is not ready",
                ),
            ],
            [0, 0, 0, 4, 2, 0],
        ),
        (
            "reporters that are muted, and should be",
            |facts| {
                for (number, is_muted) in [(1, true), (2, false)] {
                    facts.muted_reporters.push(MutedReporter {
                        number,
                        reporter: crate::Reporter {
                            user_id: "c9".into(),
                            ..crate::Reporter::default()
                        },
                        since: ago(60),
                        why: "it lied".into(),
                        is_muted,
                        ignored_reports: 1,
                    });
                }
            },
            &[
                (
                    FindingCode::ReporterDoubted,
                    "reporter c9 (bound to no host)",
                    "start nothing (1 report so far): it lied",
                ),
                (
                    FindingCode::ReporterDoubted,
                    "reporter c9 (bound to no host)",
                    "would exceed the limit",
                ),
            ],
            ALL_WELL,
        ),
        (
            "an instance that policy leaves, and one that is being moved",
            |facts| {
                let on = &mut facts.instances.as_mut().unwrap().value.on;
                Arc::make_mut(on.get_mut("a").unwrap())[0].left = Some("it is not marked".into());
                Arc::make_mut(on.get_mut("b").unwrap())[0].moving = true;
            },
            &[],
            [4, 1, 0, 0, 0, 1],
        ),
    ]
}

fn all_cases() -> Vec<TestCase> {
    let mut all = cases();
    all.extend(outage::cases());
    all.extend(super::monitors::tests::cases());
    all.extend(super::host_faults::tests::cases());
    all.extend(super::room::tests::cases());
    all
}

fn numbers(counts: Counts) -> [u64; 6] {
    [
        counts.protected,
        counts.degraded,
        counts.unknown,
        counts.unprotected,
        counts.down,
        counts.not_meant,
    ]
}

#[test]
fn each_finding_alone() {
    let mut wrong = Vec::new();
    for (name, change, expected, counts) in all_cases() {
        let mut facts = fine();
        change(&mut facts);
        let situation = assess(&facts, NOW);
        let findings: Vec<_> = situation
            .findings
            .iter()
            .map(|finding| (finding.code, finding.subjects.join(","), finding.text.as_str()))
            .collect();
        assert_eq!(findings.len(), expected.len(), "{name}: {findings:?}");
        for ((code, subjects, text), expected) in findings.iter().zip(expected) {
            assert_eq!(
                (*code, subjects.as_str()),
                (expected.0, expected.1),
                "{name}: {findings:?}"
            );
            if !text.contains(expected.2) {
                wrong.push(format!("{name}: {text:?} lacks {:?}", expected.2));
            }
        }
        let worst = situation.findings.iter().map(|finding| finding.grade).max();
        assert_eq!(situation.grade, worst.unwrap_or(Severity::Ok), "{name}");
        assert_eq!(numbers(situation.counts.unwrap()), counts, "{name}");
        let by_host = situation
            .hosts
            .iter()
            .filter_map(|host| host.counts)
            .map(Counts::included);
        let of_hosts: u64 = by_host.sum();
        assert!(of_hosts <= situation.counts.unwrap().included(), "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn without_a_list_only_waiting_instances_are_reported() {
    let mut facts = fine();
    facts.instances = None;
    facts.waiting.push(waiting(1, WaitsFor::Record));
    let situation = assess(&facts, NOW);
    let codes: Vec<FindingCode> = situation.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        [FindingCode::MoveNeedsPerson, FindingCode::InstancesNotListed]
    );
    assert_eq!((situation.counts, situation.instances), (None, None));
    assert_eq!(situation.not_assessed, [Aspect::Room, Aspect::Monitors]);
}

#[test]
fn an_unregistered_host_without_instances_is_info() {
    let mut facts = fine();
    computes(&mut facts).push(compute("new"));
    assert_eq!(assess(&facts, NOW).grade, Severity::Warn);
    facts.instances = None;
    assert_eq!(
        assess(&facts, NOW).findings[0].grade,
        Severity::Err,
        "it may have some"
    );
}

#[test]
fn segments_and_hosts_have_their_state() {
    let mut facts = fine();
    facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Recovery);
    facts.recoveries.push(recovery("b", WaitsFor::Nothing));
    let situation = assess(&facts, NOW);
    let segment = &situation.segments[0];
    assert_eq!((segment.working, segment.hosts), (2, 3));
    assert_eq!(segment.under_recovery, ["b"]);
    assert_eq!(segment.counts.unwrap().unprotected, 2);
    assert_eq!(situation.hosts[0].protection, Protection::Unprotected);
    assert_eq!(situation.hosts[0].reasons, [FindingCode::HostNotBack].into());
    assert_eq!(situation.hosts[1].counts.unwrap().protected, 2);
}

#[test]
fn every_code_has_a_case() {
    let mut met: BTreeSet<FindingCode> = [FindingCode::InstanceMoving].into();
    for (_, change, _, _) in all_cases() {
        let mut facts = fine();
        change(&mut facts);
        met.extend(assess(&facts, NOW).findings.iter().map(|finding| finding.code));
    }
    let missing: Vec<&FindingCode> = FindingCode::ALL
        .iter()
        .filter(|code| !met.contains(code))
        .collect();
    assert_eq!(missing, Vec::<&FindingCode>::new());
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut known = BTreeSet::from(["README.md".to_owned()]);
    let index = std::fs::read_to_string(root.join("docs/findings/README.md")).unwrap();
    for code in FindingCode::ALL {
        let page = root.join(code.page());
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", code.page()));
        let head = format!("# {code}\n\n{}\n", code.meaning());
        assert!(
            text.starts_with(&head),
            "{} begins otherwise than\n{head}",
            code.page()
        );
        assert!(text.contains("## What to do"), "{}", code.page());
        let file = page.file_name().unwrap().to_str().unwrap().to_owned();
        let row = format!("| [{code}]({file}) | {} |", code.grade());
        assert!(index.contains(&row), "README.md has no row {row}");
        known.insert(file);
    }
    let there: BTreeSet<String> = std::fs::read_dir(root.join("docs/findings"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, known);
}
